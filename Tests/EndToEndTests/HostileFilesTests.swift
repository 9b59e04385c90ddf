// Rules and events that mean to be overlooked, as people meet them on the command line: what is not read, not run or not used is said.
import Glibc
import Testing

@Suite struct HostileFilesTests {
  private static func rule(_ id: String, _ value: String, _ operation: String = "contains") -> String {
    #"{"id":"\#(id)","title":"A rule","severity":"high","detection":{"conditions":[{"field":"content","operator":"\#(operation)","#
      + #""value":"\#(value)"}],"condition":"any"}}"#
  }

  @Test func aDeepEventIsAnsweredLikeAnyOther() {
    let d = TemporaryDirectory()
    let rules = d.write("[\(Self.rule("ATR-2026-00001", "foo"))]", to: "rules.json")
    let deep = String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
    let events = d.write(
      #"{"id":1,"event":{"content":"foo","fields":{"x":\#(deep)}}}"# + "\n" + #"{"id":2,"event":{"content":"foo"},"more":\#(deep)}"# + "\n",
      to: "events")
    let result = panguard("rules", "eval", "--rules", rules, events)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.lines.count == 2)
    for (i, line) in result.lines.enumerated() {
      #expect(line.hasPrefix(#"{"id":\#(i + 1),"matches":[{"rule_id":"ATR-2026-00001""#), "\(line.prefix(200))")
    }
  }

  @Test func aByteOrderMarkIsNoPartOfAnEvent() {
    let d = TemporaryDirectory()
    let rules = d.write("\u{feff}[\(Self.rule("ATR-2026-00001", "foo"))]", to: "rules.json")
    let events = d.write("\u{feff}" + #"{"id":1,"event":{"content":"foo"}}"# + "\n", to: "events")
    let result = panguard("rules", "eval", "--rules", rules, events)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.text.contains("ATR-2026-00001"))
    d.append([0xff, 0xfe, 0x7b, 0, 0x7d, 0], to: "wide")
    #expect(panguard("rules", "eval", "--rules", rules, d["wide"]).errors.contains("UTF-16"))
  }

  @Test func linesThatAreNoEventsAreNamedByDiff() {
    let d = TemporaryDirectory()
    let rules = d.write("[\(Self.rule("ATR-2026-00001", "foo"))]", to: "rules.json")
    let bad = d.write("\nnothing\n{}\n7\n[]\n", to: "bad")
    let none = panguard("rules", "diff", rules, rules, "--events", bad)
    #expect(none.status == 3, "\(none)")
    #expect(none.errors.contains("bad:2: ") && none.errors.contains("bad:3: ") && none.errors.contains("bad:4: ") && !none.errors.contains("bad:5: "))
    #expect(none.errors.contains("4 lines are not events"))
    d.append(#"{"id":1,"event":{"content":"foo"}}"# + "\n", to: "bad")
    #expect(panguard("rules", "diff", rules, rules, "--events", bad).status == 0)
    // A document of an agent is longer than any line of a log.
    let long = d.write(#"{"id":1,"event":{"content":""# + String(repeating: "x", count: 300_000) + " foo\"}}\n", to: "long")
    let read = panguard("rules", "diff", rules, rules, "--events", long)
    #expect(read.status == 0 && read.text.contains("1 events: 0 matches gained, 0 lost, 1 as before"), "\(read)")
  }

  @Test func theHintForAFIFOFitsEveryCommand() {
    let d = TemporaryDirectory()
    let rules = d.write("[\(Self.rule("ATR-2026-00001", "foo"))]", to: "rules.json")
    mkfifo(d["fifo"], 0o600)
    let result = panguard("rules", "diff", rules, rules, "--events", d["fifo"])
    #expect(result.status == 3)
    #expect(result.errors.contains("is a FIFO") && !result.errors.contains("panguard replay"), "\(result.errors)")
  }

  @Test func anEmptyFileOfHarmlessDocumentsIsNone() {
    let d = TemporaryDirectory()
    let result = panguard("rules", "lint", Product.rules, "--benign", d.write("\n", to: "empty"))
    #expect(result.status == 3, "\(result)")
    #expect(result.errors.contains("holds no document"))
  }

  @Test func rulesThatAreNotRunAreNamedByLint() {
    let d = TemporaryDirectory()
    let words = (0..<6000).map { "word\($0)" }.joined(separator: "|")
    let rules = d.write("[\(Self.rule("ATR-2026-00001", words, "regex"))]", to: "rules.json")
    #expect(panguard("rules", "import", rules, "--into", d["rules"], "--name", "set").status == 0)
    let lint = panguard("rules", "lint", d["rules"], "--quiet")
    #expect(lint.text.contains("warning: ATR-2026-00001: PCRE2 cannot take this pattern, so the rule is skipped"), "\(lint)")
    let lines = lint.text.split(separator: "\n").filter { $0.contains("PCRE2 cannot take") }
    #expect(lines.count == 1 && lines[0].hasSuffix("[skipped-rule]"), "\(lint)")
    d.write("Jan  5 00:00:00 host app[1]: x\n", to: "auth.log")
    let agent = RunningAgent(d, arguments: ["--rules", d["rules"]])
    #expect(agent.isUp(), "\(agent.errors)")
    #expect(agent.errors.contains("1 rule is not run: ATR-2026-00001 (pattern: PCRE2 cannot take"), "\(agent.errors)")
    #expect(agent.stop() == 0)
  }

  /// As systemd gives them to a service that has several.
  @Test func theFirstCacheDirectoryIsUsed() {
    let d = TemporaryDirectory()
    let rules = d.write("[\(Self.rule("ATR-2026-00001", "foo"))]", to: "rules.json")
    let events = d.write(#"{"id":1,"event":{"content":"foo"}}"# + "\n", to: "events")
    let result = panguard("rules", "eval", "--rules", rules, events, environment: ["CACHE_DIRECTORY": "\(d["a"]):\(d["b"])"])
    #expect(result.status == 0, "\(result)")
    #expect(d.exists("a") && !d.exists("a:"))
    #expect(names(d["a"]).contains { $0.hasPrefix("rules-") })
    #expect(names(d.path) == ["a", "events", "rules.json"])
  }

  /// Nothing is left of an import that was ended, and the set that was there stays.
  @Test func anImportThatIsEndedLeavesNothing() {
    let d = TemporaryDirectory()
    let list = (10000..<15000).map { Self.rule("ATR-2026-\($0)", "evil") }.joined(separator: ",\n")
    let bundle = d.write("[\(list)]", to: "bundle.json")
    mkdir(d["rules"], 0o755)
    let child = Child(
      [Product.panguard, "rules", "import", bundle, "--into", d["rules"], "--name", "set"], output: d["out"], errors: d["err"],
      environment: Product.environment)
    #expect(eventually(seconds: 120) { names(d["rules"]).contains { $0.hasSuffix(".new") } || !child.isRunning })
    child.signal(SIGTERM)
    let status = child.wait(seconds: 60)
    let left = names(d["rules"])
    // Either it was ended in time, or it was done by then.
    #expect(left == [] && status != 0 || left == ["set"], "\(left) \(String(describing: status))")
  }
  private func names(_ path: String) -> [String] {
    guard let handle = opendir(path) else { return [] }
    defer { closedir(handle) }
    var out: [String] = []
    while let entry = readdir(handle) {
      out.append(withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } })
    }
    return out.filter { $0 != "." && $0 != ".." }.sorted()
  }
}
