// Sigma's `detection`: search identifiers -> questions, and the condition that joins them -> one question.
// Sigma rules specification 2.1, "Detection"; modifiers by its appendix. What cannot be said in ATR is an error with its place.
import Events
import Primitives
import RuleLanguage
import TypedYAML

struct SigmaDetection {
  let problems: Problems
  let source: SigmaLogSource
  /// Field names in selections, as Sigma and as ATR names them: for group-by.
  static let conditionKeys = ["condition", "timeframe"]

  struct Result {
    var question: Question
    /// What stands behind `|` in the condition, with its place.
    var aggregation: (text: String, location: SourceLocation)?
  }

  /// nil where something was reported.
  func read(_ section: Section) -> Result? {
    let errorsBefore = problems.errorCount
    var selections: [(name: String, question: Question)] = []
    for entry in section.entries where !Self.conditionKeys.contains(entry.key) {
      if let question = selection(entry.value, name: entry.key) { selections.append((entry.key, question)) }
    }
    let nodes = section.textNodes("condition", isRequired: true)
    guard problems.errorCount == errorsBefore, !selections.isEmpty else {
      if selections.isEmpty, problems.errorCount == errorsBefore { problems.error(section.location, "'detection' has no selection") }
      return nil
    }
    // A list of conditions is any of them.
    var questions: [Question] = []
    var aggregation: (text: String, location: SourceLocation)?
    for node in nodes {
      guard let text = node.text else { continue }
      let halves = text.split(separator: "|", maxSplits: 1).map(String.init)
      if halves.count == 2 {
        aggregation = (halves[1], node.location)
        if nodes.count > 1 { problems.error(node.location, "an aggregation cannot be one of several conditions") }
      }
      do throws(ConversionError) {
        var parser = SigmaConditionParser(text: halves.first ?? "", selections: selections)
        questions.append(try parser.parse())
      } catch {
        problems.error(node.location, "condition '\(shown(text))': \(error.message)")
      }
    }
    guard problems.errorCount == errorsBefore, !questions.isEmpty else { return nil }
    return Result(question: .joined(questions, isAll: false), aggregation: aggregation)
  }

  // MARK: Selections

  /// A mapping: all of its fields. A list: any of its items, which are mappings or keywords.
  private func selection(_ node: Node, name: String) -> Question? {
    switch node.content {
    case .mapping(let entries):
      guard !entries.isEmpty else {
        problems.error(node.location, "selection '\(shown(name))' is empty")
        return nil
      }
      let parts = entries.compactMap { item($0, name: name) }
      return parts.count == entries.count ? .joined(parts, isAll: true) : nil
    case .list(let items):
      guard !items.isEmpty else {
        problems.error(node.location, "selection '\(shown(name))' is empty")
        return nil
      }
      let parts = items.compactMap { $0.text == nil ? selection($0, name: name) : keyword($0, name: name) }
      return parts.count == items.count ? .joined(parts, isAll: false) : nil
    case .scalar: return keyword(node, name: name)
    }
  }

  /// A keyword is looked for anywhere in the event; here, in its message.
  private func keyword(_ node: Node, name: String) -> Question? {
    guard let text = node.text, !text.isEmpty else {
      problems.error(node.location, "a keyword of '\(shown(name))' is \(node.kindName)")
      return nil
    }
    var wildcards = Wildcards(text)
    wildcards.openStart()
    wildcards.openEnd()
    let (kind, value) = wildcards.test(anyDash: false)
    return .test(
      FieldTest(
        field: "message", kind: kind, values: [value], isCaseSensitive: false, location: node.location, sample: wildcards.sample), name: name)
  }

  private struct Modifiers {
    var words: [String] = []
    func has(_ word: String) -> Bool { words.contains(word) }
  }
  private static let supported = [
    "contains", "startswith", "endswith", "re", "cidr", "all", "base64", "base64offset", "wide", "utf16le", "utf16be", "utf16", "windash", "lt",
    "lte", "gt", "gte", "exists", "cased", "neq", "i", "m", "s",
  ]
  /// What a key may ask for, in this order of words, and what may stand beside it. All else is refused: half of it would be another rule.
  private struct Form {
    let words: [String]
    let beside: [String]
    init(_ words: [String], _ beside: [String]) {
      self.words = words
      self.beside = beside
    }
  }
  private static let forms: [Form] = [
    Form([], ["all", "neq", "cased", "windash"]), Form(["contains"], ["all", "neq", "cased", "windash"]),
    Form(["startswith"], ["all", "neq", "cased", "windash"]), Form(["endswith"], ["all", "neq", "cased", "windash"]),
    Form(["base64"], ["all", "neq", "cased"] + encodings), Form(["base64", "contains"], ["all", "neq", "cased"] + encodings),
    Form(["base64offset", "contains"], ["all", "neq", "cased"] + encodings), Form(["re"], ["all", "neq", "i", "m", "s"]),
    Form(["cidr"], ["all", "neq"]), Form(["lt"], ["all", "neq"]), Form(["lte"], ["all", "neq"]), Form(["gt"], ["all", "neq"]),
    Form(["gte"], ["all", "neq"]), Form(["exists"], []),
  ]
  private static let encodings = ["wide", "utf16le", "utf16be", "utf16"]

  /// Why these modifiers cannot stand together; nil: they can.
  private static func problem(_ words: [String]) -> String? {
    if let twice = words.first(where: { word in words.count { $0 == word } > 1 }) { return "modifier '\(twice)' stands there twice" }
    let main = forms.flatMap(\.words)
    let asked = words.filter(main.contains)
    let beside = words.filter { !main.contains($0) }
    if asked == ["base64offset"] { return "modifier 'base64offset' is for a part of a text: write base64offset|contains" }
    guard let form = forms.first(where: { $0.words == asked }) else {
      return "modifiers \(asked.joined(separator: "|")) have no common meaning in this order"
    }
    if let wide = beside.first(where: encodings.contains) {
      // Reported, with the reason, where the values are read.
      guard asked.first?.hasPrefix("base64") == true else { return nil }
      if beside.count(where: encodings.contains) > 1 { return "modifiers for more than one encoding stand before '\(asked[0])'" }
      guard let at = words.firstIndex(of: wide), let base64 = words.firstIndex(of: asked[0]), at < base64 else {
        return "modifier '\(wide)' means nothing behind '\(asked[0])'"
      }
    }
    return beside.first { !form.beside.contains($0) }.map { word in
      "modifier '\(word)' means nothing \(asked.isEmpty ? "alone" : "with '\(asked.joined(separator: "|"))'")"
    }
  }

  private static let unsupported = [
    "fieldref": "compares two fields, which ATR conditions cannot", "expand": "fills in a placeholder, whose values this rule does not have",
    "minute": "tests a part of a time", "hour": "tests a part of a time", "day": "tests a part of a time", "week": "tests a part of a time",
    "month": "tests a part of a time", "year": "tests a part of a time",
  ]

  /// `field|modifier|...: value or list`.
  private func item(_ entry: Node.Entry, name: String) -> Question? {
    let words = entry.key.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
    let modifiers = Modifiers(words: Array(words.dropFirst()))
    for word in modifiers.words where !Self.supported.contains(word) {
      let reason = Self.unsupported[word].map { "modifier '\(word)' \($0)" } ?? "unknown modifier '\(shown(word))'"
      problems.error(entry.keyLocation, "\(reason)", hint: Self.unsupported[word] == nil ? problems.suggestion(for: word, in: Self.supported) : "")
      return nil
    }
    if let problem = Self.problem(modifiers.words) {
      problems.error(entry.keyLocation, "'\(shown(entry.key))': \(problem)")
      return nil
    }
    // A key that is only modifiers applies to keywords.
    let sigmaName = words.first ?? ""
    guard let field = sigmaName.isEmpty ? "message" : source.name(sigmaName) else {
      let near = nearest(sigmaName, in: source.fields.keys.sorted())
      problems.error(
        entry.keyLocation, "field '\(shown(sigmaName))' has no counterpart in events of this log source",
        hint: near.map { "did you mean '\($0)'?" } ?? "")
      return nil
    }
    if modifiers.has("exists") { return exists(entry, field, name) }
    let nodes = entry.value.list ?? [entry.value]
    guard !nodes.isEmpty else {
      problems.error(entry.value.location, "'\(shown(entry.key))' is an empty list")
      return nil
    }
    var tests: [Question] = []
    for node in nodes {
      guard let question = value(node, field, modifiers, isKeyword: sigmaName.isEmpty, name) else { return nil }
      tests.append(question)
    }
    let isAll = modifiers.has("all")
    let joined: Question = isAll ? .joined(tests, isAll: true) : merged(tests, name)
    return modifiers.has("neq") ? .not(joined) : joined
  }

  private func exists(_ entry: Node.Entry, _ field: String, _ name: String) -> Question? {
    let present = Question.test(.exists(field, entry.value.location), name: name)
    switch entry.value.text?.lowercased() {
    case "true", "yes": return present
    case "false", "no": return .not(present)
    default:
      problems.error(entry.value.location, "'\(shown(entry.key))' must be true or false")
      return nil
    }
  }

  /// Tests of one kind become one test of several values: they are alternatives.
  private func merged(_ tests: [Question], _ name: String) -> Question {
    struct Kind: Hashable {
      var field: String
      var kind: FieldTest.Kind
      var isCaseSensitive: Bool
    }
    var out: [Question] = []
    // Each value is looked up, not searched: a list may have as many as a document has lines.
    var groups: [Kind: (at: Int, test: FieldTest, seen: Set<String>)] = [:]
    for question in tests {
      guard case .test(let test, _) = question, test.values != ["^"], !isComparison(test.kind) else {
        out.append(question)
        continue
      }
      let kind = Kind(field: test.field, kind: test.kind, isCaseSensitive: test.isCaseSensitive)
      if groups[kind] == nil {
        groups[kind] = (out.count, test, Set(test.values))
        out.append(question)
        continue
      }
      for value in test.values where groups[kind]!.seen.insert(value).inserted { groups[kind]!.test.values.append(value) }
      if groups[kind]!.test.sample == nil { groups[kind]!.test.sample = test.sample }
    }
    for group in groups.values { out[group.at] = .test(group.test, name: name) }
    return .joined(out, isAll: false)
  }
  private func isComparison(_ kind: FieldTest.Kind) -> Bool { if case .compare = kind { true } else { false } }

  private func value(_ node: Node, _ field: String, _ modifiers: Modifiers, isKeyword: Bool, _ name: String) -> Question? {
    if node.isNull {
      if let word = modifiers.words.first(where: { $0 != "all" && $0 != "neq" }) {
        problems.error(node.location, "modifier '\(word)' needs a value, and there is none")
        return nil
      }
      return .not(.test(.exists(field, node.location), name: name))
    }
    guard let text = node.text else {
      problems.error(node.location, "a value of field '\(shown(field))' is \(node.kindName)")
      return nil
    }
    func test(_ kind: FieldTest.Kind, _ value: String, caseSensitive: Bool, _ sample: String?) -> Question {
      .test(FieldTest(field: field, kind: kind, values: [value], isCaseSensitive: caseSensitive, location: node.location, sample: sample), name: name)
    }
    if let word = ["lt", "lte", "gt", "gte"].first(where: modifiers.has), let comparison = Comparison(rawValue: word) {
      guard let number = fixedPoint(text, digits: 0) else {
        problems.error(node.location, "'\(shown(text))' is no integer, and ATR compares integers")
        return nil
      }
      let offset: Int64 = word == "lt" ? -1 : word == "gt" ? 1 : 0
      return test(.compare(comparison), "\(number)", caseSensitive: false, "\(number.addingReportingOverflow(offset).partialValue)")
    }
    if modifiers.has("cidr") {
      guard Wildcards.isNetwork(text) else {
        problems.error(node.location, "'\(shown(text))' is no network: write it like 192.0.2.0/24 or 2001:db8::/32")
        return nil
      }
      guard let pattern = Wildcards.pattern(cidr: text) else {
        problems.error(node.location, "network '\(shown(text))' has no simple pattern: IPv6 must end at a group that is not zero, or in the first")
        return nil
      }
      return test(.regex, pattern, caseSensitive: false, nil)
    }
    let undecoded = Wildcards.looksForPercentEncoding(text) ? SigmaLogSource.undecoded[field] : nil
    if modifiers.has("re") {
      guard undecoded == nil else {
        problems.error(
          node.location, "the pattern looks for percent-encoding, and \(field) is decoded", hint: "write it for c-uri, which is as it was logged")
        return nil
      }
      return expression(text, node, modifiers, test)
    }
    if text.isEmpty {
      guard ["contains", "startswith", "endswith"].allSatisfy({ !modifiers.has($0) }) else { return .test(.exists(field, node.location), name: name) }
      return test(.exact, "", caseSensitive: false, nil)
    }
    if let encoded = encoded(text, node, modifiers) {
      guard let encoded else { return nil }
      let tests = encoded.map { test(.contains, $0, caseSensitive: true, $0) }
      let exact = modifiers.has("base64") && !modifiers.has("contains")
      return exact ? test(.exact, encoded[0], caseSensitive: true, encoded[0]) : merged(tests, name)
    }
    if isInteger(field), modifiers.words.isEmpty, let number = fixedPoint(text, digits: 0) {
      return test(.compare(.eq), "\(number)", caseSensitive: false, "\(number)")
    }
    var wildcards = Wildcards(text)
    if modifiers.has("contains") || modifiers.has("endswith") || isKeyword { wildcards.openStart() }
    if modifiers.has("contains") || modifiers.has("startswith") || isKeyword { wildcards.openEnd() }
    if let undecoded {
      let pattern = wildcards.pattern(within: undecoded, anyDash: modifiers.has("windash"))
      return .test(
        FieldTest(
          field: "url.original", kind: .regex, values: [pattern], isCaseSensitive: modifiers.has("cased"), location: node.location, sample: nil),
        name: name)
    }
    let (kind, value) = wildcards.test(anyDash: modifiers.has("windash"))
    return test(kind, value, caseSensitive: modifiers.has("cased"), wildcards.sample)
  }

  private func isInteger(_ field: String) -> Bool { Field(name: field)?.kind == .integer }

  /// `re`: minds case unless `i` is set; `m` and `s` become inline flags.
  private func expression(
    _ text: String, _ node: Node, _ modifiers: Modifiers, _ test: (FieldTest.Kind, String, Bool, String?) -> Question
  ) -> Question? {
    guard !text.isEmpty else {
      problems.error(node.location, "the regular expression is empty")
      return nil
    }
    let flags = ["m", "s"].filter(modifiers.has).joined()
    let prefix = flags.isEmpty ? "" : "(?\(flags))"
    let pattern = prefix + text
    let isHostRule = source.isHost
    if let problem = RegexSyntax.problem(in: pattern, caseSensitive: !modifiers.has("i"), isStrict: isHostRule), !problem.isForeign || isHostRule {
      let offset = min(max(0, problem.offset - prefix.utf8.count), text.utf8.count)
      var location = node.location
      var place = " at byte \(offset)"
      if case .scalar(let scalar) = node.content, scalar.isVerbatim {
        location.column += scalar.quoteWidth + offset
        place = ""
      }
      problems.error(location, "bad regular expression\(place): \(problem.message)")
      return nil
    }
    return test(.regex, pattern, !modifiers.has("i"), nil)
  }

  /// nil: no encoding is asked for. .some(nil): reported.
  private func encoded(_ text: String, _ node: Node, _ modifiers: Modifiers) -> [String]?? {
    let wide = ["wide", "utf16le", "utf16be", "utf16"].first(where: modifiers.has)
    guard modifiers.has("base64") || modifiers.has("base64offset") else {
      guard let wide else { return nil }
      problems.error(node.location, "modifier '\(wide)' makes bytes that no text of an event holds; it can be used before base64 only")
      return .some(nil)
    }
    var bytes = Array(text.utf8)
    if let wide {
      bytes = text.utf16.flatMap { wide == "utf16be" ? [UInt8($0 >> 8), UInt8($0 & 255)] : [UInt8($0 & 255), UInt8($0 >> 8)] }
      if wide == "utf16" { bytes = [0xff, 0xfe] + bytes }
    }
    let texts = modifiers.has("base64offset") ? Wildcards.base64Offsets(bytes) : [Wildcards.base64(bytes)]
    guard texts.allSatisfy({ !$0.isEmpty }) else {
      problems.error(node.location, "'\(shown(text))' is too short for modifier base64offset")
      return .some(nil)
    }
    return .some(texts)
  }
}

struct ConversionError: Error {
  var message: String
}

/// `selection and not 1 of filter_*`: not binds before and, and before or. Nesting is bounded.
struct SigmaConditionParser {
  private let tokens: [String]
  private let selections: [(name: String, question: Question)]
  private var at = 0
  private var depth = 0
  /// Tests that the question may still have: `1 of them` can be written many times.
  private var budget = Limits.convertedTests

  init(text: String, selections: [(name: String, question: Question)]) {
    self.selections = selections
    var tokens: [String] = []
    var word = ""
    for character in text.unicodeScalars {
      if character == "(" || character == ")" || character.properties.isWhitespace {
        if !word.isEmpty { tokens.append(word) }
        word = ""
        if !character.properties.isWhitespace { tokens.append(String(character)) }
      } else {
        word.unicodeScalars.append(character)
      }
    }
    if !word.isEmpty { tokens.append(word) }
    self.tokens = tokens
  }

  mutating func parse() throws(ConversionError) -> Question {
    let question = try disjunction()
    guard at == tokens.count else { throw ConversionError(message: "unexpected '\(shown(tokens[at]))'") }
    return question
  }
  private func keyword(_ word: String) -> Bool { at < tokens.count && tokens[at].lowercased() == word }

  private mutating func disjunction() throws(ConversionError) -> Question {
    var parts = [try conjunction()]
    while keyword("or") {
      at += 1
      parts.append(try conjunction())
    }
    return .joined(parts, isAll: false)
  }
  private mutating func conjunction() throws(ConversionError) -> Question {
    var parts = [try negation()]
    while keyword("and") {
      at += 1
      parts.append(try negation())
    }
    return .joined(parts, isAll: true)
  }
  private mutating func negation() throws(ConversionError) -> Question {
    var isNegated = false
    while keyword("not") {
      at += 1
      isNegated.toggle()
    }
    let inner = try primary()
    return isNegated ? .not(inner) : inner
  }
  private mutating func primary() throws(ConversionError) -> Question {
    guard at < tokens.count else { throw ConversionError(message: "a selection is missing at the end") }
    let token = tokens[at]
    if token == "(" {
      guard depth < Limits.expressionDepth / 4 else { throw ConversionError(message: "parentheses nest too deep") }
      depth += 1
      at += 1
      let inner = try disjunction()
      guard keyword(")") else { throw ConversionError(message: "')' is missing") }
      at += 1
      depth -= 1
      return inner
    }
    if at + 1 < tokens.count, tokens[at + 1].lowercased() == "of" { return try quantified(token.lowercased()) }
    guard let selection = selections.first(where: { $0.name == token }) else {
      throw ConversionError(message: "no selection is named '\(shown(token))'")
    }
    at += 1
    try spend(selection.question)
    return selection.question
  }
  private mutating func spend(_ question: Question) throws(ConversionError) {
    budget -= question.testCount
    guard budget >= 0 else { throw ConversionError(message: "more than \(Limits.convertedTests) tests") }
  }
  private mutating func quantified(_ quantity: String) throws(ConversionError) -> Question {
    guard ["1", "any", "all"].contains(quantity) else { throw ConversionError(message: "'\(shown(quantity)) of' has no counterpart; 1 and all have") }
    at += 2
    guard at < tokens.count else { throw ConversionError(message: "a name is missing behind 'of'") }
    let pattern = tokens[at]
    at += 1
    // `them` leaves out names that begin with an underscore.
    let chosen = selections.filter {
      pattern.lowercased() == "them" ? !$0.name.hasPrefix("_") : SigmaConditionParser.matches($0.name, pattern)
    }
    guard !chosen.isEmpty else { throw ConversionError(message: "no selection is named like '\(shown(pattern))'") }
    for selection in chosen { try spend(selection.question) }
    return .joined(chosen.map(\.question), isAll: quantity == "all")
  }
  /// `*` is any text. Short texts.
  private static func matches(_ name: String, _ pattern: String) -> Bool {
    CorrelationDetection.SourceRule(alias: "", ruleIDPattern: pattern).matches(name)
  }
}
