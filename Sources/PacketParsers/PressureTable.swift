// What presses on hosts, in steps of `Limits.pressureInterval` of packet time: connections that were opened and neither confirmed nor refused,
// and datagrams that nobody answered. A flow is told when it is over, a flood must be told while it lasts.
// What must stay true: it costs nothing for a packet of a known connection; a table of `Limits.pressureTargets` hosts, searched in order, so that
// what is told does not depend on any hash.
import Primitives

/// One host in one interval, told where it is under pressure.
public struct PressureRecord: Equatable, Sendable {
  public var destination: AddressBits
  public var isIPv6: Bool
  public var isTCP: Bool
  /// The end of the interval.
  public var time: EventTime
  public var unanswered: UInt64
  /// Confirmed connections, or answered datagrams, in such a time, as a moving mean.
  public var usual: UInt64
  /// Different sources, at most 256 told apart.
  public var sources: UInt64
  public var bytes: UInt64
  /// Datagrams from services that answer with much more than they were asked.
  public var reflected: UInt64
  /// What more than half of it went to; nil: nothing has as much.
  public var port: UInt16?
}

struct PressureTable {
  struct Side {
    var opened: UInt64 = 0
    var relieved: UInt64 = 0
    var bytes: UInt64 = 0
    var reflected: UInt64 = 0
    /// Sixteenths.
    var usual: UInt64 = 0
    var sources: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    /// The majority vote (Boyer, Moore 1981) of ports, and how many had the one that stands.
    var port: UInt16 = 0
    var lead: Int64 = 0
    var portCount: UInt64 = 0

    mutating func add(_ source: AddressBits, _ destinationPort: UInt16, _ byteCount: Int) {
      opened &+= 1
      bytes &+= UInt64(byteCount)
      if lead == 0 {
        port = destinationPort
        portCount = 0
      }
      lead += port == destinationPort ? 1 : -1
      if port == destinationPort { portCount &+= 1 }
      var x = (source.high &+ source.low) &* 0xff51_afd7_ed55_8ccd
      x ^= x >> 29
      let bit: UInt64 = 1 << (x & 63)
      switch x >> 6 & 3 {
      case 0: sources.0 |= bit
      case 1: sources.1 |= bit
      case 2: sources.2 |= bit
      default: sources.3 |= bit
      }
    }
    var sourceCount: UInt64 {
      UInt64(sources.0.nonzeroBitCount + sources.1.nonzeroBitCount + sources.2.nonzeroBitCount + sources.3.nonzeroBitCount)
    }
    var unanswered: UInt64 { opened > relieved ? opened - relieved : 0 }

    mutating func close(isPressed: Bool) {
      // What is unusual is not learned.
      if !isPressed { usual = usual - usual / 8 + relieved * 2 }
      let kept = usual
      self = Side()
      usual = kept
    }
  }
  private struct Entry {
    var host: AddressBits
    var isIPv6: Bool
    var touched: UInt64
    var tcp = Side()
    var udp = Side()
  }
  private var entries: [Entry] = []
  private var touches: UInt64 = 0
  private var intervalEnd = Int64.min
  private(set) var evicted: UInt64 = 0
  /// What the closed intervals tell; whoever calls takes and empties it.
  var records: [PressureRecord] = []

  /// Services that were used to amplify (CISA TA14-017A): of them a datagram is an answer.
  private static let reflectors: [UInt16] = [17, 19, 53, 69, 111, 123, 137, 161, 389, 520, 1900, 3283, 3702, 5353, 5683, 10001, 11211, 27015, 37810]

  /// To be called for each packet: closes intervals that have passed.
  @inline(__always)
  mutating func advance(to now: Int64) { if now >= intervalEnd { close(now) } }

  /// No packet will come any more: the interval that is open is told as it stands.
  mutating func finish() { if intervalEnd != .min { close(intervalEnd) } }

  private mutating func close(_ now: Int64) {
    let span = Limits.pressureInterval.count
    if intervalEnd != .min {
      for index in entries.indices { close(index, EventTime(nanoseconds: intervalEnd)) }
    }
    let (next, overflow) = (now - now % span).addingReportingOverflow(span)
    intervalEnd = overflow ? .max : next
  }

  private mutating func close(_ index: Int, _ time: EventTime) {
    let entry = entries[index]
    func record(_ side: Side, isTCP: Bool) -> PressureRecord {
      PressureRecord(
        destination: entry.host, isIPv6: entry.isIPv6, isTCP: isTCP, time: time, unanswered: side.unanswered, usual: side.usual / 16,
        sources: side.sourceCount, bytes: side.bytes, reflected: side.reflected, port: side.portCount * 2 > side.opened ? side.port : nil)
    }
    let isPressed = (entry.tcp.unanswered >= Limits.pressureConnections, entry.udp.unanswered >= Limits.pressureDatagrams)
    if isPressed.0 { records.append(record(entry.tcp, isTCP: true)) }
    if isPressed.1 { records.append(record(entry.udp, isTCP: false)) }
    entries[index].tcp.close(isPressed: isPressed.0)
    entries[index].udp.close(isPressed: isPressed.1)
  }

  // MARK: What happened

  mutating func opened(_ packet: Packet) {
    let index = place(packet.destination, packet.isIPv6)
    entries[index].tcp.add(packet.source, packet.destinationPort, packet.ipBytes)
  }
  /// A connection to `host` was confirmed, or refused by it.
  mutating func relieved(_ host: AddressBits, isIPv6: Bool) {
    if let index = find(host, isIPv6) { entries[index].tcp.relieved &+= 1 }
  }
  /// A datagram of a side that got no answer so far. What one flow sent before its first answer stays counted: it is little.
  mutating func unanswered(_ packet: Packet) {
    let index = place(packet.destination, packet.isIPv6)
    entries[index].udp.add(packet.source, packet.destinationPort, packet.ipBytes)
    if PressureTable.reflectors.contains(packet.sourcePort) { entries[index].udp.reflected &+= 1 }
  }

  @inline(__always)
  private func find(_ host: AddressBits, _ isIPv6: Bool) -> Int? {
    for index in entries.indices where entries[index].host == host && entries[index].isIPv6 == isIPv6 { return index }
    return nil
  }
  private mutating func place(_ host: AddressBits, _ isIPv6: Bool) -> Int {
    touches &+= 1
    if let index = find(host, isIPv6) {
      entries[index].touched = touches
      return index
    }
    let entry = Entry(host: host, isIPv6: isIPv6, touched: touches)
    guard entries.count >= Limits.pressureTargets else {
      entries.append(entry)
      return entries.count - 1
    }
    var oldest = 0
    for index in entries.indices where entries[index].touched < entries[oldest].touched { oldest = index }
    evicted &+= 1
    entries[oldest] = entry
    return oldest
  }
}
