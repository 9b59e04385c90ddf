// What is written as blocks, the reader reads back: frames of any length, of several interfaces, in several sections.
import PacketSources
import PanguardTestKit
import Primitives
import Testing

@Suite struct PacketBlocksTests {
  @Test func framesComeBackAsTheyWere() {
    var bytes: [UInt8] = []
    PacketBlocks.appendSection(application: "test", comment: "d\u{1b}[31m ä", to: &bytes)
    PacketBlocks.appendInterface(linkType: 1, snapLength: 0, name: "eth0", to: &bytes)
    PacketBlocks.appendInterface(linkType: 276, snapLength: 65_535, name: "any", to: &bytes)
    let sizes = [0, 1, 2, 3, 4, 60, 1514, 65_535, Limits.frameBytes]
    for (i, size) in sizes.enumerated() {
      let before = bytes.count
      [UInt8](repeating: UInt8(i), count: size).withUnsafeBytes {
        PacketBlocks.appendFrame(
          $0, interface: UInt32(i % 2), time: EventTime(nanoseconds: 1_700_000_000_123_456_789 + Int64(i)), wireBytes: UInt32(size + 1), to: &bytes)
      }
      #expect(bytes.count - before == PacketBlocks.bytes(ofFrame: size))
    }
    PacketBlocks.appendSection(application: "test", to: &bytes)
    PacketBlocks.appendInterface(linkType: 101, snapLength: 0, name: String(repeating: "n", count: 2000), to: &bytes)
    [UInt8(7)].withUnsafeBytes { PacketBlocks.appendFrame($0, interface: 0, time: EventTime(nanoseconds: -5), wireBytes: 1, to: &bytes) }

    let reader = CaptureReader(bytes: bytes)
    for (i, size) in sizes.enumerated() {
      let frame = reader.next()
      #expect(frame?.bytes.count == size && frame?.bytes.allSatisfy { $0 == UInt8(i) } == true && frame?.wireBytes == UInt32(size + 1))
      #expect(frame?.time.nanoseconds == 1_700_000_000_123_456_789 + Int64(i) && frame?.linkType == (i % 2 == 0 ? 1 : 276))
      #expect(reader.interfaceName(frame?.interface ?? .max) == (i % 2 == 0 ? "eth0" : "any"))
    }
    let last = reader.next()
    #expect(last?.time.nanoseconds == 0 && last?.linkType == 101 && last?.interface == 2)
    #expect(reader.interfaceName(2) == String(repeating: "n", count: 64) && reader.interfaceName(0) == "" && reader.interfaceName(.max) == "")
    #expect(reader.next() == nil && reader.failure == nil && reader.comments == 1)
  }
}
