// Where the stream of a test case lies: beside its rule, or, as spec/atr-correlation-v1.0.md has it, in tests/correlation-streams/<rule-id>/
// of the tree that the rule is in.
// What must stay true: a rule names no other file of the host. The loader refuses "..", and every other place is one of that name.
import Glibc
import Primitives
import RuleLanguage

enum StreamFile {
  /// The file that is read for `path` (beside the rule: the loader has resolved it). Where neither is there it is that one, so that
  /// reading says what is missing.
  static func path(_ path: String, of rule: Rule) -> String {
    var info = stat()
    guard stat(path, &info) != 0 else { return path }
    let folder = "tests/correlation-streams/\(rule.id)/"
    var directory = self.directory(of: rule.location.file)
    guard path.utf8.starts(with: directory.utf8), !rule.id.hasPrefix(".") else { return path }
    var name = String(decoding: path.utf8.dropFirst(directory.utf8.count), as: UTF8.self)
    if name.utf8.starts(with: folder.utf8) { name = String(decoding: name.utf8.dropFirst(folder.utf8.count), as: UTF8.self) }
    for _ in 0..<Limits.ruleDirectoryDepth {
      let candidate = "\(directory)\(folder)\(name)"
      if stat(candidate, &info) == 0, info.st_mode & S_IFMT == S_IFREG { return candidate }
      guard !directory.isEmpty, directory != "/" else { break }
      directory = self.directory(of: String(directory.dropLast()))
    }
    return path
  }
  /// With its "/"; "" is the working directory.
  private static func directory(of path: String) -> String { path.utf8.lastIndex(of: 0x2f).map { String(path[...$0]) } ?? "" }
}
