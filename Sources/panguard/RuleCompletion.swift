// What a shell offers behind TAB where a command wants a rule or a field. A completion must never fail or be slow: rules that cannot be
// read are not offered, and nothing is compiled.
import AgentRuntime
import ArgumentParser
import Events
import RuleImport
import RuleLanguage

enum RuleCompletion {
  /// Ids of the rules that the words typed so far select with --rules, else of the shipped ones.
  static var rules: CompletionKind {
    .custom { (arguments: [String], _: Int, _: String) in
      var paths: [String] = []
      for (i, argument) in arguments.enumerated() {
        if argument == "--rules", i + 1 < arguments.count { paths.append(arguments[i + 1]) }
        if argument.hasPrefix("--rules=") { paths.append(String(argument.dropFirst("--rules=".count))) }
      }
      var options = RuleLoadOptions()
      options.cacheDirectory = RuleStore.defaultCacheDirectory()
      return RuleStore.load(paths: paths, options: options).set.rules.map(\.id)
    }
  }
  static var fields: CompletionKind { .list(Field.allNames) }
}
