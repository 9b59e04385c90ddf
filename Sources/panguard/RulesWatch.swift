// `panguard rules test --watch`: runs the tests, then again what a saved file changes, until Ctrl-C (exit 0).
import AgentRuntime
import Glibc
import Primitives
import RuleImport
import RuleLanguage

struct RulesWatch {
  var paths: [String]
  /// Only rules whose id contains this.
  var filter: String?
  var options: RuleLoadOptions
  /// How often files are looked at, and how long they must have been still: editors write a file in several steps.
  private static let lookMilliseconds: Int32 = 300
  private static let stillMilliseconds: Int32 = 100

  init(paths: [String], filter: String?, options: RuleLoadOptions) {
    self.paths = paths.isEmpty ? RuleStore.defaultDirectories() : paths
    self.filter = filter
    self.options = options
  }

  func run() {
    for number in [SIGINT, SIGTERM] { signal(number) { _ in _exit(0) } }
    var watch = RuleFileWatch(paths: paths)
    var streams: [String] = []
    var changed = watch.changes()
    var isFirst = true
    while true {
      let loaded = RuleStore.load(paths: paths, options: options)
      streams = loaded.set.rules.flatMap(RuleFileWatch.streams)
      if isFirst { _ = watch.changes(beside: streams) }  // now they are known
      show(loaded.set, changed: isFirst ? nil : changed)
      isFirst = false
      changed = []
      while changed.isEmpty {
        guard Output.waits(milliseconds: Self.lookMilliseconds) else { return }
        changed = watch.changes(beside: streams)
      }
      while case let more = (Output.waits(milliseconds: Self.stillMilliseconds), watch.changes(beside: streams)).1, !more.isEmpty {
        changed = Array(Set(changed + more)).sorted()
      }
    }
  }

  private func show(_ set: RuleSet, changed: [String]?) {
    var output = Output()
    let isTerminal = isatty(STDOUT_FILENO) == 1 && Terminal.usesColor(.auto)
    if isTerminal { output.write(Array("\u{1b}[2J\u{1b}[3J\u{1b}[H".utf8)) }
    if let changed {
      let names = changed.prefix(3).map(\.lastPathPart).joined(separator: ", ")
      output.line("\(isTerminal ? "" : "---- ")\(clock()) changed: \(names)\(changed.count > 3 ? " and \(changed.count - 3) more" : "")")
    }
    for diagnostic in set.diagnostics where diagnostic.severity == .error { output.line("\(diagnostic)") }
    let ids = changed.map { RuleFileWatch.affected(by: $0, in: set) }
    let filter = filter
    var tester = RuleTester(set)
    let result = tester.run(where: { rule in (ids?.contains(rule.id) ?? true) && (filter.map { rule.id.contains($0) } ?? true) })
    for line in RuleTestView.failures(result, reference: nil) { output.line(line) }
    for id in result.untestedRules { output.line("no cases: \(id)") }
    let decided = result.casesRun - result.documentedEvasions - result.caughtEvasions
    let passed = "\(result.passed) of \(decided) cases passed\(RuleTestView.evasions(result)), \(result.testedRules) rules"
    let verdict = result.casesRun == 0 ? "nothing was run" : passed
    let refused = set.refusedCount > 0 ? ", \(set.refusedCount) refused" : ""
    output.line("\(verdict)\(refused); waiting for a change, Ctrl-C ends")
    output.flush()
  }
  private func clock() -> String {
    var now = time(nil)
    var local = tm()
    localtime_r(&now, &local)
    func two(_ n: Int32) -> String { (n < 10 ? "0" : "") + "\(n)" }
    return "\(two(local.tm_hour)):\(two(local.tm_min)):\(two(local.tm_sec))"
  }
}
