// A file is moved out of everybody's reach, into a directory of its own below one that only we can enter, beside a manifest of what it was;
// and back. What must stay true: nothing is followed (no symbolic link anywhere in the path); what was looked at is what was moved, or it is
// moved back; nothing below a protected directory is touched; nothing that is there is ever overwritten; an error leaves the file where it was.
import CLinux
import COpenSSL
import Glibc
import HostActions
import Primitives
import TypedYAML

struct FileQuarantine {
  /// An absolute path; mode 0700.
  var directory: String
  /// Paths of the configuration that are never touched, with all below them.
  var spared: [String] = []

  /// Not the operator's to open. `/dev/shm` is every user's, and a place where attackers keep things.
  static let protected = [
    "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/boot", "/etc", "/proc", "/sys", "/dev", "/run", "/var/lib",
    "/var/log", "/var/cache",
  ]
  static let exceptions = ["/dev/shm"]

  static func isBelow(_ path: String, _ directory: String) -> Bool { path == directory || path.hasPrefix(directory + "/") }

  /// Why the path is not touched; nil: it may be.
  func refusal(_ path: String) -> KillRefusal? {
    guard ResponderKey.isPlain(path) else { return KillRefusal("path", "'\(path)' is not an absolute path without '.', '..' and '//'") }
    if let place = FileQuarantine.protected.first(where: { FileQuarantine.isBelow(path, $0) }),
      !FileQuarantine.exceptions.contains(where: { path.hasPrefix($0 + "/") })
    {
      return KillRefusal("protected", "\(path) lies below \(place)")
    }
    if FileQuarantine.isBelow(path, directory) { return KillRefusal("protected", "\(path) is in quarantine already") }
    // Whoever can have keys moved away locks people out.
    if path.split(separator: "/").contains(".ssh") { return KillRefusal("protected", "\(path) is a key or configuration of ssh") }
    if let place = spared.first(where: { FileQuarantine.isBelow(path, $0) }) { return KillRefusal("spared", "never_quarantine has \(place)") }
    return nil
  }

  private struct Failure: Error {
    var outcome: HostActionOutcome
    init(_ state: HostActionOutcome.State, _ code: String, _ detail: String) { outcome = HostActionOutcome(state, code, detail) }
    init(_ what: String, _ code: Int32 = errno) { self.init(.failed, "kernel", "\(what): \(errorText(code))") }
  }

  /// A descriptor that is closed with its last owner.
  private final class Handle {
    let number: Int32
    init?(_ number: Int32) {
      guard number >= 0 else { return nil }
      self.number = number
    }
    deinit { close(number) }
  }

  // MARK: Away

  func quarantine(_ target: FileTarget, key: String) -> HostActionOutcome {
    if let refusal = refusal(target.path) { return HostActionOutcome(.refused, refusal.code, refusal.detail) }
    do throws(Failure) { return try move(target, key) } catch { return error.outcome }
  }

  private func move(_ target: FileTarget, _ key: String) throws(Failure) -> HostActionOutcome {
    let (parent, name) = try FileQuarantine.parent(of: target.path)
    let (file, facts) = try FileQuarantine.open(name, in: parent, target)
    let hash = try FileQuarantine.hash(file)
    if !target.sha256.isEmpty, target.sha256 != hash {
      throw Failure(.refused, "changed", "\(target.path) has another content (SHA-256) than the file that was asked about")
    }
    let place = try makePlace(key)
    do throws(Failure) {
      try writeManifest(target.path, facts, hash, in: place)
      if pg_rename_exclusively(parent.number, name, place.number, FileQuarantine.fileName) == 0 {
        guard FileQuarantine.isSame(facts, FileQuarantine.fileName, in: place) else {
          // Somebody put another file there meanwhile: it goes back.
          _ = pg_rename_exclusively(place.number, FileQuarantine.fileName, parent.number, name)
          throw Failure(.refused, "changed", "\(target.path) became another file while it was moved")
        }
      } else if errno == EXDEV {
        try moveAcross(parent, name, file, facts, hash, to: place, key)
      } else {
        throw Failure(target.path)
      }
    } catch {
      // Not where a file is in it that could not be put back.
      if unlinkat(place.number, FileQuarantine.manifestName, 0) == 0, rmdir(path(key)) != 0 {
        try? writeManifest(target.path, facts, hash, in: place)
      }
      throw error
    }
    fsync(place.number)
    let links = facts.st_nlink > 1 ? "; it has \(facts.st_nlink - 1) other names, which remain" : ""
    return HostActionOutcome(.done, "", "\(target.path) moved to \(path(key)), SHA-256 \(FileQuarantine.hex(hash))\(links)")
  }

  /// To another file system: a copy, and then the original goes; under a name of ours first, so that what is removed is what was copied.
  private func moveAcross(
    _ parent: Handle, _ name: String, _ file: Handle, _ facts: stat, _ hash: [UInt8], to place: Handle, _ key: String
  ) throws(Failure) {
    try FileQuarantine.copy(file, facts, hash, to: FileQuarantine.fileName, in: place)
    let aside = ".panguard-\(key)"
    guard pg_rename_exclusively(parent.number, name, parent.number, aside) == 0 else {
      let code = errno
      unlinkat(place.number, FileQuarantine.fileName, 0)
      throw Failure(name, code)
    }
    guard FileQuarantine.isSame(facts, aside, in: parent), unlinkat(parent.number, aside, 0) == 0 else {
      _ = pg_rename_exclusively(parent.number, aside, parent.number, name)
      unlinkat(place.number, FileQuarantine.fileName, 0)
      throw Failure(.refused, "changed", "\(name) became another file while it was moved")
    }
  }

  // MARK: Back

  /// Whether the file with this key lies here, with its manifest.
  func holds(_ key: String) -> Bool {
    access("\(path(key))/\(FileQuarantine.fileName)", F_OK) == 0 && access("\(path(key))/\(FileQuarantine.manifestName)", F_OK) == 0
  }

  /// Puts it back where it was, as it was.
  func restore(_ key: String) -> HostActionOutcome {
    do throws(Failure) { return try putBack(key) } catch { return error.outcome }
  }

  private func putBack(_ key: String) throws(Failure) -> HostActionOutcome {
    guard let place = Handle(pg_openat2(AT_FDCWD, path(key), O_RDONLY | PG_O_DIRECTORY, 0)) else { throw Failure(path(key)) }
    let manifest = try FileQuarantine.manifest(at: "\(path(key))/\(FileQuarantine.manifestName)")
    if let refusal = refusal(manifest.path) { throw Failure(.refused, refusal.code, refusal.detail) }
    let (parent, name) = try FileQuarantine.parent(of: manifest.path)
    guard let file = Handle(pg_openat2(place.number, FileQuarantine.fileName, O_RDONLY | PG_O_NOFOLLOW | O_NONBLOCK, 1)) else {
      throw Failure(path(key))
    }
    var facts = stat()
    guard fstat(file.number, &facts) == 0 else { throw Failure(path(key)) }
    let hash = try FileQuarantine.hash(file)
    if pg_rename_exclusively(place.number, FileQuarantine.fileName, parent.number, name) != 0 {
      let code = errno
      guard code == EXDEV else { throw Failure(manifest.path, code) }
      let aside = ".panguard-\(key)"
      (facts.st_atim, facts.st_mtim) = manifest.times
      try FileQuarantine.copy(file, facts, hash, to: aside, in: parent)
      guard pg_rename_exclusively(parent.number, aside, parent.number, name) == 0 else {
        let code = errno
        unlinkat(parent.number, aside, 0)
        throw Failure(manifest.path, code)
      }
      unlinkat(place.number, FileQuarantine.fileName, 0)
    } else {
      // Looking at it has changed when it was read last.
      var times = [manifest.times.0, manifest.times.1]
      futimens(file.number, &times)
    }
    unlinkat(place.number, FileQuarantine.manifestName, 0)
    rmdir(path(key))
    let changed = hash == manifest.hash ? "" : "; its content has changed since: a program had it open"
    return HostActionOutcome(.undone, "", "\(manifest.path) is back\(changed)")
  }

  // MARK: Files

  private static let fileName = "file"
  private static let manifestName = "manifest.json"
  private func path(_ key: String) -> String { "\(directory)/\(key)" }

  private static func parent(of path: String) throws(Failure) -> (Handle, name: String) {
    let slash = path.lastIndex(of: "/")!
    let directory = slash == path.startIndex ? "/" : String(path[..<slash])
    guard let handle = Handle(pg_openat2(AT_FDCWD, directory, PG_O_PATH | PG_O_DIRECTORY, 0)) else {
      if errno == ELOOP { throw Failure(.refused, "symlink", "\(directory): a symbolic link is in the path") }
      throw Failure(directory)
    }
    return (handle, String(path[path.index(after: slash)...]))
  }

  /// The file for reading, once it is known to be a regular one: a pipe would block, and a device may act when it is opened.
  private static func open(_ name: String, in parent: Handle, _ target: FileTarget) throws(Failure) -> (Handle, stat) {
    var facts = stat()
    guard let named = Handle(pg_openat2(parent.number, name, PG_O_PATH | PG_O_NOFOLLOW, 1)), fstat(named.number, &facts) == 0 else {
      throw Failure(target.path)
    }
    switch facts.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFLNK: throw Failure(.refused, "symlink", "\(target.path) is a symbolic link")
    default: throw Failure(.refused, "not_a_file", "\(target.path) is not a regular file")
    }
    if target.inode != 0 || target.device != 0, target.inode != UInt64(facts.st_ino) || target.device != UInt64(facts.st_dev) {
      throw Failure(.refused, "changed", "\(target.path) is another file (inode) than the one that was asked about")
    }
    guard Int64(facts.st_size) <= Limits.quarantinedFileBytes else {
      throw Failure(.refused, "too_large", "\(target.path) has \(facts.st_size) bytes, more than \(Limits.quarantinedFileBytes)")
    }
    guard let file = Handle(pg_openat2(parent.number, name, O_RDONLY | PG_O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 1)) else { throw Failure(target.path) }
    var again = stat()
    guard fstat(file.number, &again) == 0, again.st_ino == facts.st_ino, again.st_dev == facts.st_dev else {
      throw Failure(.refused, "changed", "\(target.path) became another file while it was looked at")
    }
    return (file, facts)
  }

  private static func isSame(_ facts: stat, _ name: String, in directory: Handle) -> Bool {
    var found = stat()
    return fstatat(directory.number, name, &found, Int32(AT_SYMLINK_NOFOLLOW)) == 0 && found.st_ino == facts.st_ino && found.st_dev == facts.st_dev
  }

  /// All bytes of it, from the beginning. `take` is given each part.
  private static func read(_ file: Handle, _ take: ([UInt8]) throws(Failure) -> Void) throws(Failure) {
    var buffer = [UInt8](repeating: 0, count: 256 * 1024)
    var offset: off_t = 0
    while true {
      let n = pread(file.number, &buffer, buffer.count, offset)
      if n < 0, errno == EINTR { continue }
      guard n >= 0 else { throw Failure("reading") }
      if n == 0 { return }
      offset += off_t(n)
      // It may be growing as it is read.
      guard Int64(offset) <= Limits.quarantinedFileBytes else {
        throw Failure(.refused, "too_large", "it grows beyond \(Limits.quarantinedFileBytes) bytes")
      }
      try take(n == buffer.count ? buffer : Array(buffer[..<n]))
    }
  }
  private static func hash(_ file: Handle) throws(Failure) -> [UInt8] {
    let context = EVP_MD_CTX_new()
    defer { EVP_MD_CTX_free(context) }
    var digest = [UInt8](repeating: 0, count: 32)
    guard EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else { throw Failure(.failed, "hash", "SHA-256 does not work here") }
    try read(file) { part in EVP_DigestUpdate(context, part, part.count) }
    EVP_DigestFinal_ex(context, &digest, nil)
    return digest
  }
  static func hex(_ bytes: [UInt8]) -> String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }

  /// A copy with owner, mode, attributes and times; nothing of it remains where one of these fails.
  private static func copy(_ file: Handle, _ facts: stat, _ hash: [UInt8], to name: String, in directory: Handle) throws(Failure) {
    guard let copy = Handle(openat(directory.number, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)) else { throw Failure(name) }
    do throws(Failure) {
      try read(file) { (part) throws(Failure) in guard write(copy.number, part, part.count) == part.count else { throw Failure("copying") } }
      guard try self.hash(copy) == hash else { throw Failure(.refused, "changed", "the content changed while it was copied") }
      guard fchown(copy.number, facts.st_uid, facts.st_gid) == 0 else { throw Failure("owner") }
      try copyAttributes(file, copy)
      var times = [facts.st_atim, facts.st_mtim]
      guard fchmod(copy.number, facts.st_mode & 0o7777) == 0, futimens(copy.number, &times) == 0, fsync(copy.number) == 0 else {
        throw Failure("mode and times")
      }
    } catch {
      unlinkat(directory.number, name, 0)
      throw error
    }
  }
  private static func copyAttributes(_ file: Handle, _ copy: Handle) throws(Failure) {
    var names = [CChar](repeating: 0, count: Limits.quarantinedAttributeBytes)
    let count = pg_flistxattr(file.number, &names, names.count)
    if count < 0, errno == ENOTSUP { return }
    guard count >= 0 else { throw Failure("extended attributes") }
    for name in names[..<count].split(separator: 0) {
      let name = Array(name) + [0]
      var value = [UInt8](repeating: 0, count: Limits.quarantinedAttributeBytes)
      let length = pg_fgetxattr(file.number, name, &value, value.count)
      guard length >= 0, pg_fsetxattr(copy.number, name, value, length) == 0 else { throw Failure("extended attributes cannot be kept") }
    }
  }

  // MARK: The manifest

  private func makePlace(_ key: String) throws(Failure) -> Handle {
    guard mkdir(path(key), 0o700) == 0 else { throw Failure(path(key)) }
    guard let place = Handle(pg_openat2(AT_FDCWD, path(key), O_RDONLY | PG_O_DIRECTORY, 0)) else { throw Failure(path(key)) }
    return place
  }

  private func writeManifest(_ path: String, _ facts: stat, _ hash: [UInt8], in place: Handle) throws(Failure) {
    var json = JSONWriter()
    json.beginObject()
    json.key("path")
    json.value(path)
    json.key("sha256")
    json.value(FileQuarantine.hex(hash))
    let numbers: [(String, Int64)] = [
      ("uid", Int64(facts.st_uid)), ("gid", Int64(facts.st_gid)), ("mode", Int64(facts.st_mode & 0o7777)), ("size", Int64(facts.st_size)),
      ("links", Int64(facts.st_nlink)), ("device", Int64(truncatingIfNeeded: facts.st_dev)), ("inode", Int64(truncatingIfNeeded: facts.st_ino)),
      ("accessed_seconds", Int64(facts.st_atim.tv_sec)), ("accessed_nanoseconds", Int64(facts.st_atim.tv_nsec)),
      ("modified_seconds", Int64(facts.st_mtim.tv_sec)), ("modified_nanoseconds", Int64(facts.st_mtim.tv_nsec)),
    ]
    for (name, value) in numbers {
      json.key(text: name)
      json.value(value)
    }
    json.endObject()
    let bytes = json.out + [0x0a]
    guard
      let file = Handle(openat(place.number, FileQuarantine.manifestName, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)),
      write(file.number, bytes, bytes.count) == bytes.count, fsync(file.number) == 0
    else { throw Failure("manifest") }
  }

  private static func manifest(at path: String) throws(Failure) -> (path: String, hash: [UInt8], times: (timespec, timespec)) {
    guard case .success(let bytes) = readDocumentFile(path, limit: 64 * 1024) else { throw Failure(.failed, "manifest", "\(path) cannot be read") }
    var texts: [String: String] = [:]
    bytes.withUnsafeBytes { all in
      try? JSONMembers.forEach(of: all) { key, value in
        var text = value.string
        var reader = JSONReader(value)
        _ = try reader.next { if case .string(let bytes) = $0 { text = bytes.string } }
        texts[key.string] = text
      }
    }
    func time(_ name: String) -> timespec? {
      guard let seconds = texts["\(name)_seconds"].flatMap({ Int($0) }), let rest = texts["\(name)_nanoseconds"].flatMap({ Int($0) }) else {
        return nil
      }
      return timespec(tv_sec: seconds, tv_nsec: rest)
    }
    let digits = Array((texts["sha256"] ?? "").utf8)
    guard let original = texts["path"], digits.count == 64, let accessed = time("accessed"), let modified = time("modified") else {
      throw Failure(.failed, "manifest", "\(path) is not a manifest")
    }
    let hash = stride(from: 0, to: 64, by: 2).compactMap { UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16) }
    return (original, hash, (accessed, modified))
  }
}
