// Where rules come from: finds the directories, loads what is in them, names the set by a hash, and keeps the compiled
// prefilter on disk so that the next start need not compile it.
// The cache is advisory: the engine verifies what it is given and compiles when in doubt.
import Glibc
import Primitives
import RuleEngine
import RuleLanguage
import TypedYAML

public struct LoadedRules: Sendable {
  public var set: RuleSet
  /// SHA-256 over the ids and documents of the active rules, in order.
  public var hash: String
  /// The directories and files that were read.
  public var paths: [String]
  /// Ids that the configuration switched off.
  public var disabled: [String]
}

public enum RuleStore {
  /// Where the shipped rules lie when nobody says otherwise: beside the installed package, or in the source tree that the
  /// program was built in. The first that exists.
  public static func defaultDirectory() -> String? {
    var candidates = ["/etc/panguard/rules", "/usr/share/panguard/rules"]
    if let executable = executablePath() {
      // <tree>/.build/<triple>/release/panguard
      var parts = executable.split(separator: "/").map(String.init)
      for _ in 0..<5 where !parts.isEmpty {
        parts.removeLast()
        candidates.append("/" + (parts + ["rules", "host"]).joined(separator: "/"))
      }
    }
    candidates.append("rules/host")
    return candidates.first { isDirectory($0) }
  }

  /// Loads `paths` (default: the shipped rules) without the `disabled` ids. A path that does not exist is a diagnostic.
  /// `profiles`: files or ids (see ProfileStore); the rules are then those of these profiles. A profile that cannot be resolved is an
  /// error, and no rule remains: fewer rules than were asked for must not run as if they were all.
  public static func load(
    paths requested: [String], disabled: [String] = [], profiles: [String] = [], takesRecordedMatches: Bool = false
  ) -> LoadedRules {
    let paths = requested.isEmpty ? [defaultDirectory()].compactMap { $0 } : requested
    var set = RuleLoader.load(paths: paths, takesRecordedMatches: takesRecordedMatches)
    if paths.isEmpty {
      set.diagnostics.append(
        Diagnostic(.error, SourceLocation(file: "rules"), "no rules found", hint: "name a directory with --rules or in the configuration"))
    }
    let off = Set(disabled)
    for id in disabled where !set.rules.contains(where: { $0.id == id }) {
      set.diagnostics.append(
        Diagnostic(
          .warning, SourceLocation(file: "configuration"), "rules.disabled names '\(id)', which is not loaded",
          hint: nearest(id, in: set.rules.map(\.id)).map { "did you mean '\($0)'?" } ?? ""))
    }
    set.rules.removeAll { off.contains($0.id) }
    if !profiles.isEmpty {
      let (resolved, diagnostics) = ProfileStore.resolve(profiles, among: set.rules)
      set.diagnostics += diagnostics
      set = set.restricted(to: diagnostics.contains { $0.severity == .error } ? [] : resolved)
    }
    var parts = set.rules.flatMap { [Array($0.id.utf8), Array($0.fingerprint.description.utf8)] }
    for (number, profile) in set.profiles.enumerated() { parts += (["profile \(number) \(profile.name)"] + profile.ruleIDs).map { Array($0.utf8) } }
    return LoadedRules(set: set, hash: SHA256Hash.hex(of: parts), paths: paths, disabled: disabled)
  }

  // MARK: Cache of the compiled prefilter

  /// $CACHE_DIRECTORY as systemd gives it to a service; else /var/cache/panguard for root, $XDG_CACHE_HOME/panguard or
  /// ~/.cache/panguard for others. nil where there is no home.
  public static func defaultCacheDirectory() -> String? {
    if let given = environment("CACHE_DIRECTORY") { return given }
    if geteuid() == 0 { return "/var/cache/panguard" }
    if let cache = environment("XDG_CACHE_HOME") { return "\(cache)/panguard" }
    return environment("HOME").map { "\($0)/.cache/panguard" }
  }

  public static func cachedDatabase(for rules: LoadedRules, in directory: String?) -> [UInt8]? {
    guard let directory else { return nil }
    let path = "\(directory)/rules-\(rules.hash.prefix(32)).hsdb"
    var info = stat()
    // Only what we wrote ourselves and nobody else could have changed.
    guard lstat(path, &info) == 0, info.st_mode & S_IFMT == S_IFREG, info.st_uid == geteuid(), info.st_mode & 0o077 == 0 else { return nil }
    guard case .success(let bytes) = readDocumentFile(path, limit: 256 * Limits.documentBytes) else { return nil }
    return bytes
  }

  /// Writes atomically with mode 0600. A cache that cannot be written is no error: the next start compiles again.
  public static func cache(_ database: [UInt8], for rules: LoadedRules, in directory: String?) {
    guard let directory, makeDirectory(directory, mode: 0o700) else { return }
    let name = "rules-\(rules.hash.prefix(32)).hsdb"
    guard writeAtomically(database, to: "\(directory)/\(name)", mode: 0o600) else { return }
    // Each change of a rule leaves a file behind: the oldest go.
    let cached = SourceDiscovery.expand("\(directory)/rules-*.hsdb").compactMap { path -> (time: Int, path: String)? in
      var info = stat()
      return lstat(path, &info) == 0 && !path.hasSuffix(name) ? (info.st_mtim.tv_sec, path) : nil
    }
    for old in cached.sorted(by: { $0 > $1 }).dropFirst(Limits.cachedRuleSets - 1) { unlink(old.path) }
  }
}

func environment(_ name: String) -> String? {
  guard let value = getenv(name), value.pointee != 0 else { return nil }
  return String(cString: value)
}

public func isDirectory(_ path: String) -> Bool {
  var info = stat()
  return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
}

func executablePath() -> String? {
  var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
  let n = readlink("/proc/self/exe", &buffer, buffer.count - 1)
  guard n > 0 else { return nil }
  return String(decoding: buffer[..<n].map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Makes `path` and its parents. True if it is a directory in the end.
func makeDirectory(_ path: String, mode: mode_t) -> Bool {
  if isDirectory(path) { return true }
  if let slash = path.lastIndex(of: "/"), slash != path.startIndex { _ = makeDirectory(String(path[..<slash]), mode: 0o755) }
  return mkdir(path, mode) == 0 || isDirectory(path)
}

/// Writes a new file beside `path` and renames it into place. False with errno on failure.
func writeAtomically(_ bytes: [UInt8], to path: String, mode: mode_t) -> Bool {
  let temporary = "\(path).\(getpid()).new"
  let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
  guard descriptor >= 0 else { return false }
  var written = 0
  while written < bytes.count {
    let n = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + written, bytes.count - written) }
    if n < 0, errno == EINTR { continue }
    guard n > 0 else { break }
    written += n
  }
  let isComplete = written == bytes.count && fsync(descriptor) == 0
  close(descriptor)
  guard isComplete, rename(temporary, path) == 0 else {
    unlink(temporary)
    return false
  }
  return true
}
