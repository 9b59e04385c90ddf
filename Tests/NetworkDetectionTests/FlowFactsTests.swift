// What detectors read from a flow's event.
import Events
import Primitives
import Testing

@testable import NetworkDetection

@Test(arguments: [
  ("10.0.0.1", true), ("172.16.0.1", true), ("172.32.0.1", false), ("192.168.3.4", true), ("100.64.0.1", true), ("100.128.0.1", false),
  ("100.63.255.255", false), ("127.0.0.1", true), ("169.254.1.1", true), ("8.8.8.8", false), ("fd00::1", true), ("fe80::1", true),
  ("2001:db8::1", false), ("::1", true),
])
func privateAddresses(text: String, expected: Bool) {
  #expect(IPAddress(text)?.isPrivate == expected)
}

@Test func aFlowWithoutAddressesIsNone() {
  var event = Event()
  let isEmptyNone = FlowFacts(event) == nil
  #expect(isEmptyNone)
  event.set(.sourceIP, IPAddress("192.0.2.1")!)
  event.set(.destinationIP, IPAddress("192.0.2.2")!)
  let outcome = FlowFacts(event)?.outcome
  #expect(outcome == .unknown)
}

@Test func onlyTheCaptureTellsOfPackets() {
  func concerns(_ dataset: StaticString, _ provider: StaticString?) -> Bool {
    var event = Event()
    event.set(.eventDataset, dataset)
    if let provider { event.set(.eventProvider, provider) }
    return NetworkDetectors.concerns(event)
  }
  #expect(!concerns("network_traffic.flow", nil))
  #expect(!concerns("network_traffic.flow", "generic"))
  #expect(concerns("network_traffic.flow", "panguard-capture"))
  #expect(!concerns("sshd", "panguard-capture"))
}
