// Flows, pressure and ARP as the capture tells them, from a few words; and what the detectors make of them.
import Events
import Primitives

@testable import NetworkDetection

struct Traffic: ~Copyable {
  var detectors: NetworkDetectors
  var findings: [NetworkFinding] = []
  /// Seconds since some day.
  var now: Int64 = 0
  private var event = Event()

  init(own: [String] = []) {
    var configuration = NetworkDetectionConfiguration()
    configuration.ownNetworks = own.map { CIDR($0)! }
    detectors = NetworkDetectors(configuration)
  }

  static func time(_ seconds: Int64) -> EventTime { EventTime(seconds: 1_767_225_600 + seconds) }

  /// `state`: of TCP, else "answered" or "silent".
  mutating func flow(
    _ source: String, _ destination: String, _ port: Int64, _ state: StaticString, transport: StaticString = "tcp", from sourcePort: Int64 = 40_000,
    icmpType: Int64? = nil, end: StaticString = "closed", trust: Trust = .claimed, flags: StaticString? = nil, packets: Int64 = 1
  ) {
    begin("flow", "network_flow", trust)
    set(.sourceIP, source)
    set(.destinationIP, destination)
    if icmpType == nil {
      event.set(.sourcePort, sourcePort)
      event.set(.destinationPort, port)
    }
    event.set(.networkTransport, transport)
    if let icmpType { event.set(.icmpType, icmpType) }
    let isTCP = Bytes(transport).equals("tcp")
    if isTCP { event.set(.flowState, state) }
    event.set(.sourcePackets, packets)
    event.set(.destinationPackets, Int64(Bytes(state).equals("S0") || Bytes(state).equals("silent") ? 0 : 1))
    event.set(.flowEnd, end)
    event.set(.eventDuration, 0)
    if let flags { event.setExtra(Bytes("panguard.flow.source_flags"), Bytes(flags)) }
    observe()
  }

  mutating func pressure(
    _ destination: String, _ transport: StaticString, unanswered: Int64, usual: Int64 = 0, sources: Int64, port: Int64? = 443, bytes: Int64 = 0,
    reflected: Int64 = 0
  ) {
    begin("pressure", "traffic-pressure", .claimed)
    set(.destinationIP, destination)
    event.set(.networkTransport, transport)
    if let port { event.set(.destinationPort, port) }
    extra("panguard.pressure.unanswered", unanswered)
    extra("panguard.pressure.usual", usual)
    extra("panguard.pressure.sources", sources)
    extra("panguard.pressure.bytes", bytes)
    extra("panguard.pressure.reflected", reflected)
    observe()
  }

  mutating func kernel(cookies: Int64, overflows: Int64) {
    begin("kernel", "kernel-listen-pressure", .attested)
    extra("panguard.kernel.syncookies_sent", cookies)
    extra("panguard.kernel.listen_overflows", overflows)
    observe()
  }

  mutating func arp(asks target: String, from source: String, isAnswered: Bool) {
    begin("arp", "arp-request", .claimed)
    set(.sourceIP, source)
    set(.destinationIP, target)
    event.set(.eventOutcome, isAnswered ? "success" as StaticString : "failure")
    observe()
  }
  mutating func arp(_ action: StaticString, _ address: String, _ mac: StaticString, isUnsolicited: Bool = true) {
    begin("arp", action, .claimed)
    set(.sourceIP, address)
    event.set(.sourceMac, mac)
    if isUnsolicited { event.set(.eventReason, "unsolicited" as StaticString) }
    observe()
  }

  /// What was found, each as "action reason".
  var names: [String] { findings.map { "\($0.action)" + ($0.reason.map { " \($0)" } ?? "") } }
  func number(_ name: String, of index: Int = 0) -> Int64? {
    index >= findings.count ? nil : findings[index].numbers.first { "\($0.name)" == name }?.value
  }

  private mutating func begin(_ dataset: StaticString, _ action: StaticString, _ trust: Trust) {
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    event.time = Traffic.time(now)
    event.trust = trust
    var name: [UInt8] = []
    name.append("network_traffic.")
    name.append(Bytes(dataset))
    name.withUnsafeBytes { event.set(.eventDataset, $0) }
    event.set(.eventProvider, "panguard-capture")
    event.set(.eventAction, action)
  }
  private mutating func set(_ field: Field, _ address: String) { event.set(field, IPAddress(address)!) }
  private mutating func extra(_ name: StaticString, _ value: Int64) {
    var text: [UInt8] = []
    text.append(decimal: value)
    text.withUnsafeBytes { event.setExtra(Bytes(name), $0) }
  }
  private mutating func observe() {
    precondition(NetworkDetectors.concerns(event))
    detectors.observe(event, at: event.time)
    findings += detectors.findings
  }
}

extension NetworkFinding {
  var directionName: String? { direction.map { "\($0)" } }
  var transportName: String? { transport.map { "\($0)" } }
}
