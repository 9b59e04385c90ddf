// What is said where rules are loaded that this engine does not run: how many, and why the first of them.
import RuleLanguage

public enum NotRun {
  /// nil: every rule runs. The rest of the reasons is what `panguard rules lint` says.
  public static func line(_ set: RuleSet) -> String? {
    var reasons: [String] = []
    var count = 0
    for rule in set.rules {
      guard case .skipped(let method, let reason) = rule.detection else { continue }
      count += 1
      if reasons.count < shown { reasons.append("\(rule.id) (\(method): \(reason))") }
    }
    guard count > 0 else { return nil }
    let rest = count > shown ? ", and \(count - shown) more; `panguard rules lint` names them" : ""
    return "\(count) rule\(count == 1 ? " is" : "s are") not run: \(reasons.joined(separator: ", "))\(rest)"
  }
  private static let shown = 3
}
