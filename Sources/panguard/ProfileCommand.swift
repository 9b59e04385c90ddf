// `panguard rules profile`: which rules a profile means, and why it cannot be resolved where it cannot.
import AgentRuntime
import ArgumentParser
import Primitives
import RuleImport
import RuleLanguage

extension RulesCommand {
  struct ProfileCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "profile", abstract: "Resolve a profile: a named subset of the rules.",
      discussion: "Without an argument the known profiles are listed. Exit 1 if a profile has errors.")
    @Option(name: .long, help: RuleSelection.help, completion: .file())
    var rules: [String] = []
    @Option(name: .long, help: "table or json.") var format: OutputFormat = .table
    @Argument(help: "An id, id@version or a file.", completion: .file()) var profile: String?

    func run() throws {
      let library = ProfileStore.library(profile.map { $0.contains("/") || $0.hasSuffix(".yaml") || $0.hasSuffix(".yml") ? [$0] : [] } ?? [])
      report(library.diagnostics, atLeast: .warning)
      let loaded = RuleStore.load(paths: rules)
      report(loaded.set.diagnostics, atLeast: .error)
      let chosen = profile.map { ProfileStore.find($0, in: library) } ?? library.profiles
      var hasErrors = library.diagnostics.contains { $0.severity == .error }
      guard !chosen.isEmpty else {
        if hasErrors { throw CommandFailure.findings }
        throw CommandFailure.usage("there is no profile '\(profile ?? "")'; known are \(library.profiles.map(\.name).joined(separator: ", "))")
      }
      var output = Output()
      for one in chosen {
        let (resolved, diagnostics) = library.resolve(one, among: loaded.set.rules)
        report(diagnostics, atLeast: profile == nil ? .warning : .note)
        guard let resolved else {
          hasErrors = true
          continue
        }
        let members = Set(resolved.ruleIDs)  // only asked for members
        let summary = ProfileSummary(one, loaded.set.rules.filter { members.contains($0.id) })
        if format == .table { output.line(profile == nil ? summary.row : summary.page) } else { output.line(summary.json) }
      }
      output.flush()
      if hasErrors { throw CommandFailure.findings }
    }
  }
}

/// What the standard calls `resolved_rules_summary`, and the rules.
private struct ProfileSummary {
  let profile: Profile
  let rules: [Rule]
  let byCategory: [(category: String, count: Int)]
  /// Correlations with source rules that are not in: under this profile those feed nothing.
  let unfed: [(id: String, source: String)]

  init(_ profile: Profile, _ rules: [Rule]) {
    self.profile = profile
    self.rules = rules
    byCategory = Set(rules.map(\.category)).sorted().map { category in (category, rules.count { $0.category == category }) }
    unfed = rules.flatMap { rule -> [(id: String, source: String)] in
      guard case .correlation(let detection) = rule.detection else { return [] }
      return detection.sourceRules.filter { source in !rules.contains { $0.id != rule.id && source.matches($0.id) } }.map {
        (rule.id, $0.ruleIDPattern)
      }
    }
  }

  var row: String { "\(profile.name)  \(rules.count) rules  \(profile.title)" }
  var page: String {
    var out = ["\(profile.name)  \(profile.title)", "status \(profile.status), \(rules.count) rules"]
    out += byCategory.map { "  \($0.category): \($0.count)" }
    out += unfed.map { "note: \($0.id) waits for \($0.source), which is not in this profile" }
    out += rules.map { "\($0.id)  \($0.severity.rawValue)  \($0.title)" }
    return out.map { line in String(String.UnicodeScalarView(line.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? "?" : $0 })) }
      .joined(separator: "\n")
  }
  var json: [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    json.key("profile")
    json.value(profile.name)
    json.key("title")
    json.value(profile.title)
    json.key("status")
    json.value(profile.status)
    json.verbatim(",\"conformance_bound\":{\"spec_version_min\":")
    json.value(profile.bound.specVersionMinimum)
    json.key("spec_version_max")
    if let maximum = profile.bound.specVersionMaximum { json.value(maximum) } else { json.null() }
    json.key("minimum_rule_coverage")
    json.value(thousandths: Int(profile.bound.minimumRuleCoverage))
    json.key("minimum_engine_passing")
    json.value(thousandths: Int(profile.bound.minimumEnginePassing))
    json.endObject()
    json.verbatim(",\"resolved_rules_summary\":{\"total\":")
    json.value(rules.count)
    json.key("by_category")
    json.beginObject()
    for entry in byCategory {
      json.key(text: entry.category)
      json.value(entry.count)
    }
    json.endObject()
    json.endObject()
    json.key("rules")
    json.beginArray()
    for rule in rules { json.value(rule.id) }
    json.endArray()
    json.endObject()
    return json.out
  }
}
