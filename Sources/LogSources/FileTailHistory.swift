// Reading what lies behind us: the lines before a checkpoint, to rebuild windows after a restart, and single lines of evidence.
// Nothing here moves a tail.
import CLinux
import Glibc
import Primitives

extension FileTail {
  /// Reads whole lines of at most `maxBytes` right before `checkpoint` again, oldest first: from the file of the checkpoint and, where
  /// that does not reach back far enough, from the version before it. Returns how many lines and bytes; none if the file is gone.
  /// - Parameter body: the line (valid inside only), its offset in its file, and that file.
  @discardableResult
  public static func readBefore(
    _ checkpoint: FileCheckpoint, path: String, maxBytes: UInt64, _ body: (Bytes, UInt64, FileIdentity) -> Void
  ) -> (lines: Int, bytes: UInt64) {
    guard maxBytes > 0 else { return (0, 0) }
    for attempt in 0..<5 {
      if attempt > 0 { usleep(20_000) }  // a rotation is under way
      guard let pieces = openPieces(before: checkpoint, path: path, maxBytes: maxBytes) else { continue }
      var total: (lines: Int, bytes: UInt64) = (0, 0)
      for piece in pieces.reversed() {
        let done = readLines(of: piece.log, from: piece.from, to: piece.to, body)
        total.lines += done.lines
        total.bytes += done.bytes
      }
      return total
    }
    return (0, 0)
  }

  private typealias Piece = (log: OpenLog, from: UInt64, to: UInt64)

  /// The files to read, opened, from the newest to the oldest: once they are open, renaming them changes nothing. nil if names moved
  /// while we looked: reading on behind a hole would be worse than reading nothing.
  private static func openPieces(before checkpoint: FileCheckpoint, path: String, maxBytes: UInt64) -> [Piece]? {
    let listing = RotatedFiles.list(path)
    guard listing.isStable else { return nil }
    let versions = listing.versions
    var pieces: [Piece] = []
    var rest = maxBytes
    var older = versions.count
    do throws(SourceError) {
      if checkpoint.current.identity.headLength > 0 {
        guard let (index, log) = try holder(of: checkpoint.current, in: versions) else { return [] }
        let from = checkpoint.current.offset - min(rest, checkpoint.current.offset)
        pieces.append((log, from, checkpoint.current.offset))
        rest -= checkpoint.current.offset - from
        older = index + 1
      } else if let previous = checkpoint.previous, let (index, _) = try holder(of: previous, in: versions) {
        older = index
      }
      while rest > 0, older < versions.count, pieces.count < 3 {
        // What is older than a file that cannot be read does not join on.
        guard let log = try open(versions[older]) else { break }
        let size = unpackedSize(of: log)
        if size > 0 {
          let from = size - min(rest, size)
          pieces.append((log, from, size))
          rest -= size - from
        }
        older += 1
      }
    } catch {
      return nil
    }
    return pieces
  }

  /// The same, before this tail's own checkpoint. Call it before the first `read`.
  @discardableResult
  public func readBefore(maxBytes: UInt64, _ body: (Bytes, UInt64, FileIdentity) -> Void) -> (lines: Int, bytes: UInt64) {
    guard let checkpoint else { return (0, 0) }
    return FileTail.readBefore(checkpoint, path: path, maxBytes: maxBytes, body)
  }

  /// nil if it may not be read; throws if it is not there any more.
  private static func open(_ version: LogVersion) throws(SourceError) -> OpenLog? {
    do throws(SourceError) {
      return try OpenLog(path: version.path, expecting: version, mayBePacked: !version.isCurrent)
    } catch {
      if error.code == .missing { throw error }
      return nil
    }
  }

  private static func holder(of position: FilePosition, in versions: [LogVersion]) throws(SourceError) -> (index: Int, log: OpenLog)? {
    let same = versions.indices.filter { versions[$0].inode == position.identity.inode && versions[$0].device == position.identity.device }
    for index in same + versions.indices.filter({ !same.contains($0) }) {
      guard let log = try open(versions[index]) else { continue }
      if case .yes = log.seek(to: position) { return (index, log) }
    }
    return nil
  }

  private static func unpackedSize(of log: OpenLog) -> UInt64 {
    guard log.isPacked else { return log.knownSize }
    log.begin(at: 0)
    while case let count? = try? log.fill(atMost: .max), count != 0 { log.reader.forEachLine { _, _ in true } }
    return log.reader.filledOffset
  }

  /// Whole lines that begin in `[from, to)` and end before `to`.
  private static func readLines(
    of log: OpenLog, from: UInt64, to: UInt64, _ body: (Bytes, UInt64, FileIdentity) -> Void
  ) -> (lines: Int, bytes: UInt64) {
    // One byte early: if it is a newline, the line at `from` is whole.
    let start = from > 0 && !log.isPacked ? from - 1 : 0
    log.begin(at: start)
    let identity = log.identity
    var done: (lines: Int, bytes: UInt64) = (0, 0)
    var isFirst = start > 0
    while log.reader.filledOffset < to {
      let room = Int(min(to - log.reader.filledOffset, UInt64(Limits.tailBufferBytes)))
      guard let count = try? log.fill(atMost: room), count != 0 else { break }
      log.reader.forEachLine { line, offset in
        defer { isFirst = false }
        guard !isFirst, offset >= from else { return true }
        body(line, offset, identity)
        done.lines += 1
        done.bytes += UInt64(line.count) + 1
        return true
      }
    }
    return done
  }
}

/// A line of evidence that was found again.
public struct FetchedLine: Sendable, Equatable {
  public var bytes: [UInt8]
  /// Where it lies now: the log itself or one of its rotated versions.
  public var path: String
  public init(bytes: [UInt8], path: String) {
    self.bytes = bytes
    self.path = path
  }
}

public enum LineFetcher {
  /// Finds one line of the log `path` again, in the log or in its rotated versions, packed ones too.
  /// - Parameters:
  ///   - identity: the file it was read from, where that is known: versions with another beginning are then not searched.
  ///   - offset: of its first byte, in the unpacked file.
  ///   - length: bytes, without line end; at most `Limits.lineBytes`.
  ///   - expected: fingerprint of those bytes. Only bytes with this fingerprint are returned.
  /// - Returns: nil if no version holds it (any more).
  public static func fetch(path: String, identity: FileIdentity? = nil, offset: UInt64, length: Int, expected: Fingerprint) -> FetchedLine? {
    guard length >= 0, length <= Limits.lineBytes else { return nil }
    if path == "-" { return nil }
    var versions = RotatedFiles.list(path).versions
    if let identity {
      let same = versions.filter { $0.inode == identity.inode && $0.device == identity.device }
      versions = same + versions.filter { !same.contains($0) }
    }
    for version in versions {
      // A recorded input may be packed under its own name.
      guard let log = try? OpenLog(path: version.path, expecting: version, mayBePacked: true) else { continue }
      if let identity, identity.headLength > 0 {
        let beginning = FilePosition(identity: identity, offset: .max, anchor: Fingerprint(of: .none), anchorLength: 0)
        guard case .yes = log.seek(to: beginning) else { continue }
      }
      guard let bytes = log.bytes(at: offset, count: length), bytes.withUnsafeBytes({ Fingerprint(of: $0) }) == expected else { continue }
      return FetchedLine(bytes: bytes, path: version.path)
    }
    return nil
  }
}
