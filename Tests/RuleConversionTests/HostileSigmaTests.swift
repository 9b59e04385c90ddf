// Sigma that is large, or says what means nothing.
import Primitives
import RuleConversion
import RuleLanguage
import Testing

@Suite struct HostileSigmaTests {
  /// Each value is compared with no other: this ends at once, or not within the time of any test.
  @Test func longListsOfValuesCostWhatTheyAreLong() throws {
    let count = 30_000
    let list = (0..<count).map { "w\($0 / 2)" }.joined(separator: ", ")
    let converted = convert(sigma("sel:\n  user|contains: [\(list)]\ncondition: sel"))
    let set = load(converted)
    let rule = try #require(set.rules.first, "\(converted.diagnostics)")
    guard case .pattern(let conditions, _) = rule.detection, case .contains(let texts, _) = conditions[0].test else {
      Issue.record("\(rule.detection)")
      return
    }
    #expect(texts.count == count / 2)
    #expect(texts.first == "w0" && texts.last == "w\(count / 2 - 1)")
  }

  @Test(arguments: ["999.1.1.1/99", "10.0.0.0/33", "10.0.0.0", "2001:db8::/129", "10.0.0.0/-1", "/8"]) func whatIsNoNetworkIsCalledSo(_ text: String)
  {
    let converted = convert(sigma("sel:\n  src_ip|cidr: '\(text)'\ncondition: sel"))
    #expect(converted.documents.isEmpty)
    #expect(converted.diagnostics.contains { $0.severity == .error && $0.message.contains("'\(text)' is no network") }, "\(converted.diagnostics)")
  }

  @Test func aTimeframeOfNothingIsSaid() {
    let converted = convert(sigma("sel:\n  user: root\ntimeframe: 5m\ncondition: sel"))
    #expect(converted.documents.count == 1)
    #expect(converted.diagnostics.contains { $0.severity == .warning && $0.message.contains("'timeframe'") && $0.location.line > 0 })
  }
}
