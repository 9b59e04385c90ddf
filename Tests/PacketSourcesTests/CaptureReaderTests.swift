import PacketSources
import PanguardTestKit
import Primitives
import Testing

private typealias Octets = [UInt8]

/// Writes captures byte by byte.
private struct Writer {
  var bytes: Octets = []
  var isBig = false
  mutating func u16(_ value: Int) {
    let pair = [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)]
    bytes += isBig ? pair : pair.reversed()
  }
  mutating func u32(_ value: UInt32) {
    let four = (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) }
    bytes += isBig ? four : four.reversed()
  }
  mutating func padded(_ data: Octets) { bytes += data + Octets(repeating: 0, count: (4 - data.count % 4) % 4) }

  // pcap
  mutating func pcapHeader(_ magic: UInt32, link: UInt32 = 1, snap: UInt32 = 65_535) {
    u32(magic)
    u16(2)
    u16(4)
    u32(0)
    u32(0)
    u32(snap)
    u32(link)
  }
  mutating func pcapFrame(_ seconds: UInt32, _ fraction: UInt32, _ data: Octets, wire: UInt32? = nil) {
    u32(seconds)
    u32(fraction)
    u32(UInt32(data.count))
    u32(wire ?? UInt32(data.count))
    bytes += data
  }

  // pcapng
  mutating func block(_ type: UInt32, _ body: (inout Writer) -> Void) {
    var inner = Writer(isBig: isBig)
    body(&inner)
    let length = UInt32(12 + inner.bytes.count)
    u32(type)
    u32(length)
    bytes += inner.bytes
    u32(length)
  }
  mutating func option(_ code: Int, _ data: Octets) {
    u16(code)
    u16(data.count)
    padded(data)
  }
  mutating func section(comment: String? = nil) {
    block(0x0a0d_0d0a) {
      $0.u32(0x1a2b_3c4d)
      $0.u16(1)
      $0.u16(0)
      $0.u32(.max)
      $0.u32(.max)
      if let comment { $0.option(1, Octets(comment.utf8)) }
    }
  }
  mutating func interface(link: Int = 1, snap: UInt32 = 0, resolution: UInt8? = nil, offset: Octets? = nil) {
    block(1) {
      $0.u16(link)
      $0.u16(0)
      $0.u32(snap)
      if let resolution { $0.option(9, [resolution]) }
      if let offset { $0.option(14, offset) }
      $0.option(0, [])
    }
  }
  mutating func packet(_ interface: UInt32 = 0, _ stamp: UInt64, _ data: Octets, wire: UInt32? = nil, comment: String? = nil) {
    block(6) {
      $0.u32(interface)
      $0.u32(UInt32(truncatingIfNeeded: stamp >> 32))
      $0.u32(UInt32(truncatingIfNeeded: stamp))
      $0.u32(UInt32(data.count))
      $0.u32(wire ?? UInt32(data.count))
      $0.padded(data)
      if let comment { $0.option(1, Octets(comment.utf8)) }
    }
  }
  mutating func simplePacket(_ data: Octets, wire: UInt32? = nil) {
    block(3) {
      $0.u32(wire ?? UInt32(data.count))
      $0.padded(data)
    }
  }
}

private struct Read: Equatable {
  var frames: [String] = []
  var failure: String?
}

/// Each frame as "number time link/interface wire: bytes", read in pieces of at most `chunk` bytes.
private func read(_ file: Octets, chunk: Int = .max) -> (read: Read, reader: CaptureReader) {
  let reader = CaptureReader(bytes: file, step: chunk)
  var out = Read()
  while let frame = reader.next() {
    out.frames.append(
      "\(frame.number) \(frame.time.nanoseconds) \(frame.linkType)/\(frame.interface) \(frame.wireBytes): \(frame.bytes.string)"
        + (frame.comment.isEmpty ? "" : " (\(frame.comment.string))"))
  }
  out.failure = reader.failure.map { "\($0)" }
  return (out, reader)
}
private func hello(_ text: String) -> Octets { Octets(text.utf8) }

@Suite("Capture files")
struct CaptureReaderTests {
  @Test(arguments: [(UInt32(0xa1b2_c3d4), false, 1000), (0xa1b2_c3d4, true, 1000), (0xa1b2_3c4d, false, 1), (0xa1b2_3c4d, true, 1)])
  func pcap(_ magic: UInt32, _ isBig: Bool, _ unit: Int64) {
    var file = Writer(isBig: isBig)
    file.pcapHeader(magic, link: 101)
    file.pcapFrame(1, 2, hello("one"))
    file.pcapFrame(0xffff_ffff, 999, hello("two!"), wire: 1500)
    let (found, reader) = read(file.bytes)
    #expect(found.frames == ["1 \(1_000_000_000 + 2 * unit) 101/0 3: one", "2 \(4_294_967_295_000_000_000 + 999 * unit) 101/0 1500: two!"])
    #expect(found.failure == nil && reader.format == .pcap(nanoseconds: unit == 1, bigEndian: isBig))
  }

  @Test func theLinkTypeIsNotTheWholeWord() {
    var file = Writer()
    file.pcapHeader(0xa1b2_c3d4, link: 0x1400_0001)  // four bytes of frame check sequence
    file.pcapFrame(0, 0, hello("x"))
    #expect(read(file.bytes).read.frames == ["1 0 1/0 1: x"])
  }

  @Test(arguments: [false, true]) func pcapng(_ isBig: Bool) {
    var file = Writer(isBig: isBig)
    file.section(comment: "ours")
    file.interface()
    file.packet(0, 1_000_000, hello("micro"), comment: "look")
    file.interface(link: 113, resolution: 9)
    file.packet(1, 5, hello("nano"))
    file.interface(resolution: 0x80 | 10)
    file.packet(2, 1536, hello("binary"), wire: 99)
    file.block(4) { $0.u32(0) }  // names: passed over
    file.block(0x0bad_cafe) { $0.bytes += Octets(repeating: 1, count: 2_000_000) }
    file.simplePacket(hello("simple"))
    file.isBig.toggle()
    file.section()  // its own byte order, and its own interfaces
    file.interface(link: 101)
    file.packet(0, 7, hello("other"))
    let (found, reader) = read(file.bytes)
    #expect(
      found.frames == [
        "1 1000000000 1/0 5: micro (look)", "2 5 113/1 4: nano", "3 1500000000 1/2 99: binary", "4 1500000000 1/0 6: simple",
        "5 7000 101/3 5: other",
      ])
    #expect(found.failure == nil)
    #expect(reader.sections == 2 && reader.interfaceCount == 4 && reader.comments == 2 && reader.skippedBlocks == 2)
  }

  @Test func clocksMayBeOffset() {
    var file = Writer()
    file.section()
    file.interface(offset: [10, 0, 0, 0, 0, 0, 0, 0])
    file.packet(0, 1, hello("x"))
    #expect(read(file.bytes).read.frames == ["1 10000001000 1/0 1: x"])
  }

  struct Damaged: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    let frames: Int
    let failure: String?
    var testDescription: String { name }
  }
  private static func made(_ body: (inout Writer) -> Void) -> Octets {
    var writer = Writer()
    body(&writer)
    return writer.bytes
  }
  static let damaged: [Damaged] = [
    Damaged(name: "empty", bytes: [], frames: 0, failure: "the file is empty (at byte 0)"),
    Damaged(
      name: "text", bytes: hello("not a capture at all"), frames: 0,
      failure: "neither pcap nor pcapng, nor either of them packed with gzip or xz (at byte 0)"),
    Damaged(
      name: "half a header", bytes: Octets(made { $0.pcapHeader(0xa1b2_c3d4) }.prefix(20)), frames: 0,
      failure: "the file ends inside its header (at byte 0)"),
    Damaged(name: "no frames", bytes: made { $0.pcapHeader(0xa1b2_c3d4) }, frames: 0, failure: nil),
    Damaged(
      name: "cut in a frame",
      bytes: Octets(
        made {
          $0.pcapHeader(0xa1b2_c3d4); $0.pcapFrame(0, 0, hello("one")); $0.pcapFrame(0, 0, hello("two"))
        }.dropLast()),
      frames: 1, failure: "the file ends inside a frame (at byte 43)"),
    Damaged(
      name: "cut in a frame's header",
      bytes: made {
        $0.pcapHeader(0xa1b2_c3d4); $0.pcapFrame(0, 0, hello("one")); $0.u32(1)
      },
      frames: 1, failure: "the file ends inside a frame's header (at byte 43)"),
    Damaged(
      name: "a frame of 4 GiB",
      bytes: made {
        $0.pcapHeader(0xa1b2_c3d4); $0.u32(0); $0.u32(0); $0.u32(.max); $0.u32(.max)
      },
      frames: 0, failure: "a frame of 4294967295 bytes; the limit is 262144 (at byte 24)"),
    Damaged(
      name: "an interface that was not described",
      bytes: made {
        $0.section(); $0.packet(0, 0, hello("x"))
      },
      frames: 0, failure: "a frame of an interface that was not described (at byte 28)"),
    Damaged(
      name: "a block of length 0",
      bytes: made {
        $0.section(); $0.u32(6); $0.u32(0); $0.u32(0)
      },
      frames: 0, failure: "a block that says it is 0 bytes long (at byte 28)"),
    Damaged(
      name: "two lengths",
      bytes: made {
        $0.section(); $0.interface(); $0.packet(0, 0, hello("x")); $0.bytes[$0.bytes.count - 1] = 1
      },
      frames: 0, failure: "a block whose two lengths differ (at byte 52)"),
    Damaged(
      name: "a frame longer than its block",
      bytes: made {
        $0.section(); $0.interface(); $0.block(6) { for word in [UInt32(0), 0, 0, 99, 99] { $0.u32(word) } }
      },
      frames: 0, failure: "a frame longer than its block (at byte 52)"),
    Damaged(
      name: "a clock of 10^-20",
      bytes: made {
        $0.section(); $0.interface(resolution: 20)
      },
      frames: 0, failure: "an interface whose clock is finer than can be represented (at byte 28)"),
    Damaged(
      name: "a block of 1 GiB",
      bytes: made {
        $0.section(); $0.u32(6); $0.u32(1 << 30); $0.u32(0)
      },
      frames: 0, failure: "a block of 1073741824 bytes; the limit is 524288 (at byte 28)"),
  ]

  @Test(arguments: damaged) func damageIsTold(_ row: Damaged) {
    let found = read(row.bytes).read
    #expect(found.frames.count == row.frames && found.failure == row.failure)
  }

  private static var mixed: [Octets] {
    var plain = Writer(isBig: true)
    plain.pcapHeader(0xa1b2_3c4d)
    for i in 0..<20 { plain.pcapFrame(UInt32(i), 5, Octets(repeating: UInt8(i), count: i * 7)) }
    var blocks = Writer()
    blocks.section(comment: "c")
    blocks.interface(resolution: 9)
    for i in 0..<20 { blocks.packet(0, UInt64(i), Octets(repeating: UInt8(i), count: i * 7), comment: i % 3 == 0 ? "note" : nil) }
    return [plain.bytes, blocks.bytes]
  }

  @Test(arguments: [1, 3, 17, 1000]) func piecesDoNotMatter(_ chunk: Int) {
    for file in Self.mixed { #expect(read(file, chunk: chunk).read == read(file).read) }
  }

  /// Each prefix gives a prefix of the frames, and says that it is one.
  @Test func everyPrefixGivesWhatItHas() {
    for file in Self.mixed {
      let whole = read(file).read.frames
      for count in 0..<file.count {
        let found = read(Octets(file.prefix(count))).read
        #expect(found.frames == Array(whole.prefix(found.frames.count)))
        #expect(found.frames.count < whole.count)
      }
    }
  }

  /// 20,000 damaged files: reading ends, and never beyond the file's own bytes.
  @Test func damagedFilesEnd() {
    var state: UInt64 = 3
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    for file in Self.mixed {
      for _ in 0..<10_000 {
        var damaged = file
        for _ in 0...next(4) { damaged[next(damaged.count)] = UInt8(truncatingIfNeeded: next(256)) }
        let reader = CaptureReader(bytes: damaged)
        var bytes = 0
        while let frame = reader.next() { bytes += 16 + frame.bytes.count }
        #expect(bytes <= damaged.count && reader.next() == nil)
      }
    }
  }

  @Test func aFailingSourceIsTold() {
    struct Broken: Error, CustomStringConvertible { var description: String { "the disk is on fire" } }
    var isFirst = true
    var file = Writer()
    file.pcapHeader(0xa1b2_c3d4)
    file.pcapFrame(0, 0, hello("one"))
    let bytes = file.bytes
    let reader = CaptureReader { target in
      guard isFirst else { throw Broken() }
      isFirst = false
      target.copyBytes(from: bytes)
      return bytes.count
    }
    #expect(reader.next() != nil && reader.next() == nil)
    #expect(reader.failure?.code == .unreadable && reader.failure?.reason == "the disk is on fire")
  }
}
