// What `panguard baseline show`, `explain` and `diff` print: lines for people, or one JSON object.
// What must stay true: both say the same; names come from logs, so for people they are escaped.
import Baseline
import Events
import Export
import Primitives

struct BaselineView {
  private let hash: String
  private let newest: EventTime
  private let isFrozen: Bool
  private let learnedEvents: UInt64
  private let quarantinedEvents: UInt64
  private struct ClassState {
    var row: PairClass
    var learning: LearningState
    var entries: Int
    var waits: Int
  }
  private struct Seen {
    var row: PairClass
    var first: Int64
    var last: Int64
  }
  private struct Waiting {
    var row: PairClass
    var pair: PendingPair
  }
  private struct Rate {
    var rate: RateClass
    var subject: [UInt8]
    var hours: HourSummary
  }
  private var classes: [ClassState] = []
  private var seen: [Seen] = []
  private var waits: [Waiting] = []
  private var rates: [Rate] = []
  private var measures: [MeasureSummary] = []
  /// Of whom it is; nil: of everything.
  private let subject: String?
  private let object: String?
  var isEmpty: Bool { seen.isEmpty && waits.isEmpty && rates.isEmpty && measures.isEmpty }

  /// Everything, or what is known of a subject, or of a pair.
  init(_ baseline: borrowing Baseline, subject: String? = nil, object: String? = nil) {
    (self.subject, self.object) = (subject, object)
    (hash, newest, isFrozen) = (baseline.hash, baseline.newest, baseline.isFrozen)
    (learnedEvents, quarantinedEvents) = (baseline.learnedEvents, baseline.quarantinedEvents)
    let isMeant = BaselineView.selection(subject, object)
    for row in PairClass.allCases {
      let (learning, entries, pending, dropped, _) = baseline.state(of: row)
      classes.append(ClassState(row: row, learning: learning, entries: entries, waits: pending.count + Int(clamping: dropped)))
      waits += pending.filter { isMeant($0.label) }.map { Waiting(row: row, pair: $0) }
      guard let name = subject.map({ Array($0.utf8) }) else { continue }
      let days = object.map { baseline.days(row, subject: name, object: Array($0.utf8)) } ?? baseline.days(row, subject: name)
      if let days { seen.append(Seen(row: row, first: days.first, last: days.last)) }
    }
    guard object == nil else { return }
    baseline.forEachRate { rate, about, hours in if isMeant(about) { rates.append(Rate(rate: rate, subject: about, hours: hours)) } }
    baseline.forEachMeasure { if isMeant($0.name) { measures.append($0) } }
  }
  /// Whether a name ("nginx web01", "alice 192.0.2.0/24") is the subject's, or the pair's.
  private static func selection(_ subject: String?, _ object: String?) -> ([UInt8]) -> Bool {
    guard let subject else { return { _ in true } }
    if let object { return { $0.elementsEqual("\(subject) \(object)".utf8) } }
    return { $0.elementsEqual(subject.utf8) || $0.starts(with: Array("\(subject) ".utf8)) }
  }

  // MARK: Lines

  func lines() -> [String] { subject == nil ? overview() : about() }

  private func overview() -> [String] {
    var out = ["baseline \(hash.prefix(16)) up to \(newest), \(grouped(learnedEvents)) events learned\(isFrozen ? ", frozen" : "")", ""]
    let columns = [("CLASS", 16), ("STATE", 10), ("ENTRIES", 9), ("WAIT", 6), ("DAYS", 6), ("HOURS", 7), ("EVENTS", 8)]
    out.append(columns.map { $0.0.padding(to: $0.1) }.joined() + "COVERAGE")
    for state in classes {
      let learning = state.learning
      let numbers = [(learning.days, 6), (learning.hours, 7), (learning.observations, 8)].map { "\($0.0)".padding(to: $0.1) }.joined()
      out.append(
        state.row.name.padding(to: 16) + (learning.isLearned ? "learned" : "learning").padding(to: 10) + "\(state.entries)".padding(to: 9)
          + "\(state.waits)".padding(to: 6) + numbers + percent(learning.coverageThousandths))
    }
    out += waits.map { "waits: \($0.row.name) \(text($0.pair.label)) (\(BaselineView.waiting($0.pair)))" }
    out += ["", "RATE".padding(to: 12) + "THIS HOUR".padding(to: 11) + "USUAL".padding(to: 16) + "DAYS  A DAY (14 D, 90 D)  OF"]
    for one in rates {
      let hours = one.hours
      let usual = hours.expected.map { "\($0) +- \(hours.spread ?? 0)" } ?? "learning"
      out.append(
        one.rate.name.padding(to: 12) + "\(hours.observed)".padding(to: 11) + usual.padding(to: 16) + "\(hours.days)".padding(to: 6)
          + "\(hours.fast), \(hours.slow)".padding(to: 20) + text(one.subject))
    }
    out += ["", "MEASURE".padding(to: 14) + "WHAT IS KNOWN".padding(to: 66) + "OF"]
    return out + measures.map { $0.kind.rawValue.padding(to: 14) + BaselineView.meaning($0).padding(to: 66) + text($0.name) }
  }
  private func about() -> [String] {
    var out = seen.map { "\($0.row.name.padding(to: 16))first seen \(date($0.first)), last \(date($0.last))" }
    out += waits.map { "\($0.row.name.padding(to: 16))waits: \(text($0.pair.label)) (\(BaselineView.waiting($0.pair)))" }
    for one in rates {
      let usual = one.hours.expected.map { "usually \($0) +- \(one.hours.spread ?? 0)" } ?? "not learned for this hour"
      out.append("\(one.rate.name.padding(to: 16))\(one.hours.observed) in this hour, \(usual); \(one.hours.days) days")
    }
    return out + measures.map { "\($0.kind.rawValue.padding(to: 16))\(BaselineView.meaning($0))" }
  }
  private static func waiting(_ pair: PendingPair) -> String {
    "\(pair.cause.name), \(pair.count) times, \(date(pair.firstDay)) to \(date(pair.lastDay))"
  }
  private static func meaning(_ measure: MeasureSummary) -> String {
    let usual = measure.usual.map { grouped(UInt64(clamping: $0)) }
    return switch measure.kind {
    case .triedUsers: "\(measure.observed) user names tried today"
    case .destinations: "\(measure.observed) addresses reached today, \(usual.map { "usually \($0) a day" } ?? "learning")"
    case .uploads: usual.map { "99 % of its connections send up to \($0) bytes" } ?? "sizes: learning"
    case .durations: usual.map { "99 % of its connections last up to \($0) ms" } ?? "durations: learning"
    case .responses: usual.map { "99 % of its large answers have up to \($0) bytes" } ?? "answers: learning"
    case .sent: "\(grouped(UInt64(clamping: measure.observed))) bytes sent there lately, \(percent(measure.usual ?? 0)) of all"
    }
  }

  // MARK: JSON

  func json() -> [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    BaselineView.append(hash, newest, to: &json)
    if let subject { json.member("subject", subject) }
    if let object { json.member("object", object) }
    if subject == nil {
      json.member("frozen", isFrozen)
      json.member("events_learned", Int64(clamping: learnedEvents))
      json.member("events_quarantined", Int64(clamping: quarantinedEvents))
      json.list("classes", classes) { json, state in
        json.member("class", state.row.name)
        json.member("learned", state.learning.isLearned)
        json.member("entries", Int64(state.entries))
        json.member("waiting", Int64(state.waits))
        json.member("days", state.learning.days)
        json.member("hours", state.learning.hours)
        json.member("events", state.learning.observations)
        json.key("coverage")
        json.value(thousandths: Int(state.learning.coverageThousandths))
      }
    } else {
      json.list("seen", seen) { json, days in
        json.member("class", days.row.name)
        json.member("first", date(days.first))
        json.member("last", date(days.last))
      }
    }
    json.list("waits", waits) { json, waiting in
      json.member("class", waiting.row.name)
      json.member("pair", waiting.pair.label)
      json.member("cause", "\(waiting.pair.cause.name)")
      json.member("count", waiting.pair.count)
      json.member("first", date(waiting.pair.firstDay))
      json.member("last", date(waiting.pair.lastDay))
    }
    json.list("rates", rates) { json, one in
      json.member("rate", one.rate.name)
      json.member("subject", one.subject)
      json.member("this_hour", one.hours.observed)
      json.member("usual", one.hours.expected)
      json.member("spread", one.hours.spread)
      json.member("days", one.hours.days)
      json.member("daily_14_days", one.hours.fast)
      json.member("daily_90_days", one.hours.slow)
    }
    json.list("measures", measures) { json, measure in
      json.member("measure", measure.kind.rawValue)
      json.member("subject", measure.name)
      json.member("observed", measure.observed)
      json.member("usual", measure.usual)
    }
    json.endObject()
    return json.out
  }
  fileprivate static func append(_ hash: String, _ newest: EventTime, to json: inout JSONWriter) {
    json.member("baseline", hash)
    json.key("up_to")
    if newest == .distantPast { json.null() } else { json.value(newest) }
  }
}

extension BaselineDifference {
  /// One state of the two, as both are named.
  struct Side {
    var hash: String
    var newest: EventTime
    init(_ baseline: borrowing Baseline) { (hash, newest) = (baseline.hash, baseline.newest) }
  }

  func lines(_ before: Side, _ after: Side) -> [String] {
    var out = ["from \(before.hash.prefix(16)) (\(before.newest)) to \(after.hash.prefix(16)) (\(after.newest))"]
    for change in pairs {
      let learned = change.wasLearned == change.isLearned ? "" : change.isLearned ? ", learned now" : ", learning again"
      out.append("pairs  \(change.row.name.padding(to: 16))\(change.added) new, \(change.gone) gone\(learned)")
    }
    for change in changes {
      let what =
        switch (change.before, change.after) {
        case (nil, let after?): "new: \(after)"
        case (let before?, nil): "gone: was \(before)"
        case (let before?, let after?): "changed: \(before) to \(after)"
        case (nil, nil): ""
        }
      out.append("usual  \(change.what.padding(to: 16))\(what.padding(to: 34))\(text(change.name))")
    }
    out += waitsNow.map { "waits  \($0.row.name) \(text($0.label))" }
    return out + waitsNoMore.map { "waits no more  \($0.row.name) \(text($0.label))" }
  }

  func json(_ before: Side, _ after: Side) -> [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    for (key, side) in [("from", before), ("to", after)] as [(StaticString, Side)] {
      json.key(key)
      json.beginObject()
      BaselineView.append(side.hash, side.newest, to: &json)
      json.endObject()
    }
    json.list("pairs", pairs) { json, change in
      json.member("class", change.row.name)
      json.member("new", Int64(change.added))
      json.member("gone", Int64(change.gone))
      json.member("was_learned", change.wasLearned)
      json.member("is_learned", change.isLearned)
    }
    json.list("usual", changes) { json, change in
      json.member("of", change.what)
      json.member("subject", change.name)
      json.member("before", change.before)
      json.member("after", change.after)
    }
    for (key, list) in [("waits", waitsNow), ("waits_no_more", waitsNoMore)] as [(StaticString, [Waiting])] {
      json.list(key, list) { json, waiting in
        json.member("class", waiting.row.name)
        json.member("pair", waiting.label)
      }
    }
    json.endObject()
    return json.out
  }
}

extension JSONWriter {
  fileprivate mutating func member(_ name: StaticString, _ text: String) {
    key(name)
    value(text)
  }
  fileprivate mutating func member(_ name: StaticString, _ text: [UInt8]) {
    key(name)
    text.withUnsafeBytes { value($0) }
  }
  fileprivate mutating func member(_ name: StaticString, _ flag: Bool) {
    key(name)
    value(flag)
  }
  fileprivate mutating func member(_ name: StaticString, _ number: Int64?) {
    key(name)
    if let number { value(number) } else { null() }
  }
  /// An array of objects.
  fileprivate mutating func list<Item>(_ name: StaticString, _ items: [Item], _ write: (inout JSONWriter, Item) -> Void) {
    key(name)
    beginArray()
    for item in items {
      beginObject()
      write(&self, item)
      endObject()
    }
    endArray()
  }
}

private func text(_ bytes: [UInt8]) -> String { TerminalText.escaped(String(decoding: bytes, as: UTF8.self)) }
private func date(_ day: Int64) -> String { String(EventTime(seconds: day * 86_400).description.prefix(10)) }
private func percent(_ thousandths: Int64) -> String { "\(thousandths / 10).\(thousandths % 10) %" }
