// Signature rules: known digests, names and addresses, found by exact comparison (spec/atr-method-v1.1.md, section 5).
// Each (field, type) is worked out once for an event, whatever number of indicators asks for it, and looked up in one table.
// A digest is that of the field's bytes. A field whose last name says that it is a digest (`file.hash.sha256`) is compared itself.
// What must stay true: matches come in the order of rules and indicators; no table is iterated.
import Events
import Primitives
import RuleLanguage

struct SignatureMatcher {
  private struct Probe {
    var field: FieldReference
    var type: SignatureDetection.IndicatorType
    var carriesDigest: Bool
    /// Canonical value to numbers of indicators, ascending.
    var indicators: [[UInt8]: [Int32]] = [:]
  }
  private struct Indicator {
    var rule: Int32
    /// Its place in the rule.
    var place: Int32
  }
  private var probes: [Probe] = []
  private var indicators: [Indicator] = []
  /// By rule: how many indicators must match.
  private var needed: [Int: Int] = [:]
  var isEmpty: Bool { indicators.isEmpty }

  mutating func add(_ detection: SignatureDetection, rule: Int) {
    for (place, indicator) in detection.indicators.enumerated() {
      let at = probe(indicator.target, indicator.type)
      probes[at].indicators[Array(indicator.value.utf8), default: []].append(Int32(indicators.count))
      indicators.append(Indicator(rule: Int32(rule), place: Int32(place)))
    }
    needed[rule] = detection.matchLogic == .all ? detection.indicators.count : 1
  }
  private mutating func probe(_ field: FieldReference, _ type: SignatureDetection.IndicatorType) -> Int {
    if let at = probes.firstIndex(where: { $0.field == field && $0.type == type }) { return at }
    probes.append(Probe(field: field, type: type, carriesDigest: SignatureMatcher.carriesDigest(field, type)))
    return probes.count - 1
  }
  private static func carriesDigest(_ field: FieldReference, _ type: SignatureDetection.IndicatorType) -> Bool {
    let last = field.description.utf8.split(separator: 0x2e).last.map { String(decoding: $0, as: UTF8.self).lowercased() } ?? ""
    switch type {
    case .sha256, .sha512: return last == type.rawValue
    case .blake2b256: return ["blake2b-256", "blake2b_256", "blake2b256"].contains(last)
    case .packageName, .registryURL, .skillID: return false
    }
  }

  /// How many indicators must match.
  func needed(by rule: Int) -> Int { needed[rule] ?? 1 }
  /// Rules that match, ascending, each with its indicators that matched, ascending.
  func matches(_ event: borrowing Event) -> [(rule: Int, indicators: [Int])] {
    var hits: [Int32] = []
    for probe in probes {
      guard let value = value(probe, event), let found = probe.indicators[value] else { continue }
      hits += found
    }
    guard !hits.isEmpty else { return [] }
    hits.sort()
    var result: [(rule: Int, indicators: [Int])] = []
    for hit in hits {
      let indicator = indicators[Int(hit)]
      if result.last?.rule != Int(indicator.rule) { result.append((Int(indicator.rule), [])) }
      result[result.count - 1].indicators.append(Int(indicator.place))
    }
    return result.filter { $0.indicators.count >= needed[$0.rule] ?? .max }
  }

  private func value(_ probe: Probe, _ event: borrowing Event) -> [UInt8]? {
    FieldText.with(probe.field, event) { text in
      if let digits = probe.type.digestDigits {
        return probe.carriesDigest ? SignatureDetection.canonicalDigest(text, digits: digits) : Digests.hexadecimal(probe.type, of: text)
      }
      return probe.type == .registryURL ? CanonicalURL.of(text) ?? Array(text) : Array(text)
    } ?? nil
  }
}

/// A field of an event as text, for evaluators that run seldom.
enum FieldText {
  static func with<Result>(_ field: FieldReference, _ event: borrowing Event, _ body: (Bytes) -> Result) -> Result? {
    switch field {
    case .known(let known):
      if let text = event.text(known) { return body(text) }
      var copy: [UInt8] = []
      guard event.appendText(of: known, to: &copy) else { return nil }
      return copy.withUnsafeBytes { body($0) }
    case .extra(let name):
      return Array(name.utf8).withUnsafeBytes { event.extra($0) }.map(body)
    }
  }
}
