// `panguard rules bench --hostile`: what the worst texts cost, as a multiple of harmless text of the same length. First every text of
// HostileTexts is tried short; then the dearest, and all floods, at 50 KB, 1 MB and 10 MB.
// What must stay true: a limit that was hit is shown with the rules it left undecided; figures are of this thread's processor time.
import AgentRuntime
import ArgumentParser
import Events
import Export
import Primitives
import RuleEngine
import RuleLanguage
import RuleLinting

struct HostileBench: ~Copyable {
  struct Row {
    var text: HostileText
    var bytes: Int
    var nanoseconds: Int64
    /// Times harmless text of this length, in thousandths.
    var multiple: Int64
    /// Rules that a limit left undecided.
    var undecided: [String]
  }
  private var evaluator: RuleEvaluator
  private let set: RuleSet
  /// By length, nanoseconds of harmless text.
  private var benign: [(bytes: Int, nanoseconds: Int64)] = []
  private static let searchBytes = 8192
  private static let shownPatterns = 12

  init(_ set: RuleSet) {
    self.set = set
    evaluator = RuleEvaluator(set)
  }

  /// Every text once, short; the dearest first.
  mutating func search(progress: (Int, Int) -> Void) -> [Row] {
    let texts = HostileTexts.patterns(of: set)
    var rows: [Row] = []
    for (number, text) in texts.enumerated() {
      progress(number, texts.count)
      rows.append(measure(text, bytes: HostileBench.searchBytes))
    }
    return rows.sorted { ($1.multiple, $0.text.name) < ($0.multiple, $1.text.name) }
  }

  /// The dearest of the patterns' own texts, one for each rule, and all that is no single pattern's.
  static func worst(_ found: [Row], _ set: RuleSet) -> [HostileText] {
    var rules: [String] = []
    var texts = HostileTexts.floods + HostileTexts.events + HostileTexts.literals(of: set)
    for row in found where rules.count < shownPatterns {
      guard let rule = row.text.ruleID, !rules.contains(rule) else { continue }
      rules.append(rule)
      texts.append(row.text)
    }
    return texts
  }

  mutating func measure(_ text: HostileText, bytes: Int) -> Row {
    let line = HostileBench.line(text, text.bytes(bytes))
    // The first time compiles what it needs, once for all texts.
    _ = cost(line)
    let nanoseconds = cost(line)
    let multiple = nanoseconds * 1000 / max(1, benignCost(bytes))
    return Row(text: text, bytes: bytes, nanoseconds: nanoseconds, multiple: multiple, undecided: evaluator.undecidedRules)
  }

  private mutating func benignCost(_ bytes: Int) -> Int64 {
    if let known = benign.first(where: { $0.bytes == bytes }) { return known.nanoseconds }
    var least = Int64.max
    for _ in 0..<3 {
      for line in BenchmarkTexts.benign(name: "", count: 4, bytes: bytes).lines { least = min(least, cost(line)) }
    }
    benign.append((bytes, least))
    return least
  }

  private mutating func cost(_ line: [UInt8]) -> Int64 {
    let begin = BenchmarkFigures.cpuNow()
    _ = line.withUnsafeBytes { try? evaluator.evaluate(line: $0) }
    return BenchmarkFigures.cpuNow() - begin
  }

  private static func line(_ text: HostileText, _ bytes: [UInt8]) -> [UInt8] {
    var out = Array("{\"event\":".utf8)
    switch text.form {
    case .event: out += bytes
    case .field(let field):
      let type = AgentEventType.allCases.first { type in type.contentFields.contains { FieldReference.known($0) == field } }
      out += Array((type.map { "{\"event_type\":\"\($0.rawValue)\",\"content\":" } ?? "{\"fields\":{\"\(field)\":").utf8)
      bytes.withUnsafeBytes { JSONWriter.appendQuoted($0, to: &out) }
      out += Array((type == nil ? "}}" : "}").utf8)
    }
    out.append(0x7d)
    return out
  }
}

extension RulesCommand.Bench {
  func printHostile(_ set: RuleSet, largest: Int) {
    var bench = HostileBench(set)
    var output = Output()
    var progress = Progress("searching each pattern's worst text")
    let found = bench.search { progress.update(UInt64($0), of: UInt64($1)) }
    progress.finish()
    output.line("\(found.count) texts made from the patterns, of 8 KiB: in times of harmless text, the dearest:")
    for row in found.prefix(10) {
      output.line("  \(times(row.multiple))  \(TerminalText.escaped(String(row.text.name.prefix(100)))), \(row.undecided.count) undecided")
    }
    output.flush()
    output.line("")
    output.line(columns([wide("text"), "size", "ms", "times", "limits"]))
    var worst: HostileBench.Row?
    for text in HostileBench.worst(found, set) {
      for bytes in [50_000, 1_000_000, 10_000_000] where bytes <= largest {
        let row = bench.measure(text, bytes: bytes)
        if row.multiple > worst?.multiple ?? 0 { worst = row }
        let size = bytes >= 1_000_000 ? "\(bytes / 1_000_000) MB" : "\(bytes / 1000) KB"
        let name = TerminalText.escaped(String(text.name.prefix(60)))
        let rules = row.undecided.prefix(3).joined(separator: " ") + (row.undecided.count > 3 ? " and \(row.undecided.count - 3) more" : "")
        output.line(columns([wide(name), size, decimal(Int(row.nanoseconds), 1_000_000), times(row.multiple), "\(row.undecided.count)  \(rules)"]))
        output.flush()
      }
    }
    output.line("")
    if let worst {
      output.line(
        "worst: \(times(worst.multiple)) the cost of harmless text of the same length: \(TerminalText.escaped(worst.text.name)), \(worst.bytes) bytes"
      )
    }
    output.flush()
  }
  private func times(_ thousandths: Int64) -> String { decimal(Int(thousandths), 1000) + "x" }
  private func wide(_ name: String) -> String { name + String(repeating: " ", count: max(1, 62 - name.count)) }
}
