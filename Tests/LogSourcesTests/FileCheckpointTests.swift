// The encoding of checkpoints is canonical and total.
import LogSources
import Primitives
import Testing

@Suite struct FileCheckpointTests {
  static let position = FilePosition(
    identity: FileIdentity(device: 2049, inode: .max, head: Fingerprint(high: 1, low: 2), headLength: 256),
    offset: 123_456, anchor: Fingerprint(high: .max, low: 0), anchorLength: 200)
  static let all: [FileCheckpoint] = [
    FileCheckpoint(current: position),
    FileCheckpoint(
      current: position,
      previous: FilePosition(
        identity: FileIdentity(device: 0, inode: 0, head: Fingerprint(high: 0, low: 0), headLength: 0), offset: .max,
        anchor: Fingerprint(high: 0, low: 0), anchorLength: 0)),
  ]

  @Test(arguments: all) func survivesItsEncoding(_ checkpoint: FileCheckpoint) {
    #expect(FileCheckpoint(json: checkpoint.json) == checkpoint)
    #expect(!checkpoint.json.contains(0x0a))
  }

  @Test func hasOneForm() {
    #expect(
      String(decoding: FileCheckpointTests.all[0].json, as: UTF8.self)
        == #"{"v":1,"device":2049,"inode":18446744073709551615,"head":"00000000000000010000000000000002","head_length":256,"#
        + #""offset":123456,"anchor":"ffffffffffffffff0000000000000000","anchor_length":200}"#)
  }

  @Test(arguments: ["", "{}", "null", "[1]", #"{"v":1}"#, #"{"v":2,"device":1}"#]) func refusesWhatItIsNot(_ text: String) {
    #expect(FileCheckpoint(json: Array(text.utf8)) == nil)
  }

  @Test func neverTrapsOnDamage() {
    var random = Random(state: 99)
    let good = FileCheckpointTests.all[1].json
    for _ in 0..<20_000 {
      var bytes = good
      for _ in 0...random.next(4) {
        let at = random.next(bytes.count)
        switch random.next(4) {
        case 0: bytes[at] = UInt8(random.next(256))
        case 1: bytes.remove(at: at)
        case 2: bytes.insert(contentsOf: Array("999999999999999999".utf8), at: at)
        default: bytes.removeSubrange(at...)
        }
        if bytes.isEmpty { break }
      }
      guard let decoded = FileCheckpoint(json: bytes) else { continue }
      #expect(FileCheckpoint(json: decoded.json) == decoded)
    }
  }

  /// A tail with a checkpoint that fits nothing reads on, and says so.
  @Test func aForeignCheckpointIsSurvived() {
    let directory = TemporaryDirectory()
    directory.appendLines(0..<10, to: "log")
    let tail = FileTail(path: directory["log"], checkpoint: FileCheckpointTests.all[1], rotationGrace: Nanoseconds(0))
    var lines = 0
    while !tail.read({ _, _, _ in lines += 1 }).reachedEnd {}
    #expect(lines == 10)
    #expect(tail.counters.placesLost == 1)
  }
}
