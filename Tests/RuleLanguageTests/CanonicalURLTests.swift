// Spellings of URLs and their one form (RFC 3986, section 6).
import Primitives
import RuleLanguage
import Testing

@Suite struct CanonicalURLTests {
  @Test(arguments: [
    ("https://Example.COM/a", "https://example.com/a"),
    ("HTTP://example.com:80/a/", "http://example.com/a"),
    ("http://example.com:/", "http://example.com"),
    ("http://example.com", "http://example.com"),
    ("http://example.com:8080/", "http://example.com:8080"),
    ("https://example.com:443", "https://example.com"),
    ("https://example.com/a/b/../c/./d", "https://example.com/a/c/d"),
    ("https://example.com/../../a", "https://example.com/a"),
    ("https://example.com/a/..", "https://example.com"),
    ("https://example.com/%7Euser/%2e%2E/%c3%a9%2f", "https://example.com/%C3%A9%2F"),
    ("https://example.com/a#b?c", "https://example.com/a"),
    ("https://example.com?x=%3d/", "https://example.com?x=%3D/"),
    ("https://User@EXAMPLE.com/a", "https://User@example.com/a"),
    ("https://[2001:DB8::1]:443/x", "https://[2001:db8::1]/x"),
    ("https://ex%41mple.com/", "https://example.com"),
    ("https://example.com/%zz%4", "https://example.com/%zz%4"),
    ("git+ssh://host/a//b///", "git+ssh://host/a//b"),
  ])
  func forms(_ text: String, _ form: String) {
    #expect(CanonicalURL.of(text.utf8).map { String(decoding: $0, as: UTF8.self) } == form)
    #expect(CanonicalURL.of(form.utf8).map { String(decoding: $0, as: UTF8.self) } == form, "canonical twice")
  }

  @Test(arguments: [
    "", ":", "://", "a", "http:", "http:/", "http://", "http:///x", "1http://x", "http//x", "#http://x", "mailto:a@b", "http://#x", "http://:80/",
  ])
  func others(_ text: String) { #expect(CanonicalURL.of(text.utf8) == nil) }

  @Test func anyBytes() {
    var state: UInt64 = 7
    func next() -> UInt8 {
      state = state &* 6_364_136_223_846_793_005 &+ 1
      let alphabet: [UInt8] = Array("ht:/%.2eE@[]?#a".utf8) + [0, 0xff]
      return alphabet[Int(state >> 33) % alphabet.count]
    }
    for _ in 0..<2000 {
      let text = Array("http://".utf8) + (0..<40).map { _ in next() }
      guard let once = CanonicalURL.of(text) else { continue }
      // Decoding an escape may bring another one together ("%2" "%35"): what matters is that nothing traps and no fragment is left.
      #expect(!once.contains(0x23))
    }
    let long = Array("http://h".utf8) + [UInt8](repeating: 0x2f, count: 1_000_000) + Array("../".utf8)
    #expect(CanonicalURL.of(long) != nil)
  }
}
