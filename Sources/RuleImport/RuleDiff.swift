// Two sets of rules -> what is added, removed and changed, field by field; and over recorded events, which matches come and go.
// What must stay true: the result depends on the documents and events alone; order of keys and quoting are no change.
import AgentRuntime
import Primitives
import RuleLanguage
import TypedYAML

public struct RuleDiff: Sendable {
  public struct FieldChange: Sendable, Equatable {
    /// "severity", "detection.conditions[2].value".
    public var path: String
    /// nil: not there. Lists and mappings as one line of flow style.
    public var old: String?
    public var new: String?
    public init(path: String, old: String?, new: String?) {
      self.path = path
      self.old = old
      self.new = new
    }
  }
  public struct Changed: Sendable {
    public var id: String
    public var title: String
    public var fields: [FieldChange]
    /// Something under `detection` changed, false positives aside: the rule may match other events.
    public var changesDetection: Bool
    /// Patterns and values of conditions that only one side has, in their order.
    public var removedPatterns: [String]
    public var addedPatterns: [String]
  }
  public struct Named: Sendable {
    public var id: String
    public var title: String
    public var severity: String
  }
  public var added: [Named] = []
  public var removed: [Named] = []
  public var changed: [Changed] = []
  public var unchanged = 0
  public var isEmpty: Bool { added.isEmpty && removed.isEmpty && changed.isEmpty }

  public init(old: RuleImportPlan, new: RuleImportPlan) {
    let before = RuleDiff.documents(old)
    let after = RuleDiff.documents(new)
    let oldByID = Dictionary(before.map { ($0.id, $0.root) }, uniquingKeysWith: { first, _ in first })
    let newIDs = Set(after.map(\.id))
    removed = before.filter { !newIDs.contains($0.id) }.map(RuleDiff.named)
    for document in after {
      guard let earlier = oldByID[document.id] else {
        added.append(RuleDiff.named(document))
        continue
      }
      var fields: [FieldChange] = []
      RuleDiff.compare(earlier, document.root, "", &fields)
      guard !fields.isEmpty else {
        unchanged += 1
        continue
      }
      let (gone, come) = RuleDiff.patterns(earlier, document.root)
      changed.append(
        Changed(
          id: document.id, title: document.root["title"]?.text ?? "", fields: fields,
          changesDetection: fields.contains { $0.path.hasPrefix("detection.") && !$0.path.hasPrefix("detection.false_positives") }
            || fields.contains { $0.path.hasPrefix("correlation_logic") || $0.path.hasPrefix("source_rules") },
          removedPatterns: gone, addedPatterns: come))
    }
  }

  private typealias RuleDocument = (id: String, root: Node)
  /// Sorted by id, as the plan's files are.
  private static func documents(_ plan: RuleImportPlan) -> [RuleDocument] {
    plan.files.compactMap { file in
      let root = file.bytes.withUnsafeBytes { YAMLParser.parse($0, file: file.name) }.documents.first?.root
      guard let root, let id = (root["id"] ?? root["correlation"]?["id"])?.text else { return nil }
      return (id, root)
    }
  }
  private static func named(_ document: RuleDocument) -> Named {
    let described = document.root["correlation"] ?? document.root
    return Named(id: document.id, title: described["title"]?.text ?? "", severity: described["severity"]?.text ?? "")
  }

  /// Mappings key by key, lists item by item where they are as long, else as a whole.
  private static func compare(_ old: Node, _ new: Node, _ path: String, _ out: inout [FieldChange]) {
    if old.saysTheSame(as: new) { return }
    switch (old.content, new.content) {
    case (.mapping(let a), .mapping(let b)):
      let oldKeys = Dictionary(a.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
      let newKeys = Set(b.map(\.key))
      func qualified(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
      for entry in a where !newKeys.contains(entry.key) {
        out.append(FieldChange(path: qualified(entry.key), old: line(entry.value), new: nil))
      }
      for entry in b {
        if let earlier = oldKeys[entry.key] {
          compare(earlier, entry.value, qualified(entry.key), &out)
        } else {
          out.append(FieldChange(path: qualified(entry.key), old: nil, new: line(entry.value)))
        }
      }
    case (.list(let a), .list(let b)) where a.count == b.count:
      for (i, pair) in zip(a, b).enumerated() { compare(pair.0, pair.1, "\(path)[\(i + 1)]", &out) }
    default: out.append(FieldChange(path: path, old: line(old), new: line(new)))
    }
  }

  /// One line of JSON; a text as it is.
  private static func line(_ node: Node) -> String {
    if let text = node.text { return text }
    var json = JSONWriter()
    write(node, &json)
    return String(decoding: json.out, as: UTF8.self)
  }
  private static func write(_ node: Node, _ json: inout JSONWriter) {
    switch node.content {
    case .scalar(let scalar): if scalar.isNull { json.null() } else { json.value(scalar.text) }
    case .list(let items):
      json.beginArray()
      for item in items { write(item, &json) }
      json.endArray()
    case .mapping(let entries):
      json.beginObject()
      for entry in entries {
        json.key(text: entry.key)
        write(entry.value, &json)
      }
      json.endObject()
    }
  }

  private static func patterns(_ old: Node, _ new: Node) -> (removed: [String], added: [String]) {
    func all(_ root: Node) -> [String] {
      guard let conditions = root["detection"]?["conditions"] else { return [] }
      let items = conditions.list ?? conditions.entries?.map(\.value) ?? []
      return items.flatMap { item -> [String] in
        ["value", "patterns"].compactMap { item[$0] }.flatMap { node in node.list?.compactMap(\.text) ?? [node.text].compactMap { $0 } }
      }
    }
    let before = all(old)
    let after = all(new)
    let (had, has) = (Set(before), Set(after))
    return (before.filter { !has.contains($0) }, after.filter { !had.contains($0) })
  }
}

/// What two rule sets say about the same events.
public struct MatchDiff: Sendable {
  public struct Row: Sendable {
    public var id: String
    /// Events that only one of the sets matches, and the first of them.
    public var gained = 0
    public var lost = 0
    public var same = 0
    public var gainedExamples: [String] = []
    public var lostExamples: [String] = []
  }
  public static let exampleLimit = 3
  public private(set) var events = 0
  /// Lines that are not events.
  public private(set) var unreadable = 0
  private var rowsByID: [String: Row] = [:]
  public init() {}

  /// Sorted by id.
  public var rows: [Row] { rowsByID.values.sorted { $0.id.utf8.lexicographicallyPrecedes($1.id.utf8) } }

  public mutating func addUnreadable() { unreadable += 1 }
  /// `answer`s are those of `RuleEvaluator` about one event: `{"id":..,"matches":[{"rule_id":..},..]}`.
  public mutating func add(oldAnswer: [UInt8], newAnswer: [UInt8]) {
    events += 1
    let (event, old) = MatchDiff.read(oldAnswer)
    let new = MatchDiff.read(newAnswer).ids
    for id in old.union(new) {
      var row = rowsByID[id] ?? Row(id: id)
      switch (old.contains(id), new.contains(id)) {
      case (true, true): row.same += 1
      case (true, false):
        row.lost += 1
        if row.lostExamples.count < Self.exampleLimit { row.lostExamples.append(event) }
      default:
        row.gained += 1
        if row.gainedExamples.count < Self.exampleLimit { row.gainedExamples.append(event) }
      }
      rowsByID[id] = row
    }
  }
  private static func read(_ answer: [UInt8]) -> (event: String, ids: Set<String>) {
    guard case .success(let root) = answer.withUnsafeBytes({ JSONTree.parse($0, file: "") }) else { return ("", []) }
    return (root["id"]?.text ?? "", Set((root["matches"]?.list ?? []).compactMap { $0["rule_id"]?.text }))
  }
}
