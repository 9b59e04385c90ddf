import Glibc
import Testing

@Suite("Mutated packets")
struct MutationTests {
  /// No trap, no endless loop, every flow told once. PANGUARD_MUTATIONS: another number of packets.
  @Test func nothingStopsTheAnalyzer() {
    let count = getenv("PANGUARD_MUTATIONS").flatMap { Int(String(cString: $0)) } ?? 200_000
    var packets = MutatedPackets(seed: 20_260)
    for _ in 0..<count { packets.step() }
    let (begun, told, messages) = packets.finish()
    #expect(UInt64(told) == begun && messages > count / 200)
  }
}
