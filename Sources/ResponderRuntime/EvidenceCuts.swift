// Packets of decisions, cut out of the capture's recording: files of our own, one for each request, made by `panguard-capture --cut` in a process
// that gives everything up before it reads a packet. The responder never looks into one.
// What must stay true: together they are never larger than configured, nor more, nor kept longer (the one that is being made comes on top until it
// is whole); the oldest go first, for what was made only, and what goes is said; a file has its name only when it is whole.
import CLinux
import Glibc
import HostActions
import Primitives
import Supervision
import TypedYAML

struct EvidenceCuts {
  let directory: String
  let recording: String
  /// Bytes of all together, and files.
  let totalBytes: Int64
  let totalFiles: Int
  let kept: Nanoseconds

  private static let ending = ".pcapng"
  /// While it is made.
  private static let unfinished = ".part"

  init(_ configuration: ResponderConfiguration) {
    directory = configuration.evidenceDirectory
    recording = configuration.recordingDirectory
    (totalBytes, totalFiles, kept) = (configuration.evidenceBytes, configuration.evidenceFiles, configuration.evidenceKept)
  }

  func path(_ key: String) -> String { "\(directory)/\(key)\(EvidenceCuts.ending)" }
  private func unfinishedPath(_ key: String) -> String { "\(directory)/\(key)\(EvidenceCuts.unfinished)" }
  func holds(_ key: String) -> Bool { access(path(key), F_OK) == 0 }

  /// Those that there are; nil: the directory cannot be read.
  func keys() -> Set<String>? {
    directoryNames(directory).map { names in
      Set(names.filter { $0.hasSuffix(EvidenceCuts.ending) }.map { String($0.dropLast(EvidenceCuts.ending.count)) })
    }
  }

  /// What a crash left unfinished.
  func sweepUnfinished() {
    for name in directoryNames(directory) ?? [] where name.hasSuffix(EvidenceCuts.unfinished) { unlink("\(directory)/\(name)") }
  }

  /// What was removed, with why; what could not be, with why; and whether there is room now.
  struct Room {
    var removed: [(key: String, reason: String)] = []
    var failures: [String] = []
    var isEnough = true
  }

  /// Removes what is too old and what `incoming` bytes have no room beside, the oldest first: their keys, with why.
  func makeRoom(for incoming: Int64, now: Int64) -> Room {
    var files: [(key: String, time: Int64, bytes: Int64)] = []
    for name in directoryNames(directory) ?? [] where name.hasSuffix(EvidenceCuts.ending) {
      var facts = stat()
      guard lstat("\(directory)/\(name)", &facts) == 0 else { continue }
      let time = Int64(facts.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(facts.st_mtim.tv_nsec)
      files.append((String(name.dropLast(EvidenceCuts.ending.count)), time, Int64(facts.st_size)))
    }
    files.sort { ($0.time, $0.key) < ($1.time, $1.key) }
    var (bytes, count) = (files.reduce(0) { $0 + $1.bytes }, files.count)
    var room = Room()
    for file in files {
      let isOld = now - file.time > kept.count
      let isInTheWay = incoming > 0 && (bytes + incoming > totalBytes || count >= totalFiles)
      guard isOld || isInTheWay else { continue }
      guard unlink(path(file.key)) == 0 || errno == ENOENT else {
        room.failures.append("\(path(file.key)): \(errorText(errno))")
        continue
      }
      (bytes, count) = (bytes - file.bytes, count - 1)
      room.removed.append((file.key, isOld ? "removed after \(kept)" : "removed for newer ones"))
    }
    room.isEnough = incoming == 0 || bytes + incoming <= totalBytes && count < totalFiles
    return room
  }

  // MARK: Cutting

  /// The program with its arguments, or why there is none.
  func request(_ key: String, _ selection: PacketSelection) -> Result<ChildProgramRequest, Executables.Refused> {
    var refused = Executables.Refused("no_program", "panguard-capture is not installed")
    for place in ChildProgram.directories(besides: ownPath()) {
      switch Executables.open("panguard-capture", in: place) {
      case .failure(let failure): refused = failure
      case .success(let program):
        var request = ChildProgramRequest(
          program: program,
          arguments: ["panguard-capture", "--cut", unfinishedPath(key), "--recording", recording] + selection.arguments, timeout: Limits.cutTime)
        request.fileBytes = selection.bytes + 1024 * 1024
        return .success(request)
      }
    }
    return .failure(refused)
  }

  /// Of what was made; nil: nothing was.
  func unfinishedBytes(_ key: String, _ end: ChildEnd) -> Int64? {
    var facts = stat()
    guard end.code == 0, !end.timedOut, lstat(unfinishedPath(key), &facts) == 0 else { return nil }
    return Int64(facts.st_size)
  }

  /// What its end means; the file has its name afterwards, or is gone.
  func outcome(_ key: String, _ end: ChildEnd, hasRoom: Bool) -> HostActionOutcome {
    guard hasRoom else {
      unlink(unfinishedPath(key))
      return HostActionOutcome(.failed, "no_room", "older files with packets cannot be removed for it")
    }
    let said = String(decoding: end.output, as: UTF8.self).split { $0 == "\n" || $0 == "\r" }.joined(separator: "; ")
    if end.code == 0, !end.timedOut, rename(unfinishedPath(key), path(key)) == 0 {
      return HostActionOutcome(.done, "", "\(path(key)): \(said)")
    }
    let code = errno
    unlink(unfinishedPath(key))
    if end.timedOut { return HostActionOutcome(.failed, "timed_out", "it took too long") }
    if end.code == 0 { return HostActionOutcome(.failed, "kernel", "\(path(key)): \(errorText(code))") }
    if end.code == 1 { return HostActionOutcome(.failed, "no_packets", said) }
    return HostActionOutcome(.failed, "recording", said.isEmpty ? end.text : said)
  }

  func remove(_ key: String) -> HostActionOutcome {
    guard unlink(path(key)) == 0 || errno == ENOENT else {
      return HostActionOutcome(.failed, "kernel", "\(path(key)): \(errorText(errno))")
    }
    return HostActionOutcome(.undone, "", "the packets were removed")
  }

  // MARK: What it takes

  /// Where the program and the libraries that it shares with this one lie.
  static func executablePaths() -> [String] {
    let own = ChildProgram.directories(besides: ownPath())
    var libraries: [String] = []
    if case .success(let maps) = readDocumentFile("/proc/self/maps") {
      for line in String(decoding: maps, as: UTF8.self).split(separator: "\n") where line.contains(".so") {
        guard let slash = line.firstIndex(of: "/"), let end = line.lastIndex(of: "/") else { continue }
        libraries.append(String(line[slash..<end]))
      }
    }
    return Array(Set(own + libraries)).sorted().filter { !$0.isEmpty && access($0, F_OK) == 0 }
  }
}

/// This program's file.
private func ownPath() -> String? {
  var buffer = [UInt8](repeating: 0, count: 4096)
  let count = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count) }
  return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
}
