// Paths are cut where the kernel cuts them, whatever Unicode makes of the bytes.
import Primitives
import Testing

@Suite struct FilePathTests {
  @Test(arguments: [
    ("a/b", "a/b", "a", "b", ["a", "b"]), ("a", "a", ".", "a", ["a"]), ("/a", "/a", "/", "a", ["a"]), ("/", "/", "/", "", []), ("", "", ".", "", []),
    ("a/b/", "a/b", "a/b", "", ["a", "b"]), ("a//", "a", "a/", "", ["a"]), ("///", "/", "//", "", []),
    ("s/\u{301}x", "s/\u{301}x", "s", "\u{301}x", ["s", "\u{301}x"]), ("s/\u{301}/", "s/\u{301}", "s/\u{301}", "", ["s", "\u{301}"]),
  ])
  func cutting(_ path: String, _ trimmed: String, _ directory: String, _ last: String, _ parts: [String]) {
    #expect(path.withoutTrailingSlashes.utf8.elementsEqual(trimmed.utf8))
    #expect(path.directoryPath.utf8.elementsEqual(directory.utf8))
    #expect(path.lastPathPart.utf8.elementsEqual(last.utf8))
    #expect(path.pathParts == parts)
  }

  @Test func belowADirectory() {
    #expect("a/b/c".path(below: "a") == "b/c")
    #expect("a/b/c".path(below: "a/") == "b/c")
    #expect("/b".path(below: "/") == "b")
    #expect("ab/c".path(below: "a") == nil)
    #expect("a".path(below: "a") == nil)
    #expect("a/\u{301}b".path(below: "a").map { Array($0.utf8) } == Array("\u{301}b".utf8))
    #expect("K/x".path(below: "\u{212a}") == nil)
    #expect("/".pathAppending("x") == "/x" && "a".pathAppending("x") == "a/x" && "a/".pathAppending("x") == "a/x")
  }

  @Test func suffixes() {
    for name in ["a.yaml", ".YAML", "x.YaMl", "\u{301}.yaml"] { #expect(name.hasPathSuffix(".yaml"), "\(name)") }
    for name in ["", "yaml", "a.yaml\u{301}", "a\u{0e}yaml", "a.yml"] { #expect(!name.hasPathSuffix(".yaml"), "\(name)") }
  }
}
