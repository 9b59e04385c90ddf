// The directory that holds the store, and who may see it: decisions name people's addresses and accounts.
// Invariants: the directory is 0700 and the files 0600, ours; wider ones are refused, not repaired, because somebody may have read or
// written them already. At most one process holds the writer's lock, and the kernel releases it however that process ends.
import CLinux
import Glibc
import Primitives

struct StateDirectory {
  let path: String
  static let databaseName = "panguard.db"
  static let lockName = "panguard.lock"
  var databasePath: String { path + "/" + StateDirectory.databaseName }
  private var lockPath: String { path + "/" + StateDirectory.lockName }

  /// Makes the directory where it is missing (not for reading only) and checks owner and mode.
  init(path: String, readOnly: Bool) throws(StorageError) {
    let trimmed = path.withoutTrailingSlashes
    self.path = trimmed
    if !readOnly { try StateDirectory.make(trimmed) }
    try StateDirectory.check(trimmed, isDirectory: true, readOnly: readOnly)
  }

  private static func make(_ path: String) throws(StorageError) {
    var status = stat()
    if path.isEmpty || stat(path, &status) == 0 { return }
    let above = path.directoryPath
    if above != ".", above != "/" { try make(above) }
    guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
      let code = errno
      throw failure(path, "cannot be made", code)
    }
  }

  private static func failure(_ path: String, _ cause: String, _ code: Int32) -> StorageError {
    switch code {
    case ENOSPC, EDQUOT:
      StorageError(.diskFull, path: path, cause: cause, remedy: "free space on that file system", systemError: code)
    case ENOENT:
      StorageError(.permission, path: path, cause: cause, remedy: "start panguard once, or name another state directory", systemError: code)
    default:
      StorageError(.permission, path: path, cause: cause, remedy: "run as the owner of the state directory, or name another one", systemError: code)
    }
  }

  /// Refuses what is not ours alone. Root may read what belongs to another user.
  private static func check(_ path: String, isDirectory: Bool, readOnly: Bool) throws(StorageError) {
    var status = stat()
    // The directory may be a link (systemd makes one for DynamicUser=); its content may not.
    guard (isDirectory ? stat(path, &status) : lstat(path, &status)) == 0 else {
      let code = errno
      throw failure(path, "cannot be read", code)
    }
    guard status.st_mode & S_IFMT == (isDirectory ? S_IFDIR : S_IFREG) else {
      throw StorageError(
        .permission, path: path, cause: isDirectory ? "is not a directory" : "is not a regular file",
        remedy: "remove it, or name another state directory")
    }
    let user = geteuid()
    guard status.st_uid == user || (readOnly && user == 0) else {
      throw StorageError(
        .permission, path: path, cause: "belongs to user \(status.st_uid), not to \(user)",
        remedy: "run as that user, or name another state directory")
    }
    guard status.st_mode & 0o077 == 0 else {
      let mode = String(status.st_mode & 0o7777, radix: 8)
      throw StorageError(
        .permission, path: path, cause: "has mode \(mode): other users can reach it",
        remedy: "see who could have read or changed it, then chmod \(isDirectory ? "700" : "600") it")
    }
  }

  /// Makes the database file, empty and 0600, where it is missing (SQLite's other files take its mode); checks it.
  func prepareDatabase(readOnly: Bool) throws(StorageError) {
    if !readOnly {
      let fd = pg_open(databasePath, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW, 0o600)
      if fd >= 0 {
        close(fd)
      } else if errno != EEXIST {
        let code = errno
        throw StateDirectory.failure(databasePath, "cannot be made", code)
      }
    }
    try StateDirectory.check(databasePath, isDirectory: false, readOnly: readOnly)
  }

  /// The writer's lock, as a file descriptor to close. Throws `.locked` while another process holds it.
  func lock() throws(StorageError) -> Int32 {
    let fd = pg_open(lockPath, O_CREAT | O_RDWR | O_NOFOLLOW, 0o600)
    guard fd >= 0 else {
      let code = errno
      throw StateDirectory.failure(lockPath, "cannot be opened", code)
    }
    guard StateDirectory.takesLock(fd) else {
      defer { close(fd) }
      throw StateDirectory.locked(path, fd)
    }
    // For people and for the message above only: the lock is the kernel's, so a failure to write it does not matter.
    let text = Array("\(getpid())\n".utf8)
    if ftruncate(fd, 0) == 0 { _ = pwrite(fd, text, text.count, 0) }
    return fd
  }
  /// Looks at the lock only: whoever asks may not be who will write, and must not make files that the writer could not open.
  static func refuseSecondWriter(in path: String) throws(StorageError) {
    let fd = pg_open(path + "/" + lockName, O_RDONLY | O_NOFOLLOW, 0)
    guard fd >= 0 else { return }
    defer { close(fd) }
    guard takesLock(fd) else { throw locked(path, fd) }
  }
  /// A program that the last writer was just starting has a copy of its descriptors until it runs, and the lock with them: it is waited for.
  private static func takesLock(_ fd: Int32) -> Bool {
    for _ in 0..<Limits.lockTries {
      if flock(fd, LOCK_EX | LOCK_NB) == 0 { return true }
      usleep(20_000)
    }
    return false
  }
  private static func locked(_ path: String, _ fd: Int32) -> StorageError {
    StorageError(
      .locked, path: path, cause: "another panguard\(owner(fd)) writes here", remedy: "stop it first, or name another state directory")
  }
  private static func owner(_ fd: Int32) -> String {
    var buffer = [UInt8](repeating: 0, count: 16)
    let n = pread(fd, &buffer, buffer.count, 0)
    let digits = buffer.prefix(max(0, n)).prefix { $0 >= 0x30 && $0 <= 0x39 }
    return digits.isEmpty ? "" : " (process \(String(decoding: digits, as: UTF8.self)))"
  }

  /// Moves the damaged database and its journal aside, under a name that keeps them readable together.
  func moveDatabaseAside() throws(StorageError) -> String {
    var status = stat()
    for n in 1...Limits.damagedStores {
      let target = databasePath + ".corrupt-\(n)"
      if lstat(target, &status) == 0 { continue }
      guard rename(databasePath, target) == 0 else {
        let code = errno
        throw StateDirectory.failure(databasePath, "is damaged and cannot be moved aside", code)
      }
      _ = rename(databasePath + "-wal", target + "-wal")
      _ = unlink(databasePath + "-shm")
      return target
    }
    throw StorageError(
      .corrupt, path: databasePath, cause: "is damaged, like \(Limits.damagedStores) before it",
      remedy: "check the disk, then remove the files \(StateDirectory.databaseName).corrupt-*")
  }

  /// Bytes of a file beside or of the database; 0 if it is not there.
  func size(_ suffix: String = "") -> Int64 {
    var status = stat()
    return lstat(databasePath + suffix, &status) == 0 ? Int64(status.st_size) : 0
  }
}
