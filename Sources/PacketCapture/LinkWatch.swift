// The interfaces of this host by number, and which of them come and go (rtnetlink(7)). Opened while there are privileges; afterwards only
// read. Messages are the kernel's, and still nothing in them is believed without a look at its length.
import CNetlink
import CPcap
import Glibc
import Primitives

struct LinkChange: Equatable {
  var index: UInt32
  var name: String
  /// It exists and is up.
  var isUp: Bool
}

final class LinkWatch {
  let descriptor: Int32
  private var names: [UInt32: String] = [:]
  private var buffer = [UInt8](repeating: 0, count: 64 * 1024)
  /// Messages that the kernel could not deliver: a name may be out of date.
  private(set) var lost: UInt64 = 0

  init() throws(CaptureFailure) {
    descriptor = socket(AF_NETLINK, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), NETLINK_ROUTE)
    guard descriptor >= 0 else { throw CaptureFailure("netlink: \(String(cString: strerror(errno)))") }
    var address = sockaddr_nl()
    address.nl_family = sa_family_t(AF_NETLINK)
    address.nl_groups = UInt32(RTMGRP_LINK)
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_nl>.size)) }
    }
    guard bound == 0 else { throw CaptureFailure("netlink: \(String(cString: strerror(errno)))") }
    guard let list = if_nameindex() else { return }
    defer { if_freenameindex(list) }
    var entry = list
    while entry.pointee.if_index != 0, let name = entry.pointee.if_name, names.count < Limits.knownInterfaces {
      names[entry.pointee.if_index] = String(cString: name)
      entry += 1
    }
  }
  deinit { close(descriptor) }

  /// The name of an interface, or "if" and its number.
  func name(_ index: UInt32) -> String { names[index] ?? "if\(index)" }

  /// What changed since the last call.
  func changes() -> [LinkChange] {
    var changes: [LinkChange] = []
    for _ in 0..<64 {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count < 0, errno == ENOBUFS { lost &+= 1 }
      guard count > 0 else { break }
      changes += buffer.withUnsafeBytes { LinkWatch.parse($0.upTo(count)) }
    }
    for change in changes {
      if names[change.index] != nil || names.count < Limits.knownInterfaces { names[change.index] = change.name }
    }
    return changes
  }

  /// IFF_UP of netdevice(7).
  private static let isUpFlag: UInt32 = 1

  /// Of a bunch of netlink messages, those about interfaces. nlmsghdr: length u32, type u16, 10 bytes; ifinfomsg: 4 bytes, index i32, flags
  /// u32, 4 bytes; then attributes: length u16, type u16, value, each at a multiple of 4. All in the host's byte order.
  static func parse(_ bytes: Bytes) -> [LinkChange] {
    var changes: [LinkChange] = []
    var at = 0
    while bytes.count - at >= 32 {
      let length = Int(bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
      guard length >= 16, length <= bytes.count - at else { break }
      let type = Int32(bytes.loadUnaligned(fromByteOffset: at + 4, as: UInt16.self))
      if length >= 32, type == RTM_NEWLINK || type == RTM_DELLINK {
        let index = bytes.loadUnaligned(fromByteOffset: at + 20, as: UInt32.self)
        let flags = bytes.loadUnaligned(fromByteOffset: at + 24, as: UInt32.self)
        if let name = name(bytes.slice(at + 32, at + length)) {
          changes.append(LinkChange(index: index, name: name, isUp: type == RTM_NEWLINK && flags & LinkWatch.isUpFlag != 0))
        }
      }
      at += (length + 3) & ~3
    }
    return changes
  }

  private static func name(_ attributes: Bytes) -> String? {
    var at = 0
    while attributes.count - at >= 4 {
      let length = Int(attributes.loadUnaligned(fromByteOffset: at, as: UInt16.self))
      guard length >= 4, length <= attributes.count - at else { return nil }
      let interfaceName: UInt16 = 3  // IFLA_IFNAME
      if attributes.loadUnaligned(fromByteOffset: at + 2, as: UInt16.self) == interfaceName {
        let text = attributes.slice(at + 4, at + length).prefix { $0 != 0 }
        return text.isEmpty ? nil : String(decoding: text, as: UTF8.self)
      }
      at += (length + 3) & ~3
    }
    return nil
  }
}
