// What a webhook gets: one JSON object about one decision, ready to be sent when it leaves the engine. It says what was decided about whom and
// how sure that is, under the names that the decision log uses; it holds no log line, no evidence and no hash of the configuration.
// What must stay true: every text is bounded, so that nobody keeps himself from being told of by a long name.
import Detection
import Export
import Primitives

enum WebhookBody {
  static func json(_ decision: Decision, playbook: String) -> [UInt8] {
    var json = JSONWriter(reserving: 1024)
    func text(_ key: StaticString, _ value: String?) {
      guard let value else { return }
      json.key(key)
      json.value(cut(value))
    }
    json.beginObject()
    text("panguard.webhook", "1")
    json.key("@timestamp")
    json.value(decision.time)
    text("panguard.decision.id", decision.id)
    json.key("panguard.decision.revision")
    json.value(decision.revision)
    text("panguard.playbook", playbook)
    text("observer.hostname", HostName.current)
    text("observer.version", Version.text)
    text("rule.id", decision.ruleID)
    text("rule.name", decision.ruleTitle)
    text("rule.severity", decision.severity.rawValue)
    text("rule.category", decision.category)
    json.key("threat.technique.id")
    json.beginArray()
    for technique in decision.techniques.prefix(32) { json.value(cut(technique)) }
    json.endArray()
    if let source = decision.subject.source { text(DecisionJSON.sourceKey(source), source) }
    text("user.name", decision.subject.user)
    text("session.id", decision.subject.session)
    text("host.name", decision.subject.host)
    json.key("confidence")
    json.value(thousandths: decision.confidence.thousandths)
    text("panguard.trust", "\(decision.trust.name)")
    text("action", decision.action.rawValue)
    text("action_reason", decision.actionReason)
    json.key("matches")
    json.value(decision.matchCount)
    json.key("first_seen")
    json.value(decision.firstTime)
    json.key("last_seen")
    json.value(decision.lastTime)
    text("summary", decision.summary)
    json.endObject()
    return json.out
  }

  /// At most `Limits.webhookTextBytes`, cut between characters.
  private static func cut(_ text: String) -> String {
    guard text.utf8.count > Limits.webhookTextBytes else { return text }
    var end = text.utf8.index(text.utf8.startIndex, offsetBy: Limits.webhookTextBytes - 3)
    while end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
    return text[..<end] + "\u{2026}"
  }
}
