// Beacons: a program inside that calls somebody outside again and again, by a clock. Also its extremes: 86,400 contacts a day (strobe).
// Sources: RITA 5's score over 24 hours (`PeriodicityScore`); for the first hours, in which that score is 0 by construction, the mean of timing and
// size over the last 30 contacts within two hours (measured on generated traffic).
// Modifiers as RITA's: 150 less for a peer that was known when watching began or for 30 days, 150 more for one that is new after 7 days of
// watching; 150 less where half of at least 10 clients inside talk to it, 150 more where 1 in 50 does; 100 more for HTTP without a host name.
// What differs from RITA:
// - the median deviation of the gaps must be at most 35 % of their median, of fewer than 30 contacts 15 % (`steadiness`): people who come by
//   chance (Poisson) have 69 %, a clock with a jitter of half its period 25 %, and the score alone takes a few visits to one site for a beacon;
// - timing and size are taken from the last 64 contacts, so that a pair costs the same however often it talks;
// - the 24 hours end now, instead of being the recording's;
// - at least 10 contacts (RITA: 4), because the score is told as soon as it is there.
// Only flows from inside to outside that were answered count: who merely asks (a scan, a flood) fills no table.
// Memory: a peer is a candidate first (`Limits.beaconCandidates`, about 100 bytes) and has a series of contacts (`Limits.beaconPeers`, 1 KiB)
// from the third contact on; who talks to thousands of peers once each pushes out no series. In both the peer that was silent longest goes, and
// is counted.
import Events
import Primitives

struct Beacon: ~Copyable {
  private struct Contact {
    var seconds: Int64
    var bytes: Int64
  }
  /// The scores of contacts in the order of time; `period`: the median gap in seconds.
  private struct Regularity {
    let timing: Int64
    let steadiness: Int64
    let size: Int64
    let period: Int64

    init(_ contacts: ArraySlice<Contact>) {
      var gaps: [Int64] = []
      gaps.reserveCapacity(64)
      var last: Int64?
      for contact in contacts {
        if let last, contact.seconds > last { gaps.append(contact.seconds - last) }
        last = contact.seconds
      }
      (timing, steadiness) = PeriodicityScore.regularity(&gaps, ifZero: 1000)
      var sizes = contacts.map(\.bytes)
      size = PeriodicityScore.regularity(&sizes, ifZero: 0).score
      period = gaps.isEmpty ? 0 : gaps[gaps.count / 2]
    }
  }
  private struct Candidate {
    var count = 0
    var firstTime: EventTime
    var lastTime: EventTime
  }
  private struct Series {
    var seconds = InlineArray<64, UInt32>(repeating: 0)
    var bytes = InlineArray<64, UInt32>(repeating: 0)
    /// Contacts so far; the newest is at (count - 1) % 64.
    var count: Int64 = 0
    /// By hour of the epoch modulo 24, valid for the 24 hours up to `hour`.
    var hours = InlineArray<24, Int64>(repeating: 0)
    var hour: Int64
    var firstTime: EventTime
    var name: ServerName
    var isKnown: Bool
    var trust: Trust
    /// Contacts since the last look, and when that was.
    var sinceLook = 0
    var lookedAt: EventTime
    /// Tiers that were told.
    var reported: (daily: Int, short: Int, strobe: Bool) = (0, 0, false)
  }
  private var candidates = BoundedTable<PeerKey, Candidate>(capacity: Limits.beaconCandidates)
  private var series = BoundedTable<PeerKey, Series>(capacity: Limits.beaconPeers)
  private var prevalence = Prevalence()
  var evictions: UInt64 { candidates.evictions &+ series.evictions &+ prevalence.evictions }

  static let leastContacts: Int64 = 10
  /// Scores from which on a peer is told of, and told again.
  static let tiers: [Int64] = [800, 900]
  static func leastSteadiness(_ contacts: Int64) -> Int64 { contacts >= 30 ? 650 : 850 }
  static let shortContacts = 30
  static let shortWindow = Nanoseconds.hours(2)
  static let shortTiers: [Int64] = [850, 950]
  static let strobe: Int64 = 86_400

  mutating func observe(
    _ flow: FlowFacts, _ name: ServerName, isNamelessHTTP: Bool, at time: EventTime, isLearning: Bool, watched: Nanoseconds,
    into findings: inout [NetworkFinding]
  ) {
    guard flow.outcome == .answered, !flow.isOngoing, flow.transport == .tcp || flow.transport == .udp else { return }
    let key = PeerKey(flow, name)
    let share = prevalence.note(flow.source, key.peer)
    let isFollowed: Void? = series.updateExisting(key) { entry in
      Beacon.count(flow, &entry)
      guard entry.sinceLook >= 16 || time - entry.lookedAt >= .minutes(15) else { return }
      entry.sinceLook = 0
      entry.lookedAt = time
      let modifier = Beacon.modifier(entry, share, isNamelessHTTP: isNamelessHTTP, watched: watched, at: time)
      Beacon.judge(&entry, modifier, flow, at: time, into: &findings)
    }
    if isFollowed != nil { return }
    let (contacts, first) = candidates.update(
      key, make: { Candidate(firstTime: flow.firstTime, lastTime: flow.firstTime) },
      { candidate in
        candidate.count += 1
        candidate.firstTime = min(candidate.firstTime, flow.firstTime)
        return (candidate.count, candidate.firstTime)
      })
    guard contacts >= 3 || isLearning else { return }
    _ = candidates.removeValue(for: key)
    series.update(
      key,
      make: {
        Series(
          hour: Beacon.hour(flow.firstTime), firstTime: first, name: name, isKnown: isLearning, trust: .attested, lookedAt: time)
      }, { Beacon.count(flow, &$0) })
  }

  private static func hour(_ time: EventTime) -> Int64 { time.nanoseconds / Nanoseconds.hours(1).count }
  private static func place(_ hour: Int64) -> Int { Int(((hour % 24) + 24) % 24) }

  private static func count(_ flow: FlowFacts, _ entry: inout Series) {
    let at = Int(entry.count % 64)
    entry.seconds[at] = UInt32(clamping: flow.firstTime.nanoseconds / 1_000_000_000)
    entry.bytes[at] = UInt32(clamping: flow.sourceBytes)
    entry.count &+= 1
    entry.sinceLook += 1
    entry.trust = min(entry.trust, flow.trust)
    let hour = hour(flow.firstTime)
    if hour > entry.hour {
      for passed in 1...min(24, hour - entry.hour) { entry.hours[place(entry.hour + passed)] = 0 }
      entry.hour = hour
    }
    if hour > entry.hour - 24 { entry.hours[place(hour)] += 1 }
  }

  private static func modifier(
    _ entry: Series, _ share: Prevalence.Share, isNamelessHTTP: Bool, watched: Nanoseconds, at time: EventTime
  ) -> Int64 {
    var modifier: Int64 = isNamelessHTTP ? 100 : 0
    let age = time - entry.firstTime
    if entry.isKnown || age >= .days(30) { modifier -= 150 } else if watched >= .days(14), age <= .days(7) { modifier += 150 }
    if share == .common { modifier -= 150 } else if share == .rare { modifier += 150 }
    return modifier
  }

  private static func judge(
    _ entry: inout Series, _ modifier: Int64, _ flow: FlowFacts, at time: EventTime, into findings: inout [NetworkFinding]
  ) {
    guard entry.count >= leastContacts else { return }
    var contacts: [Contact] = []
    contacts.reserveCapacity(64)
    for i in 0..<Int(min(64, entry.count)) { contacts.append(Contact(seconds: Int64(entry.seconds[i]), bytes: Int64(entry.bytes[i]))) }
    contacts.sort { $0.seconds < $1.seconds }
    judgeDay(&entry, contacts, modifier, flow, at: time, into: &findings)
    judgeNewest(&entry, contacts, modifier, flow, at: time, into: &findings)
  }

  private static func judgeDay(
    _ entry: inout Series, _ contacts: [Contact], _ modifier: Int64, _ flow: FlowFacts, at time: EventTime, into findings: inout [NetworkFinding]
  ) {
    let hours = (0..<24).map { entry.hours[place(entry.hour - 23 + Int64($0))] }
    let today = hours.reduce(0, +)
    if today >= strobe, !entry.reported.strobe {
      entry.reported.strobe = true
      findings.append(finding("strobe", nil, entry, flow, [("contacts", today)], at: time))
    }
    let whole = Regularity(contacts[...])
    let duration = PeriodicityScore.duration(hours, span: span(entry, hours, contacts))
    let histogram = PeriodicityScore.histogram(hours)
    let score = clamp((whole.timing + whole.size + duration + histogram) / 4 + modifier)
    guard whole.steadiness >= leastSteadiness(entry.count), isNews(score, tiers, &entry.reported.daily) else { return }
    let numbers = numbers(score, whole, today, entry) + [("duration", duration), ("histogram", histogram)]
    findings.append(finding("beacon", "daily", entry, flow, numbers, at: time))
  }

  private static func judgeNewest(
    _ entry: inout Series, _ contacts: [Contact], _ modifier: Int64, _ flow: FlowFacts, at time: EventTime, into findings: inout [NetworkFinding]
  ) {
    let last = contacts.suffix(shortContacts)
    guard last.count == shortContacts, let oldest = last.first, let newest = last.last,
      newest.seconds - oldest.seconds <= shortWindow.wholeSeconds
    else { return }
    let recent = Regularity(last)
    let score = clamp((recent.timing + recent.size) / 2 + modifier)
    guard recent.steadiness >= leastSteadiness(Int64(shortContacts)), recent.period >= 2, isNews(score, shortTiers, &entry.reported.short)
    else { return }
    findings.append(finding("beacon", "short", entry, flow, numbers(score, recent, Int64(shortContacts), entry), at: time))
  }

  private static func numbers(_ score: Int64, _ regularity: Regularity, _ contacts: Int64, _ entry: Series) -> [(name: StaticString, value: Int64)] {
    [
      ("score", score), ("timing", regularity.timing), ("steadiness", regularity.steadiness), ("size", regularity.size), ("contacts", contacts),
      ("period_seconds", regularity.period), ("known", entry.isKnown ? 1 : 0),
    ]
  }

  private static func isNews(_ score: Int64, _ tiers: [Int64], _ told: inout Int) -> Bool {
    let reached = tiers.prefix { score >= $0 }.count
    guard reached > told else { return false }
    told = reached
    return true
  }
  private static func clamp(_ score: Int64) -> Int64 { max(0, min(1000, score)) }

  /// Seconds between the first and the last contact of the last 24 hours, as far as hours tell.
  private static func span(_ entry: Series, _ hours: [Int64], _ contacts: [Contact]) -> Int64 {
    guard let oldest = hours.firstIndex(where: { $0 > 0 }), let newest = hours.lastIndex(where: { $0 > 0 }) else { return 0 }
    if entry.count <= 64, let first = contacts.first, let last = contacts.last { return min(86_400, last.seconds - first.seconds) }
    return Int64(newest - oldest) * 3600
  }

  private static func finding(
    _ action: StaticString, _ reason: StaticString?, _ entry: Series, _ flow: FlowFacts,
    _ numbers: [(name: StaticString, value: Int64)], at time: EventTime
  ) -> NetworkFinding {
    var finding = NetworkFinding(
      action, reason: reason, trust: entry.trust, firstTime: entry.firstTime, lastTime: time, about: flow, entry.name)
    finding.destinationPort = Int64(flow.destinationPort)
    finding.transport = flow.transport == .tcp ? "tcp" : "udp"
    finding.numbers = numbers
    return finding
  }
}
