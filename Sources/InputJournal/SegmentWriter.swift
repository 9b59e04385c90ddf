// Writes one segment. What must stay true: a failure (a full disk) never reaches the pipeline. It ends the recording: what came before it
// stays readable, what comes after it is counted.
import CZlib
import Glibc
import Primitives

public final class SegmentWriter {
  public let header: SegmentHeader
  public let path: String
  /// Bytes of the file.
  public private(set) var bytesWritten: UInt64 = 0
  /// Records that are in the file, or will be with the next flush.
  public private(set) var records: UInt64 = 0
  /// Records that were not written, since a failure.
  public private(set) var lostRecords: UInt64 = 0
  /// Why nothing more is written.
  public private(set) var problem: InputJournalError?
  /// What would make the file longer is a failure, and `isFull` says that it was this one.
  public var maximumBytes: UInt64
  public private(set) var isFull = false
  private var encoder = RecordEncoder()
  /// Records in `encoder`.
  private var waiting: UInt64 = 0
  private var descriptor: Int32
  private let stream: UnsafeMutablePointer<z_stream>
  private var oldest = EventTime.distantFuture
  private var newest = EventTime.distantPast

  /// Makes the file, which must not be there. Mode 0600.
  public init(directory: String, header: SegmentHeader) throws(InputJournalError) {
    self.header = header
    maximumBytes = .max
    path = directory + "/" + SegmentHeader.fileName(header.number)
    let opened = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard opened >= 0 else { throw InputJournalError(path: path, reason: String(cString: strerror(errno))) }
    descriptor = opened
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // Level 1: it is paid for by the pipeline's thread. -15: no header of zlib's own.
    let started = deflateInit2_(
      stream, 1, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard started == Z_OK else {
      stream.deallocate()
      close(opened)
      unlink(path)
      throw InputJournalError(path: path, reason: "zlib could not be started")
    }
    guard write(header.bytes) else {
      unlink(path)
      throw problem ?? InputJournalError(path: path, reason: "cannot be written")
    }
  }
  deinit {
    deflateEnd(stream)
    stream.deallocate()
    if descriptor >= 0 { close(descriptor) }
  }

  /// Adds one record. `time`: of the event in it, where it could decide something.
  public func append(at time: EventTime? = nil, _ write: (inout RecordEncoder) -> Void) {
    guard problem == nil, descriptor >= 0 else {
      lostRecords += 1
      return
    }
    write(&encoder)
    records += 1
    waiting += 1
    if let time { noteTime(time) }
    if encoder.bytes.count >= Limits.inputJournalFlushBytes { flush() }
  }
  /// The time of the event in the last record, known only after it was parsed.
  public func noteTime(_ time: EventTime) {
    if time < oldest { oldest = time }
    if time > newest { newest = time }
  }

  /// Gives everything to the kernel: a killed process loses nothing of it.
  public func flush() {
    guard problem == nil, descriptor >= 0, !encoder.bytes.isEmpty else { return }
    let plain = encoder.bytes
    var block = [UInt8](repeating: 0, count: BlockHeader.bytes)
    plain.withUnsafeBytes { deflateAll($0, &block) }
    var head: [UInt8] = []
    BlockHeader(
      count: UInt32(block.count - BlockHeader.bytes), plainCount: UInt32(plain.count), checksum: plain.withUnsafeBytes { checksum($0) },
      oldest: oldest, newest: newest
    ).append(to: &head)
    block.replaceSubrange(..<BlockHeader.bytes, with: head)
    if !write(block) {
      records -= waiting
      lostRecords += waiting
    }
    encoder.removeAll()
    waiting = 0
    (oldest, newest) = (.distantFuture, .distantPast)
  }

  /// The last record, and the end of the file.
  public func finish() {
    append { $0.end() }
    flush()
    if descriptor >= 0 { close(descriptor) }
    descriptor = -1
  }

  private func deflateAll(_ plain: Bytes, _ out: inout [UInt8]) {
    var room = [UInt8](repeating: 0, count: 64 * 1024)
    // zlib only reads what next_in names.
    stream.pointee.next_in = UnsafeMutablePointer(mutating: plain.baseAddress?.assumingMemoryBound(to: UInt8.self))
    stream.pointee.avail_in = uInt(plain.count)
    repeat {
      room.withUnsafeMutableBufferPointer {
        stream.pointee.next_out = $0.baseAddress
        stream.pointee.avail_out = uInt($0.count)
        _ = deflate(stream, Z_SYNC_FLUSH)
      }
      out += room[..<(room.count - Int(stream.pointee.avail_out))]
    } while stream.pointee.avail_out == 0
  }

  /// All of `bytes` or none: what was written in part is cut off again.
  private func write(_ bytes: [UInt8]) -> Bool {
    guard bytesWritten + UInt64(bytes.count) <= maximumBytes else {
      isFull = true
      return fail("is full")
    }
    var done = 0
    while done < bytes.count {
      let n = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + done, bytes.count - done) }
      if n < 0, errno == EINTR { continue }
      guard n > 0 else { return fail(n == 0 ? "cannot be written" : String(cString: strerror(errno))) }
      done += n
    }
    bytesWritten += UInt64(bytes.count)
    return true
  }
  private func fail(_ reason: String) -> Bool {
    problem = InputJournalError(path: path, reason: reason)
    _ = ftruncate(descriptor, off_t(bytesWritten))
    return false
  }
}
