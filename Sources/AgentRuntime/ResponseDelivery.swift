// `notify: {webhook: NAME}`: the decision goes to the uplink, which sends it; this keeps it until the uplink says what came of it.
// Invariants: an action is settled by the uplink's word only, or by waiting too long; what a connection that is gone had taken is asked for
// again under the same key, over the next one. Order among webhooks of one name is the order of the decisions.
import Detection
import FrameProtocol
import Primitives
import UplinkProtocol

/// Deliveries that the uplink has not answered. At most `Limits.waitingWebhooks`.
final class WebhookDeliveries {
  fileprivate struct Waiting {
    let key: String
    let webhook: String
    let body: [UInt8]
    /// MonotonicTime.
    let since: Int64
    /// The link's generation that has accepted it; 0: none.
    var acceptedBy: UInt64 = 0
  }
  let link: UplinkLink
  /// In the order in which they came.
  fileprivate var waiting: [Waiting] = []
  fileprivate var status = UplinkStatus()
  fileprivate var statusAt: Int64 = 0
  fileprivate var saidProblem = ""
  init(_ link: UplinkLink) { self.link = link }
}

extension Responder {
  private static let statusInterval: Int64 = 5_000_000_000

  func deliver(_ item: Work, to webhook: String) {
    guard !webhooks.link.isAbsent else {
      return settle(item.key, .failed, "no_uplink", "no uplink is set up (/etc/panguard/uplink.yaml), so nothing is sent")
    }
    guard !webhooks.waiting.contains(where: { $0.key == item.key }) else { return }
    guard webhooks.waiting.count < Limits.waitingWebhooks else {
      return settle(item.key, .failed, "webhooks-full", "\(Limits.waitingWebhooks) deliveries wait for the uplink already")
    }
    let body = WebhookBody.json(item.decision, playbook: open[item.key]?.playbook ?? "")
    guard body.count <= Limits.webhookBodyBytes else { return settle(item.key, .failed, "too-large", "the webhook's body has \(body.count) bytes") }
    webhooks.waiting.append(WebhookDeliveries.Waiting(key: item.key, webhook: webhook, body: body, since: MonotonicTime.now()))
  }

  /// Hands over what the uplink has not taken yet. What is in the way ends it: the rest waits.
  func handOverWebhooks() {
    guard !webhooks.waiting.isEmpty else { return }
    guard webhooks.link.connect(now: MonotonicTime.now()) else {
      if webhooks.link.isAbsent { return giveUpWebhooks() }
      if webhooks.saidProblem != webhooks.link.problem {
        webhooks.saidProblem = webhooks.link.problem
        report(.warning("the uplink does not answer (\(webhooks.link.problem)): webhooks wait for it"))
      }
      return
    }
    let generation = webhooks.link.generation
    for entry in webhooks.waiting where entry.acceptedBy != generation {
      let answer = webhooks.link.ask { client throws(FrameClientError) -> DeliveryRefusal? in
        try client.deliver(webhook: entry.webhook, key: entry.key, body: entry.body)
      }
      guard let answer else { return }
      webhooks.saidProblem = ""
      if let refusal = answer {
        forgetWebhook(entry.key)
        settle(entry.key, .refused, refusal.name, "\(entry.webhook): \(refusal)")
      } else if let i = webhooks.waiting.firstIndex(where: { $0.key == entry.key }) {
        webhooks.waiting[i].acceptedBy = generation
      }
    }
  }
  private func forgetWebhook(_ key: String) { webhooks.waiting.removeAll { $0.key == key } }
  private func giveUpWebhooks() {
    let all = webhooks.waiting
    webhooks.waiting.removeAll()
    for entry in all { settle(entry.key, .failed, "no_uplink", "no uplink is set up (/etc/panguard/uplink.yaml), so nothing is sent") }
  }

  /// Once a second or so: what came of them, and what nobody has taken in time.
  func tickWebhooks() {
    let now = MonotonicTime.now()
    _ = webhooks.link.connect(now: now)
    handOverWebhooks()
    while !webhooks.waiting.isEmpty, let outcomes = webhooks.link.ask({ client throws(FrameClientError) in try client.collect() }) {
      for outcome in outcomes where webhooks.waiting.contains(where: { $0.key == outcome.key }) {
        forgetWebhook(outcome.key)
        if outcome.isDelivered { count(.webhooks) }
        settle(
          outcome.key, outcome.isDelivered ? .done : .failed, "webhook",
          outcome.isDelivered ? "" : "given up after \(outcome.attempts) attempts: \(outcome.failure)")
      }
      if outcomes.count < Limits.collectedOutcomes { break }
    }
    let lifetime = Limits.waitingWebhookLifetime.count
    for entry in webhooks.waiting where now - entry.since >= lifetime {
      // What was taken has an outcome within the uplink's own time, unless that lost it.
      let isTaken = entry.acceptedBy > 0 && entry.acceptedBy == webhooks.link.generation
      guard !isTaken || now - entry.since >= 3 * lifetime else { continue }
      let reason = isTaken ? "the uplink never said what came of it" : "no uplink took it in time (\(webhooks.link.problem))"
      forgetWebhook(entry.key)
      settle(entry.key, .failed, "too_late", reason)
    }
    if now - webhooks.statusAt >= Responder.statusInterval,
      let status = webhooks.link.ask({ client throws(FrameClientError) in try client.status() })
    {
      (webhooks.status, webhooks.statusAt) = (status, now)
    }
  }

  /// "ready; ops: 3 wait, HTTP 503", or why nothing can be sent.
  func uplinkSentence() -> String {
    guard webhooks.link.isOpen else { return webhooks.link.problem }
    let rows = webhooks.status.webhooks.map { row in
      row.name + (row.waiting > 0 ? ": \(row.waiting) wait" : row.problem.isEmpty ? "" : ":") + (row.problem.isEmpty ? "" : " (\(row.problem))")
    }
    return "ready" + (rows.isEmpty ? "" : "; webhooks \(rows.joined(separator: ", "))")
  }
  var isUplinkTroubled: Bool {
    webhooks.link.isOpen ? webhooks.status.webhooks.contains { !$0.problem.isEmpty } : !webhooks.link.isAbsent
  }
  var uplinkCounters: [(name: String, value: UInt64)] {
    [("webhook deliveries that wait for the uplink", UInt64(webhooks.waiting.count { $0.acceptedBy != webhooks.link.generation }))]
      + UplinkStatus.counters.map { ($0.name, webhooks.status[keyPath: $0.path]) }
  }
}
