// What is normal on this host: one value, fed with events, that says what was never seen before and what is more or less than usual.
// An event is judged first (`judge` only reads, and writes what it found into the event's `baseline.` fields for the rules), and learned
// last, if nothing spoke against it. Event time only; the hour ends when a later event arrives, and hours in which nothing arrived at all are
// left out: a host that is switched off teaches nothing.
// What must stay true: pure and total; the same events in the same order give the same bytes. Nobody but this module writes the fields:
// what an input brought under their names is removed. Memory is bounded by `Limits.baseline...`, 9 MB when everything is full.
import Events
import Primitives

/// Something that only shows when an hour or a day is over.
public struct BaselineFinding: Hashable, Sendable {
  public enum Kind: UInt8, Sendable {
    /// Nothing came in an hour that usually brings much.
    case silence
    /// Small deviations of one sign have added up.
    case shift
    /// What is usual lately has moved away from what was usual before.
    case drift
    public var action: StaticString {
      switch self {
      case .silence: "baseline-silence"
      case .shift: "baseline-shift"
      case .drift: "baseline-drift"
      }
    }
  }
  public var kind: Kind
  public var rate: RateClass
  /// The user, host, service or address that it is about.
  public var subject: [UInt8]
  /// Usual in one hour (drift: in one day), rounded down.
  public var expected: Int64
  /// What there was in that hour (drift: is usual lately, in one day).
  public var observed: Int64
  /// Thousandths: of spreads, added up for a shift; of the usual daily amount for a drift. Negative: less than usual.
  public var deviation: Int64
  /// Days of which its subject's amounts had been learned.
  public var days: Int64
}

public struct Baseline: ~Copyable {
  private struct Profile {
    var rate: RateClass
    var subject: [UInt8]
    var hours = HourProfile()
    /// What was asked last, and of which hour; not kept in snapshots.
    var asked = Int64.min
    var expected: Expectation?
  }
  private var profiles = BoundedTable<Fingerprint, Profile>(capacity: Limits.baselineProfiles)
  private var recent = RecentSubjects()
  private var newProfilesDay = Int64.min
  private var newProfilesToday = 0
  private var sets = PairSets()
  private var measures = Measures()
  /// Hours since 1970 of the newest event; .min: none came yet.
  private var hour = Int64.min
  /// Something came in the hour before that one: it does not begin with the host's start.
  private var isContinued = false
  /// The newest event that was taken up, learned or not.
  public private(set) var newest = EventTime.distantPast
  /// Nothing is learned while it is true; judging goes on.
  public var isFrozen = false
  /// Names what was learned, in its order: pairs at once, amounts at the end of their hour, measures at the end of their day.
  private var chain = Fingerprint(high: 0, low: 0)
  public private(set) var learnedEvents: UInt64 = 0
  /// Events that were not learned because a rule or an incident spoke against them.
  public private(set) var quarantinedEvents: UInt64 = 0
  /// Profiles that had to wait for another day.
  private var refusedRates: UInt64 = 0
  public var refusedProfiles: UInt64 { refusedRates + measures.refused }
  /// Findings of this run that had no room among those of their hour.
  public private(set) var untoldFindings: UInt64 = 0
  private var subjectText: [UInt8] = []
  private var objectText: [UInt8] = []
  private var joinedText: [UInt8] = []
  /// By class: the names that the event judged last has, and the number of that judgement.
  private var judgedKeys = [PairKeys?](repeating: nil, count: PairClass.allCases.count)
  private var judgement: UInt64 = 0

  public init() {}

  /// Names the state: 32 lower-case hexadecimal digits.
  public var hash: String {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(64)
    chain.append(to: &bytes)
    bytes.append(decimal: Int64(clamping: learnedEvents))
    bytes.append(0x20)
    bytes.append(decimal: Int64(clamping: quarantinedEvents))
    bytes.append(isFrozen ? 0x66 : 0x6c)
    return bytes.withUnsafeBytes { Fingerprint(of: $0) }.description
  }

  // MARK: Judging

  /// All that `judge` writes.
  public static let fields: [Field] = PairClass.allCases.map(\.field) + RateClass.allCases.map(\.field) + Measures.fields
  private let fieldSet: FieldSet = {
    var set = FieldSet()
    for field in fields { set.insert(field) }
    return set
  }()

  /// Writes what it thinks of the event into the event. Changes nothing else. Returns what `learn` wants to know of the event.
  @discardableResult
  public mutating func judge(_ event: inout Event) -> ClassSet {
    var claimed = event.presence
    claimed.formIntersection(fieldSet)
    if claimed != FieldSet() { for field in Baseline.fields { event.remove(field) } }
    var classes = ClassSet(of: event)
    // How much a service says is only judged when the hour is over.
    guard classes.isMoreThanCounted else { return classes }
    let now = floorDivide(event.time.nanoseconds, nanosecondsPerHour)
    if classes.pairs != 0 {
      judgement &+= 1
      classes.judgement = judgement
    }
    for row in classes.pairRows {
      let known = keys(row, event)
      judgedKeys[Int(row.rawValue)] = known
      guard let keys = known else { continue }
      var said = sets.judge(row, keys, day: floorDivide(now, 24))
      if row == .loginHour, said == .new, isBesideKnownHour(now) { said = .known }
      event.set(row.field, said.name)
    }
    for row in classes.rateRows where row != .events {
      guard let place = place(row, event) else { continue }
      let known = profiles.modify(place.key, at: place.slot) { profile in
        if profile.asked != now { (profile.asked, profile.expected) = (now, profile.hours.expectation(hour: now)) }
        return (profile.expected, now == hour ? profile.hours.observed : 0)
      }
      guard let (expected, before) = known, let expected else { continue }
      event.set(row.field, expected.deviation(of: before + row.amount(event)))
    }
    if !classes.measures.isEmpty { measures.judge(&event, classes.measures) }
    return classes
  }

  /// An hour earlier or later is the same habit: clocks are changed twice a year, and nobody is punctual. `subjectText` is the user.
  private func isBesideKnownHour(_ hour: Int64) -> Bool {
    [hour - 1, hour + 1].contains { beside in
      var object: [UInt8] = []
      PairClass.writeHour(beside, to: &object)
      let keys = PairKeys(.loginHour, subject: subjectText, object: object)
      let said = sets.judge(.loginHour, keys, day: floorDivide(hour, 24))
      return said == .known || said == .recent
    }
  }

  private mutating func keys(_ row: PairClass, _ event: borrowing Event) -> PairKeys? {
    subjectText.removeAll(keepingCapacity: true)
    objectText.removeAll(keepingCapacity: true)
    if row.isOfMachines, event.has(.networkDirection), measures.machine(event) == nil { return nil }
    guard row.write(event, subject: &subjectText, object: &objectText), !subjectText.isEmpty, !objectText.isEmpty else { return nil }
    return PairKeys(row, subject: subjectText, object: objectText, joined: &joinedText)
  }
  /// For people: as it waits.
  private static func label(_ row: PairClass, _ event: borrowing Event) -> [UInt8] {
    var subject: [UInt8] = []
    var object: [UInt8] = []
    _ = row.write(event, subject: &subject, object: &object)
    return subject + [0x20] + object
  }
  /// Where the profile lies that the event is about; -1: there is none. nil: the event is about none.
  private mutating func place(_ row: RateClass, _ event: borrowing Event) -> (key: Fingerprint, slot: Int32)? {
    // A service is one of its host.
    let host = row == .events ? event.text(.hostName) : nil
    guard let name = row.name(event), !name.isEmpty else {
      guard let key = key(row, event, nil, host) else { return nil }
      return (key, profiles.place(of: key) ?? -1)
    }
    let index = recent.index(row, name)
    if let found = recent.find(at: index, name, host), profiles.holds(found.key, at: found.slot) { return found }
    guard let key = key(row, event, name, host) else { return nil }
    let slot = profiles.place(of: key) ?? -1
    recent.keep(subjectText, key, slot: slot, at: index)
    return (key, slot)
  }
  /// The name of the subject, which is in `subjectText` then.
  private mutating func key(_ row: RateClass, _ event: borrowing Event, _ name: Bytes?, _ host: Bytes?) -> Fingerprint? {
    subjectText.removeAll(keepingCapacity: true)
    if row == .requestBytes {
      guard let machine = measures.machine(event) else { return nil }
      machine.append(to: &subjectText)
    } else {
      if let name { subjectText.append(name) } else { _ = event.appendText(of: row.subject, to: &subjectText) }
      guard !subjectText.isEmpty else { return nil }
    }
    if let host {
      subjectText.append(0x20)
      subjectText.append(host)
    }
    // As it is kept and written: what differs behind that is one subject, also after a restart.
    if subjectText.count > Limits.baselineLabelBytes { subjectText.removeSubrange(Limits.baselineLabelBytes...) }
    return Baseline.key(row, subjectText)
  }
  private static func key(_ row: RateClass, _ subject: [UInt8]) -> Fingerprint {
    subject.withUnsafeBytes { Fingerprint(of: $0, key: (0x7261_7465, UInt64(row.rawValue))) }
  }

  /// What is usual of the amount that the event adds to; nil: nothing is known.
  mutating func rate(_ row: RateClass, _ event: borrowing Event) -> BaselineKnowledge? {
    let now = floorDivide(event.time.nanoseconds, nanosecondsPerHour)
    guard let place = place(row, event), let deviation = event.integer(row.field) else { return nil }
    let known = profiles.modify(place.key, at: place.slot) { profile in
      (profile.hours.expectation(hour: now), now == hour ? profile.hours.observed : 0, profile.hours.days, profile.subject)
    }
    guard let (expected, before, days, subject) = known, let expected else { return nil }
    return BaselineKnowledge(
      field: "\(row.field.name)", subject: Baseline.text(subject),
      said: .amount(expected: expected.level / 256, observed: before + row.amount(event), deviation: deviation), days: days)
  }
  /// Of counts, sums and sizes.
  var measureDays: Int64 { measures.sent.days }

  // MARK: Time

  /// Whether there is one to be ended.
  @inline(__always)
  public func endsHour(at time: EventTime) -> Bool { floorDivide(time.nanoseconds, nanosecondsPerHour) > hour }

  /// Ends the hours that lie before `time`. What shows then, in the order in which profiles were touched.
  public mutating func advance(to time: EventTime) -> [BaselineFinding] {
    let now = floorDivide(time.nanoseconds, nanosecondsPerHour)
    guard now > hour else { return [] }
    // An hour at the edge of a time in which nothing came at all is that in which the host was switched on or off.
    let isNext = now - 1 == hour
    let isWhole = isContinued && isNext
    defer { (hour, isContinued) = (now, isNext) }
    guard hour != .min else { return [] }
    let (ended, endsDay, learns) = (hour, floorDivide(now, 24) > floorDivide(hour, 24), !isFrozen)
    var findings: [BaselineFinding] = []
    var amounts = SnapshotWriter()
    profiles.modifyOldestFirst { key, profile in
      if profile.hours.observed > 0 {
        amounts.put(key)
        amounts.put(profile.hours.observed)
        amounts.put(profile.hours.clean)
      }
      profile.asked = .min
      let observed = profile.hours.observed
      for change in profile.hours.close(hour: ended, learns: learns, isShared: profile.rate.isShared, isWhole: isWhole) {
        findings.append(BaselineFinding(change, profile.rate, profile.subject, observed: observed, days: profile.hours.days))
      }
      if endsDay, let change = profile.hours.closeDay(learns: learns) {
        findings.append(BaselineFinding(change, profile.rate, profile.subject, observed: observed, days: profile.hours.days))
      }
    }
    if endsDay {
      measures.write(to: &amounts)
      measures.closeDay(learns: learns)
    }
    link {
      $0.put(ended)
      $0.put(learns)
      $0.put(amounts.bytes.withUnsafeBytes { Fingerprint(of: $0) })
    }
    if findings.count > Limits.baselineFindings {
      untoldFindings &+= UInt64(findings.count - Limits.baselineFindings)
      findings.removeSubrange(Limits.baselineFindings...)
    }
    return findings
  }

  /// The clock that led is believed to have gone back from `former` to `time`: what was noted of times that never were must not keep days and
  /// hours from counting until they come (a wrong year would be a year without learning). Does nothing where another clock leads.
  public mutating func goBack(from former: EventTime, to time: EventTime) {
    let now = floorDivide(time.nanoseconds, nanosecondsPerHour)
    guard now < hour, floorDivide(former.nanoseconds, nanosecondsPerHour) >= hour else { return }
    (hour, newest, isContinued) = (now, time, false)
    newProfilesDay = min(newProfilesDay, floorDivide(now, 24))
    profiles.modifyOldestFirst { $1.hours.leaveHour() }
    sets.goBack(to: now)
    measures.goBack(to: floorDivide(now, 24))
    link { $0.put(now) }
  }

  // MARK: Learning

  /// Takes up the event, of which `judge` said `classes` (its names are those that it had then), at its place on the time line. Not clean: a
  /// rule spoke of it, or its subject has an open incident.
  public mutating func learn(_ event: borrowing Event, _ classes: ClassSet, at time: EventTime, isClean: Bool) {
    if time > newest { newest = time }
    if classes.isEmpty { return }
    let now = floorDivide(time.nanoseconds, nanosecondsPerHour)
    if !isClean { quarantinedEvents &+= 1 } else if !isFrozen { learnedEvents &+= 1 }
    // An hour that is over is not opened again.
    if now == hour { for row in classes.rateRows { count(row, event, day: floorDivide(now, 24), isClean) } }
    guard !isFrozen else { return }
    if !classes.measures.isEmpty { measures.learn(event, classes.measures, day: floorDivide(now, 24), isClean: isClean) }
    guard classes.pairs != 0 else { return }
    for row in classes.pairRows {
      let isJudged = classes.judgement != 0 && classes.judgement == judgement
      // A machine that the event was the first of is known by now.
      guard let keys = (isJudged ? judgedKeys[Int(row.rawValue)] : nil) ?? keys(row, event) else { continue }
      let isChanged = sets.learn(row, keys, hour: now, isClean: isClean) { Baseline.label(row, event) }
      guard isChanged else { continue }
      link {
        $0.put(keys.pair)
        $0.put(isClean)
      }
    }
  }
  private mutating func count(_ row: RateClass, _ event: borrowing Event, day: Int64, _ isClean: Bool) {
    let amount = row.amount(event)
    guard amount > 0, let place = place(row, event) else { return }
    if profiles.updateExisting(place.key, at: place.slot, { $0.hours.add(amount, isClean: isClean) }) != nil { return }
    if day > newProfilesDay { (newProfilesDay, newProfilesToday) = (day, 0) }
    let room = row.isNamedByLine(event) ? Limits.baselineLineServicesPerDay : Limits.baselineProfilesPerDay
    guard newProfilesToday < room, !isFrozen else {
      refusedRates &+= 1
      return
    }
    newProfilesToday += 1
    let subject = subjectText
    profiles.update(place.key, make: { Profile(rate: row, subject: subject) }) { $0.hours.add(amount, isClean: isClean) }
  }

  private mutating func link(_ write: (inout SnapshotWriter) -> Void) {
    var writer = SnapshotWriter()
    writer.put(chain)
    writer.put(learnedEvents)
    write(&writer)
    chain = writer.bytes.withUnsafeBytes { Fingerprint(of: $0) }
  }

  // MARK: Operators

  /// What is known of one class: how far it has come, entries, and what waits.
  public func state(of row: PairClass) -> (learning: LearningState, entries: Int, pending: [PendingPair], droppedPending: UInt64, evictions: UInt64) {
    sets.state(of: row)
  }
  /// Subjects with a rate, from the longest silent to the newest.
  public func forEachRate(_ body: (_ rate: RateClass, _ subject: [UInt8], _ hours: HourSummary) -> Void) {
    profiles.forEachOldestFirst { _, profile in body(profile.rate, profile.subject, HourSummary(profile.hours, hour: hour)) }
  }
  /// Pairs of a class that the other one does not have.
  func pairs(_ row: PairClass, notIn other: borrowing Baseline) -> Int {
    var count = 0
    sets.forEachPair(row) { if other.sets.days(row, $0) == nil { count += 1 } }
    return count
  }
  public var profileCount: Int { profiles.count }
  /// Counts, sums and sizes: machines and servers from the longest silent to the newest, then the largest first.
  public func forEachMeasure(_ body: (MeasureSummary) -> Void) { measures.forEach(body) }
  public var evictions: UInt64 { profiles.evictions + sets.evictions + measures.evictions }

  /// Days since 1970 on which the pair was first and last seen.
  public func days(_ row: PairClass, subject: [UInt8], object: [UInt8]) -> (first: Int64, last: Int64)? {
    sets.days(row, PairKeys(row, subject: subject, object: object).pair)
  }
  /// The same of a first half, with whatever second one.
  public func days(_ row: PairClass, subject: [UInt8]) -> (first: Int64, last: Int64)? {
    sets.days(row, PairKeys(row, subject: subject, object: []).subject)
  }
  public mutating func promote(_ row: PairClass, subject: [UInt8], object: [UInt8]) {
    let keys = PairKeys(row, subject: subject, object: object)
    sets.promote(row, keys, day: floorDivide(newest.nanoseconds, 24 * nanosecondsPerHour))
    link { $0.put(keys.pair) }
  }
  /// Forgets a first half (its pairs are then those of a new subject, and the rates about it are gone); of an address, what is kept under the
  /// name of its network too. Returns how many entries it was.
  public mutating func forget(subject: [UInt8]) -> Int {
    var count = measures.forget(subject)
    var names = [subject]
    if let network = CIDR(String(decoding: subject, as: UTF8.self)) {
      var name: [UInt8] = []
      Measures.subject(network.base).append(to: &name)
      if name != subject { names.append(name) }
    }
    for name in names {
      for row in PairClass.allCases { count += sets.forget(row, PairKeys(row, subject: name, object: []).subject) ? 1 : 0 }
      for row in RateClass.allCases { count += profiles.removeValue(for: Baseline.key(row, name)) == nil ? 0 : 1 }
    }
    link { $0.put(subject) }
    return count
  }

  // MARK: Snapshot

  private static let magic = Array("panguard-baseline 2\n".utf8)
  /// Without measures: they begin empty.
  private static let earlier = Array("panguard-baseline 1\n".utf8)

  /// The whole state. The last 16 bytes are a fingerprint of what stands before them: it finds damage, not forgery.
  public func snapshot() -> [UInt8] {
    var out = SnapshotWriter()
    out.put(hour)
    out.put(newest.nanoseconds)
    out.put(UInt64((isFrozen ? 1 : 0) | (isContinued ? 2 : 0)))
    out.put(chain)
    out.put(learnedEvents)
    out.put(quarantinedEvents)
    out.put(refusedRates)
    out.put(newProfilesDay)
    out.put(newProfilesToday)
    out.put(UInt64(PairClass.allCases.count))
    for row in PairClass.allCases { sets.write(row, to: &out) }
    out.put(UInt64(profiles.count))
    profiles.forEachOldestFirst { _, profile in
      out.put(UInt64(profile.rate.rawValue))
      out.put(profile.subject)
      profile.hours.write(to: &out)
    }
    measures.write(to: &out)
    var bytes = Baseline.magic + out.bytes
    let check = bytes.withUnsafeBytes { Fingerprint(of: $0) }
    var tail = SnapshotWriter()
    tail.put(check)
    bytes += tail.bytes
    return bytes
  }

  public init(snapshot bytes: [UInt8]) throws(BaselineSnapshotError) {
    let isEarlier = bytes.starts(with: Baseline.earlier)
    guard isEarlier || bytes.starts(with: Baseline.magic), bytes.count >= Baseline.magic.count + 16 else {
      throw BaselineSnapshotError(description: "this is no baseline of a kind that this version knows")
    }
    let end = bytes.count - 16
    var tail = SnapshotReader(bytes, from: end)
    guard try tail.fingerprint() == bytes.withUnsafeBytes({ Fingerprint(of: Bytes($0).upTo(end)) }) else {
      throw BaselineSnapshotError(description: "the baseline's snapshot is damaged")
    }
    var reader = SnapshotReader(bytes, from: Baseline.magic.count, to: end)
    hour = try reader.signed()
    newest = EventTime(nanoseconds: try reader.signed())
    let flags = try reader.unsigned()
    guard flags <= 3 else { throw reader.fail("a flag is none") }
    (isFrozen, isContinued) = (flags & 1 == 1, flags & 2 == 2)
    chain = try reader.fingerprint()
    learnedEvents = try reader.tally()
    quarantinedEvents = try reader.tally()
    refusedRates = try reader.tally()
    newProfilesDay = try reader.signed()
    newProfilesToday = Int(try reader.signed(in: 0...1 << 20))
    // Classes that this version has and that one had not begin empty.
    sets = try PairSets(count: try reader.count(atMost: PairClass.allCases.count), from: &reader)
    for _ in 0..<(try reader.count(atMost: Limits.baselineProfiles)) {
      guard let rate = RateClass(rawValue: UInt8(clamping: try reader.unsigned())) else { throw reader.fail("a rate is not known") }
      let subject = try reader.text(atMost: Limits.baselineLabelBytes)
      let profile = Profile(rate: rate, subject: subject, hours: try HourProfile(from: &reader))
      let key = Baseline.key(rate, subject)
      guard !profiles.contains(key) else { throw reader.fail("a rate comes twice") }
      profiles.update(key, make: { profile }) { _ in }
    }
    if !isEarlier { measures = try Measures(from: &reader) }
    guard reader.isAtEnd else { throw reader.fail("there is more than a baseline") }
  }
}

extension BaselineFinding {
  /// Fills a fresh event. The subject stands in the field that its rate is about.
  public func write(to event: inout Event) {
    event.set(.eventCategory, "host")
    event.set(.eventProvider, "panguard")
    event.set(.eventAction, kind.action)
    var reason: [UInt8] = Array(rate.name.utf8)
    reason.append(contentsOf: ", usually ".utf8)
    reason.append(decimal: expected)
    reason.append(contentsOf: (kind == .drift ? " a day" : " in this hour").utf8)
    reason.withUnsafeBytes { event.set(.eventReason, $0) }
    event.set(rate.field, deviation)
    subject.withUnsafeBytes { text in
      guard rate == .events else {
        _ = event.set(rate.subject, parsing: text)
        return
      }
      // "sshd web01": a program's name may have spaces, a host's has none.
      let space = text.lastIndex(of: 0x20) ?? text.count
      event.set(.eventDataset, text.upTo(space))
      if space < text.count { event.set(.hostName, text.from(space + 1)) }
    }
  }

  fileprivate init(_ change: HourProfile.Change, _ rate: RateClass, _ subject: [UInt8], observed: Int64, days: Int64) {
    switch change {
    case .silence(let expected):
      self.init(
        kind: .silence, rate: rate, subject: subject, expected: expected.level / 256, observed: 0, deviation: expected.deviation(of: 0), days: days)
    case .shift(let sum, let expected):
      self.init(kind: .shift, rate: rate, subject: subject, expected: expected.level / 256, observed: observed, deviation: sum, days: days)
    case .drift(let fast, let slow):
      self.init(
        kind: .drift, rate: rate, subject: subject, expected: slow / 256, observed: fast / 256, deviation: (fast - slow) * 1000 / max(1, slow),
        days: days)
    }
  }
}

/// One profile, for people.
public struct HourSummary: Hashable, Sendable {
  /// So far in the running hour, and what is usual in it (nil: not learned).
  public var observed: Int64
  public var expected: Int64?
  public var spread: Int64?
  /// Days that were learned, and daily amounts of the last 14 and 90 days.
  public var days: Int64
  public var fast: Int64
  public var slow: Int64
  init(_ hours: HourProfile, hour: Int64) {
    observed = hours.observed
    let expectation = hour == .min ? nil : hours.expectation(hour: hour)
    expected = expectation.map { $0.level / 256 }
    spread = expectation.map { $0.spread / 256 }
    (days, fast, slow) = (hours.days, hours.fast / 256, hours.slow / 256)
  }
}

/// The names of a pair and of its first half.
struct PairKeys {
  var subject: Fingerprint
  var pair: Fingerprint
  init(_ row: PairClass, subject: [UInt8], object: [UInt8]) {
    var joined: [UInt8] = []
    self.init(row, subject: subject, object: object, joined: &joined)
  }
  /// `joined` is working memory.
  init(_ row: PairClass, subject text: [UInt8], object: [UInt8], joined: inout [UInt8]) {
    let key: (UInt64, UInt64) = (0x7061_6972, UInt64(row.rawValue))
    subject = text.withUnsafeBytes { Fingerprint(of: $0, key: key) }
    // A text cannot hold what would make it the head of another: its own fingerprint stands before the second half.
    joined.removeAll(keepingCapacity: true)
    subject.append(to: &joined)
    joined.append(contentsOf: object)
    pair = joined.withUnsafeBytes { Fingerprint(of: $0, key: key) }
  }
}
