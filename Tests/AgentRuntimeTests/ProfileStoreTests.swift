// Where profiles are looked for: what lies beside a named file, and every directory, of which the first wins.
import Foundation
import Primitives
import RuleLanguage
import Testing

@testable import AgentRuntime

@Suite final class ProfileStoreTests {
  private let path = NSTemporaryDirectory() + "panguard-profiles-\(UUID().uuidString)"
  deinit { try? FileManager.default.removeItem(atPath: path) }

  private func write(_ name: String, _ text: String) throws {
    let file = "\(path)/\(name)"
    try FileManager.default.createDirectory(atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try text.write(toFile: file, atomically: true, encoding: .utf8)
  }
  private func profile(_ id: String, _ inclusions: String, title: String = "T") -> String {
    """
    profile: {schema_version: "1.0", id: \(id), title: \(title), version: 1.0.0, status: draft, description: d, author: a, date: "2026-01-05", license: MIT,
      conformance_bound: {spec_version_min: "1.0", minimum_rule_coverage: 1.0, minimum_engine_passing: 1.0}}
    inclusions: \(inclusions)
    """
  }
  private let rules = RuleLoader.load(
    document: """
      {title: T, id: ATR-2026-00001, severity: low, status: stable, agent_source: {type: llm_io},
      detection: {conditions: [{field: content, operator: contains, value: x}], condition: any}}
      """, file: "r.yaml"
  ).rules

  /// A sovereign profile inherits the baseline that it is shipped with.
  @Test func aFileInheritsFromItsNeighbour() throws {
    try write("base.yaml", profile("base", "[{rule_id: ATR-2026-00001}]"))
    try write("de.yaml", profile("de", "[{profile: base@1.0.0}]"))
    try write("rule.yaml", "title: no profile")
    try write("broken.yaml", "[")
    let (resolved, diagnostics) = ProfileStore.resolve(["\(path)/de.yaml"], among: rules)
    #expect(diagnostics.map(\.description) == [])
    #expect(resolved == [ResolvedProfile(name: "de@1.0.0", ruleIDs: ["ATR-2026-00001"])])
    // Only what is named is chosen.
    #expect(ProfileStore.find("\(path)/de.yaml", in: ProfileStore.library(["\(path)/de.yaml"])).map(\.id) == ["de"])
  }

  @Test func aFileThatIsNamedTwiceIsOne() throws {
    try write("own.yaml", profile("own", "[{rule_id: ATR-2026-00001}]"))
    for other in ["\(path)/own.yaml", "\(path)/./own.yaml", "\(path)//own.yaml"] {
      let (resolved, diagnostics) = ProfileStore.resolve(["\(path)/own.yaml", other], among: rules)
      #expect(diagnostics.map(\.description) == [])
      #expect(resolved.map(\.name) == ["own@1.0.0"])
    }
    for directory in [path, "\(path)/", "\(path)//"] {
      #expect(ProfileStore.resolve([directory], among: rules).profiles.map(\.name) == ["own@1.0.0"])
    }
  }

  /// One directory does not hide the others.
  @Test func everyDirectoryIsLookedThrough() throws {
    try write("etc/own.yaml", profile("own", "[{profile: shipped@1.0.0}]"))
    try write("etc/full.yaml", profile("full", "[{rule_id: ATR-2026-00001}]", title: "Local"))
    try write("usr/shipped.yaml", profile("shipped", "[{rule_id: ATR-2026-00001}]"))
    try write("usr/full.yaml", profile("full", "[{rule_id: ATR-2026-00001}]", title: "Shipped"))
    let library = ProfileStore.library(directories: ["\(path)/etc", "\(path)/usr"])
    #expect(library.diagnostics.map(\.description) == [])
    #expect(library.profiles.map(\.id).sorted() == ["full", "own", "shipped"])
    #expect(library.find("full")?.title == "Local")
    #expect(library.resolve(try #require(library.find("own")), among: rules).resolved?.ruleIDs == ["ATR-2026-00001"])
  }
}
