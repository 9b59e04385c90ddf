// One file or standard input as a stream of plain bytes, whatever it is packed in: nothing, gzip (all members) or xz (all streams),
// told apart by the first bytes, never by the name.
// Invariants: buffers are fixed; what could be unpacked before a damaged place is delivered before the error is thrown.
import CLZMA
import CLinux
import CZlib
import Glibc
import Primitives

/// How a stream is packed.
public enum Compression: String, Sendable {
  case none, gzip, xz
}

final class ByteStream {
  let path: String
  private(set) var compression = Compression.none
  /// Bytes taken from the file itself: for a progress bar.
  private(set) var containerBytes: UInt64 = 0
  /// Bytes delivered: the offset of the next one.
  private(set) var position: UInt64 = 0

  private let descriptor: Int32
  private let ownsDescriptor: Bool
  private let input: UnsafeMutablePointer<UInt8>
  private static let inputCapacity = 64 * 1024
  private var inputAt = 0
  private var inputEnd = 0
  private var inputEnded = false
  private var isSniffed = false
  private var isFinished = false
  private var pendingError: SourceError?
  private var zlib: UnsafeMutablePointer<z_stream>?
  private var memberIsOpen = false
  private var lzma: UnsafeMutablePointer<lzma_stream>?

  /// Reads from `descriptor`'s own position on. `ownsDescriptor`: close it at the end.
  init(descriptor: Int32, path: String, ownsDescriptor: Bool) {
    self.descriptor = descriptor
    self.path = path
    self.ownsDescriptor = ownsDescriptor
    input = .allocate(capacity: ByteStream.inputCapacity)
  }
  deinit {
    if let zlib {
      inflateEnd(zlib)
      zlib.deallocate()
    }
    if let lzma {
      lzma_end(lzma)
      lzma.deallocate()
    }
    input.deallocate()
    if ownsDescriptor { close(descriptor) }
  }

  /// What `read` returns when a signal arrived before any byte: look at your flags and call again.
  static let interrupted = -1

  /// Puts at most `target.count` bytes into `target`. 0 is the end of the stream, `interrupted` a signal.
  func read(into target: UnsafeMutableRawBufferPointer) throws(SourceError) -> Int {
    guard target.count > 0, let base = target.baseAddress else { return 0 }
    if let error = pendingError {
      pendingError = nil
      isFinished = true
      throw error
    }
    if isFinished { return 0 }
    if !isSniffed {
      guard try sniff() else { return ByteStream.interrupted }
    }
    let count: Int
    switch compression {
    case .none: count = try readPlain(base, target.count)
    case .gzip: count = try readGzip(base, target.count)
    case .xz: count = try readXZ(base, target.count)
    }
    if count == 0 { isFinished = true }
    if count > 0 { position &+= UInt64(count) }
    return count
  }

  /// Unpacks and drops bytes up to `offset`. False if the stream ends before it. The last bytes before `offset` (as many as fit
  /// into `tail`, which must be empty) are left in `tail`.
  func skip(to offset: UInt64, tail: inout [UInt8], keeping tailBytes: Int) throws(SourceError) -> Bool {
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
    defer { scratch.deallocate() }
    while position < offset {
      let want = min(UInt64(scratch.count), offset - position)
      let count = try read(into: UnsafeMutableRawBufferPointer(rebasing: scratch[0..<Int(want)]))
      if count == ByteStream.interrupted { continue }
      guard count > 0 else { return false }
      tail.append(contentsOf: scratch[max(0, count - tailBytes)..<count])
      if tail.count > tailBytes { tail.removeFirst(tail.count - tailBytes) }
    }
    return true
  }

  // MARK: Input

  /// Reads more of the file behind what is buffered. False: interrupted.
  private func refill() throws(SourceError) -> Bool {
    if inputAt == inputEnd { (inputAt, inputEnd) = (0, 0) }
    guard !inputEnded, inputEnd < ByteStream.inputCapacity else { return true }
    let count = try readDescriptor(input + inputEnd, ByteStream.inputCapacity - inputEnd)
    guard count >= 0 else { return false }
    if count == 0 { inputEnded = true }
    inputEnd += count
    return true
  }

  private func readDescriptor(_ target: UnsafeMutableRawPointer, _ count: Int) throws(SourceError) -> Int {
    while true {
      let got = Glibc.read(descriptor, target, count)
      if got >= 0 {
        containerBytes &+= UInt64(got)
        return got
      }
      switch errno {
      case EINTR: return ByteStream.interrupted
      case EAGAIN:
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        if poll(&wait, 1, -1) < 0 { return ByteStream.interrupted }
      default: throw SourceError.system(errno, path: path, doing: "read")
      }
    }
  }

  private static let gzipMagic: [UInt8] = [0x1f, 0x8b]
  private static let xzMagic: [UInt8] = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]
  /// Packings that are recognised only to say so.
  private static let refused: [(magic: [UInt8], name: String, tool: String)] = [
    ([0x28, 0xb5, 0x2f, 0xfd], "zstd", "zstd -dc"), ([0x42, 0x5a, 0x68], "bzip2", "bzip2 -dc"),
    ([0x04, 0x22, 0x4d, 0x18], "lz4", "lz4 -dc"), ([0x50, 0x4b, 0x03, 0x04], "zip", "unzip -p"),
  ]

  /// Looks at the first bytes. False: interrupted. Waits for more bytes only while those that came could still become a magic number.
  private func sniff() throws(SourceError) -> Bool {
    let known = [ByteStream.gzipMagic, ByteStream.xzMagic] + ByteStream.refused.map(\.magic)
    while !inputEnded {
      let have = UnsafeBufferPointer(start: input, count: inputEnd)
      let mayBecomeOne = known.contains { $0.count > have.count && $0.starts(with: have) }
      guard have.isEmpty || mayBecomeOne else { break }
      guard try refill() else { return false }
    }
    isSniffed = true
    let have = UnsafeBufferPointer(start: input, count: inputEnd)
    if have.starts(with: ByteStream.gzipMagic) {
      compression = .gzip
      let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
      stream.initialize(to: z_stream())
      // 16: gzip only; 15: the largest window.
      guard inflateInit2_(stream, 16 + 15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
        stream.deallocate()
        throw SourceError(.inputOutput, path: path, reason: "zlib could not be started")
      }
      zlib = stream
      memberIsOpen = true
    } else if have.starts(with: ByteStream.xzMagic) {
      compression = .xz
      let stream = UnsafeMutablePointer<lzma_stream>.allocate(capacity: 1)
      stream.initialize(to: lzma_stream())
      guard lzma_stream_decoder(stream, Limits.xzDecoderBytes, 0x08 /* LZMA_CONCATENATED */) == LZMA_OK else {
        stream.deallocate()
        throw SourceError(.inputOutput, path: path, reason: "liblzma could not be started")
      }
      lzma = stream
    } else if let other = ByteStream.refused.first(where: { have.starts(with: $0.magic) }) {
      isFinished = true
      throw SourceError(
        .unsupportedFormat, path: path, reason: "is packed with \(other.name), which is not read here",
        hint: "unpack it first, and give it as standard input: \(other.tool) \(path == "-" ? "FILE" : path) | ...")
    }
    return true
  }

  // MARK: Formats

  private func readPlain(_ target: UnsafeMutableRawPointer, _ room: Int) throws(SourceError) -> Int {
    if inputAt < inputEnd {
      let count = min(room, inputEnd - inputAt)
      memcpy(target, input + inputAt, count)
      inputAt += count
      return count
    }
    return inputEnded ? 0 : try readDescriptor(target, room)
  }

  private func fail(_ code: SourceError.Code, _ reason: String, after produced: Int) throws(SourceError) -> Int {
    let error = SourceError(code, path: path, reason: reason, hint: "what came before was read; restore the file to read the rest")
    guard produced > 0 else {
      isFinished = true
      throw error
    }
    pendingError = error
    return produced
  }

  private func readGzip(_ target: UnsafeMutableRawPointer, _ room: Int) throws(SourceError) -> Int {
    guard let zlib else { return 0 }
    while true {
      if inputAt == inputEnd, !inputEnded, !(try refill()) { return ByteStream.interrupted }
      if !memberIsOpen {
        // Between members. gzip pads with zeros to a block's end on tapes; anything else that is no member is damage.
        while inputAt < inputEnd, input[inputAt] == 0 { inputAt += 1 }
        if inputAt == inputEnd {
          if inputEnded { return 0 }
          continue
        }
        guard input[inputAt] == ByteStream.gzipMagic[0], inflateReset(zlib) == Z_OK else {
          return try fail(.corrupt, "has bytes behind its gzip data that are none", after: 0)
        }
        memberIsOpen = true
      }
      if inputAt == inputEnd, inputEnded { return try fail(.truncated, "is a gzip file that stops before its end", after: 0) }
      zlib.pointee.next_in = input + inputAt
      zlib.pointee.avail_in = uInt(inputEnd - inputAt)
      zlib.pointee.next_out = target.assumingMemoryBound(to: UInt8.self)
      zlib.pointee.avail_out = uInt(min(room, Int(Int32.max)))
      let before = Int(zlib.pointee.avail_out)
      let status = inflate(zlib, Z_NO_FLUSH)
      inputAt = inputEnd - Int(zlib.pointee.avail_in)
      let produced = before - Int(zlib.pointee.avail_out)
      switch status {
      case Z_STREAM_END: memberIsOpen = false
      case Z_OK, Z_BUF_ERROR: break
      default: return try fail(.corrupt, "is a damaged gzip file", after: produced)
      }
      if produced > 0 { return produced }
    }
  }

  private func readXZ(_ target: UnsafeMutableRawPointer, _ room: Int) throws(SourceError) -> Int {
    guard let lzma else { return 0 }
    while true {
      if inputAt == inputEnd, !inputEnded, !(try refill()) { return ByteStream.interrupted }
      lzma.pointee.next_in = UnsafePointer(input + inputAt)
      lzma.pointee.avail_in = inputEnd - inputAt
      lzma.pointee.next_out = target.assumingMemoryBound(to: UInt8.self)
      lzma.pointee.avail_out = room
      let status = lzma_code(lzma, inputEnded ? LZMA_FINISH : LZMA_RUN)
      inputAt = inputEnd - lzma.pointee.avail_in
      let produced = room - lzma.pointee.avail_out
      switch status {
      case LZMA_OK: break
      case LZMA_STREAM_END:
        if produced == 0 { return 0 }
      case LZMA_BUF_ERROR: return try fail(.truncated, "is an xz file that stops before its end", after: produced)
      case LZMA_MEMLIMIT_ERROR:
        let needed = lzma_memusage(lzma) >> 20
        return try fail(.tooLarge, "needs \(needed) MiB to unpack; the limit is \(Limits.xzDecoderBytes >> 20) MiB", after: produced)
      default: return try fail(.corrupt, "is a damaged xz file", after: produced)
      }
      if produced > 0 { return produced }
    }
  }
}
