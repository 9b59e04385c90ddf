// Lines for people while the agent runs. Whoever reads them may be slow, stuck or gone: the agent waits a second at most, then drops
// what cannot be shown, counts it, and goes on. A line is shown whole or not at all.
import Glibc

public final class LiveOutput {
  /// How long a reader that keeps up otherwise is waited for, once; one that is behind is not waited for again until it reads.
  private static let patienceMilliseconds: Int32 = 1000
  /// A pipe that can be written at all takes this much without blocking (PIPE_BUF).
  private static let pieceBytes = 4096

  private let descriptor: Int32
  /// The end of a line that was written in part.
  private var rest: [UInt8] = []
  private var isBehind = false
  public private(set) var droppedLines: UInt64 = 0
  /// Nobody reads it any more, or it cannot be written.
  public private(set) var isClosed = false

  public init(_ descriptor: Int32) { self.descriptor = descriptor }

  public func line(_ text: String) { line(Array(text.utf8)) }
  public func line(_ bytes: [UInt8]) {
    guard !isClosed else { return }
    finish()
    guard rest.isEmpty else {
      droppedLines += 1
      return
    }
    rest = bytes
    rest.append(0x0a)
    let whole = rest.count
    finish()
    // Nothing of it is out: it is dropped. What is out in part is completed before the next line.
    if rest.count == whole {
      rest.removeAll()
      if !isClosed { droppedLines += 1 }
    }
  }

  /// Writes what is left of the last line, if the reader lets it.
  public func finish() {
    while !rest.isEmpty, !isClosed {
      var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      guard poll(&ready, 1, isBehind ? 0 : LiveOutput.patienceMilliseconds) > 0 else {
        isBehind = true
        return
      }
      let n = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, min($0.count, LiveOutput.pieceBytes)) }
      if n > 0 {
        rest.removeFirst(n)
        isBehind = false
      } else if errno == EAGAIN {
        // A pipe with less room than a piece, opened non-blocking.
        isBehind = true
        return
      } else if errno != EINTR {
        isClosed = true
      }
    }
  }
}
