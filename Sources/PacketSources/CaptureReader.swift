// Capture files as a sequence of frames: pcap (draft-ietf-opsawg-pcap: both byte orders, microseconds and nanoseconds, and the form with
// longer frame headers that old Linux patches wrote) and pcapng (draft-ietf-opsawg-pcapng), from any source of bytes.
// What must stay true: one fixed buffer, no allocation for a frame, no trap and no loop without progress whatever the bytes are; what could
// be read before a damaged place is delivered before `failure` says where it ended.
import Primitives

public final class CaptureReader {
  /// Puts bytes into the buffer and returns how many; 0 is the end. It throws what it throws: `failure` tells it in words.
  public typealias Source = (UnsafeMutableRawBufferPointer) throws -> Int

  /// nil until the first frame was asked for.
  public private(set) var format: CaptureFormat?
  /// Why reading ended before the end of the file; nil after a sound one.
  public private(set) var failure: CaptureError?
  /// Frames handed out.
  public private(set) var frames: UInt64 = 0
  /// Bytes consumed: the offset of what is read next.
  public var position: UInt64 { bufferOffset &+ UInt64(at) }
  /// pcapng: sections, interfaces over all of them, comments of sections, interfaces and frames, and blocks of kinds that are passed over.
  public private(set) var sections: UInt64 = 0
  public var interfaceCount: UInt64 { interfaceBase &+ UInt64(interfaces.count) }
  public private(set) var comments: UInt64 = 0
  public private(set) var skippedBlocks: UInt64 = 0
  /// What pcapng calls the interface of a frame of the present section (`CapturedFrame.interface`), at most 64 bytes of it; empty where it does not.
  public func interfaceName(_ number: UInt32) -> String {
    let index = UInt64(number) &- interfaceBase
    return index < UInt64(interfaceNames.count) ? interfaceNames[Int(index)] : ""
  }

  private let source: Source
  private let buffer: UnsafeMutableRawBufferPointer
  private var at = 0
  private var end = 0
  private var bufferOffset: UInt64 = 0
  private var sourceEnded = false
  private var sourceFailure: String?

  private var isSwapped = false
  private var headerBytes = 16
  private var pcapLinkType: UInt32 = 0
  private var snapLength: UInt32 = 0
  private var nanosecondsPerFraction: Int64 = 1000
  private var interfaces: [Interface] = []
  private var interfaceNames: [String] = []
  private var interfaceBase: UInt64 = 0
  private var lastTime = EventTime.zero

  private struct Interface {
    var linkType: UInt32
    var snapLength: UInt32
    var units = UnitsOfTime(unitsPerSecond: 1_000_000, offsetSeconds: 0)
  }

  public init(source: @escaping Source) {
    self.source = source
    buffer = .allocate(byteCount: Limits.captureBufferBytes, alignment: 16)
  }
  deinit { buffer.deallocate() }

  /// The next frame; nil at the end, and when `failure` is set. Afterwards it stays nil.
  @inline(__always)
  public func next() -> CapturedFrame? {
    switch format {
    case .pcap: nextOfPcap()
    case .pcapng: nextOfBlocks()
    case nil: begin() ? next() : nil
    }
  }

  // MARK: Bytes

  /// True if `count` bytes lie in the buffer from `at` on. `count` is at most the buffer's size.
  @inline(__always)
  private func have(_ count: Int) -> Bool { end &- at >= count || fill(count) }

  @inline(never)
  private func fill(_ count: Int) -> Bool {
    guard count <= buffer.count, let base = buffer.baseAddress else { return false }
    if at > 0 {
      base.copyMemory(from: base + at, byteCount: end - at)
      bufferOffset &+= UInt64(at)
      end -= at
      at = 0
    }
    while end < count, !sourceEnded {
      do {
        let room = min(buffer.count - end, max(count - end, Limits.captureReadBytes))
        let got = try source(UnsafeMutableRawBufferPointer(start: base + end, count: room))
        if got <= 0 { sourceEnded = true } else { end += min(got, room) }
      } catch {
        sourceEnded = true
        sourceFailure = "\(error)"
      }
    }
    return end >= count
  }

  /// Passes over `count` bytes, more than the buffer holds if need be. False: the file ends before.
  private func pass(_ count: UInt64) -> Bool {
    var left = count
    while left > 0 {
      let step = min(left, UInt64(Limits.captureReadBytes))
      guard have(Int(step)) else {
        at = end
        return false
      }
      at += Int(step)
      left -= step
    }
    return true
  }

  @inline(__always)
  private func u32(_ offset: Int) -> UInt32 {
    let raw = UnsafeRawPointer(buffer.baseAddress! + (at &+ offset)).loadUnaligned(as: UInt32.self)
    return isSwapped ? raw.byteSwapped : raw
  }
  private func u16(_ offset: Int) -> UInt16 {
    let raw = UnsafeRawPointer(buffer.baseAddress! + (at &+ offset)).loadUnaligned(as: UInt16.self)
    return isSwapped ? raw.byteSwapped : raw
  }
  private func bytes(_ offset: Int, _ count: Int) -> Bytes { Bytes(start: buffer.baseAddress! + at + offset, count: count) }

  private func fail(_ code: CaptureError.Code, _ reason: String) -> CapturedFrame? {
    if failure == nil {
      let told = code == .truncated ? sourceFailure : nil
      failure = CaptureError(code: told == nil ? code : .unreadable, offset: position, reason: told ?? reason)
    }
    return nil
  }
  /// The end of the file, where a frame or block may begin: sound only if nothing is left.
  private func finish(_ what: String) -> CapturedFrame? {
    if end > at || sourceFailure != nil { return fail(.truncated, "the file ends inside \(what)") }
    return nil
  }

  // MARK: The beginning

  /// By the first four bytes as a big-endian number: swapped (on this little-endian machine), nanoseconds, bytes of a frame's header.
  private static let pcapForms: [UInt32: (bigEndian: Bool, nanoseconds: Bool, headerBytes: Int)] = [
    0xa1b2_c3d4: (true, false, 16), 0xd4c3_b2a1: (false, false, 16), 0xa1b2_3c4d: (true, true, 16), 0x4d3c_b2a1: (false, true, 16),
    0xa1b2_cd34: (true, false, 24), 0x34cd_b2a1: (false, false, 24),
  ]

  private func begin() -> Bool {
    guard failure == nil else { return false }
    guard have(4) else {
      _ = end == at && sourceFailure == nil ? fail(.notACapture, "the file is empty") : fail(.truncated, "the file ends inside its first four bytes")
      return false
    }
    let magic = UInt32(bigEndian: UnsafeRawPointer(buffer.baseAddress!).loadUnaligned(as: UInt32.self))
    if magic == BlockType.section {
      format = .pcapng
      return true
    }
    guard let form = CaptureReader.pcapForms[magic] else {
      _ = fail(.notACapture, "neither pcap nor pcapng, nor either of them packed with gzip or xz")
      return false
    }
    isSwapped = form.bigEndian != (1.bigEndian == 1)
    guard have(24) else {
      _ = fail(.truncated, "the file ends inside its header")
      return false
    }
    snapLength = u32(16)
    // The upper bits say whether and how long a frame check sequence is.
    pcapLinkType = u32(20) & 0x03ff_ffff
    headerBytes = form.headerBytes
    nanosecondsPerFraction = form.nanoseconds ? 1 : 1000
    at += 24
    format = .pcap(nanoseconds: form.nanoseconds, bigEndian: form.bigEndian)
    return true
  }

  // MARK: pcap

  @inline(__always)
  private func nextOfPcap() -> CapturedFrame? {
    guard failure == nil else { return nil }
    guard have(headerBytes) else { return finish("a frame's header") }
    let (seconds, fraction, kept, wire) = (u32(0), u32(4), u32(8), u32(12))
    guard kept <= UInt32(Limits.frameBytes) else {
      return fail(.tooLarge, "a frame of \(kept) bytes; the limit is \(Limits.frameBytes)")
    }
    guard have(headerBytes &+ Int(kept)) else { return fail(.truncated, "the file ends inside a frame") }
    let time = EventTime(nanoseconds: Int64(seconds) &* 1_000_000_000 &+ Int64(fraction) &* nanosecondsPerFraction)
    let data = bytes(headerBytes, Int(kept))
    at = at &+ headerBytes &+ Int(kept)
    frames &+= 1
    return CapturedFrame(
      number: frames, time: time, bytes: data, wireBytes: wire, linkType: pcapLinkType, interface: 0, comment: .none)
  }

  // MARK: pcapng

  private enum BlockType {
    static let section: UInt32 = 0x0a0d_0d0a
    static let interface: UInt32 = 1
    static let oldPacket: UInt32 = 2
    static let simplePacket: UInt32 = 3
    static let enhancedPacket: UInt32 = 6
  }

  private func nextOfBlocks() -> CapturedFrame? {
    while failure == nil {
      guard have(12) else { return finish("a block's header") }
      let type = u32(0)
      if type == BlockType.section, !beginSection() { return nil }
      let length = Int(u32(4))
      guard length >= 12, length & 3 == 0 else { return fail(.malformed, "a block that says it is \(length) bytes long") }
      let isWanted = type == BlockType.section || type <= BlockType.simplePacket || type == BlockType.enhancedPacket
      guard isWanted, type != 0 else {
        skippedBlocks &+= 1
        guard pass(UInt64(length)) else { return fail(.truncated, "the file ends inside a block") }
        continue
      }
      guard length <= Limits.captureBlockBytes else {
        return fail(.tooLarge, "a block of \(length) bytes; the limit is \(Limits.captureBlockBytes)")
      }
      guard have(length) else { return fail(.truncated, "the file ends inside a block") }
      guard Int(u32(length - 4)) == length else { return fail(.malformed, "a block whose two lengths differ") }
      guard let frame = read(type, length) else { continue }
      return frame
    }
    return nil
  }

  /// Takes the block at `at`, which is wholly in the buffer; a frame if it held one.
  private func read(_ type: UInt32, _ length: Int) -> CapturedFrame? {
    defer { if failure == nil { at += length } }
    let body = length - 12
    switch type {
    case BlockType.section:
      countComments(options(from: 24, to: length - 4))
      return nil
    case BlockType.interface: return addInterface(body, length)
    case BlockType.enhancedPacket:
      guard body >= 20 else { return fail(.malformed, "a packet block too short for its header") }
      return frame(interface: u32(8), high: u32(12), low: u32(16), kept: u32(20), wire: u32(24), header: 28, length)
    case BlockType.oldPacket:
      guard body >= 20 else { return fail(.malformed, "a packet block too short for its header") }
      return frame(interface: UInt32(u16(8)), high: u32(12), low: u32(16), kept: u32(20), wire: u32(24), header: 28, length)
    default:
      guard body >= 4 else { return fail(.malformed, "a packet block too short for its header") }
      guard let first = interfaces.first else { return fail(.malformed, "a frame of an interface that was not described") }
      let wire = u32(8)
      let kept = min(wire, first.snapLength == 0 ? .max : first.snapLength, UInt32(body - 4))
      return frame(interface: 0, high: nil, low: 0, kept: kept, wire: wire, header: 12, length)
    }
  }

  /// The byte order of the section that begins at `at`; interfaces of the one before are no longer meant.
  private func beginSection() -> Bool {
    let order = UnsafeRawPointer(buffer.baseAddress! + at + 8).loadUnaligned(as: UInt32.self)
    switch order {
    case 0x1a2b_3c4d: isSwapped = false
    case 0x4d3c_2b1a: isSwapped = true
    default:
      _ = fail(.malformed, "a section without its byte-order mark")
      return false
    }
    guard u32(4) >= 28 else {
      _ = fail(.malformed, "a section header that says it is \(u32(4)) bytes long")
      return false
    }
    sections &+= 1
    interfaceBase &+= UInt64(interfaces.count)
    interfaces.removeAll(keepingCapacity: true)
    interfaceNames.removeAll()
    return true
  }

  private func addInterface(_ body: Int, _ length: Int) -> CapturedFrame? {
    guard body >= 8 else { return fail(.malformed, "an interface block too short for its header") }
    guard interfaces.count < Limits.captureInterfaces else { return fail(.tooLarge, "more than \(Limits.captureInterfaces) interfaces") }
    var interface = Interface(linkType: UInt32(u16(8)), snapLength: u32(12))
    var failed = false
    var name = ""
    forEachOption(options(from: 16, to: length - 4)) { code, value in
      switch code {
      case OptionCode.comment: comments &+= 1
      case OptionCode.name: name = value.upTo(min(value.count, 64)).string
      case OptionCode.resolution where value.count == 1:
        guard let units = UnitsOfTime.unitsPerSecond(ofResolution: value[0]) else {
          failed = true
          return
        }
        interface.units.unitsPerSecond = units
      case OptionCode.offset where value.count == 8:
        let raw = value.loadUnaligned(as: UInt64.self)
        interface.units.offsetSeconds = Int64(bitPattern: isSwapped ? raw.byteSwapped : raw)
      default: break
      }
    }
    guard !failed else { return fail(.malformed, "an interface whose clock is finer than can be represented") }
    interfaces.append(interface)
    interfaceNames.append(name)
    return nil
  }

  /// The frame of a packet block whose data begins `header` bytes behind the block's start. `high` is nil where there is no stamp.
  private func frame(
    interface: UInt32, high: UInt32?, low: UInt32, kept: UInt32, wire: UInt32, header: Int, _ length: Int
  ) -> CapturedFrame? {
    guard Int(interface) < interfaces.count else { return fail(.malformed, "a frame of an interface that was not described") }
    guard kept <= UInt32(Limits.frameBytes) else {
      return fail(.tooLarge, "a frame of \(kept) bytes; the limit is \(Limits.frameBytes)")
    }
    guard Int(kept) <= length - 4 - header else { return fail(.malformed, "a frame longer than its block") }
    let described = interfaces[Int(interface)]
    if let high { lastTime = described.units.time(UInt64(high) << 32 | UInt64(low)) }
    var comment = Bytes.none
    if header == 28 {
      forEachOption(options(from: 28 + (Int(kept) + 3) & ~3, to: length - 4)) { code, value in
        guard code == OptionCode.comment else { return }
        if comment.isEmpty { comment = value }
        comments &+= 1
      }
    }
    frames &+= 1
    return CapturedFrame(
      number: frames, time: lastTime, bytes: bytes(header, Int(kept)), wireBytes: wire, linkType: described.linkType,
      interface: UInt32(truncatingIfNeeded: interfaceBase &+ UInt64(interface)), comment: comment)
  }

  private enum OptionCode {
    static let comment: UInt16 = 1
    static let name: UInt16 = 2
    static let resolution: UInt16 = 9
    static let offset: UInt16 = 14
  }

  private func options(from: Int, to: Int) -> Bytes { to > from ? bytes(from, to - from) : .none }

  private func countComments(_ options: Bytes) {
    forEachOption(options) { code, _ in if code == OptionCode.comment { comments &+= 1 } }
  }

  /// Options that do not fit end the list: nothing depends on them.
  private func forEachOption(_ options: Bytes, _ body: (UInt16, Bytes) -> Void) {
    func u16(_ offset: Int) -> UInt16 {
      let raw = options.loadUnaligned(fromByteOffset: offset, as: UInt16.self)
      return isSwapped ? raw.byteSwapped : raw
    }
    var offset = 0
    while offset + 4 <= options.count {
      let (code, count) = (u16(offset), Int(u16(offset + 2)))
      guard code != 0, offset + 4 + count <= options.count else { return }
      body(code, options.slice(offset + 4, offset + 4 + count))
      offset += 4 + (count + 3) & ~3
    }
  }
}

/// How an interface counts time.
struct UnitsOfTime: Equatable {
  /// 1 to 10^19.
  var unitsPerSecond: UInt64
  var offsetSeconds: Int64

  /// `if_tsresol`: the negative power of ten, or of two if the highest bit is set. nil where a second has more units than 64 bits count.
  static func unitsPerSecond(ofResolution byte: UInt8) -> UInt64? {
    let power = Int(byte & 0x7f)
    if byte & 0x80 != 0 { return power < 64 ? 1 << UInt64(power) : nil }
    guard power <= 19 else { return nil }
    return (0..<power).reduce(1) { product, _ in product * 10 }
  }

  /// Clamped to what an EventTime can be.
  func time(_ units: UInt64) -> EventTime {
    let (seconds, rest) = units.quotientAndRemainder(dividingBy: unitsPerSecond)
    let wide = rest.multipliedFullWidth(by: 1_000_000_000)
    // rest < unitsPerSecond, so that the quotient is below 10^9.
    let fraction = Int64(unitsPerSecond.dividingFullWidth(wide).quotient)
    let (shifted, overflow) = Int64(clamping: seconds).addingReportingOverflow(offsetSeconds)
    guard !overflow else { return EventTime(nanoseconds: offsetSeconds < 0 ? .min : .max) }
    let (scaled, tooFar) = shifted.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, beyond) = scaled.addingReportingOverflow(fraction)
    return EventTime(nanoseconds: tooFar || beyond ? (shifted < 0 ? .min : .max) : sum)
  }
}
