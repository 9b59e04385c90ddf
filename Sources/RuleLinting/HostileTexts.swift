// Texts that somebody writes who wants the engine to work hard: floods of one thing, texts full of the literals that wake the patterns, and
// for each pattern what its tree says it backtracks on. `rules bench --hostile` measures them.
// What must stay true: the same rules give the same texts; each text can be made of any length, and is as long as was asked for.
import Events
import Primitives
import RegularExpressions
import RuleLanguage

public struct HostileText: Sendable {
  public enum Form: Sendable {
    /// The text of one field.
    case field(FieldReference)
    /// A whole JSON document, an agent's event.
    case event
  }
  public var name: String
  /// The rule that it is made for.
  public var ruleID: String?
  public var form: Form
  var prefix: [UInt8] = []
  var unit: [UInt8]
  var suffix: [UInt8] = []

  /// `count` bytes, or the few more that prefix, one unit and suffix need. A unit may be cut at the end.
  public func bytes(_ count: Int) -> [UInt8] {
    let middle = max(unit.count, count - prefix.count - suffix.count)
    var out = prefix
    out.reserveCapacity(prefix.count + middle + suffix.count)
    var left = middle
    while left >= unit.count {
      out += unit
      left -= unit.count
    }
    // An event must stay a document, so no unit of it is cut.
    if case .field = form { out += unit.prefix(left) }
    return out + suffix
  }
}

public enum HostileTexts {
  private static let content = HostileText.Form.field(.known(.content))

  /// For any rules.
  public static let floods: [HostileText] =
    [
      ("one letter", "a"), ("blanks", " "), ("line feeds", "\n"), ("opening parentheses", "("), ("opening braces", "{"), ("nested brackets", "([{<"),
      ("closed brackets", "(){}[]<>"), ("quotes", "\"'"), ("backslashes", "\\"), ("alternatives", "a|b|"), ("digits", "0123456789"),
      ("base64", "QUFBQUFB"),
      ("hexadecimal", "deadbeef"), ("words", "aaaa bbbb "), ("lines of words", "aaaa bbbb\n"), ("dots", "a.b."), ("tags", "<a><b>"), ("paths", "../"),
      ("letters of two cases", "aA"), ("CJK", "忽略所有"), ("Hangul letters", "\u{1112}\u{1161}\u{11ab}"), ("accents", "é"), ("marks", "e\u{301}"),
      ("marks alone", "\u{301}\u{316}"), ("marks of falling order", "\u{345}\u{301}\u{316}\u{334}"), ("zero width", "a\u{200b}"),
      ("nothing but zero width", "\u{200b}"), ("long s", "\u{17f}"), ("Kelvin", "\u{212a}"), ("dotted I", "\u{130}"), ("emoji", "👩‍💻"), ("NUL", "\0"),
      ("Arabic", "تجاهل "), ("Tibetan", "\u{f73}\u{f75}\u{f81}"), ("decomposing", "\u{1fa7}"),
    ].map { HostileText(name: $0.0, form: content, unit: Array($0.1.utf8)) } + [
      HostileText(name: "ill-formed bytes", form: content, unit: [0xff]),
      HostileText(name: "lone lead bytes", form: content, unit: [0xf0, 0x9f, 0x98, 0x61]),
      HostileText(name: "overlong bytes", form: content, unit: [0xc0, 0xaf, 0xe0, 0x80, 0xaf]),
    ]

  /// Events whose form, not their text, is the attack.
  public static let events: [HostileText] = [
    ("fields", #"{"event_type":"llm_input","fields":{"a":"b""#, #","f":"x""#, "}}"),
    ("metadata", #"{"content":"a","metadata":{"a":"b""#, #","f":"x""#, "}}"),
    ("flat members", #"{"a":1"#, #","f":{"g":2}"#, "}"), ("list", #"{"content":["a""#, #","b""#, "]}"), ("open lists", #"{"content":"#, "[", ""),
    ("open objects", #"{"content":"#, #"{"a":"#, ""), ("escapes", #"{"content":""#, #"\u0061"#, #""}"#),
    ("surrogates", #"{"content":""#, #"\ud83d\ude00"#, #""}"#),
    ("lone surrogates", #"{"content":""#, #"\ud83d"#, #""}"#), ("blanks between", #"{"content":"#, " ", "1}"), ("digits", #"{"content":"#, "1", "}"),
    ("spans", #"{"trace":{"spans":[{"kind":"A"}"#, #",{"kind":"TOOL"}"#, "]}}"),
    ("attributes", #"{"trace":{"spans":[{"kind":"A","attributes":{"a":1"#, #","b":2"#, "}}]}}"),
  ].map { HostileText(name: "JSON: \($0.0)", form: .event, prefix: Array($0.1.utf8), unit: Array($0.2.utf8), suffix: Array($0.3.utf8)) }

  /// Texts full of the literals that wake the patterns of these rules: each of them everywhere.
  public static func literals(of set: RuleSet) -> [HostileText] {
    var all: [[UInt8]] = []
    var seen = Set<[UInt8]>()
    for (_, _, expression) in expressions(of: set) {
      for literal in expression.matchFacts().requirement?.literals ?? [] where seen.insert(literal.bytes).inserted {
        all.append(whole(literal.bytes))
      }
    }
    guard !all.isEmpty else { return [] }
    return [
      HostileText(name: "all literals", form: content, unit: Array(all.joined(separator: [0x20]))),
      HostileText(name: "all literals, close", form: content, unit: Array(all.joined())),
      HostileText(name: "all literals, a line each", form: content, unit: Array(all.joined(separator: [0x0a]))),
      HostileText(name: "all literals, once", form: content, prefix: Array(all.joined(separator: [0x20])), unit: Array("aaaa ".utf8)),
      HostileText(name: "all literals, accents", form: content, unit: Array(all.joined(separator: Array("é".utf8)))),
    ]
  }

  /// A literal may end in the beginning of a character: with a character of that beginning.
  private static func whole(_ literal: [UInt8]) -> [UInt8] {
    let behind = literal.reversed().prefix { $0 & 0xc0 == 0x80 }.count
    guard behind < literal.count, case let lead = literal[literal.count - behind - 1], lead >= 0xc0 else { return literal }
    let width = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2
    return literal + [UInt8](repeating: 0x80, count: max(0, width - 1 - behind))
  }

  /// For each pattern, what its tree says it backtracks on: at one place, at many places, and its own literals over and over.
  public static func patterns(of set: RuleSet) -> [HostileText] {
    var texts: [HostileText] = []
    for (rule, field, expression) in expressions(of: set) {
      let form = HostileText.Form.field(field)
      let literal = whole(expression.matchFacts().requirement?.literals.first?.bytes ?? [])
      func add(_ what: String, prefix: [UInt8] = [], unit: [UInt8], suffix: [UInt8] = []) {
        guard !unit.isEmpty else { return }
        texts.append(HostileText(name: "\(rule): \(what)", ruleID: rule, form: form, prefix: prefix, unit: unit, suffix: suffix))
      }
      for attack in AttackSearch.attacks(on: expression.root).prefix(attacksPerPattern) {
        let prefix = utf8(attack.prefix)
        let pump = utf8(attack.pump)
        let end = [1] + utf8(attack.rest)
        let name = shown(pump)
        add("'\(name)' repeated", prefix: prefix, unit: pump, suffix: end + literal)
        add("'\(name)' 24 times, repeated", unit: prefix + Array((0..<24).map { _ in pump }.joined()) + end + literal)
      }
      let example = utf8(expression.root.example(limit: 256))
      if example.count > 1 {
        add("a near miss repeated", unit: Array(example.dropLast()) + [1])
        // A match in front of literals that lead nowhere.
        add("literals behind a match", prefix: example, unit: literal.isEmpty ? [] : [1] + literal + Array("x y".utf8))
        add("its beginning repeated", unit: Array(example.prefix(max(1, example.count / 2))))
      }
      if !literal.isEmpty { add("'\(shown(literal))' repeated", unit: literal) }
    }
    return texts
  }
  private static let attacksPerPattern = 4

  private static func expressions(of set: RuleSet) -> [(rule: String, field: FieldReference, expression: RegularExpression)] {
    var result: [(rule: String, field: FieldReference, expression: RegularExpression)] = []
    var seen = Set<String>()
    for rule in set.rules {
      guard let (conditions, _) = rule.tested else { continue }
      for condition in conditions {
        guard case .regex(let patterns, let sensitive) = condition.test else { continue }
        for pattern in patterns where seen.insert("\(sensitive) \(pattern)").inserted {
          guard let expression = try? RegularExpression(pattern, isCaseSensitive: sensitive) else { continue }
          result.append((rule.id, condition.field, expression))
        }
      }
    }
    return result
  }
  private static func utf8(_ points: [UInt32]) -> [UInt8] { points.flatMap { Array(UTF8.encode(Unicode.Scalar($0) ?? "?")!) } }
  private static func shown(_ bytes: [UInt8]) -> String {
    String(decoding: bytes, as: UTF8.self).unicodeScalars.prefix(24).map {
      $0.value < 0x20 || $0.value == 0x7f ? "\\x{\(String($0.value, radix: 16))}" : String($0)
    }
    .joined()
  }
}
