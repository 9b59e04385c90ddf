// Sigma -> ATR: each modifier and form as a table of events that must and must not match, run through the real engine; correlations;
// what cannot be converted, with its place. All Sigma here is written for these tests.
import AgentRuntime
import Primitives
import RuleConversion
import RuleLanguage
import Testing

func sigma(_ detection: String, logsource: String = "{product: linux, service: syslog}", extra: String = "") -> String {
  """
  title: A test
  id: 11111111-2222-3333-4444-555555555555
  status: test
  date: 2026-01-05
  logsource: \(logsource)
  level: high
  \(extra)
  detection:
  \(detection.split(separator: "\n", omittingEmptySubsequences: false).map { "  \($0)" }.joined(separator: "\n"))
  """
}

func convert(_ texts: String...) -> Converted {
  SigmaToATR.convert(texts.enumerated().map { RuleFile(name: "s\($0.offset + 1).yml", bytes: Array($0.element.utf8)) })
}

func load(_ converted: Converted) -> RuleSet {
  RuleLoader.load(paths: [], documents: converted.documents.map { RuleFile(name: $0.name, bytes: $0.bytes) })
}

/// Ids of the rules that match a JSON object of fields.
func matches(_ set: RuleSet, _ event: String) -> [String] {
  var evaluator = RuleEvaluator(set)
  let line = Array(#"{"id":1,"event":\#(event)}"#.utf8)
  let answer = (try? line.withUnsafeBytes { try evaluator.evaluate(line: $0) }).map { String(decoding: $0, as: UTF8.self) } ?? "error"
  return set.rules.map(\.id).filter { answer.contains("\"\($0)\"") }
}

struct MatchCase: CustomTestStringConvertible, Sendable {
  var detection: String
  var hits: [String]
  var misses: [String]
  var logsource = "{product: linux, service: syslog}"
  var testDescription: String { detection }
}

@Suite struct SigmaMatchTests {
  static let cases: [MatchCase] = [
    MatchCase(
      detection: "sel:\n  user: root\ncondition: sel", hits: [#"{"user.name":"root"}"#, #"{"user.name":"ROOT"}"#],
      misses: [#"{"user.name":"roots"}"#, #"{"user.name":"aroot"}"#, #"{"user.name":"root\n"}"#, "{}"]),
    MatchCase(
      detection: "sel:\n  user: [root, admin]\ncondition: sel", hits: [#"{"user.name":"admin"}"#, #"{"user.name":"root"}"#],
      misses: [#"{"user.name":"x"}"#]),
    MatchCase(
      detection: "sel:\n  user|contains: 'a.b'\ncondition: sel", hits: [#"{"user.name":"xA.Bx"}"#], misses: [#"{"user.name":"xaabx"}"#]),
    MatchCase(
      detection: "sel:\n  user|startswith: ad\ncondition: sel", hits: [#"{"user.name":"Admin"}"#], misses: [#"{"user.name":"mad"}"#]),
    MatchCase(
      detection: "sel:\n  user|endswith: 'in'\ncondition: sel", hits: [#"{"user.name":"Admin"}"#, #"{"user.name":"in"}"#],
      misses: [#"{"user.name":"inn"}"#, #"{"user.name":"in\n"}"#]),
    MatchCase(
      detection: "sel:\n  user: 'a*d?f'\ncondition: sel", hits: [#"{"user.name":"aXXdef"}"#, #"{"user.name":"adef"}"#, #"{"user.name":"a\nd\nf"}"#],
      misses: [#"{"user.name":"adf"}"#, #"{"user.name":"xadef"}"#, #"{"user.name":"adefx"}"#]),
    MatchCase(
      detection: #"sel:\#n  user: 'a\*b\\c\d'\#ncondition: sel"#, hits: [#"{"user.name":"a*b\\c\\d"}"#], misses: [#"{"user.name":"axb\\c\\d"}"#]),
    MatchCase(
      detection: "sel:\n  message|contains|all: [one, two]\ncondition: sel", hits: [#"{"message":"two and one"}"#], misses: [#"{"message":"one"}"#]),
    MatchCase(
      detection: "sel:\n  user|cased: Root\ncondition: sel", hits: [#"{"user.name":"Root"}"#], misses: [#"{"user.name":"root"}"#]),
    MatchCase(
      detection: "sel:\n  message|re: '^a[0-9]+$'\ncondition: sel", hits: [#"{"message":"a12"}"#],
      misses: [#"{"message":"A12"}"#, #"{"message":"a"}"#]),
    MatchCase(
      detection: "sel:\n  message|re|i: 'a.c'\ncondition: sel", hits: [#"{"message":"xAbC"}"#], misses: [#"{"message":"a\nc"}"#]),
    MatchCase(
      detection: "sel:\n  message|re|s: 'a.c'\ncondition: sel", hits: [#"{"message":"a\nc"}"#], misses: [#"{"message":"A\nc"}"#]),
    MatchCase(
      detection: "sel:\n  message|re|m: '^b$'\ncondition: sel", hits: [#"{"message":"a\nb\nc"}"#], misses: [#"{"message":"a b c"}"#]),
    MatchCase(
      detection: "sel:\n  src_ip|cidr: 172.16.0.0/12\ncondition: sel", hits: [#"{"source.ip":"172.16.0.1"}"#, #"{"source.ip":"172.31.255.255"}"#],
      misses: [#"{"source.ip":"172.32.0.1"}"#, #"{"source.ip":"172.15.0.1"}"#, #"{"source.ip":"1.172.16.0"}"#]),
    MatchCase(
      detection: "sel:\n  src_ip|cidr: [192.0.2.128/25, 10.0.0.0/8, 198.51.100.7/32]\ncondition: sel",
      hits: [#"{"source.ip":"192.0.2.128"}"#, #"{"source.ip":"192.0.2.255"}"#, #"{"source.ip":"10.1.2.3"}"#, #"{"source.ip":"198.51.100.7"}"#],
      misses: [#"{"source.ip":"192.0.2.12"}"#, #"{"source.ip":"192.0.2.1"}"#, #"{"source.ip":"100.1.2.3"}"#, #"{"source.ip":"198.51.100.70"}"#]),
    MatchCase(
      detection: "sel:\n  src_ip|cidr: ['fe80::/10', '2001:db8::/32', 'fc00::/7', '::1/128']\ncondition: sel",
      hits: [
        #"{"source.ip":"fe80::1"}"#, #"{"source.ip":"febf::1"}"#, #"{"source.ip":"2001:db8::9"}"#, #"{"source.ip":"fd12::1"}"#,
        #"{"source.ip":"::1"}"#,
      ],
      misses: [#"{"source.ip":"fec0::1"}"#, #"{"source.ip":"2001:db80::1"}"#, #"{"source.ip":"fe00::1"}"#, #"{"source.ip":"::12"}"#]),
    MatchCase(
      detection: "sel:\n  user: null\n  message|contains: x\ncondition: sel", hits: [#"{"message":"x"}"#],
      misses: [#"{"message":"x","user.name":"a"}"#]),
    MatchCase(
      detection: "sel:\n  user|exists: true\ncondition: sel", hits: [#"{"user.name":"a"}"#], misses: [#"{"message":"x"}"#]),
    MatchCase(
      detection: "sel:\n  message|contains: x\n  user|exists: false\ncondition: sel", hits: [#"{"message":"x"}"#],
      misses: [#"{"message":"x","user.name":"a"}"#]),
    MatchCase(
      detection: "sel:\n  attempts|gte: 5\ncondition: sel", hits: [#"{"attempts":"5"}"#, #"{"attempts":"10"}"#], misses: [#"{"attempts":"4"}"#]),
    MatchCase(
      detection: "sel:\n  message|contains: x\n  user|neq: root\ncondition: sel", hits: [#"{"message":"x","user.name":"a"}"#],
      misses: [#"{"message":"x","user.name":"root"}"#]),
    MatchCase(
      detection: "sel:\n  message|base64: 'GET /x'\ncondition: sel", hits: [#"{"message":"R0VUIC94"}"#], misses: [#"{"message":"r0vuic94"}"#]),
    MatchCase(
      detection: "sel:\n  message|base64offset|contains: /bin/sh\ncondition: sel",
      // "/bin/sh" with 0, 1 and 2 bytes before it.
      hits: [#"{"message":"L2Jpbi9zaA=="}"#, #"{"message":"eC9iaW4vc2g="}"#, #"{"message":"eHgvYmluL3No"}"#], misses: [#"{"message":"/bin/sh"}"#]),
    MatchCase(
      detection: "sel:\n  message|wide|base64offset|contains: foo\ncondition: sel", hits: [#"{"message":"ZgBvAG8A"}"#],
      misses: [#"{"message":"Zm9v"}"#]),
    MatchCase(
      detection: "sel:\n  message|windash|contains: ' -enc '\ncondition: sel",
      hits: [#"{"message":"a -enc b"}"#, #"{"message":"a /enc b"}"#, #"{"message":"a –enc b"}"#],
      misses: [#"{"message":"a +enc b"}"#]),
    MatchCase(
      detection: "keywords: [evil, 'bad*thing']\ncondition: keywords", hits: [#"{"message":"so EVIL."}"#, #"{"message":"a bad old thing"}"#],
      misses: [#"{"message":"thing bad"}"#]),
    MatchCase(
      detection: "keywords:\n  '|all': [evil, bad]\ncondition: keywords", hits: [#"{"message":"bad, evil"}"#], misses: [#"{"message":"evil"}"#]),
    MatchCase(
      detection: "a:\n  - user: root\n  - message|contains: x\ncondition: a", hits: [#"{"user.name":"root"}"#, #"{"message":"axb"}"#],
      misses: [#"{"message":"b"}"#]),
    MatchCase(
      detection: "sel_a:\n  user: a\nsel_b:\n  message: b\nfilter:\n  host: c\ncondition: 1 of sel_* and not filter",
      hits: [#"{"user.name":"a"}"#, #"{"message":"b"}"#], misses: [#"{"user.name":"a","host":"c"}"#, #"{"host":"c"}"#]),
    MatchCase(
      detection: "sel_a:\n  user: a\nsel_b:\n  message: b\ncondition: all of them", hits: [#"{"user.name":"a","message":"b"}"#],
      misses: [#"{"user.name":"a"}"#]),
    MatchCase(
      detection: "a:\n  user: a\nb:\n  message: b\nc:\n  host: c\ncondition: (a or b) and not (b and c)",
      hits: [#"{"user.name":"a"}"#, #"{"message":"b"}"#], misses: [#"{"message":"b","host":"c"}"#, #"{"host":"c"}"#]),
    MatchCase(
      detection: "a:\n  user: a\nb:\n  message: b\ncondition:\n  - a\n  - b", hits: [#"{"user.name":"a"}"#, #"{"message":"b"}"#],
      misses: [#"{"user.name":"b"}"#]),
    MatchCase(
      detection: "and:\n  user: a\n1x:\n  message: b\ncondition: 1x", hits: [#"{"message":"b"}"#], misses: [#"{"user.name":"a"}"#]),
    MatchCase(
      detection: "sel:\n  Image|endswith: /nc\n  CommandLine|contains: ' -e '\n  ParentImage|startswith: /usr\ncondition: sel",
      hits: [#"{"process.executable":"/bin/nc","process.command_line":"nc -e sh","process.parent.executable":"/usr/bin/x"}"#],
      misses: [#"{"process.executable":"/bin/ncat","process.command_line":"nc -e sh","process.parent.executable":"/usr/bin/x"}"#],
      logsource: "{product: linux, category: process_creation}"),
    MatchCase(
      detection: "sel:\n  cs-method: POST\n  sc-status: 200\n  c-uri|contains: /shell\ncondition: sel",
      hits: [#"{"event.category":"web","http.request.method":"POST","http.response.status_code":200,"url.original":"/a/shell.php"}"#],
      misses: [#"{"http.request.method":"POST","http.response.status_code":200,"url.original":"/a/shell.php"}"#], logsource: "{category: webserver}"),
    MatchCase(
      detection: "sel:\n  query|endswith: .evil.test\ncondition: sel", hits: [#"{"dns.question.name":"a.evil.test"}"#],
      misses: [#"{"dns.question.name":"evil.test"}"#], logsource: "{category: dns}"),
    MatchCase(
      detection: "sel:\n  type: EXECVE\n  a0: nc\ncondition: sel", hits: [#"{"type":"EXECVE","a0":"nc"}"#], misses: [#"{"type":"PATH","a0":"nc"}"#],
      logsource: "{product: linux, service: auditd}"),
    MatchCase(
      detection: "sel:\n  dst_port: 22\ncondition: sel", hits: [#"{"event.category":"network","destination.port":22}"#],
      misses: [#"{"event.category":"network","destination.port":222}"#], logsource: "{category: firewall}"),
    // sudo's USER is the account that was asked for, not the caller (the pattern is that of CVE-2019-14287).
    MatchCase(
      detection: "sel:\n  USER: ['#-*', '#*4294967295']\n  COMMAND|contains: sh\n  PWD|startswith: /home\ncondition: sel",
      hits: [
        ##"{"event.provider":"sudo","user.name":"eve","user.effective.name":"#-1","process.command_line":"/bin/sh","process.working_directory":"/home/e"}"##
      ],
      misses: [
        ##"{"event.provider":"sudo","user.name":"#-1","user.effective.name":"r","process.command_line":"/bin/sh","process.working_directory":"/home/e"}"##
      ], logsource: "{product: linux, service: sudo}"),
    // Path and query are decoded; what is written encoded is sought in its part of the URL as it was logged.
    MatchCase(
      detection: "sel:\n  cs-uri-query|contains: ['%20union%20select', plain]\ncondition: sel",
      hits: [
        #"{"event.category":"web","url.original":"/a?b=1%20UNION%20select","url.query":"b=1 UNION select"}"#,
        #"{"event.category":"web","url.original":"/a?plain","url.query":"plain"}"#,
      ],
      misses: [
        #"{"event.category":"web","url.original":"/a%20union%20select","url.path":"/a union select"}"#,
        #"{"event.category":"web","url.original":"/plain","url.path":"/plain"}"#,
      ], logsource: "{category: webserver}"),
    MatchCase(
      detection: "sel:\n  cs-uri-query|contains: '%2?%2?'\ncondition: sel",
      hits: [#"{"event.category":"web","url.original":"/a?b=%2e%2E","url.query":"b=.."}"#],
      misses: [#"{"event.category":"web","url.original":"/a?b=..","url.query":"b=.."}"#], logsource: "{category: webserver}"),
    MatchCase(
      detection: "sel:\n  cs-uri-query|startswith: 'a%3d'\n  cs-uri-stem|endswith: '%2e'\ncondition: sel",
      hits: [#"{"event.category":"web","url.original":"/b%2E?A%3Dc"}"#],
      misses: [
        #"{"event.category":"web","url.original":"/b%2e?xa%3dc"}"#, #"{"event.category":"web","url.original":"/b%2ec?a%3dc"}"#,
        #"{"event.category":"web","url.original":"/b?a%3dc&d=%2e"}"#,
      ], logsource: "{category: webserver}"),
    MatchCase(
      detection: "sel:\n  cs-uri-stem: '/a%20*b?'\ncondition: sel",
      hits: [#"{"event.category":"web","url.original":"/a%20xbc?q"}"#, #"{"event.category":"web","url.original":"/a%20bc"}"#],
      misses: [#"{"event.category":"web","url.original":"/a%20x?bc"}"#, #"{"event.category":"web","url.original":"/a%20bcd"}"#],
      logsource: "{category: webserver}"),
    // Modifiers that may stand together, in one key.
    MatchCase(
      detection: "sel:\n  message|contains|all|cased|windash: [' -A', b]\ncondition: sel", hits: [#"{"message":"b /A"}"#],
      misses: [#"{"message":"b /a"}"#, #"{"message":" -A"}"#]),
    MatchCase(
      detection: "sel:\n  message|exists: true\n  message|re|i|neq: 'a+'\n  attempts|lt|neq: 5\ncondition: sel",
      hits: [#"{"message":"b","attempts":"5"}"#], misses: [#"{"message":"bA","attempts":"5"}"#, #"{"message":"b","attempts":"4"}"#]),
  ]

  /// What the tables of log sources map to stands in the table of fields, so that a converted rule gives no warning.
  @Test(arguments: [
    ("{product: linux, category: process_creation}", ["ParentImage", "ParentCommandLine", "ParentProcessId", "ParentUser", "Image", "User"]),
    ("{product: linux, category: network_connection}", ["DestinationHostname", "Protocol"]),
    ("{product: linux, category: file_event}", ["TargetFilename"]), ("{category: webserver}", ["cs-bytes", "sc-bytes", "c-uri-extension"]),
    ("{category: dns}", ["query", "answer", "record_type"]),
  ]) func fieldsAreKnown(_ logsource: String, _ names: [String]) {
    let selection = names.map { "  \($0): \($0.hasSuffix("bytes") || $0.hasSuffix("Id") ? "1" : "x")\n" }.joined()
    let set = load(convert(sigma("sel:\n\(selection)condition: sel", logsource: logsource)))
    #expect(set.rules.count == 1)
    #expect(set.diagnostics.filter { $0.message.contains("field table") }.map(\.message) == [])
  }

  @Test(arguments: cases) func meansTheSame(_ each: MatchCase) {
    let converted = convert(sigma(each.detection, logsource: each.logsource))
    #expect(converted.leftOut == 0)
    #expect(converted.diagnostics.map(\.description) == [])
    let set = load(converted)
    #expect(set.rules.count == 1)
    #expect(set.diagnostics.filter { $0.severity == .error }.isEmpty)
    for event in each.hits { #expect(matches(set, event).count == 1, "\(event)") }
    for event in each.misses { #expect(matches(set, event).isEmpty, "\(event)") }
    // The tests that the conversion wrote hold.
    var tester = RuleTester(set)
    #expect(tester.run().failures.map { "\($0.description): \($0.reason)" } == [])
  }

  @Test func descriptionSurvives() throws {
    let extra = """
      author: Panguard
      license: MIT
      tags: [attack.credential_access, attack.t1110.001, cve.2021-44228, detection.emerging]
      references: ['https://example.org/a']
      falsepositives: [Administrators]
      """
    let set = load(
      convert(sigma("sel:\n  user: root\ncondition: sel", logsource: "{product: linux, service: sshd}", extra: extra.replacing("\n", with: "\n"))))
    let rule = try #require(set.rules.first)
    #expect(rule.id.hasPrefix("ATR-2026-DRAFT-"))
    #expect(rule.techniques == ["T1110.001"])
    #expect(rule.category == "credential-access")
    #expect(rule.severity == .high)
    #expect(rule.status == "experimental")
    #expect(rule.maturity == "test")
    #expect(rule.confidence.thousandths < 900)
    #expect(
      rule.references == [
        "cve:CVE-2021-44228", "sigma_tags:detection.emerging", "sigma:11111111-2222-3333-4444-555555555555", "external:https://example.org/a",
      ])
    #expect(rule.falsePositives == ["Administrators"])
    #expect(set.diagnostics.filter { $0.severity >= .warning }.map(\.message).allSatisfy { $0.contains("evasion") || $0.contains("test") })
  }

  @Test func idsDependOnTheRuleAlone() {
    let a = convert(sigma("sel:\n  user: root\ncondition: sel")).documents.map(\.id)
    let b = convert(sigma("sel:\n  user: other\ncondition: sel")).documents.map(\.id)
    #expect(a == b)
    #expect(a.count == 1)
  }
}

@Suite struct SigmaRefusalTests {
  /// What cannot be said, and the line that must be named.
  static let refusals: [(detection: String, logsource: String, message: String, line: Int)] = [
    ("sel:\n  user|fieldref: other\ncondition: sel", "{product: linux, service: syslog}", "compares two fields", 10),
    ("sel:\n  user|expand: '%admins%'\ncondition: sel", "{product: linux, service: syslog}", "placeholder", 10),
    ("sel:\n  user|hour: 3\ncondition: sel", "{product: linux, service: syslog}", "part of a time", 10),
    ("sel:\n  user|contians: 3\ncondition: sel", "{product: linux, service: syslog}", "unknown modifier", 10),
    ("sel:\n  user|wide: x\ncondition: sel", "{product: linux, service: syslog}", "before base64", 10),
    ("sel:\n  Hashes: x\ncondition: sel", "{product: linux, category: process_creation}", "no counterpart in events", 10),
    ("sel:\n  a|gt: x\ncondition: sel", "{product: linux, service: syslog}", "no integer", 10),
    ("sel:\n  a|cidr: '2001:db8::/33'\ncondition: sel", "{product: linux, service: syslog}", "no simple pattern", 10),
    ("sel:\n  a|re: '(unclosed'\ncondition: sel", "{product: linux, service: syslog}", "bad regular expression", 10),
    ("sel:\n  x|contains: y\n  a|re|m: ['b', '(unclosed']\ncondition: sel", "{product: linux, service: syslog}", "bad regular expression", 11),
    ("sel:\n  a: b\ncondition: sel | count() by a > 5\ntimeframe: 1M", "{product: linux, service: syslog}", "timeframe '1M' is no duration", 11),
    ("sel:\n  cs-uri-query|re: '%2e%2e'\ncondition: sel", "{category: webserver}", "url.query is decoded", 10),
    ("sel:\n  cs-uri-query|re: 'q=%2[eE]%2[eE]'\ncondition: sel", "{category: webserver}", "url.query is decoded", 10),
    ("sel:\n  cs-uri-stem|re: '%(?:2e|2f)'\ncondition: sel", "{category: webserver}", "url.path is decoded", 10),
    (#"sel:\#n  cs-uri-stem|re: '%\d\w'\#ncondition: sel"#, "{category: webserver}", "url.path is decoded", 10),
    ("sel:\n  a: b\ncondition: sel | count() by a > 9223372036854775807\ntimeframe: 5m", "{product: linux, service: syslog}", "from 0 to", 11),
    (
      "sel:\n  a: b\no:\n  a: c\ncondition: sel or not o | count() by a > 9223372036854775807\ntimeframe: 5m",
      "{product: linux, service: syslog}", "from 0 to", 13
    ),
    ("sel:\n  Uid: 0\ncondition: sel", "{product: linux, service: sudo}", "no counterpart in events", 10),
    ("sel:\n  CMD: x\ncondition: sel", "{product: linux, service: cron}", "no counterpart in events", 10),
    ("sel:\n  port: 22\ncondition: sel", "{product: linux, service: sshd}", "no counterpart in events", 10),
    ("sel:\n  a: b\ncondition: sel and other", "{product: linux, service: syslog}", "no selection is named 'other'", 11),
    ("sel:\n  a: b\ncondition: 2 of sel*", "{product: linux, service: syslog}", "no counterpart; 1 and all have", 11),
    ("sel:\n  a: b\ncondition: (sel", "{product: linux, service: syslog}", "')' is missing", 11),
    ("sel:\n  a: b\ncondition: sel | near x", "{product: linux, service: syslog}", "only count()", 11),
    ("sel:\n  a: b\ncondition: sel | count() by a > 5", "{product: linux, service: syslog}", "timeframe", 11),
    ("sel: []\ncondition: sel", "{product: linux, service: syslog}", "is empty", 9),
    ("sel:\n  a: b", "{product: linux, service: syslog}", "'detection.condition' is missing", 9),
    ("sel:\n  a: b\ncondition: sel", "{product: windows, category: process_creation}", "has no counterpart here", 5),
    ("sel:\n  a: b\ncondition: sel", "{product: linux, service: nothing}", "has no counterpart here", 5),
    ("sel:\n  a:\n    b: c\ncondition: sel", "{product: linux, service: syslog}", "is a mapping", 11),
  ]

  @Test(arguments: refusals.indices) func saysWhatAndWhere(_ index: Int) throws {
    let (detection, logsource, message, line) = Self.refusals[index]
    let converted = convert(sigma(detection, logsource: logsource))
    #expect(converted.documents.isEmpty)
    #expect(converted.leftOut == 1)
    let error = try #require(converted.diagnostics.first { $0.severity == .error })
    #expect(error.message.contains(message), "\(error)")
    #expect(error.location.file == "s1.yml")
    #expect(abs(error.location.line - line) <= 1, "\(error)")
  }

  /// Two modifiers of which one would be dropped.
  @Test(arguments: [
    "base64|startswith", "base64|endswith", "windash|base64offset|contains", "re|startswith", "re|contains", "re|windash", "re|cased",
    "cidr|contains", "contains|startswith", "startswith|endswith", "exists|contains", "exists|neq", "contains|base64", "base64|base64offset|contains",
    "base64offset", "base64|wide", "wide|utf16be|base64", "i", "contains|i", "gt|lt", "gt|contains", "gt|cased", "contains|contains", "cidr|re",
    "cidr|windash", "base64|windash", "all|re|exists",
  ]) func modifiersWithoutACommonMeaning(_ modifiers: String) throws {
    let converted = convert(sigma("sel:\n  a|\(modifiers): '1'\ncondition: sel"))
    #expect(converted.documents.isEmpty)
    #expect(converted.leftOut == 1)
    let error = try #require(converted.diagnostics.first { $0.severity == .error })
    #expect(error.message.contains("modifier"), "\(error)")
    #expect(error.location.line == 10, "\(error)")
  }

  @Test(arguments: [
    ("{product: linux, service: sshdd}", "did you mean service 'sshd'?"), ("{product: linux, service: clamav}", "service may be auditd, auth, cron"),
    ("{product: linux, category: proces_creation}", "did you mean category 'process_creation'?"),
    ("{product: windows}", "product may be linux, nginx"),
  ]) func unknownLogSourcesAreToldTheKnownOnes(_ source: String, _ hint: String) throws {
    let error = try #require(convert(sigma("sel:\n  a: b\ncondition: sel", logsource: source)).diagnostics.first)
    #expect(error.hint.contains(hint), "\(error)")
  }

  @Test func oneBadRuleDoesNotTakeTheOthers() {
    let converted = convert(sigma("sel:\n  a|fieldref: b\ncondition: sel") + "\n---\n" + sigma("sel:\n  a: b\ncondition: sel"))
    #expect(converted.documents.count == 1)
    #expect(converted.leftOut == 1)
  }

  @Test func anIdIsTakenOnce() {
    let converted = convert(sigma("sel:\n  a: b\ncondition: sel"), sigma("sel:\n  a: c\ncondition: sel"))
    #expect(converted.documents.count == 1)
    #expect(converted.diagnostics.map(\.message) == ["another rule has the same id"])
    #expect(converted.diagnostics.first?.location.file == "s2.yml")
  }

  @Test func quantifiersCannotMultiplyWithoutEnd() {
    let selections = (0..<200).map { "s\($0):\n  a: b\($0)" }.joined(separator: "\n")
    let condition = (0..<2000).map { _ in "1 of them" }.joined(separator: " or ")
    let converted = convert(sigma(selections + "\ncondition: \(condition)"))
    #expect(converted.leftOut == 1)
    #expect(converted.diagnostics.contains { $0.message.contains("more than \(Limits.convertedTests) tests") })
  }

  @Test func nestingIsBounded() {
    let condition = String(repeating: "(", count: 5000) + "sel" + String(repeating: ")", count: 5000)
    #expect(convert(sigma("sel:\n  a: b\ncondition: \(condition)")).leftOut == 1)
  }

  @Test func alteredRulesNeverTrap() {
    let whole = Array(sigma("sel:\n  user|contains|all: [a, 'b*c?']\n  ip|cidr: 10.0.0.0/8\nkeys: [x]\ncondition: sel and not 1 of k*").utf8)
    var state: UInt64 = 5
    for _ in 0..<3000 {
      var bytes = whole
      for _ in 0..<3 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        bytes[Int(state >> 33) % bytes.count] = UInt8(truncatingIfNeeded: state >> 24)
      }
      _ = SigmaToATR.convert([RuleFile(name: "altered", bytes: bytes)])
    }
  }
}

@Suite struct SigmaCorrelationTests {
  private let failed = """
    title: Failed login
    id: 00000000-0000-0000-0000-000000000001
    name: failed_login
    logsource: {product: linux, service: sshd}
    detection:
      sel: {event.action: ssh-login, event.outcome: failure}
      condition: sel
    """
  private let success = """
    title: Login
    id: 00000000-0000-0000-0000-000000000002
    name: login
    logsource: {product: linux, service: sshd}
    detection:
      sel: {event.action: ssh-login, event.outcome: success}
      filter: {user: [backup, sync]}
      condition: sel and not filter
    """
  private func correlation(_ body: String) -> String {
    "title: C\nid: 00000000-0000-0000-0000-00000000000c\nlevel: high\ndate: 2026-01-05\ncorrelation:\n"
      + body.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n")
  }

  @Test func aCountOfOneConjunctionIsBehavioral() throws {
    let converted = convert(
      failed, correlation("type: event_count\nrules: [failed_login]\ngroup-by: [src_ip, user]\ntimespan: 10m\ncondition: {gte: 5}"))
    #expect(converted.diagnostics.isEmpty)
    let set = load(converted)
    #expect(set.rules.count == 1)
    guard case .behavioral(let behavioral) = try #require(set.rules.first).detection else {
      Issue.record("not behavioral")
      return
    }
    #expect(behavioral.aggregation == .count)
    #expect(behavioral.threshold == 5)
    #expect(behavioral.comparison == .gte)
    #expect(behavioral.window == .minutes(10))
    #expect(behavioral.groupBy == [.known(.sourceIP), .known(.userName)])
    #expect(behavioral.filter.count == 3)
    // And it counts.
    var evaluator = RuleEvaluator(set)
    let event = Array(
      #"{"event":{"event.provider":"sshd","event.action":"SSH-login","event.outcome":"failure","source.ip":"192.0.2.1","user.name":"a"}}"#.utf8)
    for i in 1...5 {
      let answer = String(decoding: try event.withUnsafeBytes { try evaluator.evaluate(line: $0) }, as: UTF8.self)
      #expect(answer.contains("rule_id") == (i == 5))
    }
  }

  @Test func aCountOfMoreIsACorrelation() throws {
    let converted = convert(success, correlation("type: event_count\nrules: [login]\ngroup-by: [src_ip]\ntimespan: 1h\ncondition: {gt: 5}"))
    #expect(converted.diagnostics.isEmpty)
    let set = load(converted)
    #expect(set.rules.count == 2)
    guard case .correlation(let correlation) = try #require(set.rules.first { $0.id.hasPrefix("ATR-COR-") }).detection,
      case .countThreshold(_, let count) = correlation.logic
    else {
      Issue.record("no count")
      return
    }
    #expect(count == 6)
    #expect(correlation.joinKeys == [.known(.sourceIP)])
    let base = try #require(set.rules.first { !$0.id.hasPrefix("ATR-COR-") })
    #expect(base.severity == .informational)
  }

  @Test func distinctValues() throws {
    let set = load(
      convert(failed, correlation("type: value_count\nrules: [failed_login]\ngroup-by: [src_ip]\ntimespan: 1d\ncondition: {field: user, gte: 10}")))
    guard case .behavioral(let behavioral) = try #require(set.rules.first).detection else {
      Issue.record("not behavioral")
      return
    }
    #expect(behavioral.aggregation == .distinct_count)
    #expect(behavioral.metricField == .known(.userName))
  }

  @Test(arguments: [("temporal", false), ("temporal_ordered", true)]) func sequences(_ type: String, _ isOrdered: Bool) throws {
    let converted = convert(
      failed + "\n---\n" + success, correlation("type: \(type)\nrules: [failed_login, login]\ngroup-by: [src_ip]\ntimespan: 5m"))
    #expect(converted.diagnostics.isEmpty)
    let rule = try #require(load(converted).rules.first { $0.id.hasPrefix("ATR-COR-2026-DRAFT-") })
    guard case .correlation(let correlation) = rule.detection else {
      Issue.record("no correlation")
      return
    }
    switch correlation.logic {
    case .temporalSequence(let aliases): #expect(isOrdered && aliases == ["rule_1", "rule_2"])
    case .temporalUnordered(let aliases): #expect(!isOrdered && aliases == ["rule_1", "rule_2"])
    default: Issue.record("another type")
    }
    #expect(correlation.window == .wallTime(.minutes(5)))
  }

  /// A count that becomes behavioral has another id than a correlation, and a sequence over it must name that.
  @Test func aSequenceOverACount() throws {
    func named(_ id: String, _ name: String, _ body: String) -> String {
      "title: \(name)\nid: 00000000-0000-0000-0000-0000000000\(id)\nname: \(name)\nlevel: high\ndate: 2026-01-05\ncorrelation:\n"
        + body.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n")
    }
    // The sequence first: it stands before what it names.
    let sequence = named("d1", "broken_in", "type: temporal_ordered\nrules: [many, login]\ngroup-by: [src_ip]\ntimespan: 1h")
    let many = named("d2", "many", "type: event_count\nrules: [failed_login]\ngroup-by: [src_ip]\ntimespan: 10m\ncondition: {gte: 3}")
    let converted = convert(sequence, failed + "\n---\n" + success, many)
    #expect(converted.diagnostics.map(\.description) == [])
    #expect(converted.leftOut == 0)
    let set = load(converted)
    #expect(set.refusedCount == 0)
    let rule = try #require(set.rules.first { $0.id.hasPrefix("ATR-COR-") })
    guard case .correlation(let correlation) = rule.detection else {
      Issue.record("no correlation")
      return
    }
    let count = try #require(set.rules.first { if case .behavioral = $0.detection { true } else { false } })
    #expect(correlation.sourceRules.first?.ruleIDPattern == count.id)
    #expect(correlation.joinKeys == [.known(.sourceIP)])
    // What only the sequence needs is no alert of its own.
    #expect(count.severity == .informational)
    #expect(rule.severity == .high)
    var evaluator = RuleEvaluator(set)
    func fires(_ outcome: String) throws -> Bool {
      let event = Array(
        #"{"event":{"event.provider":"sshd","event.action":"ssh-login","event.outcome":"\#(outcome)","source.ip":"192.0.2.1","user.name":"a"}}"#.utf8)
      return String(decoding: try event.withUnsafeBytes { try evaluator.evaluate(line: $0) }, as: UTF8.self).contains(rule.id)
    }
    #expect(try ["failure", "failure", "success", "failure", "success"].map(fires) == [false, false, false, false, true])
  }

  @Test func correlationsInACircle() {
    func named(_ name: String, _ other: String) -> String {
      "title: \(name)\nname: \(name)\ncorrelation: {type: temporal, rules: [\(other), login], timespan: 1h}"
    }
    let converted = convert(success, named("a", "b"), named("b", "a"), named("c", "a"))
    #expect(converted.leftOut == 3)
    #expect(converted.documents.count == 1)
    #expect(converted.diagnostics.filter { $0.severity == .error }.allSatisfy { $0.message.contains("lead back to themselves") })
  }

  /// A rule that a correlation refers to is written, and its author told, where the correlation is left out.
  @Test(arguments: [
    "timespan: 1m\ncondition: {lte: 5}", "timespan: 1m\ncondition: {gte: 999999999}", "timespan: 1m\ncondition: {gte: 3, lte: 9}",
    "timespan: soon\ncondition: {gte: 3}",
  ])
  func aRuleDoesNotVanishWithItsCorrelation(_ rest: String) throws {
    let critical = success.replacing("name: login", with: "name: login\nlevel: critical")
    let converted = convert(critical, correlation("type: event_count\nrules: [login]\ngroup-by: [src_ip]\n\(rest)"))
    #expect(converted.leftOut == 1)
    #expect(converted.diagnostics.filter { $0.severity == .error }.count == 1)
    let warning = try #require(converted.diagnostics.first { $0.severity == .warning })
    #expect(warning.message.contains("left out") && warning.location.file == "s1.yml", "\(warning)")
    let set = load(converted)
    #expect(set.rules.map(\.severity) == [.critical])
    #expect(set.rules.first?.responseActions == ["alert"])
  }

  /// A count as rules were written before correlations, where it is only there for a correlation.
  @Test(arguments: [
    "sel:\n  event.outcome: failure\ncondition: sel | count() by src_ip > 5\ntimeframe: 10m",
    "sel:\n  event.outcome: failure\no:\n  user: root\ncondition: sel or not o | count() by src_ip > 5\ntimeframe: 10m",
  ]) func anOldAggregationUnderACorrelation(_ detection: String) throws {
    let old = sigma(detection, logsource: "{product: linux, service: sshd}", extra: "name: many")
    let alone = try #require(load(convert(old)).rules.last)
    #expect(alone.severity == .high && alone.responseActions == ["alert"])
    let converted = convert(old, success, correlation("type: temporal_ordered\nrules: [many, login]\ngroup-by: [src_ip]\ntimespan: 1h"))
    #expect(converted.diagnostics.isEmpty, "\(converted.diagnostics)")
    let set = load(converted)
    #expect(set.rules.filter { $0.severity != .informational }.map(\.title) == ["C"])
    #expect(set.rules.filter { $0.responseActions != ["log_only"] }.map(\.title) == ["C"])
  }

  /// In filters of rules over agents' events a pattern minds case; Sigma's texts do not.
  @Test(arguments: [
    ("tool_name: ShellExec", true), ("tool_name|endswith: Exec", true), ("tool_name: 'Sh*Ex?c'", true), ("tool_name|re|i: 'Exec$'", true),
    ("tool_name|re: 'Exec$'", false), ("tool_name|contains: lExe", true), ("tool_name|startswith: Shell", true),
  ]) func countsOverAgentsEvents(_ item: String, _ ignoresCase: Bool) throws {
    let detection = "sel:\n  \(item)\ncondition: sel | count() by session_id > 1\ntimeframe: 10m"
    let set = load(convert(sigma(detection, logsource: "{product: ai-agent, category: tool-call}")))
    guard case .behavioral = try #require(set.rules.first).detection else {
      Issue.record("not behavioral")
      return
    }
    for (name, fires) in [("ShellExec", true), ("SHELLEXEC", ignoresCase)] {
      var evaluator = RuleEvaluator(set)
      let event = Array(#"{"event":{"event_type":"tool_call","session_id":"s","fields":{"tool_name":"\#(name)"}}}"#.utf8)
      let answers = try (1...2).map { _ in
        String(decoding: try event.withUnsafeBytes { try evaluator.evaluate(line: $0) }, as: UTF8.self).contains("rule_id")
      }
      #expect(answers == [false, fires], "\(name)")
    }
  }

  @Test func oldAggregations() throws {
    let detection = "sel:\n  event.outcome: failure\ncondition: sel | count(user) by src_ip > 5\ntimeframe: 10m"
    let set = load(convert(sigma(detection, logsource: "{product: linux, service: sshd}")))
    guard case .behavioral(let behavioral) = try #require(set.rules.first).detection else {
      Issue.record("not behavioral")
      return
    }
    #expect(behavioral.aggregation == .distinct_count)
    #expect(behavioral.comparison == .gt)
    #expect(behavioral.threshold == 5)
  }

  @Test(arguments: [
    ("type: event_count\nrules: [nowhere]\ngroup-by: [src_ip]\ntimespan: 1m\ncondition: {gte: 1}", "is not among the files"),
    ("type: event_count\nrules: [failed_login]\ngroup-by: [src_ip]\ntimespan: 1m\ncondition: {lt: 5}", "only gt and gte"),
    ("type: event_count\nrules: [failed_login]\ngroup-by: [src_ip]\ntimespan: 1m\ncondition: {gt: 5, lte: 9}", "exactly one"),
    ("type: event_count\nrules: [failed_login, login]\ngroup-by: [src_ip]\ntimespan: 1m\ncondition: {gte: 5}", "over several rules"),
    ("type: value_count\nrules: [login]\ngroup-by: [src_ip]\ntimespan: 1m\ncondition: {gte: 5, field: user}", "needs a rule that is one conjunction"),
    ("type: temporal\nrules: [failed_login]\ngroup-by: [src_ip]\ntimespan: soon", "no duration"),
    (
      "type: temporal\nrules: [failed_login, login]\ngroup-by: [who]\ntimespan: 1m\naliases: {who: {failed_login: user, login: src_ip}}",
      "joins by one field"
    ),
    ("type: value_avg\nrules: [failed_login]\ntimespan: 1m", "must be one of"),
  ]) func whatCorrelationsCannotSay(_ body: String, _ message: String) {
    let converted = convert(failed, success, correlation(body))
    #expect(converted.leftOut >= 1)
    #expect(converted.diagnostics.contains { $0.severity == .error && $0.message.contains(message) }, "\(converted.diagnostics)")
  }
}
