// Small files of the system that name what must be protected. Read again when their state (inode, size, time) changes: whoever replaces one
// by renaming, or a link in /etc, is noticed at the next request, and no descriptor needs to be watched.
import Enforcement
import Glibc
import Primitives
import TypedYAML

final class WatchedFiles {
  /// In the order in which they are read. What systemd-resolved asks stands in its own file; /etc then names only 127.0.0.53.
  private let resolverPaths: [String]
  private let sshdPath: String
  /// Where systemd listens in sshd's place, and where distributions keep options of its command line.
  private let sshSocketPaths: [String]
  private let sshOptionPaths: [String]
  private let sessionDirectory: String
  private let utmpPath: String
  private var cache: [String: (state: State, resolvers: [IPAddress])] = [:]
  private var ports: [UInt16] = []
  private var portsRead: UInt64?
  /// Why a list may be incomplete.
  private(set) var failure: String?

  /// What resolvers, sshd, logind and log-in records are called on this host. All of them must be readable by the enforcer's user.
  init(
    resolvers: [String] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"], sshd: String = "/etc/ssh/sshd_config",
    sshSockets: [String] = ["/etc/systemd/system/ssh.socket", "/etc/systemd/system/sshd.socket"],
    sshOptions: [String] = ["/etc/default/ssh", "/etc/sysconfig/sshd"],
    sessions: String = "/run/systemd/sessions", utmp: String = "/run/utmp"
  ) {
    resolverPaths = resolvers
    sshdPath = sshd
    sshSocketPaths = sshSockets
    sshOptionPaths = sshOptions
    sessionDirectory = sessions
    utmpPath = utmp
  }

  private struct State: Equatable {
    var inode: UInt64
    var size: Int64
    var seconds: Int
    var nanoseconds: Int
  }
  private static func state(_ path: String) -> State? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return State(inode: UInt64(status.st_ino), size: Int64(status.st_size), seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
  }

  func resolvers() -> [IPAddress] {
    var list: Set<IPAddress> = []
    failure = nil
    for path in resolverPaths {
      guard let state = WatchedFiles.state(path) else {
        if errno != ENOENT && errno != ENOTDIR { failure = "\(path): \(errorText(errno))" }
        continue
      }
      if let known = cache[path], known.state == state {
        list.formUnion(known.resolvers)
        continue
      }
      switch readDocumentFile(path, limit: Limits.watchedFileBytes) {
      case .success(let bytes):
        let found = bytes.withUnsafeBytes { WatchedText.resolvers($0) }
        cache[path] = (state, found)
        list.formUnion(found)
      case .failure(let error): failure = error.diagnostic.message
      }
    }
    return list.sorted()
  }

  /// What the configuration of sshd, its socket and its command line say; 22 where they say nothing. Read at most every 30 s: a port does not
  /// change before sshd restarts. More ports than sshd has do no harm: who counts as logged in there must still be it.
  func sshdPorts(now: UInt64) -> [UInt16] {
    if let portsRead, now &- portsRead < 30_000_000_000 { return ports }
    portsRead = now
    var found: Set<UInt16> = []
    for path in WatchedFiles.withDropIns([sshdPath]) { found.formUnion(WatchedFiles.read(path, WatchedText.sshdPorts)) }
    for path in WatchedFiles.withDropIns(sshSocketPaths) { found.formUnion(WatchedFiles.read(path, WatchedText.socketPorts)) }
    for path in sshOptionPaths { found.formUnion(WatchedFiles.read(path, WatchedText.optionPorts)) }
    ports = found.isEmpty ? [22] : found.sorted()
    return ports
  }
  /// Each file with the `.conf` files of its directory `.d`, which may be there without it.
  private static func withDropIns(_ paths: [String]) -> [String] {
    paths.flatMap { path in
      [path] + (directoryNames(path + ".d") ?? []).filter { $0.hasSuffix(".conf") }.prefix(Limits.administrationPorts).map { "\(path).d/\($0)" }
    }
  }
  private static func read(_ path: String, _ parse: (Bytes) -> [UInt16]) -> [UInt16] {
    guard case .success(let bytes) = readDocumentFile(path, limit: Limits.watchedFileBytes) else { return [] }
    return bytes.withUnsafeBytes(parse)
  }

  /// Addresses that somebody is logged in from, as logind and utmp have it.
  func logins() -> Set<IPAddress> {
    var list: Set<IPAddress> = []
    for name in (directoryNames(sessionDirectory) ?? []).prefix(Limits.protectedAddresses) where !name.hasSuffix(".ref") {
      if case .success(let bytes) = readDocumentFile("\(sessionDirectory)/\(name)", limit: Limits.watchedFileBytes),
        let address = bytes.withUnsafeBytes({ WatchedText.login($0) })
      {
        list.insert(address)
      }
    }
    if case .success(let bytes) = readDocumentFile(utmpPath, limit: Limits.documentBytes) { bytes.withUnsafeBytes { utmp($0, into: &list) } }
    return list
  }
  /// utmp(5): records of one fixed size.
  private func utmp(_ bytes: Bytes, into list: inout Set<IPAddress>) {
    let size = MemoryLayout<utmpx>.stride
    for at in stride(from: 0, to: bytes.count - bytes.count % size, by: size) {
      let record = bytes.loadUnaligned(fromByteOffset: at, as: utmpx.self)
      guard record.ut_type == Int16(USER_PROCESS) else { continue }
      let words = withUnsafeBytes(of: record.ut_addr_v6) { Array($0) }
      let isV4 = words[4...].allSatisfy { $0 == 0 }
      if let address = words.withUnsafeBytes({ isV4 ? $0.upTo(4).address : $0.upTo(16).address }), !address.isUnspecified { list.insert(address) }
    }
  }
}
