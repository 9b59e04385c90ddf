// The options of the engine: `panguardd` takes them, and `panguard run` hands them on as they are.
import AgentRuntime
import ArgumentParser

public enum LiveFormat: String, ExpressibleByArgument, CaseIterable, Sendable { case text, jsonl }

public struct EngineOptions: ParsableArguments {
  @OptionGroup public var selection: StateSelection
  @OptionGroup public var rules: RuleSelection
  @Flag(name: .long, help: "Read logs that were never seen from their beginning instead of from their end.") public var fromStart = false
  @Option(name: .long, help: "Print each decision to standard output as text or jsonl. Default: as output.text of the configuration says.")
  public var format: LiveFormat?
  @Option(name: .long, help: "Started by root, the engine becomes this user. Default: panguard if there is one, else root without capabilities.")
  public var user: String?
  public init() {}

  /// nil: decisions are only stored.
  func liveFormat(_ settings: Configuration) -> LiveFormat? {
    if let format { return format }
    return switch settings.textOutput {
    case .auto, .always: .text
    case .never: nil
    }
  }
}
