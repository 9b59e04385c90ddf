// `panguard rules import` and `rules diff`: rule sets from elsewhere, checked, pinned and compared.
import AgentRuntime
import ArgumentParser
import Export
import Primitives
import RuleImport
import RuleLanguage
import TypedYAML

extension RulesCommand {
  struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check a set of rules from elsewhere and pin it into the rules directory.",
      discussion: """
        SOURCE is a directory or archive (zip; tar, also packed) of ATR YAML, a wheel or JSON bundle of rules, or - for one of them on
        standard input. A rule whose id is already in the rules directory, in another set, is refused. Each rule becomes one file, beside provenance.json with the hash of the source and of every file; a set whose files
        have changed since is not used. Every rule that is refused or skipped is listed with the reason. Exit 1 if one was refused.
        """)
    @Argument(help: "Directory, archive, wheel, JSON bundle, YAML file, or -.", completion: .file()) var source: String
    @Option(name: .long, help: "The rules directory. Default: where rules are loaded from.", completion: .directory) var into: String?
    @Option(name: .long, help: "Name of the set, a directory there. Default: what the source calls itself.") var name: String?
    @Option(name: .long, help: "The set's licence, where the source does not say.") var license: String?
    @Flag(name: .long, help: "Only say what would be imported.") var dryRun = false
    @Flag(name: .long, help: "Replace a set of that name.") var replace = false
    @Option(name: .long, help: "table or json.") var format: OutputFormat = .table

    func run() throws {
      var bundle: RuleBundle
      do { bundle = try RuleBundle.read(source) } catch { throw CommandFailure.environment("\(error.diagnostic)") }
      if let license, bundle.license.isEmpty { bundle.license = license }
      var plan = RuleImporter.plan(bundle)
      let name = name ?? RuleImporter.setName(of: bundle)
      guard RuleImporter.isSetName(name) else { throw CommandFailure.usage("'\(name)' cannot name a set: write letters, digits, '-', '_', '.'") }
      let directory = into ?? RuleStore.defaultDirectories().first
      if let directory { plan = RuleImporter.refuseTaken(plan, in: directory, besides: name) }
      report(plan.notes, atLeast: .warning)
      var target: String?
      if !dryRun, !plan.files.isEmpty {
        guard let directory else { throw CommandFailure.usage("there is no rules directory here; name one with --into") }
        do { target = try RuleImporter.write(plan, name: name, into: directory, replaces: replace) } catch {
          throw CommandFailure.environment(error.description)
        }
      }
      var output = Output()
      if format == .table { printTable(plan, name, target, &output) } else { output.line(json(plan, name, target)) }
      output.flush()
      guard !plan.files.isEmpty else { throw CommandFailure.environment("\(source) holds no rule that can be imported") }
      if plan.count(.refused) > 0 { throw CommandFailure.findings }
    }

    private func printTable(_ plan: RuleImportPlan, _ name: String, _ target: String?, _ output: inout Output) {
      for row in plan.rows where row.outcome != .imported {
        let subject = "\(row.outcome.rawValue) \(row.id.isEmpty ? "-" : row.id)"
        output.line("\(row.location): \(subject): \(TerminalText.escaped(row.reason))")
        for error in row.more { output.line("\(error.location): \(subject): \(TerminalText.escaped(error.reason))") }
      }
      let source = plan.bundle
      output.line("source    \(source.kind.rawValue) \(source.name) \(source.version)".trimmedRight)
      output.line("licence   \(source.license.isEmpty ? "not stated" : source.license)")
      output.line("sha256    \(source.sha256)")
      output.line(
        "rules     \(plan.count(.imported)) imported, \(plan.count(.skipped)) imported but not run by this engine, "
          + "\(plan.count(.refused)) refused, \(plan.count(.notARule)) documents that are no rules")
      output.line("set       \(plan.setHash)")
      output.line(target.map { "written   \($0)" } ?? "written   nothing\(dryRun ? " (dry run)" : "")")
    }

    private func json(_ plan: RuleImportPlan, _ name: String, _ target: String?) -> [UInt8] {
      var json = JSONWriter()
      json.beginObject()
      let texts: [(StaticString, String)] = [
        ("name", name), ("kind", plan.bundle.kind.rawValue), ("source", plan.bundle.name), ("version", plan.bundle.version),
        ("license", plan.bundle.license), ("sha256", plan.bundle.sha256), ("set_sha256", plan.setHash),
      ]
      for (key, value) in texts {
        json.key(key)
        json.value(value)
      }
      json.key("written")
      if let target { json.value(target) } else { json.null() }
      let counts: [(StaticString, RuleImportPlan.Outcome)] = [
        ("imported", .imported), ("skipped", .skipped), ("refused", .refused), ("not_rules", .notARule),
      ]
      for (key, outcome) in counts {
        json.key(key)
        json.value(plan.count(outcome))
      }
      json.key("reports")
      json.beginArray()
      for row in plan.rows where row.outcome != .imported {
        json.beginObject()
        json.key("id")
        json.value(row.id)
        json.key("outcome")
        json.value(row.outcome.rawValue)
        json.key("reason")
        json.value(row.reason)
        json.key("location")
        json.value("\(row.location)")
        json.key("more")
        json.beginArray()
        for error in row.more {
          json.beginObject()
          json.key("reason")
          json.value(error.reason)
          json.key("location")
          json.value("\(error.location)")
          json.endObject()
        }
        json.endArray()
        json.endObject()
      }
      json.endArray()
      json.endObject()
      return json.out
    }
  }

  struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "What changed between two sets of rules, and what it would have changed.",
      discussion: """
        OLD and NEW are what `rules import` takes. With --events, both sets are run over recorded events ({"id":..,"event":{..}} lines, as
        `rules eval` takes them), and the matches that come and go are listed by rule. Exit 1 if there is a difference.
        """)
    @Argument(help: "The set as it was.", completion: .file()) var old: String
    @Argument(help: "The set as it is.", completion: .file()) var new: String
    @Option(name: .long, help: "Recorded events; - is standard input.", completion: .file()) var events: String?
    @Option(name: .long, help: "table or json.") var format: OutputFormat = .table

    func validate() throws {
      guard [old, new, events].count(where: { $0 == "-" }) <= 1 else { throw ValidationError("standard input can be read once: write - once") }
    }

    func run() throws {
      let plans = try [old, new].map { path -> RuleImportPlan in
        do {
          let plan = RuleImporter.plan(try RuleBundle.read(path))
          for row in plan.rows where row.outcome == .refused {
            let subject = "refused \(row.id.isEmpty ? "-" : row.id)"
            printError("\(row.location): \(subject): \(TerminalText.escaped(row.reason))")
            for error in row.more { printError("\(error.location): \(subject): \(TerminalText.escaped(error.reason))") }
          }
          return plan
        } catch let error as DocumentFileError { throw CommandFailure.environment("\(error.diagnostic)") }
      }
      let diff = RuleDiff(old: plans[0], new: plans[1])
      let matches = try events.map { try compareMatches(plans, $0) }
      var output = Output()
      if format == .table {
        printTable(diff, matches, &output)
      } else {
        output.line(RuleDiffView.json(diff, matches))
      }
      output.flush()
      if !diff.isEmpty || matches?.rows.contains(where: { $0.gained + $0.lost > 0 }) == true { throw CommandFailure.findings }
    }

    private func compareMatches(_ plans: [RuleImportPlan], _ input: String) throws -> MatchDiff {
      var old = RuleEvaluator(RuleLoader.load(paths: [], documents: plans[0].files))
      var new = RuleEvaluator(RuleLoader.load(paths: [], documents: plans[1].files))
      var result = MatchDiff()
      var number = 0
      try forEachLine(of: input, lineLimit: Limits.agentLineBytes) { line in
        number += 1
        guard !line.trimmed.isEmpty else { return }
        do {
          result.add(oldAnswer: try old.evaluate(line: line), newAnswer: try new.evaluate(line: line))
        } catch {
          result.addUnreadable()
          if result.unreadable <= MatchDiff.exampleLimit { printError("\(input):\(number): not an event: \(error)") }
        }
      }
      if result.unreadable > 0 { printError("\(input): \(result.unreadable) lines are not events and were left out") }
      guard result.events > 0 || result.unreadable == 0 else { throw CommandFailure.environment("\(input) holds no event") }
      return result
    }

    private func printTable(_ diff: RuleDiff, _ matches: MatchDiff?, _ output: inout Output) {
      func cut(_ text: String?) -> String { text.map { TerminalText.cut(TerminalText.escaped($0), to: 160) } ?? "(none)" }
      for rule in diff.added { output.line("+ \(rule.id)  \(rule.severity)  \(cut(rule.title))") }
      for rule in diff.removed { output.line("- \(rule.id)  \(rule.severity)  \(cut(rule.title))") }
      for rule in diff.changed {
        output.line("~ \(rule.id)  \(cut(rule.title))\(rule.changesDetection ? "  [detection]" : "")")
        for field in rule.fields { output.line("    \(field.path): \(cut(field.old)) -> \(cut(field.new))") }
      }
      output.line("\(diff.added.count) added, \(diff.removed.count) removed, \(diff.changed.count) changed, \(diff.unchanged) unchanged")
      guard let matches else { return }
      for row in matches.rows where row.gained + row.lost > 0 {
        let gained = row.gained > 0 ? "  +\(row.gained) (\(row.gainedExamples.map(TerminalText.escaped).joined(separator: ", ")))" : ""
        let lost = row.lost > 0 ? "  -\(row.lost) (\(row.lostExamples.map(TerminalText.escaped).joined(separator: ", ")))" : ""
        output.line("\(row.id)\(gained)\(lost)  \(row.same) as before")
      }
      let rows = matches.rows
      output.line(
        "\(matches.events) events: \(rows.reduce(0) { $0 + $1.gained }) matches gained, \(rows.reduce(0) { $0 + $1.lost }) lost, "
          + "\(rows.reduce(0) { $0 + $1.same }) as before")
    }
  }
}

enum RuleDiffView {
  static func json(_ diff: RuleDiff, _ matches: MatchDiff?) -> [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    for (key, rules) in [("added" as StaticString, diff.added), ("removed", diff.removed)] {
      json.key(key)
      json.beginArray()
      for rule in rules {
        json.beginObject()
        json.key("id")
        json.value(rule.id)
        json.key("title")
        json.value(rule.title)
        json.key("severity")
        json.value(rule.severity)
        json.endObject()
      }
      json.endArray()
    }
    json.key("changed")
    json.beginArray()
    for rule in diff.changed { write(rule, &json) }
    json.endArray()
    json.key("unchanged")
    json.value(diff.unchanged)
    if let matches {
      json.key("events")
      json.value(matches.events)
      json.key("matches")
      json.beginArray()
      for row in matches.rows { write(row, &json) }
      json.endArray()
    }
    json.endObject()
    return json.out
  }

  private static func texts(_ key: StaticString, _ values: [String], _ json: inout JSONWriter) {
    json.key(key)
    json.beginArray()
    for value in values { json.value(value) }
    json.endArray()
  }
  private static func write(_ rule: RuleDiff.Changed, _ json: inout JSONWriter) {
    json.beginObject()
    json.key("id")
    json.value(rule.id)
    json.key("changes_detection")
    json.value(rule.changesDetection)
    json.key("fields")
    json.beginArray()
    for field in rule.fields {
      json.beginObject()
      json.key("field")
      json.value(field.path)
      json.key("old")
      if let old = field.old { json.value(old) } else { json.null() }
      json.key("new")
      if let new = field.new { json.value(new) } else { json.null() }
      json.endObject()
    }
    json.endArray()
    texts("removed_patterns", rule.removedPatterns, &json)
    texts("added_patterns", rule.addedPatterns, &json)
    json.endObject()
  }
  private static func write(_ row: MatchDiff.Row, _ json: inout JSONWriter) {
    json.beginObject()
    json.key("rule_id")
    json.value(row.id)
    json.key("gained")
    json.value(row.gained)
    json.key("lost")
    json.value(row.lost)
    json.key("same")
    json.value(row.same)
    texts("gained_examples", row.gainedExamples, &json)
    texts("lost_examples", row.lostExamples, &json)
    json.endObject()
  }
}

extension String {
  fileprivate var trimmedRight: String {
    var copy = self
    while copy.hasSuffix(" ") { copy.removeLast() }
    return copy
  }
}
