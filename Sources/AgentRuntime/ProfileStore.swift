// Where profiles come from: a file that is named, or the shipped ones by their id. Reading and resolving is RuleLanguage's.
import Glibc
import Primitives
import RuleLanguage

public enum ProfileStore {
  /// Directories of local and shipped profiles that exist: what an id is looked up in. Of profiles of one name and version the first
  /// directory's counts, so that a host can have its own.
  public static func directories() -> [String] {
    var candidates = ["/etc/panguard/profiles", "/usr/share/panguard/profiles"]
    if let executable = executablePath() {
      var parts = executable.pathParts
      for _ in 0..<5 where !parts.isEmpty {
        parts.removeLast()
        candidates.append("/" + (parts + ["rules", "profiles"]).joined(separator: "/"))
      }
    }
    candidates.append("rules/profiles")
    return distinct(candidates.filter { isDirectory($0) })
  }
  /// Without those that lead to a place that stands before them.
  private static func distinct(_ paths: [String]) -> [String] {
    var seen: Set<String> = []  // only asked for members
    return paths.filter { seen.insert(realPath($0) ?? $0).inserted }
  }
  private static func realPath(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  /// The profiles of `files`, then what lies beside them (a profile may inherit from its neighbour), then `directories`: by default the
  /// local and the shipped ones.
  public static func library(_ files: [String] = [], directories: [String] = ProfileStore.directories()) -> ProfileLibrary {
    // A profile that is named twice is one.
    let files = distinct(files)
    var library = ProfileReader.load(paths: files)
    let beside = files.filter { !isDirectory($0) }.map(\.directoryPath)
    // A neighbour need not be a profile, so what is wrong with it is not said. What is wrong with a shipped one is.
    for directory in distinct(beside) { library.complete(with: ProfileReader.load(paths: [directory])) }
    for directory in directories {
      let shipped = ProfileReader.load(paths: [directory])
      library.complete(with: shipped)
      library.note(shipped.diagnostics)
    }
    return library
  }

  /// A name with a slash or the ending of a YAML file is a file; anything else an id, or id@version.
  static func isFile(_ name: String) -> Bool { name.utf8.contains(0x2f) || name.hasSuffix(".yaml") || name.hasSuffix(".yml") }

  /// The profiles that `name` means: one for an id, all of a file.
  public static func find(_ name: String, in library: ProfileLibrary) -> [Profile] {
    guard isFile(name) else { return library.find(name).map { [$0] } ?? [] }
    // The file may have been read under another of its names.
    let place = realPath(name) ?? name
    return library.profiles.filter { profile in
      let file = profile.location.file
      return file.path(below: name) != nil || (realPath(file) ?? file) == place || isDirectory(place) && realPath(file.directoryPath) == place
    }
  }

  /// Finds and resolves profiles, in the order of `names`. With an error there is no result to rely on.
  public static func resolve(_ names: [String], among rules: [Rule]) -> (profiles: [ResolvedProfile], diagnostics: [Diagnostic]) {
    let library = library(names.filter(isFile))
    var diagnostics = library.diagnostics
    var resolved: [ResolvedProfile] = []
    for name in names {
      let found = find(name, in: library)
      if found.isEmpty, !diagnostics.contains(where: { $0.severity == .error && $0.location.file == name }) {
        diagnostics.append(
          Diagnostic(
            .error, SourceLocation(file: isFile(name) ? name : "profiles"), "there is no profile '\(name)'",
            hint: "known are " + library.profiles.map(\.name).joined(separator: ", ")))
      }
      for profile in found {
        let (one, problems) = library.resolve(profile, among: rules)
        diagnostics += problems
        if let one, !resolved.contains(where: { $0.name == one.name }) { resolved.append(one) }
      }
    }
    if resolved.count > Limits.activeProfiles {
      diagnostics.append(
        Diagnostic(.error, SourceLocation(file: "profiles"), "\(resolved.count) profiles, but \(Limits.activeProfiles) can be active"))
    }
    return (resolved, diagnostics)
  }
}
