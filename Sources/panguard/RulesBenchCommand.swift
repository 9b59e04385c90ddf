// `panguard rules bench`: what the engine costs, beside pyatr (ATR's Python reference) where that is installed, on the same texts in
// the same run. Prints figures, asserts nothing.
import AgentRuntime
import ArgumentParser
import CLinux
import Glibc
import Primitives
import RuleImport
import RuleLanguage

extension RulesCommand {
  struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure the engine with these rules, beside pyatr where it is installed.",
      discussion: """
        Each text goes the whole way of `rules eval`: a JSON line in, rule ids out. Rates are events per second of processor time on one
        core. pyatr is asked about the same texts if the Python interpreter has it (`pip install pyatr`); with --rules it loads the same
        rules, else its own bundle. Example: panguard rules bench --rules pyatr-0.3.1-py3-none-any.whl
        """)
    @OptionGroup var selection: RuleSelection
    @Option(name: .long, help: "Seconds for each kind of text.") var seconds = 3
    @Option(name: .long, help: "Rules whose true positives are the attack texts, where the rules themselves have no cases (pyatr's bundle has none).")
    var attacks: String?
    @Option(name: .long, help: "The Python interpreter to ask for pyatr; 'none' leaves it out.") var python = "python3"
    @Flag(name: .long, help: "Also show how cost grows with the number of rules (up to 20,000) and with the text (up to 64 MiB).") var scaling = false
    @Flag(name: .long, help: "Instead, what the worst texts cost: floods, literals everywhere, and each pattern's own worst, of 50 KB to 10 MB.")
    var hostile = false
    @Option(name: .long, help: "With --hostile: the longest text, in bytes.") var largest = 10_000_000
    @Option(name: .long, help: "table or json.") var format: OutputFormat = .table

    func run() throws {
      if hostile { return printHostile(try selection.load().set, largest: largest) }
      guard seconds > 0, seconds <= 600 else { throw CommandFailure.usage("--seconds must be 1 to 600") }
      let start = Start.measure(selection)
      let loaded = try selection.load()
      var kinds = [
        BenchmarkTexts.benign(name: "120-byte texts", count: 2000, bytes: 120),
        BenchmarkTexts.benign(name: "2 KB documents", count: 400, bytes: 2048),
      ]
      let attacked = try attacks.map { path in
        let rules = RuleStore.load(paths: [path], options: selection.options())
        guard !rules.set.rules.isEmpty else { throw CommandFailure.environment("there are no rules in \(path)") }
        return rules.set
      }
      if let texts = BenchmarkTexts.attacks(of: attacked ?? loaded.set, count: 1) {
        kinds.append(texts)
      } else {
        printError("no attack texts: these rules carry no cases of one event that must fire; --attacks RULES takes those of other rules")
      }
      let peer = python == "none" ? nil : Peer.run(python: python, rules: peerRules(loaded), kinds: kinds, seconds: seconds)
      var rows: [Row] = []
      for kind in kinds {
        var cold = RuleEvaluator(loaded.set)
        let first = BenchmarkFigures.measure(&cold, kind, nanoseconds: 1)
        let warm = BenchmarkFigures.measure(&cold, kind, nanoseconds: Int64(seconds) * 1_000_000_000)
        rows.append(Row(kind: kind, cold: first, warm: warm, peer: peer?.rates[kind.name]))
      }
      var output = Output()
      if format == .table { print(rows, start, loaded, peer, &output) } else { printJSON(rows, start, loaded, peer, &output) }
      output.flush()
      if scaling { try printScaling(loaded.set) }
    }

    struct Row {
      var kind: BenchmarkTexts
      var cold: BenchmarkFigures
      var warm: BenchmarkFigures
      /// Events per processor second, times 1000.
      var peer: Int?
      /// How many times pyatr's rate; nil without pyatr.
      var factor: Int? { peer.map { $0 > 0 ? warm.eventsPerSecond * 1000 / $0 : 0 } }
    }

    /// A directory that both engines can read; nil: pyatr takes its own bundle.
    private func peerRules(_ loaded: LoadedRules) -> String? { loaded.paths.first { isDirectory($0) } }

    private func print(_ rows: [Row], _ start: Start, _ loaded: LoadedRules, _ peer: Peer?, _ output: inout Output) {
      let patterns = loaded.set.rules.reduce(0) { sum, rule in
        guard case .pattern(let conditions, _) = rule.detection else { return sum }
        return sum + conditions.reduce(0) { if case .regex(let list, _) = $1.test { $0 + list.count } else { $0 } }
      }
      output.line("\(loaded.set.rules.count) rules, \(patterns) regular expressions; one core, events per second of processor time")
      output.line("")
      output.line(columns(["", "pyatr", "cold", "warm", "factor", "MB/s", "p50 us", "p99 us", "max us"]))
      for row in rows {
        output.line(
          columns([
            row.kind.name, row.peer.map { decimal($0, 1000) } ?? "-", "\(row.cold.eventsPerSecond)", "\(row.warm.eventsPerSecond)",
            row.factor.map { "\($0)x" } ?? "-", "\(row.warm.megabytesPerSecond)", decimal(Int(row.warm.latency(permille: 500)), 1000),
            decimal(Int(row.warm.latency(permille: 990)), 1000), decimal(Int(row.warm.latency(permille: 1000)), 1000),
          ]))
      }
      output.line("")
      let starts = (decimal(Int(start.cold), 1_000_000), decimal(Int(start.warm), 1_000_000))
      output.line("start without a cache \(starts.0) ms, with it \(starts.1) ms" + (peer.map { "; pyatr \($0.loadMilliseconds) ms" } ?? ""))
      output.line("resident memory \(SelfMetrics.residentBytes() / 1_048_576) MiB, peak \(SelfMetrics.peakResidentBytes() / 1_048_576) MiB")
      if peer == nil { output.line("pyatr: not asked (\(python == "none" ? "--python none" : "\(python) has no module pyatr"))") }
    }

    private func printJSON(_ rows: [Row], _ start: Start, _ loaded: LoadedRules, _ peer: Peer?, _ output: inout Output) {
      for row in rows {
        var json = JSONWriter()
        json.beginObject()
        func member(_ key: StaticString, _ value: Int) {
          json.key(key)
          json.value(value)
        }
        json.key("texts")
        json.value(row.kind.name)
        member("rules", loaded.set.rules.count)
        if let rate = row.peer { member("pyatr_events_per_1000_seconds", rate) }
        member("cold_events_per_second", row.cold.eventsPerSecond)
        member("events_per_second", row.warm.eventsPerSecond)
        member("megabytes_per_second", row.warm.megabytesPerSecond)
        member("p50_nanoseconds", Int(row.warm.latency(permille: 500)))
        member("p99_nanoseconds", Int(row.warm.latency(permille: 990)))
        member("max_nanoseconds", Int(row.warm.latency(permille: 1000)))
        member("start_nanoseconds", Int(start.cold))
        member("cached_start_nanoseconds", Int(start.warm))
        json.endObject()
        output.line(json.out)
      }
    }

    private func printScaling(_ set: RuleSet) throws {
      var output = Output()
      let short = BenchmarkTexts.benign(name: "120 bytes", count: 1000, bytes: 120)
      let long = BenchmarkTexts.benign(name: "2 KB", count: 200, bytes: 2048)
      output.line("")
      output.line(columns(["rules", "120 bytes/s", "2 KB/s", "engine ms"]))
      for count in [100, set.rules.count, 5000, 20_000] where count >= 100 {
        let rules = BenchmarkRules.resized(set, to: count)
        let begin = BenchmarkFigures.cpuNow()
        var evaluator = RuleEvaluator(rules)
        let made = BenchmarkFigures.cpuNow() - begin
        _ = BenchmarkFigures.measure(&evaluator, long, nanoseconds: 1)
        let a = BenchmarkFigures.measure(&evaluator, short, nanoseconds: 1_000_000_000)
        let b = BenchmarkFigures.measure(&evaluator, long, nanoseconds: 1_000_000_000)
        output.line(columns(["\(rules.rules.count)", "\(a.eventsPerSecond)", "\(b.eventsPerSecond)", decimal(Int(made), 1_000_000)]))
        output.flush()
      }
      output.line("")
      output.line(columns(["text", "ms", "MB/s"]))
      var evaluator = RuleEvaluator(set)
      for bytes in [1 << 10, 1 << 14, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26] {
        let text = BenchmarkTexts.benign(name: "", count: 1, bytes: bytes)
        _ = BenchmarkFigures.measure(&evaluator, text, nanoseconds: 1)
        let figures = BenchmarkFigures.measure(&evaluator, text, nanoseconds: 300_000_000)
        let each = figures.cpuNanoseconds / Int64(figures.events)
        let size = bytes >= 1 << 20 ? "\(bytes >> 20) MiB" : "\(bytes >> 10) KiB"
        output.line(columns([size, decimal(Int(each), 1_000_000), "\(figures.megabytesPerSecond)"]))
        output.flush()
      }
    }

    /// The first is wide and left-aligned.
    func columns(_ cells: [String]) -> String {
      cells.enumerated().map { i, cell in
        let width = i == 0 ? 26 : 11
        let fill = String(repeating: " ", count: max(0, width - cell.count))
        return i == 0 ? cell + fill : fill + cell
      }.joined()
    }
    /// `value / unit` with two digits.
    func decimal(_ value: Int, _ unit: Int) -> String {
      let hundredths = value * 100 / unit
      let rest = hundredths % 100
      return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
  }
}

/// Reading the rules and making an engine of them, until the first answer.
private struct Start {
  var cold: Int64 = 0
  var warm: Int64 = 0

  static func measure(_ selection: RuleSelection) -> Start {
    let event = BenchmarkTexts.benign(name: "", count: 1, bytes: 120)
    func once(cached: Bool) -> Int64 {
      let begin = MonotonicTime.now()
      var options = selection.options()
      if !cached { options.cacheDirectory = nil }
      let loaded = RuleStore.load(paths: selection.rules, options: options)
      var evaluator = RuleEvaluator(loaded, cacheDirectory: options.cacheDirectory)
      _ = event.lines[0].withUnsafeBytes { try? evaluator.evaluate(line: $0) }
      return MonotonicTime.now() - begin
    }
    let cold = once(cached: false)
    _ = once(cached: true)
    return Start(cold: cold, warm: once(cached: true))
  }
}

/// pyatr on the same texts, in a process of its own.
private struct Peer {
  /// By the texts' name: events per processor second, times 1000.
  var rates: [String: Int] = [:]
  var loadMilliseconds = 0

  private static let program = """
    import json, logging, sys, time, warnings
    warnings.simplefilter("ignore"); logging.disable(logging.CRITICAL)
    from pyatr import ATREngine, AgentEvent
    seconds, rules, files = float(sys.argv[1]), sys.argv[2], sys.argv[3:]
    begin = time.process_time(); engine = ATREngine()
    engine.load_rules_from_directory(rules) if rules else engine.load_bundled_rules()
    print("load", int((time.process_time() - begin) * 1000), flush=True)
    for file in files:
        events = [json.loads(line)["event"] for line in open(file, encoding="utf-8")]
        events = [AgentEvent(content=e["content"], event_type=e["event_type"]) for e in events]
        done, begin, step = 0, time.process_time(), max(1, len(events) // 97)
        while time.process_time() - begin < seconds and done < len(events):
            engine.evaluate(events[done * step % len(events)]); done += 1
        print("rate", int(done * 1000 / (time.process_time() - begin)), flush=True)
    """

  /// nil: the interpreter is not there, or has no pyatr.
  static func run(python: String, rules: String?, kinds: [BenchmarkTexts], seconds: Int) -> Peer? {
    var template = Array("/tmp/panguard-bench-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { return nil }
    let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { rmdir(directory) }
    var files: [String] = []
    defer { for file in files { unlink(file) } }
    for (i, kind) in kinds.enumerated() {
      let path = "\(directory)/\(i).jsonl"
      guard let file = fopen(path, "w") else { return nil }
      for line in kind.lines { _ = (line + [0x0a]).withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) } }
      fclose(file)
      files.append(path)
    }
    guard let answer = output(of: [python, "-c", program, "\(seconds)", rules ?? ""] + files) else { return nil }
    var peer = Peer()
    var at = 0
    for line in answer.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 2, let number = Int(words[1]) else { continue }
      if words[0] == "load" { peer.loadMilliseconds = number }
      if words[0] == "rate", at < kinds.count {
        peer.rates[kinds[at].name] = number
        at += 1
      }
    }
    return at == kinds.count ? peer : nil
  }

  /// Standard output of a program, its errors thrown away; nil if it fails.
  private static func output(of arguments: [String]) -> String? {
    var pipes: [Int32] = [0, 0]
    guard pipe(&pipes) == 0 else { return nil }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO)
    posix_spawn_file_actions_addclose(&actions, pipes[0])
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
    var argv = arguments.map { strdup($0) } + [nil]
    defer { for argument in argv { free(argument) } }
    var child = pid_t()
    let failed = posix_spawnp(&child, arguments[0], &actions, nil, &argv, environ)
    close(pipes[1])
    defer { close(pipes[0]) }
    guard failed == 0 else { return nil }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let n = read(pipes[0], &buffer, buffer.count)
      if n < 0, errno == EINTR { continue }
      if n <= 0 { break }
      bytes += buffer[..<n]
    }
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
    return status == 0 ? String(decoding: bytes, as: UTF8.self) : nil
  }
}
