// What is emitted reads back as what it was: awkward texts, every style, generated trees, and JSON on its way to YAML.
import PanguardTestKit
import Primitives
import Testing
import TypedYAML

@Suite struct YAMLEmitterTests {
  private func back(_ node: Node) -> Node? {
    guard let bytes = YAMLEmitter.emit(node) else { return nil }
    return bytes.withUnsafeBytes { YAMLParser.parse($0, file: "t").documents.first?.root }
  }

  static let awkward = [
    "", " ", "a", "true", "Yes", "null", "~", "12", "0x1F", "1e3", "2026-01-05", "- x", "a: b", "a #b", "#", "'", "\"", "it's", "\\d+\\s*", "*", "&a",
    "!t",
    "%d", "@x", "`x`", "{a}", "[a]", "a\nb", "a\n", "\n", "\n\na", "a\n\n", " a\n b", "a \nb", "\ta", "a\t", "a\tb", "\r", "a\r\nb", "\u{85}",
    "\u{2028}",
    "\u{feff}x", "\u{0}", "\u{7}", "é", "日本語", "\u{1f600}", "\u{200b}", "---", "...", "--- a", "? a", ": a", "<<", "=", "|", ">", "a\u{a0}b",
    String(repeating: "x", count: 5000), String(repeating: "word ", count: 1000),
  ]

  @Test(arguments: awkward) func everyTextComesBack(_ text: String) {
    let node = Node.mapping([
      ("key", .text(text)), ("list", .texts([text, "x"])), ("inner", .mapping([("k", .list([.mapping([("v", .text(text))])]))])),
    ])
    guard let back = back(node) else {
      Issue.record("not emitted")
      return
    }
    #expect(back.saysTheSame(as: node))
    if !text.isEmpty { #expect(back["key"]?.text == text) }
  }

  @Test(arguments: awkward) func everyKeyComesBack(_ text: String) {
    // An empty key, and one that YAML merges by, are no keys of a document here.
    guard !text.isEmpty else { return }
    let node = Node.mapping([(text, .text("v"))])
    let back = back(node)
    #expect(back == nil || back!.saysTheSame(as: node))
  }

  @Test func textsThatLookLikeValuesAreQuoted() throws {
    let bytes = try #require(
      YAMLEmitter.emit(.mapping([("a", .text("true")), ("b", .plain("true")), ("c", .text("12")), ("d", .plain("null")), ("e", .text("null"))])))
    #expect(String(decoding: bytes, as: UTF8.self) == "a: 'true'\nb: true\nc: '12'\nd: null\ne: 'null'\n")
  }

  @Test func generatedTreesComeBack() {
    var random = SplitMix64(seed: 7)
    for _ in 0..<500 {
      let node = Node.mapping([("root", random.tree(depth: 4))])
      let back = back(node)
      #expect(back?.saysTheSame(as: node) == true)
    }
  }

  @Test func theSameTreeGivesTheSameBytes() {
    let node = Node.mapping([("b", .text("x")), ("a", .texts(["1", "x"]))])
    #expect(YAMLEmitter.emit(node) == YAMLEmitter.emit(node))
    #expect(YAMLEmitter.emit(node).map { String(decoding: $0, as: UTF8.self) } == "b: x\na: ['1', x]\n")
  }
}

@Suite struct JSONTreeTests {
  private func parse(_ text: String, limit: Int = 1000) -> Result<Node, DocumentFileError> {
    Array(text.utf8).withUnsafeBytes { JSONTree.parse($0, file: "f.json", limit: limit) }
  }

  @Test func valuesKeepWhatTheyAre() throws {
    let node = try parse(#"{"s": "true", "t": true, "n": 1.5, "z": null, "l": [1, "1"]}"#).get()
    #expect(node["s"]?.text == "true")
    #expect(node["z"]?.isNull == true)
    let yaml = try #require(YAMLEmitter.emit(node))
    #expect(String(decoding: yaml, as: UTF8.self) == "s: 'true'\nt: true\n'n': 1.5\nz: null\nl: [1, '1']\n")
  }

  @Test func placesAreLinesAndColumns() throws {
    let node = try parse("{\n \"a\": [\n  1,\n  {\"b\": 2}]}").get()
    #expect(node["a"]?.list?[1].location == SourceLocation(file: "f.json", line: 4, column: 3))
  }

  @Test(arguments: [
    ("", "f.json:1:1"), ("{", "f.json:1"), ("{\n\"a\":1,\n\"a\":2}", "f.json:2"), ("[1,2,]", "f.json:1"),
    (String(repeating: "[", count: 5000), "f.json:1"),
    ("{\"a\":\"\\", "f.json:1"), ("nul", "f.json:1"),
  ]) func badTextIsRefusedWithItsPlace(_ text: String, _ place: String) {
    guard case .failure(let error) = parse(text) else {
      Issue.record("accepted")
      return
    }
    #expect("\(error.diagnostic.location)".hasPrefix(place.prefix(8)))
    #expect(error.diagnostic.severity == .error)
  }

  @Test func valuesAreCounted() {
    guard case .failure(let error) = parse("[" + String(repeating: "1,", count: 100) + "1]", limit: 50) else {
      Issue.record("accepted")
      return
    }
    #expect(error.diagnostic.message.contains("more than 50 values"))
  }
}

extension SplitMix64 {
  mutating func text() -> String {
    let pool: [Unicode.Scalar] = [
      "a", "Z", "0", " ", "\n", ":", "#", "-", "'", "\"", "\\", "{", "[", "|", ">", "%", "é", "\u{2028}", "\t", "\u{1}", "😀", "*",
    ]
    var out = ""
    for _ in 0..<below(12) { out.unicodeScalars.append(pool[below(pool.count)]) }
    return out
  }
  mutating func tree(depth: Int) -> Node {
    switch depth == 0 ? 0 : below(4) {
    case 1: return .list((0..<below(5)).map { _ in tree(depth: depth - 1) })
    case 2, 3: return .mapping((0..<below(5)).map { ("k\($0)" + text().filter { $0 != "\n" }, tree(depth: depth - 1)) })
    default: return below(5) == 0 ? .plain(["true", "12", "null", "1.5"][below(4)]) : .text(text())
    }
  }
}
