// Keys, signed ATR events, STIX and profiles from the outside.
import Export
import Glibc
import Primitives
import Testing

@Suite struct EventFormatTests {
  private static let auth = Product.root + "/examples/auth.log"

  @Test func eventsAreSignedVerifiedAndTheSameAgain() {
    let d = TemporaryDirectory()
    #expect(panguard("keys", "new", d["key"]).status == 0)
    #expect(panguard("keys", "new", d["key"]).status == 3)
    var mode = stat()
    #expect(stat(d["key"], &mode) == 0 && mode.st_mode & 0o777 == 0o600)
    let arguments = ["replay", Self.auth, "--rules", Product.rules, "--format", "atr", "--key", d["key"], "--quiet"]
    let first = panguard(arguments)
    #expect(first.status == 0 && first.output == panguard(arguments).output)
    let lines = first.output.split(separator: 0x0a)
    #expect(lines.count > 10)
    d.append(first.output, to: "events")
    let verified = panguard("verify-events", d["events"], "--key", d["key.pub"])
    #expect(verified.status == 0 && String(decoding: verified.output, as: UTF8.self) == "\(lines.count) events valid, 0 not\n")
    d.append("{\"atr.event_id\":\"x\"}\n", to: "events")
    #expect(panguard("verify-events", d["events"], "--key", d["key.pub"]).status == 1)
    #expect(panguard("verify-events", d["events"], "--key", d["key"]).status == 3)
    // The same key elsewhere reads them too.
    #expect(run(["/usr/bin/openssl", "pkey", "-in", d["key"], "-noout"]).status != 1)
    // No address of the log is in an event.
    #expect(!String(decoding: first.output, as: UTF8.self).contains("203.0.113."))
  }

  @Test func aBundleIsOneDocument() throws {
    let bundle = panguard("replay", Self.auth, "--rules", Product.rules, "--format", "stix", "--quiet").output
    let parsed = try bundle.withUnsafeBytes { try CanonicalJSON(parsing: $0) }
    guard case .object(let members) = parsed, case .array(let objects)? = members.first(where: { $0.name == "objects" })?.value else {
      Issue.record("not a bundle")
      return
    }
    #expect(objects.count > 10)
    #expect(parsed.bytes + [0x0a] == bundle)
  }

  @Test func profilesResolveAndRestrict() {
    let d = TemporaryDirectory()
    d.write(
      """
      profile: {schema_version: "1.0", id: web, title: Web, version: 2.0.0, status: draft, conformance_bound: {spec_version_min: "1.0",
        minimum_rule_coverage: 1.0, minimum_engine_passing: 1.0}}
      inclusions: [{rule_id_pattern: "ATR-2026-902*"}, {profile: panguard-stable-only}]
      """, to: "web.yaml")
    let shown = panguard("rules", "profile", d["web.yaml"], "--rules", Product.rules, "--format", "json")
    #expect(shown.status == 0 && String(decoding: shown.output, as: UTF8.self).hasPrefix(#"{"profile":"web@2.0.0""#))
    let listed = panguard("rules", "list", "--rules", Product.rules, "--profile", d["web.yaml"], "--format", "jsonl").output.split(separator: 0x0a)
    #expect(!listed.isEmpty && listed.allSatisfy { String(decoding: $0, as: UTF8.self).contains("ATR-2026-902") })
    let decisions = panguard(
      "replay", Product.root + "/examples/access.log", "--rules", Product.rules, "--profile", d["web.yaml"], "--format", "jsonl", "--quiet")
    #expect(
      decisions.output.split(separator: 0x0a).allSatisfy { String(decoding: $0, as: UTF8.self).contains(#""panguard.profiles":["web@2.0.0"]"#) })
    #expect(!decisions.output.isEmpty)
    #expect(panguard("rules", "list", "--rules", Product.rules, "--profile", "nothing").status != 0)
    d.write("profile: {}\n", to: "bad.yaml")
    let bad = panguard("rules", "profile", d["bad.yaml"], "--rules", Product.rules)
    #expect(bad.status == 1 && bad.errors.contains("bad.yaml:1:"))
  }

  /// Every shipped profile resolves among the shipped rules.
  @Test func shippedProfiles() {
    let all = panguard("rules", "profile", "--rules", Product.rules)
    #expect(all.status == 0 && all.errors.isEmpty)
    for id in ["panguard-baseline-runtime", "panguard-full", "panguard-host", "panguard-stable-only"] {
      #expect(String(decoding: all.output, as: UTF8.self).contains(id + "@1.0.0"))
    }
  }
}
