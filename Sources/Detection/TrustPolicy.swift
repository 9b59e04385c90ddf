// Evidence that any local user could have forged must not act on its own: the one place that says so, for the detector that proposes and
// for the planner that acts on what is proposed.
import Events
import Primitives
import Scoring

public enum TrustPolicy {
  /// Why the evidence must not act where only attested evidence may; nil where it may. `trust` is the lowest among the events behind
  /// the record, `signals` are those of its subject and of the record itself; what is attested among them must reach `threshold` alone.
  public static func objection(trust: Trust, signals: [Signal], threshold: Confidence, model: ConfidenceModel) -> String? {
    guard trust == .attested else { return "the evidence is claimed, not attested, and the policy lets only attested evidence block" }
    guard signals.contains(where: { !$0.isAttested }) else { return nil }
    let attested = model.score(signals.filter(\.isAttested)).confidence
    guard attested < threshold else { return nil }
    return "the attested evidence alone reaches confidence \(attested), below \(threshold), and the policy lets only attested evidence block"
  }
}
