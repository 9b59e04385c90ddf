// `panguard rules schema`: JSON Schema for editors.
import AgentRuntime
import ArgumentParser
import RuleLanguage

extension RulesCommand {
  struct PrintSchema: ParsableCommand {
    enum Kind: String, ExpressibleByArgument, CaseIterable { case rule, correlation, profile, configuration }

    static let configuration = CommandConfiguration(
      commandName: "schema", abstract: "Print the JSON Schema of rules, for editors.",
      discussion: """
        With the first line of a rule file an editor that runs yaml-language-server checks it and completes keys, words and field names:

        # yaml-language-server: $schema=/path/to/rule.schema.json
        """)
    @Argument(help: "rule (a rule or a correlation), correlation, profile or configuration.") var kind: Kind = .rule

    func run() throws {
      var output = Output()
      output.write(Array(Self.document(kind).utf8))
      output.flush()
    }
    static func document(_ kind: Kind) -> String {
      switch kind {
      case .rule: EditorSchema.rule.document
      case .correlation: EditorSchema.correlation.document
      case .profile: EditorSchema.profile.document
      case .configuration: Configuration.schema.document
      }
    }
  }
}
