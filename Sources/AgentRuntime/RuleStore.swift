// Where rules come from: finds the directories, loads what is in them, names the set by a hash, and keeps the checked rules
// (RuleCache) and what is known about their patterns on disk, so that the next start need not work it out.
// The cache is advisory: what is read is verified, and worked out again when in doubt.
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
  /// `corpus_version` of a match (SPEC.md, 7): what the one bundle or imported set that all rules come from says; else the hash.
  public var corpusVersion = ""
  /// Those of the set's diagnostics that are about the active profiles: a profile with a slip selects other rules than it says.
  public var profileDiagnostics: [Diagnostic] = []
}

/// What is done with the rules that are found.
public struct RuleLoadOptions: Sendable {
  /// Ids that are left out.
  public var disabled: [String] = []
  public var lane = RuleLane.hunt
  /// Drafts and deprecated rules run too.
  public var includesInactive = false
  /// Files or ids (see ProfileStore); the rules are then those of these profiles. A profile that cannot be resolved is an error, and no
  /// rule remains: fewer rules than were asked for must not run as if they were all.
  public var profiles: [String] = []
  /// See RuleLoader.
  public var takesRecordedMatches = false
  /// Where checked rules are kept for the next start; nil: they are not.
  public var cacheDirectory: String?
  public init() {}
}

public enum RuleStore {
  /// The packs of the source tree; a package has them below one directory.
  private static let packs = ["host", "network"]

  /// Where the shipped rules lie when nobody says otherwise: beside the installed package, or in the source tree that the
  /// program was built in. The first place that exists; empty: there is none.
  public static func defaultDirectories() -> [String] {
    var candidates = [["/etc/panguard/rules"], ["/usr/share/panguard/rules"]]
    if let executable = executablePath() {
      // <tree>/.build/<triple>/release/panguard
      var parts = executable.pathParts
      for _ in 0..<5 where !parts.isEmpty {
        parts.removeLast()
        candidates.append(packs.map { "/" + (parts + ["rules", $0]).joined(separator: "/") })
      }
    }
    candidates.append(packs.map { "rules/\($0)" })
    return candidates.first { isDirectory($0[0]) }.map { $0.filter(isDirectory) } ?? []
  }

  /// Loads YAML files and directories of them (default: the shipped rules). Commands ask `load(paths:)` of RuleImport, which opens bundles and
  /// comes here. A path that does not exist is a diagnostic. Which rules are evaluated is for their status and the lane to decide; all are
  /// in the set and in its hash, and the hash says which are active.
  /// `documents` are rule files in memory, read after the paths; where they are given, be it none, no path means no path.
  public static func load(yaml requested: [String], documents: [RuleFile]? = nil, options: RuleLoadOptions = RuleLoadOptions()) -> LoadedRules {
    let paths = requested.isEmpty && documents == nil ? defaultDirectories() : requested
    let files = RuleLoader.read(paths: paths, documents: documents ?? [])
    var set = RuleCache.load(files, takesRecordedMatches: options.takesRecordedMatches, in: options.cacheDirectory)
    let pinned = PinnedRuleSet.verify(below: paths)
    set.diagnostics += pinned.diagnostics
    set.refusedCount += pinned.diagnostics.count
    set.rules.removeAll { pinned.refuses($0.location.file) }
    if paths.isEmpty, documents == nil {
      set.diagnostics.append(
        Diagnostic(.error, SourceLocation(file: "rules"), "no rules found", hint: "name a directory with --rules or in the configuration"))
    }
    let off = Set(options.disabled)
    for id in options.disabled where !set.rules.contains(where: { $0.id == id }) {
      set.diagnostics.append(
        Diagnostic(
          .warning, SourceLocation(file: "configuration"), "rules.disabled names '\(id)', which is not loaded",
          hint: nearest(id, in: set.rules.map(\.id)).map { "did you mean '\($0)'?" } ?? ""))
    }
    set.rules.removeAll { off.contains($0.id) }
    set.activate(lane: options.lane, includesInactive: options.includesInactive)
    var profileDiagnostics: [Diagnostic] = []
    if !options.profiles.isEmpty {
      let (resolved, diagnostics) = ProfileStore.resolve(options.profiles, among: set.rules)
      set.diagnostics += diagnostics
      profileDiagnostics = diagnostics
      set = set.restricted(to: diagnostics.contains { $0.severity == .error } ? [] : resolved)
    }
    var parts: [[UInt8]] = []
    for rule in set.rules {
      parts += [Array(rule.id.utf8), Array(rule.fingerprint.description.utf8)]
      if !rule.isActive { parts.append(Array("inactive".utf8)) }
    }
    for (number, profile) in set.profiles.enumerated() { parts += (["profile \(number) \(profile.name)"] + profile.ruleIDs).map { Array($0.utf8) } }
    let hash = SHA256Hash.hex(of: parts)
    let version = paths.count == 1 && documents == nil ? PinnedRuleSet.version(of: paths[0]) : nil
    return LoadedRules(
      set: set, hash: hash, paths: paths, disabled: options.disabled, corpusVersion: version ?? hash, profileDiagnostics: profileDiagnostics)
  }

  // MARK: Cache of what is known about the patterns

  /// $CACHE_DIRECTORY as systemd gives it to a service (the first, where it has several); else /var/cache/panguard for root, $XDG_CACHE_HOME/panguard or
  /// ~/.cache/panguard for others. nil where there is no home.
  public static func defaultCacheDirectory() -> String? {
    if let given = environment("CACHE_DIRECTORY")?.split(separator: ":").first { return String(given) }
    if geteuid() == 0 { return "/var/cache/panguard" }
    if let cache = environment("XDG_CACHE_HOME") { return "\(cache)/panguard" }
    return environment("HOME").map { "\($0)/.cache/panguard" }
  }

  public static func cachedDatabase(for rules: LoadedRules, in directory: String?) -> [UInt8]? {
    guard let directory else { return nil }
    return readCache("\(directory)/rules-\(rules.hash.prefix(32)).patterns")
  }

  /// Writes atomically with mode 0600. A cache that cannot be written is no error: the next start works it out again.
  public static func cache(_ database: [UInt8], for rules: LoadedRules, in directory: String?) {
    guard let directory else { return }
    writeCache(database, to: "\(directory)/rules-\(rules.hash.prefix(32)).patterns", in: directory, pattern: "rules-*.patterns")
  }

  /// The largest file of a cache that is read.
  static let cacheBytes = 256 * Limits.documentBytes
  /// Only what we wrote ourselves and nobody else could have changed.
  static func readCache(_ path: String) -> [UInt8]? {
    var info = stat()
    guard lstat(path, &info) == 0, info.st_mode & S_IFMT == S_IFREG, info.st_uid == geteuid(), info.st_mode & 0o077 == 0 else { return nil }
    guard case .success(let bytes) = readDocumentFile(path, limit: cacheBytes) else { return nil }
    return bytes
  }
  /// Each change of a rule leaves a file behind: of those that `pattern` names, the oldest go.
  static func writeCache(_ bytes: [UInt8], to path: String, in directory: String, pattern: String) {
    guard makeDirectory(directory, mode: 0o700), writeAtomically(bytes, to: path, mode: 0o600) else { return }
    // What a write that was killed has left behind. One that is under way is younger.
    for left in SourceDiscovery.expand("\(directory)/\(pattern).*.new") {
      var info = stat()
      if lstat(left, &info) == 0, info.st_mtim.tv_sec < time(nil) - 3600 { unlink(left) }
    }
    let others = SourceDiscovery.expand("\(directory)/\(pattern)").compactMap { other -> (time: Int, path: String)? in
      var info = stat()
      return lstat(other, &info) == 0 && other != path ? (info.st_mtim.tv_sec, other) : nil
    }
    for old in others.sorted(by: { $0 > $1 }).dropFirst(Limits.cachedRuleSets - 1) { unlink(old.path) }
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

/// The file of the running program; nil where /proc does not say.
public func executablePath() -> String? {
  var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
  let n = readlink("/proc/self/exe", &buffer, buffer.count - 1)
  guard n > 0 else { return nil }
  return String(decoding: buffer[..<n].map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Makes `path` and its parents. True if it is a directory in the end.
public func makeDirectory(_ path: String, mode: mode_t) -> Bool {
  if isDirectory(path) { return true }
  let above = path.directoryPath
  if above != ".", above != "/" { _ = makeDirectory(above, mode: 0o755) }
  return mkdir(path, mode) == 0 || isDirectory(path)
}

/// Writes a new file beside `path` and renames it into place. False with errno on failure.
/// Its name is its own: what another process left behind, even one of the same number, is not in its way.
public func writeAtomically(_ bytes: [UInt8], to path: String, mode: mode_t) -> Bool {
  let temporary = "\(path).\(getpid())-\(String(UInt64.random(in: 0 ... .max), radix: 36)).new"
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
