// What one run of the suite shows about the level that was asked for (SPEC.md 11, 12) and about the bounds of the active profiles
// (spec/atr-profile-v1.0.md, "Conformance bounds"). A level is only ever said together with the counts that it stands on.
import RuleLanguage

/// What was asked for, and whether the run shows it.
public struct ConformanceClaim: Sendable, Equatable {
  /// nil: the run cannot show it, and shows nothing against it either.
  public var isMet: Bool?
  public var text: String
}

/// What this engine implements (spec/atr-method-v1.1.md, section 9): an engine publishes it with every claim.
public enum Capabilities {
  public static let all = [
    "atr/method/pattern", "atr/method/signature", "atr/method/behavioral", "atr/method/trace", "atr/profile/deterministic",
    "atr/compiler/yara@1.0",
  ]
}

extension ConformanceReport {
  /// Fixtures whose rule does not run here.
  public var notRun: Int { results.count { $0.ruleNotRun != nil } }
  private var decided: [ConformanceResult] { results.filter { $0.undecided == nil } }
  /// "151 of 151 decided fixtures passed, 75 of 226 are undecided"
  public var counts: String {
    "\(decided.count(where: \.passed)) of \(decided.count) decided fixtures passed, \(undecided.count) of \(results.count) are undecided"
  }

  public var claim: ConformanceClaim {
    func unmet(_ level: Level, _ reason: String) -> ConformanceClaim {
      ConformanceClaim(isMet: false, text: "level \(level.rawValue) is not met: \(reason)")
    }
    if refusedRules > 0 { return unmet(.L1, "the corpus does not load without errors (\(refusedRules) refused)") }
    if !results.contains(where: { $0.observed == .match && $0.passed }) { return unmet(.L1, "no rule matched") }
    guard level != .L1 else { return ConformanceClaim(isMet: true, text: "level L1 is met: the corpus loads, and rules match (\(counts))") }
    if notRun > 0, !allowsMissing { return unmet(level, "\(notRun) fixtures name rules that are not loaded or do not run") }
    if !failures.isEmpty || hasHarnessErrors { return unmet(level, "fixtures failed (\(counts))") }
    if notRun > 0 {
      return ConformanceClaim(isMet: nil, text: "no level is claimed: \(notRun) fixtures name rules that are not loaded or do not run (\(counts))")
    }
    let l2 = "level L2 is met on what the standard decides: \(counts)"
    guard level == .L3 else { return ConformanceClaim(isMet: true, text: l2) }
    return ConformanceClaim(isMet: nil, text: l2 + "; L3 also asks for a second output format and a published rate on benign text")
  }

  /// For each active profile whether enough of the fixtures passed that are about its rules or about any rule.
  public var profileClaims: [ConformanceClaim] {
    profiles.map { profile in
      let members = Set(profile.ruleIDs)  // only asked for members
      let mine = decided.filter { $0.ruleID.isEmpty || members.contains($0.ruleID) }
      let passed = mine.count(where: \.passed)
      // Thousandths, compared without a division.
      let isMet = !mine.isEmpty && Int64(passed) * 1000 >= profile.minimumEnginePassing * Int64(mine.count)
      let bound = profile.minimumEnginePassing
      return ConformanceClaim(
        isMet: isMet,
        text: "profile \(profile.name) is \(isMet ? "" : "not ")met: \(passed) of \(mine.count) decided fixtures about its rules passed, "
          + "and \(bound / 10).\(bound % 10) % must")
    }
  }
}
