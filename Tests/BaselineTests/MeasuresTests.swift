// Distinct counts, heavy hitters and quantiles beside plain reference implementations that keep everything, on random streams and on such that
// were made to hurt; then as rules see them.
import Events
import PanguardTestKit
import Primitives
import Testing

@testable import Baseline

@Suite struct DistinctCountTests {
  private func counted(_ names: [Int]) -> DistinctCount {
    var count = DistinctCount()
    for name in names { Array("name \(name)".utf8).withUnsafeBytes { count.insert($0) } }
    return count
  }
  private func bytes(_ count: DistinctCount) -> [UInt8] {
    var out = SnapshotWriter()
    count.write(to: &out)
    return out.bytes
  }

  @Test func exactWhileFewThenWithinFourStandardErrors() {
    var random = SplitMix64(seed: 11)
    for size in [0, 1, 2, 47, 48, 49, 60, 100, 500, 1000, 2500, 2700, 4000, 10_000, 50_000] {
      // Each comes one to three times, in any order.
      var stream: [Int] = []
      for name in 0..<size { for _ in 0..<Int.random(in: 1...3, using: &random) { stream.append(name + size * 1000) } }
      stream.shuffle(using: &random)
      var count = counted(stream)
      let reference = Set(stream).count
      let error = abs(Int(count.count()) - reference)
      #expect(size <= DistinctCount.largestExact ? error == 0 : error * 1000 <= reference * 130, "\(size): \(count.count())")
    }
  }
  /// The mean error over many sets: without bias, far below that of one.
  @Test func isNotBiased() {
    for size in [200, 1500, 2560, 3000, 6000] {
      var sum: Int64 = 0
      for run in 0..<24 {
        var count = counted(Array(run * 1_000_000..<run * 1_000_000 + size))
        sum += count.count()
      }
      #expect(abs(sum - Int64(24 * size)) * 1000 <= Int64(24 * size) * 35, "\(size): \(sum / 24)")
    }
  }
  @Test func theOrderAndRepeatsDoNotMatter() throws {
    var random = SplitMix64(seed: 12)
    for size in [30, 48, 49, 2000] {
      let names = Array(0..<size)
      let (one, other) = (counted(names + names), counted(names.shuffled(using: &random)))
      #expect(bytes(one) == bytes(other))
      var reader = SnapshotReader(bytes(one), from: 0)
      let copy = try DistinctCount(from: &reader)
      #expect(bytes(copy) == bytes(one) && reader.isAtEnd)
    }
  }
  /// Whoever knows the key and aims at one register hides their number; nothing else happens.
  @Test func chosenHashesDoNotTrap() {
    var count = DistinctCount()
    for n in 0..<10_000 as Range<UInt64> { count.insert(hash: n) }
    for hash in [0, 1, UInt64.max, 1 << 54, 1 << 53] { count.insert(hash: hash) }
    #expect(count.count() > 0 && count.count() < 10_000)
  }
  @Test func logarithms() {
    for power in 0..<64 as Range<UInt64> { #expect(binaryLogarithm(1 << power) == power << 16) }
    // log2 3 = 1.5849625, log2 10 = 3.3219281, log2 1023 = 9.9985904
    #expect(binaryLogarithm(3) == 103_872 && binaryLogarithm(10) == 217_705 && binaryLogarithm(1023) == 655_267)
    for n in 1..<5000 as Range<UInt64> { #expect(binaryLogarithm(n) <= binaryLogarithm(n + 1)) }
  }
}

@Suite struct HeavyHittersTests {
  private func key(_ name: Int) -> IPAddress { IPAddress(v4: UInt32(name)) }

  private func check(_ stream: [(name: Int, amount: Int64)]) {
    var sums = HeavyHitters()
    var reference: [Int: Int64] = [:]
    for (name, amount) in stream {
      sums.add(amount, to: key(name))
      reference[name, default: 0] += amount
    }
    let total = reference.values.reduce(0, +)
    #expect(sums.total == total && sums.entries.map(\.count).reduce(0, +) == total && sums.entries.count <= HeavyHitters.capacity)
    for entry in sums.entries {
      let truth = reference[Int(entry.key.low)]!
      #expect(entry.count >= truth && entry.count - entry.error <= truth && entry.error * 64 <= total)
    }
    for (name, amount) in reference where amount * 64 > total { #expect(sums.entries.contains { $0.key == key(name) }) }
  }
  @Test func boundsHoldOnAnyStream() {
    var random = SplitMix64(seed: 21)
    // Few large ones among many; all alike; always new ones; new ones that always push out the last large one.
    check((0..<20_000).map { _ in (Int.random(in: 0..<(1 << Int.random(in: 1...14, using: &random)), using: &random), 1) })
    check((0..<5000).map { ($0 % 128, 1) })
    check((0..<5000).map { ($0, Int64($0)) })
    check((0..<5000).map { ($0 % 3 == 0 ? 7 : $0, $0 % 3 == 0 ? 50 : 1) })
  }
  @Test func aFortnightLaterLittleIsLeft() {
    var sums = HeavyHitters()
    sums.add(1_000_000, to: key(1))
    for _ in 0..<14 { sums.closeDay() }
    #expect((340_000..<370_000).contains(sums.total))
    sums.add(1 << 62, to: key(2))
    #expect(sums.entries.count == 1, "a sum that cannot be is not taken")
  }
}

@Suite struct SizeQuantilesTests {
  @Test func quantilesAreWithinAnEighth() {
    var random = SplitMix64(seed: 31)
    for _ in 0..<20 {
      var sizes = SizeQuantiles()
      // Fewer than are winsorised.
      let values = (0..<Int(Limits.baselineValues)).map { _ in Int64.random(in: 0..<(1 << Int64.random(in: 1...40, using: &random)), using: &random) }
      for value in values { sizes.add(value, day: 0) }
      let sorted = values.sorted()
      for thousandths in [1, 100, 500, 900, 990, 999, 1000] as [Int64] {
        let truth = sorted[max(0, Int((Int64(values.count) * thousandths + 999) / 1000) - 1)]
        let value = sizes.quantile(thousandths: thousandths)!
        #expect(value >= truth && value <= truth + truth / 8, "\(thousandths): \(value) for \(truth)")
      }
    }
  }
  @Test func bucketsHaveNoGaps() {
    for bucket in 0..<304 {
      let edge = SizeQuantiles.upperEdge(of: bucket)
      #expect(SizeQuantiles.bucket(of: edge) == bucket && SizeQuantiles.bucket(of: edge + 1) == bucket + 1)
    }
    #expect(SizeQuantiles.bucket(of: -5) == 0 && SizeQuantiles.bucket(of: .max) == SizeQuantiles.bucket(of: SizeQuantiles.largest))
  }
  @Test func someHugeOnesMoveItLittleAndSlowly() {
    var sizes = SizeQuantiles()
    for n in 0..<7000 as Range<Int64> { sizes.add(1000 + n % 100, day: n / 700) }
    let before = sizes.usual
    for _ in 0..<60 { sizes.add(1 << 39, day: 10) }
    #expect(sizes.usual <= before + before / 8)
    for _ in 0..<300 { sizes.add(1 << 39, day: 10) }
    #expect(sizes.usual > before && sizes.usual < 1_000_000, "\(sizes.usual)")
    #expect(sizes.excess(of: 1 << 39)! > 1000)
  }
  @Test func halvingKeepsTheQuantiles() {
    var sizes = SizeQuantiles()
    for n in 0..<200_000 as Range<Int64> { sizes.add(n * 7919 % 10_000, day: 1) }
    #expect(sizes.count < 65_536)
    let median = sizes.quantile(thousandths: 500)!
    #expect(median >= 4900 && median <= 5700, "\(median)")
  }
}

extension Host {
  /// A connection that a machine of the network made.
  func connect(_ source: String, to target: String, bytes: Int64, seconds: Int64 = 1, at time: EventTime, isClean: Bool = true) {
    begin("network_flow", "panguard-capture", at: time)
    event.set(.sourceIP, IPAddress(source)!)
    event.set(.destinationIP, IPAddress(target)!)
    event.set(.destinationPort, 443)
    event.set(.networkTransport, "tcp")
    event.set(.networkDirection, "outbound")
    event.set(.sourceBytes, bytes)
    event.set(.eventDuration, seconds * 1_000_000_000)
    take(isClean: isClean)
  }
  /// Eighty connections a day to four places.
  func browse(days: Range<Int64>) {
    for day in days {
      for n in 0..<80 as Range<Int64> {
        connect("192.0.2.10", to: "198.51.100.\(n % 4)", bytes: 2000 + n, at: Host.at(day: day, hour: 9 + n / 10, minute: n % 10))
      }
    }
  }
  func fail(_ user: String, from address: String, at time: EventTime) {
    begin("ssh-login", "sshd", at: time)
    event.set(.eventOutcome, "failure")
    event.set(.attemptCount, 1)
    text(.userName, user)
    event.set(.sourceIP, IPAddress(address)!)
    take()
  }
}

@Suite struct MeasuresTests {
  @Test func namesThatASourceTriesInADay() {
    let host = Host()
    for n in 0..<30 as Range<Int64> { host.fail("user\(n)", from: "2001:db8::\(n)", at: Host.at(day: 0, hour: 0) + .minutes(40 * n)) }
    #expect(host.event.integer(.baselineTriedUsers) == 29, "an IPv6 source is its /64")
    host.fail("user29", from: "2001:db8::77", at: Host.at(day: 0, hour: 23, minute: 50))
    #expect(host.event.integer(.baselineTriedUsers) == 30)
    host.fail("root", from: "203.0.113.9", at: Host.at(day: 0, hour: 23, minute: 50))
    #expect(host.event.integer(.baselineTriedUsers) == 0)
    host.fail("root", from: "2001:db8::77", at: Host.at(day: 1, hour: 0))
    #expect(host.event.integer(.baselineTriedUsers) == 0, "another day")
  }

  @Test func whereAMachineConnectsTo() {
    let host = Host()
    host.browse(days: 0..<3)
    host.connect("192.0.2.10", to: "203.0.113.9", bytes: 50_000_000, seconds: 7200, at: Host.at(day: 3, hour: 1))
    for field in [.baselineDestinations, .baselineSentShare, .baselineUploadSize, .baselineFlowDuration] as [Field] {
      let isJudged = host.event.has(field)
      #expect(!isJudged, "nothing is known yet")
    }
    let learned = Host()
    learned.browse(days: 0..<10)
    learned.connect("192.0.2.10", to: "198.51.100.1", bytes: 2000, at: Host.at(day: 10, hour: 1))
    #expect(learned.event.integer(.baselineSentShare) == 1000)
    #expect(learned.event.integer(.baselineUploadSize).map { $0 > 800 && $0 <= 1000 } == true)
    learned.connect("192.0.2.10", to: "203.0.113.9", bytes: 50_000_000, seconds: 7200, at: Host.at(day: 10, hour: 1))
    #expect(learned.event.integer(.baselineSentShare) == 0)
    #expect(learned.event.integer(.baselineUploadSize).map { $0 > 10_000_000 } == true)
    #expect(learned.event.integer(.baselineFlowDuration).map { $0 > 1_000_000 } == true)
    // Weighed as a 64th of everything at most.
    learned.connect("192.0.2.10", to: "203.0.113.9", bytes: 1, at: Host.at(day: 10, hour: 1))
    #expect(learned.event.integer(.baselineSentShare).map { $0 > 0 && $0 <= 16 } == true)
    for n in 0..<60 { learned.connect("192.0.2.10", to: "203.0.113.\(n)", bytes: 1, at: Host.at(day: 10, hour: 2)) }
    #expect(learned.event.integer(.baselineDestinations).map { $0 > 20_000 } == true)
    // What comes from outside is not this host's doing.
    learned.begin("network_flow", "panguard-capture", at: Host.at(day: 10, hour: 3))
    learned.event.set(.sourceIP, IPAddress("203.0.113.200")!)
    learned.event.set(.networkDirection, "inbound")
    learned.event.set(.sourceBytes, 1 << 30)
    learned.take()
    var machines: Set<String> = []
    learned.baseline.forEachMeasure { if $0.kind == .uploads { machines.insert(String(decoding: $0.name, as: UTF8.self)) } }
    #expect(machines == ["192.0.2.10"])
  }

  @Test func aFlaggedUploadTeachesNothing() {
    let (one, other) = (Host(), Host())
    for host in [one, other] { host.browse(days: 0..<10) }
    for n in 0..<500 as Range<Int64> {
      one.connect("192.0.2.10", to: "203.0.113.9", bytes: 50_000_000, at: Host.at(day: 10, hour: 1) + .seconds(n), isClean: false)
    }
    for host in [one, other] { host.connect("192.0.2.10", to: "203.0.113.9", bytes: 50_000_000, at: Host.at(day: 11, hour: 1)) }
    #expect(one.event.integer(.baselineUploadSize) == other.event.integer(.baselineUploadSize))
    #expect(one.event.integer(.baselineSentShare) == 0)
  }

  @Test func whatAServerAnswersWith() {
    let host = Host()
    func answer(_ bytes: Int64, _ time: EventTime) {
      host.begin("http-request", "nginx", at: time)
      host.event.set(.httpResponseBodyBytes, bytes)
      host.take()
    }
    for n in 0..<2000 as Range<Int64> { answer(20_000 + n % 50, Host.at(day: n / 200, hour: 8) + .minutes(n % 200)) }
    answer(2_000_000_000, Host.at(day: 10, hour: 9))
    #expect(host.event.integer(.baselineResponseSize).map { $0 > 80_000_000 } == true)
    answer(200, Host.at(day: 10, hour: 9))
    let isMeasured = host.event.has(.baselineResponseSize)
    #expect(!isMeasured, "small ones are not")
  }

  @Test func programsAndTheirPorts() {
    let host = Host()
    func connect(_ program: String, _ port: Int64, _ time: EventTime) -> String? {
      host.begin("connection", "agent", at: time)
      host.text(.processExecutable, program)
      host.event.set(.destinationIP, IPAddress("198.51.100.1")!)
      host.event.set(.destinationPort, port)
      host.text(.tlsClientJA4, "t13d\(port)")
      return host.take(.processPort)
    }
    for day in 0..<10 as Range<Int64> { for hour in 0..<24 as Range<Int64> { _ = connect("/usr/bin/curl", 443, Host.at(day: day, hour: hour)) } }
    #expect(connect("/usr/bin/curl", 4444, Host.at(day: 10, hour: 1)) == "new")
    #expect(host.event.text(.baselineProcessTLS)?.string == "new")
    #expect(connect("/tmp/x", 443, Host.at(day: 10, hour: 1)) == "new-subject")
    func listen(_ port: Int64, _ time: EventTime) -> String? {
      host.begin("ssh-listening", "sshd", at: time)
      host.text(.processName, "sshd")
      host.event.set(.destinationPort, port)
      return host.take(.listener)
    }
    for day in 0..<10 as Range<Int64> { for hour in 0..<24 as Range<Int64> { _ = listen(22, Host.at(day: 11 + day, hour: hour)) } }
    #expect(listen(2222, Host.at(day: 21, hour: 1)) == "new" && !host.event.has(.baselineProcessPort))
  }

  @Test func theyAreInTheSnapshot() throws {
    let host = Host()
    host.browse(days: 0..<10)
    for n in 0..<100 as Range<Int64> { host.fail("user\(n)", from: "203.0.113.\(n % 3)", at: Host.at(day: 10, hour: 1) + .minutes(n)) }
    let copy = Host()
    copy.baseline = try Baseline(snapshot: host.baseline.snapshot())
    #expect(copy.baseline.snapshot() == host.baseline.snapshot())
    for one in [host, copy] { one.browse(days: 11..<14) }
    #expect(copy.baseline.snapshot() == host.baseline.snapshot())
    #expect(host.baseline.forget(subject: Array("192.0.2.10".utf8)) >= 2)
  }

  /// What the version before wrote: everything but measures.
  @Test func anEarlierSnapshotIsRead() throws {
    let host = Host()
    host.live(days: 0..<20)
    let snapshot = host.baseline.snapshot()
    var measures = SnapshotWriter()
    Measures().write(to: &measures)
    #expect(Array(snapshot.dropLast(16)).suffix(measures.bytes.count).elementsEqual(measures.bytes))
    var body = Array(snapshot.dropLast(16 + measures.bytes.count))
    body.replaceSubrange(0..<20, with: Array("panguard-baseline 1\n".utf8))
    var tail = SnapshotWriter()
    tail.put(body.withUnsafeBytes { Fingerprint(of: $0) })
    #expect(try Baseline(snapshot: body + tail.bytes).snapshot() == snapshot)
  }

  @Test func tablesStayInTheirBounds() {
    let host = Host()
    for n in 0..<20_000 as Range<Int64> {
      host.fail("user\(n)", from: "10.\(n / 65536).\(n / 256 % 256).\(n % 256)", at: Host.start + .seconds(n))
      host.connect("10.1.\(n / 256 % 256).\(n % 256)", to: "198.51.100.1", bytes: n, at: Host.start + .seconds(n))
    }
    var counts: [MeasureSummary.Kind: Int] = [:]
    host.baseline.forEachMeasure { counts[$0.kind, default: 0] += 1 }
    #expect(counts[.triedUsers] == Limits.baselineSources && counts[.sent] == 1)
    #expect(counts[.uploads] == Limits.baselineProfilesPerDay)
  }
}
