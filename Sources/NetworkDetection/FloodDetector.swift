// Floods, by the pressure that the capture reports every five seconds (`network_traffic.pressure`), because a flow is told only when it is over.
//
// SYN floods: CUSUM (Wang, Zhang, Shin: Detecting SYN Flooding Attacks, INFOCOM 2002; a = 0.35, N = 1.05) on connections that were asked for and
// neither confirmed nor refused, over what is usual for the host to confirm in such a time, but at least `floor`. SYN minus SYN/ACK would be
// blind: a host behind cookies answers every one. Datagrams: the same on those that nobody answered.
// Silent: what one to three sources send to many ports is a scan, and told as such; a stream of one source to one port is a stream, unless it is
// enormous. What the kernel says of itself (`network_traffic.kernel`: cookies sent, listen queues that overflowed) needs no arithmetic.
// Memory: `Limits.floodTargets` hosts.
import Events
import Primitives

struct FloodDetector: ~Copyable {
  /// Thousandths.
  static let drift: Int64 = 350
  static let threshold: Int64 = 1050
  /// What sums stop at.
  private static let most: Int64 = 1 << 50

  struct Pressure {
    var destination: IPAddress
    /// 0: no port had most of it.
    var destinationPort: Int64
    var isTCP: Bool
    /// Connections opened without confirmation or refusal, or datagrams without an answer.
    var unanswered: Int64
    /// Confirmed connections, or answered datagrams, that are usual in such a time.
    var usual: Int64
    /// At most 256 are told apart.
    var sources: Int64
    var bytes: Int64
    /// Datagrams from ports of services that are known to answer with more than they were asked.
    var reflected: Int64

    init?(_ event: borrowing Event) {
      guard let destination = event.address(.destinationIP), let transport = event.text(.networkTransport) else { return nil }
      self.destination = destination
      destinationPort = event.integer(.destinationPort) ?? 0
      isTCP = transport.equals("tcp")
      func number(_ name: StaticString) -> Int64 { event.extra(Bytes(name))?.decimal.map { max(0, min($0, 1 << 32)) } ?? 0 }
      unanswered = number("panguard.pressure.unanswered")
      usual = number("panguard.pressure.usual")
      sources = number("panguard.pressure.sources")
      bytes = number("panguard.pressure.bytes")
      reflected = number("panguard.pressure.reflected")
    }
  }
  struct Key: TableKey {
    var host: IPAddress
    var isTCP: Bool
  }
  struct State {
    var sum: Int64 = 0
    var lastTime: EventTime
    var firstTime: EventTime
    var total: Int64 = 0
    var reported: Int64 = 0
  }
  private var states = BoundedTable<Key, State>(capacity: Limits.floodTargets)
  private var kernelReportedAt = EventTime.distantPast

  var drops: [(cause: String, count: UInt64)] { [("hosts evicted from the flood detector", states.evictions)] }

  mutating func observe(
    pressure event: borrowing Event, at time: EventTime, _ configuration: NetworkDetectionConfiguration, into findings: inout [NetworkFinding]
  ) {
    guard let pressure = Pressure(event), !pressure.destination.isMulticast else { return }
    let isOwn = configuration.isOwn(pressure.destination)
    guard let floor = FloodDetector.floor(pressure, isOwn: isOwn) else { return }
    states.update(Key(host: pressure.destination, isTCP: pressure.isTCP), make: { State(lastTime: time, firstTime: time) }) { state in
      let missed = (time - state.lastTime).count / Limits.pressureInterval.count
      if missed > 1 {
        state.sum = max(0, state.sum - min(missed, 1 << 20) * FloodDetector.drift)
        if state.sum == 0 { state = State(lastTime: time, firstTime: time) }
      }
      state.lastTime = time
      let excess = pressure.unanswered * 1000 / max(floor, pressure.usual) - FloodDetector.drift
      state.sum = min(max(0, state.sum + excess), FloodDetector.most)
      state.total = min(state.total + pressure.unanswered, FloodDetector.most)
      guard state.sum > FloodDetector.threshold, state.total >= 4 * state.reported else { return }
      state.reported = state.total
      findings.append(FloodDetector.finding(pressure, state, at: time))
    }
  }

  /// What a host may leave unanswered in five seconds without anybody wondering; nil: it has not the shape of a flood.
  private static func floor(_ pressure: Pressure, isOwn: Bool) -> Int64? {
    let isOfFew = pressure.sources <= 3
    if pressure.isTCP {
      if isOfFew, pressure.destinationPort == 0 { return nil }
      // The owner's own hosts, asking one that is down.
      return isOwn || !isOfFew ? 100 : 1000
    }
    if isReflection(pressure) { return 500 }
    return isOfFew ? 100_000 : 2000
  }
  private static func isReflection(_ pressure: Pressure) -> Bool {
    pressure.reflected * 10 >= pressure.unanswered * 6 && pressure.sources >= 3 && pressure.bytes >= 300 * pressure.unanswered
  }

  private static func finding(_ pressure: Pressure, _ state: State, at time: EventTime) -> NetworkFinding {
    let action: StaticString = pressure.isTCP ? "syn-flood" : isReflection(pressure) ? "amplification" : "udp-flood"
    var finding = NetworkFinding(action, trust: .claimed, firstTime: state.firstTime - Limits.pressureInterval, lastTime: time)
    finding.destination = pressure.destination
    if pressure.destinationPort != 0 { finding.destinationPort = pressure.destinationPort }
    finding.transport = pressure.isTCP ? "tcp" : "udp"
    finding.numbers = [
      ("score", state.sum), ("unanswered", state.total), ("per_second", pressure.unanswered / (Limits.pressureInterval.count / 1_000_000_000)),
      ("usual_per_interval", pressure.usual), ("distinct_sources", pressure.sources),
    ]
    return finding
  }

  /// The kernel's own word: attested.
  mutating func observe(kernel event: borrowing Event, at time: EventTime, into findings: inout [NetworkFinding]) {
    func number(_ name: StaticString) -> Int64 { event.extra(Bytes(name))?.decimal ?? 0 }
    let (cookies, overflows) = (number("panguard.kernel.syncookies_sent"), number("panguard.kernel.listen_overflows"))
    guard cookies > 0 || overflows >= 10, time - kernelReportedAt > .minutes(10) || kernelReportedAt > time else { return }
    kernelReportedAt = time
    var finding = NetworkFinding(
      cookies > 0 ? "syn-flood" : "listen-overflow", reason: cookies > 0 ? "syn-cookies" : nil, trust: event.trust,
      firstTime: time - Limits.pressureInterval, lastTime: time)
    finding.transport = "tcp"
    finding.numbers = [("syncookies_sent", cookies), ("listen_overflows", overflows)]
    findings.append(finding)
  }
}
