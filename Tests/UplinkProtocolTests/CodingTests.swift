// The wire between engine and uplink: what is written is read back, every byte that is not a frame is refused at its place, and nothing that
// a compromised engine sends can name more than a webhook.
import FrameProtocol
import Primitives
import Testing

@testable import UplinkProtocol

private func decodeRequest(_ bytes: [UInt8]) -> DecodedFrame<UplinkRequest> { bytes.withUnsafeBytes { UplinkRequest.decode($0) } }
private func decodeAnswer(_ bytes: [UInt8]) -> DecodedFrame<UplinkAnswer> { bytes.withUnsafeBytes { UplinkAnswer.decode($0) } }

@Suite("Frames between engine and uplink")
struct CodingTests {
  static let requests: [UplinkRequest] = [
    .deliver(webhook: "ops", key: "0123456789abcdef", body: Array("{}".utf8)), .deliver(webhook: "a", key: "b", body: []),
    .deliver(
      webhook: String(repeating: "w", count: 64), key: String(repeating: "k", count: 64), body: .init(repeating: 0, count: Limits.webhookBodyBytes)),
    .collect, .status,
  ]
  static let answers: [UplinkAnswer] =
    [
      .accepted, .outcomes([]),
      .outcomes([DeliveryOutcome(key: "k", attempts: 1), DeliveryOutcome(key: "m", attempts: .max, failure: "HTTP 503: ä")]),
      .status(fullStatus),
    ] + DeliveryRefusal.allCases.map(UplinkAnswer.refused)
  /// Every counter with another value, so that a mistake in their order shows.
  static var fullStatus: UplinkStatus {
    var status = UplinkStatus()
    for (i, counter) in UplinkStatus.counters.enumerated() { status[keyPath: counter.path] = UInt64(i + 1) << 33 }
    status.webhooks = (0..<Limits.webhooks).map { WebhookStatus(name: "w\($0)", waiting: UInt32($0), problem: $0 % 2 == 0 ? "" : "no") }
    return status
  }

  @Test("requests come back as they were", arguments: requests)
  func request(_ request: UplinkRequest) {
    let bytes = request.encoded(id: 77)
    #expect(decodeRequest(bytes) == .value(request, id: 77, consumed: bytes.count))
    #expect(decodeRequest(bytes + bytes) == .value(request, id: 77, consumed: bytes.count))
    for length in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 300)) {
      guard case .incomplete(let wanted) = decodeRequest(Array(bytes[..<length])) else {
        Issue.record("\(length) of \(bytes.count) bytes are not incomplete")
        continue
      }
      #expect(wanted > length && wanted <= bytes.count)
    }
  }

  @Test("answers come back as they were", arguments: answers)
  func answer(_ answer: UplinkAnswer) {
    let bytes = answer.encoded(id: .max)
    #expect(decodeAnswer(bytes) == .value(answer, id: .max, consumed: bytes.count))
    #expect(bytes.count <= UplinkFrame.answerBytes)
    for length in 0..<bytes.count {
      guard case .incomplete = decodeAnswer(Array(bytes[..<length])) else {
        Issue.record("\(length) of \(bytes.count) bytes are not incomplete")
        continue
      }
    }
  }

  @Test("a full answer fits, what is beyond is left out, and long texts are cut between characters")
  func fullAnswers() {
    let long = DeliveryOutcome(key: String(repeating: "k", count: 64), attempts: 1, failure: String(repeating: "ä", count: 500))
    let bytes = UplinkAnswer.outcomes(.init(repeating: long, count: Limits.collectedOutcomes + 5)).encoded(id: 1)
    #expect(bytes.count <= UplinkFrame.answerBytes)
    guard case .value(.outcomes(let outcomes), _, _) = decodeAnswer(bytes) else {
      Issue.record("it cannot be read")
      return
    }
    #expect(outcomes.count == Limits.collectedOutcomes && outcomes[0].failure == String(repeating: "ä", count: Limits.uplinkTextBytes / 2))
  }

  @Test("what is no frame is refused by its header")
  func malformed() {
    let good = UplinkRequest.deliver(webhook: "ops", key: "k", body: [1, 2, 3]).encoded(id: 1)
    func changed(_ offset: Int, _ byte: UInt8) -> DecodedFrame<UplinkRequest> {
      var bytes = good
      bytes[offset] = byte
      return decodeRequest(bytes)
    }
    #expect(changed(4, 2) == .malformed(.version(2)))
    #expect(changed(5, 0) == .malformed(.kind(0)) && changed(5, 4) == .malformed(.kind(4)))
    #expect(changed(6, 1) == .malformed(.reserved) && changed(7, 1) == .malformed(.reserved))
    #expect(changed(0, 1) == .malformed(.length(1 << 24 + UInt32(good.count))))
    #expect(changed(3, 11) == .malformed(.length(11)))
    // A name of 0, of too many bytes, with a character that none has; a body that is shorter or longer than it says.
    #expect(changed(13, 0) == .malformed(.body(offset: 12)) && changed(13, 65) == .malformed(.body(offset: 14)))
    for byte: UInt8 in [0, 0x0a, 0x0d, 0x20, 0x2f, 0x3a] { #expect(changed(14, byte) == .malformed(.body(offset: 12))) }
    #expect(changed(14, 0x80) == .malformed(.body(offset: 14)))
    #expect(changed(23, 2) == .malformed(.body(offset: 26)) && changed(23, 4) == .malformed(.body(offset: 24)))
    #expect(changed(20, 0xff) == .malformed(.body(offset: 24)))
    var collect = UplinkRequest.collect.encoded(id: 1) + [0]
    collect[3] = 13
    #expect(decodeRequest(collect) == .malformed(.length(13)))
    let long = UplinkRequest.deliver(webhook: "ops", key: "k", body: .init(repeating: 0, count: Limits.webhookBodyBytes + 1)).encoded(id: 1)
    guard case .malformed = decodeRequest(long) else {
      Issue.record("a body that is too long is taken")
      return
    }
  }

  @Test("any bytes are a value, a beginning or an error, and a value is written back")
  func anyBytes() {
    var state: UInt64 = 7
    func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state >> 33
    }
    let seeds = Self.requests.prefix(2).map { $0.encoded(id: 5) } + Self.answers.map { $0.encoded(id: 5) }
    for _ in 0..<20_000 {
      var bytes = seeds[Int(next() % UInt64(seeds.count))]
      for _ in 0...Int(next() % 4) { bytes[Int(next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: next()) }
      if case .value(let request, let id, let consumed) = decodeRequest(bytes) { #expect(request.encoded(id: id) == Array(bytes[..<consumed])) }
      if case .value(let answer, let id, let consumed) = decodeAnswer(bytes) { #expect(answer.encoded(id: id) == Array(bytes[..<consumed])) }
    }
  }
}
