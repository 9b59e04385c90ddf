// Reads one segment, whoever wrote it and however it ended. What must stay true: any bytes give records and then an end or an error, never
// a trap, and never more memory than a block may have; what stands behind the last whole block is cut off, and counted.
import CZlib
import Events
import Glibc
import Primitives

public final class SegmentReader {
  public let path: String
  public let header: SegmentHeader
  /// Bytes of the file, and those read of it.
  public let fileBytes: UInt64
  public private(set) var position: UInt64
  /// Bytes behind the last block that is whole: the process that wrote was killed.
  public private(set) var cutBytes: UInt64 = 0
  private var descriptor: Int32
  private let stream: UnsafeMutablePointer<z_stream>
  private var decoder: RecordDecoder
  /// The block that is being read. It does not move, so that records can borrow from it.
  private var block = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var blockCount = 0
  private var blockAt = 0
  /// Bytes of the file that the block takes.
  private var blockBytes: UInt64 = 0
  /// How much of the file's bytes its records so far are: grows with each of them, `position` with each block.
  public var progress: UInt64 {
    blockCount == 0 ? position : position - blockBytes + blockBytes * UInt64(blockAt) / UInt64(blockCount)
  }

  public init(path: String) throws(InputJournalError) {
    self.path = path
    let opened = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard opened >= 0 else { throw InputJournalError(path: path, reason: String(cString: strerror(errno))) }
    var info = stat()
    _ = fstat(opened, &info)
    fileBytes = UInt64(clamping: info.st_size)
    do {
      (header, position) = try SegmentReader.readHeader(opened)
    } catch {
      close(opened)
      throw InputJournalError(path: path, reason: error.reason)
    }
    descriptor = opened
    decoder = RecordDecoder(fields: header.fields)
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    guard inflateInit2_(stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      stream.deallocate()
      close(opened)
      throw InputJournalError(path: path, reason: "zlib could not be started")
    }
  }
  deinit {
    inflateEnd(stream)
    stream.deallocate()
    block.deallocate()
    close(descriptor)
  }

  /// The next record; nil at the end. What is borrowed in it is good until the next call.
  public func next(into event: inout Event) throws(InputJournalError) -> InputRecord? {
    while blockAt == blockCount {
      guard try readBlock() else { return nil }
    }
    do throws(InputJournalError) {
      return try decoder.next(Bytes(block).upTo(blockCount), at: &blockAt, into: &event)
    } catch {
      throw InputJournalError(path: path, reason: "\(error.reason), which ends before byte \(position)")
    }
  }

  /// The oldest and newest time of its events that could decide something; nil: there is none. Reads only the heads of the blocks. Throws where
  /// one of them is damaged: what is behind it cannot be found.
  public static func span(path: String) throws(InputJournalError) -> (oldest: EventTime, newest: EventTime)? {
    let reader = try SegmentReader(path: path)
    var (oldest, newest) = (EventTime.distantFuture, EventTime.distantPast)
    while let head = try reader.blockHeader(), reader.position + UInt64(BlockHeader.bytes) + UInt64(head.count) <= reader.fileBytes {
      (oldest, newest) = (min(oldest, head.oldest), max(newest, head.newest))
      reader.position += UInt64(BlockHeader.bytes) + UInt64(head.count)
    }
    return oldest <= newest ? (oldest, newest) : nil
  }

  private static func readHeader(_ descriptor: Int32) throws(InputJournalError) -> (SegmentHeader, UInt64) {
    guard let head = bytes(descriptor, 12, at: 0), head.withUnsafeBytes({ $0.starts(with: SegmentHeader.magic) }) else {
      throw InputJournalError(reason: "is no segment of an input journal")
    }
    let count: UInt32 = head.withUnsafeBytes { $0.littleEndian(at: 8) }
    guard count <= UInt32(Limits.inputJournalHeaderBytes), let rest = bytes(descriptor, Int(count) + 4, at: 12) else {
      throw InputJournalError(reason: "its header is not whole")
    }
    let json = Array(rest.prefix(Int(count)))
    guard json.withUnsafeBytes({ checksum($0) }) == rest.withUnsafeBytes({ $0.littleEndian(at: Int(count)) }) else {
      throw InputJournalError(reason: "its header is damaged")
    }
    return (try SegmentHeader(json: json), UInt64(16 + count))
  }

  private func blockHeader() throws(InputJournalError) -> BlockHeader? {
    guard position + UInt64(BlockHeader.bytes) <= fileBytes, let bytes = SegmentReader.bytes(descriptor, BlockHeader.bytes, at: position) else {
      return nil
    }
    switch bytes.withUnsafeBytes({ BlockHeader.read($0) }) {
    case .whole(let head): return head
    case .unwritten: return nil
    case .damaged: throw damaged
    }
  }
  private var damaged: InputJournalError { InputJournalError(path: path, reason: "the block at byte \(position) is damaged") }

  /// False at the end, and where what follows is not a whole block.
  private func readBlock() throws(InputJournalError) -> Bool {
    guard position < fileBytes, cutBytes == 0 else { return false }
    let start = position + UInt64(BlockHeader.bytes)
    guard let head = try blockHeader(), start + UInt64(head.count) <= fileBytes,
      let packed = SegmentReader.bytes(descriptor, Int(head.count), at: start)
    else {
      cutBytes = fileBytes - position
      return false
    }
    let isLast = start + UInt64(head.count) == fileBytes
    guard inflate(packed, Int(head.plainCount)), checksum(Bytes(block).upTo(Int(head.plainCount))) == head.checksum else {
      // A last block of zeros is what some file systems leave after a loss of power.
      guard isLast else { throw damaged }
      cutBytes = fileBytes - position
      return false
    }
    blockBytes = UInt64(BlockHeader.bytes) + UInt64(head.count)
    position += blockBytes
    (blockCount, blockAt) = (Int(head.plainCount), 0)
    return true
  }

  /// Into `block`. False unless exactly `count` bytes come of it.
  private func inflate(_ packed: [UInt8], _ count: Int) -> Bool {
    (blockCount, blockAt) = (0, 0)
    // With room for one byte more: zlib then also takes the end of the flush, which unpacks to nothing.
    if block.count < count + 1 {
      block.deallocate()
      block = .allocate(byteCount: count + 1, alignment: 16)
    }
    return packed.withUnsafeBufferPointer { input in
      stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
      stream.pointee.avail_in = uInt(input.count)
      stream.pointee.next_out = block.baseAddress?.assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_out = uInt(count + 1)
      let status = CZlib.inflate(stream, Z_SYNC_FLUSH)
      return (status == Z_OK || status == Z_STREAM_END) && stream.pointee.avail_out == 1 && stream.pointee.avail_in == 0
    }
  }

  private static func bytes(_ descriptor: Int32, _ count: Int, at offset: UInt64) -> [UInt8]? {
    guard let start = off_t(exactly: offset) else { return nil }
    var out = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let n = out.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress! + done, count - done, start + off_t(done)) }
      if n < 0, errno == EINTR { continue }
      guard n > 0 else { return nil }
      done += n
    }
    return out
  }
}
