// Which rule files changed since the last look, for `rules test --watch`. It looks at names, sizes, times and inodes instead of asking the
// kernel to tell: editors replace files in many ways, and a few hundred stat calls in a third of a second cost nothing.
// What must stay true: a change is never missed for good, whatever happens between two looks; the order of files decides nothing.
import Glibc
import Primitives
import RuleLanguage

public struct RuleFileWatch {
  private struct Mark: Equatable {
    var inode: UInt64
    var size: Int64
    var seconds: Int
    var nanoseconds: Int
  }
  private let paths: [String]
  private var marks: [String: Mark] = [:]  // looked up and compared; what comes out is sorted

  /// - Parameter paths: files and directories, as the loader takes them.
  public init(paths: [String]) { self.paths = paths }

  /// Files that came, went or changed since the last call, sorted; at the first call all of them. `beside`: further files (fixture
  /// streams) that are watched in the same way.
  public mutating func changes(beside others: [String] = []) -> [String] {
    var now: [String: Mark] = [:]
    for file in RuleLoader.ruleFiles(below: paths).files + others {
      var info = stat()
      guard stat(file, &info) == 0 else { continue }
      now[file] = Mark(inode: UInt64(info.st_ino), size: Int64(info.st_size), seconds: info.st_mtim.tv_sec, nanoseconds: info.st_mtim.tv_nsec)
    }
    defer { marks = now }
    let names = Set(now.keys).union(marks.keys)
    return names.filter { now[$0] != marks[$0] }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Rules to test again: those of the changed files or with a stream among them, and the correlations that stand on these.
  public static func affected(by changed: [String], in set: RuleSet) -> Set<String> {
    let files = Set(changed)
    var ids = Set(
      set.rules.filter { rule in changed.contains { isRule(rule, in: $0) } || !files.isDisjoint(with: streams(of: rule)) }.map(\.id))
    var grew = true
    while grew {  // at most as often as correlations nest
      grew = false
      for rule in set.rules where !ids.contains(rule.id) {
        guard case .correlation(let correlation) = rule.detection else { continue }
        if correlation.sourceRules.contains(where: { source in ids.contains { source.matches($0) } }) {
          ids.insert(rule.id)
          grew = true
        }
      }
    }
    return ids
  }
  /// A rule of a bundle is in "bundle!name".
  private static func isRule(_ rule: Rule, in file: String) -> Bool { rule.location.file == file || rule.location.file.hasPrefix("\(file)!") }
  public static func streams(of rule: Rule) -> [String] {
    rule.tests.compactMap { if case .stream(let path) = $0.input { StreamFile.path(path, of: rule) } else { nil } }
  }
}
