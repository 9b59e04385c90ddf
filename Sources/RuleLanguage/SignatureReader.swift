// `detection.signature` (spec/atr-method-v1.1.md, section 5) -> SignatureDetection. A type or a digest that cannot be is an error at
// load: an indicator that can never match would be a silent hole.
import Events
import Primitives
import TypedYAML

struct SignatureReader {
  let problems: Problems
  let isHostRule: Bool

  /// nil where there were errors.
  func read(_ section: Section) -> SignatureDetection? {
    section.refuseUnknownKeys(["indicators", "match_logic", "description"], as: .warning)
    let errorsBefore = problems.errorCount
    let items = section.list("indicators", isRequired: true) ?? []
    if items.isEmpty, section.node("indicators") != nil {
      problems.error(section.location(of: "indicators"), "'\(section.qualified("indicators"))' is empty: the rule could never match")
    }
    let indicators = items.enumerated().compactMap { i, node in
      Section(node, path: "\(section.qualified("indicators"))[\(i + 1)]", problems: problems).flatMap(indicator)
    }
    let logic = section.has("match_logic") ? section.choice("match_logic", SignatureDetection.MatchLogic.self) : .any
    guard problems.errorCount == errorsBefore, let logic else { return nil }
    return SignatureDetection(indicators: indicators, matchLogic: logic)
  }

  private func indicator(_ section: Section) -> SignatureDetection.Indicator? {
    section.refuseUnknownKeys(["type", "value", "target_field", "provenance", "description"], as: .warning)
    let type = section.choice("type", SignatureDetection.IndicatorType.self, isRequired: true)
    let text = section.text("value", isRequired: true)
    let conditions = ConditionReader(problems: problems, isHostRule: isHostRule)
    let target = section.text("target_field", isRequired: true).flatMap { conditions.field($0, at: section.location(of: "target_field")) }
    guard let type, let text, let target, let value = canonical(text, type, section) else { return nil }
    return SignatureDetection.Indicator(
      type: type, value: value, target: target, provenance: section.section("provenance").map(provenance), location: section.location)
  }

  private func canonical(_ text: String, _ type: SignatureDetection.IndicatorType, _ section: Section) -> String? {
    let location = section.location(of: "value")
    guard !text.isEmpty else {
      problems.error(location, "'\(section.qualified("value"))' is empty: it could never match")
      return nil
    }
    if let digits = type.digestDigits {
      if let digest = SignatureDetection.canonicalDigest(text.utf8, digits: digits) { return String(decoding: digest, as: UTF8.self) }
      problems.error(location, "'\(shown(text))' is not a \(type.rawValue) digest", hint: "write \(digits) hexadecimal digits")
      return nil
    }
    guard type == .registryURL else { return text }
    if let url = CanonicalURL.of(text.utf8) { return String(decoding: url, as: UTF8.self) }
    problems.warning(location, "'\(shown(text))' is no absolute URL, so it is compared as it stands", hint: "write it like https://host/path")
    return text
  }

  private func provenance(_ section: Section) -> SignatureDetection.Provenance {
    SignatureDetection.Provenance(
      firstObserved: section.text("first_observed") ?? "", source: section.text("source") ?? "", attribution: section.text("attribution") ?? "")
  }
}
