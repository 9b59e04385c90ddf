// Sigma rules and correlations -> ATR documents of the host profile. Sigma rules specification 2.1 and correlation rules
// specification 2.0 (SigmaHQ/sigma-specification, public domain); no Sigma rule is part of this program.
// What must stay true: a converted rule means what the Sigma rule means, or is left out with a reason that names the place; ids and
// bytes depend on the input alone.
import Events
import Primitives
import RuleLanguage
import TypedYAML

public enum SigmaToATR {
  /// `files` together: a correlation may name rules of any of them.
  public static func convert(_ files: [RuleFile]) -> Converted {
    var reading = SigmaReading()
    for file in files { file.bytes.withUnsafeBytes { reading.read($0, file: file.name) } }
    return reading.finished()
  }
}

/// A Sigma rule that has been read.
private struct SigmaRule {
  var id: String
  var name: String
  var title: String
  var atrID: String
  var head: SigmaHead
  var source: SigmaLogSource
  var question: Question
  var aggregation: (text: String, location: SourceLocation)?
  var timeframe: String?
  var location: SourceLocation
}

private struct SigmaCorrelation {
  var id: String
  var name: String
  var atrID: String
  /// Its id where it becomes a behavioral rule, which is no correlation.
  var countID: String
  var head: SigmaHead
  var type: String
  var rules: [(name: String, location: SourceLocation)]
  var groupBy: [(name: String, location: SourceLocation)]
  var aliases: Node?
  var timespan: String
  var condition: [(key: String, value: Int64)]
  var field: String?
  var generates: Bool
  var location: SourceLocation
}

/// What describes a rule of either kind, in ATR's keys.
private struct SigmaHead {
  var title: String
  var description: String
  var status: String
  var maturity: String
  var author: String
  var date: String
  var modified: String?
  var severity: String
  var license: String?
  var techniques: [String] = []
  var tactic: String?
  var references: [(String, Node)] = []
  var falsePositives: [String]
}

private struct SigmaReading {
  private var order: [Item] = []
  private enum Item { case rule(SigmaRule), correlation(SigmaCorrelation) }
  private var result = Converted()
  /// What correlations name that could not be read.
  private var lostReferences: [String] = []
  /// Of the file that is read, or of the rule that is written: many good rules must not hide one bad one.
  private var problems = Problems()
  private mutating func finishProblems(_ file: String) {
    result.diagnostics += problems.finished(file: file)
    problems = Problems()
  }

  mutating func read(_ bytes: Bytes, file: String) {
    let parsed = YAMLParser.parse(bytes, file: file)
    result.diagnostics += parsed.problems
    result.leftOut += parsed.problems.count
    for document in parsed.documents {
      let errorsBefore = problems.errorCount
      let item = Section(document.root, problems: problems).flatMap { readDocument($0) }
      if let item, problems.errorCount == errorsBefore {
        order.append(item)
      } else {
        result.leftOut += 1
        lostReferences += Self.references(of: document.root)
      }
    }
    finishProblems(file)
  }

  /// Of a correlation that speaks for its rules, whatever else is wrong with it.
  private static func references(of root: Node) -> [String] {
    let generate = root["correlation"]?["generate"] ?? root["generate"]
    guard let rules = root["correlation"]?["rules"], generate?.text?.lowercased() != "true" else { return [] }
    return (rules.list ?? [rules]).compactMap(\.text)
  }

  private func readDocument(_ section: Section) -> Item? {
    if section.has("action") {
      problems.error(section.location(of: "action"), "'action' joins documents, which Sigma has given up", hint: "write each rule out")
      return nil
    }
    if section.has("filter") {
      problems.error(section.location(of: "filter"), "a Sigma filter changes other rules; merge it into them first")
      return nil
    }
    guard let head = SigmaHeadReader(problems: problems).read(section) else { return nil }
    let id = section.text("id") ?? ""
    let name = section.text("name") ?? ""
    let key = id.isEmpty ? "\(name)\n\(head.title)" : id
    let year = head.date.count == 10 ? String(head.date.prefix(4)) : "0000"
    let isCorrelation = section.has("correlation")
    let prefix = isCorrelation ? "ATR-COR-" : "ATR-"
    // A rule that came from ATR goes back under its own id.
    let given = section.node("atr_id")?.text
    let atrID = given?.hasPrefix(prefix) == true ? given! : draftID(prefix, year: year, of: key)
    if isCorrelation {
      let countID = given?.hasPrefix("ATR-") == true && given?.hasPrefix("ATR-COR-") == false ? given! : "ATR-" + atrID.dropFirst(8)
      return readCorrelation(section, head, id: id, name: name, atrID: atrID, countID: countID)
    }
    guard let logSource = section.section("logsource", isRequired: true), let detection = section.section("detection", isRequired: true) else {
      return nil
    }
    func word(_ key: String) -> String { logSource.text(key)?.lowercased() ?? "" }
    guard let source = SigmaLogSource.find(product: word("product"), category: word("category"), service: word("service")) else {
      let asked = ["product", "category", "service"].compactMap { key in word(key).isEmpty ? nil : "\(key) \(shown(word(key)))" }
      problems.error(
        logSource.location, "log source \(asked.joined(separator: ", ")) has no counterpart here",
        hint: SigmaLogSource.hint(product: word("product"), category: word("category"), service: word("service")))
      return nil
    }
    guard let read = SigmaDetection(problems: problems, source: source).read(detection) else { return nil }
    if read.aggregation == nil, detection.has("timeframe") {
      problems.warning(detection.location(of: "timeframe"), "'timeframe' says nothing without an aggregation, and is left out")
    }
    return .rule(
      SigmaRule(
        id: id, name: name, title: head.title, atrID: atrID, head: head, source: source, question: read.question, aggregation: read.aggregation,
        timeframe: detection.text("timeframe"), location: section.location))
  }

  private func readCorrelation(_ section: Section, _ head: SigmaHead, id: String, name: String, atrID: String, countID: String) -> Item? {
    guard let correlation = section.section("correlation", isRequired: true) else { return nil }
    let types = ["event_count", "value_count", "temporal", "temporal_ordered"]
    guard let type = correlation.word("type", of: types, isRequired: true) else { return nil }
    let timespan = correlation.text("timespan", isRequired: true) ?? ""
    if Nanoseconds(duration: timespan) == nil { problems.error(correlation.location(of: "timespan"), "'\(shown(timespan))' is no duration") }
    let rules = correlation.textNodes("rules", isRequired: true).compactMap { node in node.text.map { ($0, node.location) } }
    let groupBy = correlation.textNodes("group-by").compactMap { node in node.text.map { ($0, node.location) } }
    var condition: [(String, Int64)] = []
    var field: String?
    if type.hasSuffix("count") {
      guard let section = correlation.section("condition", isRequired: true) else { return nil }
      field = section.text("field", isRequired: type == "value_count")
      for key in ["gt", "gte", "lt", "lte", "eq"] where section.has(key) {
        if let value = section.integer(key, in: Self.counts, isRequired: true) { condition.append((key, value)) }
      }
      if condition.count != 1 { problems.error(section.location, "a count needs exactly one of gt, gte, lt, lte, eq; ATR has no ranges") }
    } else if correlation.has("condition") {
      problems.error(correlation.location(of: "condition"), "ATR has no condition for \(type): all rules must occur")
    }
    let generates = correlation.flag("generate") ?? section.flag("generate") ?? false
    return .correlation(
      SigmaCorrelation(
        id: id, name: name, atrID: atrID, countID: countID, head: head, type: type, rules: rules, groupBy: groupBy,
        aliases: correlation.node("aliases"),
        timespan: timespan, condition: condition, field: field, generates: generates, location: section.location))
  }

  // MARK: Writing

  private struct Output {
    /// Where in `order` it comes from.
    var item: Int
    var id: String
    var root: Node
    var location: SourceLocation
  }
  /// A correlation that can be said: as one, or as a count.
  private struct Written {
    var id: String
    /// Its group-by: Sigma's names -> ATR's.
    var groupBy: [String: String]
    var source: SigmaLogSource?
    /// The items that the document names.
    var needs: [Int]
    var form: Form
    enum Form {
      case count(Count, of: SigmaRule)
      case correlation(sources: [(alias: String, id: String)], logic: [(String, Node)])
    }
  }
  /// What a correlation names, and which item that is.
  private typealias Reference = (name: String, location: SourceLocation, item: Int?)

  mutating func finished() -> Converted {
    let references = self.references()
    var written = writeCorrelations(references)
    var failed: Set<Int> = []
    var outputs = self.outputs(written, references, &failed)
    var checked = check(outputs)
    let refused = outputs.filter { output in
      guard case .correlation = order[output.item] else { return false }
      return checked.reasons[output.id] != nil
    }
    if !refused.isEmpty {
      // Their rules are no longer only theirs. All that hang on them are refused with them, so once more is enough.
      for output in refused {
        fail(output.location, "the converted rule would be refused: \(checked.reasons[output.id] ?? "")")
        result.leftOut += 1
        written[output.item] = nil
      }
      outputs = self.outputs(written, references, &failed)
      checked = check(outputs)
    }
    noteBereaved(written, references)
    emit(outputs, checked)
    result.diagnostics.sort { $0.location != $1.location ? $0.location < $1.location : $0.message < $1.message }
    return result
  }

  private func references() -> [[Reference]] {
    let places = placesByName()
    return order.map { item in
      guard case .correlation(let correlation) = item else { return [] }
      return correlation.rules.map { ($0.name, $0.location, places[$0.name]) }
    }
  }
  /// Where an id or a name stands in `order`: a rule's before a correlation's, and the first of equal ones.
  private func placesByName() -> [String: Int] {
    var rules: [String: Int] = [:]  // by id and by name
    var correlations: [String: Int] = [:]
    for (i, item) in order.enumerated() {
      switch item {
      case .rule(let rule): for key in [rule.id, rule.name] where !key.isEmpty && rules[key] == nil { rules[key] = i }
      case .correlation(let correlation):
        for key in [correlation.id, correlation.name] where !key.isEmpty && correlations[key] == nil { correlations[key] = i }
      }
    }
    return rules.merging(correlations) { rule, _ in rule }
  }

  /// Each behind the correlations that it names: what became of those decides what it can say.
  private mutating func writeCorrelations(_ references: [[Reference]]) -> [Written?] {
    var written = [Written?](repeating: nil, count: order.count)
    var isReached = [Bool](repeating: false, count: order.count)
    for i in dependencyOrder(references.map { $0.compactMap(\.item) }) {
      isReached[i] = true
      guard case .correlation(let correlation) = order[i] else { continue }
      written[i] = write(correlation, references[i], written)
      if written[i] == nil { result.leftOut += 1 }
      finishProblems(correlation.location.file)
    }
    for (i, item) in order.enumerated() where !isReached[i] {
      guard case .correlation(let correlation) = item else { continue }
      fail(correlation.location, "the rules that it names lead back to themselves")
      result.leftOut += 1
    }
    return written
  }

  /// What only correlations need is not an alert of its own, and where a correlation has become a count it is not needed at all.
  /// `failed`: rules that have been reported.
  private mutating func outputs(_ written: [Written?], _ references: [[Reference]], _ failed: inout Set<Int>) -> [Output] {
    let isBase = basesOf(written, references)
    var isNeeded = [Bool](repeating: false, count: order.count)
    for index in written.flatMap({ $0?.needs ?? [] }) { isNeeded[index] = true }
    var outputs: [Output] = []
    for (i, item) in order.enumerated() {
      switch item {
      case .correlation(let correlation):
        guard let correlated = written[i] else { continue }
        outputs.append(Output(item: i, id: correlated.id, root: root(correlated, correlation, isBase: isBase[i]), location: correlation.location))
      case .rule(let rule):
        guard !failed.contains(i), !isBase[i] || isNeeded[i] else { continue }
        let documents = write(rule, item: i, isBase: isBase[i])
        finishProblems(rule.location.file)
        if documents.isEmpty, failed.insert(i).inserted { result.leftOut += 1 }
        outputs += documents
      }
    }
    return outputs
  }
  private func basesOf(_ written: [Written?], _ references: [[Reference]]) -> [Bool] {
    var isBase = [Bool](repeating: false, count: order.count)
    for (i, item) in order.enumerated() {
      guard case .correlation(let correlation) = item, written[i] != nil, !correlation.generates else { continue }
      for index in references[i].compactMap(\.item) { isBase[index] = true }
    }
    return isBase
  }
  /// A rule was written for its correlation's sake; without that, it alerts, and its author should know.
  private mutating func noteBereaved(_ written: [Written?], _ references: [[Reference]]) {
    let isBase = basesOf(written, references)
    var isBereaved = [Bool](repeating: false, count: order.count)
    for (i, item) in order.enumerated() {
      guard case .correlation(let correlation) = item, written[i] == nil, !correlation.generates else { continue }
      for index in references[i].compactMap(\.item) where !isBase[index] { isBereaved[index] = true }
    }
    let places = placesByName()
    for index in lostReferences.compactMap({ places[$0] }) where !isBase[index] { isBereaved[index] = true }
    for (i, item) in order.enumerated() where isBereaved[i] {
      let location: SourceLocation
      switch item {
      case .rule(let rule): location = rule.location
      case .correlation(let correlation):
        guard written[i] != nil else { continue }
        location = correlation.location
      }
      result.diagnostics.append(Diagnostic(.warning, location, "the correlation that this is for is left out, so it alerts by itself"))
    }
  }

  private struct Checked {
    /// By id; nil: it cannot be written at all.
    var bytes: [String: [UInt8]] = [:]
    /// Of what is refused, by id.
    var reasons: [String: String] = [:]
  }
  /// Asks the loader of rules, so that nothing is handed out that this program would refuse. Of several documents with one id, the first.
  private func check(_ outputs: [Output]) -> Checked {
    var checked = Checked()
    var files: [RuleFile] = []
    for output in outputs where checked.bytes[output.id] == nil && checked.reasons[output.id] == nil {
      guard let bytes = YAMLEmitter.emit(output.root) else {
        checked.reasons[output.id] = "it is larger than a rule may be, or has characters that YAML excludes"
        continue
      }
      checked.bytes[output.id] = bytes
      files.append(RuleFile(name: output.id, bytes: bytes))
    }
    let loaded = RuleLoader.load(paths: [], documents: files)
    let accepted = Set(loaded.rules.map(\.id))
    let errors = Dictionary(grouping: loaded.diagnostics.filter { $0.severity == .error }, by: \.location.file)
    for file in files where !accepted.contains(file.name) {
      checked.reasons[file.name] = errors[file.name]?.first?.message ?? "it needs a rule that is refused"
    }
    return checked
  }

  private mutating func emit(_ outputs: [Output], _ checked: Checked) {
    var seen: Set<String> = []
    for output in outputs {
      guard seen.insert(output.id).inserted else {
        fail(output.location, "another rule has the same id")
        result.leftOut += 1
        continue
      }
      guard checked.reasons[output.id] == nil, let bytes = checked.bytes[output.id] else {
        fail(output.location, "the converted rule would be refused: \(checked.reasons[output.id] ?? "")")
        result.leftOut += 1
        continue
      }
      result.documents.append(Converted.Document(id: output.id, name: output.id, bytes: bytes))
    }
  }

  private mutating func fail(_ location: SourceLocation, _ message: String) { result.diagnostics.append(Diagnostic(.error, location, message)) }

  private func write(_ rule: SigmaRule, item: Int, isBase: Bool) -> [Output] {
    if rule.aggregation != nil { return aggregation(rule, item: item, isBase: isBase) }
    return [Output(item: item, id: rule.atrID, root: pattern(rule, id: rule.atrID, isBase: isBase), location: rule.location)]
  }
  /// Of the document that says what the rule says: not that of the events it counts.
  private func documentID(_ rule: SigmaRule) -> String {
    rule.aggregation == nil || filter(rule) != nil ? rule.atrID : "ATR-COR-" + rule.atrID.dropFirst(4)
  }

  /// The log source's discriminator and the detection.
  private func whole(_ rule: SigmaRule) -> Question {
    guard let (field, values) = rule.source.discriminator else { return rule.question }
    let source = Question.test(
      FieldTest(field: field, kind: .exact, values: values, isCaseSensitive: false, location: rule.location, sample: values.first), name: "logsource")
    if case .all(let parts) = rule.question { return .all([source] + parts) }
    return .all([source, rule.question])
  }

  private func filter(_ rule: SigmaRule) -> Node? { whole(rule).filter(ofHostRule: rule.source.isHost) }

  private func pattern(_ rule: SigmaRule, id: String, isBase: Bool) -> Node {
    let question = whole(rule)
    let list = ConditionList(question)
    var detection: [(String, Node)] = [
      ("method", .text("pattern")), ("conditions", .mapping(list.conditions.map { ($0.name, $0.node) })), ("condition", .text(list.expression)),
    ]
    if !rule.head.falsePositives.isEmpty { detection.append(("false_positives", .texts(rule.head.falsePositives))) }
    return document(rule.head, id: id, source: rule.source, isBase: isBase, detection: .mapping(detection), tests: tests(question))
  }

  private func document(_ head: SigmaHead, id: String, source: SigmaLogSource, isBase: Bool, detection: Node, tests: Node?) -> Node {
    let severity = isBase ? "informational" : head.severity
    var entries: [(String, Node)] = [("schema_version", .text("1.0")), ("id", .text(id))]
    entries += description(head, severity: severity, isBase: isBase)
    entries += [
      ("references", references(head)), ("tags", .mapping([("category", .text(head.tactic ?? source.category)), ("subcategory", .text("sigma"))])),
      ("agent_source", .mapping([("type", .text(source.agentSource))])), ("detection", detection),
      ("response", .mapping([("actions", .texts([isBase ? "log_only" : "alert"]))])),
    ]
    if let tests { entries.append(("test_cases", tests)) }
    return .mapping(entries)
  }
  private func description(_ head: SigmaHead, severity: String, isBase: Bool) -> [(String, Node)] {
    var entries: [(String, Node)] = [
      ("title", .text(head.title)), ("status", .text(head.status)), ("maturity", .text(head.maturity)), ("description", .text(head.description)),
      ("author", .text(head.author)),
    ]
    if !head.date.isEmpty { entries.append(("date", .text(head.date))) }
    if let modified = head.modified { entries.append(("modified", .text(modified))) }
    entries.append(("severity", .text(severity)))
    entries.append(("confidence", .plain("\(isBase ? 10 : SigmaHeadReader.confidence[head.severity] ?? 50)")))
    if let license = head.license { entries.append(("license", .text(license))) }
    return entries
  }
  private func references(_ head: SigmaHead) -> Node {
    .mapping((head.techniques.isEmpty ? [] : [("mitre_attack", .texts(head.techniques))]) + head.references)
  }

  /// Events for which the rule must and must not fire, where the question says them without solving a pattern.
  private func tests(_ question: Question) -> Node? {
    guard let first = question.sample(choice: 0), !first.isEmpty else { return nil }
    func event(_ pairs: [(field: String, value: String)], _ description: String) -> Node {
      .mapping([
        ("event", .mapping(pairs.map { ($0.field, .text($0.value)) })), ("description", .text(description)),
      ])
    }
    let second = question.sample(choice: 1) ?? first
    let other = second.map { ($0.field, $0.value.lowercased()) }
    let fires = SampleCheck(question)
    let positives = [(first, "Generated from the first alternatives"), (other, "Generated from the second alternatives, in lower case")]
      .filter { fires.holds($0.0) == true }
    var without = first
    without.removeLast()
    let changed = first.map { ($0.field, $0.field == first.last?.field ? "0" : $0.value) }
    let negatives = [(without, "Generated: the last field is missing"), (changed, "Generated: the last field is another")]
      .filter { !$0.0.isEmpty && fires.holds($0.0) == false }
    guard !positives.isEmpty else { return nil }
    var groups: [(String, Node)] = [("true_positives", .list(positives.map { event($0.0, $0.1) }))]
    if !negatives.isEmpty { groups.append(("true_negatives", .list(negatives.map { event($0.0, $0.1) }))) }
    return .mapping(groups)
  }

  // MARK: Counts

  /// What may be asked for: the next number is one too.
  private static let counts: ClosedRange<Int64> = 0...1_000_000_000

  private struct Count {
    /// nil: events are counted.
    var distinctField: String?
    var groupBy: [String]
    var comparison: String
    var threshold: Int64
    var window: String
  }

  /// Behavioral, where the question is a filter; nil where it is more.
  private func behavioral(_ rule: SigmaRule, _ count: Count, head: SigmaHead, id: String, isBase: Bool = false) -> Node? {
    guard let filter = filter(rule) else { return nil }
    let behavioral: [(String, Node)] = [
      ("metric", .text(count.distinctField ?? "events")), ("aggregation", .text(count.distinctField == nil ? "count" : "distinct_count")),
      ("window", .text(count.window)), ("operator", .text(count.comparison)), ("threshold", .plain("\(count.threshold)")),
      ("group_by", .texts(count.groupBy)), ("filter", filter),
    ]
    var detection: [(String, Node)] = [("method", .text("behavioral")), ("behavioral", .mapping(behavioral))]
    if !head.falsePositives.isEmpty { detection.append(("false_positives", .texts(head.falsePositives))) }
    return document(head, id: id, source: rule.source, isBase: isBase, detection: .mapping(detection), tests: nil)
  }

  /// `| count() by field > n` with `timeframe`, as rules were written before correlations.
  private func aggregation(_ rule: SigmaRule, item: Int, isBase: Bool) -> [Output] {
    guard let (text, location) = rule.aggregation else { return [] }
    func failure(_ message: String) -> [Output] {
      problems.error(location, "aggregation '\(shown(text))': \(message)")
      return []
    }
    let words = text.split { $0 == " " || $0 == "\t" }.map(String.init)
    guard let call = words.first, call.hasPrefix("count("), call.hasSuffix(")") else {
      return failure("only count() and count(field) have a counterpart")
    }
    guard let window = rule.timeframe else { return failure("it needs a 'timeframe'") }
    guard Nanoseconds(duration: window) != nil else { return failure("timeframe '\(shown(window))' is no duration here: write it in s, m, h or d") }
    let field = String(call.dropFirst(6).dropLast())
    let hasGroup = words.count == 5 && words[1] == "by"
    guard hasGroup || words.count == 3, let number = fixedPoint(words[words.count - 1], digits: 0),
      let comparison = [">": "gt", ">=": "gte"][words[words.count - 2]]
    else { return failure("write it like count() by field > 5") }
    guard Self.counts.contains(number) else { return failure("a count is a number from 0 to \(Self.counts.upperBound)") }
    var names: [String] = []
    for name in [field, hasGroup ? words[2] : ""] where !name.isEmpty {
      guard let known = rule.source.name(name) else { return failure("field '\(shown(name))' has no counterpart in events of this log source") }
      names.append(known)
    }
    let distinct = field.isEmpty ? nil : names.first
    let groupBy = hasGroup ? [names.last ?? ""] : []
    let count = Count(distinctField: distinct, groupBy: groupBy, comparison: comparison, threshold: number, window: window)
    if let node = behavioral(rule, count, head: rule.head, id: rule.atrID, isBase: isBase) {
      return [Output(item: item, id: rule.atrID, root: node, location: rule.location)]
    }
    guard distinct == nil else {
      return failure("distinct values can be counted where the selections are one conjunction of fields, which these are not")
    }
    // Its own correlation over the rule.
    let correlationID = documentID(rule)
    let base = Output(item: item, id: rule.atrID, root: pattern(rule, id: rule.atrID, isBase: true), location: rule.location)
    let logic: [(String, Node)] = [
      ("type", .text("count_threshold")), ("alias", .text("event")), ("count", .plain("\(comparison == "gt" ? number + 1 : number)")),
      ("join_keys", .texts(groupBy)), ("window", .text(window)),
    ]
    let node = correlation(
      rule.head, id: correlationID, category: rule.source, sources: [("event", rule.atrID)], logic: logic, isBase: isBase)
    return [base, Output(item: item, id: correlationID, root: node, location: rule.location)]
  }

  // MARK: Correlations

  private func correlation(
    _ head: SigmaHead, id: String, category: SigmaLogSource?, sources: [(alias: String, id: String)], logic: [(String, Node)], isBase: Bool = false
  ) -> Node {
    let described: [(String, Node)] =
      [("schema_version", .text("1.0")), ("id", .text(id))]
      + description(head, severity: isBase ? "informational" : head.severity, isBase: isBase)
    let falsePositives: [(String, Node)] = head.falsePositives.isEmpty ? [] : [("false_positives", .texts(head.falsePositives))]
    return .mapping([
      (
        "correlation",
        .mapping(
          described + falsePositives + [
            ("references", references(head)),
            ("tags", .mapping([("category", .text(head.tactic ?? category?.category ?? "execution")), ("subcategory", .text("sigma"))])),
          ])
      ),
      ("source_rules", .list(sources.map { .mapping([("alias", .text($0.alias)), ("rule_id", .text($0.id))]) })),
      ("correlation_logic", .mapping(logic)), ("agent_source", .mapping([("type", .text(category?.agentSource ?? "host_log"))])),
      ("response", .mapping([("actions", .texts([isBase ? "log_only" : "alert"]))])),
    ])
  }

  /// nil where something was reported. `others`: the correlations that it names are among them.
  private func write(_ correlation: SigmaCorrelation, _ references: [Reference], _ others: [Written?]) -> Written? {
    let errorsBefore = problems.errorCount
    for reference in references {
      if let index = reference.item {
        guard case .correlation = order[index], others[index] == nil else { continue }
        problems.error(reference.location, "correlation '\(shown(reference.name))' is left out")
      } else {
        problems.error(reference.location, "rule '\(shown(reference.name))' is not among the files, or was left out", hint: "convert them together")
      }
    }
    guard problems.errorCount == errorsBefore, !references.isEmpty else { return nil }
    let indices = references.compactMap(\.item)
    let groupBy = correlation.groupBy.compactMap { field($0.name, $0.location, correlation, indices, others) }
    guard problems.errorCount == errorsBefore else { return nil }
    var written = Written(
      id: correlation.atrID, groupBy: Dictionary(zip(correlation.groupBy.map(\.name), groupBy), uniquingKeysWith: { first, _ in first }),
      source: indices.lazy.compactMap { source($0, others) }.first, needs: indices, form: .correlation(sources: [], logic: []))
    if correlation.type.hasSuffix("count") { return count(correlation, indices, groupBy, written, others) }
    let aliases = indices.indices.map { "rule_\($0 + 1)" }
    var logic: [(String, Node)] = [
      ("type", .text(correlation.type == "temporal" ? "temporal_unordered" : "temporal_sequence")), ("sequence", .texts(aliases)),
    ]
    if !groupBy.isEmpty { logic.append(("join_keys", .texts(groupBy))) }
    logic.append(("window", .text(correlation.timespan)))
    written.form = .correlation(sources: Array(zip(aliases, indices.map { documentID($0, others) })), logic: logic)
    return written
  }
  /// `isBase`: it is only there for other correlations.
  private func root(_ written: Written, _ correlation: SigmaCorrelation, isBase: Bool) -> Node {
    switch written.form {
    case .count(let count, let rule): behavioral(rule, count, head: correlation.head, id: written.id, isBase: isBase) ?? .mapping([])
    case .correlation(let sources, let logic):
      self.correlation(correlation.head, id: written.id, category: written.source, sources: sources, logic: logic, isBase: isBase)
    }
  }

  private func count(
    _ correlation: SigmaCorrelation, _ indices: [Int], _ groupBy: [String], _ frame: Written, _ others: [Written?]
  ) -> Written? {
    var written = frame
    guard indices.count == 1, let index = indices.first else {
      problems.error(correlation.location, "\(correlation.type) over several rules has no counterpart: ATR counts one rule")
      return nil
    }
    guard let condition = correlation.condition.first, condition.key == "gt" || condition.key == "gte" else {
      problems.error(correlation.location, "only gt and gte have a counterpart: an alert for too few events needs a clock, not an event")
      return nil
    }
    if case .rule(let rule) = order[index], rule.aggregation == nil {
      var distinct: String?
      if let name = correlation.field {
        guard let known = field(name, correlation.location, correlation, [index], others) else { return nil }
        distinct = known
      }
      let count = Count(
        distinctField: distinct, groupBy: groupBy, comparison: condition.key, threshold: condition.value, window: correlation.timespan)
      if behavioral(rule, count, head: correlation.head, id: correlation.countID) != nil {
        written.id = correlation.countID
        written.needs = []
        written.form = .count(count, of: rule)
        return written
      }
    }
    guard correlation.field == nil else {
      problems.error(
        correlation.location, "value_count needs a rule that is one conjunction of fields: ATR's correlations do not count distinct values")
      return nil
    }
    var logic: [(String, Node)] = [
      ("type", .text("count_threshold")), ("alias", .text("rule_1")),
      ("count", .plain("\(condition.key == "gt" ? condition.value + 1 : condition.value)")),
    ]
    if !groupBy.isEmpty { logic.append(("join_keys", .texts(groupBy))) }
    logic.append(("window", .text(correlation.timespan)))
    written.form = .correlation(sources: [("rule_1", documentID(index, others))], logic: logic)
    return written
  }

  private func documentID(_ index: Int, _ others: [Written?]) -> String {
    switch order[index] {
    case .rule(let rule): documentID(rule)
    case .correlation(let correlation): others[index]?.id ?? correlation.atrID
    }
  }
  private func source(_ index: Int, _ others: [Written?]) -> SigmaLogSource? {
    if case .rule(let rule) = order[index] { rule.source } else { others[index]?.source }
  }

  /// ATR's name for a field of group-by; the same in all rules, else reported.
  private func field(
    _ name: String, _ location: SourceLocation, _ correlation: SigmaCorrelation, _ indices: [Int], _ others: [Written?]
  ) -> String? {
    let alias = correlation.aliases?[name]
    var names: [String] = []
    for index in indices {
      let sigmaName: String
      let title: String
      let known: String?
      switch order[index] {
      case .rule(let rule):
        sigmaName = (alias?[rule.name] ?? alias?[rule.id])?.text ?? name
        title = rule.title
        known = rule.source.name(sigmaName)
      case .correlation(let other):
        sigmaName = (alias?[other.name] ?? alias?[other.id])?.text ?? name
        title = other.head.title
        known = others[index].flatMap { $0.groupBy[sigmaName] ?? $0.source?.name(sigmaName) }
      }
      guard let known else {
        problems.error(location, "field '\(shown(sigmaName))' has no counterpart in events of rule '\(shown(title))'")
        return nil
      }
      if !names.contains(known) { names.append(known) }
    }
    guard names.count <= 1 else {
      problems.error(location, "'\(shown(name))' is \(names.joined(separator: " and ")) in these rules; ATR joins by one field of all")
      return nil
    }
    return names.first ?? name
  }
}

/// Reads what describes a rule.
private struct SigmaHeadReader {
  let problems: Problems

  private static let statuses: [String: (status: String, maturity: String)] = [
    "stable": ("stable", "stable"), "test": ("experimental", "test"), "experimental": ("experimental", "experimental"),
    "deprecated": ("deprecated", "deprecated"), "unsupported": ("deprecated", "deprecated"),
  ]
  /// What a Sigma level is taken to say about certainty. Never enough to block alone (90): nobody has measured the rule here.
  static let confidence = ["informational": 20, "low": 35, "medium": 50, "high": 65, "critical": 80]
  private static let tactics = [
    "reconnaissance", "resource-development", "initial-access", "execution", "persistence", "privilege-escalation", "defense-evasion",
    "credential-access", "discovery", "lateral-movement", "collection", "command-and-control", "exfiltration", "impact",
  ]

  func read(_ section: Section) -> SigmaHead? {
    guard let title = section.text("title", isRequired: true) else { return nil }
    let status = section.text("status") ?? "experimental"
    guard let (atrStatus, maturity) = Self.statuses[status] else {
      problems.error(section.location(of: "status"), "unknown status '\(shown(status))'")
      return nil
    }
    let level = section.text("level") ?? "medium"
    guard Self.confidence[level] != nil else {
      problems.error(section.location(of: "level"), "unknown level '\(shown(level))'")
      return nil
    }
    var head = SigmaHead(
      title: oneLine(title), description: section.text("description") ?? oneLine(title), status: atrStatus, maturity: maturity,
      author: section.text("author").map(oneLine) ?? "unknown", date: date(section, "date") ?? "", modified: date(section, "modified"),
      severity: level, license: section.text("license"), falsePositives: section.texts("falsepositives"))
    for node in section.textNodes("tags") { if let tag = node.text?.lowercased() { add(tag, &head) } }
    if let id = section.text("id") { head.references.append(("sigma", .texts([id]))) }
    let links = section.texts("references")
    if !links.isEmpty { head.references.append(("external", .texts(links))) }
    return head
  }

  /// `2026-01-05`, `2026/01/05` or `2026/1/5` -> `2026/01/05`.
  private func date(_ section: Section, _ key: String) -> String? {
    guard let text = section.text(key) else { return nil }
    let parts = text.split { $0 == "-" || $0 == "/" }.compactMap { Int($0) }
    guard parts.count == 3, (1...9999).contains(parts[0]), (1...12).contains(parts[1]), (1...31).contains(parts[2]) else {
      problems.warning(section.location(of: key), "'\(shown(text))' is no date")
      return nil
    }
    func padded(_ number: Int, _ width: Int) -> String { String(repeating: "0", count: max(0, width - "\(number)".count)) + "\(number)" }
    return "\(padded(parts[0], 4))/\(padded(parts[1], 2))/\(padded(parts[2], 2))"
  }

  /// attack.t1110.001, attack.credential_access, cve.2021.44228; others are kept by their names.
  private func add(_ tag: String, _ head: inout SigmaHead) {
    func note(_ framework: String, _ id: String) {
      guard let index = head.references.firstIndex(where: { $0.0 == framework }) else {
        head.references.append((framework, .texts([id])))
        return
      }
      head.references[index].1 = .list((head.references[index].1.list ?? []) + [.text(id)])
    }
    let parts = tag.split(separator: ".", maxSplits: 1).map(String.init)
    guard parts.count == 2 else { return note("sigma_tags", tag) }
    let name = parts[1].replacing("_", with: "-")
    if parts[0] == "attack", name.first == "t", name.dropFirst().first?.isNumber == true {
      let id = name.uppercased()
      if !head.techniques.contains(id) { head.techniques.append(id) }
    } else if parts[0] == "attack", Self.tactics.contains(name) {
      if head.tactic == nil { head.tactic = name }
    } else if parts[0] == "cve" {
      note("cve", "CVE-" + parts[1].replacing(".", with: "-").uppercased())
    } else {
      note("sigma_tags", tag)
    }
  }
}

/// Whether a question holds for an event of texts, without an engine: nil where a pattern would have to be solved.
private struct SampleCheck {
  private let question: Question
  init(_ question: Question) { self.question = question }

  func holds(_ event: [(field: String, value: String)]) -> Bool? { holds(question, event) }
  private func holds(_ question: Question, _ event: [(field: String, value: String)]) -> Bool? {
    switch question {
    case .not(let inner): return holds(inner, event).map { !$0 }
    case .all(let parts):
      let answers = parts.map { holds($0, event) }
      return answers.contains(false) ? false : answers.contains(nil) ? nil : true
    case .any(let parts):
      let answers = parts.map { holds($0, event) }
      return answers.contains(true) ? true : answers.contains(nil) ? nil : false
    case .test(let test, _):
      guard let value = event.first(where: { $0.field == test.field })?.value else { return false }
      func folded(_ text: String) -> String { test.isCaseSensitive ? text : text.lowercased() }
      switch test.kind {
      case .exact: return test.values.contains { folded($0) == folded(value) }
      case .contains: return test.values.contains { folded(value).contains(folded($0)) }
      case .startsWith: return test.values.contains { folded(value).hasPrefix(folded($0)) }
      case .regex: return test.values == ["^"] ? true : nil
      case .compare(let comparison):
        guard let number = Int64(value), let bound = test.values.first.flatMap({ Int64($0) }) else { return nil }
        return comparison.holds(number, bound)
      }
    }
  }
}
