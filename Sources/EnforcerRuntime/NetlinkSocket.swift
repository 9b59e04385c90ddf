// One netlink socket: questions that are answered with a list, and transactions that are answered with an errno. Blocking, with a time-out;
// the kernel answers within the call, so that waiting is the exception.
import CNetlink
import Enforcement
import Glibc
import Primitives

struct NetlinkError: Error, Hashable, Sendable, CustomStringConvertible {
  var code: Int32
  var during: String
  var description: String { "\(during): \(String(cString: strerror(code)))" }
}

final class NetlinkSocket {
  let descriptor: Int32
  private var sequence: UInt32 = 0
  private var buffer = [UInt8](repeating: 0, count: Limits.netlinkMessageBytes)
  /// Bytes that one message to the kernel may have.
  private(set) var sendLimit: Int

  /// `groups`: multicast groups to listen to, as a bit mask.
  init(protocol number: Int32, groups: UInt32 = 0, sendBytes: Int32 = 0) throws(NetlinkError) {
    let descriptor = socket(AF_NETLINK, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), number)
    guard descriptor >= 0 else { throw NetlinkError(code: errno, during: "netlink socket") }
    self.descriptor = descriptor
    sendLimit = 0
    var address = sockaddr_nl()
    address.nl_family = sa_family_t(AF_NETLINK)
    address.nl_groups = groups
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_nl>.size)) }
    }
    guard bound == 0 else { throw NetlinkError(code: errno, during: "netlink bind") }
    var timeout = timeval(tv_sec: 5, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    var size = sendBytes
    let length = socklen_t(MemoryLayout<Int32>.size)
    // SO_SNDBUFFORCE needs CAP_NET_ADMIN of the whole machine; without it the system's limit holds, and transactions are split.
    if size > 0, setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &size, length) != 0 {
      setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, length)
    }
    var effective: Int32 = 0
    var effectiveLength = length
    getsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &effective, &effectiveLength)
    sendLimit = Int(effective)
  }
  deinit { close(descriptor) }

  func nextSequence(_ count: UInt32 = 1) -> UInt32 {
    defer { sequence &+= count }
    return sequence &+ 1
  }

  /// Asks, and hands every message of the answer to `take`. A list that changed while it was read is read again.
  func ask(
    _ during: String, _ request: (UInt32) -> [UInt8], begin: () -> Void = {}, _ take: (NetlinkMessage) -> Void
  ) throws(NetlinkError) {
    for _ in 0..<4 {
      begin()
      let number = nextSequence()
      try send(request(number), during)
      if try collect(number, during, take) { return }
    }
    throw NetlinkError(code: EINTR, during: during)
  }

  /// False: the list was changed meanwhile.
  private func collect(_ number: UInt32, _ during: String, _ take: (NetlinkMessage) -> Void) throws(NetlinkError) -> Bool {
    var isConsistent = true
    while true {
      let count = try receive(during, flags: 0)
      var isEnd = false
      var failure: Int32 = 0
      buffer.withUnsafeBytes {
        for message in NetlinkMessages($0.upTo(count)) where message.sequence == number {
          if message.flags & UInt16(NLM_F_DUMP_INTR) != 0 { isConsistent = false }
          if let code = message.errorCode {
            failure = code
            isEnd = true
          } else if message.isDone {
            // What ended the list early stands in its last message.
            if message.body.count >= 4 { failure = 0 &- message.body.loadUnaligned(as: Int32.self) }
            isEnd = true
          } else {
            take(message)
            if message.flags & UInt16(NLM_F_MULTI) == 0 { isEnd = true }
          }
        }
      }
      if failure != 0 { throw NetlinkError(code: failure, during: during) }
      if isEnd { return isConsistent }
    }
  }

  /// Sends one transaction, whose last message `acknowledged` the kernel acknowledges.
  func transact(_ during: String, _ bytes: [UInt8], acknowledged: UInt32) throws(NetlinkError) {
    sequence = acknowledged &+ 1
    try send(bytes, during)
    var failure: Int32 = 0
    while true {
      let count = try receive(during, flags: 0)
      var isAcknowledged = false
      buffer.withUnsafeBytes {
        for message in NetlinkMessages($0.upTo(count)) {
          guard let code = message.errorCode else { continue }
          if code != 0, failure == 0 { failure = code }
          if message.sequence == acknowledged { isAcknowledged = true }
        }
      }
      if failure != 0 {
        // What else was refused is waiting already, and must not be taken for an answer to the next one.
        while (try? receive(during, flags: Int32(MSG_DONTWAIT))) != nil {}
        throw NetlinkError(code: failure, during: during)
      }
      if isAcknowledged { return }
    }
  }

  /// Takes what waits, without waiting for it. True if it may matter: something `matters`, or messages were lost.
  func drain(_ matters: (NetlinkMessage) -> Bool) -> Bool {
    var result = false
    while true {
      do throws(NetlinkError) {
        let count = try receive("notifications", flags: Int32(MSG_DONTWAIT))
        buffer.withUnsafeBytes { for message in NetlinkMessages($0.upTo(count)) where matters(message) { result = true } }
      } catch {
        if error.code == ENOBUFS {
          result = true
          continue
        }
        return result
      }
    }
  }

  private func send(_ bytes: [UInt8], _ during: String) throws(NetlinkError) {
    guard Glibc.send(descriptor, bytes, bytes.count, 0) == bytes.count else { throw NetlinkError(code: errno, during: during) }
  }
  /// Only the kernel is believed: any process may send to a netlink socket.
  private func receive(_ during: String, flags: Int32) throws(NetlinkError) -> Int {
    while true {
      var from = sockaddr_nl()
      var length = socklen_t(MemoryLayout<sockaddr_nl>.size)
      let count = withUnsafeMutablePointer(to: &from) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { recvfrom(descriptor, &buffer, buffer.count, flags, $0, &length) }
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw NetlinkError(code: count == 0 ? EPIPE : errno, during: during) }
      if from.nl_pid == 0 { return count }
    }
  }
}
