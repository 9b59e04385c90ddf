// Whom a decision about the network's findings is about, and which of them are one incident. The findings are made by real detectors from
// events of flows and names.
import Detection
import Events
import Primitives
import RuleLanguage
import Testing

private let rules = """
  title: Calls home
  id: ATR-2026-99101
  status: experimental
  description: test
  author: test
  date: 2026/01/01
  schema_version: "1.0"
  severity: medium
  maturity: test
  confidence: 78
  tags: {category: command-and-control}
  agent_source: {type: host_network}
  detection:
    conditions:
      - {field: event.action, operator: exact, value: [beacon, dns-tunnel]}
    condition: any
  response: {actions: [alert]}
  """

private struct Host: ~Copyable {
  var detector: Detector
  var event = Event()
  var decisions: [Decision] = []
  private var frame: UInt64 = 0

  init() {
    let set = RuleLoader.load(document: rules, file: "rules.yaml")
    #expect(set.diagnostics.filter { $0.severity == .error } == [])
    #expect(set.rules.count == 1)
    detector = Detector(ruleSet: set, ruleSetHash: "r", configuration: DetectorConfiguration(), engineVersion: "test")
    _ = detector.addSource("network:any")
  }
  private mutating func begin(_ seconds: Int64, _ destination: String) {
    frame += 1
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: frame, length: 0))
    event.time = EventTime(seconds: 1_700_000_000 + seconds)
    event.trust = .attested
    event.set(.eventProvider, "panguard-capture")
    event.set(.sourceIP, IPAddress("10.0.0.5")!)
    event.set(.destinationIP, IPAddress(destination)!)
  }
  mutating func flow(_ seconds: Int64, to destination: String) {
    begin(seconds, destination)
    event.set(.eventDataset, "network_traffic.flow")
    event.set(.networkTransport, "tcp")
    event.set(.flowState, "SF")
    event.set(.sourcePort, 40_000)
    event.set(.destinationPort, 443)
    event.set(.sourceBytes, 800)
    event.set(.destinationBytes, 4000)
    event.set(.sourcePackets, 9)
    event.set(.destinationPackets, 9)
    decisions += detector.process(event)
  }
  mutating func question(_ seconds: Int64, _ label: String, _ domain: String) {
    begin(seconds, "10.0.0.2")
    event.set(.eventDataset, "network_traffic.dns")
    event.set(.networkProtocol, "dns")
    event.set(.dnsType, "query")
    event.set(.dnsQuestionType, "NULL")
    var name = "\(label).\(domain)"
    name.withUTF8 { event.set(.dnsQuestionName, Bytes($0)) }
    if let whole = event.text(.dnsQuestionName) {
      event.set(.dnsQuestionRegisteredDomain, whole.from(whole.count - domain.utf8.count))
      event.set(.dnsQuestionSubdomain, whole.upTo(whole.count - domain.utf8.count - 1))
    }
    decisions += detector.process(event)
  }
}

@Suite struct NetworkSubjectTests {
  @Test func aBeaconIsAboutThePeer() {
    var host = Host()
    host.flow(0, to: "198.51.100.1")
    for n in 0..<40 {
      host.flow(3600 + Int64(n) * 60, to: "203.0.113.9")
      host.flow(3620 + Int64(n) * 60, to: "203.0.113.10")
    }
    let decisions = host.decisions
    #expect(host.detector.networkCounters.findings >= 2)
    #expect(decisions.compactMap(\.subject.source).sorted() == ["203.0.113.10", "203.0.113.9"])
    #expect(Set(decisions.map(\.id)).count == 2)
    #expect(decisions.allSatisfy { $0.action == .notify && $0.trust == .attested })
  }
  @Test func eachDomainIsAnIncidentOfItsClient() {
    var host = Host()
    host.question(0, "www", "example.com")
    for n in 0..<110 {
      for domain in ["a.example", "b.example"] { host.question(3600 + Int64(n) * 2, "\(n)-abcdefghijklmnopqrstuvwxyz-0123456789", domain) }
    }
    let decisions = host.decisions
    #expect(host.detector.networkCounters.findings >= 2)
    #expect(decisions.map(\.subject.source) == ["10.0.0.5", "10.0.0.5"])
    #expect(Set(decisions.map(\.id)).count == 2)
  }
}
