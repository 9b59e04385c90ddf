// Follows one path through everything that happens to logs: rename rotation, copy and truncate, deletion and recreation, late
// creation, a symbolic link that is switched, compression, and all of it while we were not running.
// Every line is handed out exactly once, in the order of the files; what cannot be read any more is counted and reported.
// How: a place is known by content (FilePosition). Whenever the open file is finished, lost or unknown, the log's versions are
// listed and the place is searched in them; then the versions newer than it follow, one by one, up to the current one.
// Pull only: nothing is read but by `read`, and buffers are fixed, so a slow caller slows the reading.
import CLinux
import Glibc
import Primitives

/// Something about a followed file that its operator should know. `description` says it in words.
public enum FileNotice: Sendable, Equatable, CustomStringConvertible {
  /// Reading goes on in this file at this offset.
  case opened(path: String, offset: UInt64)
  /// The file was cut while it was open. `knownLostBytes`: bytes that are known to have been destroyed before they could be read;
  /// what was written between the last look and the truncation comes on top and cannot be known. `copy`: where the lines behind
  /// our place were found again (logrotate's copytruncate leaves a copy).
  case truncated(path: String, knownLostBytes: UInt64, copy: String?)
  /// The file that the checkpoint speaks of is gone: lines behind the checkpoint may be lost. Reading goes on in newer files.
  case placeLost(path: String, offset: UInt64)
  /// The file was rewritten by something that is not its service (an editor); reading goes on behind the last line that we know.
  case rewritten(path: String, offset: UInt64)
  /// NUL bytes at the start of a truncated file were skipped: its service does not append.
  case holeSkipped(path: String, bytes: UInt64)
  /// A compressed version could not be read to its end.
  case damaged(SourceError)
  /// Why nothing can be read now. It is tried again at each read.
  case problem(SourceError)
  /// The problem has gone.
  case recovered(path: String)

  public var description: String {
    switch self {
    case .opened(let path, let offset): "\(path): reading from byte \(offset)"
    case .truncated(let path, let lost, let copy):
      "\(path): truncated; "
        + (copy.map { "the lines behind our place are read from \($0)" } ?? "no copy of the lines behind our place was found")
        + "; \(lost) bytes are known to be lost, lines written since the last look may be"
    case .placeLost(let path, let offset): "\(path): the file that was read up to byte \(offset) is gone; lines behind it may be lost"
    case .rewritten(let path, let offset): "\(path): rewritten; reading goes on behind the last known line, at byte \(offset)"
    case .holeSkipped(let path, let bytes): "\(path): \(bytes) NUL bytes skipped at its start; its service does not open it for appending"
    case .damaged(let error): error.description
    case .problem(let error): error.description
    case .recovered(let path): "\(path): can be read again"
    }
  }
}

/// What happened to one followed file since it was opened here. Only grows.
public struct FileTailCounters: Sendable, Equatable {
  public var lines: UInt64 = 0
  /// Bytes read, unpacked.
  public var bytes: UInt64 = 0
  /// Lines longer than `Limits.lineBytes`, and what was cut from them.
  public var cutLines: UInt64 = 0
  public var cutBytes: UInt64 = 0
  /// Last lines of finished files that had no newline.
  public var unterminatedLines: UInt64 = 0
  /// Files that were read to their end and left for a newer one.
  public var rotations: UInt64 = 0
  public var truncations: UInt64 = 0
  /// Truncations behind which no copy of the unread lines was found.
  public var truncationsWithoutCopy: UInt64 = 0
  public var knownLostBytes: UInt64 = 0
  /// Times that the place we had read up to was not found again.
  public var placesLost: UInt64 = 0
  /// Lines that came into a file after its successor was begun.
  public var lateLines: UInt64 = 0
  public var damagedFiles: UInt64 = 0
  public init() {}
}

/// What one call of `read` did.
public struct ReadProgress: Sendable {
  public var lines = 0
  /// Bytes read, unpacked.
  public var bytes = 0
  /// Nothing more for now: wait for the watcher or the next poll.
  public var reachedEnd = false
  /// In the order in which it happened; usually none.
  public var notices: [FileNotice] = []
  public init() {}
}

public final class FileTail {
  /// Where a file begins that was never seen (no checkpoint).
  public enum Start: Sendable {
    /// At its first byte. Rotated versions are not read.
    case beginning
    /// Behind its last complete line.
    case end
  }

  public let path: String
  /// Why nothing can be read now, if so.
  public private(set) var problem: SourceError?
  public private(set) var counters = FileTailCounters()

  private let grace: Nanoseconds
  private var active: OpenLog?
  /// The file before `active`: its service may still write to it.
  private var late: OpenLog?
  private var lateSince: Int64 = 0
  /// The file that was left last, until the next one is open: while it is held its inode cannot be given to another file.
  private var finished: OpenLog?
  private var previous: FilePosition?
  private var endSeenAt: Int64?
  /// A listing in which the open file was not to be found under any name.
  private var unknownIn: [LogVersion] = []

  /// What to do while no file is open.
  private enum Pending {
    case first(Start)
    /// Find this place again.
    case resume(FilePosition, Cause)
    /// The file of this place was read to its end and left: find the next newer one.
    case next(FilePosition)
  }
  /// Why a place is looked for.
  private enum Cause {
    case restart
    /// `knownSize`: bytes that the file was known to have.
    case truncation(knownSize: UInt64)
    /// Read to its end, and now nowhere to be seen.
    case finished
  }
  /// The current file was truncated: it may begin with a hole. Bytes up to here are accounted for.
  private var holeAfter: UInt64?
  private var pending: Pending?

  /// - Parameters:
  ///   - start: where to begin if there is no checkpoint. Lines of a file that appears later are all new.
  ///   - rotationGrace: how long a renamed file must be silent before its successor is read.
  public init(
    path: String, start: Start = .end, checkpoint: FileCheckpoint? = nil, rotationGrace: Nanoseconds = Limits.rotationGrace
  ) {
    self.path = path
    grace = rotationGrace
    if let checkpoint {
      previous = checkpoint.previous
      pending = .resume(checkpoint.current, .restart)
    } else {
      pending = .first(start)
    }
  }

  /// Behind the lines handed out so far: keep it once those lines have done their work. nil before the first `read`.
  public var checkpoint: FileCheckpoint? {
    if let active { return FileCheckpoint(current: active.position, previous: previous) }
    switch pending {
    case .first, nil: return nil
    case .resume(let position, _), .next(let position): return FileCheckpoint(current: position, previous: previous)
    }
  }

  /// The file being read, under the name it had when it was opened; nil while there is none.
  public var openPath: String? { active?.path }

  /// Bytes of the log that were not handed out yet: of the open file (packed: 0), and of its successor if it was renamed.
  public var lagBytes: UInt64 {
    guard let active else { return 0 }
    active.look()
    let own = active.isPacked ? 0 : active.knownSize - min(active.knownSize, active.reader.consumedOffset)
    guard let current = RotatedFiles.version(at: path, isCurrent: true), !active.isSame(as: current) else { return own }
    return own + current.size
  }

  // MARK: Reading

  /// Hands out complete lines of about `maxBytes`: the bytes (valid inside `body` only), the offset of their first byte in their file,
  /// and that file. It may stop early, at the border of two files; `reachedEnd` says when there is nothing more.
  /// Never throws: a failure is `problem` and a notice, and is tried again at the next call. `body` must not use this tail.
  public func read(maxBytes: Int = Limits.tailBufferBytes, _ body: (Bytes, UInt64, FileIdentity) -> Void) -> ReadProgress {
    var progress = ReadProgress()
    var budget = max(1, maxBytes)
    readLate(&budget, &progress, body)
    guard budget > 0 else { return progress }
    if active == nil {
      open(&progress)
      readLate(&budget, &progress, body)  // of before a restart
    }
    guard let log = active else {
      progress.reachedEnd = true
      return progress
    }
    guard log.isUnchangedBeforeOffset() else {
      handleTruncation(of: log, &progress)
      return progress
    }
    let offsetBefore = log.reader.consumedOffset
    if offsetBefore == 0, log.knownSize > 0, hasUnreadPredecessor(log) {
      pending = .resume(log.position, .restart)
      active = nil
      open(&progress)
      return progress
    }
    do throws(SourceError) {
      switch try handOut(log, &budget, &progress, body) {
      case .more: return progress
      case .end: break
      case .changed:
        handleTruncation(of: log, &progress)
        return progress
      }
    } catch {
      // A damaged packed version ends where it is damaged; a plain one that cannot be read is opened anew.
      guard log.isPacked else {
        pending = .resume(log.position, .restart)
        active = nil
        report(error, &progress)
        progress.reachedEnd = true
        return progress
      }
      counters.damagedFiles += 1
      progress.notices.append(.damaged(error))
      finish(log, &progress, body)
      return progress
    }
    if log.reader.consumedOffset != offsetBefore { endSeenAt = nil }
    if hasSuccessor(log) {
      finish(log, &progress, body)
    } else {
      progress.reachedEnd = true
    }
    return progress
  }

  private enum Outcome {
    /// `budget` is used up.
    case more
    case end
    /// The file was truncated or rewritten while we read: what was read last is not handed out.
    case changed
  }

  private func handOut(
    _ log: OpenLog, _ budget: inout Int, _ progress: inout ReadProgress, _ body: (Bytes, UInt64, FileIdentity) -> Void
  ) throws(SourceError) -> Outcome {
    defer { log.noteConsumed() }
    let identity = log.identity
    let (cutLines, cutBytes) = (log.reader.cutLines, log.reader.cutBytes)
    defer {
      counters.cutLines &+= log.reader.cutLines &- cutLines
      counters.cutBytes &+= log.reader.cutBytes &- cutBytes
    }
    while budget > 0 {
      let count = try log.fill(atMost: budget)
      if count == ByteStream.interrupted { continue }
      guard count > 0 else { return .end }
      guard log.isUnchangedBeforeOffset() else { return .changed }
      budget -= count
      progress.bytes += count
      counters.bytes &+= UInt64(count)
      let lines = log.reader.forEachLine { line, offset in
        body(line, offset, identity)
        return true
      }
      progress.lines += lines
      counters.lines &+= UInt64(lines)
    }
    return .more
  }

  private func flushPartial(_ log: OpenLog, _ progress: inout ReadProgress, _ body: (Bytes, UInt64, FileIdentity) -> Void) {
    let identity = log.identity
    let (cutLines, cutBytes) = (log.reader.cutLines, log.reader.cutBytes)
    let some = log.reader.flushPartial { line, offset in
      body(line, offset, identity)
      return true
    }
    guard some else { return }
    counters.cutLines &+= log.reader.cutLines &- cutLines
    counters.cutBytes &+= log.reader.cutBytes &- cutBytes
    progress.lines += 1
    counters.lines &+= 1
    counters.unterminatedLines &+= 1
    log.noteConsumed()
  }

  // MARK: The end of a file

  /// The open file was read to its end. Is it finished: does a newer one with content exist, and has its service left it?
  private func hasSuccessor(_ log: OpenLog) -> Bool {
    if let current = RotatedFiles.version(at: path, isCurrent: true), log.isSame(as: current) { return false }
    let listing = RotatedFiles.list(path)
    guard listing.isStable else { return false }
    var index = listing.versions.firstIndex { log.isSame(as: $0) }
    if index == nil, listing.versions != unknownIn {
      // Packed in the meantime? Asked once for each state of the directory.
      // (A copy of it that was put back under the log's name is its successor like any other file.)
      index = indexOf(log.position, in: listing.versions.filter { !$0.isCurrent })
      if let found = index, listing.versions.first?.isCurrent == true { index = found + 1 }
      if index == nil { unknownIn = listing.versions }
    }
    let newer = listing.versions[..<(index ?? listing.versions.count)]
    // A file that was deleted may be left for an empty one: the empty one can be found again, it cannot.
    let isGone = index == nil && log.links == 0
    guard newer.contains(where: { ($0.size > 0 || isGone) && ($0.isCurrent || index != nil) }) else { return false }
    return log.isPacked || isSilent(log)
  }

  /// Nothing of the current file was handed out yet, and now it has content. Was it truncated before, with its content copied away?
  /// Nothing in the file itself can tell, but then a version lies beside it that is newer than all we know.
  private func hasUnreadPredecessor(_ log: OpenLog) -> Bool {
    let listing = RotatedFiles.list(path)
    guard listing.isStable, let current = listing.versions.first, current.isCurrent, log.isSame(as: current) else { return false }
    guard let known = previous.map({ indexOf($0, in: listing.versions) }) ?? listing.versions.count else { return false }
    return listing.versions[..<known].contains { !$0.isCurrent && $0.size > 0 }
  }

  /// No byte came for the time that a service takes to open its new file; longer if the last line has no end yet.
  private func isSilent(_ log: OpenLog) -> Bool {
    let wanted = log.reader.pendingBytes > 0 ? grace.count.multipliedReportingOverflow(by: 10).partialValue : grace.count
    let now = Clock.monotonic
    let since = endSeenAt ?? now
    endSeenAt = since
    let age = (Clock.realtime - log.modified).count
    return now &- since >= wanted || age >= wanted
  }

  private func finish(_ log: OpenLog, _ progress: inout ReadProgress, _ body: (Bytes, UInt64, FileIdentity) -> Void) {
    flushPartial(log, &progress, body)
    counters.rotations += 1
    pending = .next(log.position)
    finished = log
    late = log.isPacked ? nil : log
    lateSince = Clock.monotonic
    active = nil
    endSeenAt = nil
  }

  private func readLate(_ budget: inout Int, _ progress: inout ReadProgress, _ body: (Bytes, UInt64, FileIdentity) -> Void) {
    guard let log = late else { return }
    guard log.isUnchangedBeforeOffset(), Clock.monotonic &- lateSince < Limits.rotatedFileLinger.count else {
      late = nil  // `finished` still holds it while it has no successor
      return
    }
    guard log.knownSize > log.reader.filledOffset else { return }
    let before = progress.lines
    do throws(SourceError) { _ = try handOut(log, &budget, &progress, body) } catch { late = nil }
    counters.lateLines &+= UInt64(progress.lines - before)
    switch pending {
    case .next where active == nil: pending = .next(log.position)
    default: previous = log.position
    }
  }

  private func handleTruncation(of log: OpenLog, _ progress: inout ReadProgress) {
    counters.truncations += 1
    pending = .resume(log.position, .truncation(knownSize: max(log.knownSize, log.reader.filledOffset)))
    holeAfter = log.reader.consumedOffset
    active = nil
    endSeenAt = nil
    open(&progress)
  }

  // MARK: Finding the file to read

  private func report(_ error: SourceError, _ progress: inout ReadProgress) {
    guard problem != error else { return }
    problem = error
    progress.notices.append(.problem(error))
  }

  private func activate(_ log: OpenLog, _ progress: inout ReadProgress) {
    if problem != nil {
      problem = nil
      progress.notices.append(.recovered(path: path))
    }
    active = log
    finished = nil
    pending = nil
    endSeenAt = nil
    progress.notices.append(.opened(path: log.path, offset: log.reader.consumedOffset))
  }

  private func open(_ progress: inout ReadProgress) {
    switch pending {
    case .first(let start): openFirst(start, &progress)
    case .resume(let position, let cause): resume(position, cause, RotatedFiles.list(path), &progress)
    case .next(let position): openNext(after: position, &progress)
    case nil: break
    }
  }

  /// Why the path itself cannot be read, for `problem`; nil if it can.
  private func currentProblem() -> SourceError? {
    do throws(SourceError) { _ = try OpenLog(path: path, mayBePacked: false) } catch { return error }
    return nil
  }

  private func openFirst(_ start: Start, _ progress: inout ReadProgress) {
    let listing = RotatedFiles.list(path)
    guard listing.isStable else { return }
    // What is there already is old: from now on only newer files count.
    previous = nil
    let ends = listing.versions.lazy.filter { !$0.isCurrent }.map { FileTail.endPosition(of: $0) }
    previous = ends.first { $0.identity.headLength > 0 } ?? ends.first
    do throws(SourceError) {
      let log = try OpenLog(path: path, mayBePacked: false)
      log.begin(at: start == .end ? FileTail.endOfLastLine(log) : 0)
      activate(log, &progress)
    } catch {
      report(error, &progress)
      // What is not there holds nothing old; what may not be read may be full of it.
      if error.code == .missing || error.code == .notRegularFile { pending = .resume(.nothing, .restart) }
    }
  }

  /// The place behind all that a rotated version holds now. A packed one does not grow, and is not unpacked to find its end.
  private static func endPosition(of version: LogVersion) -> FilePosition {
    var position = FilePosition.nothing
    position.identity.device = version.device
    position.identity.inode = version.inode
    position.offset = .max
    guard let log = try? OpenLog(path: version.path, expecting: version, mayBePacked: true) else { return position }
    log.begin(at: log.isPacked ? 0 : log.knownSize)
    position.identity = log.identity
    return log.isPacked || log.identity.headLength == 0 ? position : log.position
  }

  /// Offset behind the last newline; a line that is being written is new. A line whose beginning is further back than the longest
  /// line is entered where we are: its rest is no line of its own.
  private static func endOfLastLine(_ log: OpenLog) -> UInt64 {
    log.look()
    let size = log.knownSize
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
    defer { scratch.deallocate() }
    var end = size
    while end > 0, size - end < UInt64(Limits.lineBytes) {
      let from = end - min(end, UInt64(scratch.count))
      let got = log.readBytes(UnsafeMutableRawBufferPointer(rebasing: scratch[0..<Int(end - from)]), at: from)
      guard got > 0 else { return size }
      if let newline = Bytes(rebasing: scratch[0..<got]).lastIndex(of: 0x0a) { return from + UInt64(newline) + 1 }
      end = from
    }
    return end == 0 ? 0 : size
  }

  /// Opens the nearest version newer than `index` that has content; the current one in any case.
  private func openNewest(than index: Int, in versions: [LogVersion], _ progress: inout ReadProgress) {
    for version in versions[..<index].reversed() where version.size > 0 || version.isCurrent {
      do throws(SourceError) {
        let log = try OpenLog(path: version.path, expecting: version, mayBePacked: !version.isCurrent)
        log.begin(at: 0)
        if version.isCurrent { skipHole(log, &progress) }
        activate(log, &progress)
        return
      } catch {
        if version.isCurrent {
          report(error, &progress)
          return
        }
        guard error.code != .missing else { return }  // Names are moving: look again.
        counters.damagedFiles += 1
        progress.notices.append(.damaged(error))
      }
    }
    if let error = currentProblem() { report(error, &progress) }
  }

  private func openNext(after position: FilePosition, _ progress: inout ReadProgress) {
    let listing = RotatedFiles.list(path)
    guard listing.isStable else { return }
    let versions = listing.versions
    guard let left = finished, let index = versions.firstIndex(where: { left.isSame(as: $0) }), !versions[index].isCurrent else {
      return resume(position, .finished, listing, &progress)
    }
    openNewest(than: index, in: versions, &progress)
    if active != nil, position.identity.headLength > 0 { previous = position }
  }

  /// Which version holds `position`, also if it is only a shorter copy of it.
  private func indexOf(_ position: FilePosition, in versions: [LogVersion]) -> Int? {
    guard position.identity.headLength > 0 else {
      return versions.firstIndex { $0.device == position.identity.device && $0.inode == position.identity.inode }
    }
    for index in FileTail.likelyFirst(position, versions) {
      let version = versions[index]
      guard let log = try? OpenLog(path: version.path, expecting: version, mayBePacked: !version.isCurrent) else { continue }
      switch log.seek(to: position) {
      case .yes: return index
      case .shorter where !version.isCurrent: return index
      case .shorter, .no: break
      }
    }
    return nil
  }
  private static func likelyFirst(_ position: FilePosition, _ versions: [LogVersion]) -> [Int] {
    func isSame(_ index: Int) -> Bool {
      versions[index].device == position.identity.device && versions[index].inode == position.identity.inode
    }
    return versions.indices.filter(isSame) + versions.indices.filter { !isSame($0) }
  }

  private func resume(_ position: FilePosition, _ cause: Cause, _ listing: RotatedFiles.Listing, _ progress: inout ReadProgress) {
    guard listing.isStable else { return }
    let versions = listing.versions
    guard position.identity.headLength > 0, position.offset > 0 else { return resumeFromNothing(position, cause, versions, &progress) }

    var shorterCopy: Int?
    for index in FileTail.likelyFirst(position, versions) {
      let version = versions[index]
      guard let log = try? OpenLog(path: version.path, expecting: version, mayBePacked: !version.isCurrent) else { continue }
      switch log.seek(to: position) {
      case .no: break
      case .shorter:
        if !version.isCurrent {
          if shorterCopy == nil { shorterCopy = index }
        } else if version.inode != position.identity.inode, position.identity.headLength >= FileTail.sureHeadBytes {
          // An older copy was put back: all of it is old.
          log.begin(at: log.knownSize)
          progress.notices.append(.rewritten(path: path, offset: log.knownSize))
          return activate(log, &progress)
        }
      case .yes:
        resumeLate(versions)
        return found(log, position, cause, &progress)
      }
    }
    // Rotated to a name that follows no rule. (A file that is finished is of no more use.)
    if case .restart = cause, let version = RotatedFiles.find(device: position.identity.device, inode: position.identity.inode, near: path),
      let log = try? OpenLog(path: version.path, expecting: version, mayBePacked: true), case .yes = log.seek(to: position)
    {
      return found(log, position, cause, &progress)
    }
    // The path is there but may not be read now, or nothing is there: nothing is known about it, so nothing is concluded.
    if let error = currentProblem(), error.code != .missing || versions.isEmpty { return report(error, &progress) }
    if let current = versions.first, current.isCurrent, let log = openRewritten(current, position) {
      progress.notices.append(.rewritten(path: path, offset: log.reader.consumedOffset))
      return activate(log, &progress)
    }
    if let current = versions.first, current.isCurrent, current.inode == position.identity.inode { holeAfter = position.offset }
    // If neither the file nor its predecessor is known, only the current one is certainly newer.
    let index = shorterCopy ?? previous.map { indexOf($0, in: versions) } ?? versions.count
    openNewest(than: index ?? min(1, versions.count), in: versions, &progress)
    guard active != nil else { return }
    switch cause {
    case .finished: break
    case .truncation(let knownSize):
      lost(position, knownSize: knownSize, copySize: 0, copy: nil, &progress)
    case .restart where shorterCopy == nil:
      counters.placesLost += 1
      progress.notices.append(.placeLost(path: path, offset: position.offset))
    case .restart: break
    }
  }
  /// First bytes that must be the same before a shorter file is taken for an older copy.
  private static let sureHeadBytes = 64

  private func found(_ log: OpenLog, _ position: FilePosition, _ cause: Cause, _ progress: inout ReadProgress) {
    if case .truncation(let knownSize) = cause {
      let copySize = log.isPacked ? UInt64.max : log.knownSize
      lost(position, knownSize: knownSize, copySize: copySize, copy: log.path, &progress)
      holeAfter = log.isPacked ? nil : copySize
    }
    activate(log, &progress)
  }

  private func lost(_ position: FilePosition, knownSize: UInt64, copySize: UInt64, copy: String?, _ progress: inout ReadProgress) {
    let known = knownSize - min(knownSize, max(position.offset, copySize))
    counters.knownLostBytes &+= known
    if copy == nil { counters.truncationsWithoutCopy += 1 }
    progress.notices.append(.truncated(path: path, knownLostBytes: known, copy: copy))
  }

  /// A truncated file whose service does not append begins with a hole up to the service's old place: all that lay between what
  /// is known and there is lost, and now it is known how much.
  private func skipHole(_ log: OpenLog, _ progress: inout ReadProgress) {
    guard let known = holeAfter else { return }
    holeAfter = nil
    let end = log.endOfLeadingHole()
    guard end > 0 else { return }
    log.begin(at: end)
    if end > known { counters.knownLostBytes &+= end - known }
    progress.notices.append(.holeSkipped(path: path, bytes: end))
  }

  /// The checkpoint was taken when there was nothing to read.
  private func resumeFromNothing(_ position: FilePosition, _ cause: Cause, _ versions: [LogVersion], _ progress: inout ReadProgress) {
    var index = versions.count
    var isLost = false
    if let previous {
      let same = versions.firstIndex { $0.device == position.identity.device && $0.inode == position.identity.inode }
      if let found = indexOf(previous, in: versions) {
        index = found
        resumeLate(versions)
      } else if let same {
        index = same + 1
      } else {
        index = min(1, versions.count)
        if case .restart = cause { isLost = true }
      }
    }
    openNewest(than: index, in: versions, &progress)
    guard isLost, active != nil else { return }
    counters.placesLost += 1
    progress.notices.append(.placeLost(path: path, offset: 0))
  }

  /// After a restart: the file before the current one may have got lines behind the place where it was left.
  private func resumeLate(_ versions: [LogVersion]) {
    guard late == nil, let previous, previous.offset != .max else { return }
    for version in versions where version.device == previous.identity.device && version.inode == previous.identity.inode {
      guard let log = try? OpenLog(path: version.path, expecting: version, mayBePacked: true), !log.isPacked else { continue }
      guard case .yes = log.seek(to: previous) else { continue }
      late = log
      lateSince = Clock.monotonic
    }
  }

  /// The current file with the bytes before `position` at another place: an editor or a script rewrote it. Reading goes on there.
  private func openRewritten(_ current: LogVersion, _ position: FilePosition) -> OpenLog? {
    guard position.anchorLength >= 32, current.size <= Limits.rewriteSearchBytes,
      let log = try? OpenLog(path: current.path, expecting: current, mayBePacked: false)
    else { return nil }
    guard let offset = RewriteSearch.offset(behind: position.anchor, anchorLength: position.anchorLength, in: log) else { return nil }
    log.begin(at: offset)
    return log
  }
}

/// Clocks of the shell: when a file was last written to, and how long ago something was seen. Never part of a decision.
enum Clock {
  static var monotonic: Int64 { read(CLOCK_MONOTONIC) }
  static var realtime: EventTime { EventTime(nanoseconds: read(CLOCK_REALTIME)) }
  private static func read(_ clock: clockid_t) -> Int64 {
    var now = timespec()
    clock_gettime(clock, &now)
    return Int64(now.tv_sec) &* 1_000_000_000 &+ Int64(now.tv_nsec)
  }
}
