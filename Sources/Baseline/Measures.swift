// How many different things, who makes most of it, and how large: what is measured of single machines, sources and servers beside the hours.
// A source's count of tried names is of the running day and only observed: there is nothing to teach. What is usual of a machine's number of
// destinations is learned at the end of each day that was clean; sums and sizes are learned of each clean event, and a single event may not
// weigh more than a 64th of everything (winsorised).
// What must stay true: judging changes nothing; the tables are bounded, and those that any stranger can fill (sources) are not those of the
// host's own (machines, servers). Memory, all full: machines 128 x 3.9 KiB, sources 512 x 1.3 KiB, servers 64 x 1.4 KiB, sums 2 KiB.
import Events
import Primitives

/// What an event is measured by, as bits.
public struct MeasureSet: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  /// User names that a source tries (by its address, IPv6 by its /64).
  static let triedUsers = MeasureSet(rawValue: 1)
  /// Where a machine connects to, and how much and how long.
  static let flows = MeasureSet(rawValue: 2)
  /// What a web server answers with.
  static let responses = MeasureSet(rawValue: 4)
}

/// One subject of the measures, for people.
public struct MeasureSummary: Hashable, Sendable {
  public enum Kind: String, Sendable { case triedUsers = "tried_users", destinations, uploads, durations, responses, sent }
  public var kind: Kind
  public var name: [UInt8]
  /// So far today (counts), in the last fortnight (sums); 0 for sizes.
  public var observed: Int64
  /// Usual in a day (counts), the 99th percentile (sizes), thousandths of everything (sums); nil: not known yet.
  public var usual: Int64?
}

struct Measures: ~Copyable {
  private struct Machine {
    var reached = DistinctCount()
    var isDayClean = true
    /// Destinations in a day.
    var daily = Level()
    /// Bytes that one connection sends, and its milliseconds.
    var uploads = SizeQuantiles()
    var durations = SizeQuantiles()
  }
  private struct Server {
    var name: [UInt8]
    var responses = SizeQuantiles()
  }
  private var machines = BoundedTable<IPAddress, Machine>(capacity: Limits.baselineMachines)
  /// The names that each tried today.
  private var sources = BoundedTable<IPAddress, DistinctCount>(capacity: Limits.baselineSources)
  private var servers = BoundedTable<Fingerprint, Server>(capacity: Limits.baselineServers)
  /// Bytes sent to a network.
  private(set) var sent = HeavyHitters()
  /// Where the source lies that was judged last: what is learned next is about it.
  private var judgedSource: Int32 = -1
  private var newDay = Int64.min
  private var newToday = 0
  private(set) var refused: UInt64 = 0
  var evictions: UInt64 { machines.evictions + sources.evictions + servers.evictions }

  static let fields: [Field] = [
    .baselineTriedUsers, .baselineDestinations, .baselineSentShare, .baselineUploadSize, .baselineFlowDuration, .baselineResponseSize,
  ]
  init() {}

  // MARK: Names

  /// An IPv6 host has 2^64 addresses.
  static func subject(_ address: IPAddress) -> IPAddress { address.isV4 ? address : address.masked(64) }
  private static func network(_ address: IPAddress) -> IPAddress { address.masked(address.isV4 ? 24 : 48) }
  private static func text(_ address: IPAddress) -> [UInt8] {
    var out: [UInt8] = []
    address.append(to: &out)
    return out
  }
  private static func networkText(_ address: IPAddress) -> [UInt8] {
    var out = text(address)
    out.append(0x2f)
    out.append(decimal: Int64(address.isV4 ? 24 : 48))
    return out
  }
  private static func key(_ server: [UInt8]) -> Fingerprint { server.withUnsafeBytes { Fingerprint(of: $0, key: (0x6d65_6173, 2)) } }
  /// "nginx web01"; nil: it does not say who it is.
  private static func server(_ event: borrowing Event) -> [UInt8]? {
    var out: [UInt8] = []
    guard event.appendText(of: .eventProvider, to: &out), !out.isEmpty else { return nil }
    if event.has(.hostName) {
      out.append(0x20)
      _ = event.appendText(of: .hostName, to: &out)
    }
    if out.count > Limits.baselineLabelBytes { out.removeSubrange(Limits.baselineLabelBytes...) }
    return out
  }
  /// The machine of ours that acts; nil: what comes from outside is a stranger's. Between two public addresses a stranger is who is not known
  /// and comes to one that is: a host with a public address of its own would learn the whole Internet else.
  func machine(_ event: borrowing Event) -> IPAddress? {
    guard let address = event.address(.sourceIP) else { return nil }
    let subject = Measures.subject(address)
    guard let direction = event.text(.networkDirection) else { return subject }
    if direction.equals("inbound") { return nil }
    if direction.equals("external"), !machines.contains(subject), let target = event.address(.destinationIP),
      machines.contains(Measures.subject(target))
    {
      return nil
    }
    return subject
  }
  private static func responseBytes(_ event: borrowing Event) -> Int64? {
    event.integer(.httpResponseBodyBytes).flatMap { $0 >= Limits.baselineResponseBytes ? $0 : nil }
  }

  // MARK: Judging

  mutating func judge(_ event: inout Event, _ set: MeasureSet) {
    if set.contains(.triedUsers), let address = event.address(.sourceIP) {
      let subject = Measures.subject(address)
      judgedSource = sources.place(of: subject) ?? -1
      event.set(.baselineTriedUsers, sources.modify(subject, at: judgedSource) { $0.count() } ?? 0)
    }
    if set.contains(.flows) { judgeFlow(&event) }
    if set.contains(.responses), let bytes = Measures.responseBytes(event), let name = Measures.server(event),
      let excess = servers.modify(Measures.key(name), { $0.responses.excess(of: bytes) }), let excess
    {
      event.set(.baselineResponseSize, excess)
    }
  }
  private mutating func judgeFlow(_ event: inout Event) {
    guard let address = machine(event) else { return }
    if let target = event.address(.destinationIP), sent.days >= Limits.baselineDays,
      let share = sent.shareThousandths(of: Measures.network(target))
    {
      event.set(.baselineSentShare, share)
    }
    let (bytes, milliseconds) = (event.integer(.sourceBytes), event.integer(.eventDuration).map { $0 / 1_000_000 })
    let said = machines.modify(address) { machine in
      (
        destinations: machine.daily.count >= Limits.baselineDays ? machine.daily.expectation.deviation(of: machine.reached.count()) : nil,
        upload: bytes.flatMap { machine.uploads.excess(of: $0) }, duration: milliseconds.flatMap { machine.durations.excess(of: $0) }
      )
    }
    guard let said else { return }
    if let value = said.destinations { event.set(.baselineDestinations, value) }
    if let value = said.upload { event.set(.baselineUploadSize, value) }
    if let value = said.duration { event.set(.baselineFlowDuration, value) }
  }

  // MARK: Learning

  mutating func learn(_ event: borrowing Event, _ set: MeasureSet, day: Int64, isClean: Bool) {
    if set.contains(.triedUsers), let address = event.address(.sourceIP), let user = event.text(.userName), !user.isEmpty {
      let subject = Measures.subject(address)
      if sources.updateExisting(subject, at: judgedSource, { $0.insert(user) }) == nil {
        sources.update(subject, make: { DistinctCount() }) { $0.insert(user) }
      }
    }
    if set.contains(.flows) { learnFlow(event, day, isClean) }
    if set.contains(.responses), isClean, let bytes = Measures.responseBytes(event), let name = Measures.server(event) {
      let key = Measures.key(name)
      guard hasRoom(day, isKnown: servers.contains(key)) else { return }
      servers.update(key, make: { Server(name: name) }) { $0.responses.add(bytes, day: day) }
    }
  }
  private mutating func learnFlow(_ event: borrowing Event, _ day: Int64, _ isClean: Bool) {
    guard let address = machine(event) else { return }
    if isClean, let target = event.address(.destinationIP), let bytes = event.integer(.sourceBytes) { weigh(bytes, to: target) }
    guard hasRoom(day, isKnown: machines.contains(address)) else { return }
    let target = event.address(.destinationIP)
    let (bytes, duration) = (event.integer(.sourceBytes), event.integer(.eventDuration))
    machines.update(address, make: { Machine() }) { machine in
      if let target {
        withUnsafeBytes(of: (target.high.littleEndian, target.low.littleEndian, target.isV4)) { machine.reached.insert(Bytes(rebasing: $0[..<17])) }
      }
      machine.isDayClean = machine.isDayClean && isClean
      guard isClean else { return }
      if let bytes { machine.uploads.add(bytes, day: day) }
      if let duration { machine.durations.add(duration / 1_000_000, day: day) }
    }
  }
  private mutating func weigh(_ bytes: Int64, to target: IPAddress) {
    let bound = sent.days >= Limits.baselineDays ? max(1, sent.total / 64) : HeavyHitters.largest / 4096
    sent.add(min(bytes, bound), to: Measures.network(target))
  }
  private mutating func hasRoom(_ day: Int64, isKnown: Bool) -> Bool {
    if isKnown { return true }
    if day > newDay { (newDay, newToday) = (day, 0) }
    guard newToday < Limits.baselineProfilesPerDay else {
      refused &+= 1
      return false
    }
    newToday += 1
    return true
  }

  /// Ends the day.
  mutating func closeDay(learns: Bool) {
    machines.modifyOldestFirst { _, machine in
      let count = machine.reached.count()
      if learns, machine.isDayClean, count > 0 { machine.daily.learn(count) }
      (machine.reached, machine.isDayClean) = (DistinctCount(), true)
    }
    sources.removeAll()
    if learns, sent.total > 0 { sent.closeDay() }
  }

  /// Days behind `day` never were.
  mutating func goBack(to day: Int64) {
    newDay = min(newDay, day)
    machines.modifyOldestFirst { _, machine in
      machine.uploads.goBack(to: day)
      machine.durations.goBack(to: day)
    }
    servers.modifyOldestFirst { $1.responses.goBack(to: day) }
  }

  // MARK: Operators

  mutating func forget(_ name: [UInt8]) -> Int {
    var count = servers.removeValue(for: Measures.key(name)) == nil ? 0 : 1
    guard let network = CIDR(String(decoding: name, as: UTF8.self)) else { return count }
    let address = Measures.subject(network.base)
    count += machines.removeValue(for: address) == nil ? 0 : 1
    count += sources.removeValue(for: address) == nil ? 0 : 1
    count += sent.remove(network.base) ? 1 : 0
    return count
  }
  /// Machines and servers from the longest silent to the newest, then sums and tried names from the largest.
  func forEach(_ body: (MeasureSummary) -> Void) {
    machines.forEachOldestFirst { address, machine in
      let name = Measures.text(address)
      var reached = machine.reached
      let usual = machine.daily.count >= Limits.baselineDays ? machine.daily.expectation.level / 256 : nil
      body(MeasureSummary(kind: .destinations, name: name, observed: reached.count(), usual: usual))
      body(MeasureSummary(kind: .uploads, name: name, observed: 0, usual: machine.uploads.known))
      body(MeasureSummary(kind: .durations, name: name, observed: 0, usual: machine.durations.known))
    }
    servers.forEachOldestFirst { _, server in
      body(MeasureSummary(kind: .responses, name: server.name, observed: 0, usual: server.responses.known))
    }
    for entry in sent.ranking {
      let share = sent.shareThousandths(of: entry.key)
      body(MeasureSummary(kind: .sent, name: Measures.networkText(entry.key), observed: entry.count, usual: share))
    }
    var tried: [(name: [UInt8], count: Int64)] = []
    sources.forEachOldestFirst { address, names in
      var names = names
      tried.append((Measures.text(address), names.count()))
    }
    for (_, source) in tried.enumerated().sorted(by: { ($1.element.count, $0.offset) < ($0.element.count, $1.offset) }) {
      body(MeasureSummary(kind: .triedUsers, name: source.name, observed: source.count, usual: nil))
    }
  }

  // MARK: Snapshot

  func write(to out: inout SnapshotWriter) {
    out.put(newDay)
    out.put(newToday)
    out.put(refused)
    out.put(UInt64(machines.count))
    machines.forEachOldestFirst { address, machine in
      out.put(address)
      machine.reached.write(to: &out)
      out.put(machine.isDayClean)
      machine.daily.write(to: &out)
      machine.uploads.write(to: &out)
      machine.durations.write(to: &out)
    }
    out.put(UInt64(sources.count))
    sources.forEachOldestFirst { address, names in
      out.put(address)
      names.write(to: &out)
    }
    out.put(UInt64(servers.count))
    servers.forEachOldestFirst { _, server in
      out.put(server.name)
      server.responses.write(to: &out)
    }
    sent.write(to: &out)
  }
  init(from reader: inout SnapshotReader) throws(BaselineSnapshotError) {
    newDay = try reader.signed()
    newToday = Int(try reader.signed(in: 0...Int64(Limits.baselineProfilesPerDay)))
    refused = try reader.tally()
    for _ in 0..<(try reader.count(atMost: Limits.baselineMachines)) {
      let address = try reader.address()
      var machine = Machine()
      machine.reached = try DistinctCount(from: &reader)
      machine.isDayClean = try reader.flag()
      machine.daily = try Level(from: &reader)
      machine.uploads = try SizeQuantiles(from: &reader)
      machine.durations = try SizeQuantiles(from: &reader)
      guard !machines.contains(address) else { throw reader.fail("a machine comes twice") }
      machines.update(address, make: { machine }) { _ in }
    }
    for _ in 0..<(try reader.count(atMost: Limits.baselineSources)) {
      let (address, names) = (try reader.address(), try DistinctCount(from: &reader))
      guard !sources.contains(address) else { throw reader.fail("a source comes twice") }
      sources.update(address, make: { names }) { _ in }
    }
    for _ in 0..<(try reader.count(atMost: Limits.baselineServers)) {
      let server = Server(name: try reader.text(atMost: Limits.baselineLabelBytes), responses: try SizeQuantiles(from: &reader))
      let key = Measures.key(server.name)
      guard !servers.contains(key) else { throw reader.fail("a server comes twice") }
      servers.update(key, make: { server }) { _ in }
    }
    sent = try HeavyHitters(from: &reader)
  }
}
