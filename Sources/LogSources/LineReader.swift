// Splits a stream of bytes into lines inside one buffer that never grows.
// Invariants: offsets are exact positions in the stream; a line is handed out once, and only when its newline was seen (or at the
// end, by `flushPartial`); until then `consumedOffset` stays at its first byte, also while the rest of a line that is too long is
// being thrown away, so that a restart never begins in the middle of a line (whose rest an attacker could have written).
import CLinux
import Glibc
import Primitives

public struct LineReader: ~Copyable {
  private let buffer: UnsafeMutableRawPointer
  private let capacity: Int
  private let lineLimit: Int
  /// First byte that was not handed out, first byte not yet searched for a newline, first free byte.
  private var start = 0
  private var scanned = 0
  private var end = 0
  /// Bytes of the line at `start` beyond `lineLimit` that were thrown away; they lie between the kept bytes and `end`.
  private var dropped: UInt64 = 0
  /// From here to `start` the buffer still holds the consumed bytes as they were in the stream.
  private var consumedFrom = 0

  /// Position in the stream of the first byte that was not handed out: where reading must go on after a restart.
  public private(set) var consumedOffset: UInt64
  public private(set) var lines: UInt64 = 0
  /// Lines that were cut because they were longer than the limit.
  public private(set) var cutLines: UInt64 = 0
  /// Bytes of them that were thrown away.
  public private(set) var cutBytes: UInt64 = 0

  /// - Parameters:
  ///   - capacity: bytes; at least twice `lineLimit`.
  ///   - lineLimit: bytes of a line that are kept; the rest is skipped to its newline and counted.
  ///   - offset: position in the stream of the first byte that will be filled in.
  public init(capacity: Int = Limits.replayBufferBytes, lineLimit: Int = Limits.lineBytes, offset: UInt64 = 0) {
    let limit = max(1, lineLimit)
    self.lineLimit = limit
    self.capacity = max(capacity, 2 * limit + 2)
    buffer = .allocate(byteCount: self.capacity, alignment: 64)
    consumedOffset = offset
  }
  deinit { buffer.deallocate() }

  /// Position in the stream of the next byte to fill in.
  public var filledOffset: UInt64 { consumedOffset &+ UInt64(end - start) &+ dropped }
  /// Bytes of a line whose newline has not come yet.
  public var pendingBytes: UInt64 { UInt64(end - start) &+ dropped }

  /// The last bytes before `consumedOffset`: at most `limit`, at least those of the last line that was handed out since the last
  /// `fill`, or none.
  func withConsumedTail<Result>(atMost limit: Int, _ body: (Bytes) -> Result) -> Result {
    let from = max(consumedFrom, start - limit)
    return body(Bytes(start: buffer + from, count: max(0, start - from)))
  }

  /// Forgets what is buffered and goes on at `offset`.
  public mutating func restart(at offset: UInt64) {
    (start, scanned, end, dropped, consumedFrom, consumedOffset) = (0, 0, 0, 0, 0, offset)
  }

  /// Lets `read` put bytes into the free space (at most `limit` of them); it returns how many it put there.
  /// Hand out the lines before filling again.
  @inline(__always)
  public mutating func fill<Failure: Error>(
    atMost limit: Int = .max, _ read: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
  ) throws(Failure) -> Int {
    makeRoom()
    let room = min(capacity - end, limit)
    guard room > 0 else { return 0 }
    let count = try read(UnsafeMutableRawBufferPointer(start: buffer + end, count: room))
    if count > 0 { end += min(count, room) }
    return count
  }

  private mutating func makeRoom() {
    guard start > 0, start == end || capacity - end < capacity / 4 else { return }
    if end > start { memmove(buffer, buffer + start, end - start) }
    scanned = max(0, scanned - start)
    end -= start
    start = 0
    consumedFrom = 0
  }

  /// Hands out complete lines: the bytes without newline and without one trailing CR, cut at the limit, and the offset of their first
  /// byte. The bytes are valid inside `body` only. Stops behind a line for which `body` returns false, and after `maxLines`.
  /// Returns how many it handed out.
  @discardableResult
  @inline(__always)
  public mutating func forEachLine(maxLines: Int = .max, _ body: (Bytes, UInt64) -> Bool) -> Int {
    var count = 0
    while count < maxLines {
      let from = max(start, scanned)
      guard from < end, let hit = memchr(buffer + from, 0x0a, end - from) else {
        scanned = end
        throwAwayExcess()
        break
      }
      let newline = UnsafeRawPointer(hit) - UnsafeRawPointer(buffer)
      count += 1
      if !handOut(upTo: newline, next: newline + 1, body) { break }
    }
    return count
  }

  /// Hands out what is left without its newline: the end of an input that will not grow any more. True if there was something.
  @discardableResult
  public mutating func flushPartial(_ body: (Bytes, UInt64) -> Bool) -> Bool {
    guard pendingBytes > 0 else { return false }
    _ = handOut(upTo: end, next: end, body)
    return true
  }

  @inline(__always)
  private mutating func handOut(upTo lineEnd: Int, next: Int, _ body: (Bytes, UInt64) -> Bool) -> Bool {
    var length = lineEnd - start
    // A line that is cut is counted with its CR, however its bytes came in.
    if dropped == 0, length > 0, length <= lineLimit + 1, buffer.load(fromByteOffset: lineEnd - 1, as: UInt8.self) == 0x0d { length -= 1 }
    if length > lineLimit || dropped > 0 {
      cutLines &+= 1
      cutBytes &+= dropped &+ UInt64(max(0, length - lineLimit))
      length = min(length, lineLimit)
    }
    lines &+= 1
    let line = Bytes(start: buffer + start, count: length)
    let offset = consumedOffset
    consumedOffset = consumedOffset &+ UInt64(next - start) &+ dropped
    if dropped > 0 { consumedFrom = min(next, start + lineLimit + 1) }
    dropped = 0
    start = next
    scanned = next
    return body(line, offset)
  }

  /// One byte beyond the limit is kept, so that a line of exactly `lineLimit` bytes and a CR is not taken for a longer one.
  private mutating func throwAwayExcess() {
    let keep = lineLimit + 1
    guard end - start > keep else { return }
    dropped &+= UInt64(end - start - keep)
    end = start + keep
    scanned = end
  }
}
