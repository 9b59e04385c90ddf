// Random decisions and random damage, the same in every run.
import Baseline
import Detection
import Events
import PanguardTestKit
import Primitives
import RuleLanguage
import Scoring

extension SplitMix64 {
  mutating func pick<T>(_ items: [T]) -> T { items[below(items.count)] }

  mutating func text() -> String {
    let pieces = [
      "", "a", "root", "\"", "\\", "]", "\n", "\u{0}", "\u{1b}[31m", "\u{7f}", "é", "e\u{301}", "漢", "😀", "\u{fffd}", "\u{202e}", "/", "{", "}",
    ]
    var out = ""
    for _ in 0..<below(6) { out += pick(pieces) }
    return out
  }
  mutating func integer<T: FixedWidthInteger>(_: T.Type) -> T {
    pick([T.min, T.max, 0, 1, T(truncatingIfNeeded: next())])
  }
  mutating func time() -> EventTime {
    let stamped = EventTime(nanoseconds: Int64(next() % 7_000_000_000_000_000_000))
    return pick([
      stamped, stamped, .zero, .distantPast, .distantFuture, EventTime(nanoseconds: -1), EventTime(nanoseconds: Int64(bitPattern: next())),
    ])
  }
  mutating func decision() -> Decision {
    let sources: [String?] = [nil, "192.0.2.7", "2001:db8::1", "2001:db8::/64", "10.0.0.0/8", "::ffff:192.0.2.1", "192.0.2.007", text()]
    var d = Sample.bruteForce
    d.id = text()
    d.revision = integer(Int.self)
    d.time = time()
    d.subject = Subject(
      source: pick(sources), user: pick([nil, text()]), session: pick([nil, text()]), host: pick([nil, text()]))
    d.ruleID = text()
    d.ruleTitle = text()
    d.severity = pick(Severity.allCases)
    d.category = text()
    d.techniques = (0..<below(4)).map { _ in text() }
    d.selectors = (0..<below(3)).map { _ in text() }
    d.baseline = (0..<below(3)).map { _ in
      let said: BaselineKnowledge.Said = pick([
        .novelty(text()), .value(integer(Int64.self)),
        .amount(expected: integer(Int64.self), observed: integer(Int64.self), deviation: integer(Int64.self)),
      ])
      return BaselineKnowledge(field: text(), subject: text(), object: text(), said: said, days: integer(Int64.self))
    }
    d.confidence = Confidence(thousandths: 1 + below(999))
    d.terms = (0..<below(4)).map { _ in
      ConfidenceTerm(
        signal: Signal(name: text(), family: text(), weight: MilliNats(integer(Int32.self)), isAttested: below(2) == 0, detail: text()),
        contribution: MilliNats(integer(Int32.self)))
    }
    d.trust = pick(Trust.allCases)
    d.action = pick(ProposedAction.allCases)
    d.actionReason = text()
    d.matchCount = integer(UInt64.self)
    d.observed = Measure(integer(Int64.self), digits: Int(integer(UInt8.self) % 8))
    d.threshold = Measure(integer(Int64.self))
    d.firstTime = time()
    d.lastTime = time()
    d.summary = text()
    d.evidence = (0..<below(4)).map { _ in
      EvidenceRecord(
        source: text(), offset: integer(UInt64.self), length: integer(UInt32.self), time: time(), fingerprint: Fingerprint(high: next(), low: next()))
    }
    d.evidenceTotal = integer(UInt64.self)
    d.provenance = Provenance(engineVersion: text(), ruleSetHash: text(), configurationHash: text(), baselineHash: text())
    return d
  }

  mutating func damage(_ bytes: [UInt8]) -> [UInt8] {
    var out = bytes
    for _ in 0...below(4) where !out.isEmpty {
      let at = below(out.count)
      switch below(6) {
      case 0: out[at] = UInt8(truncatingIfNeeded: next())
      case 1: out.remove(at: at)
      case 2: out.insert(pick(Array("\"{}[]:,\\0-9e.u\u{0}\n".utf8)), at: at)
      case 3: out.removeSubrange(at..<min(out.count, at + below(40)))
      case 4: out.insert(contentsOf: out[at..<min(out.count, at + below(60))], at: below(out.count))
      default: out.removeLast(out.count - at)
      }
    }
    return out
  }
}
