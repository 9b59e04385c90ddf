// What the tests see of one frame.
import PacketParsers
import Primitives

@testable import PanguardTestKit

/// What the tests see of a packet, without pointers.
func decode(_ frame: Octets, _ type: LinkType = .ethernet) -> (packet: Packet, payload: Octets) {
  var packet = Packet()
  // A copy of exactly the frame's size: an address sanitizer sees a read beyond it.
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, frame.count), alignment: 1)
  defer { memory.deallocate() }
  memory.copyBytes(from: frame)
  PacketDecoder.decode(Bytes(start: memory.baseAddress, count: frame.count), linkType: type, into: &packet)
  let payload = Octets(packet.payload)
  packet.payload = .none
  return (packet, payload)
}

extension Packet {
  /// "10.0.0.1:1 > 192.0.2.1:53 udp", or what it is instead.
  var summary: String {
    if error != .none { return "error \(error.name)" }
    if isARP { return "arp \(arp.operation) \(IPAddress(v4: arp.senderAddress)) \(IPAddress(v4: arp.targetAddress))" }
    guard isIP else { return "not IP" }
    let ends = (source.address(isIPv6: isIPv6), destination.address(isIPv6: isIPv6))
    if let fragment {
      return "\(ends.0) > \(ends.1) protocol \(ipProtocol) piece \(fragment.identification) at \(fragment.offset)\(fragment.isLast ? " last" : "")"
    }
    guard hasTransport else { return "\(ends.0) > \(ends.1) protocol \(ipProtocol)" }
    let names: [UInt8: String] = [1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"]
    return "\(ends.0):\(sourcePort) > \(ends.1):\(destinationPort) \(names[ipProtocol] ?? "?")\(tunnel == .none ? "" : " in \(tunnel)")"
  }
  var layerNames: String { Packet.names(layers) }
  static func names(_ layers: PacketLayers) -> String {
    PacketLayers.names.filter { layers.contains($0.layer) }.map { "\($0.name)" }.joined(separator: " ")
  }
}
