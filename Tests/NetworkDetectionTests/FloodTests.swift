// Floods, ARP, movement inside, new listeners.
import Events
import Primitives
import Testing

@testable import NetworkDetection

private let here = "10.0.0.5"

@Suite struct FloodTests {
  @Test func aSpoofedFloodIsToldAtOnce() {
    var traffic = Traffic()
    traffic.pressure(here, "tcp", unanswered: 10_000, sources: 256)
    #expect(traffic.names == ["syn-flood"])
    #expect(traffic.findings.first?.destination == IPAddress(here))
    #expect(traffic.findings.first?.source == nil)
    #expect(traffic.number("per_second") == 2000)
  }

  @Test func itIsToldAgainWhenItHasGrownFourfold() {
    var traffic = Traffic()
    for step in 0..<60 {
      traffic.now = Int64(step) * 5
      traffic.pressure(here, "tcp", unanswered: 1000, sources: 256)
    }
    #expect((0..<traffic.findings.count).map { traffic.number("unanswered", of: $0) } == [1000, 4000, 16_000])
  }

  @Test func aLittleForLongAddsUp() {
    var traffic = Traffic()
    for step in 0..<4 {
      traffic.now = Int64(step) * 5
      traffic.pressure(here, "tcp", unanswered: 60, sources: 40)
      #expect(traffic.names == [])
    }
    traffic.now = 20
    traffic.pressure(here, "tcp", unanswered: 60, sources: 40)
    traffic.now = 25
    traffic.pressure(here, "tcp", unanswered: 60, sources: 40)
    #expect(traffic.names.first == "syn-flood")
  }

  @Test func calmIsForgottenAndWhatIsUsualIsNone() {
    var traffic = Traffic()
    for step in 0..<200 {
      traffic.now = Int64(step) * 60
      traffic.pressure(here, "tcp", unanswered: 80, sources: 40)
    }
    #expect(traffic.names == [])
    for step in 0..<200 {
      traffic.now = 20_000 + Int64(step) * 5
      traffic.pressure(here, "tcp", unanswered: 600, usual: 4000, sources: 256)
    }
    #expect(traffic.names == [])
  }

  @Test func aScanOfManyPortsIsNoFlood() {
    var traffic = Traffic()
    traffic.pressure(here, "tcp", unanswered: 5000, sources: 1, port: nil)
    #expect(traffic.names == [])
    traffic.pressure(here, "tcp", unanswered: 5000, sources: 1, port: 80)
    #expect(traffic.names == ["syn-flood"])
  }

  @Test func clientsOfOneDeadServerAreNone() {
    var traffic = Traffic()
    for step in 0..<20 {
      traffic.now = Int64(step) * 5
      traffic.pressure("203.0.113.9", "tcp", unanswered: 300, sources: 1)
    }
    #expect(traffic.names == [])
  }

  @Test(
    arguments: [
      (3000, 200, 0, 120_000, ["udp-flood"]), (9000, 1, 0, 9_000_000, []), (900, 40, 900, 1_200_000, ["amplification"]), (900, 40, 900, 90_000, []),
      (900, 2, 900, 1_200_000, []), (500_000, 1, 0, 1, ["udp-flood"]),
    ] as [(Int64, Int64, Int64, Int64, [String])])
  func datagrams(unanswered: Int64, sources: Int64, reflected: Int64, bytes: Int64, expected: [String]) {
    var traffic = Traffic()
    traffic.pressure(here, "udp", unanswered: unanswered, sources: sources, bytes: bytes, reflected: reflected)
    #expect(traffic.names == expected)
  }

  @Test func multicastIsNoVictim() {
    var traffic = Traffic()
    traffic.pressure("239.1.2.3", "udp", unanswered: 900_000, sources: 200)
    #expect(traffic.names == [])
  }

  @Test func theKernelsWord() {
    var traffic = Traffic()
    traffic.kernel(cookies: 0, overflows: 3)
    #expect(traffic.names == [])
    traffic.kernel(cookies: 12, overflows: 0)
    traffic.now = 300
    traffic.kernel(cookies: 12, overflows: 0)
    #expect(traffic.names == ["syn-flood syn-cookies"])
    #expect(traffic.findings.first?.trust == .attested)
    traffic.now = 1000
    traffic.kernel(cookies: 0, overflows: 10)
    #expect(traffic.names.last == "listen-overflow")
  }
}

@Suite struct LinkTests {
  @Test func threeAnswersThatNobodyAskedFor() {
    var traffic = Traffic()
    traffic.arp("arp-binding-changed", "10.0.0.1", "02-BD-00-00-00-66")
    traffic.arp("arp-claim", "10.0.0.1", "02-BD-00-00-00-66")
    #expect(traffic.names == [])
    traffic.arp("arp-claim", "10.0.0.1", "02-BD-00-00-00-66")
    #expect(traffic.names == ["arp-spoofing"])
    for _ in 0..<50 { traffic.arp("arp-claim", "10.0.0.1", "02-BD-00-00-00-66") }
    #expect(traffic.findings.count == 1)
  }
  @Test func twoHoldersThatFight() {
    var traffic = Traffic()
    traffic.arp("arp-binding-changed", "10.0.0.1", "02-BD-00-00-00-66", isUnsolicited: false)
    traffic.now = 30
    traffic.arp("arp-binding-changed", "10.0.0.1", "02-00-00-00-00-01", isUnsolicited: false)
    #expect(traffic.names == ["arp-spoofing"])
  }
  @Test func aLeaseThatChangedHands() {
    var traffic = Traffic()
    for day in 0..<30 {
      traffic.now = Int64(day) * 86_400
      traffic.arp("arp-binding-changed", "10.0.0.77", "02-00-00-00-00-77", isUnsolicited: false)
    }
    #expect(traffic.names == [])
  }
}

@Suite struct InsideTests {
  @Test func eightNewHostsWithinAnHour() {
    var traffic = Traffic()
    for host in 1...8 { traffic.flow(here, "10.0.1.\(host)", 22, "SF", trust: .attested) }
    #expect(traffic.names == ["lateral-movement"])
    #expect(traffic.findings.first?.trust == .attested)
  }
  @Test func whatIsReachedEveryDayIsKnown() {
    var traffic = Traffic()
    for day in 0..<20 {
      for host in 1...200 {
        traffic.now = Int64(day) * 86_400 + Int64(host)
        traffic.flow(here, "10.0.1.\(host)", 22, "SF", trust: .attested)
      }
    }
    // The first round, once for each time that it has doubled.
    #expect(traffic.findings.allSatisfy { $0.lastTime < Traffic.time(300) })
  }
  @Test func whatIsNoMovement() {
    var traffic = Traffic()
    for host in 1...100 {
      traffic.flow(here, "10.0.1.\(host)", 443, "SF")
      traffic.flow(here, "203.0.113.\(host)", 22, "SF")
      traffic.flow("203.0.113.\(host)", here, 22, "SF")
      traffic.now += 1000
      traffic.flow(here, "10.0.2.\(host)", 22, "SF")
    }
    #expect(traffic.names == [])
  }

  @Test func aListenerThatIsNew() {
    var traffic = Traffic()
    traffic.flow("192.0.2.1", here, 22, "SF")
    traffic.flow("192.0.2.1", here, 80, "SF")
    traffic.now = 86_400
    traffic.flow("192.0.2.1", here, 22, "SF")
    #expect(traffic.names == [])
    traffic.flow("192.0.2.9", here, 4444, "SF")
    traffic.flow("192.0.2.9", here, 4444, "SF")
    #expect(traffic.names == ["new-listener"])
    #expect(traffic.findings.first?.destinationPort == 4444)
    #expect(traffic.findings.first?.source == nil)
  }
  @Test func whatIsNoListener() {
    var traffic = Traffic()
    traffic.flow("192.0.2.1", here, 22, "SF")
    traffic.now = 2 * 86_400
    traffic.flow("192.0.2.1", here, 50_000, "SF")
    traffic.flow("192.0.2.1", here, 8080, "REJ")
    traffic.flow(here, "203.0.113.9", 8080, "SF")
    traffic.flow("192.0.2.1", "10.0.0.99", 8080, "SF")
    #expect(!traffic.names.contains { $0.hasPrefix("new-listener") })
  }
}

@Suite struct BitmapTests {
  @Test func fewAreCountedExactlyOrNearlySo() {
    var bitmap = PairedBitmap(words: 16)
    for value in 0..<30 { bitmap.insert(PairedBitmap.hash(UInt64(value)), at: .zero, 1000) }
    #expect((28...30).contains(bitmap.count))
    for value in 0..<30 { bitmap.insert(PairedBitmap.hash(UInt64(value)), at: .zero, 1000) }
    #expect(bitmap.count <= 30)
  }
  @Test func whatIsOldIsForgotten() {
    var bitmap = PairedBitmap(words: 4)
    let start = EventTime(nanoseconds: 10_000)
    #expect(bitmap.isStale(at: start, 1000))
    bitmap.insert(PairedBitmap.hash(1), at: start, 1000)
    bitmap.insert(PairedBitmap.hash(2), at: EventTime(nanoseconds: 11_000), 1000)
    #expect(bitmap.count == 2)
    bitmap.insert(PairedBitmap.hash(3), at: EventTime(nanoseconds: 12_000), 1000)
    #expect(bitmap.count == 2)
    bitmap.insert(PairedBitmap.hash(4), at: EventTime(nanoseconds: 99_000), 1000)
    #expect(bitmap.count == 1)
  }
}
