// A bounded run of what `scripts/fuzz input-records` does without end, the same in each run.
import PanguardTestKit
import Primitives
import Testing

@testable import InputJournal

@Suite struct RecordMutationTests {
  @Test func theSeedHoldsEveryKindOfRecord() {
    let seed = RecordTrial.seed()
    let (problem, records) = seed.withUnsafeBytes { RecordTrial.run($0) }
    #expect(problem == nil && records == 16)
  }

  @Test(arguments: [UInt64(1), 2, 3, 4]) func anyRecordsAreWrittenAsTheyWereRead(_ seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let whole = RecordTrial.seed()
    var records = 0
    for _ in 0..<600 {
      let bytes = mutated(whole, &random)
      let (problem, count) = bytes.withUnsafeBytes { RecordTrial.run($0) }
      records += count
      #expect(problem == nil, "\(problem ?? ""): \(bytes)")
    }
    #expect(records > 1500)
  }
  /// Any number of records with bytes changed, put in, doubled and left out.
  private func mutated(_ seed: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
    var bytes = seed
    for _ in 0...Int.random(in: 0..<5, using: &random) {
      let at = Int.random(in: 0...bytes.count, using: &random)
      let end = min(bytes.count, at + Int.random(in: 0..<20, using: &random))
      switch Int.random(in: 0..<5, using: &random) {
      case 0: bytes.insert(contentsOf: [UInt8](repeating: 0xff, count: Int.random(in: 1..<11, using: &random)), at: at)
      case 1: bytes.removeSubrange(at..<end)
      case 2: bytes.insert(contentsOf: bytes[at..<end], at: Int.random(in: 0...bytes.count, using: &random))
      default: if at < bytes.count { bytes[at] = UInt8.random(in: 0...255, using: &random) }
      }
    }
    return bytes
  }

  @Test func anyHeaderEndsInAValueOrAnError() {
    var random = SplitMix64(seed: 9)
    let pieces = [
      "{", "}", "[", "]", ":", ",", "\"", "\"fields\":", "\"format\":1", "\"start\":\"cold\"", "\"sequence\":-9", "\"\"", "1", "null", "\\u0000",
    ]
    for _ in 0..<600 {
      var text = random.next() % 2 == 0 ? "{\"format\":1,\"start\":\"cold\"," : ""
      for _ in 0..<Int.random(in: 0..<20, using: &random) { text += pieces[Int.random(in: 0..<pieces.count, using: &random)] }
      var copy = text
      let problem = copy.withUTF8 { RecordTrial.run(Bytes($0)).problem }
      #expect(problem == nil, "\(text)")
    }
  }
}
