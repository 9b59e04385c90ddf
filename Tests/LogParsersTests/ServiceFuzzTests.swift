// Every parser of this directory over mutated lines, from a fixed seed: nothing traps, what is not recognised sets nothing, the same
// line gives the same event, and no ambiguous line has an address. Then access lines built by a reference writer from hostile parts.
import Events
import PanguardTestKit
import Primitives
import Testing

@testable import LogParsers

private let parsers: [(name: String, parse: @Sendable (Bytes, inout Event) -> Bool)] = [
  ("sudo", ServiceParser.sudo.parse), ("su", ServiceParser.su.parse), ("login", ServiceParser.login.parse), ("cron", ServiceParser.cron.parse),
  ("systemd", ServiceParser.systemd.parse), ("logind", ServiceParser.logind.parse), ("shadow", ServiceParser.shadow.parse),
  ("kernel", ServiceParser.kernel.parse), ("nginx", ServiceParser.nginx.parse), ("apache", ServiceParser.apache.parse),
  ("access", { WebAccess.parse($0, into: &$1) }), ("error", { WebError.parse($0, into: &$1) }), ("json", { JSONLine.parse($0, into: &$1) }),
  ("generic", { GenericMessage.parse($0, into: &$1) }),
]
private let seeds: [[UInt8]] =
  (SudoTests.cases + SuTests.cases + LoginTests.cases + CronTests.cases + SystemdTests.cases + SystemdTests.logindCases + ShadowTests.cases
  + KernelTests.cases + WebAccessTests.cases + WebErrorTests.nginxCases + WebErrorTests.apacheCases + JSONLineTests.cases + GenericMessageTests.cases)
  .map { Array($0.line.utf8) }
private let tokens: [[UInt8]] = [
  " ; USER=", " ; COMMAND=", " : ", "\"", "\\\"", "\\x22", "%2e", "%c0%ae", "%", "\\", "[", "]", "{", "}", ", client: 192.0.2.1, server: ", "' to '",
  "192.0.2.1", "::1", " ", "=", "IN= OUT=", "SRC=", "\0", "\u{ff}", "99999999999999999999", "-", "[client ", ")", "(", "/", "HTTP/1.1", "\n",
].map { Array($0.utf8) }

private func mutate(_ line: inout [UInt8], _ random: inout SplitMix64) {
  for _ in 0..<Int.random(in: 1...4, using: &random) {
    let at = Int.random(in: 0...line.count, using: &random)
    switch Int.random(in: 0..<7, using: &random) {
    case 0: if at < line.count { line[at] = UInt8.random(in: 0...255, using: &random) }
    case 1: if at < line.count { line.remove(at: at) }
    case 2: line.insert(contentsOf: tokens.randomElement(using: &random)!, at: at)
    case 3: line.removeSubrange(at...)
    case 4: line.insert(contentsOf: seeds.randomElement(using: &random)!.prefix(200), at: at)
    case 5:
      let end = Int.random(in: at...line.count, using: &random)
      line.insert(contentsOf: Array(line[at..<end].prefix(64)), at: at)
    default:
      let end = Int.random(in: at...line.count, using: &random)
      line.removeSubrange(at..<end)
    }
  }
}

@Suite struct ServiceFuzzTests {
  @Test func mutatedLinesNeverTrap() {
    var random = SplitMix64(seed: 0x7061_6e67)
    var event = Event()
    var again = Event()
    var recognised = 0
    for round in 0..<30_000 {
      var line = seeds[round % seeds.count]
      mutate(&line, &random)
      for parser in parsers {
        line.withUnsafeBytes { _ = event.begin(raw: $0, origin: EventOrigin(source: 0, offset: 0, length: 0)) }
        event.time = .zero
        let found = parser.parse(event.raw, &event)
        guard found else {
          if !fieldTexts(event).isEmpty { Issue.record("\(parser.name) set fields without recognising \(line.debug)") }
          continue
        }
        recognised += 1
        if event.integer(.isAmbiguous) == 1, event.has(.sourceIP) { Issue.record("\(parser.name) blames an address for \(line.debug)") }
        if round % 16 == 0 {
          line.withUnsafeBytes { _ = again.begin(raw: $0, origin: EventOrigin(source: 0, offset: 0, length: 0)) }
          again.time = .zero
          _ = parser.parse(again.raw, &again)
          if fieldTexts(event) != fieldTexts(again) || event.time != again.time { Issue.record("\(parser.name) differs on \(line.debug)") }
        }
      }
    }
    #expect(recognised > 10_000)
  }

  /// Time and memory stay linear: the longest lines of the worst kinds, through every parser.
  @Test(arguments: [
    "\"", "\\\"", "\\", "%", "%25", "\\x", " ; ", " ; USER=", ", client: 192.0.2.1, server: ", "{\"a\":", "a=b ", "a=\"", "[SRC=", "IN= ", "' to '",
    " : ", "(", "\" 200 5 ", "user \"", "add '", "[client ", " FOR ", " on ", ") ", "1.1.1.1, ", "] \"", "[", "\", client: 192.0.2.1, server: ",
    "\" was not found in \"",
  ]) func longLinesAreRead(_ unit: String) {
    let bytes = Array(unit.utf8)
    for head in [
      "", "alice : ", "(to ", "(a) CMD (", "add '", "user \"", "203.0.113.7 - - [05/Jan/2026:10:20:30 +0000] \"GET /", "IN=a OUT= ", "{", "a=",
      "2021/09/30 09:23:53 [error] 88#88: *17 user \"", "[Thu Oct 13 12:24:49 2022] [core:error] ", "FAILED LOGIN (1) on '/dev/tty1' FOR 'x', ",
      "1.1.1.1, ",
    ] {
      var line = Array(head.utf8)
      while line.count < Limits.lineBytes { line += bytes }
      for parser in parsers { _ = parsed(line, parser.parse) }
    }
  }

  // MARK: A reference writer of access lines

  /// nginx's default escaping (ngx_http_log_escape) and Apache's (ap_escape_logitem).
  private static func escape(_ text: String, apache: Bool) -> String {
    var out = ""
    for byte in text.utf8 {
      switch byte {
      case 0x22 where apache: out += "\\\""
      case 0x5c where apache: out += "\\\\"
      case 0x0a where apache: out += "\\n"
      case 0x09 where apache: out += "\\t"
      case 0x22, 0x5c, 0..<0x20, 0x7f...:
        let digits = String(byte, radix: 16, uppercase: !apache)
        out += "\\x" + (digits.count == 1 ? "0" : "") + digits
      default: out.unicodeScalars.append(Unicode.Scalar(byte))
      }
    }
    return out
  }
  private static let parts = [
    "\"", "\\", " ", "[", "]", "-", "\" 200 5 \"-\" \"", "[06/Jan/2026:00:00:00 +0000] \"GET / HTTP/1.1\" 200 1", "192.0.2.1", " - - ", "%", "%41",
    "?", "/",
    "x", "\n", "\t", "\u{1}", "é", "\\x22", "\\\"", "HTTP/1.1", "+", ",", ":",
  ]

  @Test(arguments: [false, true]) func whatAClientWritesMovesNothing(_ apache: Bool) {
    var random = SplitMix64(seed: apache ? 7 : 8)
    func text(_ longest: Int) -> String {
      (0..<Int.random(in: 1...longest, using: &random)).map { _ in ServiceFuzzTests.parts.randomElement(using: &random)! }.joined()
    }
    for _ in 0..<5000 {
      let user = "u" + text(4) + "u"
      let target = "/" + text(8)
      let referrer = "r" + text(6)
      let agent = "a" + text(6)
      let status = Int.random(in: 100...599, using: &random)
      func escaped(_ text: String) -> String { ServiceFuzzTests.escape(text, apache: apache) }
      let line =
        "203.0.113.7 - \(escaped(user)) [05/Jan/2026:10:20:30 +0000] \"GET \(escaped(target)) HTTP/1.1\" \(status) 17 \"\(escaped(referrer))\" \"\(escaped(agent))\""
      guard let result = parsed(line, WebAccess.parse(_:into:)) else {
        Issue.record("not read: \(line)")
        continue
      }
      let fields = result.fields
      let expected = [
        "source.ip": "203.0.113.7", "user.name": user, "url.original": escaped(target), "http.response.status_code": "\(status)",
        "http.response.body.bytes": "17", "http.request.referrer": referrer, "user_agent.original": agent, "event.action": "http-request",
      ]
      for (name, value) in expected where fields[name] != value { Issue.record("\(name) is \(fields[name] ?? "nil") in \(line)") }
      if result.time.description != "2026-01-05T10:20:30Z" { Issue.record("time \(result.time) in \(line)") }
    }
  }
}

extension Array where Element == UInt8 {
  fileprivate var debug: String { String(decoding: self, as: UTF8.self).debugDescription }
}
