// Flows and the two ends of messages as fields of an event (ECS names).
import Events
import Primitives

extension Flow {
  /// The name in `network.transport`; nil for what has none there.
  public var transportName: StaticString? {
    switch ipProtocol {
    case IPProtocol.tcp: "tcp"
    case IPProtocol.udp: "udp"
    case IPProtocol.icmp: "icmp"
    case IPProtocol.icmpv6: "ipv6-icmp"
    case IPProtocol.sctp: "sctp"
    default: nil
    }
  }

  /// Sets the ends, the transport, the VLAN and the community id. `source` is the client: the originator, unless the client's messages go the
  /// other way (`ApplicationMessage.clientDirection`).
  public func appendEnds(to event: inout Event, clientDirection: FlowDirection = .toResponder, scratch: inout [UInt8]) {
    let isTurned = clientDirection == .toOriginator
    let (source, destination) = isTurned ? (responder, originator) : (originator, responder)
    event.set(.sourceIP, source.address(isIPv6: isIPv6))
    event.set(.destinationIP, destination.address(isIPv6: isIPv6))
    if hasPorts || ipProtocol == IPProtocol.sctp {
      event.set(.sourcePort, Int64(isTurned ? responderPort : originatorPort))
      event.set(.destinationPort, Int64(isTurned ? originatorPort : responderPort))
    }
    event.set(.networkType, isIPv6 ? "ipv6" as StaticString : "ipv4")
    if let name = transportName { event.set(.networkTransport, name) }
    if vlan != 0 { event.set(.networkVLAN, Int64(vlan)) }
    scratch.removeAll(keepingCapacity: true)
    appendCommunityID(to: &scratch)
    scratch.withUnsafeBytes { event.set(.networkCommunityID, $0) }
  }
}

extension FlowRecord {
  /// Makes `event` the flow's: its time is that of the last packet, `event.duration` reaches back to the first one.
  public func appendFields(to event: inout Event, scratch: inout [UInt8]) {
    event.time = flow.lastTime
    flow.appendEnds(to: &event, scratch: &scratch)
    event.set(.eventCategory, "network" as StaticString)
    event.set(.eventAction, "network_flow" as StaticString)
    event.set(.eventDataset, "network_traffic.flow" as StaticString)
    event.set(.eventDuration, flow.lastTime.nanoseconds &- flow.firstTime.nanoseconds)
    event.set(.frameNumber, Int64(clamping: flow.firstFrame))
    if let name = flow.protocolName { event.set(.networkProtocol, name.name) }
    if let state = flow.connectionState {
      event.set(.flowState, state.name)
      // Without a SYN the flags tell a scan from a connection whose beginning was not seen.
      if state == .oth {
        scratch.removeAll(keepingCapacity: true)
        flow.toResponder.flags.appendLetters(to: &scratch)
        scratch.withUnsafeBytes { event.setExtra(Bytes("panguard.flow.source_flags"), $0) }
      }
    }
    if flow.ipProtocol == IPProtocol.icmp || flow.ipProtocol == IPProtocol.icmpv6 {
      event.set(.icmpType, Int64(flow.originatorPort))
      event.set(.icmpCode, Int64(flow.icmpCode))
      event.set(.icmpPayloadBytes, Int64(flow.mostPayloadBytes))
    }
    let (out, back) = (flow.toResponder, flow.toOriginator)
    event.set(.sourcePackets, Int64(clamping: out.packets))
    event.set(.sourceBytes, Int64(clamping: out.bytes))
    event.set(.destinationPackets, Int64(clamping: back.packets))
    event.set(.destinationBytes, Int64(clamping: back.bytes))
    event.set(.networkPackets, Int64(clamping: out.packets &+ back.packets))
    event.set(.networkBytes, Int64(clamping: out.bytes &+ back.bytes))
    event.set(.flowEnd, end.name)
    if let name = flow.tunnel.name { event.set(.flowTunnel, name) }
    if flow.transportName == nil {
      scratch.removeAll(keepingCapacity: true)
      scratch.append(decimal: Int64(flow.ipProtocol))
      scratch.withUnsafeBytes { event.setExtra(Bytes("network.iana_number"), $0) }
    }
  }
}

extension TCPFlags {
  /// F, S, R, P, A, U in this order, or "none".
  func appendLetters(to out: inout [UInt8]) {
    if isDisjoint(with: [.fin, .syn, .rst, .psh, .ack, .urg]) { return out.append("none") }
    for (bit, letter) in "FSRPAU".utf8.enumerated() where rawValue >> UInt8(bit) & 1 == 1 { out.append(letter) }
  }
}

extension Tunnel {
  public var name: StaticString? {
    switch self {
    case .none: nil
    case .ipInIP: "ip-in-ip"
    case .gre: "gre"
    case .vxlan: "vxlan"
    case .geneve: "geneve"
    }
  }
}
