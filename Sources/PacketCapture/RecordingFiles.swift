// The files of a recording as they lie in their directory: what they are called, how the order in which they were begun is read from them, who
// may have made them, and how they are opened, for writing while there are privileges and for reading by whoever root lets.
// What must stay true: no link is followed, no file of somebody else's is written or believed; a reader that is overtaken by the writer notices
// before it has handed on a single byte of what it was not meant to see.
import CLinux
import Confinement
import Glibc
import PacketSources
import Primitives

/// The first block of each file: a pcapng section that says by its application's name the how-manieth it is.
enum RecordingHeader {
  private static let application = "panguard recording "
  /// Bytes of the block: section 24, option 4 and 35 with one of padding, its end 4, the block's 4.
  static let bytes = 72
  private static let numberOffset = 24 + 4 + 19

  static func append(_ number: UInt64, to out: inout [UInt8]) {
    let digits = String(number, radix: 16)
    PacketBlocks.appendSection(application: application + String(repeating: "0", count: 16 - digits.count) + digits, to: &out)
  }
  /// nil: these are not the first bytes of a recording's file.
  static func number(_ header: [UInt8]) -> UInt64? {
    guard header.count == bytes else { return nil }
    let digits = header[numberOffset..<numberOffset + 16]
    guard digits.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }),
      let number = UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
    else { return nil }
    var own: [UInt8] = []
    append(number, to: &own)
    return own == header ? number : nil
  }
  static func read(_ descriptor: Int32) -> [UInt8] {
    var header = [UInt8](repeating: 0, count: bytes)
    let count = pread(descriptor, &header, bytes, 0)
    return Array(header[..<max(0, count)])
  }
}

enum RecordingFiles {
  private static let lockName = "recording.lock"
  static func name(_ i: Int) -> String { "recording.\(i < 10 ? "0" : "")\(i).pcapng" }
  static func failure(_ path: String, _ code: Int32 = errno) -> CaptureFailure { CaptureFailure("\(path): \(String(cString: strerror(code)))") }

  /// Why what is open is not to be used as a part of a recording; nil: it is. `users`: who may have made it.
  private static func problem(_ descriptor: Int32, _ type: mode_t, users: [uid_t]) -> String? {
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { return String(cString: strerror(errno)) }
    guard facts.st_mode & S_IFMT == type else { return type == S_IFDIR ? "is no directory" : "is not a regular file" }
    guard users.contains(facts.st_uid) else { return "belongs to user \(facts.st_uid)" }
    guard facts.st_mode & (S_IWGRP | S_IWOTH) == 0 else { return "others may write it" }
    guard type == S_IFDIR || facts.st_nlink == 1 else { return "has another name too" }
    return nil
  }
  private static func checkDirectory(_ path: String, users: [uid_t]) throws(CaptureFailure) {
    let directory = pg_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)
    guard directory >= 0 else { throw failure(path) }
    defer { close(directory) }
    if let problem = problem(directory, S_IFDIR, users: users) { throw CaptureFailure("\(path): \(problem)") }
  }

  // MARK: For writing

  /// What is open of a recording that is written.
  struct Opened {
    fileprivate(set) var files: [Int32] = []
    /// Held for as long as it is written.
    fileprivate(set) var lock: Int32 = -1
    func closeAll() { for descriptor in files + [lock] where descriptor >= 0 { close(descriptor) } }
  }

  /// Opens all files of it, as they are: what they hold stays until it is written over. They belong to `account` then, and are 0600, or 0640 where
  /// `group` may read them. One capture at a time: it holds the lock of a file that is 0600 always, because who may read a file may lock it.
  static func open(_ settings: RecordingSettings, account: Account?) throws(CaptureFailure) -> Opened {
    let users = [0, geteuid()] + [account?.user].compactMap { $0 }
    let group = settings.group.isEmpty ? nil : getgrnam(settings.group)?.pointee.gr_gid
    if !settings.group.isEmpty, group == nil { throw CaptureFailure("recording_group: there is no group '\(settings.group)'") }
    if mkdir(settings.directory, 0o700) == 0 {
      // Made by us: it is the user's that we become, and the group's may look for files in it.
      guard group == nil || chmod(settings.directory, 0o750) == 0,
        chown(settings.directory, account?.user ?? .max, group ?? account?.group ?? .max) == 0
      else { throw failure(settings.directory) }
    } else if errno != EEXIST {
      throw failure(settings.directory)
    }
    try checkDirectory(settings.directory, users: users)
    var opened = Opened()
    do throws(CaptureFailure) {
      opened.lock = try openOne("\(settings.directory)/\(lockName)", users: users, account?.user, nil)
      guard flock(opened.lock, LOCK_EX | LOCK_NB) == 0 else { throw CaptureFailure("\(settings.directory): another capture records into it") }
      for i in 0..<settings.files { opened.files.append(try openOne("\(settings.directory)/\(name(i))", users: users, account?.user, group)) }
    } catch {
      opened.closeAll()
      throw error
    }
    // Of an earlier configuration that had more.
    for i in settings.files..<Int(Limits.recordingFiles.upperBound) { unlink("\(settings.directory)/\(name(i))") }
    return opened
  }

  private static func openOne(_ path: String, users: [uid_t], _ user: uid_t?, _ group: gid_t?) throws(CaptureFailure) -> Int32 {
    let descriptor = pg_open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600)
    guard descriptor >= 0 else { throw failure(path) }
    do throws(CaptureFailure) {
      if let problem = problem(descriptor, S_IFREG, users: users) { throw CaptureFailure("\(path): \(problem)") }
      try give(descriptor, path, to: user, group)
    } catch {
      close(descriptor)
      throw error
    }
    return descriptor
  }

  /// Changes only what is another way: as a service we have no right to more, and need none.
  private static func give(_ descriptor: Int32, _ path: String, to user: uid_t?, _ group: gid_t?) throws(CaptureFailure) {
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { throw failure(path) }
    if (user ?? facts.st_uid) != facts.st_uid || (group ?? facts.st_gid) != facts.st_gid {
      guard fchown(descriptor, user ?? facts.st_uid, group ?? facts.st_gid) == 0 else {
        throw CaptureFailure("\(path): cannot be given to its user and group (\(String(cString: strerror(errno)))); docs/capture.md says how")
      }
    }
    let mode: mode_t = group == nil ? 0o600 : 0o640
    if facts.st_mode & 0o7777 != mode, fchmod(descriptor, mode) != 0 { throw failure(path) }
  }

  // MARK: For reading

  /// The files of the recording in `directory`, in the order in which they were begun, and what was left out and why.
  static func openAll(in directory: String) throws(CaptureFailure) -> (files: [RecordedFile], problems: [String]) {
    let users = [0, geteuid()] + [Account.named(CaptureConfinement.userName)?.user].compactMap { $0 }
    try checkDirectory(directory, users: users)
    var files: [RecordedFile] = []
    var problems: [String] = []
    for i in 0..<Int(Limits.recordingFiles.upperBound) {
      let path = "\(directory)/\(name(i))"
      let descriptor = pg_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0)
      guard descriptor >= 0 else {
        if errno != ENOENT { problems.append("\(path): \(errno == ELOOP ? "is a symbolic link" : String(cString: strerror(errno)))") }
        continue
      }
      let header = RecordingHeader.read(descriptor)
      // Not begun yet.
      if header.isEmpty, problem(descriptor, S_IFREG, users: users) == nil {
        close(descriptor)
      } else if let problem = problem(descriptor, S_IFREG, users: users) ?? (RecordingHeader.number(header) == nil ? "is no recording" : nil) {
        problems.append("\(path): \(problem)")
        close(descriptor)
      } else {
        files.append(RecordedFile(path, descriptor, header: header))
      }
    }
    files.sort { ($0.number ?? 0, $0.path) < ($1.number ?? 0, $1.path) }
    return (files, problems)
  }

  /// Any capture file that the operator names.
  static func openPlain(_ path: String) throws(CaptureFailure) -> RecordedFile {
    let descriptor = pg_open(path, O_RDONLY | O_NONBLOCK, 0)
    var facts = stat()
    guard descriptor >= 0, fstat(descriptor, &facts) == 0 else { throw failure(path) }
    guard facts.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw CaptureFailure("\(path): is not a regular file")
    }
    return RecordedFile(path, descriptor, header: [])
  }
}

/// A file that is read, from its beginning as often as need be.
final class RecordedFile {
  let path: String
  /// Its place in the order; nil: it is no file of a recording.
  let number: UInt64?
  private let descriptor: Int32
  private let header: [UInt8]
  private var offset = 0
  /// The writer has begun it anew meanwhile.
  private(set) var isOverwritten = false

  fileprivate init(_ path: String, _ descriptor: Int32, header: [UInt8]) {
    (self.path, self.descriptor, self.header) = (path, descriptor, header)
    number = RecordingHeader.number(header)
  }
  deinit { close(descriptor) }

  struct Overwritten: Error, CustomStringConvertible { let description = "it was written over while it was read" }

  func reader() -> CaptureReader {
    offset = 0
    return CaptureReader { [self] in try read(into: $0) }
  }

  private func read(into room: UnsafeMutableRawBufferPointer) throws -> Int {
    var count: Int
    repeat { count = pread(descriptor, room.baseAddress, room.count, offset) } while count < 0 && errno == EINTR
    guard count >= 0 else { throw CaptureFailure(String(cString: strerror(errno))) }
    // The writer empties a file before it gives it another header: the same header now means the same file then.
    if !header.isEmpty, RecordingHeader.read(descriptor) != header {
      isOverwritten = true
      throw Overwritten()
    }
    offset += count
    return count
  }
}
