import Primitives
import Testing

@Suite struct UUIDv7Tests {
  @Test(arguments: [
    // The time of RFC 9562's own example (A.6), which is 0x017F22E279B0.
    (1_645_557_742_000_000_000, UInt64.max, UInt64.max, "017f22e2-79b0-7fff-bfff-ffffffffffff"),
    (1_645_557_742_000_999_999, 0xcc3, 0x18c4_dc0c_0c07_398f, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"),
    (0, 0, 0, "00000000-0000-7000-8000-000000000000"),
    (-5, 0, 0, "00000000-0000-7000-8000-000000000000"),
  ])
  func text(_ nanoseconds: Int64, _ high: UInt64, _ low: UInt64, _ expected: String) {
    #expect(UUIDv7.text(time: EventTime(nanoseconds: nanoseconds), hash: Fingerprint(high: high, low: low)) == expected)
  }
}
