// The cache of rules on disk, after others have been there: a killed process of the same number, files that nobody finished.
import Glibc
import Primitives
import Testing

@testable import AgentRuntime

@Suite struct CacheWriteTests {
  private static func withDirectory(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/panguard-cache-XXXXXX".utf8CString)
    let path = String(cString: try #require(mkdtemp(&template)))
    defer {
      for file in SourceDiscovery.expand("\(path)/*") { unlink(file) }
      rmdir(path)
    }
    try body(path)
  }
  private static func touch(_ path: String, secondsAgo: Int) {
    close(open(path, O_WRONLY | O_CREAT, 0o600))
    let then = timeval(tv_sec: time(nil) - secondsAgo, tv_usec: 0)
    utimes(path, [then, then])
  }

  /// In a container the process has the same number each time.
  @Test func whatAKilledProcessLeftIsNotInTheWay() throws {
    try Self.withDirectory { directory in
      let path = "\(directory)/rules-x.ruleset"
      Self.touch("\(path).\(getpid()).new", secondsAgo: 7200)
      Self.touch("\(path).1-abc.new", secondsAgo: 0)
      RuleStore.writeCache([1, 2, 3], to: path, in: directory, pattern: "rules-*.ruleset")
      #expect(RuleStore.readCache(path) == [1, 2, 3])
      // The old one goes; the young one may be somebody's.
      #expect(SourceDiscovery.expand("\(directory)/*.new") == ["\(path).1-abc.new"])
    }
  }
}
