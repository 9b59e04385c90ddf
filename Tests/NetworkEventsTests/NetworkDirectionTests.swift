// Which way a conversation goes, by RFC 6890's blocks.
import NetworkEvents
import Primitives
import Testing

@Suite struct NetworkDirectionTests {
  @Test(arguments: [
    ("203.0.113.9", "10.0.0.5", "inbound"), ("10.0.0.5", "203.0.113.9", "outbound"), ("10.0.0.5", "192.168.1.1", "internal"),
    ("203.0.113.9", "198.51.100.1", "external"), ("172.15.255.255", "172.16.0.0", "inbound"), ("172.31.255.255", "172.32.0.0", "outbound"),
    ("100.63.255.255", "100.64.0.0", "inbound"), ("100.127.255.255", "100.128.0.0", "outbound"), ("169.254.1.1", "169.253.1.1", "outbound"),
    ("192.167.255.255", "192.169.0.0", "external"), ("127.0.0.1", "127.0.0.53", "internal"), ("10.0.0.5", "239.255.255.250", "internal"),
    ("10.0.0.5", "223.255.255.255", "outbound"), ("0.0.0.0", "255.255.255.255", "internal"), ("2001:db8::1", "fd00::1", "inbound"),
    ("fe80::1", "2001:db8::1", "outbound"), ("fe80::1", "ff02::fb", "internal"), ("fec0::1", "2001:db8::1", "external"), ("::1", "::1", "internal"),
    ("fbff::1", "fe00::1", "external"),
  ])
  func direction(_ source: String, _ destination: String, _ expected: String) throws {
    let (from, to) = (try #require(IPAddress(source)), try #require(IPAddress(destination)))
    #expect("\(NetworkDirection.name(from: from, to: to))" == expected)
  }
}
