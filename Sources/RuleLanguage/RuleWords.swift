// The words that an author may write, for programs that offer them: completion, questions, schemas. Read from the reader's own tables.

public enum RuleWords {
  public static var agentSources: [String] { Vocabulary.agentSources }
  public static var hostSources: [String] { Vocabulary.hostSources }
  public static var agentCategories: [String] { Vocabulary.agentCategories }
  public static var hostCategories: [String] { Vocabulary.hostCategories }
  public static var sources: [String] { hostSources + agentSources }
  public static func categories(of source: String) -> [String] { hostSources.contains(source) ? hostCategories : agentCategories }
  public static var statuses: [String] { Vocabulary.statuses }
  /// One word for each operator; the reader takes other spellings too.
  public static var operators: [String] { ["regex", "contains", "exact", "starts_with"] + Comparison.allCases.map(\.rawValue) }
}
