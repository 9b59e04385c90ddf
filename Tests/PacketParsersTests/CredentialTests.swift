// Logins in the clear, by protocol: who, how, whether it was accepted; and never the secret.
import Events
import Primitives
import Testing

@testable import PacketParsers
@testable import PanguardTestKit

@Suite struct CredentialTests {
  struct Case: Sendable {
    var name: String
    var turns: [String]
    var expected: [String]
  }
  /// Every secret in these is "s3cret", in the clear or in base64.
  static let cases: [Case] = [
    Case(
      name: "ftp",
      turns: [
        "< 220 (vsFTPd 3.0.5)\r\n", "> USER bob\r\n", "< 331 Password?\r\n", "> PASS s3cret\r\n", "< 530 no\r\n", "> user carol\r\n", "< 331 \r\n",
        "> pass s3cret\r\n", "< 230-Welcome\r\n",
      ],
      expected: ["> ftp bob pass 1 unknown", "< ftp bob pass 1 failure", "> ftp carol pass 1 unknown", "< ftp carol pass 1 success"]),
    Case(
      name: "smtp plain",
      turns: [
        "< 220 mx.example.org ESMTP Postfix\r\n", "> EHLO me\r\n", "< 250-AUTH PLAIN\r\n250 OK\r\n", "> AUTH PLAIN AGRhdmUAczNjcmV0\r\n",
        "< 235 2.7.0 ok\r\n",
      ],
      expected: ["> smtp dave plain 1 unknown", "< smtp dave plain 1 success"]),
    Case(
      name: "smtp login",
      turns: [
        "> EHLO me\r\n", "< 250 OK\r\n", "> auth login\r\n", "< 334 VXNlcm5hbWU6\r\n", "> ZXZl\r\n", "< 334 UGFzc3dvcmQ6\r\n", "> czNjcmV0\r\n",
        "< 535 bad\r\n",
      ],
      expected: ["> smtp eve login 1 unknown", "< smtp eve login 1 failure"]),
    Case(
      name: "smtp challenge",
      turns: ["< 220 x SMTP\r\n", "> AUTH CRAM-MD5\r\n", "< 334 PDE+\r\n", "> ZnJlZCBhYmNk\r\n", "< 235 ok\r\n"],
      expected: ["> smtp fred cram - unknown", "< smtp fred cram - success"]),
    Case(
      name: "pop3", turns: ["< +OK ready\r\n", "> USER gil\r\n", "< +OK\r\n", "> PASS s3cret\r\n", "< -ERR\r\n"],
      expected: ["> pop3 gil pass 1 unknown", "< pop3 gil pass 1 failure"]),
    Case(
      name: "imap",
      turns: ["< * OK [CAPABILITY IMAP4rev1] hi\r\n", "> a1 LOGIN \"hal\" \"s3cret\"\r\n", "< * BYE x\r\na2 NO\r\na1 OK done\r\n"],
      expected: ["> imap hal login 1 unknown", "< imap hal login 1 success"]),
    Case(
      name: "redis",
      turns: [
        "> *2\r\n$4\r\nAUTH\r\n$6\r\ns3cret\r\n", "< -WRONGPASS\r\n", "> *3\r\n$4\r\nauth\r\n$3\r\nian\r\n$6\r\ns3cret\r\n", "< +OK\r\n",
      ],
      expected: ["> redis default auth 1 unknown", "< redis default auth 1 failure", "> redis ian auth 1 unknown", "< redis ian auth 1 success"]),
  ]
  @Test(arguments: cases) func login(_ test: Case) {
    let heard = Conversation(test.name, lines: test.turns).messages()
    #expect(
      lines(heard, "way", "network.protocol", "user.name", "panguard.auth.method", "panguard.auth.cleartext", "event.outcome") == test.expected)
    for secret in ["s3cret", "czNjcmV0", "AGRhdmUAczNjcmV0"] { #expect(!"\(heard)".contains(secret)) }
  }
  @Test func failuresCountOnce() {
    let heard = Conversation(CredentialTests.cases[0].name, lines: CredentialTests.cases[0].turns).messages()
    #expect(heard.compactMap { $0["panguard.attempt.count"] } == ["1"])
  }
  @Test func telnet() {
    func iac(_ text: String) -> [UInt8] { hex("fffd18 fffa18 01 fff0") + Array(text.utf8) }
    let heard = Conversation(
      "telnet", ports: (50_000, 23),
      turns: [
        (.toOriginator, iac("host login: ")), (.toResponder, hex("fffb18")), (.toResponder, Array("ji".utf8)),
        (.toResponder, Array("mx\u{7f}\r\n".utf8)),
        (.toOriginator, Array("jim\r\nPassword: ".utf8)), (.toResponder, Array("s3cret\r\n".utf8)),
        (.toOriginator, Array("\r\nLogin incorrect\r\n".utf8)),
      ]
    ).messages()
    #expect(lines(heard, "way", "user.name", "panguard.auth.method", "event.outcome") == ["> jim telnet unknown", "< jim telnet failure"])
    #expect(!"\(heard)".contains("s3cret"))
  }
  @Test func tlsBehindSTARTTLS() {
    let heard = Conversation(
      "starttls",
      turns: [
        (.toOriginator, Array("220 mx ESMTP\r\n".utf8)), (.toResponder, Array("EHLO x\r\nSTARTTLS\r\n".utf8)),
        (.toOriginator, Array("250 a\r\n220 go\r\n".utf8)),
        (.toResponder, TLSTests.example.records(size: 100)),
      ]
    ).messages()
    #expect(lines(heard, "network.protocol", "event.action") == ["tls tls-client-hello"])
  }
  @Test func nothingIsWantedBehindALogin() {
    var listener = Listener()
    listener.hear(Array("220 FTP\r\n".utf8), .toOriginator)
    listener.hear(Array("USER a\r\nPASS b\r\n".utf8), .toResponder)
    listener.hear(Array("331 x\r\n230 in\r\n".utf8), .toOriginator)
    #expect(listener.demand == .enough)
    listener.hear(Array("RETR x\r\n".utf8), .toResponder)
    #expect(listener.demand == .enough)
  }
  @Test func mailIsNotRead() {
    var listener = Listener()
    listener.hear(Array("220 mx ESMTP\r\n".utf8), .toOriginator)
    listener.hear(Array("EHLO a\r\nMAIL FROM:<a@b>\r\n".utf8), .toResponder)
    #expect(listener.demand == .enough)
  }
}
