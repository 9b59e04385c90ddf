// `correlation_state_evicted` as one line of JSON, beside the decisions: whoever audits them must know which detections were lost.
import Detection
import Primitives

public enum EvictionJSON {
  /// Without its newline.
  public static func line(_ eviction: CorrelationEviction) -> [UInt8] {
    var json = JSONWriter(reserving: 256)
    json.beginObject()
    json.key("@timestamp")
    json.value(stamp: eviction.time)
    json.key("event.kind")
    json.value("event")
    json.key("event.action")
    json.value("correlation_state_evicted")
    json.key("rule.id")
    json.value(eviction.ruleID)
    json.key("matches")
    json.value(eviction.matchCount)
    json.endObject()
    return json.out
  }
}
