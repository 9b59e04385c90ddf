// Names of files as hostile directories have them: what cannot be opened is said, and no name starts a line of a message.
import Glibc
import Primitives
import RuleLanguage
import Testing

@Suite struct FileNameTests {
  @Test func namesThatAreNotUTF8AreRefusedByName() throws {
    var template = Array("/tmp/panguard-names-XXXXXX".utf8CString)
    let path = String(cString: try #require(mkdtemp(&template)))
    let names: [[UInt8]] = [
      [0xff, 0xfe] + Array(".yaml".utf8), Array("caf".utf8) + [0xe9] + Array(".yml".utf8), [0xff] + Array(".txt".utf8), Array("good.yaml".utf8),
      Array(".hidden".utf8) + [0xff] + Array(".yaml".utf8), [0xfe] + Array(".YAML".utf8),
    ]
    func cPath(_ name: [UInt8]) -> [CChar] { (Array("\(path)/".utf8) + name + [0]).map { CChar(bitPattern: $0) } }
    let folder = cPath([0xfe])
    let text = Array(hostRule(id: "ATR-2026-90001", detection: DiagnosticsTests.condition).utf8)
    for name in names {
      let file = try #require(fopen(cPath(name), "w"))
      fwrite(text, 1, text.count, file)
      fclose(file)
    }
    #expect(mkdir(folder, 0o755) == 0)
    defer {
      for name in names { unlink(cPath(name)) }
      rmdir(folder)
      rmdir(path)
    }
    let set = RuleLoader.load(paths: [path])
    #expect(set.rules.count == 1)
    #expect(set.refusedCount == 4)
    let errors = set.diagnostics.filter { $0.severity == .error }
    #expect(errors.map(\.location.file) == ["caf\u{fffd}.yml", "\u{fffd}", "\u{fffd}.YAML", "\u{fffd}\u{fffd}.yaml"].map { "\(path)/\($0)" })
    #expect(errors.allSatisfy { $0.message.contains("not UTF-8") })
  }

  @Test(arguments: [
    ("a.yaml", "a.yaml:2:3"), ("a\nb: error: x.yaml", #"a\x0ab: error: x.yaml:2:3"#), ("\u{1b}[31m.yaml", #"\x1b[31m.yaml:2:3"#),
    ("\u{7f}\u{9b}.yaml", #"\x7f\x9b.yaml:2:3"#), ("a\u{202e}lmay.exe", #"a\u{202e}lmay.exe:2:3"#), ("a\u{2028}b", #"a\u{2028}b:2:3"#),
    ("caf\u{e9} \\x.yaml", "caf\u{e9} \\x.yaml:2:3"),
  ]) func aPlaceIsOneLine(_ file: String, _ shown: String) {
    #expect("\(SourceLocation(file: file, line: 2, column: 3))" == shown)
    #expect(SourceLocation(file: file).file == file)
    #expect(!"\(Diagnostic(.error, SourceLocation(file: file), "m"))".unicodeScalars.contains { $0.value < 0x20 })
  }
}
