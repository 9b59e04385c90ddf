// The segments of a journal, oldest first, and which of them are too many. They lie in the state directory itself: a confined engine makes no
// directories. A segment is removed whole, because what is left of one without its beginning could not be replayed.
import Events
import Glibc
import InputJournal
import Primitives
import TypedYAML

public struct InputJournalFiles: Sendable {
  public let directory: String

  /// `state`: the agent's state directory.
  public init(state: String) { directory = state }

  public struct Segment: Equatable, Sendable {
    public var number: UInt64
    public var path: String
    public var bytes: UInt64
    /// Seconds since 1970 when it was last written.
    public var writtenAt: Int64
  }

  /// Oldest first; empty where there is no journal.
  public var segments: [Segment] {
    (directoryNames(directory) ?? []).compactMap { name in
      guard let number = SegmentHeader.number(ofFile: name) else { return nil }
      let path = directory + "/" + name
      var info = stat()
      guard lstat(path, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { return nil }
      return Segment(number: number, path: path, bytes: UInt64(clamping: info.st_size), writtenAt: Int64(info.st_mtim.tv_sec))
    }.sorted { $0.number < $1.number }
  }

  /// Begins the next segment, behind all that are there.
  func begin(
    engineVersion: String, ruleSetHash: String, configurationHash: String, sequence: Int64, at now: EventTime
  ) throws(InputJournalError) -> SegmentWriter {
    let header = SegmentHeader(
      number: (segments.last?.number ?? 0) + 1, engineVersion: engineVersion, ruleSetHash: ruleSetHash, configurationHash: configurationHash,
      sequence: sequence, recordedAt: now, fields: Field.allNames)
    return try SegmentWriter(directory: directory, header: header)
  }

  /// Why the next segment could not begin now and grow by `room` bytes; nil: it could.
  func obstacle(room: UInt64) -> String? {
    var info = statvfs()
    guard statvfs(directory, &info) == 0 else { return String(cString: strerror(errno)) }
    guard UInt64(info.f_bavail) * UInt64(info.f_frsize) > room else { return String(cString: strerror(ENOSPC)) }
    let path = directory + "/" + SegmentHeader.fileName((segments.last?.number ?? 0) + 1)
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { return "\(path): \(String(cString: strerror(errno)))" }
    close(descriptor)
    unlink(path)
    return nil
  }

  /// Removes the oldest segments but for `current`, until the others have room beside a full one and are young enough. How many.
  func removeOld(but current: UInt64?, maximumBytes: UInt64, keep: Nanoseconds, now: EventTime) -> UInt64 {
    let others = segments.filter { $0.number != current }
    var bytes = others.reduce(UInt64(0)) { $0 + $1.bytes }
    var removed: UInt64 = 0
    for segment in others {
      let isOld = now - EventTime(seconds: segment.writtenAt) > keep
      let isTooMuch = bytes > maximumBytes || others.count - Int(removed) > Limits.inputJournalSegments
      guard isOld || isTooMuch else { break }
      guard unlink(segment.path) == 0 else { break }
      bytes -= segment.bytes
      removed += 1
    }
    return removed
  }
}
