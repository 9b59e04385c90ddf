import Detection
import Events
import Export
import PanguardTestKit
import Primitives
import Testing

/// What a terminal or a pager must never get from data.
private func dangerous(_ text: String) -> [Unicode.Scalar] {
  text.unicodeScalars.filter {
    switch $0.value {
    case 0..<0x20, 0x7f..<0xa0, 0xad, 0x61c, 0x180e, 0x200b...0x200f, 0x2028...0x202e, 0x2060...0x206f, 0xfeff, 0xfff9...0xfffb, 0xe0000...0xe0fff:
      true
    default: false
    }
  }
}
/// Without the sequences that we write ourselves.
private func withoutColours(_ text: String) -> String {
  var out = text
  for code in ["0", "1", "2", "31", "33", "36", "1;31"] { out = out.split(separator: "\u{1b}[\(code)m", omittingEmptySubsequences: false).joined() }
  return out
}

@Suite struct TerminalTextTests {
  @Test(arguments: [
    ("plain text, with /\\.env/ and \"quotes\"", "plain text, with /\\.env/ and \"quotes\""),
    ("\u{1b}[2J", "\\x1b[2J"), ("a\nb\r\tc", "a\\x0ab\\x0d\\x09c"), ("\u{0}", "\\x00"), ("\u{7f}\u{9b}", "\\x7f\\x9b"), ("\u{ad}", "\\xad"),
    ("\u{202e}abc\u{2066}", "\\u{202e}abc\\u{2066}"), ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"), ("\u{2028}", "\\u{2028}"),
    ("\u{e0041}", "\\u{e0041}"), ("\u{a0}", "\\xa0"), ("\u{3164}", "\\u{3164}"), ("\u{e000}\u{10ffff}", "\\u{e000}\\u{10ffff}"),
    ("é漢字😀Ж", "é漢字😀Ж"), ("e\u{301}", "e\u{301}"), ("e\u{301}\u{301}\u{301}\u{301}", "e\u{301}\u{301}\u{301}\\u{301}"),
  ])
  func escapes(_ raw: String, _ shown: String) {
    #expect(Array(TerminalText.escaped(raw).utf8) == Array(shown.utf8))
  }

  @Test func nothingDangerousIsLeftOfAnyScalar() {
    for value in UInt32(0)...0x10ffff {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let shown = TerminalText.escaped(String(scalar))
      if !dangerous(shown).isEmpty || shown.isEmpty { Issue.record("U+\(String(value, radix: 16))") }
    }
  }

  @Test(arguments: [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("漢字", 3, "漢…"), ("漢字", 4, "漢字"), ("", 1, ""), ("abc", 1, "…"), ("abc", 0, "abc")])
  func cuts(_ text: String, _ width: Int, _ result: String) {
    #expect(TerminalText.cut(text, to: width) == result)
    if width > 0 { #expect(TerminalText.columns(result) <= width) }
  }

  @Test(arguments: [true, false])
  func noFormLetsAnAttackerReachTheTerminal(_ color: Bool) {
    let lines = Sample.hostile.evidence.map { ($0, Optional(Sample.nasty)) }
    let forms = [
      (DecisionText.line(Sample.hostile, color: color, width: 0), 0), (DecisionText.line(Sample.hostile, color: color, width: 100), 0),
      (DecisionTable.render([Sample.hostile], width: 0, color: color), 2),
      (DecisionTable.render([Sample.hostile], width: 100, color: color), 2),
    ]
    for (form, newlines) in forms {
      let text = withoutColours(form)
      #expect(dangerous(text).filter { $0 != "\n" } == [])
      #expect(text.utf8.reduce(0) { $0 + ($1 == 0x0a ? 1 : 0) } == newlines)
    }
    let page = withoutColours(
      DecisionPage.render(
        Sample.hostile, rule: Sample.rule(.skipped(method: Sample.nasty, reason: Sample.nasty), falsePositives: [Sample.nasty]), lines: lines,
        color: color))
    #expect(dangerous(page).filter { $0 != "\n" } == [])
    #expect(!page.split(separator: "\n").contains { $0.hasPrefix("2026-01-05T00:00:00Z INFO all is well") })
  }

  @Test func linesFitTheirWidth() {
    var random = SplitMix64(seed: 3)
    for _ in 0..<300 {
      let decision = random.decision()
      for width in [1, 2, 20, 21, 30, 45, 80, 132] {
        #expect(TerminalText.columns(DecisionText.line(decision, color: false, width: width)) <= width)
        for line in DecisionTable.render([decision, Sample.network], width: width, color: false).split(separator: "\n") {
          #expect(TerminalText.columns(String(line)) <= width)
        }
      }
    }
  }
}

@Suite struct DecisionTextTests {
  @Test func golden() {
    let lines = [(false, 0), (false, 100), (true, 0), (true, 60)].flatMap { color, width in
      Sample.all.map { DecisionText.line($0, color: color, width: width) }
    }
    GoldenFile.check(lines.joined(separator: "\n") + "\n", "lines.txt")
  }
  @Test func goldenTable() {
    let tables = [(0, false), (120, false), (60, false), (120, true)].map { DecisionTable.render(Sample.all, width: $0, color: $1) }
    GoldenFile.check(tables.joined(separator: "\n"), "table.txt")
    #expect(DecisionTable.render([], width: 80, color: true) == "")
  }
}

@Suite struct DecisionPageTests {
  static let lines = zip(Sample.bruteForce.evidence, [Sample.lines[0], nil]).map { ($0, $1) }

  @Test func golden() {
    GoldenFile.check(DecisionPage.render(Sample.bruteForce, rule: Sample.bruteForceRule, lines: Self.lines, color: false), "page.txt")
    GoldenFile.check(DecisionPage.render(Sample.bruteForce, rule: Sample.bruteForceRule, lines: Self.lines, color: true), "page-color.txt")
  }
  @Test func goldenWithoutItsRule() {
    GoldenFile.check(
      DecisionPage.render(Sample.network, rule: nil, lines: Sample.network.evidence.map { ($0, nil) }, color: false), "page-without-rule.txt")
  }
  /// Packets have no file to look into, and other reasons to be believed or not.
  @Test(arguments: [(Trust.attested, "both ends opened these connections"), (.claimed, "no answer has confirmed the address")])
  func packetsAreNoLines(_ trust: Trust, _ reason: String) {
    var decision = Sample.network
    decision.trust = trust
    decision.evidence = decision.evidence.map {
      EvidenceRecord(source: "network:eth0", offset: 4711, length: $0.length, time: $0.time, fingerprint: $0.fingerprint)
    }
    let page = DecisionPage.render(decision, rule: nil, lines: decision.evidence.map { ($0, nil) }, color: false)
    #expect(page.contains("network:eth0 frame 4711") && page.contains("packets are not kept") && page.contains(reason), "\(page)")
    #expect(!page.contains("rotated away") && !page.contains("local user") && !page.contains("replay network"), "\(page)")
  }
  @Test func goldenOfHostileTexts() {
    let rule = Sample.rule(
      .pattern(
        conditions: [Sample.filter("a", .urlPath, Sample.nasty), Sample.filter("b", .urlPath, "x")],
        expression: .any([.condition(0), .not(.condition(1)), .condition(7)])), falsePositives: [Sample.nasty])
    GoldenFile.check(
      DecisionPage.render(Sample.hostile, rule: rule, lines: Sample.hostile.evidence.map { ($0, Sample.nasty) }, color: false), "page-hostile.txt")
  }
}
