// What is tried when, by the queue alone: no clock, no network.
import Primitives
import Testing
import UplinkProtocol

@testable import Uplink

@Suite struct DeliveryQueueTests {
  private let second: UInt64 = 1_000_000_000
  private let body: [UInt8] = [1, 2, 3]

  @Test func oneAtATimeInOrderForEachWebhook() {
    var queue = DeliveryQueue(["a", "b"])
    for key in ["1", "2"] { #expect(queue.take(webhook: "a", key: key, body: body, now: 0) == nil) }
    #expect(queue.take(webhook: "b", key: "3", body: body, now: 0) == nil)
    #expect(queue.due(now: 0).map(\.delivery.key) == ["1", "3"])
    #expect(queue.due(now: 0).isEmpty)
    #expect(queue.finish(webhook: 0, .delivered, now: 1) == DeliveryOutcome(key: "1", attempts: 1))
    #expect(queue.due(now: 1).map(\.delivery.key) == ["2"])
    #expect(queue.collect() == [DeliveryOutcome(key: "1", attempts: 1)] && queue.collect().isEmpty)
    #expect(queue.take(webhook: "c", key: "4", body: body, now: 1) == .unknownWebhook)
  }

  /// 1, 2, 4, ... seconds, at most five minutes; after an hour it is given up, with those behind it that are as old.
  @Test func pausesGrowAndEnd() {
    var queue = DeliveryQueue(["a"])
    for key in ["1", "2"] { #expect(queue.take(webhook: "a", key: key, body: body, now: 0) == nil) }
    var now: UInt64 = 0
    var pauses: [UInt64] = []
    while case let due = queue.due(now: now), !due.isEmpty {
      #expect(due.map(\.delivery.key) == ["1"])
      #expect(queue.finish(webhook: 0, .failed("refused", .noConnection), now: now) == nil)
      let next = queue.nextTry() ?? 0
      #expect(queue.due(now: next - 1).isEmpty)
      pauses.append((next - now) / second)
      now = next
    }
    #expect(pauses.prefix(10) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300] && pauses.dropFirst(9).allSatisfy { $0 == 300 })
    #expect(now >= 3600 * second && now < 3900 * second)
    #expect(queue.isEmpty && queue.nextTry() == nil)
    let outcomes = queue.collect()
    #expect(outcomes.map(\.key) == ["1", "2"] && outcomes.allSatisfy { $0.failure == "refused" } && outcomes[1].attempts == 0)
    #expect(queue.status.failed == 2 && queue.status.delivered == 0)
  }

  @Test(arguments: [(AttemptResult.Failure.badAnswer, Limits.webhookAttempts), (.badHandshake, Limits.webhookHandshakes)])
  func someFailuresAreBounded(_ failure: AttemptResult.Failure, _ attempts: Int) {
    var queue = DeliveryQueue(["a"])
    for key in ["1", "2"] { #expect(queue.take(webhook: "a", key: key, body: body, now: 0) == nil) }
    var now: UInt64 = 0
    for attempt in 1...attempts {
      #expect(queue.due(now: now).map(\.delivery.key) == ["1"])
      let outcome = queue.finish(webhook: 0, .failed("HTTP 500", failure), now: now)
      #expect((outcome != nil) == (attempt == attempts))
      now = queue.nextTry() ?? 0
    }
    #expect(queue.due(now: now).map(\.delivery.key) == ["2"])
    #expect(queue.finish(webhook: 0, .delivered, now: now)?.isDelivered == true && queue.status.webhooks[0].problem.isEmpty)
  }

  @Test func queuesAreBounded() {
    var queue = DeliveryQueue(["a", "b"])
    for i in 0..<Limits.webhookQueue { #expect(queue.take(webhook: "a", key: "\(i)", body: body, now: 0) == nil) }
    #expect(queue.take(webhook: "a", key: "x", body: body, now: 0) == .queueFull)
    let large = [UInt8](repeating: 0, count: Limits.webhookBodyBytes)
    var taken = 0
    while queue.take(webhook: "b", key: "b\(taken)", body: large, now: 0) == nil { taken += 1 }
    #expect(taken < Limits.uplinkQueueBytes / large.count + 1 && taken > 100)
    // What is asked for again needs no room.
    #expect(queue.take(webhook: "a", key: "0", body: body, now: 0) == nil && queue.status.repeated == 1)
  }

  @Test func whatNobodyCollectsIsForgottenAndCounted() {
    var queue = DeliveryQueue(["a"])
    for i in 0..<Limits.uplinkOutcomes + 3 {
      #expect(queue.take(webhook: "a", key: "\(i)", body: [], now: 0) == nil)
      #expect(queue.due(now: 0).count == 1)
      _ = queue.finish(webhook: 0, .delivered, now: 0)
    }
    #expect(queue.status.outcomesForgotten == 3)
    var collected = 0
    while case let part = queue.collect(), !part.isEmpty { collected += part.count }
    #expect(collected == Limits.uplinkOutcomes)
  }

  @Test func resultsMeanWhatTheySay() {
    func result(_ code: Int, _ status: Int = 0) -> AttemptResult {
      AttemptResult(code: .init(rawValue: UInt32(code)), status: status, detail: "x\n\u{1b}[2J")
    }
    for status in [200, 201, 204] { #expect(result(0, status) == .delivered) }
    for status in [500, 502, 503, 429, 408] { #expect(result(0, status) == .failed("HTTP \(status)", .badAnswer)) }
    for status in [400, 401, 404, 410] { #expect(result(0, status) == .rejected("HTTP \(status)")) }
    #expect(result(23, 200) == .delivered && result(23, 0) == .failed("x??[2J", .badAnswer))
    for code in [6, 7] { #expect(result(code) == .failed("x??[2J", .noConnection)) }
    #expect(result(35) == .failed("TLS: x??[2J", .badHandshake) && result(60) == .rejected("TLS: x??[2J") && result(90) == .rejected("TLS: x??[2J"))
    for code in [28, 52, 56] { #expect(result(code) == .failed("x??[2J", .badAnswer)) }
  }

  /// RFC 4231, test case 2 has its key shorter than a signature's may be; case 1's message is no timestamp and body. So: by openssl dgst -hmac.
  @Test func theSignatureIsHMACOverTimeAndBody() {
    let header = WebhookSignature.header(of: Array(#"{"a":1}"#.utf8), at: 1_700_000_000, secret: Array("0123456789abcdef0123456789abcdef".utf8))
    #expect(header == "sha256=f05f2539e3ae1c49aec5f8cfdad75ef6b06480b133973ffbb7ec9e18827af177")
  }
}
