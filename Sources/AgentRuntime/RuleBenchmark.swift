// What `panguard rules bench` measures: texts of three kinds through the whole way of `rules eval` (a JSON line in, rule ids out).
// The texts are made here from words of ours with a fixed seed, so that two machines measure the same work; attack texts are the
// cases that the rules carry. Figures are of this thread's processor time, so that a busy machine does not lie.
import Events
import Glibc
import Primitives
import RuleLanguage

/// Texts of one kind, each as the line that both engines read.
public struct BenchmarkTexts: Sendable {
  public var name: String
  public var lines: [[UInt8]]
  /// Bytes of the texts without the JSON around them.
  public var textBytes: Int

  init(name: String, texts: [[UInt8]]) {
    self.name = name
    lines = texts.enumerated().map { BenchmarkTexts.line($1, id: $0) }
    textBytes = texts.reduce(0) { $0 + $1.count }
  }

  private static let types = ["llm_input", "tool_response", "tool_call", "llm_output"]

  static func line(_ text: [UInt8], id: Int) -> [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    json.key("id")
    json.value(id)
    json.key("event")
    json.beginObject()
    json.key("event_type")
    json.value(types[id % types.count])
    json.key("content")
    text.withUnsafeBytes { json.value($0) }
    json.endObject()
    json.endObject()
    return json.out
  }

  /// `count` texts of about `bytes` bytes: sentences, code, paths, shell lines and numbers, as agents see them.
  public static func benign(name: String, count: Int, bytes: Int) -> BenchmarkTexts {
    var words = WordSource(seed: UInt64(bytes))
    return BenchmarkTexts(name: name, texts: (0..<count).map { _ in words.text(bytes: bytes) })
  }

  /// The single-event cases that must fire, over and over up to `count`; nil if the rules carry none.
  public static func attacks(of set: RuleSet, count: Int) -> BenchmarkTexts? {
    var texts: [[UInt8]] = []
    for rule in set.rules {
      for test in rule.tests where test.group == .truePositive && test.count == 1 {
        if let text = content(of: test), !text.isEmpty { texts.append(text) }
      }
    }
    guard !texts.isEmpty else { return nil }
    return BenchmarkTexts(name: "attack texts of the rules", texts: (0..<max(count, texts.count)).map { texts[$0 % texts.count] })
  }
}

extension BenchmarkTexts {
  /// The text that a case shows the engine; nil if it is not a single text.
  private static func content(of test: TestCase) -> [UInt8]? {
    guard case .event(var json) = test.input else { return nil }
    var event = Event()
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    guard (try? json.withUTF8({ try event.setFields(fromJSON: Bytes($0)) })) != nil else { return nil }
    let fields: [Field] = [.content, .userInput, .toolResponse, .toolArgs, .agentOutput]
    return fields.lazy.compactMap { event.text($0).map(Array.init) }.first
  }
}

/// Text out of our own words. The same seed gives the same text.
struct WordSource {
  private var state: UInt64
  init(seed: UInt64) { state = seed &+ 0x9e37_79b9_7f4a_7c15 }

  /// SplitMix64 (Steele, Lea, Flood 2014).
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
  mutating func pick(_ list: [String]) -> String { list[Int(next() % UInt64(list.count))] }

  private static let words =
    """
    the of and to in that for with on as at by from this which when after before while about order report customer invoice meeting
    schedule project review branch commit release build server client request response timeout retry queue worker table column index
    query result page user account session message thread reply summary draft paragraph section chapter weather travel garden kitchen
    recipe music film history science energy water river mountain city street please could would should must may we you they it our
    their please check update create remove read write open close list find sort group count average sum plot compare explain translate
    """.split(whereSeparator: { $0 == " " || $0 == "\n" }).map(String.init)
  private static let pieces = [
    "def load(path):\n    with open(path) as f:\n        return json.load(f)\n", "git checkout -b feature/search && make test\n",
    "SELECT id, name FROM orders WHERE created_at > now() - interval '7 days';\n", "https://docs.example.com/guide/getting-started.html ",
    "/usr/share/doc/package/README.md ", "{\"status\":\"ok\",\"items\":[1,2,3]} ", "2026-03-14T09:26:53Z INFO worker-7 finished in 182 ms\n",
    "- [x] write the tests\n", "curl -s https://api.example.com/v1/health ", "## Usage\n\n", "npm install && npm run build\n",
    "for (const item of items) { total += item.price; }\n", "user@example.com ", "0x7f3a ", "v2.14.0 ", "Überblick über die Änderungen. ",
  ]

  mutating func text(bytes: Int) -> [UInt8] {
    var out: [UInt8] = []
    while out.count < bytes {
      if next() % 12 == 0 {
        out += Array(pick(WordSource.pieces).utf8)
        continue
      }
      for i in 0..<Int(5 + next() % 9) {
        let word = pick(WordSource.words)
        out += Array((i == 0 ? word.prefix(1).uppercased() + word.dropFirst() : word).utf8)
        out.append(0x20)
      }
      out[out.count - 1] = 0x2e
      out.append(0x20)
    }
    // A cut may fall into a character; what remains of it goes.
    out.removeSubrange(bytes...)
    while let last = out.last, last >= 0x80 { out.removeLast() }
    return out
  }
}

/// One row of the table.
public struct BenchmarkFigures: Sendable {
  public var events = 0
  public var bytes = 0
  /// Of this thread.
  public var cpuNanoseconds: Int64 = 0
  /// Of each event, sorted.
  public var latencies: [Int64] = []
  public var matches = 0

  public var eventsPerSecond: Int { cpuNanoseconds > 0 ? Int(Int128(events) * 1_000_000_000 / Int128(cpuNanoseconds)) : 0 }
  public var megabytesPerSecond: Int { cpuNanoseconds > 0 ? Int(Int128(bytes) * 1000 / Int128(cpuNanoseconds)) : 0 }
  /// `permille`: 500 is the median, 1000 the slowest.
  public func latency(permille: Int) -> Int64 {
    latencies.isEmpty ? 0 : latencies[min(latencies.count - 1, latencies.count * permille / 1000)]
  }

  /// Plays `texts` until `nanoseconds` of processor time have gone, at least once through.
  public static func measure(_ evaluator: inout RuleEvaluator, _ texts: BenchmarkTexts, nanoseconds: Int64) -> BenchmarkFigures {
    var figures = BenchmarkFigures()
    let start = cpuNow()
    repeat {
      for line in texts.lines {
        figures.matches += line.withUnsafeBytes { (try? evaluator.evaluate(line: $0).count) ?? 0 } & 1
      }
      figures.events += texts.lines.count
      figures.bytes += texts.textBytes
      figures.cpuNanoseconds = cpuNow() - start
    } while figures.cpuNanoseconds < nanoseconds
    // Apart, because reading a clock twice for each event costs what a short event does.
    figures.latencies.reserveCapacity(texts.lines.count)
    for line in texts.lines {
      let begin = MonotonicTime.now()
      _ = line.withUnsafeBytes { try? evaluator.evaluate(line: $0) }
      figures.latencies.append(MonotonicTime.now() - begin)
    }
    figures.latencies.sort()
    return figures
  }

  public static func cpuNow() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
  }
}

public enum BenchmarkRules {
  /// `count` rules: those of `set` in their order, then made ones of the same build (two lists of alternative words and a bounded gap).
  public static func resized(_ set: RuleSet, to count: Int) -> RuleSet {
    var result = RuleSet(rules: Array(set.rules.prefix(count)), diagnostics: [], refusedCount: 0)
    var words = WordSource(seed: 20_000)
    func made() -> String {
      let syllables = ["ka", "lo", "mer", "tin", "dus", "pra", "vel", "osh", "qui", "zen", "bar", "fli", "gro", "hex", "jun", "wyl"]
      return (0..<3).map { _ in words.pick(syllables) }.joined()
    }
    for number in result.rules.count..<max(result.rules.count, count) {
      let patterns = (0..<4).map { _ in #"(?i)\b(?:\#(made())|\#(made()))\s+(?:\#(made())|\#(made()))[^\n]{0,40}\#(made())\b"# }
      let field = ["content", "user_input", "tool_response", "tool_args"][number % 4]
      let conditions = patterns.map { "    - field: \(field)\n      operator: regex\n      value: '\($0)'\n" }.joined()
      let document = """
        schema_version: "1.0"
        id: ATR-2027-\(String(100_000 + number).dropFirst())
        title: made for measuring
        status: experimental
        maturity: test
        description: A rule that only the benchmark uses, to see how the engine grows with the number of rules.
        author: panguard
        date: 2026-01-01
        severity: low
        tags: {category: prompt-injection, scan_target: both}
        agent_source: {type: llm_io}
        detection:
          condition: any
          conditions:
        \(conditions)response: {actions: [alert]}
        """
      result.rules += RuleLoader.load(document: document, file: "benchmark").rules
    }
    result.rules.sort { $0.id < $1.id }
    return result
  }
}
