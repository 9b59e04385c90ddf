// The cases that rules carry: a fixture stream beside the rule is found from wherever the rules are loaded, and counts as run.
import AgentRuntime
import Glibc
import RuleLanguage
import Testing

@Suite struct RuleTesterTests {
  private static let rule = """
    title: A refused login
    id: ATR-2026-99001
    severity: low
    agent_source: {type: host_log}
    detection:
      conditions:
        - {field: event.action, operator: exact, value: ssh-login}
      condition: any
    test_cases:
      true_positives:
        - {stream: attack.log, expected: triggered}
        - {stream: missing.log, expected: triggered}
    """

  private func write(_ text: String, _ path: String) {
    let file = fopen(path, "w")
    fputs(text, file)
    fclose(file)
  }

  @Test func streamsLieBesideTheirRule() throws {
    var template = Array("/tmp/panguard-tester-XXXXXX".utf8CString)
    let made = try #require(mkdtemp(&template))
    let directory = String(cString: made)
    defer { for name in ["rule.yaml", "attack.log"] { unlink("\(directory)/\(name)") }; rmdir(directory) }
    write(Self.rule, "\(directory)/rule.yaml")
    write("2026-01-05T00:00:01Z web01 sshd[7]: Failed password for root from 192.0.2.7 port 4022 ssh2\n", "\(directory)/attack.log")

    var tester = RuleTester(RuleLoader.load(paths: [directory]))
    let report = tester.run()
    #expect(report.passed == 1)
    #expect(report.casesRun == 2)
    #expect(report.failures.count == 1)
    #expect(report.failures.first?.reason.contains("\(directory)/missing.log") == true)
  }
}
