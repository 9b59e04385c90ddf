// ATR -> Sigma: pattern rules become detections, behavioral counts a base rule with a correlation, correlations correlations.
// Fields keep ECS's names, which Sigma allows; a custom `atr_id` keeps the rule's own id, so that the way back finds it.
// What must stay true: what Sigma cannot say is left out with a reason, never approximated.
import Primitives
import RuleLanguage
import TypedYAML

public enum ATRToSigma {
  public static func convert(_ files: [RuleFile]) -> Converted {
    var result = Converted()
    let documents = ATRDocument.read(files, into: &result)
    let indexOfID = Dictionary(documents.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
    var written = [[Converted.Document]](repeating: [], count: documents.count)
    // Ids of what has been written: a correlation stands on its rules, so it comes behind them.
    var ids: Set<String> = []
    for i in dependencyOrder(documents.map { $0.sourceRules.compactMap { indexOfID[$0] } }) {
      let document = documents[i]
      let problems = Problems()
      let nodes = SigmaWriter(document: document, ids: ids, problems: problems).write()
      for (suffix, node) in problems.errorCount == 0 ? nodes : [] {
        guard let bytes = YAMLEmitter.emit(node) else {
          problems.error(document.root.location, "the rule has characters that YAML excludes")
          break
        }
        written[i].append(Converted.Document(id: document.id, name: SigmaWriter.fileName(document.id) + suffix, bytes: bytes))
      }
      if problems.errorCount > 0 || written[i].isEmpty {
        written[i] = []
        result.leftOut += 1
      } else {
        ids.insert(document.id)
      }
      result.diagnostics += problems.finished(file: document.root.location.file)
    }
    result.documents = written.flatMap { $0 }
    return result
  }
}

private struct SigmaWriter {
  let document: ATRDocument
  let ids: Set<String>
  let problems: Problems

  static func fileName(_ id: String) -> String {
    String(id.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
  }
  private var location: SourceLocation { document.root.location }
  private func failure(_ message: String, at place: SourceLocation? = nil) -> [(String, Node)] {
    problems.error(place ?? location, "\(document.id): \(message)")
    return []
  }

  func write() -> [(suffix: String, node: Node)] {
    switch document.method {
    case "pattern": return pattern()
    case "behavioral": return behavioral()
    case "correlation": return correlation()
    default: return failure("method \(shown(document.method)) has no counterpart in Sigma")
    }
  }

  // MARK: What describes the rule

  private static let statuses = ["stable": "stable", "experimental": "experimental", "draft": "experimental", "deprecated": "deprecated"]

  private func head(id: String, title: String, hasLogSource: Bool, level: String) -> [(String, Node)] {
    var entries: [(String, Node)] = [("title", .text(title)), ("id", .text(id))]
    if document.root["detection"]?["method"]?.text != "behavioral" || !hasLogSource { entries.append(("atr_id", .text(document.id))) }
    let isTest = document.text("maturity") == "test"
    entries.append(("status", .text(isTest ? "test" : Self.statuses[document.text("status")] ?? "experimental")))
    let summary = document.text("description")
    if !summary.isEmpty { entries.append(("description", .text(summary))) }
    let links = document.root["references"]?["external"] ?? document.described["references"]?["external"]
    if let links, links.list?.isEmpty == false { entries.append(("references", links)) }
    for key in ["author", "date", "modified"] where !document.text(key).isEmpty {
      entries.append((key, .text(key == "author" ? document.text(key) : document.text(key).replacing("/", with: "-"))))
    }
    let tags = self.tags
    if !tags.isEmpty { entries.append(("tags", .texts(tags))) }
    if hasLogSource { entries.append(("logsource", logSource)) }
    entries.append(("level", .text(level)))
    let falsePositives = document.root["detection"]?["false_positives"] ?? document.described["false_positives"]
    if let falsePositives, falsePositives.list?.isEmpty == false { entries.append(("falsepositives", falsePositives)) }
    return entries
  }
  private var level: String { document.text("severity").lowercased() }

  private var tags: [String] {
    let references = document.described["references"] ?? document.root["references"]
    let category = (document.described["tags"] ?? document.root["tags"])?["category"]?.text
    var tags: [String] = []
    let tactics = [
      "reconnaissance", "resource-development", "initial-access", "execution", "persistence", "privilege-escalation", "defense-evasion",
      "credential-access", "discovery", "lateral-movement", "collection", "command-and-control", "exfiltration", "impact",
    ]
    if let category, tactics.contains(category) { tags.append("attack.\(category)") }
    func texts(_ node: Node?) -> [String] { node?.list?.compactMap(\.text) ?? [node?.text].compactMap { $0 } }
    for technique in texts(references?["mitre_attack"]) {
      let id = technique.split(separator: " ").first.map { $0.lowercased() } ?? ""
      if id.hasPrefix("t"), id.dropFirst().first?.isNumber == true { tags.append("attack.\(id)") }
    }
    for cve in texts(references?["cve"]) { tags.append("cve.\(cve.lowercased().dropFirst(4).replacing("-", with: "."))") }
    return tags + texts(references?["sigma_tags"])
  }

  private var source: String { document.root["agent_source"]?["type"]?.text ?? "host_log" }
  private var isHostRule: Bool { source.hasPrefix("host_") }
  /// Host rules by their kind; rules for agents name a source of their own.
  private var logSource: Node {
    switch source {
    case "host_log": .mapping([("product", .text("linux"))])
    case "host_process": .mapping([("category", .text("process_creation")), ("product", .text("linux"))])
    case "host_network": .mapping([("category", .text("network_connection")), ("product", .text("linux"))])
    case let other: .mapping([("category", .text(other)), ("product", .text("ai-agent"))])
    }
  }

  // MARK: Pattern

  private func pattern() -> [(suffix: String, node: Node)] {
    guard let conditions = document.conditions else { return failure("its conditions are of a kind that Sigma has no word for") }
    let isList = document.root["detection"]?["conditions"]?.list != nil
    func name(_ condition: String) -> String { isList ? "condition_\(condition)" : Self.selectionName(condition) }
    var detection: [(String, Node)] = []
    for condition in conditions {
      if condition.name.contains("*") { return failure("a condition's name has '*'", at: condition.location) }
      guard let selection = selection(condition) else { return [] }
      let key = name(condition.name)
      if detection.contains(where: { $0.0 == key }) {
        return failure("two conditions have the name '\(shown(key))' in Sigma", at: condition.location)
      }
      detection.append((key, selection))
    }
    detection.append(("condition", .text(document.expression(names: conditions.map(\.name), name))))
    let head = head(id: uuid(of: document.id), title: oneLine(document.text("title")), hasLogSource: true, level: level)
    return [("", insert(.mapping(detection), into: head))]
  }
  /// Before `level`, where Sigma rules have it.
  private func insert(_ detection: Node, into head: [(String, Node)]) -> Node {
    let at = head.firstIndex { $0.0 == "level" } ?? head.count
    return .mapping(head[..<at] + [("detection", detection)] + head[at...])
  }
  private static func selectionName(_ name: String) -> String {
    let isKeyword = ["and", "or", "not", "of", "them", "any", "all", "condition", "timeframe", "1"].contains(name.lowercased())
    return isKeyword ? "condition_\(name)" : name
  }

  private func selection(_ condition: ATRCondition) -> Node? {
    if let language = condition.language {
      problems.error(language.location, "\(document.id): Sigma has no word for the language of a text")
      return nil
    }
    let values = condition.values
    let cased = condition.isCaseSensitive ? "|cased" : ""
    func wild(_ node: Node) -> Node { .text(SigmaWriter.escaped(node.text ?? "")) }
    switch condition.operation {
    case "exact": return .mapping([("\(condition.field)\(cased)", .list(values.map(wild)))])
    case "contains": return .mapping([("\(condition.field)|contains\(cased)", .list(values.map(wild)))])
    case "starts_with": return .mapping([("\(condition.field)|startswith\(cased)", .list(values.map(wild)))])
    case "endswith": return .mapping([("\(condition.field)|endswith\(cased)", .list(values.map(wild)))])
    case "gt", "gte", "lt", "lte": return .mapping([("\(condition.field)|\(condition.operation)", .plain(values.first?.text ?? "0"))])
    case "eq": return .mapping([(condition.field, .plain(values.first?.text ?? "0"))])
    case "regex":
      if !condition.isCaseSensitive, values.count == 1, values[0].text == "^" { return .mapping([("\(condition.field)|exists", .plain("true"))]) }
      for value in values where SigmaWriter.isBeyondSigma(value.text ?? "") {
        problems.note(
          value.location, "\(document.id): Sigma's dialect of regular expressions has no look-around or back-references; not every tool takes it")
      }
      return .mapping([("\(condition.field)|re\(condition.isCaseSensitive ? "" : "|i")", .list(values.map { .text($0.text ?? "") }))])
    default:
      problems.error(condition.location, "\(document.id): operator '\(shown(condition.operation))' has no counterpart in Sigma")
      return nil
    }
  }
  /// Sigma's wildcards taken literally.
  static func escaped(_ text: String) -> String {
    var out = ""
    for character in text.unicodeScalars {
      if character == "*" || character == "?" || character == "\\" { out += "\\" }
      out.unicodeScalars.append(character)
    }
    return out
  }
  static func isBeyondSigma(_ pattern: String) -> Bool {
    ["(?=", "(?!", "(?<", "(?P", "(?>", "\\1", "\\k"].contains { pattern.contains($0) }
  }

  // MARK: Counts

  private func behavioral() -> [(suffix: String, node: Node)] {
    guard let behavioral = document.root["detection"]?["behavioral"] else { return failure("'detection.behavioral' is missing") }
    let aggregation = behavioral["aggregation"]?.text ?? ""
    let comparison = behavioral["operator"]?.text ?? ""
    guard ["count", "distinct_count"].contains(aggregation) else {
      return failure("aggregation \(shown(aggregation)) has no counterpart in Sigma, which counts events and values", at: behavioral.location)
    }
    guard ["gt", "gte", "lt", "lte", "eq"].contains(comparison), let written = behavioral["threshold"]?.text else {
      return failure("operator \(shown(comparison)) has no counterpart in Sigma", at: behavioral.location)
    }
    guard let threshold = threshold(written, comparison, isCount: aggregation == "count", behavioral["min_events"]) else { return [] }
    if let cooldown = behavioral["cooldown"] {
      problems.warning(cooldown.location, "\(document.id): Sigma has no cooldown: the rule alerts again as long as it holds")
    }
    guard let window = behavioral["window"]?.text.flatMap(SigmaWriter.timespan) else {
      return failure("the window is no whole number of seconds", at: behavioral.location)
    }
    var selection: [(String, Node)] = []
    for entry in behavioral["filter"]?.entries ?? [] {
      guard let items = filter(entry) else { return [] }
      selection += items
    }
    guard !selection.isEmpty else { return failure("without a filter there is no selection to count", at: behavioral.location) }
    let name = SigmaWriter.fileName(document.id) + "_event"
    let base = insert(
      .mapping([("selection", .mapping(selection)), ("condition", .text("selection"))]),
      into: [
        ("title", .text(oneLine("\(document.text("title")): one event"))), ("id", .text(uuid(of: document.id + " event"))), ("name", .text(name)),
      ]
        + head(id: "", title: "", hasLogSource: true, level: "informational").filter { !["title", "id"].contains($0.0) })
    var condition: [(String, Node)] = [(comparison, .plain(threshold))]
    if aggregation == "distinct_count" { condition.insert(("field", .text(behavioral["metric"]?.text ?? "")), at: 0) }
    var correlation: [(String, Node)] = [
      ("type", .text(aggregation == "count" ? "event_count" : "value_count")), ("rules", .texts([name])),
    ]
    if let groups = behavioral["group_by"] { correlation.append(("group-by", groups.list == nil ? .list([groups]) : groups)) }
    correlation += [("timespan", .text(window)), ("condition", .mapping(condition))]
    let head = head(id: uuid(of: document.id), title: oneLine(document.text("title")), hasLogSource: false, level: level)
    let at = head.firstIndex { $0.0 == "level" } ?? head.count
    return [(".event", base), ("", .mapping(head[..<at] + [("correlation", .mapping(correlation))] + head[at...]))]
  }

  /// `min_events` asks for so many events besides: where events are counted that is a higher threshold, and where their values are, a lower
  /// number than that of the values says nothing. nil where it says more, which is reported.
  private func threshold(_ written: String, _ comparison: String, isCount: Bool, _ least: Node?) -> String? {
    guard let node = least, let least = node.text.flatMap({ Int64($0) }), least > 1 else { return written }
    let leastThreshold = comparison == "gt" ? least - 1 : least
    if comparison == "gt" || comparison == "gte", let threshold = Int64(written) {
      if threshold >= leastThreshold { return written }
      if isCount { return "\(leastThreshold)" }
    }
    problems.error(node.location, "\(document.id): 'min_events' has no counterpart in Sigma")
    return nil
  }

  /// One field of a filter as Sigma's items.
  private func filter(_ entry: Node.Entry) -> [(String, Node)]? {
    func wild(_ node: Node) -> Node { .list((node.list ?? [node]).map { .text(SigmaWriter.escaped($0.text ?? "")) }) }
    let texts = ([entry.value] + (entry.value.entries ?? []).map(\.value)).flatMap { $0.list ?? [$0] }
    if let meant = texts.first(where: { $0.text.map(Placeholder.isMeant) == true }) {
      problems.error(meant.location, "\(document.id): placeholder '\(shown(meant.text ?? ""))' has no counterpart in Sigma")
      return nil
    }
    guard let predicates = entry.value.entries else { return [("\(entry.key)|cased", wild(entry.value))] }
    var items: [(String, Node)] = []
    for predicate in predicates {
      switch predicate.key {
      case "in", "eq", "equals": items.append(("\(entry.key)|cased", wild(predicate.value)))
      case "not_in", "ne", "not_equals": items.append(("\(entry.key)|cased|neq", wild(predicate.value)))
      case "gt", "gte", "lt", "lte", "exists": items.append(("\(entry.key)|\(predicate.key)", .plain(predicate.value.text ?? "")))
      case "contains": items.append(("\(entry.key)|contains", wild(predicate.value)))
      case "starts_with": items.append(("\(entry.key)|startswith", wild(predicate.value)))
      // Of a filter, it minds case unless the rule is over host events.
      case "regex": items.append(("\(entry.key)|re\(isHostRule ? "|i" : "")", .list(predicate.value.list ?? [predicate.value])))
      default:
        problems.error(predicate.keyLocation, "\(document.id): predicate '\(shown(predicate.key))' has no counterpart in Sigma")
        return nil
      }
    }
    return items
  }

  /// Sigma's spans are whole seconds, minutes, hours or days.
  private static func timespan(_ text: String) -> String? {
    guard let duration = Nanoseconds(duration: text), duration.count > 0, duration.count % 1_000_000_000 == 0 else { return nil }
    let seconds = duration.count / 1_000_000_000
    for (size, unit) in [(Int64(86_400), "d"), (3600, "h"), (60, "m")] where seconds % size == 0 { return "\(seconds / size)\(unit)" }
    return "\(seconds)s"
  }

  // MARK: Correlations

  private func correlation() -> [(suffix: String, node: Node)] {
    guard let logic = document.root["correlation_logic"], let type = logic["type"]?.text else { return failure("'correlation_logic' is missing") }
    var rules: [String: String] = [:]
    var order: [String] = []
    for source in document.root["source_rules"]?.list ?? [] {
      let alias = source["alias"]?.text ?? ""
      guard let id = source["rule_id"]?.text else {
        return failure("source '\(shown(alias))' names rules by a pattern, which Sigma cannot", at: source.location)
      }
      guard ids.contains(id) else { return failure("it needs rule \(shown(id)), which is left out", at: source.location) }
      rules[alias] = uuid(of: id)
      order.append(alias)
    }
    let windowNode = logic["window"]
    let isWallTime = windowNode?.text != nil || windowNode?["type"]?.text ?? "wall_time" == "wall_time"
    let windowText = windowNode?.text ?? ["duration", "max_wall_time", "value"].lazy.compactMap { windowNode?[$0]?.text }.first
    guard isWallTime, let window = windowText.flatMap(SigmaWriter.timespan) else {
      return failure("only windows of whole seconds have a counterpart")
    }
    func aliases(_ key: String) -> [String]? { logic[key]?.list?.compactMap { $0.text ?? $0["alias"]?.text } }
    var correlation: [(String, Node)]
    switch type {
    case "temporal_sequence", "temporal_unordered":
      let named = aliases("sequence") ?? aliases("aliases") ?? order
      guard Set(named).count == named.count else { return failure("a rule comes twice in the sequence, which Sigma cannot say", at: logic.location) }
      correlation = [
        ("type", .text(type == "temporal_sequence" ? "temporal_ordered" : "temporal")), ("rules", .texts(named.compactMap { rules[$0] })),
      ]
    case "count_threshold":
      let alias = (logic["alias"] ?? logic["source"])?.text ?? order.first ?? ""
      correlation = [("type", .text("event_count")), ("rules", .texts([rules[alias]].compactMap { $0 }))]
    default: return failure("\(shown(type)) has no counterpart in Sigma", at: logic.location)
    }
    if let keys = logic["join_keys"], keys.list?.isEmpty != true { correlation.append(("group-by", keys.list == nil ? .list([keys]) : keys)) }
    correlation.append(("timespan", .text(window)))
    if type == "count_threshold", let count = (logic["count"] ?? logic["threshold"])?.text {
      correlation.append(("condition", .mapping([("gte", .plain(count))])))
    }
    // In ATR the rules of a correlation speak for themselves as well.
    correlation.append(("generate", .plain("true")))
    let head = head(id: uuid(of: document.id), title: oneLine(document.text("title")), hasLogSource: false, level: level)
    let at = head.firstIndex { $0.0 == "level" } ?? head.count
    return [("", .mapping(head[..<at] + [("correlation", .mapping(correlation))] + head[at...]))]
  }
}
