// A new rule: whatever the flags say, it loads without errors or it is not written; its tests fail until they are filled in.
import AgentRuntime
import RuleLanguage
import RuleLinting
import Testing
import TypedYAML

@Suite struct RuleTemplateTests {
  private static let sources = [source("ATR-2026-90001"), source("ATR-2026-90023")]
  private static func source(_ id: String) -> Rule {
    RuleLoader.load(
      document: """
        {id: \(id), title: t, severity: low, agent_source: {type: host_log},
         detection: {conditions: [{field: message, operator: contains, value: x}], condition: any}}
        """, file: "s.yaml"
    ).rules[0]
  }
  private func template(_ method: RuleTemplate.Method = .pattern, _ source: String = "host_log") -> RuleTemplate {
    var t = RuleTemplate()
    t.method = method
    t.id = method == .correlation ? "ATR-COR-2026-99001" : "ATR-2026-99001"
    t.title = "A title: with 'quotes' # and: \"more\" - {of} [it] \\n"
    t.source = source
    t.category = RuleWords.categories(of: source)[0]
    t.author = "somebody"
    t.date = "2026/01/05"
    t.field = t.isHostRule ? "process.command_line" : "content"
    t.pattern = "it's a \"pattern\": \\d{2,} #x"
    t.sourceRules = ["ATR-2026-90001", "ATR-2026-90023"]
    return t
  }

  @Test(arguments: RuleTemplate.Method.allCases, RuleWords.sources)
  func everyTemplateLoadsAndEveryTestFails(_ method: RuleTemplate.Method, _ source: String) throws {
    var t = template(method, source)
    if !t.isHostRule { t.groupBy = ["session.id"] }
    #expect(t.problems().isEmpty)
    #expect(t.check(against: Self.sources).isEmpty, "\(t.check(against: Self.sources)) \(t.yaml)")
    var set = RuleLoader.load(document: t.yaml, file: "new.yaml")
    if method == .correlation {
      #expect(set.rules.isEmpty)  // its sources are elsewhere
      let all = ["ATR-2026-90001", "ATR-2026-90023"].map {
        "---\nid: \($0)\ntitle: t\nseverity: low\nagent_source: {type: \(source)}\n"
          + "detection: {conditions: [{field: message, operator: contains, value: x}], condition: any}\n"
      }
      set = RuleLoader.load(document: all.joined() + "---\n" + t.yaml, file: "new.yaml")
    }
    let rule = try #require(set.rules.first { $0.id == t.id })
    #expect(rule.title == t.title)
    #expect(!RuleLint.metadata(set).contains { $0.severity == .error })
    if case .pattern(let conditions, _) = rule.detection, case .regex(let patterns, _)? = conditions.first?.test {
      #expect(patterns == [t.pattern])
    }
    var tester = RuleTester(set)
    let report = tester.run(where: { $0.id == t.id })
    #expect(report.casesRun >= 5 && report.passed == 0, "\(report)")
    #expect(report.failures.allSatisfy { $0.reason == TestPlaceholder.reason })
  }

  @Test(arguments: RuleWords.operators) func everyOperator(_ word: String) {
    var t = template()
    t.operation = word
    if ["gt", "gte", "lt", "lte", "eq"].contains(word) {
      t.field = "process.pid"
      t.pattern = "42"
    }
    #expect(t.check(against: []).isEmpty, "\(t.check(against: [])) \(t.yaml)")
  }

  @Test func whatCannotBeWritten() {
    func problems(_ change: (inout RuleTemplate) -> Void) -> [String] {
      var t = template()
      change(&t)
      return t.problems()
    }
    #expect(problems { $0.title = "" } == ["--title is missing"])
    #expect(problems { $0.pattern = "" } == ["--pattern is missing"])
    #expect(problems { $0.title = "a\nid: ATR-2026-90001" }.count == 1)
    #expect(problems { $0.pattern = "a\u{0}b" }.count == 1)
    #expect(
      problems {
        $0.method = .correlation; $0.sourceRules = ["one"]
      }.count == 1)
    #expect(
      problems {
        $0.method = .behavioral; $0.field = ""
      }.count == 1)
    #expect(
      problems {
        $0.method = .behavioral; $0.field = ""; $0.pattern = ""
      }.isEmpty)
    func findings(_ change: (inout RuleTemplate) -> Void) -> String {
      var t = template()
      change(&t)
      return t.check(against: Self.sources).map { "\($0)" }.joined(separator: "\n")
    }
    #expect(findings { $0.pattern = "(" }.contains("bad regular expression"))
    #expect(findings { $0.field = "user.nam" }.contains("did you mean 'user.name'?"))
    #expect(findings { $0.category = "nonsense" }.contains("must be one of"))
    #expect(findings { $0.source = "nonsense" }.contains("must be one of"))
    #expect(
      findings {
        $0.method = .correlation; $0.sourceRules = ["ATR-2026-90001", "ATR-2026-9002"]
      }.contains("is not loaded"))
    #expect(findings { $0.id = "ATR-2026-DRAFT-a1b2c3" }.isEmpty)
  }

  @Test func names() {
    func name(_ title: String) -> String {
      var t = template()
      t.title = title
      return t.fileName
    }
    #expect(name("Shell from cron's job!") == "shell-from-cron-s-job.yaml")
    #expect(name("../../etc/passwd") == "etc-passwd.yaml")
    #expect(name("日本語") == "atr-2026-99001.yaml")
    #expect(name(String(repeating: "long ", count: 100)).utf8.count <= 65)
    #expect(RuleTemplate.nextID(method: .pattern, year: 2026, taken: []) == "ATR-2026-99001")
    #expect(RuleTemplate.nextID(method: .pattern, year: 2026, taken: ["ATR-2026-99001", "ATR-2026-99003", "ATR-2025-99002"]) == "ATR-2026-99002")
    #expect(RuleTemplate.nextID(method: .correlation, year: 2026, taken: ["ATR-2026-99001"]) == "ATR-COR-2026-99001")
    #expect(RuleTemplate.nextID(method: .pattern, year: 2026, taken: (99_001...99_999).map { "ATR-2026-\($0)" }) == nil)
  }

  @Test func references() throws {
    func written(_ techniques: [String], _ source: String = "llm_io") -> String {
      var t = template(.pattern, source)
      t.techniques = techniques
      #expect(t.check(against: []).isEmpty, "\(t.check(against: []))")
      let lines = t.yaml.split(separator: "\n").map(String.init)
      guard let start = lines.firstIndex(of: "references:") else { return "" }
      return lines[(start + 1)...].prefix { $0.hasPrefix("  ") }.map { $0.drop { $0 == " " } }.joined(separator: "|")
    }
    #expect(written(["AML.T0051"]) == "mitre_atlas: ['AML.T0051']")
    #expect(written(["T1110.001", "AML.T0051", "T1078"]) == "mitre_attack: ['T1110.001', 'T1078']|mitre_atlas: ['AML.T0051']")
    #expect(written(["T1110"]) == "mitre_attack: ['T1110']")
    #expect(written([]).hasPrefix("mitre_atlas: []") && written([], "host_log").hasPrefix("mitre_attack: []"))
    var t = template(.pattern, "llm_io")
    t.techniques = ["AML.T0051"]
    let rule = try #require(RuleLoader.load(document: t.yaml, file: "r.yaml").rules.first)
    #expect(rule.references.contains("mitre_atlas:AML.T0051") && rule.techniques.isEmpty)
    #expect(t.yaml.contains("a harmless text that almost matches") && !t.yaml.contains("what an agent sees"))
  }

  /// What would be refused at the end is asked for again at once.
  @Test func answersThatNoRuleCanHave() throws {
    func complete(
      _ answers: [String], _ open: RuleQuestions.Open, _ change: (inout RuleTemplate) -> Void = { _ in }
    ) throws -> (RuleTemplate, [String]) {
      var (rest, asked) = (answers[...], [String]())
      var t = template()
      change(&t)
      let questions = RuleQuestions { prompt in
        asked.append(prompt)
        return rest.popFirst()
      }
      let done = try questions.complete(t, open: open, ruleIDs: [])
      #expect(rest.isEmpty, "\(rest)")
      return (done, asked)
    }
    let (field, askedField) = try complete(["user.nam", "user.name"], .field)
    #expect(field.field == "user.name" && askedField.last?.contains("did you mean 'user.name'?") == true, "\(askedField)")
    let (pattern, askedPattern) = try complete(["a(", "[b-a]", "a(b)"], .pattern)
    #expect(pattern.pattern == "a(b)" && askedPattern.dropFirst().allSatisfy { $0.contains("bad regular expression") }, "\(askedPattern)")
    let (number, _) = try complete(["ten", "10"], .pattern) { ($0.operation, $0.field) = ("gte", "process.pid") }
    #expect(number.pattern == "10")
    for method in [RuleTemplate.Method.behavioral, .correlation] {
      let (window, asked) = try complete(["soon", "5 minutes", "5m"], .window) { $0.method = method }
      #expect(window.window == "5m" && asked.count == 3, "\(asked)")
    }
    let (title, _) = try complete(["a\u{1b}b", "a title"], .title)
    #expect(title.title == "a title")
    // What a flag has said before is not held against the answer: it would be asked for without end.
    let (other, _) = try complete(["x"], .pattern) { $0.field = "user.nam" }
    #expect(other.pattern == "x")
  }

  /// A conversation: defaults, a wrong answer with its hint, the end of the input.
  @Test func questions() throws {
    var asked: [String] = []
    var answers = ["behavioral", "", "Many requests", "nonsense", "discovery", "", "url.path", "starts_with", "/api/", "1m", "0", "20", ""][...]
    let questions = RuleQuestions { prompt in
      asked.append(prompt)
      return answers.popFirst()
    }
    let open: RuleQuestions.Open = [
      .method, .source, .title, .category, .severity, .field, .operation, .pattern, .window, .threshold, .techniques,
    ]
    let t = try questions.complete(RuleTemplate(), open: open, ruleIDs: [])
    #expect(t.method == .behavioral && t.source == "host_log" && t.title == "Many requests" && t.category == "discovery" && t.severity == .medium)
    #expect(t.field == "url.path" && t.operation == "starts_with" && t.pattern == "/api/" && t.window == "1m" && t.threshold == 20)
    #expect(answers.isEmpty && asked[4].hasPrefix("That cannot be used here."), "\(asked)")
    #expect(throws: RuleQuestions.Ended.self) { try RuleQuestions(ask: { _ in nil }).complete(RuleTemplate(), open: [.title], ruleIDs: []) }
    let asksNothing = RuleQuestions { _ in
      Issue.record("nothing is open")
      return nil
    }
    _ = try asksNothing.complete(RuleTemplate(), open: [], ruleIDs: [])
  }
}
