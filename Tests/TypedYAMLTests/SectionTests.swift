// Typed accessors: what each takes, and what it says when it does not.
import Primitives
import Testing
import TypedYAML

@Suite struct SectionTests {
  private enum Colour: String, CaseIterable { case red, green, blue }

  /// Runs `body` on the mapping `text` and gives its result and the problems.
  private func read<Value>(_ text: String, _ body: (Section) -> Value) -> (value: Value?, problems: [String]) {
    let problems = Problems()
    guard let root = YAMLParser.parse(text, file: "f").documents.first?.root, let section = Section(root, problems: problems) else {
      return (nil, problems.diagnostics.map(\.description))
    }
    let value = body(section)
    return (value, problems.finished(file: "f").map(\.description))
  }

  @Test func texts() {
    #expect(read("a: 12") { $0.text("a") }.value == "12")
    #expect(read("a: [x]") { $0.text("a") }.problems == ["f:1:4: error: 'a' must be a text, not a list"])
    #expect(read("a: {}") { $0.text("a") }.problems == ["f:1:4: error: 'a' must be a text, not a mapping"])
    #expect(read("a:") { $0.text("a", isRequired: true) }.problems == ["f:1:1: error: 'a' has no value"])
    #expect(read("b: 1") { $0.text("a", isRequired: true) }.problems == ["f:1:1: error: 'a' is missing"])
    #expect(read("a:") { $0.text("a") }.problems == [])
    #expect(read("a: x") { $0.texts("a") }.value == ["x"])
    #expect(read("a: [x, y]") { $0.texts("a") }.value == ["x", "y"])
    #expect(
      read("a: [x, [y], ~]") { $0.texts("a") }.problems == [
        "f:1:8: error: 'a[2]' must be a text, not a list", "f:1:13: error: 'a[3]' must be a text, not no value",
      ])
  }

  @Test(
    arguments: [
      ("0", 0, 0), ("12", 0, 12), ("-3", 0, -3), ("+4", 0, 4), ("9223372036854775807", 0, .max), ("0.9", 3, 900), ("0.95", 3, 950),
      ("1.000000", 3, 1000), ("7", 3, 7000), ("-0.5", 1, -5),
    ] as [(String, Int, Int64)]) func numbers(_ text: String, _ digits: Int, _ value: Int64)
  {
    #expect(fixedPoint(text, digits: digits) == value)
    #expect(read("a: \(text)") { $0.decimal("a", digits: digits, in: .min...(.max)) }.value == value)
  }
  @Test(arguments: [
    ("", 0), ("-", 0), ("1.", 1), (".5", 1), ("1.5", 0), ("1e3", 0), ("0x10", 0), ("1_000", 0), ("9223372036854775808", 0), ("0.0001", 3),
    ("1 2", 0), ("٣", 0), ("9223372036854775807", 1), ("--1", 0), ("1.2.3", 3), ("inf", 3), ("nan", 3),
  ]) func notNumbers(_ text: String, _ digits: Int) { #expect(fixedPoint(text, digits: digits) == nil) }

  @Test func ranges() {
    #expect(read("a: 5") { $0.integer("a", in: 1...4) }.problems == ["f:1:4: error: 'a' is 5, but must be between 1 and 4"])
    #expect(read("a: -1") { $0.integer("a", in: 0...(.max)) }.problems == ["f:1:4: error: 'a' is -1, but must be at least 0"])
    #expect(read("a: 1.5") { $0.decimal("a", digits: 3, in: 0...1000) }.problems == ["f:1:4: error: 'a' is 1.5, but must be between 0 and 1"])
    #expect(read("a: x") { $0.integer("a", in: 0...1) }.problems == ["f:1:4: error: 'a' must be an integer, not 'x'"])
    #expect(fixedPointText(-950, digits: 3) == "-0.95")
    #expect(fixedPointText(.min, digits: 3) == "-9223372036854775.808")
  }

  @Test(arguments: [("true", true), ("false", false), ("True", true), ("FALSE", false), ("yes", nil), ("on", nil), ("1", nil), ("", nil)])
  func flags(_ text: String, _ value: Bool?) {
    let result = read("a: \(text)\nb: 1") { $0.flag("a", isRequired: true) }
    #expect(result.value == value)
    #expect(result.problems.isEmpty == (value != nil))
  }

  @Test func choices() {
    #expect(read("a: green") { $0.choice("a", Colour.self) }.value == .green)
    #expect(
      read("a: gren") { $0.choice("a", Colour.self) }.problems == [
        "f:1:4: error: 'a' is 'gren', but must be one of red, green, blue; did you mean 'green'?"
      ])
    #expect(read("a: purple") { $0.choice("a", Colour.self) }.problems == ["f:1:4: error: 'a' is 'purple', but must be one of red, green, blue"])
    #expect(read("a: gren") { $0.word("a", of: ["green"], as: .warning) }.value == "gren")
  }

  @Test func sizesAndTimes() {
    for (text, value) in [("65536", 65_536), ("64KiB", 65_536), ("4MiB", 4 << 20), ("1GiB", 1 << 30), ("0", 0)] as [(String, Int64)] {
      #expect(read("a: \(text)") { $0.byteCount("a", in: 0...(1 << 40)) }.value == value)
    }
    #expect(read("a: 5m") { $0.duration("a") }.value == .minutes(5))
    #expect(read("a: 5 minutes") { $0.duration("a") }.problems.count == 1)
    #expect(read("a: 0s") { $0.duration("a") }.problems.count == 1)
  }

  @Test func unknownKeys() {
    let text = "windw: 1\n_own: 2\nx-own: 3\nwindow: 4\n"
    #expect(
      read(text) { $0.refuseUnknownKeys(["window", "threshold"], as: .warning) }.problems == [
        "f:1:1: warning: unknown key 'windw'; did you mean 'window'?"
      ])
    #expect(read(text) { $0.refuseUnknownKeys(["window", "threshold"]) }.problems.count == 3)
  }

  /// A file that is wrong everywhere costs a bounded number of problems, and says how many more there are.
  @Test func problemsAreBounded() {
    let text = (0..<20_000).map { "k\($0): 1\n" }.joined()
    let problems = read(text) { $0.refuseUnknownKeys(["alpha", "beta"]) }.problems
    #expect(problems.count == Limits.diagnosticsPerFile + 1)
    #expect(problems.last == "f: error: \(20_000 - Limits.diagnosticsPerFile) more problems are not shown")
  }

  @Test func warningsDoNotHideErrors() {
    let text = (0..<500).map { "k\($0): 1\n" }.joined() + "a: [x]\n"
    let problems = read(text) { section -> String? in
      section.refuseUnknownKeys(["a"], as: .warning)
      return section.text("a")
    }.problems
    #expect(problems.contains("f:501:4: error: 'a' must be a text, not a list"))
  }

  @Test func controlCharactersDoNotReachTheTerminal() {
    #expect(shown("a\u{1b}[31m\u{7f}\u{9b}") == "a\u{fffd}[31m\u{fffd}\u{fffd}")
    #expect(shown(String(repeating: "x", count: 500)).unicodeScalars.count == 61)
  }
}
