// Whether a playbook is for a decision, and if not, why: each part that does not hold, as a sentence.
import Detection
import Events
import Primitives
import RuleLanguage

extension Subject {
  /// What `label` is.
  public var kind: SubjectKind { source != nil ? .address : user != nil ? .user : session != nil ? .session : .host }
}

extension Trigger {
  /// Empty where the trigger holds.
  public func unmet(by decision: Decision) -> [String] {
    var reasons: [String] = []
    if !rules.isEmpty, !rules.contains(where: { CorrelationDetection.SourceRule(alias: "", ruleIDPattern: $0).matches(decision.ruleID) }) {
      reasons.append("rule \(decision.ruleID) is not \(listed(rules))")
    }
    if !categories.isEmpty, !categories.contains(decision.category) {
      reasons.append("category \(decision.category) is not \(listed(categories))")
    }
    if !techniques.isEmpty, !decision.techniques.contains(where: { found in techniques.contains { isMeant(found, by: $0) } }) {
      let found = decision.techniques.isEmpty ? "no technique" : "technique \(decision.techniques.joined(separator: ", "))"
      reasons.append("\(found) is not \(listed(techniques))")
    }
    if let minimumSeverity, decision.severity < minimumSeverity {
      reasons.append("severity \(decision.severity.rawValue) is below \(minimumSeverity.rawValue)")
    }
    if let minimumConfidence, decision.confidence < minimumConfidence {
      reasons.append("confidence \(decision.confidence) is below \(minimumConfidence)")
    }
    if let minimumTrust, decision.trust < minimumTrust {
      reasons.append("the evidence is \(decision.trust.name), not \(minimumTrust.name)")
    }
    if !subjects.isEmpty, !subjects.contains(decision.subject.kind) {
      reasons.append("the subject is \(article(decision.subject.kind)), not \(listed(subjects.map(article)))")
    }
    return reasons
  }

  private func isMeant(_ technique: String, by wanted: String) -> Bool {
    technique == wanted || !wanted.utf8.contains(0x2e) && technique.hasPrefix(wanted + ".")
  }
  private func article(_ kind: SubjectKind) -> String { kind == .address ? "an address" : "a \(kind.rawValue)" }
  private func listed(_ words: [String]) -> String {
    let first = words.prefix(4).joined(separator: " or ")
    return words.count > 4 ? "\(first) or \(words.count - 4) others" : first
  }
}
