// The wire between engine and enforcer: what is written is read back, every byte that is not a frame is refused at its place, and nothing
// that a compromised engine sends can do more than be refused.
import FrameProtocol
import PanguardTestKit
import Primitives
import Testing

@testable import Enforcement

func network(_ text: String) -> CIDR { CIDR(text)! }

func hex(_ bytes: [UInt8]) -> String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }

func decodeRequest(_ bytes: [UInt8]) -> DecodedFrame<EnforcerRequest> { bytes.withUnsafeBytes { EnforcerRequest.decode($0) } }
func decodeAnswer(_ bytes: [UInt8]) -> DecodedFrame<EnforcerAnswer> { bytes.withUnsafeBytes { EnforcerAnswer.decode($0) } }

@Suite("Frames between engine and enforcer")
struct CodingTests {
  static let requests: [EnforcerRequest] = [
    .block([Block(network("192.0.2.7/32"), seconds: 600), Block(network("2001:db8::/64"), seconds: .max), Block(network("0.0.0.0/0"), seconds: 0)]),
    .block([]), .unblock([network("192.0.2.0/24"), network("::/0")]), .unblockAll, .list, .reconcile([Block(network("192.0.2.7/32"), seconds: 1)]),
    .heartbeat, .status,
  ]
  static let refusals: [BlockRefusal] =
    ProtectedKind.allCases.map { .protected($0, by: network("10.0.0.0/8")) } + [
      .prefixTooWide, .prefixTooNarrow, .tooShort, .tooLong, .rateExceeded, .tableFull, .protectionUnknown, .kernel(28),
    ]
  static let answers: [EnforcerAnswer] = [
    .outcomes([.blocked, .refreshed, .unblocked, .absent] + refusals.map(BlockOutcome.refused)), .unblockedAll(.max),
    .blocks([ActiveBlock(network("192.0.2.7/32"), remainingMilliseconds: 1)]),
    .reconciled(ReconcileReport(outcomes: [.blocked], strangers: [network("192.0.2.9/32")])),
    .alive(
      EnforcerNotice.Kind.allCases.map { EnforcerNotice($0, network("2001:db8::/64"), protected: $0 == .unblockedAsProtected ? .gateway : nil) }),
    .status(fullStatus), .status(remarkable), .unavailable("no nftables: ä"),
  ]
  /// Every counter with another value, so that a mistake in their order shows.
  static var fullStatus: EnforcerStatus {
    var status = EnforcerStatus()
    for (i, counter) in EnforcerStatus.counters.enumerated() { status[keyPath: counter.path] = UInt64(i + 1) << 33 }
    status.unavailable = "reason"
    return status
  }

  static var remarkable: EnforcerStatus {
    var status = fullStatus
    status.remarks = "sshd's ports are not known for certain"
    return status
  }
  @Test("a status without remarks is the frame that it was before there were any")
  func remarks() {
    let plain = EnforcerAnswer.status(CodingTests.fullStatus).encoded(id: 1)
    #expect(plain.count == Frame.headerBytes + 8 * EnforcerStatus.counters.count + 2 + 6)
    // There is one form: an empty remark is not written.
    var empty = plain + [0, 0]
    empty[2] = UInt8(empty.count >> 8)
    empty[3] = UInt8(empty.count & 0xff)
    #expect(decodeAnswer(empty) == .malformed(.body(offset: empty.count)))
  }

  @Test("requests come back as they were", arguments: requests)
  func request(_ request: EnforcerRequest) {
    let bytes = request.encoded(id: 77)
    #expect(decodeRequest(bytes) == .value(request, id: 77, consumed: bytes.count))
    // The next frame begins where this one ends.
    #expect(decodeRequest(bytes + bytes) == .value(request, id: 77, consumed: bytes.count))
    for length in 0..<bytes.count {
      guard case .incomplete(let wanted) = decodeRequest(Array(bytes[..<length])) else {
        Issue.record("\(length) of \(bytes.count) bytes are not incomplete")
        continue
      }
      #expect(wanted > length && wanted <= bytes.count)
    }
  }

  @Test("answers come back as they were", arguments: answers)
  func answer(_ answer: EnforcerAnswer) {
    let bytes = answer.encoded(id: .max)
    #expect(decodeAnswer(bytes) == .value(answer, id: .max, consumed: bytes.count))
    for length in 0..<bytes.count { if case .incomplete = decodeAnswer(Array(bytes[..<length])) {} else { Issue.record("\(length) bytes") } }
  }

  @Test("the bytes are those that the page describes")
  func golden() {
    #expect(hex(EnforcerRequest.heartbeat.encoded(id: 1)) == "0000000c" + "01" + "06" + "0000" + "00000001")
    #expect(
      hex(EnforcerRequest.block([Block(network("192.0.2.7/32"), seconds: 600)]).encoded(id: 2)) == "00000026" + "01" + "01" + "0000" + "00000002"
        + "00000001" + "0420" + "c0000207" + String(repeating: "0", count: 24) + "00000258")
  }

  /// (what, bytes, why it is refused)
  static let hostile: [(String, [UInt8], FrameError)] = {
    let header: [UInt8] = [0, 0, 0, 12, 1, 6, 0, 0, 0, 0, 0, 1]
    func changed(_ at: Int, _ value: UInt8) -> [UInt8] {
      var out = header
      out[at] = value
      return out
    }
    func blocks(_ count: UInt8, _ entry: [UInt8]) -> [UInt8] {
      let body: [UInt8] = [0, 0, 0, count] + entry
      return [0, 0, 0, UInt8(12 + body.count), 1, 1, 0, 0, 0, 0, 0, 1] + body
    }
    let v4: [UInt8] = [4, 32, 192, 0, 2, 7] + [UInt8](repeating: 0, count: 12) + [0, 0, 2, 88]
    func entry(_ at: Int, _ value: UInt8) -> [UInt8] {
      var out = v4
      out[at] = value
      return blocks(1, out)
    }
    let mapped: [UInt8] = [6, 128] + [UInt8](repeating: 0, count: 10) + [255, 255, 10, 0, 0, 1] + [0, 0, 2, 88]
    return [
      ("another protocol", Array("GET / HTTP/1.1\r\n\r\n".utf8), .version(0x2f)), ("version 0", changed(4, 0), .version(0)),
      ("version 2", changed(4, 2), .version(2)), ("kind 0", changed(5, 0), .kind(0)), ("kind 8", changed(5, 8), .kind(8)),
      ("an answer", changed(5, 0x81), .kind(0x81)), ("reserved", changed(7, 1), .reserved), ("too short", changed(3, 11), .length(11)),
      ("a body where there is none", changed(3, 13), .length(13)), ("huge", changed(0, 255), .length(0xff00_000c)),
      ("count without entries", blocks(2, v4), .body(offset: 38)), ("entry without count", blocks(0, v4), .body(offset: 16)),
      ("family 5", entry(0, 5), .body(offset: 16)), ("no family", entry(0, 0), .body(offset: 16)), ("prefix 33", entry(1, 33), .body(offset: 16)),
      ("host bits", entry(1, 24), .body(offset: 16)), ("rest of an IPv4 address", entry(17, 1), .body(offset: 16)),
      ("IPv4 in IPv6", blocks(1, mapped), .body(offset: 16)),
    ]
  }()

  @Test("what is no frame is refused, and says where", arguments: hostile)
  func refused(_ what: String, _ bytes: [UInt8], _ error: FrameError) {
    #expect(decodeRequest(bytes) == .malformed(error), "\(what)")
  }

  @Test("a frame that cannot be taken is refused by its header, before its body is waited for")
  func early() {
    let length = UInt32(Frame.headerBytes + 4 + Limits.enforcedBlocks * EnforcerFrame.blockBytes)
    func header(_ length: UInt32) -> [UInt8] { withUnsafeBytes(of: length.bigEndian) { Array($0) } + [1, 1, 0, 0, 0, 0, 0, 1] }
    #expect(decodeRequest(header(length)) == .incomplete(Int(length)))
    #expect(decodeRequest(header(length + 1)) == .malformed(.length(length + 1)))
    #expect(length < Limits.enforcerFrameBytes)
  }

  @Test("a full table fits one frame, in every direction")
  func full() {
    let networks = (0..<Limits.enforcedBlocks).map { CIDR(IPAddress(v6High: 0x2001_0db8 << 32 | UInt64($0), low: 0), prefixLength: 64) }
    let answers: [EnforcerAnswer] = [
      .outcomes(networks.map { .refused(.protected(.allowlist, by: $0)) }), .blocks(networks.map { ActiveBlock($0, remainingMilliseconds: 1) }),
      .reconciled(ReconcileReport(outcomes: networks.map { _ in .blocked }, strangers: networks)),
    ]
    for answer in answers {
      let bytes = answer.encoded(id: 1)
      #expect(bytes.count <= Limits.enforcerFrameBytes)
      guard case .value = decodeAnswer(bytes) else {
        Issue.record("does not come back")
        continue
      }
    }
    let request = EnforcerRequest.reconcile(networks.map { Block($0, seconds: 1) })
    #expect(decodeRequest(request.encoded(id: 1)) == .value(request, id: 1, consumed: request.encoded(id: 1).count))
  }

  @Test("any bytes have an answer, and what is read is written back to the same bytes", arguments: [UInt64(1), 2, 3, 4])
  func mutated(_ seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let seeds = CodingTests.requests.map { $0.encoded(id: 5) } + CodingTests.answers.map { $0.encoded(id: 5) }
    var values = 0
    for _ in 0..<20_000 {
      var bytes = seeds[random.below(seeds.count)]
      for _ in 0...random.below(3) {
        let at = random.below(bytes.count)
        switch random.below(4) {
        case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes[at] ^= 1 << UInt8(random.below(8))
        case 2: bytes.removeLast(min(bytes.count - 1, random.below(8)))
        default: bytes.append(UInt8(truncatingIfNeeded: random.next()))
        }
      }
      if case .value(let request, let id, let consumed) = decodeRequest(bytes) {
        #expect(request.encoded(id: id) == Array(bytes[..<consumed]))
        values += 1
      }
      if case .value(let answer, let id, let consumed) = decodeAnswer(bytes) {
        #expect(answer.encoded(id: id) == Array(bytes[..<consumed]))
        values += 1
      }
    }
    #expect(values > 100)
  }

  @Test("one address of IPv6 is its /64")
  func addresses() {
    #expect(Block(address: IPAddress("192.0.2.7")!, seconds: 1).network == network("192.0.2.7/32"))
    #expect(Block(address: IPAddress("2001:db8:1:2:3::4")!, seconds: 1).network == network("2001:db8:1:2::/64"))
  }
}
