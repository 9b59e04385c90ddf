// What `panguard rules test` prints: each failure, what was not run and why, a table by category, and the total.
import AgentRuntime
import Export
import RuleLanguage

enum RuleTestView {
  private struct Row {
    var rules: Set<Int> = []
    var cases = 0
    var passed = 0
    var failed = 0
    var evasions = 0
    var skipped = 0
    var referencePassed = 0

    /// `reference` must hold an answer for the case to count as passed there.
    mutating func count(_ result: RuleTestReport.Result, _ reference: RuleTestReference?) {
      rules.insert(result.rule)
      cases += 1
      switch result.outcome {
      case .passed: passed += 1
      case .failed: failed += 1
      case .documentedEvasion, .caughtEvasion: evasions += 1
      case .skipped: skipped += 1
      }
      // Where an evasion gets through by the rule's own word, there is nothing to pass.
      let isDecided = result.group != .evasion || result.expectsMatch
      if isDecided, reference?.passes(result) == true { referencePassed += 1 }
    }
    /// Cases that an engine can pass: not the evasions that the rule says get through.
    func cells(_ name: String, hasReference: Bool) -> [String] {
      let decided = cases - evasions
      return [name, "\(rules.count)", "\(cases)", "\(passed)", "\(failed)", "\(skipped)", "\(evasions)", RuleTestView.rate(passed, of: decided)]
        + (hasReference ? ["\(referencePassed)", RuleTestView.rate(referencePassed, of: decided)] : [])
    }
  }

  /// Percent with one decimal, rounded down, so that 100.0 means all.
  static func rate(_ part: Int, of whole: Int) -> String {
    guard whole > 0 else { return "-" }
    return "\(part * 1000 / whole / 10).\(part * 1000 / whole % 10)%"
  }

  static func lines(_ report: RuleTestReport, reference: RuleTestReference?) -> [String] {
    var out = failures(report, reference: reference)
    for result in report.results where result.outcome == .caughtEvasion {
      out.append("\(result.location): caught \(result.ruleID) \(result.path): documented as an evasion, but the rule fires")
    }
    for skipped in report.skippedRules {
      out.append("skipped \(skipped.id): \(TerminalText.escaped(skipped.reason)) (\(skipped.cases) cases not run)")
    }
    for id in report.untestedRules { out.append("no cases: \(id)") }
    if !report.results.isEmpty { out += [""] + table(report, reference) + [""] }
    out.append(
      "\(report.testedRules) rules, \(report.casesRun) cases run: \(report.passed) passed, \(report.failures.count) failed\(evasions(report))")
    if let reference { out.append(comparison(report, reference)) }
    return out
  }
  /// One line for each case that failed, with its place among the rule's cases.
  static func failures(_ report: RuleTestReport, reference: RuleTestReference?) -> [String] {
    var out: [String] = []
    for result in report.results {
      guard case .failed(let reason) = result.outcome else { continue }
      let description = result.description.isEmpty ? "" : " (\(TerminalText.escaped(result.description)))"
      let answer = reference.map { "; the reference \(word($0.fired(result)))" } ?? ""
      out.append("\(result.location): FAIL \(result.ruleID) \(result.path): \(TerminalText.escaped(reason))\(answer)\(description)")
    }
    return out
  }
  /// ", 7 evasions (5 get through as documented, 2 caught)": what is neither passed nor failed; empty where there is none.
  static func evasions(_ report: RuleTestReport) -> String {
    let (documented, caught) = (report.documentedEvasions, report.caughtEvasions)
    guard documented + caught > 0 else { return "" }
    let parts = (documented > 0 ? ["\(documented) get through as documented"] : []) + (caught > 0 ? ["\(caught) caught"] : [])
    return ", \(documented + caught) evasions (\(parts.joined(separator: ", ")))"
  }
  private static func word(_ fired: Bool?) -> String {
    switch fired {
    case true?: "fires"
    case false?: "does not fire"
    case nil: "has no answer"
    }
  }

  private static func table(_ report: RuleTestReport, _ reference: RuleTestReference?) -> [String] {
    var rows: [String: Row] = [:]
    var total = Row()
    for result in report.results {
      rows[result.category, default: Row()].count(result, reference)
      total.count(result, reference)
    }
    var cells = [
      ["CATEGORY", "RULES", "CASES", "PASSED", "FAILED", "SKIPPED", "EVASIONS", "RATE"] + (reference == nil ? [] : ["REFERENCE", "RATE"])
    ]
    for name in rows.keys.sorted() { cells.append(rows[name]!.cells(TerminalText.escaped(name), hasReference: reference != nil)) }
    if rows.count > 1 { cells.append(total.cells("all", hasReference: reference != nil)) }
    return aligned(cells)
  }

  /// The first column to the left, numbers to the right.
  static func aligned(_ rows: [[String]]) -> [String] {
    var widths: [Int] = []
    for row in rows {
      for (i, cell) in row.enumerated() {
        if i < widths.count { widths[i] = max(widths[i], TerminalText.columns(cell)) } else { widths.append(TerminalText.columns(cell)) }
      }
    }
    return rows.map { row in
      row.enumerated().map { i, cell in
        let space = String(repeating: " ", count: widths[i] - TerminalText.columns(cell))
        return i == 0 ? cell + space : space + cell
      }.joined(separator: "  ")
    }
  }

  private static func comparison(_ report: RuleTestReport, _ reference: RuleTestReference) -> String {
    let decided = report.results.filter { $0.group != .evasion || $0.expectsMatch }
    let theirs = decided.filter(reference.passes)
    let lost = theirs.filter { $0.outcome != .passed }.count
    let won = decided.filter { $0.outcome == .passed && !reference.passes($0) }.count
    return "reference: \(theirs.count) of \(decided.count) pass; we pass \(won) that it does not, it passes \(lost) that we do not"
  }
}
