// DNS messages as bytes, and what they become.
import Events
import Primitives
import Testing

@testable import PacketParsers
@testable import PanguardTestKit

/// Labels into a name of RFC 1035 3.1.
func dnsName(_ name: String) -> [UInt8] {
  (name.isEmpty ? [] : name.split(separator: ".").flatMap { vector8(Array($0.utf8)) }) + [0]
}

struct DNSBuilder {
  var id = 0x1234
  var flags = 0x0100
  var questions: [(name: [UInt8], type: Int)] = [(dnsName("www.Example.COM"), 1)]
  var answers: [[UInt8]] = []
  var others: [[UInt8]] = []
  /// The owner is the first question's name.
  static func record(_ type: Int, _ data: [UInt8], ttl: Int = 300, owner: [UInt8] = [0xc0, 12]) -> [UInt8] {
    owner + u16(type) + u16(1) + u16(ttl >> 16) + u16(ttl & 0xffff) + vector16(data)
  }
  var bytes: [UInt8] {
    u16(id) + u16(flags) + u16(questions.count) + u16(answers.count) + u16(0) + u16(others.count)
      + questions.flatMap { $0.name + u16($0.type) + u16(1) } + answers.flatMap { $0 } + others.flatMap { $0 }
  }
  func messages(ports: (UInt16, UInt16) = (40_000, 5000), _ direction: FlowDirection = .toResponder) -> [[String: String]] {
    Conversation("dns", .udp, ports: ports, turns: [(direction, bytes)]).messages()
  }
}

@Suite struct DNSTests {
  @Test func queryOnAnyPort() {
    let heard = DNSBuilder(others: [[0] + u16(41) + u16(1232) + [0, 0, 0, 0] + vector16([])]).messages()
    #expect(
      lines(
        heard, "network.protocol", "client", "dns.type", "dns.id", "dns.op_code", "dns.header_flags", "dns.question.name", "dns.question.type",
        "dns.question.class", "dns.opt.udp_size", "dns.response_code")
        == ["dns yes query 4660 QUERY [\"RD\"] www.example.com A IN 1232 -"])
  }
  @Test func answerWithCompression() {
    let answers = [
      DNSBuilder.record(5, dnsName("edge").dropLast() + [0xc0, 16]),
      DNSBuilder.record(1, [192, 0, 2, 1], owner: vector8(Array("edge".utf8)) + [0xc0, 16]),
      DNSBuilder.record(28, hex("20010db8000000000000000000000001"), ttl: 0),
    ]
    let heard = DNSBuilder(flags: 0x8180, answers: answers).messages(.toOriginator)
    #expect(
      lines(heard, "client", "dns.type", "dns.response_code", "dns.answers_count", "dns.resolved_ip") == [
        "no answer NOERROR 3 [\"192.0.2.1\",\"2001:db8::1\"]"
      ])
    #expect(
      heard.first?["dns.answers"]
        == """
        [{"name":"www.example.com","type":"CNAME","class":"IN","ttl":300,"data":"edge.example.com"},\
        {"name":"edge.example.com","type":"A","class":"IN","ttl":300,"data":"192.0.2.1"},\
        {"name":"www.example.com","type":"AAAA","class":"IN","ttl":0,"data":"2001:db8::1"}]
        """)
  }
  /// Type, data, and how it is shown.
  static let data: [(Int, [UInt8], String)] = [
    (2, dnsName("ns1.example.com"), "ns1.example.com"),
    (12, [0xc0, 12], "www.example.com"),
    (15, u16(10) + dnsName("mx.example.com"), "10 mx.example.com"),
    (16, vector8(Array("v=spf1 ".utf8)) + vector8(Array("-all\"".utf8)), "v=spf1 -all\""),
    (33, u16(1) + u16(2) + u16(443) + dnsName("a.b"), "1 2 443 a.b"),
    (6, dnsName("m.x") + dnsName("h.x") + hex("00000001 00000002 00000003 00000004 00000005"), "m.x h.x 1 2 3 4 5"),
    (257, [0] + vector8(Array("issue".utf8)) + Array("ca.example".utf8), "0 issue ca.example"),
    (
      65, u16(1) + [0] + u16(1) + vector16(vector8(Array("h2".utf8)) + vector8(Array("h3".utf8))) + u16(4) + vector16([192, 0, 2, 9]),
      "1 . alpn=h2,h3 ipv4hint=192.0.2.9"
    ),
    (10, [0xde, 0xad], "dead"),
    (2, dnsName("").dropLast() + [0xc0, 200], "c0c8"),
    (1, [1, 2, 3], "010203"),
  ]
  @Test(arguments: data.indices) func recordData(_ i: Int) throws {
    let (type, data, shown) = DNSTests.data[i]
    let heard = DNSBuilder(flags: 0x8180, answers: [DNSBuilder.record(type, data)]).messages(ports: (40_000, 53), .toOriginator)
    let answers = try #require(heard.first?["dns.answers"])
    var quoted: [UInt8] = []
    Array(shown.utf8).withUnsafeBytes { JSONWriter.appendQuoted($0, to: &quoted) }
    #expect(answers.hasSuffix("\"data\":\(String(decoding: quoted, as: UTF8.self))}]"), "\(answers)")
  }
  @Test(arguments: [
    (hex("00"), ""), (hex("03 61 2e 62 00"), "a\\.b"), (hex("02 5c 00 00"), "\\\\\\000"), (hex("04 63 61 66 e9 00"), "caf\\233"),
    (hex("05 63 61 66 c3 a9 00"), "café"),
  ]) func names(_ wire: [UInt8], _ shown: String) {
    #expect(DNSBuilder(questions: [(wire, 1)]).messages(ports: (40_000, 53)).first?["dns.question.name"] == shown)
  }
  /// What goes in circles, forward, or beyond 255 bytes is no name.
  @Test(arguments: [hex("c00c"), hex("c00e 0161"), hex("0161 c00c"), hex("c0"), hex("40"), hex("3f 61"), hex("0161")])
  func namesThatAreNone(_ wire: [UInt8]) {
    #expect(DNSBuilder(questions: [(wire, 1)]).messages(ports: (40_000, 53)).isEmpty)
  }
  @Test func longestName() {
    let label = vector8([UInt8](repeating: 0x61, count: 63))
    let fits = label + label + label + vector8([UInt8](repeating: 0x62, count: 61)) + [0]
    #expect(fits.count == 255)
    #expect(DNSBuilder(questions: [(fits, 1)]).messages().count == 1)
    #expect(DNSBuilder(questions: [(label + label + label + label + [0], 1)]).messages(ports: (40_000, 53)).isEmpty)
  }
  @Test func namesOfPointersCostLittle() {
    // Each record's name is a chain through all of those before it.
    var bytes = DNSBuilder(flags: 0x8180).bytes
    var last = 12
    var count = 0
    while bytes.count < 60_000, last < 0x3fff {
      let at = bytes.count
      bytes += u16(0xc000 | last) + u16(1) + u16(1) + [0, 0, 0, 0] + u16(0)
      last = at
      count += 1
    }
    bytes.replaceSubrange(6..<8, with: u16(count))
    #expect(Conversation("chain", .udp, ports: (40_000, 53), turns: [(.toOriginator, bytes)]).messages().count == 1)
  }
  @Test func eachQuestionIsAMessage() {
    let heard = DNSBuilder(flags: 0, questions: [(dnsName("_ipp._tcp.local"), 12), ([0xc0, 17], 12)]).messages(ports: (5353, 5353))
    #expect(lines(heard, "network.protocol", "dns.question.name") == ["mdns _ipp._tcp.local", "mdns _tcp.local"])
  }
  @Test func whatIsCutCountsWhereThePortIsDNS() {
    let whole = DNSBuilder(flags: 0x8180, answers: [DNSBuilder.record(1, [192, 0, 2, 1])]).bytes
    let cut = Array(whole.dropLast(2))
    #expect(Conversation("cut", .udp, ports: (40_000, 53), turns: [(.toOriginator, cut)]).messages().count == 1)
    #expect(Conversation("cut", .udp, turns: [(.toOriginator, cut)]).messages().isEmpty)
  }
  @Test func otherDatagramsAreNone() {
    let netBIOS =
      u16(7) + u16(0x0110) + u16(1) + u16(0) + u16(0) + u16(0) + vector8(Array("CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".utf8)) + [0] + u16(33) + u16(1)
    #expect(Conversation("netbios", .udp, ports: (137, 137), turns: [(.toResponder, netBIOS)]).messages().isEmpty)
    var random = Randomness(state: 1)
    var heard = 0
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0..<80, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      heard += Conversation("noise", .udp, turns: [(.toResponder, bytes)]).messages().count
    }
    #expect(heard == 0)
  }
  @Test func unknownDatagramsAreGivenUp() {
    var listener = Listener(.udp)
    for _ in 0..<2 { listener.hear([1, 2, 3], .toResponder) }
    #expect(listener.demand == .more)
    listener.hear([1, 2, 3], .toResponder)
    #expect(listener.demand == .enough)
    #expect(listener.context.counters.unknownFlows == 1)
  }
  @Test func overTCPBehindAGap() {
    let messages = ["a.example", "b.example", "c.example"].map { vector16(DNSBuilder(questions: [(dnsName($0), 1)]).bytes) }
    var listener = Listener(ports: (40_000, 53))
    listener.hear(messages[0], .toResponder)
    #expect(listener.layer.gap(messages[1].count, .toResponder) == .more)
    listener.hear(messages[2], .toResponder)
    #expect(lines(listener.messages, "dns.question.name") == ["a.example", "c.example"])
  }
  @Test func rulesSeeAListInJSON() throws {
    var event = Event()
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    event.set(.dnsAnswers, "[{\"type\":\"A\"}]" as StaticString)
    event.set(.dnsResolvedIP, "[broken" as StaticString)
    var json = JSONWriter()
    json.beginObject()
    event.writeFields(to: &json)
    json.endObject()
    #expect(String(decoding: json.out, as: UTF8.self).hasSuffix("\"dns.answers\":[{\"type\":\"A\"}],\"dns.resolved_ip\":\"[broken\"}"))
    var back = Event()
    back.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    try json.out.withUnsafeBytes { try back.setFields(fromJSON: $0) }
    #expect(back.text(.dnsAnswers)?.string == "[{\"type\":\"A\"}]")
  }
}
