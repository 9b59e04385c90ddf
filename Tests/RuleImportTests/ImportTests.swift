// Plans and what they write: reasons for every document, atomic and pinned sets, tampering found, bundles that lack what rules have.
import AgentRuntime
import Foundation
import Primitives
import RuleImport
import RuleLanguage
import Testing
import TypedYAML

@Suite struct ImportTests {
  private func plan(_ text: String, _ file: String = "in.yaml") throws -> RuleImportPlan {
    RuleImporter.plan(try RuleBundle.read(Array(text.utf8), file: file))
  }

  @Test func everyDocumentHasItsOutcome() throws {
    let unknown = ruleYAML("ATR-2026-00003").replacingOccurrences(of: "detection:\n", with: "detection:\n  method: divination\n")
    let text = [
      ruleYAML("ATR-2026-00001"), ruleYAML("ATR-2026-00002").replacingOccurrences(of: "contains", with: "containz"), unknown,
      "name: workflow\non: push\n",
      ruleYAML("ATR-2026-00001", title: "again"), "a: [b\n",
    ].joined(separator: "---\n")
    let plan = try plan(text)
    #expect(plan.rows.map(\.outcome) == [.refused, .imported, .refused, .skipped, .notARule, .refused])
    #expect(plan.files.map(\.name) == ["ATR-2026-00001.yaml", "ATR-2026-00003.yaml"])
    let reasons = plan.rows.filter { $0.outcome == .refused }.map(\.reason)
    #expect(reasons.contains { $0.contains("'containz'") })
    #expect(reasons.contains { $0.contains("is taken") })
    #expect(plan.rows.first { $0.outcome == .skipped }?.reason.hasPrefix("divination: ") == true)
    #expect(plan.rows.allSatisfy { $0.location.line > 0 })
  }

  /// The place of each error, not that of the document.
  @Test func everyErrorHasItsPlace() throws {
    let bad = ruleYAML("ATR-2026-00002", severity: "hihg").replacingOccurrences(of: "contains", with: "containz")
    let plan = try plan([ruleYAML("ATR-2026-00001"), bad, ruleYAML("ATR-2026-00003")].joined(separator: "---\n"))
    let row = try #require(plan.rows.first { $0.outcome == .refused })
    #expect(row.id == "ATR-2026-00002")
    #expect("\(row.location)" == "in.yaml:15:11")
    #expect(row.reason.contains("hihg"))
    #expect(row.more.map { "\($0.location)" } == ["in.yaml:20:37"])
    #expect(row.more.first?.reason.contains("containz") == true)
    let twice = try self.plan("id: ATR-2026-00001\ntitle: T\nseverity: low\ndetection: x\n")
    #expect(twice.rows.map { $0.more.count } == [0])
  }

  @Test func placesInJSONAreThoseOfTheBundle() throws {
    let bad =
      #"{"id":"ATR-2026-00001","title":"T","severity":"hihg","detection":{"conditions":[{"field":"a","operator":"containz","value":"x"}]}}"#
    let plan = try plan("[5, \(bad), \"x\", null, true, []]", "b.json")
    let rows = plan.rows.filter { $0.outcome == .refused }
    #expect(
      rows.map { "\($0.location) \($0.reason)" }.dropFirst() == [
        "b.json:1:2 a rule must be an object, not the number 5", "b.json:1:\(7 + bad.utf8.count) a rule must be an object, not a text",
        "b.json:1:\(12 + bad.utf8.count) a rule must be an object, not null", "b.json:1:\(18 + bad.utf8.count) a rule must be an object, not true",
        "b.json:1:\(24 + bad.utf8.count) a rule must be an object, not an array",
      ])
    #expect(rows.first.map { "\($0.location)" } == "b.json:1:5")
    #expect(rows.first?.more.map { "\($0.location)" }.allSatisfy { $0 == "b.json:1:5" } == true)
    #expect(rows.first?.more.isEmpty == false)
    // So are those that a message ends in.
    let good = #"{"id":"ATR-2026-00001","title":"T","severity":"low","detection":{"conditions":[{"field":"a","operator":"exact","value":"x"}]}}"#
    let twice = try self.plan("[\(good),\n\(good)]", "b.json")
    #expect(
      twice.rows.filter { $0.outcome == .refused }.map { "\($0.location) \($0.reason)" } == [
        "b.json:2:1 rule id ATR-2026-00001 is taken: it is first defined at b.json:1:2"
      ])
  }

  /// A rule that is already in the rules directory would be the second of its id there, and unused.
  @Test func rulesThatAreThereAreNotImportedAgain() throws {
    let scratch = Scratch()
    let rules = "\(scratch.path)/rules"
    _ = try RuleImporter.write(try plan(ruleYAML("ATR-2026-00001")), name: "first", into: rules, replaces: false)
    let both = try plan(ruleYAML("ATR-2026-00001", title: "again") + "---\n" + ruleYAML("ATR-2026-00002"))
    let checked = RuleImporter.refuseTaken(both, in: rules, besides: "second")
    #expect(checked.rows.map(\.outcome) == [.refused, .imported])
    #expect(checked.rows[0].reason.contains("is taken"))
    #expect(checked.rows[0].more.map(\.location.file) == ["\(rules)/first/ATR-2026-00001.yaml"])
    #expect(checked.files.map(\.name) == ["ATR-2026-00002.yaml"])
    #expect(checked.hashes.count == 1 && checked.setHash != both.setHash)
    // The set that is replaced takes its rules with it.
    #expect(RuleImporter.refuseTaken(both, in: rules + "/", besides: "first").files.count == 2)
    #expect(RuleImporter.refuseTaken(both, in: "\(scratch.path)/nowhere", besides: "x").files.count == 2)
    _ = try RuleImporter.write(checked, name: "second", into: rules, replaces: false)
    let provenance = String(decoding: scratch.read("rules/second/provenance.json") ?? [], as: UTF8.self)
    #expect(provenance.contains("is taken") && !provenance.contains(scratch.path))
    let loaded = RuleStore.load(paths: [rules])
    #expect(loaded.set.rules.map(\.id) == ["ATR-2026-00001", "ATR-2026-00002"])
    #expect(loaded.set.refusedCount == 0)
  }

  /// A start need not open a bundle that it knows. One that was changed, or is damaged in the cache, or that something was refused of, is
  /// opened anew; always the same rules come out.
  @Test func aBundleIsOpenedOnce() throws {
    let scratch = Scratch()
    var options = RuleLoadOptions()
    options.cacheDirectory = "\(scratch.path)/cache"
    func rule(_ id: String) -> String {
      #"{"schema_version":"1.0","id":"\#(id)","title":"é","severity":"high","status":"experimental","agent_source":{"type":"llm_io"},"#
        + #""detection":{"conditions":[{"field":"user_input","operator":"contains","value":"evil"}],"condition":"any"}}"#
    }
    func load() -> LoadedRules { RuleStore.load(paths: ["\(scratch.path)/all.json"], options: options) }
    func kept() -> [String] { scratch.names("cache").filter { $0.hasSuffix(".documents") } }
    scratch.write("all.json", "[\(rule("ATR-2026-00001")),\(rule("ATR-2026-00002"))]")
    let first = load()
    #expect(first.set.rules.map(\.id) == ["ATR-2026-00001", "ATR-2026-00002"] && first.set.refusedCount == 0)
    let name = try #require(kept().first)
    func expectSame(_ again: LoadedRules) {
      #expect(again.hash == first.hash && again.corpusVersion == first.corpusVersion && again.set.diagnostics == first.set.diagnostics)
      #expect(again.set.rules.map(\.location) == first.set.rules.map(\.location))
    }
    expectSame(load())
    #expect(kept() == [name])
    // Damaged: found out, and put right.
    let sound = try #require(scratch.read("cache/\(name)"))
    scratch.write("cache/\(name)", sound.dropLast(9) + [7])
    #expect(chmod("\(scratch.path)/cache/\(name)", 0o600) == 0)
    expectSame(load())
    #expect(scratch.read("cache/\(name)") == sound)
    scratch.write("all.json", "[\(rule("ATR-2026-00003"))]")
    #expect(load().set.rules.map(\.id) == ["ATR-2026-00003"])
    #expect(kept().count == 2)
    // What is refused is told each time.
    scratch.write("all.json", #"[\#(rule("ATR-2026-00004")),{"id":"ATR-2026-00005","detection":7}]"#)
    for _ in 0..<2 { #expect(load().set.refusedCount == 1) }
    #expect(kept().count == 2)
  }

  @Test func documentsKeepTheirBytesAndPlaces() throws {
    let first = "# about the first\n" + ruleYAML("ATR-2026-00001")
    let second = "---\n" + ruleYAML("ATR-2026-00002")
    let plan = try plan(first + second)
    #expect(plan.files.map { String(decoding: $0.bytes, as: UTF8.self) } == [first, second])
    #expect(plan.rows.map(\.location.line) == [2, 13])
  }

  @Test func bundlesOfJSONLackWhatRulesHave() throws {
    let json =
      #"{"version": "9", "license": "MIT", "rules": [{"id": "ATR-2026-00001", "title": "T", "severity": "HIGH", "detection":"#
      + #"{"conditions": [{"field": "user_input", "operator": "regex", "value": "(?i)evil\\s"}], "condition": "any"}}]}"#
    let plan = try plan(json, "bundle.json")
    #expect(plan.bundle.kind == .json)
    #expect(plan.bundle.version == "9")
    #expect(plan.bundle.license == "MIT")
    #expect(plan.rows.map(\.outcome) == [.imported])
    #expect(plan.rows[0].location.file.hasPrefix("bundle.json:1:"))
    let text = String(decoding: plan.files[0].bytes, as: UTF8.self)
    #expect(text.contains(#"value: '(?i)evil\s'"#))
    let rule = try #require(RuleLoader.load(document: text, file: "x").rules.first)
    #expect(rule.agentSource == "")
  }

  @Test(arguments: [
    ("[]", "imported 0"), ("{\"a\": 1}", "neither an array of rules"), ("[1, {\"id\": \"x\"}]", "must be an object"), ("{", "JSON"),
    ("[[]]", "must be an object"),
  ]) func badJSONSaysWhy(_ text: String, _ part: String) {
    do {
      let plan = try plan(text, "b.json")
      #expect((plan.rows.map(\.reason) + ["imported \(plan.count(.imported))"]).contains { $0.contains(part) })
    } catch let error as DocumentFileError {
      #expect(part == "JSON" || error.diagnostic.message.contains(part))
    } catch { Issue.record(error) }
  }

  @Test func setsArePinnedAndNeverOverwrittenUnasked() throws {
    let scratch = Scratch()
    let plan = try plan(ruleYAML("ATR-2026-00001") + "---\n" + ruleYAML("ATR-2026-00002"))
    let target = try RuleImporter.write(plan, name: "set", into: "\(scratch.path)/rules", replaces: false)
    #expect(RuleStore.load(paths: ["\(scratch.path)/rules"]).set.rules.map(\.id) == ["ATR-2026-00001", "ATR-2026-00002"])
    #expect(scratch.names("rules") == ["set"])
    let mode = try FileManager.default.attributesOfItem(atPath: "\(target)/ATR-2026-00001.yaml")[.posixPermissions] as? Int
    #expect(mode == 0o644)
    #expect(throws: RuleImporter.WriteError.self) { try RuleImporter.write(plan, name: "set", into: "\(scratch.path)/rules", replaces: false) }
    let fewer = try self.plan(ruleYAML("ATR-2026-00002"))
    _ = try RuleImporter.write(fewer, name: "set", into: "\(scratch.path)/rules", replaces: true)
    #expect(scratch.names("rules/set") == ["ATR-2026-00002.yaml", "provenance.json"])
    #expect(scratch.names("rules") == ["set"])
    // A directory that no import wrote is not replaced.
    scratch.write("rules/mine/a.yaml", ruleYAML("ATR-2026-00009"))
    #expect(throws: RuleImporter.WriteError.self) { try RuleImporter.write(plan, name: "mine", into: "\(scratch.path)/rules", replaces: true) }
    #expect(scratch.names("rules/mine") == ["a.yaml"])
  }

  @Test func theSameSourceGivesTheSameBytes() throws {
    let scratch = Scratch()
    for directory in ["a", "b"] {
      _ = try RuleImporter.write(try plan(ruleYAML("ATR-2026-00001")), name: "set", into: "\(scratch.path)/\(directory)", replaces: false)
    }
    #expect(scratch.read("a/set/provenance.json") == scratch.read("b/set/provenance.json"))
  }

  @Test func tamperingIsAnErrorThatNamesTheFile() throws {
    let scratch = Scratch()
    let plan = try plan((1...4).map { ruleYAML("ATR-2026-0000\($0)") }.joined(separator: "---\n"))
    let rules = "\(scratch.path)/rules"
    let target = try RuleImporter.write(plan, name: "set", into: rules, replaces: false)
    scratch.write("rules/set/ATR-2026-00001.yaml", ruleYAML("ATR-2026-00001", severity: "low"))
    try FileManager.default.removeItem(atPath: "\(target)/ATR-2026-00002.yaml")
    scratch.write("rules/set/more.yaml", ruleYAML("ATR-2026-00005"))
    scratch.write("rules/own.yaml", ruleYAML("ATR-2026-00006"))
    let loaded = RuleStore.load(paths: [rules])
    #expect(loaded.set.rules.map(\.id) == ["ATR-2026-00003", "ATR-2026-00004", "ATR-2026-00006"])
    let errors = loaded.set.diagnostics.filter { $0.severity == .error }
    #expect(errors.map { ($0.location.file as NSString).lastPathComponent } == ["ATR-2026-00001.yaml", "ATR-2026-00002.yaml", "more.yaml"])
    #expect(loaded.set.refusedCount == 3)
    // Nor can the list of hashes be taken away.
    scratch.write("rules/set/provenance.json", "{}")
    #expect(RuleStore.load(paths: [rules]).set.rules.map(\.id) == ["ATR-2026-00006"])
  }

  @Test func bundlesServeAsRules() throws {
    let scratch = Scratch()
    scratch.write(
      "b.json",
      #"[{"id":"ATR-2026-00001","title":"T","severity":"low","detection":{"conditions":[{"field":"content","operator":"contains","value":"x"}],"condition":"any"}}]"#
    )
    let loaded = RuleStore.load(paths: ["\(scratch.path)/b.json"])
    #expect(loaded.set.rules.map(\.id) == ["ATR-2026-00001"])
    scratch.write("bad.json", "{}")
    let bad = RuleStore.load(paths: ["\(scratch.path)/bad.json"])
    #expect(bad.set.rules.isEmpty)
    #expect(bad.set.refusedCount == 1)
  }

  /// Files, directories and bundles through one door, at once; and what a match says of the corpus.
  @Test func oneDoorForAllRules() throws {
    let scratch = Scratch()
    scratch.write("one.yaml", ruleYAML("ATR-2026-00001"))
    scratch.write("more/two.yaml", ruleYAML("ATR-2026-00002"))
    scratch.write(
      "b.json",
      #"{"version":"2.2.2","rules":[{"id":"ATR-2026-00003","title":"T","severity":"low","#
        + #""detection":{"conditions":[{"field":"content","operator":"contains","value":"x"}],"condition":"any"}}]}"#)
    let paths = ["one.yaml", "more", "b.json"].map { "\(scratch.path)/\($0)" }
    let all = RuleStore.load(paths: paths)
    #expect(all.set.rules.map(\.id) == ["ATR-2026-00001", "ATR-2026-00002", "ATR-2026-00003"], "\(all.set.diagnostics)")
    #expect(all.corpusVersion == all.hash)
    #expect(RuleStore.load(paths: [paths[2]]).corpusVersion == "2.2.2")
    // The same set, imported.
    let plan = RuleImporter.plan(try RuleBundle.read(paths[2]))
    let target = try RuleImporter.write(plan, name: "set", into: "\(scratch.path)/rules", replaces: false)
    #expect(RuleStore.load(paths: [target]).corpusVersion == "2.2.2")
    #expect(RuleStore.load(paths: [paths[1]]).corpusVersion.count == 64)
  }

  @Test func namesOfSets() {
    for (name, isFine) in [("pyatr-0.3.1", true), ("", false), (".", false), ("..", false), ("a/b", false), (".hidden", false), ("a\nb", false)] {
      #expect(RuleImporter.isSetName(name) == isFine)
    }
  }

  /// All rules of the public corpus, if it is beside the repository: what is refused is named, and what is imported loads.
  @Test(arguments: ["corpora/atr/rules-642", "corpora/atr/rules-450"]) func theCorpusImports(_ name: String) throws {
    guard let path = shared(name) else { return }
    let plan = RuleImporter.plan(try RuleBundle.read(path))
    #expect(plan.files.count > 400)
    #expect(plan.rows.filter { $0.outcome == .refused }.map { "\($0.id): \($0.reason)" } == [])
    let scratch = Scratch()
    let target = try RuleImporter.write(plan, name: "corpus", into: scratch.path, replaces: false)
    let loaded = RuleStore.load(paths: [target])
    #expect(loaded.set.rules.count == plan.files.count)
    #expect(loaded.set.refusedCount == 0)
  }
}

@Suite struct DiffTests {
  private func plan(_ rules: [String]) throws -> RuleImportPlan {
    RuleImporter.plan(try RuleBundle.read(Array(rules.joined(separator: "---\n").utf8), file: "in.yaml"))
  }

  @Test func fieldsAndPatterns() throws {
    let old = try plan([ruleYAML("ATR-2026-00001"), ruleYAML("ATR-2026-00002"), ruleYAML("ATR-2026-00004")])
    let new = try plan([
      ruleYAML("ATR-2026-00002", pattern: "worse", severity: "critical"), ruleYAML("ATR-2026-00003"),
      // Quotes, order of keys and comments are no change.
      "# as before\n" + ruleYAML("ATR-2026-00004").replacingOccurrences(of: "\"1.0\"", with: "'1.0'"),
    ])
    let diff = RuleDiff(old: old, new: new)
    #expect(diff.added.map(\.id) == ["ATR-2026-00003"])
    #expect(diff.removed.map(\.id) == ["ATR-2026-00001"])
    #expect(diff.unchanged == 1)
    let changed = try #require(diff.changed.first)
    #expect(
      changed.fields == [
        .init(path: "severity", old: "high", new: "critical"), .init(path: "detection.conditions[1].value", old: "evil", new: "worse"),
      ])
    #expect(changed.changesDetection)
    #expect(changed.removedPatterns == ["evil"])
    #expect(changed.addedPatterns == ["worse"])
  }

  @Test func aTitleIsNoDetection() throws {
    let diff = RuleDiff(old: try plan([ruleYAML("ATR-2026-00001")]), new: try plan([ruleYAML("ATR-2026-00001", title: "Another")]))
    #expect(diff.changed.map(\.changesDetection) == [false])
  }

  @Test func matchesComeAndGo() throws {
    let old = try plan([ruleYAML("ATR-2026-00001", pattern: "evil")])
    let new = try plan([ruleYAML("ATR-2026-00001", pattern: "worse"), ruleYAML("ATR-2026-00002", pattern: "evil worse")])
    var before = RuleEvaluator(RuleLoader.load(paths: [], documents: old.files))
    var after = RuleEvaluator(RuleLoader.load(paths: [], documents: new.files))
    var matches = MatchDiff()
    for (id, text) in [("a", "evil"), ("b", "worse"), ("c", "evil worse"), ("d", "good")] {
      let line = Array(#"{"id":"\#(id)","event":{"user_input":"\#(text)"}}"#.utf8)
      try line.withUnsafeBytes { matches.add(oldAnswer: try before.evaluate(line: $0), newAnswer: try after.evaluate(line: $0)) }
    }
    #expect(matches.events == 4)
    #expect(matches.rows.map(\.id) == ["ATR-2026-00001", "ATR-2026-00002"])
    #expect(matches.rows.map(\.gained) == [1, 1])
    #expect(matches.rows.map(\.lost) == [1, 0])
    #expect(matches.rows.map(\.same) == [1, 0])
    #expect(matches.rows[0].gainedExamples == ["b"])
    #expect(matches.rows[0].lostExamples == ["a"])
  }
}
