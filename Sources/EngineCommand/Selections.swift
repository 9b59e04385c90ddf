// Options that several programs and commands share: which configuration and state, which rules.
import AgentRuntime
import ArgumentParser
import Glibc
import Primitives
import RuleImport
import RuleLanguage

/// Which configuration a command goes by.
public struct ConfigurationSelection: ParsableArguments {
  public init() {}
  @Option(name: .long, help: "The configuration file; default \(Configuration.defaultPath) if it exists.", completion: .file()) public var config:
    String?

  public func configuration() throws -> Configuration {
    let path = config ?? Configuration.defaultPath
    if config == nil, access(path, F_OK) != 0 { return Configuration() }
    let (configuration, diagnostics) = Configuration.load(path: path)
    report(diagnostics, atLeast: .warning)
    guard let configuration, !diagnostics.contains(where: { $0.severity == .error }) else {
      throw CommandFailure.usage("\(path) has errors; `panguard config check \(path)` lists them")
    }
    return configuration
  }
}

/// Where the agent keeps its state, for the commands that talk to it or read its store.
public struct StateSelection: ParsableArguments {
  public init() {}
  @OptionGroup var selection: ConfigurationSelection
  @Option(name: .long, help: "The agent's state directory; default as configured.", completion: .directory) public var state: String?

  public var config: String? { selection.config }
  public func configuration() throws -> Configuration { try selection.configuration() }
  public func directory() throws -> String { try state ?? AgentPaths.stateDirectory(configured: configuration().stateDirectory) }
}

/// Which rules a command works on.
public struct RuleSelection: ParsableArguments {
  public init() {}
  @Option(name: .long, help: RuleSelection.help, completion: .file())
  public var rules: [String] = []
  public static let pathsHelp: ArgumentHelp = "Rules: files, directories, archives, wheels or JSON bundles."
  public static let help: ArgumentHelp =
    "Rules: a file, directory, archive, wheel or JSON bundle; may be given several times. Default: the shipped rules."
  @Option(name: .long, help: "How mature a rule must be to run: enforce, alert, hunt. Default: rules.lane of the configuration, else hunt.")
  public var lane: RuleLane?
  @Flag(name: .long, help: "Run drafts and deprecated rules too.") public var includeInactive = false
  @Option(name: .long, help: "Only the rules of this profile (an id, id@version or a file); may be given several times.", completion: .file())
  public var profile: [String] = []

  /// What the flags say, and `settings` where they say nothing.
  public func options(
    _ settings: Configuration = Configuration(), takesRecordedMatches: Bool = false, cache: String? = RuleStore.defaultCacheDirectory()
  ) -> RuleLoadOptions {
    var options = RuleLoadOptions()
    options.disabled = settings.disabledRules
    options.lane = lane ?? settings.lane
    options.includesInactive = includeInactive
    options.profiles = profile.isEmpty ? settings.profiles : profile
    options.takesRecordedMatches = takesRecordedMatches
    options.cacheDirectory = cache
    return options
  }

  /// Loads those of the flags, else those of `settings`, and leaves what is wrong with them to the caller.
  func read(_ settings: Configuration, cache: String?) -> LoadedRules {
    RuleStore.load(paths: rules.isEmpty ? settings.ruleDirectories : rules, options: options(settings, cache: cache))
  }

  /// Loads them; diagnostics of errors go to standard error. Fails where nothing could be loaded.
  public func load(
    _ extra: [String] = [], settings: Configuration = Configuration(), reportsWarnings: Bool = false, takesRecordedMatches: Bool = false,
    cache: String? = RuleStore.defaultCacheDirectory()
  ) throws -> LoadedRules {
    let loaded = RuleStore.load(paths: rules + extra, options: options(settings, takesRecordedMatches: takesRecordedMatches, cache: cache))
    report(loaded.set.diagnostics, atLeast: reportsWarnings ? .warning : .error)
    if !reportsWarnings { report(loaded.profileDiagnostics.filter { $0.severity == .warning }, atLeast: .warning) }
    guard !loaded.set.rules.isEmpty else {
      if !loaded.set.profiles.isEmpty {
        throw CommandFailure.environment("no rule of those loaded is in \(loaded.set.profiles.map(\.name).joined(separator: ", "))")
      }
      throw CommandFailure.environment("no rule could be loaded\(loaded.paths.isEmpty ? "" : " from \(loaded.paths.joined(separator: ", "))")")
    }
    return loaded
  }
}

/// Prints diagnostics to standard error in the form that editors understand.
public func report(_ diagnostics: [Diagnostic], atLeast severity: Diagnostic.Severity) {
  for diagnostic in diagnostics where diagnostic.severity >= severity { printError("\(diagnostic)") }
}

extension RuleLane: ExpressibleByArgument {}
