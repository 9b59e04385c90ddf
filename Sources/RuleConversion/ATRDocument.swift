// What conversions from ATR read of a rule, from its document: the loader has accepted it before, so shapes are as the standard says.
import Primitives
import RuleLanguage
import TypedYAML

struct ATRCondition {
  /// The key of a named condition; in a list its 1-based position.
  var name: String
  var field: String
  /// regex, contains, exact, starts_with, endswith, length_gt, length_lt, gt, gte, lt, lte, eq.
  var operation: String
  var values: [Node]
  var isCaseSensitive: Bool
  /// Only in text of this language; nil: in any.
  var language: Node?
  var location: SourceLocation
}

struct ATRDocument {
  var root: Node
  /// Where title, severity and the like stand.
  var described: Node { root["correlation"] ?? root }
  var isCorrelation: Bool { root["correlation"] != nil || root["correlation_logic"] != nil || root["source_rules"] != nil }
  var id: String { text("id") }
  var method: String { root["detection"]?["method"]?.text ?? (isCorrelation ? "correlation" : "pattern") }
  /// The rules that a correlation names by their ids.
  var sourceRules: [String] { isCorrelation ? root["source_rules"]?.list?.compactMap { $0["rule_id"]?.text } ?? [] : [] }
  func text(_ key: String) -> String { described[key]?.text ?? root[key]?.text ?? "" }

  /// Reads the rules of `files`; what the loader refuses is reported and left out.
  static func read(_ files: [RuleFile], into result: inout Converted) -> [ATRDocument] {
    let loaded = RuleLoader.load(paths: [], documents: files)
    result.diagnostics += loaded.diagnostics.filter { $0.severity == .error }
    result.leftOut += loaded.refusedCount
    let accepted = Set(loaded.rules.map(\.location))
    return files.flatMap { file in
      file.bytes.withUnsafeBytes { YAMLParser.parse($0, file: file.name) }.documents.map { ATRDocument(root: $0.root) }
        .filter { accepted.contains($0.root.location) }
    }
  }

  /// The conditions of method pattern; nil where one has a shape of another kind (steps, metrics).
  var conditions: [ATRCondition]? {
    guard let node = root["detection"]?["conditions"] else { return nil }
    var out: [ATRCondition] = []
    let items: [(String, Node)] = node.list?.enumerated().map { ("\($0.offset + 1)", $0.element) } ?? node.entries?.map { ($0.key, $0.value) } ?? []
    for (name, item) in items {
      guard let field = item["field"]?.text, item["steps"] == nil, item["metric"] == nil else { return nil }
      let isListForm = item["operator"] != nil && item["patterns"] == nil
      let value = isListForm ? item["value"] : item["patterns"]
      let written = (isListForm ? item["operator"]?.text : item["match_type"]?.text) ?? "regex"
      let listOperator = isListForm ? ListOperator(written) : nil
      let isCaseSensitive = item["case_sensitive"]?.text.map { $0.lowercased() == "true" } ?? (listOperator?.mindsCase == true)
      guard let value else { return nil }
      out.append(
        ATRCondition(
          name: name, field: field, operation: listOperator?.word ?? written, values: value.list ?? [value], isCaseSensitive: isCaseSensitive,
          language: item["language"], location: item.location))
    }
    return out.isEmpty ? nil : out
  }

  /// `detection.condition` with each name passed through `name`; "" and "any" and "all" as expressions.
  func expression(names: [String], _ name: (String) -> String) -> String {
    let text = root["detection"]?["condition"]?.text ?? "any"
    switch text.lowercased().split(separator: " ").joined(separator: " ") {
    case "any", "or", "any of *", "1 of *": return names.count == 1 ? name(names[0]) : "1 of them"
    case "all", "and", "all of *": return names.count == 1 ? name(names[0]) : "all of them"
    default: break
    }
    var out = ""
    let tokens = ATRDocument.tokens(text)
    for (i, token) in tokens.enumerated() {
      let isQuantity = i + 1 < tokens.count && tokens[i + 1].lowercased() == "of"
      let followsOf = i > 0 && tokens[i - 1].lowercased() == "of"
      let isName = !isQuantity && !followsOf && names.contains(token)
      let piece = isName ? name(token) : ["and", "or", "not", "of", "them", "any", "all"].contains(token.lowercased()) ? token.lowercased() : token
      let needsSpace = !out.isEmpty && !out.hasSuffix("(") && token != ")"
      out += (needsSpace ? " " : "") + piece
    }
    return out
  }
  static func tokens(_ text: String) -> [String] {
    var tokens: [String] = []
    var word = ""
    for character in text {
      if character == "(" || character == ")" || character.isWhitespace {
        if !word.isEmpty { tokens.append(word) }
        word = ""
        if !character.isWhitespace { tokens.append(String(character)) }
      } else {
        word.append(character)
      }
    }
    return word.isEmpty ? tokens : tokens + [word]
  }
}
