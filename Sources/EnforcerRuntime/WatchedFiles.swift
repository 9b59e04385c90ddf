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
  private let sshServicePaths: [String]
  private let sshOptionPaths: [String]
  private let sessionDirectory: String
  private let utmpPath: String
  private var cache: [String: (state: State, resolvers: [IPAddress])] = [:]
  private var sshdFacts = SSHDFacts()
  private var sshdRead: UInt64?
  /// Why a list may be incomplete.
  private(set) var failure: String?

  /// What resolvers, sshd, logind and log-in records are called on this host. All of them must be readable by the enforcer's user.
  init(
    resolvers: [String] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"], sshd: String = "/etc/ssh/sshd_config",
    sshSockets: [String] = ["/etc/systemd/system/ssh.socket", "/etc/systemd/system/sshd.socket"],
    sshServices: [String] = ["/etc/systemd/system/ssh.service", "/etc/systemd/system/sshd.service"],
    sshOptions: [String] = ["/etc/default/ssh", "/etc/sysconfig/sshd"],
    sessions: String = "/run/systemd/sessions", utmp: String = "/run/utmp"
  ) {
    resolverPaths = resolvers
    sshdPath = sshd
    sshSocketPaths = sshSockets
    sshServicePaths = sshServices
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

  /// Begins anew: what failed before is forgotten.
  func resolvers() -> [IPAddress] {
    var list: Set<IPAddress> = []
    failure = nil
    for path in resolverPaths {
      guard let state = WatchedFiles.state(path) else {
        if errno != ENOENT && errno != ENOTDIR { fail("\(path): \(errorText(errno))") }
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
      case .failure(let error): fail("\(path): \(error.diagnostic.message)")
      }
    }
    return list.sorted()
  }

  /// What the configuration of sshd, its socket and its command line say. Read at most every 5 s: a port does not change before sshd starts
  /// anew, and who comes over the new one has to log in first.
  func sshd(now: UInt64) -> SSHDFacts {
    if let sshdRead, now &- sshdRead < 5_000_000_000 { return sshdFacts }
    sshdRead = now
    var reader = SSHDReader(directory: sshdPath.lastIndex(of: "/").map { String(sshdPath[..<$0]) } ?? "")
    reader.readWithDropIns(sshdPath, SSHDText.configuration)
    for path in sshSocketPaths { reader.readWithDropIns(path, SSHDText.socketUnit) }
    for path in sshServicePaths { reader.readWithDropIns(path, SSHDText.commandLine) }
    for path in sshOptionPaths { reader.read(path, SSHDText.commandLine) }
    sshdFacts = reader.facts
    return sshdFacts
  }

  /// Addresses that somebody is logged in from, as logind and utmp have it. A list that is there and cannot be read is a `failure`.
  func logins() -> Set<IPAddress> {
    var list: Set<IPAddress> = []
    if isThere(sessionDirectory) {
      if let names = directoryNames(sessionDirectory) {
        for name in names.prefix(Limits.protectedAddresses) where !name.hasSuffix(".ref") && !name.hasPrefix(".") {
          guard let bytes = read("\(sessionDirectory)/\(name)", limit: Limits.watchedFileBytes) else { continue }
          if let address = bytes.withUnsafeBytes({ WatchedText.login($0) }) { list.insert(address) }
        }
      } else {
        fail("\(sessionDirectory) cannot be listed: \(errorText(errno))")
      }
    }
    if let bytes = read(utmpPath, limit: Limits.documentBytes) { bytes.withUnsafeBytes { utmp($0, into: &list) } }
    return list
  }
  private func fail(_ reason: String) { failure = failure ?? reason }
  private func isThere(_ path: String) -> Bool {
    switch FileState.of(path) {
    case .there(let isDevice): return !isDevice
    case .absent: return false
    case .unreadable(let reason):
      fail("\(path): \(reason)")
      return false
    }
  }
  /// nil: it is not there, or it cannot be read, which is noted. A file that goes meanwhile was not there.
  private func read(_ path: String, limit: Int) -> [UInt8]? {
    guard isThere(path) else { return nil }
    switch readDocumentFile(path, limit: limit) {
    case .success(let bytes): return bytes
    case .failure(let error):
      if isThere(path) { fail("\(path): \(error.diagnostic.message)") }
      return nil
    }
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
