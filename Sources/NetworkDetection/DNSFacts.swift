// A DNS message's event as plain values, read once for all detectors. Borrowed: valid as long as the event.
import Events
import Primitives

struct DNSFacts {
  var client: IPAddress
  var server: IPAddress
  var serverPort: UInt16
  var isAnswer: Bool
  var name: Bytes
  /// By the public suffix list; nil: the name has none, or lies in a reverse zone, where addresses are spelled and nobody chose a name.
  var domain: Bytes?
  /// What stands before the domain; empty: the name is the domain.
  var subdomain: Bytes
  var type: Bytes
  var isNameError: Bool
  /// A JSON array of texts; empty: none.
  var addresses: Bytes
  var trust: Trust

  /// nil where the event is none of unicast DNS, or has no question.
  init?(_ event: borrowing Event) {
    guard let dataset = event.text(.eventDataset), dataset.equals("network_traffic.dns"),
      let name = event.text(.dnsQuestionName), let client = event.address(.sourceIP), let server = event.address(.destinationIP),
      event.text(.networkProtocol)?.equals("dns") ?? true
    else { return nil }
    self.client = client
    self.server = server
    self.name = name
    serverPort = UInt16(clamping: event.integer(.destinationPort) ?? 0)
    isAnswer = event.text(.dnsType)?.equals("answer") ?? false
    domain = event.text(.dnsQuestionRegisteredDomain)
    if let domain, domain.ends(with: ".arpa") { self.domain = nil }
    subdomain = event.text(.dnsQuestionSubdomain) ?? .none
    type = event.text(.dnsQuestionType) ?? .none
    isNameError = isAnswer && (event.text(.dnsResponseCode)?.equals("NXDOMAIN") ?? false)
    addresses = event.text(.dnsResolvedIP) ?? .none
    trust = event.trust
  }

  /// The addresses of the answer, at most `Limits.dnsAnswers`.
  func forEachAddress(_ body: (IPAddress) -> Void) {
    var at = 0
    for _ in 0..<Limits.dnsAnswers {
      guard let open = addresses.index(of: 0x22, from: at), let close = addresses.index(of: 0x22, from: open + 1) else { return }
      if let address = IPAddress(addresses.slice(open + 1, close)) { body(address) }
      at = close + 1
    }
  }
}

/// One client and one text (a domain, a name), by the text's hash.
struct ClientKey: TableKey {
  var client: IPAddress
  var text: UInt64
  init(_ client: IPAddress, _ text: Bytes) {
    self.client = client
    self.text = Fingerprint(of: text).low
  }
}
