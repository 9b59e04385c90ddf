// What the engine may still do: read the logs, its configuration and its rules; write its state, its cache and the outputs that are
// configured; send datagrams to the local syslog and the service manager. One function from the configuration to the declaration, so that
// a reload can ask whether a new configuration fits into it.
import AgentRuntime
import Confinement
import Glibc
import RuleLanguage

enum EngineConfinement {
  static let userName = "panguard"
  static let groups = ["adm", "systemd-journal"]

  /// What the C library, the journal's library and the program itself read, where it exists. Programs and libraries can be read, not run.
  private static let systemPaths = [
    "/usr/lib", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/etc/machine-id", "/etc/ssl/openssl.cnf",
    "/proc/self",
    "/proc/sys/kernel/random/boot_id", "/proc/sys/vm/overcommit_memory", "/sys/devices/system/cpu", "/dev/urandom",
  ]
  private static let journalPaths = ["/var/log/journal", "/run/log/journal"]

  /// Whom the engine becomes, and what is to be said about it. nil account: it stays who it is, being nobody special.
  static func account(requested: String?) throws -> (account: Account?, note: String?) {
    guard geteuid() == 0 else {
      if let requested, Account.named(requested)?.user != geteuid() {
        throw CommandFailure.usage("--user \(requested): only root can become another user")
      }
      return (nil, nil)
    }
    if let requested {
      guard let account = Account.named(requested, groups: groups) else { throw CommandFailure.usage("--user \(requested): there is no such user") }
      return (account, nil)
    }
    if let account = Account.named(userName, groups: groups) { return (account, nil) }
    // nobody is no answer: it is shared, and would have to own our state.
    let note =
      "there is no user '\(userName)': the engine stays root by name, without capabilities (`adduser --system --group \(userName)` makes one)"
    return (Account.named("root", groups: groups), note)
  }

  /// `connectsToEnforcer`: the engine makes that connection itself, so that it may connect AF_UNIX streams (and then the modes of other
  /// sockets protect them from it); else it gets one from the supervisor, and may not.
  static func declare(
    _ options: EngineOptions, _ settings: Configuration, state: String, cache: String?, account: Account?, connectsToEnforcer: Bool = false
  ) -> Confinement {
    var confinement = Confinement(name: "the engine")
    confinement.account = account
    confinement.sockets = connectsToEnforcer ? .unixClient : .unixDatagram
    confinement.readPaths = systemPaths.filter { access($0, F_OK) == 0 } + inputs(options, settings)
    confinement.writePaths = ["/dev/null", state] + [cache].compactMap { $0 } + outputs(settings)
    confinement.readPaths = unique(confinement.readPaths)
    confinement.writePaths = unique(confinement.writePaths)
    return confinement
  }

  /// What `wanted` needs and `applied` does not allow; empty: it fits.
  static func beyond(_ wanted: Confinement, _ applied: Confinement) -> [String] {
    func isCovered(_ path: String, _ allowed: [String]) -> Bool {
      allowed.contains { path == $0 || $0 == "/" || path.hasPrefix($0 + "/") }
    }
    return wanted.readPaths.filter { !isCovered($0, applied.readPaths + applied.writePaths) }
      + wanted.writePaths.filter { !isCovered($0, applied.writePaths) }
  }

  private static func unique(_ paths: [String]) -> [String] {
    var seen: Set<String> = []
    return paths.filter { seen.insert($0).inserted }
  }

  /// Files are replaced by renaming, so that it is their directory that is read.
  private static func inputs(_ options: EngineOptions, _ settings: Configuration) -> [String] {
    var paths: [String] = []
    let configuration = absolute(options.selection.config ?? Configuration.defaultPath)
    if options.selection.config != nil || access(directory(of: configuration), F_OK) == 0 { paths.append(directory(of: configuration)) }
    let rules = options.rules.rules.isEmpty ? settings.ruleDirectories : options.rules.rules
    for path in rules.isEmpty ? RuleStore.defaultDirectories() : rules {
      let path = absolute(path)
      paths.append(isDirectory(path) ? path : directory(of: path))
    }
    for profile in options.rules.profile.isEmpty ? settings.profiles : options.rules.profile where access(profile, F_OK) == 0 {
      paths.append(directory(of: absolute(profile)))
    }
    let playbooks = settings.playbookDirectories
    for path in playbooks.isEmpty ? [PlaybookStore.defaultDirectory()].compactMap({ $0 }) : playbooks {
      let path = absolute(path)
      paths.append(isDirectory(path) ? path : directory(of: path))
    }
    if let file = settings.confidencePath { paths.append(directory(of: absolute(file))) }
    if let key = settings.atrEvents?.keyPath { paths.append(key) }
    return paths + sources(settings)
  }

  private static func sources(_ settings: Configuration) -> [String] {
    guard let configured = settings.sources else {
      return (["/var/log"] + journalPaths).filter { access($0, F_OK) == 0 } + targets(of: "/var/log/*") + targets(of: "/var/log/*/*.log")
    }
    return configured.flatMap { source -> [String] in
      switch source.input {
      case .journal: return journalPaths.filter { access($0, F_OK) == 0 }
      case .files(let pattern): return [fixedDirectory(of: pattern)] + targets(of: pattern)
      }
    }
  }

  /// The directories that logs really lie in, where what matches is a link.
  private static func targets(of pattern: String) -> [String] {
    SourceDiscovery.expand(pattern).compactMap { path in
      var facts = stat()
      guard lstat(path, &facts) == 0, facts.st_mode & S_IFMT == S_IFLNK, let resolved = realpath(path, nil) else { return nil }
      defer { free(resolved) }
      return directory(of: String(cString: resolved))
    }
  }

  private static func outputs(_ settings: Configuration) -> [String] {
    [settings.jsonlPath, settings.atrEvents?.path].compactMap { $0.map(directory(of:)) }
  }

  /// The directory of a pattern, up to its first wildcard.
  static func fixedDirectory(of pattern: String) -> String {
    directory(of: String(pattern.prefix { !"*?[".contains($0) }) + (pattern.contains { "*?[".contains($0) } ? "x" : ""))
  }
  static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
    return String(path[..<slash])
  }
  static func absolute(_ path: String) -> String {
    if path.hasPrefix("/") { return path }
    guard let here = getcwd(nil, 0) else { return path }
    defer { free(here) }
    return "\(String(cString: here))/\(path)"
  }
}
