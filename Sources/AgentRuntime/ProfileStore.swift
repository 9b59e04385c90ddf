// Where profiles come from: a file that is named, or the shipped ones by their id. Reading and resolving is RuleLanguage's.
import Primitives
import RuleLanguage

public enum ProfileStore {
  /// Directories of shipped and local profiles that exist: what an id is looked up in.
  public static func directories() -> [String] {
    var candidates = ["/etc/panguard/profiles", "/usr/share/panguard/profiles"]
    if let executable = executablePath() {
      var parts = executable.split(separator: "/").map(String.init)
      for _ in 0..<5 where !parts.isEmpty {
        parts.removeLast()
        candidates.append("/" + (parts + ["rules", "profiles"]).joined(separator: "/"))
      }
    }
    candidates.append("rules/profiles")
    return candidates.first { isDirectory($0) }.map { [$0] } ?? []
  }

  /// The shipped profiles, and those of `files`.
  public static func library(_ files: [String] = []) -> ProfileLibrary { ProfileReader.load(paths: directories() + files) }

  /// A name with a slash or the ending of a YAML file is a file; anything else an id, or id@version.
  static func isFile(_ name: String) -> Bool { name.contains("/") || name.hasSuffix(".yaml") || name.hasSuffix(".yml") }

  /// The profiles that `name` means: one for an id, all of a file.
  public static func find(_ name: String, in library: ProfileLibrary) -> [Profile] {
    isFile(name)
      ? library.profiles.filter { $0.location.file == name || $0.location.file.hasPrefix(name + "/") } : library.find(name).map { [$0] } ?? []
  }

  /// Finds and resolves profiles, in the order of `names`. With an error there is no result to rely on.
  public static func resolve(_ names: [String], among rules: [Rule]) -> (profiles: [ResolvedProfile], diagnostics: [Diagnostic]) {
    let shipped = directories()
    let files = names.filter { name in isFile(name) && !shipped.contains { name.hasPrefix($0 + "/") } }
    let library = library(files)
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
