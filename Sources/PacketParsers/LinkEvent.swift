// Pressure on a host and news of ARP as fields of an event.
import Events
import Primitives

extension PressureRecord {
  public func appendFields(to event: inout Event, scratch: inout [UInt8]) {
    event.time = time
    event.set(.eventCategory, "network" as StaticString)
    event.set(.eventDataset, "network_traffic.pressure" as StaticString)
    event.set(.eventAction, "traffic-pressure" as StaticString)
    event.set(.eventDuration, Limits.pressureInterval.count)
    event.set(.destinationIP, destination.address(isIPv6: isIPv6))
    if let port { event.set(.destinationPort, Int64(port)) }
    event.set(.networkTransport, isTCP ? "tcp" as StaticString : "udp")
    for (name, value) in [
      ("panguard.pressure.unanswered" as StaticString, unanswered), ("panguard.pressure.usual", usual), ("panguard.pressure.sources", sources),
      ("panguard.pressure.bytes", bytes), ("panguard.pressure.reflected", reflected),
    ] {
      scratch.removeAll(keepingCapacity: true)
      scratch.append(decimal: Int64(clamping: value))
      scratch.withUnsafeBytes { event.setExtra(Bytes(name), $0) }
    }
  }
}

extension ARPNews {
  public func appendFields(to event: inout Event, scratch: inout [UInt8]) {
    event.time = time
    event.set(.eventCategory, "network" as StaticString)
    event.set(.eventDataset, "network_traffic.arp" as StaticString)
    event.set(.networkProtocol, "arp" as StaticString)
    event.set(.sourceIP, IPAddress(v4: address))
    ARPNews.setMAC(mac, &scratch) { event.set(.sourceMac, $0) }
    switch kind {
    case .asked(let target, let isAnswered):
      event.set(.eventAction, "arp-request" as StaticString)
      event.set(.eventOutcome, isAnswered ? "success" as StaticString : "failure")
      event.set(.destinationIP, IPAddress(v4: target))
    case .changed(let previous, let isUnsolicited):
      event.set(.eventAction, "arp-binding-changed" as StaticString)
      if isUnsolicited { event.set(.eventReason, "unsolicited" as StaticString) }
      ARPNews.setMAC(previous, &scratch) { event.setExtra(Bytes("panguard.arp.previous_mac"), $0) }
    case .insisted:
      event.set(.eventAction, "arp-claim" as StaticString)
      event.set(.eventReason, "unsolicited" as StaticString)
    }
  }

  /// As ECS has it: six pairs of capital hexadecimal digits with hyphens (RFC 7042).
  private static func setMAC(_ mac: UInt64, _ scratch: inout [UInt8], _ set: (Bytes) -> Void) {
    scratch.removeAll(keepingCapacity: true)
    for shift in stride(from: 44, through: 0, by: -4) {
      let digit = UInt8(truncatingIfNeeded: mac >> UInt64(shift) & 0xf)
      scratch.append(digit < 10 ? 0x30 + digit : 0x37 + digit)
      if shift & 7 == 0, shift != 0 { scratch.append(0x2d) }
    }
    scratch.withUnsafeBytes { set($0) }
  }
}
