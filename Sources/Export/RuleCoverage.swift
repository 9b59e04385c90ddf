// What a rule set says it covers: its references, counted by framework. It counts claims, not detections: a reference says what the
// author had in mind, the rule's tests say what it does. Every list is sorted by id, every rule counts once for an id.
import Primitives
import RuleLanguage

public struct RuleCoverage: Sendable {
  public struct Item: Sendable {
    public var id: String
    /// "" where we have none.
    public var name: String
    /// ATT&CK only; places in `tacticNames`.
    public var tactics: [Int]
    /// In the order of the set.
    public var rules: [String]
    /// Rules by `Severity.rank`.
    public var bySeverity: [Int]
  }
  public struct Framework: Sendable {
    /// The key in `references`, and what people call it.
    public var key: String
    public var title: String
    public var items: [Item]
    /// Ids that no rule refers to; nil where the framework is too large to list. Of `listed` ids.
    public var uncovered: [String]?
    public var listed: Int
    /// Different rules that refer to it.
    public var ruleCount: Int
  }
  public var ruleCount: Int
  /// By `Severity.rank`.
  public var bySeverity: [Int]
  /// Statuses in the order of the rule language, and "" for none; only those that occur.
  public var byStatus: [(name: String, count: Int)]
  public var frameworks: [Framework]
  /// Ids of rules that refer to none of the frameworks.
  public var unmapped: [String]

  public static var tacticNames: [String] { Tactic.allCases.map(\.shortName) }

  /// The frameworks that are counted. `id`: the id in a reference of that key, nil if it is not one.
  private static let definitions: [(key: String, title: String, expected: [String]?, id: @Sendable (String) -> String?)] = [
    ("mitre_attack", "MITRE ATT&CK", nil, { $0.hasPrefix("T") ? $0 : nil }),
    ("mitre_atlas", "MITRE ATLAS", nil, { prefixed($0, "AML.T") }),
    ("owasp_llm", "OWASP LLM Top 10", numbered("LLM"), { numberedID($0, "LLM") }),
    ("owasp_agentic", "OWASP Agentic Top 10", numbered("ASI"), { numberedID($0, "ASI") }),
    ("safe_mcp", "SAFE-MCP", nil, { prefixed($0, "S") }),
  ]

  public init(_ rules: [Rule]) {
    ruleCount = rules.count
    bySeverity = Self.severities(rules)
    let statuses = RuleWords.statuses + [""]
    byStatus = statuses.compactMap { status in
      let count = rules.filter { $0.status == status }.count
      return count > 0 ? (status.isEmpty ? "none" : status, count) : nil
    }
    var mapped: Set<String> = []
    frameworks = Self.definitions.map { definition in
      var found: [(id: String, rule: Rule)] = []
      for rule in rules {
        var ids: [String] = []
        for text in Self.claims(of: rule, definition.key) { if let id = definition.id(text), !ids.contains(id) { ids.append(id) } }
        if !ids.isEmpty { mapped.insert(rule.id) }
        found += ids.map { ($0, rule) }
      }
      let items = Self.items(found, isATTACK: definition.key == "mitre_attack")
      return Framework(
        key: definition.key, title: definition.title, items: items,
        uncovered: definition.expected.map { $0.filter { id in !items.contains { $0.id == id } } },
        listed: definition.expected?.count ?? 0, ruleCount: Set(found.map(\.rule.id)).count)
    }
    unmapped = rules.map(\.id).filter { !mapped.contains($0) }
  }

  /// The texts that a rule gives for a framework, also where it keeps them one level deeper; ATLAS ids under `mitre_attack` too.
  private static func claims(of rule: Rule, _ key: String) -> [String] {
    if key == "mitre_attack" { return rule.techniques }
    return rule.references.compactMap { reference in
      guard let colon = reference.utf8.firstIndex(of: 0x3a) else { return nil }
      let (framework, text) = (reference[..<colon], String(reference[reference.index(after: colon)...]))
      if framework == key || framework.hasPrefix(key + ".") { return text }
      return key == "mitre_atlas" && framework == "mitre_attack" ? text : nil
    }
  }

  private static func items(_ found: [(id: String, rule: Rule)], isATTACK: Bool) -> [Item] {
    let order = found.indices.sorted { found[$0].id == found[$1].id ? $0 < $1 : found[$0].id.utf8.lexicographicallyPrecedes(found[$1].id.utf8) }
    var items: [Item] = []
    var rules: [Rule] = []
    for i in order {
      if items.last?.id != found[i].id {
        rules = []
        let id = found[i].id
        items.append(
          Item(
            id: id, name: isATTACK ? TechniqueName.of(id) ?? "" : "", tactics: isATTACK ? Tactic.of(id).map(\.rawValue) : [], rules: [],
            bySeverity: []))
      }
      rules.append(found[i].rule)
      items[items.count - 1].rules.append(found[i].rule.id)
      items[items.count - 1].bySeverity = severities(rules)
    }
    return items
  }
  private static func severities(_ rules: [Rule]) -> [Int] { Severity.allCases.map { severity in rules.filter { $0.severity == severity }.count } }

  // MARK: Ids

  private static func numbered(_ prefix: String) -> [String] { (1...10).map { prefix + ($0 < 10 ? "0" : "") + "\($0)" } }
  /// "LLM01:2025" is LLM01: the edition changes names, not what a reader looks for.
  @Sendable private static func numberedID(_ text: String, _ prefix: String) -> String? {
    let bytes = Array(text.utf8)
    let n = prefix.utf8.count
    guard text.hasPrefix(prefix), bytes.count >= n + 2, bytes[n..<n + 2].allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return String(decoding: bytes[..<(n + 2)], as: UTF8.self)
  }
  /// The first word of a text that begins with `prefix`, if it is made of what ids are made of.
  @Sendable private static func prefixed(_ text: String, _ prefix: String) -> String? {
    let word = text.prefix { $0 != " " && $0 != ":" }
    let isPlain = word.utf8.allSatisfy {
      (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || "-_.".utf8.contains($0)
    }
    return word.hasPrefix(prefix) && isPlain && word.utf8.count <= 32 ? String(word) : nil
  }
}
