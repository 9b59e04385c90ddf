// The identifier of one match of one rule, for output that names it (`atr.event_id`, `evidence.upstream_chain`).
// What must stay true: it depends only on the rule and on the newest line behind the match, so that a correlation names a match by the
// same identifier that the match's own record has, in this run and in every replay.
import Primitives

public enum MatchIdentifier {
  /// A UUID version 7. `offset`, `length`, `fingerprint`: of the newest line of evidence; `time`: that line's event time.
  public static func text(ruleID: String, time: EventTime, offset: UInt64, length: UInt32, fingerprint: Fingerprint) -> String {
    var bytes = Array(ruleID.utf8)
    bytes.append(0)
    for value in [UInt64(bitPattern: time.nanoseconds), offset, UInt64(length), fingerprint.high, fingerprint.low] {
      withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
    return UUIDv7.text(time: time, hash: bytes.withUnsafeBytes { Fingerprint(of: $0) })
  }
  public static func text(ruleID: String, _ line: EvidenceReference) -> String {
    text(ruleID: ruleID, time: line.time, offset: line.origin.offset, length: line.origin.length, fingerprint: line.fingerprint)
  }
}
