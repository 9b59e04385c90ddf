// What is to be delivered, to whom, and when it is tried again. No clock, no socket: whoever owns it says what time it is and how attempts
// went. Each webhook has a queue of its own, from which one delivery at a time is tried, the oldest first: a server that is down or slow
// holds up nobody else, and what arrives arrives in order.
// What must stay true: a key is delivered at most once while it is remembered; everything that was accepted has an outcome, at the latest
// `Limits.webhookLifetime` later; queues and memory are bounded, and what does not fit is refused or counted.
import Primitives
import UplinkProtocol

struct Delivery: Equatable {
  var key: String
  var body: [UInt8]
  /// Nanoseconds of CLOCK_MONOTONIC.
  var acceptedAt: UInt64
  var attempts: UInt32 = 0
  /// Attempts of the kinds that are bounded.
  var answered = 0
  var handshakes = 0
}

/// How one attempt ended.
enum AttemptResult: Hashable {
  case delivered
  /// It will not be better next time.
  case rejected(String)
  /// It may be.
  case failed(String, Failure)
  enum Failure { case noConnection, badHandshake, badAnswer }
}

struct DeliveryQueue: ~Copyable {
  private struct Webhook {
    let name: String
    var waiting: [Delivery] = []
    /// The first of `waiting` is being tried.
    var isTrying = false
    var nextTry: UInt64 = 0
    var pause = UInt64(Limits.webhookPauses.lowerBound.count)
    var problem = ""
  }
  private var webhooks: [Webhook]
  private var waitingKeys: Set<String> = []
  private var waitingBytes = 0
  private var finished = BoundedTable<String, DeliveryOutcome>(capacity: Limits.uplinkOutcomes)
  private var uncollected: [DeliveryOutcome] = []
  private(set) var counted = UplinkStatus()

  init(_ names: [String]) { webhooks = names.map { Webhook(name: $0) } }

  // MARK: From the engine

  /// nil: taken.
  mutating func take(webhook name: String, key: String, body: [UInt8], now: UInt64) -> DeliveryRefusal? {
    if waitingKeys.contains(key) {
      counted.repeated += 1
      return nil
    }
    if let outcome = finished.peek(key) {
      counted.repeated += 1
      tell(outcome)
      return nil
    }
    guard let i = webhooks.firstIndex(where: { $0.name == name }) else { return refuse(.unknownWebhook) }
    guard webhooks[i].waiting.count < Limits.webhookQueue, waitingBytes + body.count <= Limits.uplinkQueueBytes else {
      return refuse(.queueFull)
    }
    webhooks[i].waiting.append(Delivery(key: key, body: body, acceptedAt: now))
    waitingKeys.insert(key)
    waitingBytes += body.count
    counted.accepted += 1
    return nil
  }
  private mutating func refuse(_ refusal: DeliveryRefusal) -> DeliveryRefusal {
    counted.refused += 1
    return refusal
  }

  /// The oldest outcomes that were not told yet, at most `Limits.collectedOutcomes`.
  mutating func collect() -> [DeliveryOutcome] {
    let told = Array(uncollected.prefix(Limits.collectedOutcomes))
    uncollected.removeFirst(told.count)
    return told
  }

  /// With the webhooks by name.
  var status: UplinkStatus {
    var status = counted
    status.webhooks = webhooks.map { WebhookStatus(name: $0.name, waiting: UInt32(clamping: $0.waiting.count), problem: $0.problem) }
    return status
  }
  var isEmpty: Bool { waitingKeys.isEmpty }

  // MARK: To the network

  /// What is to be tried now, as webhook and delivery; each is being tried from here on, until `finish`.
  mutating func due(now: UInt64) -> [(webhook: Int, delivery: Delivery)] {
    expire(now: now)
    var due: [(webhook: Int, delivery: Delivery)] = []
    for i in webhooks.indices where !webhooks[i].isTrying && webhooks[i].nextTry <= now && !webhooks[i].waiting.isEmpty {
      webhooks[i].isTrying = true
      webhooks[i].waiting[0].attempts += 1
      counted.attempts += 1
      due.append((i, webhooks[i].waiting[0]))
    }
    return due
  }

  /// How the attempt ended that `due` gave out for this webhook. The outcome, if that is one.
  mutating func finish(webhook i: Int, _ result: AttemptResult, now: UInt64) -> DeliveryOutcome? {
    guard webhooks[i].isTrying else { return nil }
    webhooks[i].isTrying = false
    switch result {
    case .delivered:
      recover(i)
      return end(i, failure: "", now: now)
    case .rejected(let reason):
      // Somebody answered: those behind it have their own chance at once.
      recover(i)
      webhooks[i].problem = reason
      return end(i, failure: reason, now: now)
    case .failed(let reason, let failure):
      webhooks[i].problem = reason
      webhooks[i].nextTry = now &+ webhooks[i].pause
      webhooks[i].pause = min(webhooks[i].pause * 2, UInt64(Limits.webhookPauses.upperBound.count))
      if failure == .badAnswer { webhooks[i].waiting[0].answered += 1 }
      if failure == .badHandshake { webhooks[i].waiting[0].handshakes += 1 }
      let delivery = webhooks[i].waiting[0]
      guard delivery.answered >= Limits.webhookAttempts || delivery.handshakes >= Limits.webhookHandshakes || isOver(delivery, now) else {
        return nil
      }
      return end(i, failure: reason, now: now)
    }
  }
  private mutating func recover(_ i: Int) {
    webhooks[i].problem = ""
    webhooks[i].nextTry = 0
    webhooks[i].pause = UInt64(Limits.webhookPauses.lowerBound.count)
  }

  /// When `due` may have something next; nil: not before something else happens.
  func nextTry() -> UInt64? { webhooks.filter { !$0.isTrying && !$0.waiting.isEmpty }.map(\.nextTry).min() }

  private func isOver(_ delivery: Delivery, _ now: UInt64) -> Bool {
    now &- delivery.acceptedAt >= UInt64(Limits.webhookLifetime.count)
  }
  /// Ends what has waited too long. What is being tried has its end when that has.
  private mutating func expire(now: UInt64) {
    for i in webhooks.indices where !webhooks[i].isTrying {
      while let first = webhooks[i].waiting.first, isOver(first, now) {
        _ = end(i, failure: webhooks[i].problem.isEmpty ? "it waited too long" : webhooks[i].problem, now: now)
      }
    }
  }
  private mutating func end(_ i: Int, failure: String, now: UInt64) -> DeliveryOutcome {
    let delivery = webhooks[i].waiting.removeFirst()
    waitingKeys.remove(delivery.key)
    waitingBytes -= delivery.body.count
    if failure.isEmpty { counted.delivered += 1 } else { counted.failed += 1 }
    let outcome = DeliveryOutcome(key: delivery.key, attempts: delivery.attempts, failure: failure)
    finished.update(delivery.key, make: { outcome }) { $0 = outcome }
    tell(outcome)
    return outcome
  }
  private mutating func tell(_ outcome: DeliveryOutcome) {
    if uncollected.count == Limits.uplinkOutcomes {
      uncollected.removeFirst()
      counted.outcomesForgotten += 1
    }
    uncollected.append(outcome)
  }

  mutating func count(_ path: WritableKeyPath<UplinkStatus, UInt64>, _ value: UInt64 = 1) { counted[keyPath: path] += value }
  mutating func set(_ path: WritableKeyPath<UplinkStatus, UInt64>, _ value: UInt64) { counted[keyPath: path] = value }
}
