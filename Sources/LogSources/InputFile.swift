// One recorded input as plain bytes, for readers of whatever is in it: a plain, gzip or xz file, or standard input.
import CLinux
import Glibc
import Primitives

public final class InputFile {
  /// As the operator named it; "-" is standard input.
  public let path: String
  /// When the file was last written to. For standard input that is no regular file what the caller gave.
  public let modificationTime: EventTime
  /// Bytes of the file as it lies on disk (packed, if it is); nil where it cannot be known.
  public let containerSize: UInt64?
  let stream: ByteStream

  /// Opens a regular file, or standard input for "-". A directory, FIFO, socket or device is refused by its path; a FIFO, a socket or
  /// a terminal is read as standard input.
  /// - Parameter standardInputTime: stands for the modification time of standard input that is no regular file.
  public init(path: String, standardInputTime: EventTime = .zero) throws(SourceError) {
    self.path = path
    var facts = stat()
    let descriptor: Int32
    let isStandardInput = path == "-"
    if isStandardInput {
      descriptor = 0
      guard fstat(0, &facts) == 0 else { throw SourceError.system(errno, path: path, doing: "look at") }
      if let refusal = SourceError.refusal(ofMode: facts.st_mode, path: path, allowingStreams: true) { throw refusal }
    } else {
      func failure(_ number: Int32, _ doing: String) -> SourceError {
        number == ENOENT || number == ENOTDIR
          ? SourceError(.missing, path: path, reason: "does not exist", hint: "check the path", errorNumber: number)
          : SourceError.system(number, path: path, doing: doing)
      }
      guard stat(path, &facts) == 0 else { throw failure(errno, "look at") }
      if let refusal = SourceError.refusal(ofMode: facts.st_mode, path: path) { throw refusal }
      descriptor = pg_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0)
      guard descriptor >= 0 else { throw failure(errno, "open") }
      guard fstat(descriptor, &facts) == 0 else {
        let number = errno
        close(descriptor)
        throw SourceError.system(number, path: path, doing: "look at")
      }
      if let refusal = SourceError.refusal(ofMode: facts.st_mode, path: path) {
        close(descriptor)
        throw refusal
      }
    }
    let isRegular = facts.st_mode & S_IFMT == S_IFREG
    containerSize = isRegular ? UInt64(max(0, facts.st_size)) : nil
    modificationTime =
      isRegular
      ? EventTime(nanoseconds: Int64(facts.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(facts.st_mtim.tv_nsec)) : standardInputTime
    stream = ByteStream(descriptor: descriptor, path: path, ownsDescriptor: !isStandardInput)
  }

  /// How the input is packed. Known behind the first `read`.
  public var compression: Compression { stream.compression }
  /// Bytes taken from the file itself so far, of `containerSize`.
  public var containerBytesRead: UInt64 { stream.containerBytes }

  /// Puts at most `target.count` unpacked bytes into `target`; 0 is the end. Signals do not interrupt it.
  public func read(into target: UnsafeMutableRawBufferPointer) throws(SourceError) -> Int {
    while true {
      let count = try stream.read(into: target)
      if count != ByteStream.interrupted { return count }
    }
  }
}
