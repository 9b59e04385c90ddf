// A pattern that lint tries on texts of its own, in the spelling that the engine runs. Backtracking is measured in the
// interpreter's steps, which are the same on every machine.
import CPCRE2
import Primitives
import RegularExpressions

final class TriedPattern {
  private let code: OpaquePointer
  private let data: OpaquePointer
  private let context: OpaquePointer
  /// The option that keeps the compiled code from being used, or nothing.
  private let interpreting: UInt32

  /// nil where the pattern cannot be translated or compiled: loading has said so already.
  convenience init?(_ source: String, caseSensitive: Bool) {
    guard let expression = try? RegularExpression(source, isCaseSensitive: caseSensitive) else { return nil }
    self.init(expression)
  }

  /// `usesJIT`: as the engine runs it; else the interpreter, whose steps are counted.
  init?(_ expression: RegularExpression, for kind: RegularExpression.TextKind = .unicode, usesJIT: Bool = false) {
    guard var pattern = expression.pcre2(for: kind) else { return nil }
    var error: Int32 = 0
    var offset = 0
    let utf = kind == .unicode ? UInt32(PCRE2_UTF) | UInt32(PCRE2_MATCH_INVALID_UTF) : 0
    let options = UInt32(PCRE2_NEVER_BACKSLASH_C) | utf
    let compiled = pattern.withUTF8 { pcre2_compile_8($0.baseAddress, $0.count, options, &error, &offset, nil) }
    guard let compiled else { return nil }
    guard let data = pcre2_match_data_create_8(1, nil), let context = pcre2_match_context_create_8(nil) else {
      pcre2_code_free_8(compiled)
      return nil
    }
    code = compiled
    interpreting = usesJIT && pcre2_jit_compile_8(compiled, UInt32(PCRE2_JIT_COMPLETE)) == 0 ? 0 : UInt32(PCRE2_NO_JIT)
    self.data = data
    self.context = context
    pcre2_set_heap_limit_8(context, Limits.regexHeapKiB)
    pcre2_set_match_limit_8(context, Limits.regexMatchSteps)
  }
  deinit {
    pcre2_match_context_free_8(context)
    pcre2_match_data_free_8(data)
    pcre2_code_free_8(code)
  }

  /// nil: a limit was hit.
  func matches(_ text: [UInt8]) -> Bool? {
    let result = run(text, limit: Limits.regexMatchSteps)
    return result >= 0 ? true : result == PCRE2_ERROR_NOMATCH ? false : nil
  }

  /// Whether a match that begins with the text takes more than `limit` steps.
  func exceeds(_ text: [UInt8], _ limit: UInt32) -> Bool {
    let result = run(text, limit: limit, options: UInt32(PCRE2_ANCHORED))
    return result == PCRE2_ERROR_MATCHLIMIT || result == PCRE2_ERROR_HEAPLIMIT || result == PCRE2_ERROR_DEPTHLIMIT
  }

  private func run(_ text: [UInt8], limit: UInt32, options: UInt32 = 0) -> Int32 {
    pcre2_set_match_limit_8(context, limit)
    return text.withUnsafeBufferPointer { bytes in
      withUnsafePointer(to: UInt8(0)) { nothing in
        pcre2_match_8(code, bytes.baseAddress ?? nothing, bytes.count, 0, interpreting | options, data, context)
      }
    }
  }
}
