// ATR -> YARA: method signature by the contract of the standard (spec/atr-method-v1.1.md, section 5.4), and pattern rules where YARA's
// strings can say their conditions. YARA looks at one file, ATR at named fields of an event: all fields become that file, which is
// said in a note where a rule has several.
import Primitives
import RuleLanguage
import TypedYAML

public enum ATRToYARA {
  public static func convert(_ files: [RuleFile]) -> Converted {
    var result = Converted()
    for document in ATRDocument.read(files, into: &result) {
      let problems = Problems()
      defer { result.diagnostics += problems.finished(file: document.root.location.file) }
      guard let rule = YARAWriter(document: document, problems: problems).write() else {
        result.leftOut += 1
        continue
      }
      let name = YARAWriter.identifier(document.id)
      result.documents.append(Converted.Document(id: document.id, name: name, bytes: Array(rule.utf8)))
    }
    return result
  }
}

private struct YARAWriter {
  let document: ATRDocument
  let problems: Problems

  static func identifier(_ text: String) -> String {
    let name = String(text.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    return name.first?.isNumber == true || name.isEmpty ? "_" + name : name
  }
  private func fail(_ message: String, at place: SourceLocation? = nil) {
    problems.error(place ?? document.root.location, "\(document.id): \(message)")
  }

  private struct Body {
    var strings: [String] = []
    var condition: String
    var needsHash = false
  }

  func write() -> String? {
    let body: Body?
    switch document.method {
    case "signature": body = signature()
    case "pattern": body = pattern()
    default:
      fail("method \(shown(document.method)) has no counterpart in YARA, which looks at one file")
      body = nil
    }
    guard let body else { return nil }
    var out = body.needsHash ? "import \"hash\"\n\n" : ""
    out += "rule \(Self.identifier(document.id))\n{\n  meta:\n"
    for (key, value) in [
      ("atr_id", document.id), ("description", document.text("title")), ("author", document.text("author")), ("date", document.text("date")),
      ("severity", document.text("severity")), ("license", document.text("license")),
    ] where !value.isEmpty { out += "    \(key) = \(Self.quoted(oneLine(value)))\n" }
    if !body.strings.isEmpty { out += "  strings:\n" + body.strings.map { "    \($0)\n" }.joined() }
    return out + "  condition:\n    \(body.condition)\n}\n"
  }

  /// A text string: printable ASCII as it is, every other byte of its UTF-8 as \xNN.
  static func quoted(_ text: String) -> String {
    var out = "\""
    for byte in text.utf8 {
      switch byte {
      case 0x22: out += "\\\""
      case 0x5c: out += "\\\\"
      case 0x0a: out += "\\n"
      case 0x09: out += "\\t"
      case 0x20..<0x7f: out.unicodeScalars.append(Unicode.Scalar(byte))
      default: out += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }
    }
    return out + "\""
  }

  // MARK: Signature

  private func signature() -> Body? {
    guard let signature = document.root["detection"]?["signature"], let indicators = signature["indicators"]?.list, !indicators.isEmpty else {
      fail("'detection.signature.indicators' is missing")
      return nil
    }
    var strings: [String] = []
    var tests: [String] = []
    var needsHash = false
    var count = 0
    for indicator in indicators {
      guard let type = indicator["type"]?.text, let value = indicator["value"]?.text, !value.isEmpty else {
        fail("an indicator needs type and value", at: indicator.location)
        return nil
      }
      switch type {
      case "sha256", "sha512":
        var hex = value.lowercased().filter { $0 != ":" && $0 != " " && $0 != "-" }
        if hex.hasPrefix("0x") { hex = String(hex.dropFirst(2)) }
        guard hex.utf8.count == (type == "sha256" ? 64 : 128), hex.allSatisfy(\.isHexDigit) else {
          fail("'\(shown(value))' is no \(type)", at: indicator.location)
          return nil
        }
        guard type == "sha256" else {
          fail("the standard names hash.sha512, which YARA's module has not (md5, sha1, sha256)", at: indicator.location)
          return nil
        }
        needsHash = true
        tests.append("hash.\(type)(0, filesize) == \(Self.quoted(hex))")
      case "package_name", "registry_url", "skill_id":
        count += 1
        let name = "$\(["package_name": "name", "registry_url": "url"][type] ?? "id")\(count)"
        strings.append("\(name) = \(Self.quoted(value))")
        tests.append(name)
      default:
        fail("indicator \(shown(type)) has no counterpart in YARA", at: indicator.location)
        return nil
      }
    }
    let isAll = signature["match_logic"]?.text == "all"
    let condition = needsHash || tests.count == 1 ? tests.joined(separator: isAll ? " and " : " or ") : isAll ? "all of them" : "any of them"
    return Body(strings: strings, condition: condition, needsHash: needsHash)
  }

  // MARK: Pattern

  private func pattern() -> Body? {
    guard let conditions = document.conditions else {
      fail("its conditions are of a kind that YARA has no word for")
      return nil
    }
    var strings: [String] = []
    var tests: [(name: String, text: String)] = []
    for (i, condition) in conditions.enumerated() {
      if let language = condition.language {
        fail("YARA has no word for the language of a text", at: language.location)
        return nil
      }
      var alternatives: [String] = []
      for value in condition.values {
        guard let text = value.text ?? (condition.operation == "exact" ? "" : nil) else { continue }
        guard let test = test(condition, text, value.location, name: "$c\(i + 1)_\(alternatives.count + 1)", &strings) else { return nil }
        alternatives.append(test)
      }
      guard !alternatives.isEmpty else { return nil }
      tests.append((condition.name, alternatives.count == 1 ? alternatives[0] : "(\(alternatives.joined(separator: " or ")))"))
    }
    let fields = Set(conditions.map(\.field))
    if fields.count > 1 {
      problems.note(document.root.location, "\(document.id): its \(fields.count) fields are looked for in one file, together")
    }
    guard let condition = expression(tests) else {
      fail("its condition cannot be written for YARA")
      return nil
    }
    return Body(strings: strings, condition: condition)
  }

  private func test(_ condition: ATRCondition, _ text: String, _ location: SourceLocation, name: String, _ strings: inout [String]) -> String? {
    let nocase = condition.isCaseSensitive ? "" : " nocase"
    if condition.operation != "regex", !condition.isCaseSensitive, text.unicodeScalars.contains(where: { $0.value >= 0x80 }) {
      problems.note(location, "\(document.id): YARA ignores the case of ASCII letters only")
    }
    switch condition.operation {
    case "exact" where text.isEmpty: return "filesize == 0"
    case "contains", "starts_with", "endswith", "exact":
      strings.append("\(name) = \(Self.quoted(text))\(nocase)")
      if condition.operation == "contains" { return name }
      if condition.operation == "endswith" { return "\(name) at (filesize - \(text.utf8.count))" }
      return condition.operation == "exact" ? "(\(name) at 0 and filesize == \(text.utf8.count))" : "\(name) at 0"
    case "regex":
      do {
        let pattern = try YARAPattern(text, ignoresCase: !condition.isCaseSensitive)
        if pattern.isNarrower {
          problems.note(location, "\(document.id): YARA matches bytes, so letters, digits and spaces beyond ASCII are none in this pattern")
        }
        if pattern.countsBytes {
          problems.note(location, "\(document.id): YARA counts bytes, so each character beyond ASCII is two to four of those this pattern counts")
        }
        strings.append("\(name) = \(pattern.text)")
        return name
      } catch {
        fail("a pattern that YARA cannot take: \(error.message)", at: location)
        return nil
      }
    default:
      let reason = Comparison(rawValue: condition.operation) == nil ? "has no counterpart in YARA" : "compares a number, and a file has none"
      fail("operator '\(shown(condition.operation))' \(reason)", at: condition.location)
      return nil
    }
  }

  /// ATR's expression with names replaced by tests; quantities are written out. nil: a name that is not there.
  private func expression(_ tests: [(name: String, text: String)]) -> String? {
    func joined(_ chosen: [(name: String, text: String)], _ quantity: String) -> String? {
      guard !chosen.isEmpty else { return nil }
      return chosen.count == 1 ? chosen[0].text : "(" + chosen.map(\.text).joined(separator: quantity == "all" ? " and " : " or ") + ")"
    }
    let tokens = ATRDocument.tokens(document.expression(names: tests.map(\.name)) { $0 })
    var pieces: [String] = []
    var at = 0
    while at < tokens.count {
      let token = tokens[at]
      if at + 2 < tokens.count, tokens[at + 1].lowercased() == "of" {
        let selector = tokens[at + 2]
        let chosen =
          selector.lowercased() == "them" || selector == "*"
          ? tests : tests.filter { CorrelationDetection.SourceRule(alias: "", ruleIDPattern: selector).matches($0.name) }
        guard let text = joined(chosen, token.lowercased()) else { return nil }
        pieces.append(text)
        at += 3
        continue
      }
      if ["and", "or", "not", "(", ")"].contains(token.lowercased()) {
        pieces.append(token.lowercased())
      } else if let test = tests.first(where: { $0.name == token }) {
        pieces.append(test.text)
      } else {
        return nil
      }
      at += 1
    }
    return pieces.isEmpty ? nil : pieces.joined(separator: " ").replacing("( ", with: "(").replacing(" )", with: ")")
  }
}
