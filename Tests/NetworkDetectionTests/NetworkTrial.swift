// Events of flows, names and DNS messages, as the capture makes them, fed to all detectors.
import Events
import PanguardTestKit
import Primitives

@testable import NetworkDetection

struct NetworkTrial: ~Copyable {
  var detectors: NetworkDetectors
  private var event = Event()
  /// What was found, oldest first.
  private(set) var findings: [NetworkFinding] = []
  static let start: Int64 = 1_700_000_000
  private var port: Int64 = 40_000

  init(_ configuration: NetworkDetectionConfiguration = NetworkDetectionConfiguration()) { detectors = NetworkDetectors(configuration) }

  func of(_ action: String) -> [NetworkFinding] { findings.filter { "\($0.action)" == action } }

  private mutating func begin(_ seconds: Int64, milliseconds: Int64 = 0) {
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    event.time = EventTime(seconds: NetworkTrial.start + seconds) + .milliseconds(milliseconds)
  }
  private mutating func feed() {
    detectors.observe(event, at: event.time)
    findings += detectors.findings
  }

  /// A TCP connection (or echoes, `transport: "icmp"`) that began `at` seconds and lasted `lasting`.
  mutating func flow(
    at: Int64, from source: String = "10.0.0.5", to destination: String, port destinationPort: Int64 = 443, out: Int64 = 1000, back: Int64 = 4000,
    lasting: Int64 = 1, name: String? = nil, state: StaticString = "SF", transport: StaticString = "tcp", packets: Int64 = 10,
    payload: Int64? = nil, trust: Trust = .attested
  ) {
    port = port == 60_000 ? 40_000 : port + 1
    if let name {
      begin(at)
      ends(source, destination, destinationPort)
      event.set(.eventDataset, "network_traffic.tls")
      var copy = name
      copy.withUTF8 { event.set(.tlsClientServerName, Bytes($0)) }
      feed()
    }
    begin(at + lasting)
    ends(source, destination, destinationPort)
    event.trust = trust
    event.set(.eventDataset, "network_traffic.flow")
    event.set(.networkTransport, transport)
    event.set(.flowState, state)
    event.set(.eventDuration, lasting * 1_000_000_000)
    event.set(.sourcePackets, packets)
    event.set(.destinationPackets, packets)
    event.set(.sourceBytes, out)
    event.set(.destinationBytes, back)
    if let payload {
      event.set(.icmpType, Int64(8))
      event.set(.icmpPayloadBytes, payload)
    }
    feed()
  }
  private mutating func ends(_ source: String, _ destination: String, _ destinationPort: Int64) {
    if let address = IPAddress(source) { event.set(.sourceIP, address) }
    if let address = IPAddress(destination) { event.set(.destinationIP, address) }
    event.set(.sourcePort, port)
    event.set(.destinationPort, destinationPort)
  }

  /// A question; with `answer` also its answer: addresses, or "NXDOMAIN". `domain`: the registered domain at its end.
  mutating func dns(
    at: Int64, milliseconds: Int64 = 0, _ name: String, domain: String?, type: StaticString = "A", answer: String? = "198.51.100.7",
    from client: String = "10.0.0.5", server: String = "10.0.0.2"
  ) {
    for isAnswer in [false, true] where !isAnswer || answer != nil {
      begin(at, milliseconds: milliseconds)
      ends(client, server, 53)
      event.set(.eventDataset, "network_traffic.dns")
      event.set(.networkProtocol, "dns")
      event.set(.dnsType, isAnswer ? "answer" : "query")
      event.set(.dnsQuestionType, type)
      var copy = name
      copy.withUTF8 { event.set(.dnsQuestionName, Bytes($0)) }
      if let domain, let whole = event.text(.dnsQuestionName) {
        event.set(.dnsQuestionRegisteredDomain, whole.from(whole.count - domain.utf8.count))
        if whole.count > domain.utf8.count { event.set(.dnsQuestionSubdomain, whole.upTo(whole.count - domain.utf8.count - 1)) }
      }
      if isAnswer, let answer {
        event.set(.dnsResponseCode, answer == "NXDOMAIN" ? "NXDOMAIN" : "NOERROR")
        if answer != "NXDOMAIN" {
          var list = "[" + answer.split(separator: " ").map { "\"\($0)\"" }.joined(separator: ",") + "]"
          list.withUTF8 { event.set(.dnsResolvedIP, Bytes($0)) }
        }
      }
      feed()
    }
  }
}

extension NetworkFinding {
  func number(_ name: String) -> Int64? { numbers.first { "\($0.name)" == name }?.value }
}

extension SplitMix64 {
  mutating func roll(_ sides: Int64) -> Int64 { Int64(below(Int(sides))) }
  mutating func text(_ count: Int, of alphabet: String) -> String {
    let letters = Array(alphabet)
    return String((0..<count).map { _ in letters[Int(roll(Int64(letters.count)))] })
  }
}
