// The rule that docs/atr-host-profile.md shows is a rule that loads without a word.
import Glibc
import RuleLanguage
import Testing

@Suite struct ProfileDocumentTests {
  @Test func theExampleLoads() throws {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let file = try #require(fopen("/\(root)/docs/atr-host-profile.md", "r"))
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 64 * 1024)
    bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    let start = try #require(lines.firstIndex(of: "```yaml"))
    let end = try #require(lines[start...].firstIndex(of: "```"))
    let set = RuleLoader.load(document: lines[(start + 1)..<end].joined(separator: "\n"), file: "example.yaml")
    #expect(set.diagnostics.map(\.description) == [])
    #expect(set.rules.first?.tests.map(\.count) == [5, 4])
    guard case .behavioral(let rule)? = set.rules.first?.detection else {
      Issue.record("not behavioral")
      return
    }
    #expect(rule.groupsIPv6ByNetwork)
  }
}
