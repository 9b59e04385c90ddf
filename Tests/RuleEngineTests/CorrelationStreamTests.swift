// Correlations over recorded matches: every type with every kind of window and key, as tables of small streams. One match is written
// "RULE@seconds" and the members of its event as JSON, with ' for ".
import Events
import Primitives
import RuleLanguage
import Testing

@testable import RuleEngine

private func cor(
  _ logic: CorrelationDetection.Logic, by keys: [String] = [], _ window: CorrelationDetection.Window = .wallTime(.seconds(100)), id: String = "COR",
  sources: [(String, String)] = [("a", "A"), ("b", "B"), ("c", "C")]
) -> Rule {
  rule(
    id,
    .correlation(
      CorrelationDetection(
        sourceRules: sources.map { CorrelationDetection.SourceRule(alias: $0.0, ruleIDPattern: $0.1) }, logic: logic,
        joinKeys: keys.compactMap { JoinKey(path: $0) }, window: window)))
}

/// Which of the matches complete the correlation, and what they join.
private func play(_ rules: [Rule], _ stream: [String], profiles: [ResolvedProfile] = []) -> [(index: Int, match: RuleMatch, id: String)] {
  var set = ruleSet(rules)
  set.profiles = profiles
  var engine = RuleEngine(set)
  #expect(engine.diagnostics.isEmpty)
  return play(&engine, rules, stream)
}
private func play(_ engine: inout RuleEngine, _ rules: [Rule], _ stream: [String]) -> [(index: Int, match: RuleMatch, id: String)] {
  var event = Event()
  var matches: [RuleMatch] = []
  var found: [(index: Int, match: RuleMatch, id: String)] = []
  for (index, text) in stream.enumerated() {
    let head = text.prefix { $0 != " " }.split(separator: "@").map(String.init)
    let body = text.drop { $0 != " " }.dropFirst()
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: UInt64(index), length: 0))
    event.time = EventTime(seconds: Int64(head[1]) ?? 0)
    let json = Array(("{" + body.map { $0 == "'" ? "\"" : String($0) }.joined() + "}").utf8)
    do { try json.withUnsafeBytes { try event.setFields(fromJSON: $0) } } catch { Issue.record("\(text): \(error)") }
    engine.evaluate(matchOf: head[0], event, at: event.time, into: &matches)
    found += matches.map { (index, $0, rules[$0.rule].id) }
  }
  return found
}

@Suite struct CorrelationStreamTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var name: String
    var rule: Rule
    var stream: [String]
    var at: [Int]
    init(_ name: String, _ rule: Rule, _ stream: [String], at: [Int]) {
      self.name = name
      self.rule = rule
      self.stream = stream
      self.at = at
    }
    var testDescription: String { name }
  }
  static let ab = CorrelationDetection.Logic.temporalSequence(["a", "b"])
  static let both = CorrelationDetection.Logic.temporalUnordered(["a", "b"])
  static let chain = "agent.delegation_chain[*].agent_id"
  static func agents(_ ids: String...) -> String {
    "'agent.delegation_chain':[" + ids.map { "{'agent_id':'\($0)'}" }.joined(separator: ",") + "]"
  }
  static func id(_ id: String, up: String...) -> String {
    "'atr.event_id':'\(id)'" + (up.isEmpty ? "" : ",'evidence.upstream_chain':[" + up.map { "'\($0)'" }.joined(separator: ",") + "]")
  }

  static let keys: [Case] = [
    Case("an array, one member in common", cor(both, by: [chain]), ["A@0 " + agents("x", "y"), "B@1 " + agents("y", "z")], at: [1]),
    Case("an array, none in common", cor(both, by: [chain]), ["A@0 " + agents("x", "y"), "B@1 " + agents("z")], at: []),
    Case("an empty array joins nothing", cor(both, by: [chain]), ["A@0 " + agents(), "B@1 " + agents()], at: []),
    Case("an absent array joins nothing", cor(both, by: [chain]), ["A@0", "B@1"], at: []),
    Case("two in common complete once", cor(both, by: [chain]), ["A@0 " + agents("x", "y"), "B@1 " + agents("x", "y")], at: [1]),
    Case("not joined over a third", cor(both, by: [chain]), ["A@0 " + agents("x"), "C@1 " + agents("x", "y"), "B@2 " + agents("y")], at: []),
    Case(
      "array and field, both equal", cor(both, by: [chain, "agent.id"]), ["A@0 'agent.id':'m'," + agents("x"), "B@1 'agent.id':'m'," + agents("x")],
      at: [1]),
    Case(
      "array equal, field not", cor(both, by: [chain, "agent.id"]), ["A@0 'agent.id':'m'," + agents("x"), "B@1 'agent.id':'n'," + agents("x")], at: []
    ),
    Case("nested event JSON", cor(both, by: [chain]), ["A@0 'agent':{'delegation_chain':[{'agent_id':'x'}]}", "B@1 " + agents("x")], at: [1]),
    Case("index", cor(both, by: ["list[1]"]), ["A@0 'list':['p','q']", "B@1 'list':['q','p']", "B@2 'list':['x','q']"], at: [2]),
    Case("numbers and flags", cor(both, by: ["list[*].n"]), ["A@0 'list':[{'n':7},{'n':true}]", "B@1 'list':[{'n':7}]"], at: [1]),
    Case("deep member", cor(both, by: ["l[*].a.b"]), ["A@0 'l':[{'a':{'b':'x'}}]", "B@1 'l':[{'a.b':'x'}]"], at: [1]),
    Case("a member that is no scalar", cor(both, by: ["l[*].a"]), ["A@0 'l':[{'a':{'b':'x'}}]", "B@1 'l':[{'a':{'b':'x'}}]"], at: []),
    Case("equivalent texts are two", cor(both, by: ["l[*]"]), ["A@0 'l':['\u{e9}','e\u{301}']", "B@1 'l':['e\u{301}']"], at: [1]),
    Case("null is no value", cor(both, by: ["l[*]"]), ["A@0 'l':[null]", "B@1 'l':[null]"], at: []),
    Case("a text is its own member", cor(both, by: ["l[*]"]), ["A@0 'l':'x'", "B@1 'l':['x']"], at: [1]),
    Case("upstream: the event that is named", cor(both, by: ["evidence.upstream_chain[*]"]), ["A@0 " + id("1"), "B@1 " + id("2", up: "1")], at: [1]),
    Case(
      "upstream: two that name the same", cor(both, by: ["evidence.upstream_chain[*]"]), ["A@0 " + id("2", up: "1"), "B@1 " + id("3", up: "1")],
      at: [1]),
    Case("upstream: nothing named", cor(both, by: ["evidence.upstream_chain[*]"]), ["A@0 " + id("1"), "B@1 " + id("2")], at: []),
    Case("a store", cor(both, by: ["memory.store_id"]), ["A@0 'memory.store_id':'m'", "B@1 'memory.store_id':'m'"], at: [1]),
    Case("no keys", cor(both), ["A@0", "B@1"], at: [1]),
    Case("value in an array", cor(.valueOverlap(["a", "b"], field: JoinKey(path: "t[*]")!)), ["A@0 't':['x','y']", "B@1 't':['z','y']"], at: [1]),
  ]
  static func sessions(_ n: Int, _ time: Nanoseconds? = nil) -> CorrelationDetection.Window { .sessionChain(sessions: n, wallTime: time) }
  static func s(_ rule: String, _ time: Int, _ session: String, agent: String = "x") -> String {
    "\(rule)@\(time) 'agent.id':'\(agent)','session.id':'\(session)'"
  }
  static let inSessions: [Case] = [
    Case("one session", cor(ab, by: ["agent.id", "session.id"], sessions(1)), [s("A", 0, "1"), s("B", 9, "1")], at: [1]),
    Case("the next, but one allowed", cor(ab, by: ["agent.id", "session.id"], sessions(1)), [s("A", 0, "1"), s("B", 9, "2")], at: []),
    Case("the next", cor(ab, by: ["agent.id", "session.id"], sessions(2)), [s("A", 0, "1"), s("B", 9_000_000, "2")], at: [1]),
    Case("session.id need not be a key", cor(ab, by: ["agent.id"], sessions(2)), [s("A", 0, "1"), s("B", 9, "2")], at: [1]),
    Case("too many between", cor(ab, by: ["agent.id"], sessions(2)), [s("A", 0, "1"), s("A", 1, "2"), s("A", 2, "3"), s("B", 3, "4")], at: [3]),
    Case(
      "too many between, only the first counts", cor(.temporalSequence(["a", "c", "b"]), by: ["agent.id"], sessions(3)),
      [s("A", 0, "1"), s("C", 1, "2"), s("C", 2, "3"), s("B", 3, "4")], at: []),
    Case(
      "sessions of another agent do not count", cor(ab, by: ["agent.id"], sessions(2)),
      [s("A", 0, "1"), s("A", 1, "7", agent: "y"), s("A", 2, "8", agent: "y"), s("B", 3, "2")], at: [3]),
    Case("another agent", cor(ab, by: ["agent.id", "session.id"], sessions(5)), [s("A", 0, "1"), s("B", 1, "1", agent: "y")], at: []),
    Case("wall time ends it", cor(ab, by: ["agent.id"], sessions(5, .seconds(60))), [s("A", 0, "1"), s("B", 60, "2")], at: []),
    Case("within wall time", cor(ab, by: ["agent.id"], sessions(5, .seconds(60))), [s("A", 0, "1"), s("B", 59, "2")], at: [1]),
    Case("no session, no part", cor(ab, by: ["agent.id"], sessions(5)), ["A@0 'agent.id':'x'", "B@1 'agent.id':'x'"], at: []),
    Case("sessions take turns", cor(ab, by: ["agent.id"], sessions(2)), [s("A", 0, "1"), s("C", 1, "2"), s("A", 2, "1"), s("B", 3, "2")], at: [3]),
    Case(
      "a count over sessions", cor(.countThreshold(alias: "a", count: 3), by: ["agent.id"], sessions(3)),
      [s("A", 0, "1"), s("A", 1, "2"), s("A", 2, "3"), s("A", 3, "4")], at: [2]),
    Case(
      "a count that slides", cor(.countThreshold(alias: "a", count: 3), by: ["agent.id"], sessions(2)),
      [s("A", 0, "1"), s("A", 1, "2"), s("A", 2, "3"), s("A", 3, "3")], at: [3]),
  ]
  static func depth(_ n: Int, _ time: Nanoseconds? = nil) -> CorrelationDetection.Window { .chainDepth(hops: n, wallTime: time) }
  static func spread(_ isOrdered: Bool, _ aliases: String...) -> CorrelationDetection.Logic {
    .chainPropagation(aliases, isOrdered: isOrdered, count: aliases.count)
  }
  static let three = ["A@0 " + id("1"), "B@1 " + id("2", up: "1"), "C@2 " + id("3", up: "2")]
  static let linked: [Case] = [
    Case("a path in order", cor(spread(true, "a", "b", "c"), .unbounded), three, at: [2]),
    Case("a path in another order", cor(spread(true, "b", "a", "c"), .unbounded), three, at: []),
    Case("any order", cor(spread(false, "b", "a", "c"), .unbounded), three, at: [2]),
    Case("a link is missing", cor(spread(false, "a", "b", "c"), .unbounded), [three[0], "B@1 " + id("2"), three[2]], at: []),
    Case("over one between", cor(spread(true, "a", "c"), .unbounded), three, at: [2]),
    Case(
      "one hop is too short", cor(spread(true, "a", "c"), depth(1)), ["A@0 " + id("1"), "A@1 " + id("2", up: "1"), "C@2 " + id("3", up: "2")], at: [2]
    ),
    Case("too deep", cor(spread(true, "a", "b", "c"), depth(1)), three, at: []),
    Case("just deep enough", cor(spread(true, "a", "b", "c"), depth(2)), three, at: [2]),
    Case(
      "a reference is one hop wherever it stands", cor(spread(true, "a", "c"), depth(1)), [three[0], three[1], "C@2 " + id("3", up: "1", "2")],
      at: [2]),
    Case("time bounds depth", cor(spread(true, "a", "b"), depth(2, .seconds(5))), ["A@0 " + id("1"), "B@5 " + id("2", up: "1")], at: []),
    Case("what comes later is not before", cor(spread(true, "a", "b"), .unbounded), ["B@0 " + id("2", up: "1"), "A@1 " + id("1")], at: []),
    Case(
      "circles end", cor(spread(false, "a", "b", "c"), .unbounded),
      ["A@0 " + id("1", up: "2"), "B@1 " + id("2", up: "1", "2"), "A@2 " + id("1", up: "2")], at: []),
    Case(
      "one rule, handed on", cor(.chainPropagation(["a"], isOrdered: false, count: 3), .unbounded),
      ["A@0 " + id("1"), "A@1 " + id("2", up: "1"), "A@2 " + id("3", up: "1"), "A@3 " + id("4", up: "3")], at: [3]),
    Case("a sequence that must be linked", cor(ab, depth(1)), ["A@0 " + id("1"), "B@1 " + id("2"), "B@2 " + id("3", up: "1")], at: [2]),
    Case("an unordered pair that must be linked", cor(both, depth(2)), ["B@0 " + id("1"), "A@1 " + id("9"), "A@2 " + id("3", up: "1")], at: [2]),
    Case(
      "a count that must be linked", cor(.countThreshold(alias: "a", count: 3), depth(2)),
      ["A@0 " + id("1"), "A@1 " + id("2"), "A@2 " + id("3", up: "1"), "A@3 " + id("4", up: "3")], at: [3]),
    Case(
      "linked and joined", cor(spread(true, "a", "b"), by: ["agent.id"], .unbounded),
      ["A@0 'agent.id':'x'," + id("1"), "B@1 'agent.id':'y'," + id("2", up: "1"), "B@2 'agent.id':'x'," + id("3", up: "1")], at: [2]),
    Case(
      "a chain completes once, its rest stays", cor(spread(true, "a", "b"), .unbounded),
      ["A@0 " + id("1"), "A@0 " + id("2"), "B@1 " + id("3", up: "1"), "B@2 " + id("4", up: "1"), "B@3 " + id("5", up: "2")], at: [2, 4]),
    Case(
      "event.id names an event too", cor(spread(true, "a", "b"), .unbounded), ["A@0 'event.id':'1'", "B@1 'evidence.upstream_chain':['1']"], at: [1]),
  ]
  static let forever: [Case] = [
    Case("years apart", cor(ab, by: ["agent.id"], .unbounded), ["A@0 'agent.id':'x'", "B@900000000 'agent.id':'x'"], at: [1]),
    Case("the wrong way round", cor(ab, by: ["agent.id"], .unbounded), ["B@0 'agent.id':'x'", "A@900000000 'agent.id':'x'"], at: []),
    Case("count", cor(.countThreshold(alias: "a", count: 2), .unbounded), ["A@0", "A@900000000"], at: [1]),
    Case("overlap", cor(.valueOverlap(["a", "b"], field: .named("v")), .unbounded), ["A@0 'v':'1'", "B@9 'v':'2'", "B@900000000 'v':'1'"], at: [2]),
  ]

  @Test(arguments: keys + inSessions + linked + forever) func table(_ c: Case) { #expect(play([c.rule], c.stream).map(\.index) == c.at) }

  @Test func aCorrelationNamesWhatItJoins() {
    let rules = [cor(.temporalSequence(["a", "b", "c"]), by: ["agent.id"])]
    let found = play(rules, ["A@1 'agent.id':'x'," + Self.id("one"), "B@2 'agent.id':'x'," + Self.id("two"), "C@3 'agent.id':'x'"])
    #expect(found.map(\.index) == [2])
    let chain = found.first?.match.chain ?? []
    #expect(chain.map(\.alias) == ["a", "b", "c"] && chain.map(\.ruleID) == ["A", "B", "C"])
    #expect(chain.prefix(2).map(\.eventID) == ["one", "two"])
    // What has no name of its own gets a UUID version 7 of its rule, time and place: the same in every run.
    #expect(chain.last?.eventID.hasPrefix("00000000-0bb8-7") == true)
    #expect(
      play(rules, ["A@1 'agent.id':'x'," + Self.id("one"), "B@2 'agent.id':'x'," + Self.id("two"), "C@3 'agent.id':'x'"]).first?.match.chain == chain)
  }

  @Test func recordedMatchesOfRulesThatAreNotLoadedCount() {
    let rules = [cor(Self.both, sources: [("a", "ATR-2026-000*"), ("b", "OTHER")])]
    #expect(play(rules, ["ATR-2026-00099@0", "ATR-2026-90000@1", "OTHER@2"]).map(\.index) == [2])
  }

  @Test func correlationsFeedCorrelations() {
    let rules = [
      cor(Self.ab, by: ["agent.id"], id: "COR1"),
      cor(.temporalSequence(["x", "c"]), by: ["agent.id"], id: "COR2", sources: [("x", "COR1"), ("c", "C")]),
      cor(Self.spread(true, "x", "c"), .unbounded, id: "COR3", sources: [("x", "COR1"), ("c", "C")]),
    ]
    let found = play(rules, ["A@0 'agent.id':'x'", "B@1 'agent.id':'x'", "C@2 'agent.id':'x'"])
    #expect(found.map(\.id) == ["COR1", "COR2"])
    #expect(found.last?.match.chain.map(\.ruleID) == ["COR1", "C"])
  }

  // MARK: Profiles

  @Test func aCorrelationIsFedUnderItsOwnProfileOnly() {
    let rules = ["A", "B", "C"].map { pattern($0, all: isExactly("event.action", $0)) } + [cor(Self.ab)]
    func names(_ profiles: [ResolvedProfile]) -> [[String]] {
      var set = ruleSet(rules)
      set.profiles = profiles
      return play(rules, ["A@0", "B@1"], profiles: profiles).map { set.profileNames($0.match.profiles) }
    }
    let all = ["A", "B", "C", "COR"]
    #expect(names([]) == [[]])
    #expect(names([ResolvedProfile(name: "p", ruleIDs: all)]) == [["p"]])
    #expect(names([ResolvedProfile(name: "p", ruleIDs: all), ResolvedProfile(name: "q", ruleIDs: all)]) == [["p", "q"]])
    // A in p only: under q the correlation is never fed by it.
    #expect(names([ResolvedProfile(name: "p", ruleIDs: all), ResolvedProfile(name: "q", ruleIDs: ["B", "COR"])]) == [["p"]])
    #expect(names([ResolvedProfile(name: "p", ruleIDs: ["A", "COR"]), ResolvedProfile(name: "q", ruleIDs: ["B", "COR"])]) == [])
    #expect(names([ResolvedProfile(name: "p", ruleIDs: ["A", "B"]), ResolvedProfile(name: "q", ruleIDs: ["COR"])]) == [])
  }

  @Test func stateOfOneProfileDoesNotDisturbAnother() {
    // Under q a second A renews nothing for p: both would be lost if they shared one chain.
    let rules = ["A", "B", "A2"].map { pattern($0, all: isExactly("event.action", $0)) } + [cor(Self.ab, sources: [("a", "A*"), ("b", "B")])]
    let profiles = [ResolvedProfile(name: "p", ruleIDs: ["A", "B", "COR"]), ResolvedProfile(name: "q", ruleIDs: ["A2", "B", "COR"])]
    let found = play(rules, ["A@0", "A2@50", "B@99"], profiles: profiles)
    #expect(found.map(\.match.profiles) == [1, 2])
    #expect(found.map { $0.match.chain.map(\.ruleID) } == [["A", "B"], ["A2", "B"]])
    let late = play(rules, ["A@0", "A2@50", "B@120"], profiles: profiles)
    #expect(late.map(\.match.profiles) == [2])
  }

  // MARK: Bounds

  @Test func whatIsForgottenIsReported() {
    let rules = [cor(Self.ab, by: ["agent.id"], .unbounded)]
    var engine = RuleEngine(ruleSet(rules))
    _ = play(&engine, rules, (0..<Limits.correlationChains + 3).map { "A@\($0) 'agent.id':'\($0)'" })
    let records = engine.takeEvictionRecords()
    #expect(records == (0..<3).map { EvictionRecord(rule: 0, time: EventTime(seconds: Int64(Limits.correlationChains + $0)), matchCount: 1) })
    #expect(engine.counters.evictions == [3] && engine.counters.chains == Limits.correlationChains)
    #expect(!engine.hasEvictionRecords && engine.takeEvictionRecords().isEmpty)
    // What could no longer have become anything is not reported.
    let short = [cor(Self.ab, by: ["agent.id"], .wallTime(.seconds(1)))]
    var other = RuleEngine(ruleSet(short))
    _ = play(&other, short, (0..<Limits.correlationChains + 3).map { "A@\($0) 'agent.id':'\($0)'" })
    #expect(other.takeEvictionRecords().isEmpty && other.counters.evictions == [0])
  }

  @Test func graphsAndCombinationsAreBounded() {
    let rules = [cor(Self.spread(true, "a", "b"), .unbounded), cor(Self.both, by: ["p[*]", "q[*]"], id: "MANY")]
    var engine = RuleEngine(ruleSet(rules))
    let found = play(
      &engine, rules,
      (0..<1000).map { "A@\($0) " + Self.id("\($0)", up: "\($0 - 1)") } + ["B@1000 " + Self.id("x", up: "999"), "B@1001 " + Self.id("y", up: "1")])
    #expect(found.map(\.index) == [1000])
    #expect(engine.counters.evictions[0] == UInt64(1000 + 2 - 1 - Limits.correlationGraphMatches))
    let list = "[" + (0..<100).map { "'\($0)'" }.joined(separator: ",") + "]"
    _ = play(&engine, rules, ["A@2000 'p':\(list),'q':\(list)"])
    #expect(engine.counters.droppedJoinValues > 0)
    #expect(engine.counters.chains <= Limits.joinCombinations + 1)
  }

  /// Hostile streams over all types and windows at once: state stays inside its limits, and two engines agree.
  @Test func randomStreamsStayBoundedAndRepeat() {
    let logics: [CorrelationDetection.Logic] = [
      .temporalSequence(["a", "b", "c"]), .temporalUnordered(["a", "b", "c"]), .countThreshold(alias: "a", count: 5),
      .valueOverlap(["a", "b"], field: .named("v")), Self.spread(true, "a", "b", "c"), Self.spread(false, "a", "b", "c"),
      .chainPropagation(["a"], isOrdered: false, count: 4),
    ]
    let windows: [CorrelationDetection.Window] = [
      .wallTime(.seconds(50)), .unbounded, .sessionChain(sessions: 2, wallTime: nil), .chainDepth(hops: 3, wallTime: nil),
    ]
    let keySets = [[], ["agent.id"], ["list[*]", "evidence.upstream_chain[*]"]]
    var rules: [Rule] = []
    for (l, logic) in logics.enumerated() {
      for (w, window) in windows.enumerated() {
        for (k, keys) in keySets.enumerated() {
          rules.append(cor(logic, by: keys, window, id: "COR\(l)\(w)\(k)"))
        }
      }
    }
    func run() -> [String] {
      var random = Random(7)
      var engine = RuleEngine(ruleSet(rules))
      var out: [String] = []
      for round in 0..<2 {
        let stream = (0..<150).map { n -> String in
          let number = round * 150 + n
          let up = (0..<random.below(4)).map { _ in "'\(max(0, number - random.below(12)))'" }.joined(separator: ",")
          return "\(random.pick(["A", "B", "C", "D"]))@\(number - random.below(5)) 'atr.event_id':'\(number)','agent.id':'\(random.below(40))',"
            + "'session.id':'\(random.below(9))','v':'\(random.below(3))','list':['\(random.below(9))','\(random.below(9))'],'evidence.upstream_chain':[\(up)]"
        }
        out += play(&engine, rules, stream).map { "\($0.index) \($0.id) \($0.match.chain.map(\.eventID)) \($0.match.group.map(\.value))" }
        out += engine.takeEvictionRecords().map { "\($0)" }
        #expect(engine.counters.chains <= rules.count * Limits.correlationChains)
      }
      return out
    }
    let first = run()
    #expect(first.count > 300)
    #expect(run() == first)
  }

  @Test(arguments: ["[", "[[[[", "[{\"a\":", "[1,2", "{}", "", "[\"\\ud800\"]", "\u{0}", "[}", "[{\"a\":1}}"]) func brokenArraysAreTotal(
    _ text: String
  ) {
    let bytes = Array(text.utf8)
    _ = bytes.withUnsafeBytes { JoinValues.collect($0, [.every], limit: 4) }
    _ = bytes.withUnsafeBytes { JoinValues.collect($0, [.every, .member("a")], limit: 4) }
  }
}
