import Primitives
import Testing

@Suite struct IPAddressTests {
  @Test(arguments: [
    ("192.0.2.1", "192.0.2.1"), ("255.255.255.255", "255.255.255.255"), ("0.0.0.0", "0.0.0.0"), ("::", "::"), ("::1", "::1"), ("1::", "1::"),
    ("2001:DB8::1", "2001:db8::1"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
    ("::ffff:192.0.2.1", "192.0.2.1"), ("::ffff:c000:201", "192.0.2.1"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("fe80::0:0:1", "fe80::1"),
  ])
  func parsesAndPrintsCanonically(_ text: String, _ canonical: String) throws {
    let address = try #require(IPAddress(text))
    #expect(address.description == canonical)
    #expect(IPAddress(canonical) == address)
  }

  @Test(arguments: [
    "", ".", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", "1.2.3.04", "1..2.3", ":", ":::", "1::2::3", "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "12345::", "g::", "::1%eth0", "[::1]", "1.2.3.4/32", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "1:2:3:4:5:6:7:8:", ":1:2:3:4:5:6:7:8", "1.2.3.4\u{0}",
  ])
  func refuses(_ text: String) { #expect(IPAddress(text) == nil) }

  @Test func masks() throws {
    #expect(try #require(IPAddress("2001:db8:1:2:3:4:5:6")).masked(64).description == "2001:db8:1:2::")
    #expect(try #require(IPAddress("192.0.2.200")).masked(24).description == "192.0.2.0")
    #expect(try #require(CIDR("10.0.0.0/8")).contains(#require(IPAddress("10.255.0.1"))))
    #expect(CIDR("10.0.0.0/33") == nil)
  }
}
