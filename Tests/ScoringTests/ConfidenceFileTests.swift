// The confidence file: what is read, what is refused and where, that the shipped one is the one built in, and that whatever it may say the
// arithmetic keeps its promises.
import PanguardTestKit
import Primitives
import Scoring
import Testing
import TypedYAML

/// Any model that the reader would take.
private func anyModel(_ random: inout SplitMix64) -> ConfidenceModel {
  var model = ConfidenceModel()
  model.prior = Confidence(thousandths: 1 + random.below(999))
  model.restDivisor = Int32(1 + random.below(9))
  model.familyCap = MilliNats(Int32(random.below(9000)))
  model.familyCaps = (0..<random.below(3)).map { .init("f\($0)", MilliNats(Int32(random.below(5000)))) }
  model.severity = (0..<5).map { _ in MilliNats(Int32(random.below(2000) - 1000)) }.sorted()
  model.claimed = MilliNats(Int32(random.below(1000) - 500))
  model.attested = MilliNats(model.claimed.value + Int32(random.below(500)))
  model.rules = (0..<random.below(3)).map { .init("ATR-2026-9000\($0)", Confidence(thousandths: 1 + random.below(999))) }
  model.exclusions = (0..<random.below(3)).map { ConfidenceExclusion(rule: "r\($0)", subject: "s \"\\ü\u{1}\($0)", reason: "why: #\($0)\n") }
  model.table = (0..<999).map { _ in Int32(random.below(12_000) - 6000) }.sorted()
  return model
}
private func anySignals(_ random: inout SplitMix64) -> [Signal] {
  (0..<random.below(8)).map {
    Signal(
      name: "s\($0)", family: "f\(random.below(3))", weight: MilliNats(Int32(random.below(6000) - 2000)), isAttested: random.below(2) == 0,
      detail: "")
  }
}

@Suite struct ConfidenceFileTests {
  private func read(_ text: String) -> (model: ConfidenceModel?, messages: [String]) {
    let (model, diagnostics) = ConfidenceFile.read(text, file: "c.yaml")
    return (model, diagnostics.map(\.description))
  }

  @Test func whatIsLeftOutIsBuiltIn() {
    #expect(read("format: 1\n").model == .shipped)
    let (model, messages) = read("format: 1\nrules:\n  ATR-2026-90001: 0.40\nseverity: {high: 0.1, critical: 0.250}\n")
    #expect(messages.isEmpty)
    #expect(model?.rules == [.init("ATR-2026-90001", Confidence(thousandths: 400))])
    #expect(model?.severity.map(\.value) == [0, 0, 0, 100, 250])
    #expect(model?.table == ConfidenceModel.shipped.table)
  }

  @Test func theShippedFileIsWhatIsBuiltIn() throws {
    let path = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 } + "/rules/confidence.yaml"
    let bytes = try readDocumentFile(path).get()
    let (model, diagnostics) = bytes.withUnsafeBytes { ConfidenceFile.read($0, file: path, base: ConfidenceModel()) }
    #expect(diagnostics.isEmpty)
    #expect(model == .shipped)
  }

  @Test func textReadsBackAsTheSame() {
    var random = SplitMix64(seed: 5)
    for _ in 0..<50 {
      let model = anyModel(&random)
      let text = ConfidenceFile.text(model, comment: ["a comment", ""])
      let (read, messages) = self.read(text)
      #expect(read == model, "\(messages)")
    }
  }

  static let refused: [(String, String)] = [
    ("formt: 1", "c.yaml:1:1: error: unknown key 'formt'; did you mean 'format'?"),
    ("format: 2", "c.yaml:1:9: error: 'format' is 2, but must be between 1 and 1"),
    ("prior: 0.1", "c.yaml:1:1: error: 'format' is missing"),
    ("format: 1\nprior: 1", "c.yaml:2:8: error: 'prior' is 1, but must be between 0.001 and 0.999"),
    ("format: 1\nseverity: {low: 1, medium: 0.5}", "c.yaml:2:28: error: 'severity.medium' is below 'low': what is worse must not count less"),
    ("format: 1\ntrust: {claimed: 1}", "c.yaml:2:8: error: 'trust.attested' is below 'trust.claimed': what anybody may write must not count more"),
    ("format: 1\nexclusions: [{rule: a, subject: b}]", "c.yaml:2:14: error: 'exclusions[1].reason' is missing"),
    (
      "format: 1\nexclusions: [{rule: a, subject: b, reason: c, until: d}]",
      "c.yaml:2:47: error: unknown key 'until' in 'exclusions[1]'; known: rule, subject, reason"
    ),
    ("format: 1\ntable: [1, 2]", "c.yaml:2:8: error: 'table' has 2 entries, but needs 999: the least sum for 0.001 to 0.999"),
    ("format: 1\nrules: {a: 2}", "c.yaml:2:12: error: 'rules.a' is 2, but must be between 0.001 and 0.999"),
    ("[]", "c.yaml:1:1: error: the document must be a mapping of keys, not a list"),
  ]
  @Test(arguments: refused) func refusesWithThePlace(_ text: String, _ message: String) {
    let (model, messages) = read(text)
    #expect(model == nil)
    #expect(messages.contains(message), "\(messages)")
  }
  @Test func refusesATableThatFalls() {
    var table = ConfidenceModel.shipped.table.map { "\($0)" }
    table[500] = "-6000"
    let (model, messages) = read("format: 1\ntable: [\(table.joined(separator: ", "))]")
    #expect(model == nil)
    #expect(messages.first?.contains("'table[501]' is below the entry before it") == true)
  }
  @Test func hostileTextNeverTraps() {
    let good = Array(ConfidenceFile.text(.shipped).utf8)
    var random = SplitMix64(seed: 9)
    for _ in 0..<300 {
      var bytes = good
      for _ in 0...random.below(4) { bytes[random.below(400)] = UInt8(random.below(256)) }
      _ = bytes.withUnsafeBytes { ConfidenceFile.read($0, file: "x") }
    }
  }

  // MARK: What must hold whatever the file says

  @Test func moreEvidenceNeverLowers() {
    var random = SplitMix64(seed: 11)
    for _ in 0..<3000 {
      let model = anyModel(&random)
      var signals = anySignals(&random)
      let before = model.score(signals).confidence
      signals.insert(
        Signal(name: "more", family: "f\(random.below(4))", weight: MilliNats(Int32(random.below(5000))), isAttested: true, detail: ""),
        at: random.below(signals.count + 1))
      #expect(model.score(signals).confidence >= before)
    }
  }
  /// A rule that is believed less than the prior accuses less, but clears nobody: whoever sets it off on purpose must not gain by it.
  @Test func noAccusingRuleSpeaksForItsSubject() {
    var random = SplitMix64(seed: 15)
    for _ in 0..<500 {
      let model = anyModel(&random)
      let id = model.rules.isEmpty ? "r" : model.rules[random.below(model.rules.count)].rule
      let stated = Confidence(thousandths: 1 + random.below(999))
      let accusing = model.weight(ofRule: id, stating: stated, isExculpatory: false)
      let clearing = model.weight(ofRule: id, stating: stated, isExculpatory: true)
      #expect(accusing >= .zero && clearing <= .zero, "\(stated) with the prior \(model.prior)")
      let signals = anySignals(&random)
      let match = Signal(name: id, family: "f\(random.below(4))", weight: accusing, isAttested: true, detail: "")
      #expect(model.score(signals + [match]).confidence >= model.score(signals).confidence)
    }
  }
  /// What attackers wrote (a user's name) stands in a file, and in a difference on a terminal, as escapes that can be seen.
  @Test func hiddenScalarsAreWrittenAsEscapes() throws {
    let hostile = "a\u{202e}b\u{200b}c\u{2028}d\u{9b}e\u{e0041}f\u{fffe}g\u{a0}h\u{10ffff}\u{feff}i"
    let exclusion = ConfidenceExclusion(rule: hostile, subject: hostile, reason: hostile)
    let lines = ConfidenceFile.lines(exclusion)
    #expect(lines.allSatisfy { line in line.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value < 0x7f } }, "\(lines)")
    let text = "format: 1\nexclusions:\n" + lines.joined(separator: "\n") + "\n"
    #expect(read(text).model?.exclusions == [exclusion], "\(read(text).messages)")
    #expect(ConfidenceFile.lines(ConfidenceExclusion(rule: "r", subject: "Jürgen", reason: "日本")).last == "    reason: \"日本\"")
  }
  @Test func moreEvidenceForInnocenceNeverRaises() {
    var random = SplitMix64(seed: 12)
    for _ in 0..<3000 {
      let model = anyModel(&random)
      let signals = anySignals(&random)
      let weight = MilliNats(-Int32(1 + random.below(5000)))
      let witness = Signal(name: "for", family: "f\(random.below(4))", weight: weight, isAttested: true, detail: "")
      let (after, terms) = model.score(signals + [witness])
      #expect(after <= model.score(signals).confidence)
      #expect(terms.contains { $0.signal == witness && $0.contribution <= .zero })
    }
  }
  @Test func noFamilyAddsMoreThanItsCapAndTheTermsAddUp() {
    var random = SplitMix64(seed: 13)
    for _ in 0..<3000 {
      let model = anyModel(&random)
      let signals = anySignals(&random)
      let (confidence, terms) = model.score(signals)
      #expect(terms.count == signals.count + 1)
      #expect(model.confidence(atLogOdds: MilliNats(terms.reduce(0) { $0 + $1.contribution.value })) == confidence)
      for family in ["f0", "f1", "f2"] {
        let cap = (model.familyCaps.first { $0.family == family }?.cap ?? model.familyCap).value
        let own = terms.filter { $0.signal.family == family }.map(\.contribution.value)
        #expect(own.filter { $0 > 0 }.reduce(0, +) <= cap)
        #expect(own.filter { $0 < 0 }.reduce(0, +) >= -cap)
      }
    }
  }
  @Test func worseOrBetterVouchedForNeverLowers() {
    var random = SplitMix64(seed: 14)
    for _ in 0..<1000 {
      let model = anyModel(&random)
      let signals = anySignals(&random)
      func confidence(_ rank: Int, _ isAttested: Bool) -> Confidence {
        model.score(signals + model.context(severityRank: rank, isAttested: isAttested)).confidence
      }
      for rank in 1..<5 { #expect(confidence(rank, true) >= confidence(rank - 1, true)) }
      #expect(confidence(2, true) >= confidence(2, false))
    }
  }
  @Test func unusualBehaviourAloneStaysBelowActing() {
    let signals = (0..<32).map {
      Signal(name: "r\($0)", family: ConfidenceModel.anomalyFamily, weight: MilliNats(7000), isAttested: true, detail: "")
    }
    #expect(ConfidenceModel.shipped.score(signals).confidence < Confidence(thousandths: 900))
  }
  @Test func exclusionsCoverNetworks() {
    var model = ConfidenceModel()
    model.exclusions = [
      ConfidenceExclusion(rule: "r", subject: "192.0.2.0/24", reason: "scanner"),
      ConfidenceExclusion(rule: "r", subject: "alice", reason: "admin"),
    ]
    let cases = [
      ("r", "192.0.2.7", true), ("r", "192.0.2.0/25", true), ("r", "192.0.0.0/16", false), ("q", "192.0.2.7", false), ("r", "alice", true),
    ]
    for (rule, subject, isCovered) in cases { #expect((model.exclusion(rule: rule, subject: subject) != nil) == isCovered) }
  }
}
