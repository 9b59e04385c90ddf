// `panguard rules conformance FIXTURES`: runs the ATR conformance suite and says what passed, what failed and why, and what the standard
// leaves open. Exit 0: every fixture that the standard decides passed, and nothing speaks against the level that is claimed. 1: otherwise.
// 2: a fixture or an argument could not be read.
import AgentRuntime
import ArgumentParser
import Events
import Export
import Glibc
import Primitives

struct RulesConformance: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "conformance", abstract: "Run the ATR conformance suite.",
    discussion: """
      FIXTURES is the suite's directory of fixtures (tp, tn, edge). Fixtures that the standard does not decide, for instance because they carry
      no input, are listed with the reason and count neither as passed nor as failed; in the report they count by the letter of the suite,
      and with --strict they do here too. A fixture whose rule is not loaded, or does not run, has failed; with --allow-missing it is undecided,
      and no level is claimed. Exit 1 if a fixture failed or the level is not met, 2 if the run says nothing.
      """)
  @OptionGroup var selection: RuleSelection
  @Option(name: .long, help: "The level that the report claims: L1, L2 or L3.") var level: ConformanceReport.Level = .L2
  @Option(name: .long, help: "Write the suite's report (JSON) to this file.", completion: .file()) var out: String?
  @Option(name: .long, help: "What to print: table or json (the report).") var format: OutputFormat = .table
  @Flag(name: .long, help: "Undecided fixtures that do not pass by the letter of the suite fail the run.") var strict = false
  @Flag(name: .long, help: "Fixtures of rules that are not loaded or do not run are undecided: no level is claimed.") var allowMissing = false
  @Argument(help: "The directory of fixtures.", completion: .directory) var fixtures: String

  func run() throws {
    guard !selection.rules.isEmpty else { throw CommandFailure.usage("name the rules that the fixtures are about with --rules DIR") }
    let loaded = try selection.load()
    var runner = ConformanceRunner(loaded, allowsMissing: allowMissing)
    var progress = Progress("running fixtures")
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let result: ConformanceReport
    do {
      result = try runner.run(fixtures, level: level, generatedAt: EventTime(seconds: Int64(now.tv_sec))) {
        progress.update(UInt64($0), of: UInt64($1))
      }
    } catch {
      progress.finish()
      throw CommandFailure.usage("\(error)")
    }
    progress.finish()
    let json = result.json(engine: "panguard \(Version.text)")
    var output = Output()
    if format == .table {
      for line in ConformanceView.lines(result) { output.line(line) }
    } else {
      output.line(json)
    }
    output.flush()
    if let out, !writeFile(json + [0x0a], to: out) {
      throw CommandFailure.environment("\(out): \(String(cString: strerror(errno)))")
    }
    if result.hasHarnessErrors { throw CommandFailure.usage("a fixture could not be read: the run says nothing about the engine") }
    let isRefuted = ([result.claim] + result.profileClaims).contains { $0.isMet == false }
    if isRefuted || !result.failures.isEmpty || (strict && result.results.contains { !$0.passed }) { throw CommandFailure.findings }
  }
}

extension ConformanceReport.Level: ExpressibleByArgument {}

/// Replaces the file's content. False, with errno, on failure.
private func writeFile(_ bytes: [UInt8], to path: String) -> Bool {
  let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
  guard descriptor >= 0 else { return false }
  defer { close(descriptor) }
  var written = 0
  while written < bytes.count {
    let n = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + written, bytes.count - written) }
    if n < 0, errno == EINTR { continue }
    guard n > 0 else { return false }
    written += n
  }
  return true
}

enum ConformanceView {
  private static let titles: [(ConformanceFixture.Category, String)] = [
    (.truePositive, "true positives"), (.trueNegative, "true negatives"), (.edge, "edge cases"),
  ]

  static func lines(_ report: ConformanceReport) -> [String] {
    var out: [String] = []
    for result in report.failures {
      out.append("FAIL \(result.category.rawValue)/\(TerminalText.escaped(result.name)): \(TerminalText.escaped(result.failureReason))")
    }
    out += undecided(report)
    if !out.isEmpty { out.append("") }
    var rows = [["FIXTURES", "TOTAL", "DECIDED", "PASSED", "FAILED", "RATE", "UNDECIDED"]]
    for (category, title) in titles { rows.append(row(title, report.results.filter { $0.category == category })) }
    rows.append(row("all", report.results))
    out += RuleTestView.aligned(rows)
    out.append("")
    if report.notRun > 0 { out.append("\(report.notRun) fixtures name rules that are not loaded or do not run") }
    out.append("\(report.ruleCount) rules, \(report.activeRuleCount) active, \(report.refusedRules) refused")
    out += ([report.claim] + report.profileClaims).map { TerminalText.escaped($0.text) }
    out.append("capabilities: \(Capabilities.all.joined(separator: ", "))")
    return out
  }

  private static func row(_ title: String, _ results: [ConformanceResult]) -> [String] {
    let decided = results.filter { $0.undecided == nil }
    let passed = decided.filter(\.passed).count
    return [
      title, "\(results.count)", "\(decided.count)", "\(passed)", "\(decided.count - passed)", RuleTestView.rate(passed, of: decided.count),
      "\(results.count - decided.count)",
    ]
  }

  /// By reason, in the order in which the reasons are met.
  private static func undecided(_ report: ConformanceReport) -> [String] {
    var reasons: [String] = []
    var names: [String: [String]] = [:]
    for result in report.undecided {
      guard let reason = result.undecided else { continue }
      if names[reason] == nil { reasons.append(reason) }
      names[reason, default: []].append("\(result.category.rawValue)/\(result.name)")
    }
    return reasons.flatMap { reason -> [String] in
      let list = names[reason] ?? []
      return ["undecided, \(list.count): \(TerminalText.escaped(reason))"] + list.map { "  \(TerminalText.escaped($0))" }
    }
  }
}
