// One YAML document -> one Rule. What the engine needs to run a rule is an error where it is missing; what a reader of the rule
// needs (author, references, tests) is a warning. All problems of a document are reported; one error refuses the document.
import Events
import Primitives
import TypedYAML

struct RuleReader {
  let problems: Problems
  let file: String
  /// Directory of the file with a trailing "/", or empty.
  let directory: String

  /// Ids that a correlation names, for the loader to resolve once all files are read.
  typealias Sources = [(id: String, location: SourceLocation)]

  /// nil where there was an error.
  func read(_ document: Document, fingerprint: Fingerprint) -> (rule: Rule, sources: Sources)? {
    let errorsBefore = problems.errorCount
    guard let section = Section(document.root, problems: problems) else { return nil }
    let isCorrelation = section.has("correlation") || section.has("correlation_logic") || section.has("source_rules")
    let result = isCorrelation ? readCorrelation(section, fingerprint) : readRule(section, fingerprint).map { ($0, []) }
    guard problems.errorCount == errorsBefore, let result else { return nil }
    return result
  }

  // MARK: What both kinds of document have

  private enum ConfidenceWord: String, CaseIterable {
    case high, medium, low
    case mediumHigh = "medium-high"
    var thousandths: Int {
      switch self {
      case .high: 900
      case .mediumHigh: 800
      case .medium: 700
      case .low: 400
      }
    }
  }

  private func identifier(_ section: Section, form: String, prefix: String) -> String {
    guard let id = section.text("id", isRequired: true) else { return "" }
    let location = section.location(of: "id")
    let isPlain = id.utf8.allSatisfy {
      (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || "-_.:".utf8.contains($0)
    }
    guard isPlain, !id.isEmpty, id.utf8.count <= 64 else {
      problems.error(location, "id '\(shown(id))' must be 1 to 64 letters, digits, '-', '_', '.' or ':'")
      return id
    }
    if !FormatTables.isNumbered(id, prefix: prefix) { problems.warning(location, "id '\(id)' does not have the form \(form)") }
    return id
  }

  /// Titles reach terminals and logs in one line.
  private func title(_ section: Section) -> String {
    guard var title = section.text("title", isRequired: true) else { return "" }
    if title.utf8.last == 0x0a { title.removeLast() }
    if title.isEmpty || title.utf8.count > 512 || title.unicodeScalars.contains(where: { $0.value < 0x20 || (0x7f...0x9f).contains($0.value) }) {
      problems.error(section.location(of: "title"), "'title' must be one line of 1 to 512 bytes without control characters")
    }
    return title
  }

  private func recommended(_ section: Section, _ keys: [String]) {
    for key in keys where section.node(key) == nil { problems.warning(section.location, "'\(key)' is missing") }
  }

  private func date(_ section: Section) -> String {
    guard let text = section.text("date") else { return "" }
    let bytes = Array(text.utf8)
    let isDate =
      bytes.count == 10 && bytes[4] == bytes[7] && (bytes[4] == 0x2f || bytes[4] == 0x2d)
      && bytes.enumerated().allSatisfy { $0 == 4 || $0 == 7 || (0x30...0x39).contains($1) }
    if !isDate { problems.warning(section.location(of: "date"), "date '\(shown(text))' does not have the form YYYY/MM/DD") }
    return text
  }

  /// Thousandths from `confidence: 0...100`, else from `tags.confidence`, else 500: nothing is known.
  private func confidence(_ sections: [Section], tags: Section?) -> Confidence {
    for section in sections where section.node("confidence") != nil {
      if let text = section.node("confidence")?.text, ConfidenceWord(rawValue: text) != nil {
        return Confidence(thousandths: section.choice("confidence", ConfidenceWord.self)?.thousandths ?? 500)
      }
      guard let value = section.decimal("confidence", digits: 1, in: 0...1000) else { continue }
      if value > 0, value <= 10, let text = section.node("confidence")?.text, text.utf8.contains(0x2e) {
        problems.warning(section.location(of: "confidence"), "confidence \(text) is read as percent", hint: "write a number from 0 to 100")
      }
      return Confidence(thousandths: Int(value))
    }
    if let word = tags?.choice("confidence", ConfidenceWord.self) { return Confidence(thousandths: word.thousandths) }
    return Confidence(thousandths: 500)
  }

  /// ATT&CK technique ids, and every other reference as "framework:id".
  private func references(_ section: Section?) -> (techniques: [String], references: [String]) {
    var techniques: [String] = []
    var references: [String] = []
    func add(_ framework: String, _ node: Node, depth: Int) {
      switch node.content {
      case .scalar:
        guard let text = node.text else { return }
        // "T1110.001 - Brute Force: Password Guessing" names T1110.001.
        let id = text.utf8.firstRange(of: " - ").map { String(text.utf8[..<$0.lowerBound]) ?? text } ?? text
        if framework == "mitre_attack" {
          if isTechnique(id) {
            if !techniques.contains(id) { techniques.append(id) }
            return
          }
          if !id.hasPrefix("TA"), !id.hasPrefix("AML.") {
            problems.warning(node.location, "'\(shown(id))' is not an ATT&CK technique id", hint: "write it like T1110 or T1110.001")
          }
        }
        references.append("\(framework):\(id)")
      case .list(let items): for item in items { add(framework, item, depth: depth) }
      case .mapping(let entries):
        guard depth < 3 else { return }
        for entry in entries { add(framework.isEmpty ? entry.key : "\(framework).\(entry.key)", entry.value, depth: depth + 1) }
      }
    }
    if let section { for entry in section.entries { add(entry.key, entry.value, depth: 1) } }
    return (techniques, references)
  }
  private func isTechnique(_ id: String) -> Bool {
    let bytes = Array(id.utf8)
    guard bytes.count == 5 || bytes.count == 9 && bytes[5] == 0x2e, bytes.first == 0x54 else { return false }
    return bytes.enumerated().allSatisfy { $0 == 0 || $0 == 5 || (0x30...0x39).contains($1) }
  }

  private struct HostProfile {
    var family: String?
    var isExculpatory = false
    var ipv6Network: Bool?
    var ignoredFindings: [String] = []
  }
  private func hostProfile(_ section: Section) -> HostProfile {
    var profile = HostProfile()
    guard let own = section.section("panguard") else { return profile }
    own.refuseUnknownKeys(["family", "exculpatory", "ipv6_network", "lint"])
    profile.family = own.text("family")
    profile.isExculpatory = own.flag("exculpatory") ?? false
    profile.ipv6Network = own.flag("ipv6_network")
    if let lint = own.section("lint") {
      lint.refuseUnknownKeys(["ignore"])
      profile.ignoredFindings = lint.texts("ignore")
    }
    return profile
  }

  private struct Tags {
    var category = "uncategorized"
    var subcategory = ""
    var scanTarget = ""
  }
  private func tags(_ section: Section?, isAgentRule: Bool) -> Tags {
    var tags = Tags()
    guard let section else { return tags }
    section.refuseUnknownKeys(Vocabulary.tagKeys, as: .warning)
    let known = isAgentRule ? Vocabulary.agentCategories : Vocabulary.hostCategories + Vocabulary.agentCategories
    if let category = section.word("category", of: known, as: .warning) {
      tags.category = category
    } else {
      problems.warning(section.location, "'tags.category' is missing")
    }
    tags.subcategory = section.text("subcategory") ?? ""
    tags.scanTarget = section.word("scan_target", of: ScanTargets.words, as: .warning) ?? ""
    return tags
  }

  private func actions(_ section: Section) -> [String] {
    guard let response = section.section("response") else { return [] }
    response.refuseUnknownKeys(Vocabulary.responseKeys, as: .warning)
    var actions: [String] = []
    let known = Vocabulary.actions + Vocabulary.hostActions
    for node in response.textNodes("actions") {
      guard let action = node.text else { continue }
      if !known.contains(action) {
        problems.warning(node.location, "unknown action '\(shown(action))'", hint: problems.suggestion(for: action, in: known))
      }
      actions.append(action)
    }
    return actions
  }

  /// "" where the document does not say.
  private func agentSource(_ section: Section, isRequired: Bool) -> String {
    guard let source = section.section("agent_source") else {
      if isRequired { problems.warning(section.location, "'agent_source' is missing") }
      return ""
    }
    source.refuseUnknownKeys(["type", "framework", "provider", "field"], as: .warning)
    // The standard may name more sources than this version knows, and such a rule still says what it looks for; a slip must not turn a host
    // rule into one for agents.
    let known = Vocabulary.agentSources + Vocabulary.hostSources
    let isSlip = source.node("type")?.text.map { !known.contains($0) && nearest($0, in: known) != nil } ?? false
    let type = source.word("type", of: known, isRequired: true, as: isSlip ? .error : .warning) ?? ""
    return type.utf8.count <= 64 && !type.utf8.contains { $0 <= 0x20 || $0 == 0x7f } ? type : ""
  }

  /// What profiles select by and what output says of a rule, beside what matching needs.
  private func noteForProfiles(_ rule: inout Rule, _ document: Section, _ tags: Section?) {
    for entry in tags?.entries ?? [] {
      rule.tags.append(RuleTag(name: entry.key, values: entry.value.list?.compactMap(\.text) ?? entry.value.text.map { [$0] } ?? []))
    }
    if let node = document.node("lifecycle")?["review_status"] {
      if let word = node.text, Vocabulary.reviewStatuses.contains(word) {
        rule.reviewStatus = word
      } else {
        problems.warning(node.location, "'lifecycle.review_status' must be one of \(Vocabulary.reviewStatuses.joined(separator: ", "))")
      }
    }
    if let response = document.node("response") { rule.responseThreshold = response["auto_response_threshold"]?.text ?? "" }
  }

  // MARK: Rules

  private func readRule(_ section: Section, _ fingerprint: Fingerprint) -> Rule? {
    let unknownKeys = FormatTables.reportUnknownKeys(of: section, known: Vocabulary.ruleKeys)
    let id = identifier(section, form: "ATR-YYYY-NNNNN", prefix: "ATR-")
    let title = self.title(section)
    let severity = self.severity(section, isRequired: true)
    let schemaVersion = FormatTables.schemaVersion(section)
    recommended(section, ["description", "author", "date", "status", "references", "tags", "response"])
    if !section.has("test_cases"), section.section("detection")?.has("test_cases") != true {
      problems.warning(section.location, "'test_cases' is missing")
    }
    let agentSource = self.agentSource(section, isRequired: true)
    let isHostRule = Vocabulary.hostSources.contains(agentSource)
    let tagSection = section.section("tags")
    let tags = self.tags(tagSection, isAgentRule: Vocabulary.agentSources.contains(agentSource))
    let profile = hostProfile(section)
    let references = self.references(section.section("references"))
    let detectionSection = section.section("detection", isRequired: true)
    var selectors: [NamedSelector] = []
    let detection = detectionSection.flatMap {
      self.detection($0, tier: section.text("detection_tier"), isHostRule: isHostRule, profile: profile, named: &selectors)
    }
    var cases = TestCaseReader(problems: problems, agentSource: agentSource, directory: directory)
    cases.readsTraces = detectionSection?.node("method")?.text == "trace"
    if case .pattern(let conditions, _)? = detection {
      for condition in conditions where !cases.conditionFields.contains(condition.field.description) {
        cases.conditionFields.append(condition.field.description)
      }
    }
    let tests = cases.read(section, detectionSection)
    var rule = Rule(
      id: id, title: title, summary: section.text("description") ?? "", author: section.text("author") ?? "", date: date(section),
      status: section.word("status", of: Vocabulary.statuses, as: .warning) ?? "",
      maturity: section.word("maturity", of: Vocabulary.maturities, as: .warning) ?? "", severity: severity ?? .medium,
      confidence: confidence([section], tags: tagSection), agentSource: agentSource, category: tags.category, subcategory: tags.subcategory,
      techniques: references.techniques, references: references.references, falsePositives: detectionSection?.texts("false_positives") ?? [],
      responseActions: actions(section), family: profile.family ?? tags.category, isExculpatory: profile.isExculpatory,
      detection: detection ?? .skipped(method: "", reason: ""), tests: tests, location: section.location, fingerprint: fingerprint)
    rule.ignoredFindings = profile.ignoredFindings
    rule.statesConfidence = section.node("confidence") != nil || tagSection?.node("confidence") != nil
    rule.selectors = selectors
    rule.unknownKeys = unknownKeys
    rule.schemaVersion = schemaVersion
    rule.scanTarget = tags.scanTarget
    complete(&rule, section)
    if !isHostRule { FormatTables.reportWhatIsRequired(section, schemaVersion: schemaVersion, tests: tests) }
    if case .pattern? = detection, detectionSection?.text("method") == Method.semantic.rawValue { rule.fallbackOf = Method.semantic.rawValue }
    noteForProfiles(&rule, section, tagSection)
    return detection == nil ? nil : rule
  }

  /// What describes the rule and changes no result.
  private func complete(_ rule: inout Rule, _ section: Section) {
    rule.version = section.integer("rule_version", in: 1...1_000_000).map { Int($0) } ?? 1
    rule.detectionTier = section.node("detection_tier")?.text ?? ""
    rule.replacedBy = section.text("replaced_by") ?? ""
    rule.isActive = rule.hasActiveStatus
    if rule.status == "deprecated", rule.replacedBy.isEmpty {
      problems.note(section.location(of: "status"), "a deprecated rule should say 'replaced_by'")
    }
    if let compliance = section.node("compliance") { rule.compliance = FormatTables.compliance(compliance) }
  }

  private func severity(_ section: Section, _ key: String = "severity", isRequired: Bool) -> Severity? {
    // ATR's reference engine folds case here.
    if let text = section.node(key)?.text, let severity = Severity(rawValue: text.lowercased()) { return severity }
    return section.choice(key, Severity.self, isRequired: isRequired)
  }

  private enum Method: String, CaseIterable { case pattern, signature, semantic, behavioral, trace }
  private func detection(
    _ section: Section, tier: String?, isHostRule: Bool, profile: HostProfile, named: inout [NamedSelector]
  ) -> Detection? {
    section.refuseUnknownKeys(Vocabulary.detectionKeys, as: .warning)
    let name = self.method(section, tier: tier)
    guard let method = Method(rawValue: name) else {
      guard section.node("method")?.text != nil || !section.has("method") else { return nil }
      problems.warning(
        section.location(of: "method"), "method '\(shown(name))' is not known, \(SkipWarning.ending)",
        hint: problems.suggestion(for: name, in: Method.allCases.map(\.rawValue)))
      return .skipped(method: shown(name), reason: "this engine does not know the method")
    }
    switch method {
    case .pattern, .behavioral: break
    case .signature:
      guard let signature = section.section("signature", isRequired: true) else { return nil }
      return SignatureReader(problems: problems, isHostRule: isHostRule).read(signature).map { .signature($0) }
    case .trace:
      guard let trace = section.section("trace", isRequired: true) else { return nil }
      let condition = section.text("condition").map { (text: $0, location: section.location(of: "condition")) }
      return TraceReader(problems: problems).read(trace, condition: condition).map { .trace($0) }
    case .semantic:
      guard let semantic = section.section("semantic", isRequired: true) else { return nil }
      guard let fallback = SemanticReader(problems: problems).read(semantic) else { return nil }
      guard fallback == .pattern else {
        return .skipped(method: method.rawValue, reason: "it needs a model as judge, which this engine has not, and fallback_method is not pattern")
      }
      guard section.has("conditions") || section.has("selectors") else {
        let reason = "it needs a model as judge, which this engine has not, and has no conditions to fall back to"
        return .skipped(method: method.rawValue, reason: reason)
      }
    }
    if method == .behavioral {
      warnOfUnusedConditions(section)
      guard let behavioral = section.section("behavioral", isRequired: true) else { return nil }
      return BehavioralReader(problems: problems, isHostRule: isHostRule, groupsIPv6ByNetwork: profile.ipv6Network).read(behavioral)
    }
    if section.has("behavioral") {
      problems.warning(section.location(of: "behavioral"), "'detection.behavioral' is not used without method: behavioral")
    }
    let errorsBefore = problems.errorCount
    let reader = ConditionReader(problems: problems, isHostRule: isHostRule)
    let selectors: SelectorReader.Selectors
    if let node = section.node("conditions") {
      if section.has("selectors") { problems.error(section.location(of: "selectors"), "a rule has either 'conditions' or 'selectors'") }
      switch reader.read(node, path: "detection.conditions") {
      case .unsupported(let reason): return .skipped(method: method.rawValue, reason: reason)
      case .read(let read): selectors = .init(conditions: read, names: read.map(\.name), meanings: read.indices.map { .condition($0) })
      }
    } else if let written = section.section("selectors") {
      selectors = SelectorReader(problems: problems, conditions: reader).read(written)
      if let reason = reader.foreignReason { return .skipped(method: method.rawValue, reason: reason) }
    } else {
      if !section.has("selectors") { problems.error(section.location, "'detection.conditions' is missing") }
      return nil
    }
    guard problems.errorCount == errorsBefore else { return nil }
    named = selectors.selectors
    let conditions = selectors.conditions
    var text = "any"
    if section.node("condition") == nil {
      problems.warning(section.location, "'detection.condition' is missing and read as 'any'")
    } else if let written = section.text("condition") {
      text = written
    } else {
      return nil
    }
    do {
      return .pattern(conditions: conditions, expression: try ExpressionParser.parse(text, names: selectors.names, meanings: selectors.meanings))
    } catch {
      var location = section.location(of: "condition")
      var place = " at byte \(error.offset)"
      if case .scalar(let scalar)? = section.node("condition")?.content, scalar.isVerbatim {
        location.column += scalar.quoteWidth + error.offset
        place = ""
      }
      problems.error(location, "detection.condition: \(error.message)\(place)", hint: "conditions: \(names(selectors.names))")
      return nil
    }
  }
  private func names(_ names: [String]) -> String {
    names.prefix(12).map { shown($0) }.joined(separator: ", ") + (names.count > 12 ? ", …" : "")
  }

  /// `detection.method`; where it and the conditions are missing, the legacy tier if the rule has that method's part.
  private func method(_ section: Section, tier: String?) -> String {
    if section.has("method") { return section.text("method", isRequired: true) ?? "" }
    guard let tier, tier != Method.pattern.rawValue, Method(rawValue: tier) != nil, section.has(tier), !section.has("conditions"),
      !section.has("selectors")
    else { return Method.pattern.rawValue }
    problems.warning(section.location, "'detection.method' is missing and read from detection_tier: \(tier)")
    return tier
  }

  /// ATR's behavioral rules repeat themselves as synthetic conditions on `behavioral.*` for engines that only match patterns.
  private func warnOfUnusedConditions(_ section: Section) {
    guard let node = section.node("conditions") else { return }
    let items = node.list ?? node.entries?.map(\.value) ?? []
    guard !items.allSatisfy({ $0["field"]?.text?.hasPrefix("behavioral.") == true }) else { return }
    problems.warning(node.location, "'detection.conditions' is not used by method: behavioral", hint: "write behavioral.filter")
  }

  // MARK: Correlations

  private func readCorrelation(_ document: Section, _ fingerprint: Fingerprint) -> (rule: Rule, sources: Sources)? {
    // ATR keeps what describes the rule under `correlation`; documents that have it at the top, like other rules, are read too.
    let described: Section
    if document.has("correlation") {
      document.refuseUnknownKeys(Vocabulary.correlationDocumentKeys, as: .warning)
      guard let section = document.section("correlation", isRequired: true) else { return nil }
      section.refuseUnknownKeys(Vocabulary.correlationKeys, as: .warning)
      described = section
    } else {
      document.refuseUnknownKeys(Vocabulary.correlationDocumentKeys + Vocabulary.correlationKeys, as: .warning)
      described = document
    }
    func either(_ key: String) -> Section? { described.section(key) ?? document.section(key) }
    let id = identifier(described, form: "ATR-COR-YYYY-NNNNN", prefix: "ATR-COR-")
    let title = self.title(described)
    recommended(described, ["description", "author", "date", "status"])
    if !document.has("test_cases") { problems.warning(document.location, "'test_cases' is missing") }
    let uplift = document.section("response").flatMap { self.severity($0, "severity_uplift", isRequired: false) }
    let rank = uplift ?? self.severity(described, isRequired: true)
    let agentSource = self.agentSource(document, isRequired: false)
    let isHostRule = agentSource.isEmpty || Vocabulary.hostSources.contains(agentSource)
    let tagSection = either("tags")
    let tags = self.tags(tagSection, isAgentRule: !isHostRule)
    let profile = hostProfile(document)
    let references = self.references(either("references"))
    let (detection, sources) = CorrelationReader(problems: problems, isHostRule: isHostRule).read(document)
    for source in sources where source.id == id { problems.error(source.location, "a correlation cannot be its own source rule") }
    let detectionSection = document.section("detection")
    let tests = TestCaseReader(problems: problems, agentSource: agentSource, directory: directory).read(document, nil)
    let falsePositives = described.texts("false_positives") + (detectionSection?.texts("false_positives") ?? [])
    var rule = Rule(
      id: id, title: title, summary: described.text("description") ?? "", author: described.text("author") ?? "", date: date(described),
      status: described.word("status", of: Vocabulary.statuses, as: .warning) ?? "",
      maturity: described.word("maturity", of: Vocabulary.maturities, as: .warning) ?? "", severity: rank ?? .medium,
      confidence: confidence([described, document], tags: tagSection), agentSource: agentSource, category: tags.category,
      subcategory: tags.subcategory, techniques: references.techniques, references: references.references, falsePositives: falsePositives,
      responseActions: actions(document), family: profile.family ?? tags.category, isExculpatory: profile.isExculpatory,
      detection: detection ?? .skipped(method: "", reason: ""), tests: tests, location: document.location, fingerprint: fingerprint)
    rule.ignoredFindings = profile.ignoredFindings
    rule.statesConfidence = [described, document, tagSection].contains { $0?.node("confidence") != nil }
    rule.schemaVersion = described.node("schema_version")?.text ?? document.node("schema_version")?.text ?? ""
    rule.scanTarget = tags.scanTarget
    complete(&rule, described)
    noteForProfiles(&rule, document, tagSection)
    return detection == nil ? nil : (rule, sources)
  }
}

extension String.UTF8View {
  /// The first occurrence of an ASCII text.
  fileprivate func firstRange(of needle: StaticString) -> Range<Index>? {
    let wanted = Array(UnsafeBufferPointer(start: needle.utf8Start, count: needle.utf8CodeUnitCount))
    var at = startIndex
    while at < endIndex {
      var here = at
      var matched = 0
      while matched < wanted.count, here < endIndex, self[here] == wanted[matched] {
        here = index(after: here)
        matched += 1
      }
      if matched == wanted.count { return at..<here }
      at = index(after: at)
    }
    return nil
  }
}
