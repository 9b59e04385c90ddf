// What the owner decides about decisions. Part of the configuration hash.
import NetworkDetection
import Primitives
import Scoring

public struct DetectorConfiguration: Sendable {
  /// From here on the proposed action is `block_ip` (for a subject that has an address).
  public var actThreshold = Confidence(thousandths: 900)
  /// From here on it is `notify`; below, `log_only`.
  public var notifyThreshold = Confidence(thousandths: 700)
  /// Never proposed for blocking, whatever the evidence: a veto, not a weight.
  public var allowlist: [CIDR] = []
  /// Matches of one rule about one subject belong to one incident while they are no farther apart than this.
  public var incidentWindow = Nanoseconds.hours(24)
  /// An incident that proposes a block is told again with the first match this long after it was proposed the first, second, ... time; the
  /// last span stays. Not empty, each above zero: what playbooks block for. Empty: never.
  public var reconsiderAfter: [Nanoseconds] = [.minutes(10), .minutes(30), .hours(1)]
  /// Whether evidence that any local user could have forged may propose a block.
  public var claimedMayBlock = true
  /// What network detectors are told.
  public var network = NetworkDetectionConfiguration()
  /// Whether what is usual on this host is learned, and judged by (Baseline).
  public var usesBaseline = true
  /// How signals add up to a confidence.
  public var confidence = ConfidenceModel()
  /// Lower-case hexadecimal; names the configuration in each decision.
  public var hash = "default"
  public init() {}
}
