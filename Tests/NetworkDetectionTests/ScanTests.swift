// Who is a scanner, who is not, and what is said of it.
import Events
import Primitives
import Testing

@testable import NetworkDetection

private let here = "10.0.0.5"
private let stranger = "198.51.100.23"

@Suite struct ScanTests {
  // MARK: Scans

  @Test func fourFailuresInARowAreTold() {
    var traffic = Traffic()
    for port in 1...3 { traffic.flow(stranger, here, Int64(port), "REJ") }
    #expect(traffic.names == [])
    traffic.flow(stranger, here, 4, "S0")
    #expect(traffic.names == ["port-scan vertical"])
    #expect(traffic.findings.first?.source == IPAddress(stranger))
    #expect(traffic.findings.first?.destination == IPAddress(here))
    #expect(traffic.findings.first?.trust == .claimed)
    #expect(traffic.findings.first?.directionName == "inbound")
    #expect(traffic.number("failures") == 4)
    #expect(traffic.number("score") == 5544)
  }

  @Test func itIsToldAgainWhenItHasGrownFourfold() {
    var traffic = Traffic()
    for port in 1...300 { traffic.flow(stranger, here, Int64(port), "REJ") }
    #expect((0..<traffic.findings.count).map { traffic.number("failures", of: $0) } == [4, 16, 64, 256])
    #expect(traffic.number("recent_ports", of: 3) == 32)
  }

  @Test func aProbeAnHourIsAScan() {
    var traffic = Traffic()
    for probe in 0..<20 {
      traffic.now = Int64(probe) * 3600
      traffic.flow(stranger, here, Int64(1000 + probe), "REJ")
    }
    #expect(traffic.names == ["port-scan vertical", "port-scan vertical"])
    #expect(traffic.number("mean_gap_seconds") == 3600)
  }

  @Test func afterAWeekOfSilenceItBeginsAnew() {
    var traffic = Traffic()
    for probe in 0..<12 {
      traffic.now = Int64(probe) * (7 * 86_400 + 1)
      traffic.flow(stranger, here, Int64(1000 + probe), "REJ")
    }
    #expect(traffic.names == [])
  }

  @Test func openPortsDoNotHideIt() {
    var traffic = Traffic()
    for port in 1...100 { traffic.flow(stranger, here, Int64(port), port % 10 == 0 ? "RSTO" : "REJ") }
    #expect(traffic.names.first == "port-scan vertical")
  }

  @Test func onePortOfManyHostsIsASweep() {
    var traffic = Traffic()
    for host in 1...16 { traffic.flow(stranger, "10.0.0.\(host)", 445, "S0") }
    #expect(traffic.names == ["host-sweep horizontal", "host-sweep horizontal"])
    #expect(traffic.findings.first?.destinationPort == 445)
    #expect(traffic.findings.first?.destination == nil)
  }

  @Test func manyPortsOfManyHostsAreABlock() {
    var traffic = Traffic()
    for probe in 0..<4 { traffic.flow(stranger, "10.0.0.\(probe)", Int64(100 + probe), "S0") }
    #expect(traffic.names == ["port-scan block"])
  }

  @Test func anOwnHostThatAsksOneHostNeedsEight() {
    var traffic = Traffic()
    for port in 1...7 { traffic.flow(here, "10.0.1.2", Int64(port), "S0") }
    #expect(traffic.names == [])
    for port in 8...12 { traffic.flow(here, "10.0.1.2", Int64(port), "S0") }
    #expect(traffic.names == ["port-scan vertical", "port-scan vertical"])
    #expect((0..<2).map { traffic.number("failures", of: $0) } == [8, 12])
  }

  @Test func anOwnHostNeedsTwelve() {
    var traffic = Traffic()
    for host in 1...11 { traffic.flow(here, "10.0.1.\(host)", 445, "S0") }
    #expect(traffic.names == [])
    traffic.flow(here, "10.0.1.12", 445, "S0")
    #expect(traffic.names == ["host-sweep horizontal"])
    #expect(traffic.findings.first?.directionName == "internal")
  }

  @Test func ownNetworksAreThoseThatTheOwnerNames() {
    var traffic = Traffic(own: ["203.0.113.0/24"])
    for port in 1...4 { traffic.flow(stranger, "203.0.113.7", Int64(port), "REJ") }
    #expect(traffic.findings.first?.directionName == "inbound")
    for port in 1...7 { traffic.flow("203.0.113.7", stranger, Int64(port), "REJ") }
    #expect(traffic.findings.count == 1)
  }

  @Test func aHostWithIPv6HasAllOfItsNetwork() {
    var traffic = Traffic()
    for probe in 1...4 { traffic.flow("2001:db8:1:2::\(probe)", "fd00::5", Int64(probe), "REJ") }
    #expect(traffic.names == ["port-scan vertical"])
    for probe in 1...4 { traffic.flow("2001:db8:1:\(probe + 2)::1", "fd00::5", Int64(probe), "REJ") }
    #expect(traffic.findings.count == 1)
  }

  @Test(arguments: [("F", "fin"), ("none", "null"), ("FPU", "xmas"), ("PU", "odd")] as [(StaticString, String)])
  func packetsThatOpenNothing(flags: StaticString, kind: String) {
    var traffic = Traffic()
    for port in 1...2 { traffic.flow(stranger, here, Int64(port), "OTH", flags: flags) }
    #expect(traffic.names == [])
    traffic.flow(stranger, here, 3, "OTH", flags: flags)
    #expect(traffic.names == ["port-scan \(kind)"])
  }

  @Test(arguments: [("A", "ack"), ("FA", "maimon")] as [(StaticString, String)])
  func acknowledgmentsOfNothing(flags: StaticString, kind: String) {
    var traffic = Traffic()
    for port in 1...11 { traffic.flow(stranger, here, Int64(port), "OTH", flags: flags) }
    #expect(traffic.names == [])
    traffic.flow(stranger, here, 12, "OTH", flags: flags)
    #expect(traffic.names == ["port-scan \(kind)"])
  }

  @Test func datagrams() {
    var traffic = Traffic()
    for port in 1...9 { traffic.flow(stranger, here, Int64(port), "silent", transport: "udp") }
    #expect(traffic.names == [])
    traffic.flow(stranger, here, 10, "silent", transport: "udp")
    #expect(traffic.names == ["port-scan vertical"])
    #expect(traffic.findings.first?.transportName == "udp")
  }

  @Test func echoes() {
    var traffic = Traffic()
    for host in 1...16 { traffic.flow(stranger, "10.0.0.\(host)", 0, "silent", transport: "icmp", icmpType: 8) }
    #expect(traffic.names == ["host-sweep horizontal"])
    for host in 1...40 { traffic.flow(stranger, "10.0.3.\(host)", 0, "silent", transport: "icmp", icmpType: 3) }
    #expect(traffic.findings.count == 1)
  }

  @Test func addressResolution() {
    var traffic = Traffic()
    for host in 1...24 { traffic.arp(asks: "10.0.0.\(host + 10)", from: "10.0.0.9", isAnswered: false) }
    #expect(traffic.names == ["host-sweep arp"])
  }

  // MARK: Many together

  @Test func manySourcesTogether() {
    var traffic = Traffic()
    for probe in 0..<120 {
      traffic.now = Int64(probe)
      traffic.flow("192.0.2.\(probe % 40)", here, Int64(1000 + probe * 7), "REJ")
    }
    let distributed = traffic.findings.filter { "\($0.action)" == "distributed-scan" }
    #expect(distributed.count >= 1)
    #expect(distributed.first?.destination == IPAddress(here))
    #expect(distributed.first?.source == nil)
  }

  @Test func theNoiseOfTheInternetIsNone() {
    var traffic = Traffic()
    for probe in 0..<2000 {
      traffic.now = Int64(probe / 4)
      traffic.flow("192.0.\(probe / 250).\(probe % 250)", here, Int64(1 + probe % 900), "REJ")
    }
    #expect(traffic.names == [])
  }

  @Test func oneScannerAmongNoiseIsOne() {
    var traffic = Traffic()
    for probe in 0..<400 {
      traffic.now = Int64(probe)
      traffic.flow(stranger, here, Int64(1 + probe), "REJ")
      traffic.flow("192.0.2.\(probe % 200)", here, 23, "REJ")
    }
    #expect(traffic.names.allSatisfy { $0 == "port-scan vertical" })
    #expect(traffic.findings.allSatisfy { $0.source == IPAddress(stranger) })
  }

  @Test func slowOnesAreNotTogether() {
    var traffic = Traffic()
    for probe in 0..<120 {
      traffic.now = Int64(probe) * 60
      traffic.flow("192.0.2.\(probe % 60)", here, Int64(1000 + probe), "REJ")
    }
    #expect(traffic.names == [])
  }

  // MARK: No scans

  @Test func aClientThatRetriesADeadServer() {
    var traffic = Traffic()
    for attempt in 0..<10_000 {
      traffic.now = Int64(attempt)
      traffic.flow(stranger, here, 5432, "REJ", from: Int64(1024 + attempt % 60_000))
    }
    #expect(traffic.names == [])
  }

  @Test func aCrawlerMeetsSomeThatAreGone() {
    var traffic = Traffic()
    for host in 0..<20_000 {
      traffic.flow(stranger, "203.\(host / 65_536).\(host / 256 % 256).\(host % 254)", 443, host % 20 == 0 ? "S0" : "SF", trust: .attested)
    }
    #expect(traffic.names == [])
  }

  @Test func aGatewayWithManyBehindIt() {
    var traffic = Traffic()
    let ports: [Int64] = [80, 443, 22, 25, 587, 993, 8080, 8443, 5222, 3478]
    // One in five fails, in runs of three at most.
    for request in 0..<5000 {
      let state: StaticString = request % 15 < 3 ? "S0" : "SF"
      traffic.flow(stranger, "10.0.\(request / 200).\(request % 200)", ports[request % ports.count], state)
    }
    #expect(traffic.names == [])
  }

  @Test func healthChecksAndScrapes() {
    var traffic = Traffic()
    for check in 0..<2000 {
      traffic.now = Int64(check) * 15
      for port in [22, 80, 443, 9100] { traffic.flow("10.0.0.31", here, Int64(port), "RSTO") }
      traffic.flow("10.0.0.30", here, 9100, check % 7 == 0 ? "S0" : "SF")
    }
    #expect(traffic.names == [])
  }

  @Test func aProgramThatSharesFiles() {
    var traffic = Traffic()
    for peer in 0..<3000 {
      let (address, port) = ("203.0.\(peer / 250).\(peer % 250)", Int64(1024 + peer * 17 % 60_000))
      traffic.flow(here, address, port, peer % 3 == 0 ? "SF" : "S0")
      traffic.flow(here, address, port, peer % 3 == 0 ? "answered" : "silent", transport: "udp")
    }
    #expect(traffic.names == [])
  }

  @Test func answersThatCameTooLateAndTraces() {
    var traffic = Traffic()
    for port in 0..<500 {
      traffic.flow("10.0.0.2", here, Int64(32_768 + port), "silent", transport: "udp", from: 53)
      traffic.flow(stranger, here, Int64(33_434 + port % 100), "silent", transport: "udp")
      traffic.flow("10.0.0.7", "224.0.0.251", Int64(5000 + port), "silent", transport: "udp")
      traffic.flow("10.0.0.8", "10.0.0.255", Int64(5000 + port), "silent", transport: "udp")
      // A server goes on with connections that its client forgot.
      traffic.flow("10.0.0.3", here, Int64(32_768 + port), "OTH", from: 5432, flags: "A")
    }
    #expect(traffic.names == [])
  }

  @Test func whatIsNotKnownSaysNothing() {
    var traffic = Traffic()
    for port in 1...100 {
      traffic.flow(stranger, here, Int64(port), "S0", end: "evicted")
      traffic.flow(stranger, here, Int64(port), "OTH", flags: "PA", packets: 40)
      traffic.flow(stranger, here, Int64(port), "OTH", flags: "R")
      traffic.flow(stranger, here, Int64(port), "SHR", flags: "SA")
    }
    #expect(traffic.names == [])
  }

  // MARK: Memory

  @Test func aFloodOfNewAddressesForgetsNoScanner() {
    var traffic = Traffic()
    for port in 1...3 { traffic.flow(stranger, here, Int64(port), "REJ") }
    for source in 0..<100_000 { traffic.flow("198.\(18 + source / 65_536).\(source / 256 % 256).\(source % 256)", here, 443, "S1") }
    traffic.flow(stranger, here, 4, "REJ")
    #expect(traffic.names == ["port-scan vertical"])
    #expect(traffic.detectors.drops.first { $0.cause.contains("one contact") }!.count > 80_000)
  }

  @Test func manyScannersStayWithinTheLimit() {
    var traffic = Traffic()
    for source in 0..<6000 {
      for port in 1...2 { traffic.flow("198.18.\(source / 256).\(source % 256)", here, Int64(port), "REJ") }
    }
    #expect(traffic.detectors.drops.contains { $0.cause.contains("scan detector") && $0.count >= 1900 })
  }

  @Test func theSameEventsGiveTheSameFindings() {
    func run() -> [String] {
      var traffic = Traffic()
      var state: UInt64 = 7
      for _ in 0..<5000 {
        state = state &* 6_364_136_223_846_793_005 &+ 1
        let x = Int64(state >> 33)
        traffic.now += x % 3
        traffic.flow("192.0.2.\(x % 50)", "10.0.0.\(x / 50 % 20)", x / 1000 % 200, x % 2 == 0 ? "REJ" : "SF")
      }
      return traffic.findings.map { "\($0)" }
    }
    let first = run()
    #expect(!first.isEmpty)
    #expect(run() == first)
  }

  @Test func nothingThatAnEventHoldsTraps() {
    var event = Event()
    var detectors = NetworkDetectors(NetworkDetectionConfiguration())
    let values: [Int64] = [.min, -1, 0, 1, 70_000, .max]
    for kind in ["flow", "pressure", "kernel", "arp", "", "dns"] {
      for value in values {
        for time in [EventTime.distantPast, .zero, .distantFuture] {
          event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
          event.time = time
          Array("network_traffic.\(kind)".utf8).withUnsafeBytes { event.set(.eventDataset, $0) }
          event.set(.eventAction, "arp-claim")
          event.set(.sourceMac, "")
          event.set(.sourceIP, IPAddress("192.0.2.1")!)
          event.set(.destinationIP, IPAddress("10.0.0.1")!)
          event.set(.networkTransport, "tcp")
          event.set(.flowState, "REJ")
          for field in [Field.sourcePort, .destinationPort, .sourcePackets, .destinationPackets, .sourceBytes, .eventDuration, .icmpType] {
            event.set(field, value)
          }
          Array("\(value)".utf8).withUnsafeBytes { text in
            for name in ["unanswered", "usual", "sources", "bytes", "reflected"] {
              Array("panguard.pressure.\(name)".utf8).withUnsafeBytes { event.setExtra($0, text) }
            }
            event.setExtra(Bytes("panguard.kernel.listen_overflows"), text)
          }
          detectors.observe(event, at: time)
        }
      }
    }
  }
}
