// Registered domains. The names of the table are checked against what libpsl itself says of the whole name, so that a newer list changes both.
import CPSL
import Primitives
import Testing

@testable import PacketParsers

@Suite struct PublicSuffixesTests {
  static func registered(_ suffixes: PublicSuffixes, _ name: String) -> String? {
    var bytes = Array(name.utf8)
    return bytes.withUnsafeMutableBytes { name in
      let name = Bytes(name)
      return suffixes.registeredDomain(in: name).map { name.from($0).string }
    }
  }
  /// The library's pointer goes into the text that it was given.
  static func library(_ name: String) -> String? { name.withCString { psl_registrable_domain(psl_builtin(), $0).map { String(cString: $0) } } }
  /// Name, registered domain.
  static let table: [(String, String?)] = [
    ("www.example.com", "example.com"), ("example.com", "example.com"), ("com", nil), ("a.b.c.example.co.uk", "example.co.uk"), ("co.uk", nil),
    // Wildcards and exceptions.
    ("kawasaki.jp", nil), ("x.kawasaki.jp", nil), ("a.x.kawasaki.jp", "a.x.kawasaki.jp"), ("b.a.x.kawasaki.jp", "a.x.kawasaki.jp"),
    ("a.city.kawasaki.jp", "city.kawasaki.jp"),
    // The private section: customers of one network are no neighbours.
    ("d111111abcdef8.cloudfront.net", "d111111abcdef8.cloudfront.net"), ("a.d111111abcdef8.cloudfront.net", "d111111abcdef8.cloudfront.net"),
    // International names as bytes and as ASCII.
    ("www.食狮.公司.cn", "食狮.公司.cn"), ("www.xn--85x722f.xn--55qx5d.cn", "xn--85x722f.xn--55qx5d.cn"),
    // A top that the list does not have counts as a suffix.
    ("host.corp.internal", "corp.internal"), ("x.t1.tunnel-a.example", "tunnel-a.example"),
    ("localhost", nil), ("", nil), ("a", nil), ("192.0.2.1", nil), ("host.9", nil),
    // Dots inside labels are none.
    (#"a\.b.com"#, #"a\.b.com"#), (#"x.a\\.com"#, #"a\\.com"#), (#"\.com"#, nil),
  ]
  @Test(arguments: table.indices) func registeredDomains(_ i: Int) {
    let (name, expected) = PublicSuffixesTests.table[i]
    let suffixes = PublicSuffixes()
    #expect(PublicSuffixesTests.registered(suffixes, name) == expected)
    #expect(PublicSuffixesTests.registered(suffixes, name) == expected, "the second time, from memory")
    guard !name.contains("\\"), expected != nil else { return }
    #expect(PublicSuffixesTests.library(name) == expected)
  }

  /// Many names in one memory: what is remembered of one is not told of another.
  @Test func sameAsTheLibrary() {
    let suffixes = PublicSuffixes()
    let tops = ["com", "co.uk", "ck", "www.ck", "compute.amazonaws.com", "s3.dualstack.eu-west-1.amazonaws.com", "kobe.jp", "nosuchtop", "github.io"]
    for i in 0..<20_000 {
      let name = "a\(i % 7).b\(i % 911).c\(i % 13).\(tops[i % tops.count])"
      let expected = PublicSuffixesTests.library(name)
      #expect(PublicSuffixesTests.registered(suffixes, name) == expected, "\(name)")
    }
  }
  @Test func hostileNames() {
    let suffixes = PublicSuffixes()
    for name in [
      String(repeating: "a.", count: 126) + "com", String(repeating: "\\", count: 1000), String(repeating: ".", count: 1000),
      String(repeating: "\\.", count: 500), String(repeating: "x", count: 1000) + ".com", "com." + String(repeating: "y", count: 900),
    ] {
      let found = PublicSuffixesTests.registered(suffixes, name)
      #expect(found == nil || name.hasSuffix(found ?? ""))
    }
  }
  @Test func fieldsOfTheMessage() {
    func shown(_ name: String) -> [String?] {
      let heard = DNSBuilder(questions: [(dnsName(name), 1)]).messages(ports: (40_000, 53)).first
      return [heard?["dns.question.registered_domain"], heard?["dns.question.subdomain"]]
    }
    #expect(shown("A.B.Example.CO.UK") == ["example.co.uk", "a.b"])
    #expect(shown("example.com") == ["example.com", nil])
    #expect(shown("com") == [nil, nil])
  }
}
