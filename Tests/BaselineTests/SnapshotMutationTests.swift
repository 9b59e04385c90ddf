// A bounded run of what `scripts/fuzz baseline-snapshot` does without end, the same in each run.
import PanguardTestKit
import Primitives
import Testing

@testable import Baseline

@Suite struct SnapshotMutationTests {
  @Test func theSeedIsTaken() {
    let (problem, isTaken) = SnapshotTrial.run(SnapshotTrial.seed())
    #expect(problem == nil && isTaken)
  }

  /// Also numbers as large as a number can be, wherever there is one.
  @Test(arguments: [UInt64(1), 2, 3, 4]) func anySnapshotEndsInAValueOrAnError(_ seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let whole = SnapshotTrial.seed()
    let numbers: [[UInt8]] = [
      [UInt8](repeating: 0xff, count: 9) + [1], [UInt8](repeating: 0xff, count: 8) + [0x7f], [0xfe] + [UInt8](repeating: 0xff, count: 8) + [1], [0],
      [1],
      [0x80, 0x80, 0x80, 0x80, 0x80, 0x20],
    ]
    var taken = 0
    for _ in 0..<400 {
      var bytes = whole
      for _ in 0...Int.random(in: 0..<3, using: &random) {
        // Most of it are the buckets of profiles: the heads of the tables lie before.
        let at = Int.random(in: 0..<(random.next() % 2 == 0 ? 80 : bytes.count), using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 0..<20, using: &random)))
        default: bytes.replaceSubrange(at...at, with: numbers[Int.random(in: 0..<numbers.count, using: &random)])
        }
      }
      let (problem, isTaken) = SnapshotTrial.run(bytes)
      taken += isTaken ? 1 : 0
      #expect(problem == nil, "\(problem ?? ""): \(bytes)")
    }
    #expect(taken > 10)
  }

  /// Every number of it in turn as large as it can be.
  @Test func noNumberIsTooLarge() {
    let whole = SnapshotTrial.seed()
    for at in whole.indices {
      for number in [[UInt8](repeating: 0xff, count: 9) + [1], [0xfe] + [UInt8](repeating: 0xff, count: 8) + [1]] {
        var bytes = whole
        bytes.replaceSubrange(at...at, with: number)
        let (problem, _) = SnapshotTrial.run(bytes)
        #expect(problem == nil, "\(problem ?? "") at \(at)")
      }
    }
  }
}
