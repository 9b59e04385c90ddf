// A client inside that uses a service of the Internet (a port) that nobody inside has used before: few ports are in use on a machine, and the
// first connection to 3333, 4444 or 6667 is worth a line. It is no alarm by itself; rules add it to what else is known of the peer.
// Memory: two bits for each port of TCP and of UDP (16 KiB each); nothing is evicted. Told at most `mostPerDay` times in a day: a peer-to-peer
// program uses every port there is.
import Events
import Primitives

struct NewService: ~Copyable {
  /// Ports of TCP, then of UDP.
  static let places = 2 * 65_536
  private var used = [UInt64](repeating: 0, count: NewService.places / 64)
  /// What is in use was learned by an earlier run.
  private var isResumed = false
  private var day: Int64 = 0
  private var told = 0
  private(set) var suppressed: UInt64 = 0
  static let mostPerDay = 20

  func forEachUsed(_ body: (Int) -> Void) {
    for (index, word) in used.enumerated() where word != 0 {
      for bit in 0..<64 where word & 1 << UInt64(bit) != 0 { body(index * 64 + bit) }
    }
  }
  /// `place`: below `places`.
  mutating func takeUsed(_ place: Int) {
    used[place >> 6] |= 1 << UInt64(place & 63)
    isResumed = true
  }

  mutating func observe(_ flow: FlowFacts, _ name: ServerName, at time: EventTime, isLearning: Bool, into findings: inout [NetworkFinding]) {
    guard flow.outcome == .answered, flow.transport == .tcp || flow.transport == .udp, flow.destinationPort > 0 else { return }
    let place = Int(flow.destinationPort) + (flow.transport == .udp ? 65_536 : 0)
    let mask: UInt64 = 1 << UInt64(place & 63)
    if used[place >> 6] & mask != 0 { return }
    used[place >> 6] |= mask
    // A port above these that both ends chose is no service.
    guard !isLearning || isResumed, flow.destinationPort < 32_768 else { return }
    let today = time.nanoseconds / Nanoseconds.days(1).count
    if today != day { (day, told) = (today, 0) }
    guard told < NewService.mostPerDay else {
      suppressed &+= 1
      return
    }
    told += 1
    var finding = NetworkFinding(
      "new-destination", reason: "first-use-of-port", trust: flow.trust, firstTime: flow.firstTime, lastTime: flow.lastTime, about: flow, name)
    finding.destinationPort = Int64(flow.destinationPort)
    finding.transport = flow.transport == .tcp ? "tcp" : "udp"
    findings.append(finding)
  }
}
