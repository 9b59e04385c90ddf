// Plans, questions and considerations as lines of JSON: always the same keys in the same order.
import Primitives

public enum PlanJSON {
  /// One line without its newline.
  public static func line(_ plan: Plan) -> [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    json.key("@timestamp")
    json.value(plan.time)
    json.key("panguard.decision.id")
    json.value(plan.decisionID)
    json.key("panguard.decision.revision")
    json.value(plan.decisionRevision)
    json.key("mode")
    json.value(plan.mode.rawValue)
    json.key("playbook")
    if let playbook = plan.playbook { json.value(playbook) } else { json.null() }
    json.key("actions")
    json.beginArray()
    for action in plan.actions { append(action, to: &json) }
    json.endArray()
    json.endObject()
    return json.out
  }

  public static func append(_ action: PlannedAction, to json: inout JSONWriter) {
    json.beginObject()
    json.key("step")
    json.value(action.step)
    json.key("kind")
    json.value(action.kind.rawValue)
    json.key("disposition")
    json.value(action.disposition.code)
    json.key("action")
    if let concrete = action.action { json.value(concrete.text) } else { json.null() }
    if case .refused(let refusal) = action.disposition {
      json.key("refused_as")
      json.value(refusal.code)
      json.key("reason")
      json.value(refusal.description)
    }
    if case .awaitsApproval(let id, let expires) = action.disposition {
      json.key("approval")
      json.value(id)
      json.key("expires")
      json.value(expires)
    }
    if !action.detail.isEmpty {
      json.key("detail")
      json.value(action.detail)
    }
    json.key("rollback")
    if let rollback = action.rollback { json.value(rollback.text) } else { json.null() }
    json.key("idempotency_key")
    json.value(action.idempotencyKey)
    json.endObject()
  }

  public static func append(_ consideration: Consideration, to json: inout JSONWriter) {
    json.beginObject()
    json.key("playbook")
    json.value(consideration.playbook)
    json.key("priority")
    json.value(consideration.priority)
    json.key("matched")
    json.value(consideration.verdict == .matched)
    json.key("reason")
    json.value(consideration.sentence)
    json.endObject()
  }

  /// A question that waits for the operator.
  public static func append(_ pending: PendingApproval, to json: inout JSONWriter) {
    json.beginObject()
    json.key("id")
    json.value(pending.id)
    json.key("panguard.decision.id")
    json.value(pending.decisionID)
    json.key("rule.id")
    json.value(pending.ruleID)
    json.key("playbook")
    json.value(pending.playbook)
    json.key("step")
    json.value(pending.step)
    json.key("action")
    json.value(pending.action.text)
    json.key("reason")
    json.value(pending.reason)
    json.key("asked")
    json.value(pending.askedAt)
    json.key("expires")
    json.value(pending.expiresAt)
    json.endObject()
  }
}
