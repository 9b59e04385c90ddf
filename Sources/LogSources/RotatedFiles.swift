// The versions of one log that lie beside it: `log.1`, `log.2.gz`, `log-20260105.xz`, `log.1.log` ..., ordered by their names from the
// newest to the oldest. Modification times are not asked: touching or restoring an old file must not make it new.
// Invariant: a listing that was taken while files were being renamed is not used (`isStable`).
import CLinux
import Glibc
import Primitives

/// One file that holds a part of a log's history.
struct LogVersion: Equatable {
  var path: String
  var device: UInt64
  var inode: UInt64
  /// Bytes of the file itself (packed, if it is).
  var size: UInt64
  var isCurrent: Bool
}

/// What a file's name says about its age.
enum RotatedName: Equatable {
  /// `.1` is newer than `.2`.
  case numbered(Int)
  /// The digits of the date (and time), which sort as they are.
  case dated([UInt8])

  private static let packedEndings = [".gz", ".xz", ".bz2", ".zst", ".lz4", ".Z"]

  static func isPacked(_ name: String) -> Bool { packedEndings.contains { name.hasSuffix($0) } }
  static func unpacked(_ name: String) -> String {
    for ending in packedEndings where name.hasSuffix(ending) { return String(name.dropLast(ending.count)) }
    return name
  }

  /// What `name` is to the log called `base`; nil if it is no rotated version of it.
  init?(name: String, of base: String) {
    let plain = RotatedName.unpacked(name)
    guard plain != base, !base.isEmpty else { return nil }
    if plain.hasPrefix(base), let found = RotatedName(suffix: Array(plain.utf8.dropFirst(base.utf8.count))) {
      self = found
      return
    }
    // logrotate's "extension": app.log -> app.1.log, app-20260105.log
    guard let dot = base.lastIndex(of: "."), dot > base.startIndex else { return nil }
    let (stem, ending) = (base[..<dot], base[dot...])
    guard plain.hasPrefix(stem), plain.hasSuffix(ending), plain.utf8.count > base.utf8.count else { return nil }
    let middle = Array(plain.utf8.dropFirst(stem.utf8.count).dropLast(ending.utf8.count))
    guard let found = RotatedName(suffix: middle) else { return nil }
    self = found
  }

  /// The part of a name that a rotation added.
  private init?(suffix: [UInt8]) {
    guard let separator = suffix.first, suffix.count <= 40 else { return nil }
    let rest = suffix.dropFirst()
    let digits = rest.filter { $0 >= 0x30 && $0 <= 0x39 }
    if separator == 0x2e, digits.count == rest.count, (1...4).contains(digits.count) {
      self = .numbered(digits.reduce(0) { $0 * 10 + Int($1 - 0x30) })
      return
    }
    // Between the digits of a date: - _ . : T
    let punctuation: [UInt8] = [0x2d, 0x5f, 0x2e, 0x3a, 0x54]
    guard [0x2d, 0x2e, 0x5f].contains(separator), digits.count >= 6, let first = rest.first, first >= 0x30, first <= 0x39,
      rest.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 || punctuation.contains($0) })
    else { return nil }
    self = .dated(digits)
  }

  /// The log of which `name` would be a rotated version: the name without what a rotation adds; nil if nothing was added.
  static func base(of name: String) -> String? {
    let plain = unpacked(name)
    let bytes = Array(plain.utf8)
    // The shortest base first would cut "a-20260105.1" too deep: try the separators from the right.
    for at in bytes.indices.dropFirst().reversed() where [0x2d, 0x2e, 0x5f].contains(bytes[at]) {
      if RotatedName(suffix: Array(bytes[at...])) != nil { return String(decoding: bytes[..<at], as: UTF8.self) }
    }
    if let dot = bytes.lastIndex(of: 0x2e), dot > 0 {
      let stem = Array(bytes[..<dot])
      for at in stem.indices.dropFirst().reversed() where [0x2d, 0x2e, 0x5f].contains(stem[at]) {
        if RotatedName(suffix: Array(stem[at...])) != nil {
          return String(decoding: stem[..<at], as: UTF8.self) + String(decoding: bytes[dot...], as: UTF8.self)
        }
      }
    }
    return plain == name ? nil : plain
  }
}

enum RotatedFiles {
  struct Listing {
    /// From the newest (the current file, where it exists) to the oldest.
    var versions: [LogVersion]
    /// False: names moved while we looked. Try again at the next poll.
    var isStable: Bool
  }

  static func directory(of path: String) -> String { path.directoryPath }
  static func name(of path: String) -> String { path.lastPathPart }

  static func list(_ path: String) -> Listing {
    var last = listOnce(path)
    for _ in 0..<4 {
      let again = listOnce(path)
      if again.map(\.path) == last.map(\.path), again.map(\.inode) == last.map(\.inode) {
        return Listing(versions: again, isStable: true)
      }
      last = again
    }
    return Listing(versions: last, isStable: false)
  }

  private static func listOnce(_ path: String) -> [LogVersion] {
    let directory = directory(of: path)
    let base = name(of: path)
    var numbered: [(rank: Int, name: String)] = []
    var dated: [(digits: [UInt8], name: String)] = []
    forEachEntry(of: directory) { name, _ in
      switch RotatedName(name: name, of: base) {
      case .numbered(let rank): numbered.append((rank, name))
      case .dated(let digits): dated.append((digits, name))
      case nil: break
      }
    }
    // Of a version that is there plain and packed (it is being packed), the plain one: it sorts first, and the other is dropped.
    numbered.sort { ($0.rank, $0.name) < ($1.rank, $1.name) }
    dated.sort { $0.digits == $1.digits ? $0.name < $1.name : $1.digits.lexicographicallyPrecedes($0.digits) }
    var seen = Set<String>()
    // A log whose rotation was changed from one form to the other has both; the dated form is the later choice of most.
    let names = (dated.map(\.name) + numbered.map(\.name)).filter { seen.insert(RotatedName.unpacked($0)).inserted }
    var versions: [LogVersion] = []
    if let current = version(at: path, isCurrent: true) { versions.append(current) }
    for name in names.prefix(Limits.rotatedFiles) {
      guard let found = version(at: directory == "/" ? "/\(name)" : "\(directory)/\(name)", isCurrent: false) else { continue }
      versions.append(found)
    }
    return versions
  }

  /// nil if it is not there or is no regular file.
  static func version(at path: String, isCurrent: Bool) -> LogVersion? {
    var facts = stat()
    guard stat(path, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else { return nil }
    return LogVersion(
      path: path, device: UInt64(facts.st_dev), inode: UInt64(facts.st_ino), size: UInt64(max(0, facts.st_size)), isCurrent: isCurrent)
  }

  static func forEachEntry(of directory: String, _ body: (_ name: String, _ inode: UInt64) -> Void) {
    guard let handle = opendir(directory) else { return }
    defer { closedir(handle) }
    var seen = 0
    let nameOffset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 19
    while seen < Limits.directoryEntries, let entry = readdir(handle) {
      seen += 1
      let name = (UnsafeRawPointer(entry) + nameOffset).assumingMemoryBound(to: CChar.self)
      body(String(cString: name), UInt64(entry.pointee.d_ino))
    }
  }

  /// A file with this device and inode under whatever name, beside the log or beside what the log's symbolic link points to.
  static func find(device: UInt64, inode: UInt64, near path: String) -> LogVersion? {
    var directories = [directory(of: path)]
    if let resolved = realpath(path, nil) {
      let target = self.directory(of: String(cString: resolved))
      free(resolved)
      if target != directories[0] { directories.append(target) }
    }
    for directory in directories {
      var names: [String] = []
      forEachEntry(of: directory) { name, entryInode in if entryInode == inode { names.append(name) } }
      for name in names.sorted() {
        if let found = version(at: "\(directory)/\(name)", isCurrent: false), found.device == device, found.inode == inode { return found }
      }
    }
    return nil
  }
}
