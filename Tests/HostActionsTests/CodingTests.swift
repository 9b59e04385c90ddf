// The wire between engine and responder: what is written is read back, every byte that is not a frame is refused at its place.
import FrameProtocol
import Primitives
import Testing

@testable import HostActions

private func decodeRequest(_ bytes: [UInt8]) -> DecodedFrame<HostActionRequest> { bytes.withUnsafeBytes { HostActionRequest.decode($0) } }
private func decodeAnswer(_ bytes: [UInt8]) -> DecodedFrame<HostActionAnswer> { bytes.withUnsafeBytes { HostActionAnswer.decode($0) } }

@Suite struct CodingTests {
  static let requests: [HostActionRequest] = [
    .perform(key: "k1", .run(ExecutableRun(name: "page", arguments: ["--to", "", "ä"], input: Array("{}\n".utf8)))),
    .perform(key: String(repeating: "f", count: 64), .run(ExecutableRun(name: "page", arguments: [], input: []))),
    .perform(key: "k", .kill(ProcessTarget(pid: .max, startTicks: .max, seenAt: .max, signal: .kill))),
    .perform(key: "k", .kill(ProcessTarget(pid: 1, signal: .terminate))),
    .perform(key: "k", .quarantine(FileTarget(path: "/tmp/x y\n", device: 1, inode: .max, sha256: [UInt8](repeating: 7, count: 32)))),
    .perform(key: "k", .quarantine(FileTarget(path: "/" + String(repeating: "a", count: Limits.hostPathBytes - 1)))),
    .perform(key: "k", .disable(account: "alice")), .perform(key: "k", .cut(PacketSelectionTests.whole)),
    .outcomes(["a", "B-9_"]), .outcomes([]), .undo(key: "k"), .list, .status,
  ]
  static let outcomes = HostActionOutcome.State.allCases.map { HostActionOutcome($0, "code", "ä detail \($0)") }
  static let answers: [HostActionAnswer] =
    outcomes.map(HostActionAnswer.outcome) + [
      .outcomes(outcomes), .outcomes([]),
      .records([HostActionRecord(key: "k", time: .max, text: "kill_process 9 with TERM", outcome: outcomes[1], canUndo: true)]), .status(fullStatus),
    ]
  /// Every counter with another value, so that a mistake in their order shows.
  static var fullStatus: ResponderStatus {
    var status = ResponderStatus()
    for (i, counter) in ResponderStatus.counters.enumerated() { status[keyPath: counter.path] = UInt64(i + 1) << 33 }
    return status
  }

  @Test(arguments: requests) func requestsComeBackAsTheyWere(_ request: HostActionRequest) {
    let bytes = request.encoded(id: 77)
    #expect(decodeRequest(bytes) == .value(request, id: 77, consumed: bytes.count))
    #expect(decodeRequest(bytes + bytes) == .value(request, id: 77, consumed: bytes.count))
    for length in 0..<bytes.count {
      guard case .incomplete(let wanted) = decodeRequest(Array(bytes[..<length])) else {
        Issue.record("\(length) of \(bytes.count) bytes are not incomplete")
        continue
      }
      #expect(wanted > length && wanted <= bytes.count)
    }
  }
  @Test(arguments: answers) func answersComeBackAsTheyWere(_ answer: HostActionAnswer) {
    let bytes = answer.encoded(id: .max)
    #expect(decodeAnswer(bytes) == .value(answer, id: .max, consumed: bytes.count))
  }

  /// (what, frame)
  static let hostile: [(String, [UInt8])] = {
    func frame(_ kind: UInt8, _ body: [UInt8], length: Int? = nil, version: UInt8 = 1, reserved: UInt8 = 0) -> [UInt8] {
      let count = UInt32(length ?? body.count + 12)
      return withUnsafeBytes(of: count.bigEndian) { Array($0) } + [version, kind, reserved, 0, 0, 0, 0, 1] + body
    }
    func text(_ value: String) -> [UInt8] { [UInt8(value.utf8.count >> 8), UInt8(value.utf8.count & 255)] + Array(value.utf8) }
    let zero8 = [UInt8](repeating: 0, count: 8)
    let pid: [UInt8] = [0, 0, 0, 9]
    let decision = text("d0123456789abcdef")
    /// What stands behind the decision of a cut: one network, no moments, times 0 to 1, 1 packet, 4096 bytes.
    func cut(network: String = "192.0.2.7/32") -> [UInt8] {
      [0, 0, 0, 1] + text(network) + [0, 0, 0, 0] + zero8 + zero8.dropLast() + [1] + zero8.dropLast() + [1] + zero8.dropLast(2) + [16, 0]
    }
    return [
      ("unknown kind", frame(6, [])), ("an answer", frame(0x81, [])), ("another version", frame(5, [], version: 2)),
      ("reserved", frame(5, [], reserved: 1)),
      ("a body where none belongs", frame(5, [0])), ("shorter than its header", frame(5, [], length: 4)),
      ("longer than any request", frame(1, [], length: Limits.hostActionFrameBytes + 1)), ("no key", frame(3, text(""))),
      ("a key that is a path", frame(3, text("../x"))), ("a key with a slash", frame(3, text("a/b"))),
      ("a long key", frame(3, text(String(repeating: "a", count: 65)))),
      ("bytes behind a key", frame(3, text("a") + [0])), ("unknown action", frame(1, text("a") + [9])),
      ("process 0", frame(1, text("a") + [2, 0, 0, 0, 0] + zero8 + zero8 + [15])),
      ("process below 0", frame(1, text("a") + [2, 255, 255, 255, 255] + zero8 + zero8 + [15])),
      ("signal 19", frame(1, text("a") + [2] + pid + zero8 + zero8 + [19])),
      ("a time beyond all", frame(1, text("a") + [2] + pid + zero8 + [UInt8](repeating: 255, count: 8) + [15])),
      ("a relative path", frame(1, text("a") + [3] + text("etc") + zero8 + zero8 + [0, 0, 0, 0])),
      ("a NUL in a path", frame(1, text("a") + [3] + text("/a\0b") + zero8 + zero8 + [0, 0, 0, 0])),
      ("a short hash", frame(1, text("a") + [3] + text("/a") + zero8 + zero8 + [0, 0, 0, 1, 7])),
      ("a NUL in an argument", frame(1, text("a") + [1] + text("p") + [0, 0, 0, 1] + text("a\0b") + [0, 0, 0, 0])),
      ("more arguments than bytes", frame(1, text("a") + [1] + text("p") + [0, 0, 255, 255] + [0, 0, 0, 0])),
      ("33 arguments", frame(1, text("a") + [1] + text("p") + [0, 0, 0, 33] + [UInt8](repeating: 0, count: 66) + [0, 0, 0, 0])),
      ("no account", frame(1, text("a") + [4] + text(""))), ("no UTF-8", frame(1, text("a") + [4, 0, 1, 0xff])),
      ("a decision that is a path", frame(1, text("a") + [5] + text("../../../etc/cron") + cut())),
      ("a decision with an escape", frame(1, text("a") + [5] + text("d\u{1b}[31m567890abcd") + cut())),
      ("a network that is a word", frame(1, text("a") + [5] + decision + cut(network: "all"))),
      ("a network with bits of a host", frame(1, text("a") + [5] + decision + cut(network: "192.0.2.7/24"))),
      ("nobody to look for", frame(1, text("a") + [5] + decision + [0, 0, 0, 0, 0, 0, 0, 0] + cut().suffix(32))),
      ("more packets than there may be", frame(1, text("a") + [5] + decision + cut().dropLast(16) + [1] + [UInt8](repeating: 0, count: 15))),
      ("257 keys", frame(2, [0, 0, 1, 1] + [UInt8](repeating: 0, count: 600))),
    ]
  }()

  @Test(arguments: hostile) func whatIsNoFrameIsRefused(_ entry: (String, [UInt8])) {
    guard case .malformed = decodeRequest(entry.1) else {
      Issue.record("\(entry.0): \(decodeRequest(entry.1))")
      return
    }
  }

  @Test func everyChangedByteIsAValueOrRefused() {
    for request in CodingTests.requests where request.encoded(id: 1).count < 200 {
      let bytes = request.encoded(id: 1)
      for at in bytes.indices {
        for value in [0, 1, 0x7f, 0x80, 0xff] as [UInt8] {
          var changed = bytes
          changed[at] = value
          if case .value(let other, let id, let consumed) = decodeRequest(changed) { #expect(other.encoded(id: id) == Array(changed[..<consumed])) }
        }
      }
    }
  }

  /// The largest lists stay inside a frame.
  @Test func fullListsFitAFrame() {
    let long = String(repeating: "x", count: 2000)
    let outcome = HostActionOutcome(.failed, long, long)
    let record = HostActionRecord(key: String(repeating: "k", count: 64), time: 1, text: long, outcome: outcome, canUndo: false)
    let records = HostActionAnswer.records(Array(repeating: record, count: Limits.listedHostActions)).encoded(id: 1)
    #expect(records.count <= Limits.hostActionFrameBytes)
    if case .value = decodeAnswer(records) {} else { Issue.record("\(records.count)") }
    let outcomes = HostActionAnswer.outcomes(Array(repeating: outcome, count: Limits.askedHostActions)).encoded(id: 1)
    #expect(outcomes.count <= Limits.hostActionFrameBytes)
  }
}
