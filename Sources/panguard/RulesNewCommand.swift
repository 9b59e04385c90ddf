// `panguard rules new`: a rule to fill in. The path of the new file goes to standard output, what to do next to standard error.
import AgentRuntime
import ArgumentParser
import CLinux
import Glibc
import Primitives
import RuleImport
import RuleLanguage

extension RuleTemplate.Method: ExpressibleByArgument {}
extension Severity: ExpressibleByArgument {}
extension BehavioralDetection.Aggregation: ExpressibleByArgument {}

extension RulesCommand {
  struct New: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write a new rule, with tests that fail until they are filled in.",
      discussion: """
        On a terminal it asks for what the flags leave open. A file that exists is never overwritten.

        panguard rules new --title "Shell from cron" --category persistence --field process.command_line --pattern 'nc -e'
        """)
    @OptionGroup var selection: RuleSelection
    @Option(name: .long, help: "pattern (one event), behavioral (a count in a window) or correlation (other rules). Default: pattern.")
    var method: RuleTemplate.Method?
    @Option(name: .long, help: "The rule's id. Default: the next free one from ATR-YYYY-99001.") var id: String?
    @Option(name: .long, help: "What is detected, in one line.") var title: String?
    @Option(name: .long, help: "What the rule watches. Default: host_log.", completion: .list(RuleWords.sources)) var source: String?
    @Option(name: .long, help: "tags.category.", completion: .list(RuleWords.hostCategories + RuleWords.agentCategories)) var category: String?
    @Option(name: .long, help: "Default: medium.") var severity: Severity?
    @Option(name: .long, help: "The field to look at.", completion: RuleCompletion.fields) var field: String?
    @Option(name: .long, help: "How to compare it. Default: regex.", completion: .list(RuleWords.operators)) var `operator`: String?
    @Option(name: .long, help: "The regular expression, text or number to compare it with.") var pattern: String?
    @Option(name: .long, help: "behavioral: count, sum, max, distinct_count or rate. Default: count.") var aggregation:
      BehavioralDetection.Aggregation?
    @Option(name: .long, help: "behavioral, correlation: for instance 10m. Default: 10m.") var window: String?
    @Option(name: .long, help: "behavioral: from how many on. Default: 5.") var threshold: Int64?
    @Option(
      name: .long, help: "behavioral, correlation: fields that must be the same. Default: source.ip for hosts, session.id for agents.",
      completion: RuleCompletion.fields)
    var groupBy: [String] = []
    @Option(name: .long, help: "correlation: a rule that must match; in order, at least twice.", completion: RuleCompletion.rules)
    var sourceRule: [String] = []
    @Option(name: .long, help: "ATT&CK or ATLAS technique, for instance T1110.001 or AML.T0051; may be given several times.")
    var technique: [String] = []
    @Option(name: .long, help: "Default: your user name.") var author: String?
    @Option(name: .shortAndLong, help: "Where to write it. Default: the working directory.", completion: .directory) var output: String = "."

    func run() throws {
      let others = RuleStore.load(paths: selection.rules).set.rules + (isDirectory(output) ? RuleStore.load(paths: [output]).set.rules : [])
      var template = self.template
      if isatty(STDIN_FILENO) == 1, isatty(STDERR_FILENO) == 1 {
        do {
          template = try RuleQuestions(ask: ask).complete(template, open: open(template), ruleIDs: others.map(\.id))
        } catch is RuleQuestions.Ended {
          throw CommandFailure.usage("the input ended; nothing was written")
        }
      }
      try complete(&template, others)
      let problems = template.problems()
      guard problems.isEmpty else { throw CommandFailure.usage(problems.joined(separator: "\npanguard: ")) }
      let findings = template.check(against: others)
      guard findings.isEmpty else {
        report(findings, atLeast: .note)
        throw CommandFailure.usage("the rule was not written: the lines above say what it would not accept")
      }
      try write(template)
    }

    private var template: RuleTemplate {
      var t = RuleTemplate()
      t.method = method ?? .pattern
      t.title = title ?? ""
      t.source = source ?? "host_log"
      t.category = category ?? ""
      t.severity = severity ?? .medium
      t.techniques = technique
      t.field = field ?? ""
      t.operation = `operator` ?? "regex"
      t.pattern = pattern ?? ""
      t.aggregation = aggregation ?? .count
      t.window = window ?? "10m"
      t.threshold = threshold ?? 5
      t.sourceRules = sourceRule
      return t
    }

    /// What only the host knows: a free id, today, the author.
    private func complete(_ t: inout RuleTemplate, _ others: [Rule]) throws {
      if t.category.isEmpty { t.category = RuleWords.categories(of: t.source).first ?? "" }
      t.groupBy = groupBy.isEmpty ? [t.isHostRule ? "source.ip" : "session.id"] : groupBy
      var now = time(nil)
      var today = tm()
      localtime_r(&now, &today)
      func two(_ n: Int32) -> String { (n < 10 ? "0" : "") + "\(n)" }
      let year = Int(today.tm_year) + 1900
      t.date = "\(year)/\(two(today.tm_mon + 1))/\(two(today.tm_mday))"
      t.author = author ?? getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "unknown"
      if let id {
        if let taken = others.first(where: { $0.id == id }) { throw CommandFailure.usage("id \(id) is taken: \(taken.location)") }
        t.id = id
      } else if let free = RuleTemplate.nextID(method: t.method, year: year, taken: others.map(\.id)) {
        t.id = free
      } else {
        throw CommandFailure.usage("all ids up to ATR-\(year)-99999 are taken; give one with --id")
      }
    }

    private func open(_ t: RuleTemplate) -> RuleQuestions.Open {
      let isOpen: [(Bool, RuleQuestions.Open)] = [
        (method == nil && sourceRule.isEmpty, .method), (source == nil, .source), (title == nil, .title), (category == nil, .category),
        (severity == nil, .severity), (field == nil, .field), (`operator` == nil, .operation), (pattern == nil, .pattern),
        (sourceRule.isEmpty, .sourceRules), (technique.isEmpty, .techniques), (window == nil, .window), (threshold == nil, .threshold),
      ]
      return isOpen.reduce(into: []) { if $1.0 { $0.insert($1.1) } }
    }
    private func ask(_ prompt: String) -> String? {
      fputs(prompt, pg_stderr())
      return readLine()
    }

    private func write(_ t: RuleTemplate) throws {
      guard isDirectory(output) else { throw CommandFailure.environment("\(output) is not a directory; make it, or name another with --output") }
      let directory = output.withoutTrailingSlashes
      let path = directory == "." ? t.fileName : directory.pathAppending(t.fileName)
      let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
      guard descriptor >= 0 else {
        let reason = errno == EEXIST ? "exists already and is not overwritten; choose another --title" : String(cString: strerror(errno))
        throw CommandFailure.environment("\(path): \(reason)")
      }
      var file = Output(descriptor: descriptor)
      file.write(Array(t.yaml.utf8))
      file.flush()
      close(descriptor)
      var output = Output()
      output.line(path)
      output.flush()
      let sources = selection.rules.isEmpty ? RuleStore.defaultDirectories() : selection.rules
      let rules = t.method == .correlation ? sources.map { " --rules \($0)" }.joined() : ""
      printError(
        """
        Wrote \(t.id). Next:
          1. Fill in the description and each '\(TestPlaceholder.mark) ...>' in \(path)
          2. panguard rules test\(rules) --watch \(path)
          3. panguard rules explain \(t.id)\(rules) --rules \(path) --input '...'
             shows why it matches, or how far it got.
          4. panguard rules lint\(rules) \(path)
        """)
    }
  }
}
