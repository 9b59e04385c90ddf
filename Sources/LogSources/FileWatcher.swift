// Which files a set of path patterns names, and which of them to look at now. inotify only says when to look: whatever it misses (a
// filesystem without it, an overflow, too few watches) is found by the poll, so nothing depends on it but the delay.
import CLinux
import Glibc
import Primitives

public final class FileWatcher {
  /// What to look at, from one `drain`.
  public struct Changes: Sendable, Equatable {
    /// Followed paths whose file may have changed, sorted.
    public var paths: [String] = []
    /// Events were lost: look at all files.
    public var all = false
    /// Files came or went: call `expand`.
    public var structure = false
    public var isEmpty: Bool { paths.isEmpty && !all && !structure }
  }

  /// How often to look at all files whatever inotify says, and how often to expand the patterns again.
  public static let pollInterval = Nanoseconds.seconds(1)
  public static let expandInterval = Nanoseconds.seconds(10)

  public let patterns: [String]
  /// Readable when `drain` has something to say; -1 where there is no inotify: poll.
  public let descriptor: Int32
  /// Paths followed so far, sorted.
  public private(set) var followed: [String] = []
  /// Times that the kernel's queue overflowed.
  public private(set) var overflows: UInt64 = 0
  /// Files and directories that inotify could not watch; they are polled.
  public private(set) var unwatched: UInt64 = 0
  /// Files that matched but are beyond `Limits.followedFiles`.
  public private(set) var refusedFiles: UInt64 = 0

  private struct Inode: Hashable {
    var device: UInt64
    var number: UInt64
  }
  private enum Target {
    case directory(String)
    case files([String])
  }
  private var isFollowed: Set<String> = []
  private var targets: [Int32: Target] = [:]
  private var directories: [String: Int32] = [:]
  /// Watches of the files that each path was and is, oldest first: a renamed file is watched until its second successor comes.
  private var watches: [String: [Int32]] = [:]
  /// The file that each followed path was when last seen, and what was left out because it was one of them.
  private var inodes: [String: Inode] = [:]
  private var leftOut: [String: Inode] = [:]
  private let events: UnsafeMutableRawBufferPointer

  /// - Parameter patterns: absolute paths; `*`, `?` and `[...]` as in glob(7). A path without them is followed also before it exists.
  public init(patterns: [String]) {
    self.patterns = patterns
    descriptor = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
    events = .allocate(byteCount: 64 * 1024, alignment: 8)
  }
  deinit {
    events.deallocate()
    if descriptor >= 0 { close(descriptor) }
  }

  // MARK: Patterns

  static func isPattern(_ text: String) -> Bool { text.utf8.contains { $0 == 0x2a || $0 == 0x3f || $0 == 0x5b } }

  /// Paths to follow that were not returned before, sorted. Rotated and packed versions of a log are not logs of their own, and a
  /// followed file that was renamed is not a new one. What the first call returns was there before; what later calls return is new,
  /// and can be read from its beginning.
  public func expand() -> [String] {
    for path in followed { noteInode(of: path) }
    var found: [String] = []
    for pattern in patterns {
      if !FileWatcher.isPattern(pattern) {
        found.append(pattern)
        continue
      }
      let matches = FileWatcher.glob(pattern)
      let names = Set(matches)
      found += matches.filter { isLog($0, among: names) }
    }
    var new: [String] = []
    for path in Set(found).sorted() where !isFollowed.contains(path) {
      guard followed.count + new.count < Limits.followedFiles else {
        refusedFiles += 1
        continue
      }
      if let inode = FileWatcher.inode(of: path), patterns.contains(path) == false {
        if leftOut[path] == inode { continue }
        if inodes.values.contains(inode) {
          leftOut[path] = inode
          continue
        }
      }
      leftOut[path] = nil
      isFollowed.insert(path)
      new.append(path)
      noteInode(of: path)
    }
    followed = isFollowed.sorted()
    watch()
    return new
  }

  private func isLog(_ path: String, among names: Set<String>) -> Bool {
    guard FileWatcher.inode(of: path) != nil else { return false }
    let name = RotatedFiles.name(of: path)
    if RotatedName.isPacked(name) { return false }
    guard let base = RotatedName.base(of: name) else { return true }
    let directory = RotatedFiles.directory(of: path)
    let log = directory == "/" ? "/\(base)" : "\(directory)/\(base)"
    // While a log is being rotated it is not there for a moment, so a number alone is enough; a date may be part of a log's own name.
    if case .numbered? = RotatedName(name: name, of: base) { return false }
    return !(names.contains(log) || isFollowed.contains(log) || FileWatcher.inode(of: log) != nil)
  }

  private static func glob(_ pattern: String) -> [String] {
    var result = glob_t()
    defer { globfree(&result) }
    guard Glibc.glob(pattern, GLOB_NOSORT, nil, &result) == 0 else { return [] }
    return (0..<Int(result.gl_pathc)).compactMap { result.gl_pathv[$0].map { String(cString: $0) } }
  }

  private func noteInode(of path: String) {
    if let inode = FileWatcher.inode(of: path) { inodes[path] = inode }
  }
  /// Of a regular file, behind symbolic links.
  private static func inode(of path: String) -> Inode? {
    var facts = stat()
    guard stat(path, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else { return nil }
    return Inode(device: UInt64(facts.st_dev), number: UInt64(facts.st_ino))
  }

  // MARK: inotify

  private static let fileEvents = UInt32(IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF)
  private static let directoryEvents = UInt32(IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF)
  private static let overflow = UInt32(0x4000)  // IN_Q_OVERFLOW
  private static let ignored = UInt32(0x8000)  // IN_IGNORED
  private static let onlyDirectory = UInt32(0x0100_0000)  // IN_ONLYDIR

  private func watch() {
    guard descriptor >= 0 else { return }
    for path in followed {
      watchDirectory(RotatedFiles.directory(of: path))
      watchFile(path)
    }
    for pattern in patterns where FileWatcher.isPattern(pattern) {
      let directory = RotatedFiles.directory(of: pattern)
      let all = FileWatcher.isPattern(directory) ? FileWatcher.glob(directory) : [directory]
      for one in all.sorted().prefix(Limits.followedFiles) { watchDirectory(one) }
    }
  }

  /// The directory, or the nearest one above it that exists.
  private func watchDirectory(_ path: String) {
    var directory = path
    while directories[directory] == nil {
      let mask = FileWatcher.directoryEvents | FileWatcher.onlyDirectory
      let watch = inotify_add_watch(descriptor, directory, mask)
      if watch >= 0 {
        if case .directory(let other)? = targets[watch] { directories[other] = nil }
        targets[watch] = .directory(directory)
        directories[directory] = watch
        return
      }
      if errno != ENOENT { unwatched += 1 }
      let above = RotatedFiles.directory(of: directory)
      guard above != directory else { return }
      directory = above
    }
  }

  private func watchFile(_ path: String) {
    let watch = inotify_add_watch(descriptor, path, FileWatcher.fileEvents)
    guard watch >= 0 else {
      if errno != ENOENT, errno != EACCES { unwatched += 1 }
      return
    }
    switch targets[watch] {
    case .files(let paths): if !paths.contains(path) { targets[watch] = .files(paths + [path]) }
    case nil: targets[watch] = .files([path])
    case .directory:
      // The path is a directory, watched as such: the mask was replaced. Put it back.
      targets[watch] = nil
      directories = directories.filter { $0.value != watch }
      inotify_rm_watch(descriptor, watch)
      return
    }
    var own = watches[path] ?? []
    guard own.last != watch else { return }
    own.removeAll { $0 == watch }
    own.append(watch)
    while own.count > 2 {
      let old = own.removeFirst()
      forget(old, path)
    }
    watches[path] = own
  }

  private func forget(_ watch: Int32, _ path: String) {
    guard case .files(let paths)? = targets[watch] else { return }
    let rest = paths.filter { $0 != path }
    if rest.isEmpty {
      targets[watch] = nil
      inotify_rm_watch(descriptor, watch)
    } else {
      targets[watch] = .files(rest)
    }
  }

  /// Takes what inotify has. Never waits.
  public func drain() -> Changes {
    var changes = Changes()
    guard descriptor >= 0, let base = events.baseAddress else { return changes }
    var changed: Set<String> = []
    let headerBytes = MemoryLayout<inotify_event>.size
    while true {
      let count = read(descriptor, base, events.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      var at = 0
      while at + headerBytes <= count {
        let event = events.loadUnaligned(fromByteOffset: at, as: inotify_event.self)
        let nameBytes = Bytes(rebasing: events[(at + headerBytes)..<min(count, at + headerBytes + Int(event.len))])
        at += headerBytes + Int(event.len)
        take(event, name: nameBytes.upTo(nameBytes.index(of: 0) ?? nameBytes.count), &changes, &changed)
      }
    }
    changes.paths = changed.sorted()
    return changes
  }

  private func take(_ event: inotify_event, name: Bytes, _ changes: inout Changes, _ changed: inout Set<String>) {
    if event.mask & FileWatcher.overflow != 0 {
      overflows += 1
      changes.all = true
      changes.structure = true
      return
    }
    guard let target = targets[event.wd] else { return }
    switch target {
    case .files(let paths):
      changed.formUnion(paths)
      guard event.mask & FileWatcher.ignored != 0 else { return }
      targets[event.wd] = nil
      for path in paths {
        watches[path]?.removeAll { $0 == event.wd }
      }
    case .directory(let directory):
      changes.structure = true
      if event.mask & FileWatcher.ignored != 0 {
        targets[event.wd] = nil
        directories[directory] = nil
        return
      }
      let path = directory == "/" ? "/\(name.string)" : "\(directory)/\(name.string)"
      if isFollowed.contains(path) { changed.insert(path) }
    }
  }
}
