// The uplink's loop: connections, frames, transfers. One thread (name lookups have one of libcurl's); every wait has an end.
// What must stay true: no peer can hold up another, nor the network a peer; a connection that sends anything but frames of the table is
// closed and written down; without a delivery no connection is made.
import FrameProtocol
import FrameService
import Glibc
import Primitives
import Supervision
import UplinkProtocol

final class UplinkServer {
  private var queue: DeliveryQueue
  private let transfers: WebhookTransfers
  private let names: [String]
  private let signals: Int32
  private let surroundings: Surroundings
  private var connections: FrameConnections<UplinkRequest, UplinkAnswer>!
  private var audit = AuditLines(name: "panguard-uplink")
  private var lastTick: UInt64 = 0

  /// `listener`: a listening socket, `connected`: a socket whose peer is the engine; both are owned from here on. `signals`: a signalfd.
  init(
    _ configuration: UplinkConfiguration, transfers: WebhookTransfers, surroundings: Surroundings, listener: Int32?, connected: Int32?,
    signals: Int32, engineUID: uid_t?
  ) {
    names = configuration.webhooks.map(\.name)
    queue = DeliveryQueue(names)
    (self.transfers, self.surroundings, self.signals) = (transfers, surroundings, signals)
    connections = FrameConnections(
      listener: listener, engine: engineUID, answer: { [unowned self] request, _ in answer(request) }, report: { [unowned self] in note($0) })
    let what = names.isEmpty ? "the configuration names no webhook, so nothing will be sent" : "webhooks: \(names.joined(separator: ", "))"
    audit.add("ready; \(what)")
    if let connected { connections.adopt(connected) }
  }

  enum End { case asked, surroundingsChanged }

  /// Until a signal ends it, or, without a listener, until the engine's connection ends; or until it must be started anew.
  func run() -> End {
    while connections.isServing {
      var polled = [pollfd(fd: signals, events: Int16(POLLIN), revents: 0)] + connections.waited
      transfers.wait(&polled, milliseconds: 1000)
      if polled[0].revents != 0 { return .asked }
      connections.serve(polled[1...])
      let now = monotonicNow()
      for (webhook, result) in transfers.finished() { finish(webhook, result, now: now) }
      begin(now: now)
      if now &- lastTick >= 1_000_000_000 {
        lastTick = now
        if tick() { return .surroundingsChanged }
      }
    }
    return .asked
  }

  // MARK: Deliveries

  private func begin(now: UInt64) {
    for (webhook, delivery) in queue.due(now: now) {
      if !transfers.begin(webhook, key: delivery.key, body: delivery.body, unixTime: Int64(time(nil))) {
        finish(webhook, .failed("libcurl cannot send it", .badAnswer), now: now)
      }
    }
  }

  private func finish(_ webhook: Int, _ result: AttemptResult, now: UInt64) {
    let outcome = queue.finish(webhook: webhook, result, now: now)
    let name = names[webhook]
    switch (result, outcome) {
    case (.failed(let reason, _), nil): audit.add("\(name): \(reason); it is tried again")
    case (_, let outcome?) where !outcome.isDelivered: audit.add("\(name): \(outcome.key) was given up: \(outcome.failure)")
    default: break
    }
  }

  /// True: what it needs was put out of its reach, and it has to be started anew to reach it.
  private func tick() -> Bool {
    connections.tick()
    ServiceNotification.send("WATCHDOG=1")
    guard let path = surroundings.replaced() else { return false }
    audit.add("\(path) was replaced, and the new one is out of reach: it ends, to be started anew")
    return true
  }

  // MARK: Requests

  private func answer(_ request: UplinkRequest) -> UplinkAnswer {
    switch request {
    case .deliver(let webhook, let key, let body):
      guard let refusal = queue.take(webhook: webhook, key: key, body: body, now: monotonicNow()) else { return .accepted }
      audit.add("\(key) for \(webhook) refused: \(refusal)")
      return .refused(refusal)
    case .collect: return .outcomes(queue.collect())
    case .status:
      queue.set(\.auditLinesDropped, audit.dropped)
      return .status(queue.status)
    }
  }

  private func note(_ event: PeerEvent) {
    switch event {
    case .refused: queue.count(\.peersRefused)
    case .tooMany, .tooSlow: queue.count(\.connectionsClosed)
    case .malformed: queue.count(\.malformedFrames)
    }
    audit.add(event.text)
  }
}
