// `panguardd --check`: reads configuration, rules and playbooks as a start or a reload does, and says what is wrong. Service managers ask it before
// they ask the running engine to reload, so that whoever reloads sees the refusal.
import AgentRuntime

public enum SettingsCheck {
  /// Prints one line where all is well. Throws a usage failure for a broken configuration, findings for broken rules or playbooks.
  public static func run(_ options: EngineOptions) throws {
    let settings = try options.selection.configuration()
    let rules = options.rules.read(settings, cache: RuleStore.defaultCacheDirectory())
    let playbooks = PlaybookStore.configured(settings)
    let errors = (rules.set.diagnostics + playbooks.diagnostics).filter { $0.severity == .error }
    guard errors.isEmpty else {
      report(errors, atLeast: .error)
      throw CommandFailure.findings
    }
    guard !rules.set.rules.isEmpty else { throw CommandFailure.environment("no rule could be loaded") }
    print(
      "\(rules.set.rules.count) rules from \(rules.paths.joined(separator: ", ")), \(playbooks.playbooks.count) playbooks, no errors; configuration "
        + settings.hash.prefix(16))
  }
}
