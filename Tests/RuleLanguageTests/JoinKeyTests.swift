// Paths of join keys: every spelling, and what is refused.
import Events
import Testing

@testable import RuleLanguage

@Suite struct JoinKeyTests {
  @Test(arguments: [
    ("agent.id", "agent.id"), ("$.agent.id", "agent.id"), ("/agent/id", "agent.id"), ("agent['id']", "agent.id"),
    ("agent.delegation_chain[*].agent_id", "agent.delegation_chain[*].agent_id"),
    ("/agent/delegation_chain[*]/agent_id", "agent.delegation_chain[*].agent_id"),
    ("a[0].b.c[*]", "a[0].b.c[*]"), ("a[*][\"b\"]['c']", "a[*].b.c"), ("evidence.upstream_chain", "evidence.upstream_chain[*]"),
    ("evidence.upstream_chain[*]", "evidence.upstream_chain[*]"), ("memory.store_id", "memory.store_id"), ("a[*][*]", "a[*][*]"),
  ])
  func spellings(_ path: String, _ canonical: String) {
    #expect(JoinKey(path: path)?.description == canonical)
    #expect(JoinKey(path: canonical) == JoinKey(path: path))
  }
  @Test func aFieldOfTheTableIsOne() { #expect(JoinKey(path: "agent.id") == .known(.agentID)) }

  @Test(arguments: [
    "", "$.", "/", "a..b", "a.", ".a", "a[", "a[]", "a[-1]", "a[1234567]", "a[*]b", "a[*].", "a]b", "[*]", "a b", "a.[*]", "a['']", "a[x]",
  ])
  func refused(_ path: String) { #expect(JoinKey(path: path) == nil) }
  @Test func refusedBySize() {
    #expect(JoinKey(path: String(repeating: "a", count: 129)) == nil)
    #expect(JoinKey(path: "a" + String(repeating: "[*]", count: 9)) == nil)
  }
}
