// Documents and their places, one problem for each malformed document, and hostile streams.
import PanguardTestKit
import Primitives
import Testing
import TypedYAML

/// A document as one line: mappings in braces, lists in brackets, texts quoted unless plain, null as ~.
func outline(_ node: Node) -> String {
  switch node.content {
  case .scalar(let scalar): scalar.isNull ? "~" : scalar.isPlain ? scalar.text : "\"\(scalar.text)\""
  case .list(let items): "[" + items.map(outline).joined(separator: ",") + "]"
  case .mapping(let entries): "{" + entries.map { "\($0.key):\(outline($0.value))" }.joined(separator: ",") + "}"
  }
}

@Suite struct YAMLParserTests {
  static let documents: [(text: String, outline: [String])] = [
    ("", []),
    ("# only a comment\n", []),
    ("---\n---\n", []),
    ("a: 1\n", ["{a:1}"]),
    ("\u{feff}a: 1\n", ["{a:1}"]),
    ("\u{feff}a: 1\nb: 2\n", ["{a:1,b:2}"]),
    ("\u{feff}---\na: 1\nb: 2\n---\nc: 3\n", ["{a:1,b:2}", "{c:3}"]),
    ("\u{feff}%YAML 1.1\n---\na: 1\n", ["{a:1}"]),
    ("\u{feff}", []),
    ("a: 1\r\nb:\r\n  - x\r\n", ["{a:1,b:[x]}"]),
    // What YAML 1.1 readers turn into other types stays text.
    ("a: yes\nb: 1:30\nc: 2026-01-05\nd: 0o17\ne: 1e3\nf: .5\n", ["{a:yes,b:1:30,c:2026-01-05,d:0o17,e:1e3,f:.5}"]),
    ("a: ~\nb: null\nc:\nd: 'null'\n", ["{a:~,b:~,c:~,d:\"null\"}"]),
    ("{a: [1, \"x\\u0041\", 'it''s'], b: {}}\n", ["{a:[1,\"xA\",\"it's\"],b:{}}"]),
    ("a: |\n  x\n  y\nb: >\n  x\n  y\n", ["{a:\"x\ny\n\",b:\"x y\n\"}"]),
    ("a: 1\n---\nb: 2\n---\nc: 3\n", ["{a:1}", "{b:2}", "{c:3}"]),
    ("%YAML 1.1\n---\na: 1\n...\n%YAML 1.1\n---\nb: 2\n", ["{a:1}", "{b:2}"]),
    ("# c\n---\na: |\n  text\n  --- not a marker\n--- {b: 2}\n", ["{a:\"text\n--- not a marker\n\"}", "{b:2}"]),
    ("a: &x [1, 2]\nb: *x\n", ["{a:[1,2],b:[1,2]}"]),
    ("text\n", ["text"]),
    ("---more: 1\n", ["{---more:1}"]),
  ]

  @Test(arguments: documents) func documentsAreRead(_ text: String, _ expected: [String]) {
    let (documents, problems) = YAMLParser.parse(text, file: "f")
    #expect(problems.map(\.description) == [])
    #expect(documents.map { outline($0.root) } == expected)
  }

  static let malformed: [(text: String, problem: String)] = [
    ("a: 1\na: 2\n", "f:2:1: error: duplicate key 'a', first at line 1"),
    ("x: {b: 1, b: 2}\n", "f:1:11: error: duplicate key 'b', first at line 1"),
    (
      "a:\n\tb: 1\n",
      "f:2:1: error: while scanning for the next token at line 2: found character that cannot start any token; "
        + "indent with spaces: YAML does not take tabs"
    ),
    ("a: [1, 2\n", "f:2:1: error: while parsing a flow sequence at line 1: did not find expected ',' or ']'"),
    ("a: \"x\n", "f:2:1: error: while scanning a quoted scalar at line 1: found unexpected end of stream"),
    ("a: b: c\n", "f:1:5: error: mapping values are not allowed in this context"),
    ("a: *nowhere\n", "f:1:4: error: alias '*nowhere' has no anchor before it"),
    ("a: &x [*x]\n", "f:1:8: error: alias '*x' has no anchor before it"),
    ("a: &x {k: 1}\nb:\n  <<: *x\n", "f:3:3: error: merge keys ('<<') are not supported; repeat the keys"),
    ("? [a]\n: b\n", "f:1:3: error: a key must be a text, not a list"),
    ("a: &x [1]\n*x : 2\n", "f:2:1: error: a key must be a text"),
    ("a: x\u{0}y\n", "f:1:5: error: control characters are not allowed (U+0000)"),
    ("ä: x\u{1}y\n", "f:1:6: error: control characters are not allowed (U+0001)"),
    ("a: 1\n- b\n", "f:2:1: error: while parsing a block mapping at line 1: did not find expected key"),
  ]
  @Test(arguments: malformed) func oneProblemWithItsPlace(_ text: String, _ problem: String) {
    let (documents, problems) = YAMLParser.parse(text, file: "f")
    #expect(documents.isEmpty)
    #expect(problems.map(\.description) == [problem])
  }

  @Test func aMalformedDocumentLeavesItsNeighbours() {
    let (documents, problems) = YAMLParser.parse("a: 1\n---\nb: [\n---\nc: 3\n---\nd: \"open\n---\ne: 5\n", file: "f")
    #expect(documents.map { outline($0.root) } == ["{a:1}", "{c:3}", "{e:5}"])
    #expect(problems.map(\.location.line) == [4, 8])
    #expect(documents.map(\.root.location.line) == [1, 5, 9])
  }

  @Test func rangesAreTheDocumentsBytes() {
    let text = "a: 1\n---\nb: 2\n"
    let documents = YAMLParser.parse(text, file: "f").documents
    #expect(documents.map { String(decoding: Array(text.utf8)[$0.range], as: UTF8.self) } == ["a: 1\n", "---\nb: 2\n"])
  }

  /// Columns count bytes and lines count "\n", whatever libyaml takes for characters and line breaks.
  @Test func placesAreThoseOfAnEditor() throws {
    let text = "ä: {ö: é, z: 1}\nb: \"x\u{2028}y\"\r\n# \u{85}\u{2029}\nc: [x,\n  ü, y]\n"
    let root = try #require(YAMLParser.parse(text, file: "f").documents.first?.root)
    func place(_ node: Node?) -> String { node?.location.description ?? "nil" }
    #expect(place(root["ä"]?["z"]) == "f:1:17")
    #expect(place(root["b"]) == "f:2:4")
    #expect(place(root["c"]) == "f:4:4")
    #expect(root["c"]?.list?.map { place($0) } == ["f:4:5", "f:5:3", "f:5:7"])
  }

  @Test func bytesThatAreNotUTF8() {
    for (bytes, place) in [([0x61, 0x3a, 0x20, 0xff], "1:4"), ([0x0a, 0x0a, 0xc3], "3:1"), ([0xff, 0xfe, 0x61, 0x00], "1:1")] as [([UInt8], String)] {
      let (documents, problems) = bytes.withUnsafeBytes { YAMLParser.parse($0, file: "f") }
      #expect(documents.isEmpty)
      #expect(problems.count == 1)
      #expect(problems.first?.description.hasPrefix("f:\(place): error: byte is not valid UTF-8") == true)
    }
  }

  // MARK: Hostile streams

  @Test func aliasBombs() {
    var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for i in 1...12 { bomb += "a\(i): &a\(i) [\(Array(repeating: "*a\(i - 1)", count: 10).joined(separator: ", "))]\n" }
    let (documents, problems) = YAMLParser.parse(bomb, file: "f")
    #expect(documents.isEmpty)
    #expect(problems.map(\.message) == ["more than \(Limits.documentNodes) values in one file, aliases expanded"])
  }
  @Test func aliasesAddToTheDepth() {
    var text = "a0: &a0 [x]\n"
    for i in 1...100 { text += "a\(i): &a\(i) [*a\(i - 1)]\n" }
    #expect(YAMLParser.parse(text, file: "f").problems.map(\.message) == ["nested deeper than \(Limits.documentDepth) levels"])
  }
  @Test(arguments: ["[", "{a: ", "- ", "? ", "a:\n"]) func deepNesting(_ opener: String) {
    var text = ""
    var indent = 0
    while text.utf8.count < 400_000 {
      if opener == "a:\n" {
        text += String(repeating: " ", count: indent) + opener
        indent += 1
      } else {
        text += opener
      }
    }
    let (documents, problems) = YAMLParser.parse(text, file: "f")
    #expect(documents.isEmpty)
    #expect(problems.count == 1)
  }
  @Test func tooManyNodes() {
    let text = "[" + String(repeating: "a,", count: Limits.documentNodes + 1) + "]"
    #expect(YAMLParser.parse(text, file: "f").problems.map(\.message) == ["more than \(Limits.documentNodes) values in one file, aliases expanded"])
  }
  @Test func nodesCountOverAllDocuments() {
    let text = String(repeating: "--- [\(String(repeating: "a,", count: 999))a]\n", count: 200)
    let (documents, problems) = YAMLParser.parse(text, file: "f")
    #expect(documents.count == Limits.documentNodes / 1001)
    #expect(problems.count == Limits.diagnosticsPerFile)
  }
  @Test func sizeAndLongTexts() {
    let long = "a: " + String(repeating: "x", count: Limits.documentBytes - 4) + "\n"
    #expect(YAMLParser.parse(long, file: "f").documents.first?.root["a"]?.text?.utf8.count == Limits.documentBytes - 4)
    let problems = YAMLParser.parse(long + "#", file: "f").problems
    #expect(
      problems.map(\.description) == ["f: error: the file has \(Limits.documentBytes + 1) bytes, more than the \(Limits.documentBytes) that are read"]
    )
  }
  /// A million bytes of places on one line: the walk must not start over for each of them.
  @Test func manyPlacesOnOneLine() throws {
    let text = "[" + String(repeating: "ä, ", count: 90_000) + "x]"
    let items = try #require(YAMLParser.parse(text, file: "f").documents.first?.root.list)
    #expect(items.last?.location.column == 1 + 4 * 90_000 + 1)
  }

  @Test func mutations() {
    let seed = Array(
      """
      %YAML 1.1
      ---
      id: &x ATR-2026-00001
      list: [a, 'b', "c\\u0041", *x, {k: v}]
      text: |
        one
        two
      folded: >-
        x
      ? key
      : value
      ...
      ---
      - !!str tagged
      - ~
      """.utf8)
    var random = SplitMix64(seed: 1)
    for _ in 0..<4000 {
      var bytes = seed
      for _ in 0..<(1 + random.below(4)) {
        switch random.below(4) {
        case 0: bytes[random.below(bytes.count)] = UInt8(random.below(256))
        case 1: bytes.insert(Array("\n\t -:[]{}*&!|>'\"%#?,\0\u{7f}\u{85}".utf8)[random.below(24)], at: random.below(bytes.count))
        case 2: bytes.remove(at: random.below(bytes.count))
        default:
          let from = random.below(bytes.count)
          bytes.insert(contentsOf: bytes[from..<min(bytes.count, from + random.below(20))], at: random.below(bytes.count))
        }
      }
      let (documents, problems) = bytes.withUnsafeBytes { YAMLParser.parse($0, file: "f") }
      #expect(problems.count <= Limits.diagnosticsPerFile)
      for problem in problems { #expect(problem.location.line >= 0 && problem.location.line <= bytes.count + 2) }
      for document in documents { _ = outline(document.root) }
    }
  }
}
