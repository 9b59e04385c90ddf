// What this host is at this moment: its addresses, default gateways, resolvers, and who is logged in over the network. I/O.
// What must stay true: a fact is never older than the request that is checked with it: addresses and routes are watched (rtnetlink) and
// read again after any change, files after any change of their state, sessions for every request; a list that cannot be read makes `unknown`,
// and then nothing is blocked. Where only sshd's ports are unclear, more counts as a session instead, and `remarks` says so.
import CNetlink
import Enforcement
import Glibc
import Primitives

final class HostFacts {
  private let watch: NetlinkSocket
  private let routes: NetlinkSocket
  private let sockets: NetlinkSocket
  private let configuredPorts: [UInt16]
  private let files: WatchedFiles
  private var sessions: AdminSessions
  private let configuredGrace: Nanoseconds
  private var isStale = true
  private(set) var facts = ProtectedSet.Facts()
  private(set) var ports: Set<UInt16> = []
  /// Ports that were administration's when sessions began that are still there.
  private var livePorts: Set<UInt16> = []
  /// What the operator should know, though blocking goes on.
  private(set) var remarks: [String] = []

  /// Readable when something changed.
  var descriptor: Int32 { watch.descriptor }

  init(ports: [UInt16], rule: AdminSessions.Rule, grace: Nanoseconds, files: WatchedFiles = WatchedFiles()) throws(NetlinkError) {
    let groups = UInt32(RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE)
    // Next hops as objects of their own came with Linux 5.3; an older kernel leaves groups out that it does not know.
    let nextHops = UInt32(1) << (RTNLGRP_NEXTHOP.rawValue - 1)
    watch = try NetlinkSocket(protocol: NETLINK_ROUTE, groups: groups | nextHops)
    routes = try NetlinkSocket(protocol: NETLINK_ROUTE)
    sockets = try NetlinkSocket(protocol: NETLINK_SOCK_DIAG)
    configuredPorts = ports
    self.files = files
    configuredGrace = grace
    sessions = AdminSessions(rule: rule, grace: grace)
  }

  /// The facts as they are now. `now`: monotonic.
  func current(now: UInt64, isBlocked: (IPAddress) -> Bool) -> ProtectedSet.Facts {
    if watch.drain(HostFacts.matters) { isStale = true }
    do throws(NetlinkError) {
      if isStale {
        facts.ownAddresses = try ownAddresses()
        facts.gateways = try gateways()
        isStale = false
      }
      facts.resolvers = files.resolvers()
      facts.sessionPeers = try sessionPeers(now: now, isBlocked: isBlocked)
      facts.unknown = files.failure
    } catch {
      isStale = true
      facts.unknown = error.description
    }
    return facts
  }

  private func sessionPeers(now: UInt64, isBlocked: (IPAddress) -> Bool) throws(NetlinkError) -> [IPAddress] {
    let sshd = files.sshd(now: now)
    let named = sshd.ports.union(configuredPorts)
    guard named.count <= Limits.administrationPorts else { throw NetlinkError(code: E2BIG, during: "\(named.count) administration ports") }
    ports = named.union(livePorts)
    let logins = files.logins()
    remarks = []
    if let reason = sshd.unclear {
      remarks.append(
        "sshd's ports are not known for certain (\(reason)): marked connections count as sessions on every port; name the ports in admin_ports,"
          + " or let the enforcer's user read it")
    }
    if sshd.loginGrace == 0 {
      remarks.append("sshd's LoginGraceTime is 0: its connections do not become sessions by their age")
    }
    sessions.grace = HostFacts.graces(sshd, configured: Set(configuredPorts), configuredGrace)
    try listSessions(isEveryPort: sshd.unclear != nil)
    return sessions.finish(logins: logins, now: now, isBlocked: isBlocked)
  }

  /// On sshd's ports a connection is a session by age once sshd would have closed it; where sshd never does, none is. On other ports the
  /// configured age holds.
  private static func graces(_ sshd: SSHDFacts, configured: Set<UInt16>, _ grace: Nanoseconds) -> @Sendable (UInt16) -> Nanoseconds? {
    let ofSSHD = sshd.loginGrace == 0 ? nil : max(grace, .seconds(Int64(sshd.loginGrace ?? 0) + 30))
    let others = configured.subtracting(sshd.ports)
    return { others.contains($0) ? grace : ofSSHD }
  }

  /// An address, a next hop, or a default route; other routes come and go without meaning anything here.
  private static func matters(_ message: NetlinkMessage) -> Bool {
    switch Int(message.type) {
    case Int(RTM_NEWADDR), Int(RTM_DELADDR), Int(RTM_NEWNEXTHOP), Int(RTM_DELNEXTHOP): true
    case Int(RTM_NEWROUTE), Int(RTM_DELROUTE): message.body.count >= 2 && message.body[1] <= 1
    default: false
    }
  }

  // MARK: Lists of the kernel

  private func dump(_ type: Int32, family: Int32, headerBytes: Int, _ during: String, _ take: (NetlinkMessage) -> Void) throws(NetlinkError) {
    do {
      try routes.ask(
        during,
        { sequence in
          var out = NetlinkWriter()
          out.begin(type: UInt16(type), flags: UInt16(NLM_F_REQUEST | NLM_F_DUMP), sequence: sequence)
          out.raw([UInt8(family)] + [UInt8](repeating: 0, count: headerBytes - 1))
          out.finish()
          return out.bytes
        }, take)
    } catch {
      // A kernel without IPv6 has nothing to protect there.
      if family == AF_INET6, [EOPNOTSUPP, EAFNOSUPPORT, ENOENT].contains(error.code) { return }
      throw error
    }
  }

  private func ownAddresses() throws(NetlinkError) -> [IPAddress] {
    var list: Set<IPAddress> = []
    for family in [AF_INET, AF_INET6] {
      try dump(Int32(RTM_GETADDR), family: family, headerBytes: 8, "listing own addresses") { message in
        guard Int(message.type) == Int(RTM_NEWADDR), message.body.count >= 8 else { return }
        let attributes = message.attributes(after: 8)
        // On a point-to-point link IFA_ADDRESS is the other end.
        if let own = (attributes.first(UInt32(IFA_LOCAL)) ?? attributes.first(UInt32(IFA_ADDRESS)))?.address { list.insert(own) }
      }
    }
    return list.sorted()
  }

  private func gateways() throws(NetlinkError) -> [IPAddress] {
    var list: Set<IPAddress> = []
    var objects: Set<UInt32> = []
    for family in [AF_INET, AF_INET6] {
      try dump(Int32(RTM_GETROUTE), family: family, headerBytes: 12, "listing routes") { message in
        // 0.0.0.0/0, or the two halves that a VPN lays over it.
        guard Int(message.type) == Int(RTM_NEWROUTE), message.body.count >= 12, message.body[1] <= 1 else { return }
        let attributes = message.attributes(after: 12)
        HostFacts.gateways(attributes, into: &list)
        if let id = attributes.first(UInt32(RTA_NH_ID.rawValue)), id.count == 4 { objects.insert(id.loadUnaligned(as: UInt32.self)) }
      }
    }
    if !objects.isEmpty { list.formUnion(try NextHops(list: self.dump).gateways(of: objects)) }
    return list.sorted()
  }
  private static func gateways(_ attributes: NetlinkAttributes, into list: inout Set<IPAddress>) {
    for (type, value) in attributes {
      switch type {
      case UInt32(RTA_GATEWAY.rawValue): if let address = value.address { list.insert(address) }
      case UInt32(RTA_VIA.rawValue): if let address = value.from(2).address { list.insert(address) }
      case UInt32(RTA_MULTIPATH.rawValue):
        // struct rtnexthop: its length, flags, hops, interface; then attributes.
        var rest = value
        while rest.count >= 8, case let length = Int(rest.loadUnaligned(as: UInt16.self)), length >= 8, length <= rest.count {
          for (type, value) in NetlinkAttributes(rest.slice(8, length)) {
            if type == UInt32(RTA_GATEWAY.rawValue), let address = value.address { list.insert(address) }
            if type == UInt32(RTA_VIA.rawValue), let address = value.from(2).address { list.insert(address) }
          }
          rest = rest.from((length + 3) / 4 * 4)
        }
      default: break
      }
    }
  }

  /// Established TCP connections to our administration ports, or to all. sock_diag(7): struct inet_diag_req_v2, struct inet_diag_msg.
  private func listSessions(isEveryPort: Bool) throws(NetlinkError) {
    sessions.begin()
    var found: Set<UInt16> = []
    let known = ports
    for port in isEveryPort ? [0] : known.sorted() {
      for family in [AF_INET, AF_INET6] {
        try sockets.ask("listing sessions", { HostFacts.socketRequest(family: UInt8(family), port: port, sequence: $0) }) {
          guard let connection = HostFacts.connection($0, port: port) else { return }
          let isAdministration = known.contains(connection.localPort)
          if isAdministration { found.insert(connection.localPort) }
          sessions.add(connection, isAdministration: isAdministration)
        }
      }
    }
    livePorts = found
  }
  private static func socketRequest(family: UInt8, port: UInt16, sequence: UInt32) -> [UInt8] {
    var out = NetlinkWriter()
    out.begin(type: UInt16(SOCK_DIAG_BY_FAMILY), flags: UInt16(NLM_F_REQUEST | NLM_F_DUMP), sequence: sequence)
    let wanted = UInt8(1 << (INET_DIAG_TOS - 1) | 1 << (INET_DIAG_TCLASS - 1))
    out.raw([family, UInt8(IPPROTO_TCP), wanted, 0])
    out.host(UInt32(1 << 1))  // TCP_ESTABLISHED
    out.big(port)
    out.raw([UInt8](repeating: 0, count: MemoryLayout<inet_diag_req_v2>.size - 10))
    out.finish()
    return out.bytes
  }
  private static func connection(_ message: NetlinkMessage, port: UInt16) -> AdminSessions.Connection? {
    let size = MemoryLayout<inet_diag_msg>.size
    guard message.body.count >= size, let local = message.body.slice(4, 6).bigEndian(UInt16.self), port == 0 || local == port,
      let peerPort = message.body.slice(6, 8).bigEndian(UInt16.self),
      let peer = message.body.slice(24, Int32(message.body[0]) == AF_INET ? 28 : 40).address
    else { return nil }
    var service: UInt8 = 0
    for (type, value) in message.attributes(after: size) where value.count >= 1 {
      if type == UInt32(INET_DIAG_TOS) || type == UInt32(INET_DIAG_TCLASS) { service |= value[0] & 0xfc }
    }
    return AdminSessions.Connection(peer: peer, peerPort: peerPort, localPort: local, typeOfService: service)
  }
}
