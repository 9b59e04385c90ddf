// Conditions with `language`: tested only on texts of that language; other languages than English also in the text's NFKC form.
// Such a condition stands outside the prefilter, which knows neither.
import CUtf8proc
import Events
import Glibc
import Primitives
import RuleLanguage

/// A condition's language as a number: 0 none, else its place in `LanguageDetection.Language.allCases` and 1, 255 one that is unknown.
enum ConditionLanguage {
  static let unknown: UInt8 = 255
  static func number(_ tag: String?) -> UInt8 {
    guard let tag else { return 0 }
    guard tag != "und", let at = LanguageDetection.Language.allCases.firstIndex(where: { $0.rawValue == tag }) else { return unknown }
    return UInt8(at + 1)
  }
  /// Of a text; one without a language is of no condition's.
  static func number(_ language: LanguageDetection.Language) -> UInt8 { language == .und ? 0 : number(language.rawValue) }
  static let english = number(.en)
}

enum CompatibilityForm {
  /// NFKC of `text`; nil where it is the same, or the text is not UTF-8.
  static func of(_ text: Bytes) -> [UInt8]? {
    guard text.contains(where: { $0 >= 0x80 }) else { return nil }
    let options = utf8proc_option_t(UTF8PROC_STABLE.rawValue | UTF8PROC_COMPOSE.rawValue | UTF8PROC_COMPAT.rawValue)
    var out: UnsafeMutablePointer<UInt8>?
    let count = utf8proc_map(text.baseAddress?.assumingMemoryBound(to: UInt8.self), text.count, &out, options)
    defer { free(out) }
    guard count >= 0, let out else { return nil }
    let form = Array(UnsafeBufferPointer(start: out, count: count))
    return form.elementsEqual(text) ? nil : form
  }
}
