// From what people marked to what could be changed: proposals for the confidence file, and what they would have done to the decisions that
// are recorded. Pure, and changes nothing itself: a person reads the difference and applies it.
// A rule that erred about few subjects, none of whom anybody confirmed as an attacker, gets exclusions; one that erred here and there gets another confidence,
// the share of its marked decisions that were right, shrunk towards what it states (`TuningProposal.priorMarks` marks' worth).
import Detection
import Primitives
import RuleLanguage
import Scoring
import Storage

/// What could be changed about one rule, and why.
public struct TuningProposal: Sendable, Equatable {
  public enum Change: Sendable, Equatable {
    case confidence(from: Confidence, to: Confidence)
    case exclude([ConfidenceExclusion])
  }
  public var ruleID: String
  public var falsePositives: Int
  public var confirmed: Int
  public var change: Change

  /// What a rule states counts as much as this many marks.
  static let priorMarks = 4
  /// A rule that erred about more subjects than this errs, and not about them.
  static let excludedSubjects = 3

  /// By rule id. `stated`: the confidence that each loaded rule states; a rule that is not loaded gets no proposal for it.
  public static func propose(
    _ decisions: [Decision], marks: [String: DecisionMark], model: ConfidenceModel, stated: [String: Confidence]
  ) -> [TuningProposal] {
    var byRule: [String: [(decision: Decision, mark: DecisionMark)]] = [:]  // iterated by sorted keys
    for decision in decisions { if let mark = marks[decision.id] { byRule[decision.ruleID, default: []].append((decision, mark)) } }
    let attackers = TuningProposal.attackers(decisions, marks: marks)
    return byRule.keys.sorted().compactMap { id in propose(id, byRule[id] ?? [], attackers, model, stated[id]) }
  }
  /// Whom a mark confirmed as an attacker, whichever rule it was about. Only asked for members.
  public static func attackers(_ decisions: [Decision], marks: [String: DecisionMark]) -> Set<String> {
    Set(decisions.filter { marks[$0.id]?.verdict == .confirmed }.map(\.subject.label))
  }

  private static func propose(
    _ id: String, _ marked: [(decision: Decision, mark: DecisionMark)], _ attackers: Set<String>, _ model: ConfidenceModel, _ stated: Confidence?
  ) -> TuningProposal? {
    let wrong = marked.filter { $0.mark.verdict == .falsePositive }
    let right = marked.filter { $0.mark.verdict == .confirmed }
    guard !wrong.isEmpty else { return nil }
    var proposal = TuningProposal(ruleID: id, falsePositives: wrong.count, confirmed: right.count, change: .exclude([]))
    var exclusions: [ConfidenceExclusion] = []
    for (decision, mark) in wrong where model.exclusion(rule: id, subject: decision.subject.label) == nil {
      let subject = decision.subject.label
      if exclusions.contains(where: { $0.subject == subject }) { continue }
      exclusions.append(ConfidenceExclusion(rule: id, subject: subject, reason: mark.reason))
    }
    guard !exclusions.isEmpty else { return nil }
    if exclusions.count <= excludedSubjects, !exclusions.contains(where: { attackers.contains($0.subject) }) {
      proposal.change = .exclude(exclusions.sorted { $0.subject < $1.subject })
      return proposal
    }
    guard let before = model.rules.first(where: { $0.rule == id })?.confidence ?? stated else { return nil }
    let share = (right.count * 1000 + priorMarks * before.thousandths) / (wrong.count + right.count + priorMarks)
    guard share < before.thousandths else { return nil }
    proposal.change = .confidence(from: before, to: Confidence(thousandths: share))
    return proposal
  }

  /// `model` with the changes.
  public static func apply(_ proposals: [TuningProposal], to model: ConfidenceModel) -> ConfidenceModel {
    var model = model
    for proposal in proposals {
      switch proposal.change {
      case .exclude(let exclusions): model.exclusions += exclusions
      case .confidence(_, let confidence):
        model.rules.removeAll { $0.rule == proposal.ruleID }
        model.rules.append(.init(proposal.ruleID, confidence))
        model.rules.sort { $0.rule < $1.rule }
      }
    }
    return model
  }
}

/// What a decision would have been with another confidence file.
public struct TunedDecision: Sendable {
  public var decision: Decision
  public var confidence: Confidence
  public var action: ProposedAction

  /// From the record alone: weights of signals whose rule counts differently are replaced, and the sum taken anew. An action is never
  /// stronger than the recorded one, whose other reasons (allowlist, trust) stand in the record only. nil: nothing would be different.
  public init?(
    _ decision: Decision, from old: ConfidenceModel, to new: ConfidenceModel, thresholds: DetectorConfiguration
  ) {
    var signals = decision.terms.dropFirst().map(\.signal)
    for i in signals.indices {
      if new.exclusion(rule: signals[i].name, subject: decision.subject.label) != nil {
        signals[i].weight = .zero
      } else if let changed = new.rules.first(where: { $0.rule == signals[i].name }), !old.rules.contains(changed) {
        signals[i].weight = new.weight(ofRule: signals[i].name, stating: changed.confidence, isExculpatory: signals[i].weight < .zero)
      }
    }
    let isExcluded = new.exclusion(rule: decision.ruleID, subject: decision.subject.label) != nil
    guard isExcluded || signals != decision.terms.dropFirst().map(\.signal) else { return nil }
    self.decision = decision
    confidence = new.score(signals).confidence
    let limit: ProposedAction =
      isExcluded || confidence < thresholds.notifyThreshold ? .logOnly : confidence < thresholds.actThreshold ? .notify : .blockIP
    action = min(decision.action, limit)
    if confidence == decision.confidence, action == decision.action { return nil }
  }
}

/// A confidence file with changes, as a unified difference that `patch -p0` takes.
public enum ConfidenceFileDifference {
  /// `text`: what stands in the file at `path` now; nil: there is none yet. Keeps comments and order where it can; what is written is read
  /// back and compared, and where that does not give `model` the whole file is written anew.
  public static func unified(text: String?, path: String, from old: ConfidenceModel, to model: ConfidenceModel) -> String {
    let before = text.map { lines(of: $0) } ?? []
    var after = text == nil ? ["format: 1"] : before
    let rules = model.rules.filter { !old.rules.contains($0) }
    for rule in rules { put(ConfidenceFile.line(rule), of: rule.rule, under: "rules:", &after) }
    for exclusion in model.exclusions where !old.exclusions.contains(exclusion) {
      put(contentsOf: ConfidenceFile.lines(exclusion), under: "exclusions:", &after)
    }
    if ConfidenceFile.read(after.joined(separator: "\n") + "\n", file: path).model != model { after = lines(of: ConfidenceFile.text(model)) }
    return difference(before, after, path: path, isNew: text == nil)
  }

  private static func lines(of text: String) -> [String] {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    if lines.last == "" { lines.removeLast() }
    return lines
  }

  /// The line of `key`, made where it is missing, opened where it says that it is empty.
  private static func place(_ key: String, _ lines: inout [String]) -> Int {
    if let i = lines.firstIndex(where: { $0.hasPrefix(key) }) {
      if ["\(key) {}", "\(key) []"].contains(lines[i]) { lines[i] = key }
      return i + 1
    }
    lines.append(key)
    return lines.count
  }
  private static func put(_ line: String, of name: String, under key: String, _ lines: inout [String]) {
    let start = place(key, &lines)
    let prefix = line.prefix { $0 != ":" } + ":"
    if let i = lines[start...].prefix(while: { $0.hasPrefix(" ") }).firstIndex(where: { $0.hasPrefix(prefix) }) {
      lines[i] = line
    } else {
      lines.insert(line, at: start)
    }
  }
  /// Behind what stands there already.
  private static func put(contentsOf block: [String], under key: String, _ lines: inout [String]) {
    let start = place(key, &lines)
    let end = lines[start...].firstIndex { !$0.hasPrefix(" ") } ?? lines.count
    lines.insert(contentsOf: block, at: end)
  }

  /// One hunk from the first difference to the last, with three lines around it.
  private static func difference(_ before: [String], _ after: [String], path: String, isNew: Bool) -> String {
    guard before != after else { return "" }
    var head = 0
    while head < min(before.count, after.count), before[head] == after[head] { head += 1 }
    var tail = 0
    while tail < min(before.count, after.count) - head, before[before.count - 1 - tail] == after[after.count - 1 - tail] { tail += 1 }
    let (lead, trail) = (min(3, head), min(3, tail))
    let (old, new) = (before[head..<before.count - tail], after[head..<after.count - tail])
    func range(_ count: Int) -> String { "\(head - lead + (count == 0 ? 0 : 1)),\(count)" }
    var out = "--- \(isNew ? "/dev/null" : path)\n+++ \(path)\n"
    out += "@@ -\(range(lead + old.count + trail)) +\(range(lead + new.count + trail)) @@\n"
    for line in before[head - lead..<head] { out += " \(line)\n" }
    for line in old { out += "-\(line)\n" }
    for line in new { out += "+\(line)\n" }
    for line in before[before.count - tail..<before.count - tail + trail] { out += " \(line)\n" }
    return out
  }
}
