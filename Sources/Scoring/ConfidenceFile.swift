// The data file behind every confidence: one YAML document with the prior, the families' caps, what severity and trust add, corrections for
// single rules, exclusions, and the table from a sum to a confidence. Every key may be left out and then means what is built in, so that a
// host's own file holds what it changes and nothing else.
// Invariants: unknown keys and values that break the arithmetic's promises (ConfidenceModel) are errors with file:line; `text` of a model
// reads back as that model; equal models have equal texts, which is what the hash is taken of.
import Primitives
import TypedYAML

public enum ConfidenceFile {
  static let keys = [
    "format", "prior", "rest_divisor", "family_cap", "family_caps", "severity", "trust", "rules", "exclusions", "table",
  ]
  /// Nats, in thousandths: more is certainty in one step.
  private static let weights: ClosedRange<Int64> = -14_000...14_000
  private static let sums: ClosedRange<Int64> = -100_000...100_000

  /// What the bytes change about `base`, and what is wrong with them. nil where there is an error.
  public static func read(_ bytes: Bytes, file: String, base: ConfidenceModel = .shipped) -> (model: ConfidenceModel?, diagnostics: [Diagnostic]) {
    let (documents, failures) = YAMLParser.parse(bytes, file: file)
    guard failures.isEmpty else { return (nil, failures) }
    guard let document = documents.first else { return (base, []) }
    let problems = Problems()
    if documents.count > 1 { problems.error(documents[1].root.location, "a confidence file is one document, but here a second one begins") }
    var model = base
    if let root = Section(document.root, problems: problems) { read(root, into: &model) }
    return (problems.errorCount == 0 ? model : nil, problems.finished(file: file))
  }
  public static func read(_ text: String, file: String, base: ConfidenceModel = .shipped) -> (model: ConfidenceModel?, diagnostics: [Diagnostic]) {
    var copy = text
    return copy.withUTF8 { read(Bytes($0), file: file, base: base) }
  }

  // MARK: Reading

  private static func read(_ root: Section, into model: inout ConfidenceModel) {
    root.refuseUnknownKeys(keys)
    _ = root.integer("format", in: 1...1, isRequired: true)
    if let value = root.decimal("prior", digits: 3, in: 1...999) { model.prior = Confidence(thousandths: Int(value)) }
    if let value = root.integer("rest_divisor", in: 1...1000) { model.restDivisor = Int32(value) }
    if let value = root.decimal("family_cap", digits: 3, in: 0...weights.upperBound) { model.familyCap = MilliNats(Int32(value)) }
    if root.has("family_caps") {
      model.familyCaps = named(root, "family_caps", digits: 3, in: 0...weights.upperBound).map { .init($0.key, MilliNats(Int32($0.value))) }
    }
    if let section = root.section("severity") { readSeverity(section, &model) }
    if let section = root.section("trust") { readTrust(section, &model) }
    if root.has("rules") {
      model.rules = named(root, "rules", digits: 3, in: 1...999).map { .init($0.key, Confidence(thousandths: Int($0.value))) }
    }
    if let nodes = root.list("exclusions") { model.exclusions = exclusions(nodes, root) }
    if root.has("table") { readTable(root, &model) }
  }

  /// The mapping at `key`, by name.
  private static func named(_ root: Section, _ key: String, digits: Int, in range: ClosedRange<Int64>) -> [(key: String, value: Int64)] {
    guard let section = root.section(key) else { return [] }
    guard section.entries.count <= Limits.confidenceEntries else {
      root.problems.error(section.location, "'\(key)' has \(section.entries.count) entries, but may have \(Limits.confidenceEntries)")
      return []
    }
    return section.entries.compactMap { entry in section.decimal(entry.key, digits: digits, in: range, isRequired: true).map { (entry.key, $0) } }
      .sorted { $0.key < $1.key }
  }

  private static func readSeverity(_ section: Section, _ model: inout ConfidenceModel) {
    section.refuseUnknownKeys(ConfidenceModel.severityNames)
    for (rank, name) in ConfidenceModel.severityNames.enumerated() {
      if let value = section.decimal(name, digits: 3, in: weights) { model.severity[rank] = MilliNats(Int32(value)) }
    }
    for rank in 1..<model.severity.count where model.severity[rank] < model.severity[rank - 1] {
      let (name, lower) = (ConfidenceModel.severityNames[rank], ConfidenceModel.severityNames[rank - 1])
      section.problems.error(section.location(of: name), "'\(section.qualified(name))' is below '\(lower)': what is worse must not count less")
    }
  }
  private static func readTrust(_ section: Section, _ model: inout ConfidenceModel) {
    section.refuseUnknownKeys(["claimed", "attested"])
    if let value = section.decimal("claimed", digits: 3, in: weights) { model.claimed = MilliNats(Int32(value)) }
    if let value = section.decimal("attested", digits: 3, in: weights) { model.attested = MilliNats(Int32(value)) }
    if model.attested < model.claimed {
      section.problems.error(
        section.location(of: "attested"), "'trust.attested' is below 'trust.claimed': what anybody may write must not count more")
    }
  }
  private static func exclusions(_ nodes: [Node], _ root: Section) -> [ConfidenceExclusion] {
    guard nodes.count <= Limits.confidenceEntries else {
      root.problems.error(root.location(of: "exclusions"), "'exclusions' has \(nodes.count) entries, but may have \(Limits.confidenceEntries)")
      return []
    }
    return nodes.enumerated().compactMap { i, node in
      guard let section = Section(node, path: "exclusions[\(i + 1)]", problems: root.problems) else { return nil }
      section.refuseUnknownKeys(["rule", "subject", "reason"])
      guard let rule = section.text("rule", isRequired: true), let subject = section.text("subject", isRequired: true),
        let reason = section.text("reason", isRequired: true)
      else { return nil }
      return ConfidenceExclusion(rule: rule, subject: subject, reason: reason)
    }
  }
  private static func readTable(_ root: Section, _ model: inout ConfidenceModel) {
    guard let nodes = root.list("table") else { return }
    let count = LogitTable.milliNats.count
    guard nodes.count == count else {
      root.problems.error(root.location(of: "table"), "'table' has \(nodes.count) entries, but needs \(count): the least sum for 0.001 to 0.999")
      return
    }
    var table: [Int32] = []
    for (i, node) in nodes.enumerated() {
      guard let value = node.text.flatMap({ Int64($0) }), sums.contains(value) else {
        root.problems.error(node.location, "'table[\(i + 1)]' must be an integer between \(sums.lowerBound) and \(sums.upperBound)")
        return
      }
      if let last = table.last, value < last {
        root.problems.error(node.location, "'table[\(i + 1)]' is below the entry before it: more evidence must not mean less")
        return
      }
      table.append(Int32(value))
    }
    model.table = table
  }

  // MARK: Writing

  /// The whole model as a file, with `comment` (lines of text) at its top.
  public static func text(_ model: ConfidenceModel, comment: [String] = []) -> String {
    func nats(_ value: MilliNats) -> String { fixedPointText(Int64(value.value), digits: 3) }
    func mapping(_ key: String, _ rows: [(String, String)]) -> String {
      rows.isEmpty ? "\(key): {}\n" : "\(key):\n" + rows.map { "  \($0.0): \($0.1)\n" }.joined()
    }
    var out = comment.map { $0.isEmpty ? "#\n" : "# \($0)\n" }.joined()
    out += "format: 1\n"
    out += "prior: \(model.prior)\n"
    out += "rest_divisor: \(model.restDivisor)\n"
    out += "family_cap: \(nats(model.familyCap))\n"
    out += mapping("family_caps", model.familyCaps.map { (quoted($0.family), nats($0.cap)) })
    out += mapping("severity", zip(ConfidenceModel.severityNames, model.severity).map { ($0, nats($1)) })
    out += mapping("trust", [("claimed", nats(model.claimed)), ("attested", nats(model.attested))])
    out += mapping("rules", model.rules.map { (quoted($0.rule), $0.confidence.description) })
    out += model.exclusions.isEmpty ? "exclusions: []\n" : "exclusions:\n" + model.exclusions.map { lines($0).map { "\($0)\n" }.joined() }.joined()
    out += "table: [\n"
    for start in stride(from: 0, to: model.table.count, by: 15) {
      out += "  " + model.table[start..<min(start + 15, model.table.count)].map { "\($0)," }.joined(separator: " ") + "\n"
    }
    return out + "]\n"
  }

  /// One entry of `exclusions`.
  public static func lines(_ exclusion: ConfidenceExclusion) -> [String] {
    [
      "  - rule: \(quoted(exclusion.rule))", "    subject: \(quoted(exclusion.subject))", "    reason: \(quoted(exclusion.reason))",
    ]
  }
  /// One entry of `rules`.
  public static func line(_ rule: ConfidenceModel.RuleConfidence) -> String { "  \(quoted(rule.rule)): \(rule.confidence)" }

  /// As a YAML text, whatever it holds: plain where that is safe, else in double quotes with escapes for all that could not be seen.
  static func quoted(_ text: String) -> String {
    let isPlain =
      !text.isEmpty && text.utf8.allSatisfy { ($0 | 0x20) >= 0x61 && ($0 | 0x20) <= 0x7a || (0x30...0x39).contains($0) || $0 == 0x2d || $0 == 0x5f }
      && (text.utf8.first.map { ($0 | 0x20) >= 0x61 && ($0 | 0x20) <= 0x7a } ?? false)
      && !["null", "Null", "NULL"].contains(text)
    if isPlain { return text }
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x22: out += "\\\""
      case 0x5c: out += "\\\\"
      case 0x20..<0x7f: out.unicodeScalars.append(scalar)
      default: if isVisible(scalar) { out.unicodeScalars.append(scalar) } else { out += escape(scalar) }
      }
    }
    return out + "\""
  }
  private static func isVisible(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator, .spaceSeparator: false
    default: !scalar.properties.isDefaultIgnorableCodePoint
    }
  }
  private static func escape(_ scalar: Unicode.Scalar) -> String {
    let digits = String(scalar.value, radix: 16)
    let (letter, width) = scalar.value <= 0xffff ? ("u", 4) : ("U", 8)
    return "\\" + letter + String(repeating: "0", count: width - digits.utf8.count) + digits
  }
}

extension ConfidenceModel {
  /// The exclusion that covers what `rule` says about `subject`; the first of several.
  public func exclusion(rule: String, subject: String) -> ConfidenceExclusion? {
    if exclusions.isEmpty { return nil }
    let network = CIDR(subject)
    return exclusions.first { exclusion in
      guard exclusion.rule == rule else { return false }
      if exclusion.subject == subject { return true }
      guard let network, let covering = CIDR(exclusion.subject) else { return false }
      return covering.prefixLength <= network.prefixLength && covering.contains(network.base)
    }
  }
}
