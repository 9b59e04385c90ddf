// One recorded input, read from its first line to its last: a plain, gzip or xz file, or standard input.
// Pull only; the same bytes give the same lines and offsets whatever the chunks in which they come.
import Primitives

public final class ReplayInput {
  /// As the operator named it; "-" is standard input.
  public var path: String { input.path }
  /// When the file was last written to: the year of stamps without one is inferred from it. For standard input what the caller gave.
  public var modificationTime: EventTime { input.modificationTime }
  /// Bytes of the file as it lies on disk (packed, if it is); nil where it cannot be known.
  public var containerSize: UInt64? { input.containerSize }
  /// Nothing more will come.
  public private(set) var isAtEnd = false
  private let input: InputFile
  private var stream: ByteStream { input.stream }
  private var reader: LineReader

  /// Opens a regular file, or standard input for "-". A directory, FIFO, socket or device is refused by its path; a FIFO, a socket or
  /// a terminal is read as standard input.
  /// - Parameter standardInputTime: stands for the modification time of standard input that is no regular file.
  public init(path: String, standardInputTime: EventTime = .zero, lineLimit: Int = Limits.lineBytes) throws(SourceError) {
    input = try InputFile(path: path, standardInputTime: standardInputTime)
    reader = LineReader(capacity: Limits.replayBufferBytes, lineLimit: lineLimit)
  }

  /// How the input is packed. Known behind the first `read`.
  public var compression: Compression { stream.compression }
  /// Bytes taken from the file itself so far, of `containerSize`.
  public var containerBytesRead: UInt64 { stream.containerBytes }
  /// Bytes unpacked so far.
  public var bytesRead: UInt64 { stream.position }
  public var lines: UInt64 { reader.lines }
  /// Lines longer than the limit, and what was cut from them.
  public var cutLines: UInt64 { reader.cutLines }
  public var cutBytes: UInt64 { reader.cutBytes }

  /// Hands out lines (valid inside `body` only) with the offset of their first byte in the unpacked stream, until about `maxLines`, until
  /// `body` returns false, or until one buffer is used up; the last line also without its newline. Returns how many; 0 with `isAtEnd`
  /// false means that a signal came: look at your flags and call again.
  /// Throws when the input is damaged or cannot be read; the lines before the damage were handed out, and `isAtEnd` is then true.
  public func read(maxLines: Int = .max, _ body: (Bytes, UInt64) -> Bool) throws(SourceError) -> Int {
    var wantsMore = true
    func deliver(_ line: Bytes, _ offset: UInt64) -> Bool {
      wantsMore = body(line, offset)
      return wantsMore
    }
    var count = reader.forEachLine(maxLines: maxLines, deliver)
    guard count == 0, maxLines > 0, !isAtEnd else { return count }
    while count == 0 {
      let stream = self.stream
      do throws(SourceError) {
        let filled = try reader.fill { target throws(SourceError) in try stream.read(into: target) }
        if filled == ByteStream.interrupted { return 0 }
        if filled == 0 {
          isAtEnd = true
          return reader.flushPartial(deliver) ? 1 : 0
        }
      } catch {
        isAtEnd = true
        _ = reader.flushPartial(deliver)
        throw error
      }
      count = reader.forEachLine(maxLines: maxLines, deliver)
    }
    return count
  }
}
