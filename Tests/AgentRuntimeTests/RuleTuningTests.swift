// From marks to proposals, to what they would have changed, to a difference that gives exactly that file.
import AgentRuntime
import Detection
import Primitives
import RuleLanguage
import Scoring
import Storage
import Testing

private let time = EventTime(seconds: 1_780_000_000)
private let noisy = "ATR-2026-90001"

private func decision(_ number: Int, source: String, rule: String = noisy, confidence: Int = 930, action: ProposedAction = .blockIP) -> Decision {
  let signal = Signal(
    name: rule, family: "x", weight: ConfidenceModel().weight(of: Confidence(thousandths: confidence)), isAttested: true, detail: "")
  return Decision(
    id: "d\(number)", revision: 1, time: time, subject: Subject(source: source), ruleID: rule, ruleTitle: "A rule", severity: .high, category: "c",
    techniques: [], confidence: Confidence(thousandths: confidence), terms: ConfidenceModel().score([signal]).terms, trust: .attested, action: action,
    actionReason: "", matchCount: 1, observed: 1, threshold: 1, firstTime: time, lastTime: time, summary: "", evidence: [], evidenceTotal: 0,
    provenance: Provenance(engineVersion: "test", ruleSetHash: "", configurationHash: "", baselineHash: "none"))
}
private func marks(_ list: [(Int, DecisionMark.Verdict)]) -> [String: DecisionMark] {
  var out: [String: DecisionMark] = [:]
  for (number, verdict) in list {
    out["d\(number)"] = DecisionMark(decisionID: "d\(number)", verdict: verdict, reason: "reason: \(number)", actor: "uid 0", time: time)
  }
  return out
}
private let stated = [noisy: Confidence(thousandths: 930)]
private let host: ConfidenceModel = {
  var model = ConfidenceModel.shipped
  model.table = ConfidenceModel().table
  return model
}()

@Suite struct RuleTuningTests {
  @Test func fewSubjectsAreExcluded() throws {
    let decisions = [decision(1, source: "192.0.2.7"), decision(2, source: "192.0.2.8"), decision(3, source: "198.51.100.1")]
    let proposals = TuningProposal.propose(decisions, marks: marks([(1, .falsePositive), (3, .confirmed)]), model: host, stated: stated)
    #expect(proposals.map(\.change) == [.exclude([ConfidenceExclusion(rule: noisy, subject: "192.0.2.7", reason: "reason: 1")])])
    let model = TuningProposal.apply(proposals, to: host)
    let effect = decisions.compactMap { TunedDecision($0, from: host, to: model, thresholds: DetectorConfiguration()) }
    #expect(effect.map(\.decision.id) == ["d1"])
    #expect(effect.first?.action == .logOnly && effect.first?.confidence == model.prior)
    // Once it is excluded there is nothing more to propose.
    #expect(TuningProposal.propose(decisions, marks: marks([(1, .falsePositive)]), model: model, stated: stated) == [])
  }

  @Test func aRuleThatErrsEverywhereIsBelievedLess() throws {
    let decisions = (1...8).map { decision($0, source: "192.0.2.\($0)") }
    let said = marks((1...6).map { ($0, .falsePositive) } + [(7, .confirmed), (8, .confirmed)])
    let proposals = TuningProposal.propose(decisions, marks: said, model: host, stated: stated)
    // Two of eight were right, and what it states counts as four: (2000 + 4 x 930) / 12.
    #expect(proposals.map(\.change) == [.confidence(from: Confidence(thousandths: 930), to: Confidence(thousandths: 476))])
    let model = TuningProposal.apply(proposals, to: host)
    let effect = decisions.compactMap { TunedDecision($0, from: host, to: model, thresholds: DetectorConfiguration()) }
    #expect(effect.count == 8 && effect.allSatisfy { $0.action == .logOnly && $0.confidence.thousandths == 476 })
  }

  /// Another rule was right about him: who is an attacker is not let off, whatever one rule got wrong.
  @Test func aConfirmedAttackerIsNeverExcluded() {
    let decisions = [
      decision(1, source: "192.0.2.7"), decision(2, source: "192.0.2.7", rule: "ATR-2026-90002"), decision(3, source: "192.0.2.8"),
    ]
    for said in [[(1, .falsePositive), (2, .confirmed)], [(1, .falsePositive), (2, .confirmed), (3, .falsePositive)]]
      as [[(Int, DecisionMark.Verdict)]]
    {
      let proposals = TuningProposal.propose(decisions, marks: marks(said), model: host, stated: stated)
      #expect(proposals.count == 1)
      for case .exclude(let exclusions) in proposals.map(\.change) { Issue.record("\(exclusions)") }
    }
    #expect(TuningProposal.attackers(decisions, marks: marks([(2, .confirmed), (3, .falsePositive)])) == ["192.0.2.7"])
  }

  @Test func confirmedOnesProposeNothing() {
    let decisions = (1...3).map { decision($0, source: "192.0.2.\($0)") }
    #expect(TuningProposal.propose(decisions, marks: marks([(1, .confirmed)]), model: host, stated: stated) == [])
    #expect(TuningProposal.propose(decisions, marks: [:], model: host, stated: stated) == [])
  }

  static let files: [String?] = [
    nil,
    "format: 1\n",
    "# ours\nformat: 1\nrules:\n  ATR-2026-90001: 0.800  # too noisy\n  ATR-2026-90002: 0.500\nexclusions:\n  - {rule: a, subject: b, reason: c}\n"
      + "prior: 0.050\n",
    "format: 1\nrules: {ATR-2026-90001: 0.8}\nexclusions: []\n",
    "format: 1\nexclusions:\n- rule: a\n  subject: b\n  reason: c\nrules: {}",
  ]
  @Test(arguments: files) func theDifferenceGivesExactlyThatFile(_ text: String?) throws {
    let old = text == nil ? ConfidenceModel.shipped : try #require(ConfidenceFile.read(text ?? "", file: "f").model)
    var new = old
    new.rules.removeAll { $0.rule == noisy }
    new.rules = (new.rules + [.init(noisy, Confidence(thousandths: 400)), .init("ATR-2026-90009", Confidence(thousandths: 10))])
      .sorted { $0.rule < $1.rule }
    new.exclusions.append(ConfidenceExclusion(rule: noisy, subject: "2001:db8::/32", reason: "a: \"b\" #c"))
    let difference = ConfidenceFileDifference.unified(text: text, path: "/etc/panguard/confidence.yaml", from: old, to: new)
    #expect(difference.hasPrefix("--- \(text == nil ? "/dev/null" : "/etc/panguard/confidence.yaml")\n+++ /etc/panguard/confidence.yaml\n@@ -"))
    let result = try #require(applied(difference, to: text ?? ""))
    #expect(ConfidenceFile.read(result, file: "f").model == new, "\(difference)")
    if text?.contains("# ours") == true { #expect(result.contains("# ours\n")) }
    if let text { #expect(ConfidenceFileDifference.unified(text: text, path: "f", from: old, to: old) == "") }
  }

  /// What patch(1) makes of one hunk; nil: it does not fit.
  private func applied(_ difference: String, to text: String) -> String? {
    var lines = text.split(separator: "\n").map(String.init)
    let parts = difference.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard parts.count > 3, parts[2].hasPrefix("@@ -") else { return nil }
    let numbers = parts[2].split { !$0.isNumber }.compactMap { Int($0) }
    var at = max(0, numbers[0] - 1)
    var (old, new) = (0, 0)
    for line in parts[3...] where !line.isEmpty {
      let content = String(line.dropFirst())
      if line.hasPrefix("+") {
        lines.insert(content, at: at)
        (at, new) = (at + 1, new + 1)
        continue
      }
      guard at < lines.count, lines[at] == content else { return nil }
      old += 1
      if line.hasPrefix("-") { lines.remove(at: at) } else { (at, new) = (at + 1, new + 1) }
    }
    return old == numbers[1] && new == numbers[3] ? lines.joined(separator: "\n") + "\n" : nil
  }

  static let requests: [(String, Bool)] = [
    ("mark d0123 false-positive 6f7572", true), ("mark d0123 confirmed 6f7572", true), ("mark d0123 wrong 6f7572", false),
    ("mark d0123 confirmed", false), ("mark d0123 confirmed 6f757", false), ("mark d0123 confirmed 0a", false), ("mark D! confirmed 6f", false),
    ("mark d0123 confirmed ff", false), ("mark d0123 confirmed ", false),
  ]
  @Test(arguments: requests) func marksAreAskedForInOneLine(_ line: String, _ isValid: Bool) {
    let request = ControlRequest(line)
    #expect((request != nil) == isValid)
    if let request { #expect(request.line == line && request.changes) }
  }
  @Test func theLongestReasonFits() throws {
    let reason = String(repeating: "ü", count: Limits.markReasonBytes / 2)
    let request = ControlRequest.mark(try #require(MarkRequest(id: String(repeating: "d", count: 17), verdict: .falsePositive, reason: reason)))
    #expect(request.line.utf8.count <= Limits.controlRequestBytes && ControlRequest(request.line) == request)
    #expect(MarkRequest(id: "d1", verdict: .confirmed, reason: reason + "x") == nil)
    // Nor what moves a cursor, hides text or turns it round: it is shown in lists, and proposed for a file.
    for hostile in ["\u{1b}[2J", "\u{9b}31m", "\u{202e}exe", "\u{2028}", "\u{200b}", "\u{feff}", "\t", "\u{e0041}"] {
      #expect(MarkRequest(id: "d1", verdict: .confirmed, reason: "a" + hostile + "b") == nil)
    }
  }
}
