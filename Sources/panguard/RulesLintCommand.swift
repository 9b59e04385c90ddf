// `panguard rules lint`: findings as text, JSON lines or SARIF.
import AgentRuntime
import ArgumentParser
import Export
import Primitives
import RuleImport
import RuleLanguage
import RuleLinting
import TypedYAML

extension RulesCommand {
  struct Lint: ParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable { case text, json, sarif }

    static let configuration = CommandConfiguration(
      abstract: "Find what is wrong with rules.",
      discussion: """
        Prints every finding as file:line:column with its id; a rule silences one with panguard.lint.ignore: [id]. The rules run over a set \
        of harmless documents, and over their own cases in disguise. Exit 1 if there is an error, or, with --strict, a warning.
        """)
    @OptionGroup var selection: RuleSelection
    @Argument(help: RuleSelection.pathsHelp, completion: .file()) var paths: [String] = []
    @Flag(name: .long, help: "Warnings fail too.") var strict = false
    @Option(name: .long, help: "text, json (one finding for each line) or sarif (2.1.0).") var format: Format = .text
    @Option(name: .long, help: "Harmless documents, as JSON lines; default: the shipped ones. 'none' for none.", completion: .file())
    var benign: String?
    @Option(name: .long, help: "Leave out findings of this id; may be given several times.") var ignore: [String] = []
    @Flag(name: .long, help: "Leave out notes.") var quiet = false
    @Flag(inversion: .prefixedNo, help: "Disguise true positives and see what gets through.") var evasions = true
    @Flag(name: .long, help: "Print the table of findings instead.") var list = false

    func run() throws {
      var output = Output()
      guard !list else {
        for kind in FindingKind.allCases { output.line("\(kind.id) (\(kind.severity.rawValue)): \(kind.summary) \(kind.help)") }
        output.flush()
        return
      }
      let documents = try benignDocuments()
      let loaded = RuleStore.load(paths: selection.rules + paths)
      let options = LintOptions(
        benign: documents, looksForEvasions: evasions, ignored: try ignore.map(Lint.kind), readFile: { try? readDocumentFile($0).get() })
      let report = RuleLint.report(loaded.set, options)
      let shown = report.findings.filter { !quiet || $0.severity > .note }
      switch format {
      case .text: for finding in shown { output.line(finding.description) }
      case .json: for finding in shown { output.line(finding.json) }
      case .sarif: output.line(LintSARIF.report(shown).json())
      }
      output.flush()
      summarize(report, loaded.set)
      // A refused file is a finding; nothing at all is a mistake in the call.
      if loaded.set.rules.isEmpty, loaded.set.refusedCount == 0 {
        throw CommandFailure.environment("no rule to check\(loaded.paths.isEmpty ? "" : " in \(loaded.paths.joined(separator: ", "))")")
      }
      if report.count(.error) > 0 || (strict && report.count(.warning) > 0) { throw CommandFailure.findings }
    }

    private func summarize(_ report: LintReport, _ set: RuleSet) {
      var line = "\(set.rules.count) rules checked, \(set.refusedCount) refused, \(report.count(.error)) errors, \(report.count(.warning)) warnings"
      line += ", \(report.count(.note)) notes" + (report.ignoredCount > 0 ? ", \(report.ignoredCount) ignored" : "")
      printError(line)
      guard report.benignDocuments > 0 else { return }
      let tenths = (report.benignFlagged * 1000 + report.benignDocuments / 2) / report.benignDocuments
      printError(
        "false positives: \(report.benignFlagged) of \(report.benignDocuments) harmless documents flagged (\(tenths / 10).\(tenths % 10) %)")
    }

    private func benignDocuments() throws -> [BenignDocument] {
      if benign == "none" { return [] }
      return try BenignFile.read(benign)
    }

    private static func kind(_ id: String) throws -> FindingKind {
      if let kind = FindingKind(rawValue: id) { return kind }
      let near = nearest(id, in: FindingKind.allCases.map(\.id)).map { "; did you mean '\($0)'?" } ?? "; `panguard rules lint --list` shows them all"
      throw CommandFailure.usage("there is no finding '\(id)'\(near)")
    }
  }
}

/// The harmless documents that `rules lint` and `rules cost` try rules on.
enum BenignFile {
  /// Beside the shipped rules: <rules>/host has <rules>/benign/documents.jsonl.
  private static var shipped: String? {
    guard let path = RuleStore.defaultDirectories().first.map(documents(beside:)) else { return nil }
    if case .success = readDocumentFile(path, limit: Limits.benignBytes) { return path }
    return nil
  }

  private static func documents(beside rules: String) -> String {
    let parent = rules.hasSuffix("/host") ? String(rules.dropLast(5)) : rules
    return "\(parent)/benign/documents.jsonl"
  }

  /// `path` nil: the shipped ones; where they are not installed there are none, and that is said. A line that is no document is a failure.
  static func read(_ path: String?) throws -> [BenignDocument] {
    guard let path = path ?? shipped else {
      let place =
        RuleStore.defaultDirectories().first.map(documents(beside:)) ?? "benign/documents.jsonl beside the shipped rules, which are not there"
      printError("harmless documents not found: \(place); rules are not tried on any")
      return []
    }
    switch readDocumentFile(path, limit: Limits.benignBytes) {
    case .failure(let error): throw CommandFailure.environment("\(error.diagnostic)")
    case .success(let bytes):
      let (documents, problems) = bytes.withUnsafeBytes { BenignDocument.read($0, file: path) }
      report(problems, atLeast: .error)
      guard problems.isEmpty else { throw CommandFailure.environment("\(path) is not a file of harmless documents") }
      guard !documents.isEmpty else { throw CommandFailure.environment("\(path) holds no document; --benign none tries none") }
      return documents
    }
  }
}

/// Findings in SARIF's words.
enum LintSARIF {
  static func report(_ findings: [LintFinding]) -> SARIFReport {
    SARIFReport(
      toolName: "panguard", toolVersion: Version.text,
      rules: FindingKind.allCases.map { .init(id: $0.id, summary: $0.summary, help: $0.help, level: level($0.severity)) },
      results: findings.map { finding in
        let subject = finding.ruleID.isEmpty ? "" : "\(finding.ruleID): "
        let message = subject + finding.message + (finding.hint.isEmpty ? "" : "; \(finding.hint)")
        return .init(
          ruleID: finding.kind.id, level: level(finding.severity), message: message, location: finding.location,
          subject: "\(finding.ruleID)\n\(finding.message)", related: finding.related.map { ($0.location, $0.message) })
      })
  }
  private static func level(_ severity: Diagnostic.Severity) -> SARIFReport.Level {
    switch severity {
    case .note: .note
    case .warning: .warning
    case .error: .error
    }
  }
}

extension SourceLocation {
  /// As members of an object that is being written.
  func append(to json: inout JSONWriter) {
    json.key("file")
    json.value(file)
    json.key("line")
    json.value(line)
    json.key("column")
    json.value(column)
  }
}

extension LintFinding {
  /// One line of JSON.
  var json: [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    json.key("id")
    json.value(kind.id)
    json.key("severity")
    json.value(severity.rawValue)
    json.key("rule")
    json.value(ruleID)
    location.append(to: &json)
    json.key("message")
    json.value(message)
    json.key("hint")
    json.value(hint.isEmpty ? kind.help : hint)
    if !related.isEmpty {
      json.key("related")
      json.beginArray()
      for other in related {
        json.beginObject()
        json.key("location")
        json.value(other.location.description)
        json.key("message")
        json.value(other.message)
        json.endObject()
      }
      json.endArray()
    }
    json.endObject()
    return json.out
  }
}
