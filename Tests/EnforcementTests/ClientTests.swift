// The client against peers that are slow, silent, hostile or gone: typed errors, no call that lasts.
import FrameProtocol
import Glibc
import Primitives
import Testing

@testable import Enforcement

@Suite("EnforcerClient")
struct ClientTests {
  /// A connected pair: the client's and the peer's end.
  private func pair(timeout: Nanoseconds = .milliseconds(200)) -> (client: EnforcerClient, peer: Int32) {
    var ends: [Int32] = [-1, -1]
    socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
    return (EnforcerClient(descriptor: ends[0], timeout: timeout), ends[1])
  }
  private func error<Value>(_ body: () throws(FrameClientError) -> Value) -> FrameClientError.Problem? {
    do throws(FrameClientError) { _ = try body() } catch { return error.problem }
    return nil
  }

  @Test("nobody there")
  func absent() {
    #expect(
      error { () throws(FrameClientError) in try EnforcerClient(path: "/nonexistent/x") } == .cannotConnect(path: "/nonexistent/x", errno: ENOENT))
    let long = "/" + String(repeating: "x", count: 120)
    #expect(error { () throws(FrameClientError) in try EnforcerClient(path: long) } == .pathTooLong(long))
  }

  @Test("a silent enforcer times out, and the connection is closed")
  func silent() {
    let (client, peer) = pair()
    defer { close(peer) }
    let began = monotonicNow()
    #expect(error { () throws(FrameClientError) in try client.heartbeat() } == .timedOut)
    #expect(monotonicNow() - began < 60_000_000_000)
    #expect(!client.isOpen)
    #expect(error { () throws(FrameClientError) in try client.heartbeat() } == .closed)
  }

  @Test("an enforcer that takes nothing times out too")
  func full() {
    let (client, peer) = pair()
    defer { close(peer) }
    let blocks = (0..<60_000).map { Block(CIDR(IPAddress(v4: UInt32($0) << 8), prefixLength: 32), seconds: 60) }
    #expect(error { () throws(FrameClientError) in try client.block(blocks) } == .timedOut)
  }

  /// (what the enforcer answers to the first heartbeat, the error)
  static let answers: [([UInt8], FrameClientError.Problem)] = [
    (Array("HTTP/1.1 400 Bad Request\r\n".utf8), .malformed(.version(0x2f))), (EnforcerAnswer.alive([]).encoded(id: 2), .unexpectedAnswer),
    (EnforcerAnswer.blocks([]).encoded(id: 1), .unexpectedAnswer), ([0, 0], .timedOut),
  ]
  @Test("a wrong answer is a typed error", arguments: answers)
  func wrong(_ bytes: [UInt8], _ expected: FrameClientError.Problem) {
    let (client, peer) = pair()
    defer { close(peer) }
    _ = bytes.withUnsafeBytes { write(peer, $0.baseAddress!, $0.count) }
    #expect(error { () throws(FrameClientError) in try client.heartbeat() } == expected)
    #expect(!client.isOpen)
  }

  @Test("a closed connection, and a request that no enforcer takes")
  func closed() {
    let (client, peer) = pair()
    close(peer)
    #expect(error { () throws(FrameClientError) in try client.list() } == .closed)
    let other = pair()
    defer { close(other.peer) }
    let many = [CIDR](repeating: CIDR(IPAddress(v4: 0xc000_0207), prefixLength: 32), count: Limits.enforcedBlocks + 1)
    #expect(
      error { () throws(FrameClientError) in try other.client.unblock(many) }
        == .notSendable("\(many.count) entries are more than the \(Limits.enforcedBlocks) of one request"))
    #expect(other.client.isOpen)
  }

  @Test("what the enforcer cannot do is a reply, not an error")
  func unavailable() throws {
    let (client, peer) = pair()
    defer { close(peer) }
    let bytes = EnforcerAnswer.unavailable("no nftables").encoded(id: 1)
    _ = bytes.withUnsafeBytes { write(peer, $0.baseAddress!, $0.count) }
    guard case .unavailable("no nftables") = try client.list() else { throw client.failure(.unexpectedAnswer) }
    #expect(client.isOpen)
  }
}
