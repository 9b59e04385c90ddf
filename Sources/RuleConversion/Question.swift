// What a detection asks about one event, in no format's words: between Sigma, which writes it as selections, and ATR, which writes it
// as named conditions or as a filter. Semantics are Sigma's: a test of an absent field does not hold, its negation does.
import Primitives
import RuleLanguage
import TypedYAML

/// One test of one field: it holds if it holds for one of `values`.
struct FieldTest {
  enum Kind: Hashable {
    case exact, contains, startsWith, regex
    case compare(Comparison)
  }
  /// ATR's name of the field.
  var field: String
  var kind: Kind
  var values: [String]
  var isCaseSensitive: Bool
  var location: SourceLocation
  /// A text of the field for which the test holds, where one is known without solving a pattern.
  var sample: String?

  /// Equality of it is equality of bytes: case matters, or there is none.
  var mindsEveryCase: Bool { isCaseSensitive || values.allSatisfy { $0.lowercased() == $0.uppercased() } }
  /// Any text at all: the field is there.
  static func exists(_ field: String, _ location: SourceLocation) -> FieldTest {
    FieldTest(field: field, kind: .regex, values: ["^"], isCaseSensitive: false, location: location, sample: "x")
  }
}

indirect enum Question {
  /// `name`: of the selection that it comes from.
  case test(FieldTest, name: String)
  case not(Question)
  case all([Question])
  case any([Question])

  static func joined(_ parts: [Question], isAll: Bool) -> Question {
    parts.count == 1 ? parts[0] : isAll ? .all(parts) : .any(parts)
  }
}

/// A question as ATR's named conditions and an expression over their names.
struct ConditionList {
  private(set) var conditions: [(name: String, node: Node)] = []
  private(set) var expression = ""
  private var counts: [String: Int] = [:]
  private var taken: Set<String> = []
  private var numbers: [String: Int] = [:]  // the last one of each name

  init(_ question: Question) {
    count(question)
    expression = write(question, isInside: false)
  }

  private mutating func count(_ question: Question) {
    switch question {
    case .test(_, let name): counts[name, default: 0] += 1
    case .not(let inner): count(inner)
    case .all(let parts), .any(let parts): for part in parts { count(part) }
    }
  }

  private mutating func write(_ question: Question, isInside: Bool) -> String {
    switch question {
    case .test(let test, let selection):
      let name = unusedName(selection)
      conditions.append((name, ConditionList.node(test)))
      return name
    case .not(let inner): return "not " + write(inner, isInside: true)
    case .all(let parts), .any(let parts):
      let isAll = if case .all = question { true } else { false }
      var texts: [String] = []
      for part in parts { texts.append(write(part, isInside: true)) }
      let text = texts.joined(separator: isAll ? " and " : " or ")
      return isInside && parts.count > 1 ? "(\(text))" : text
    }
  }

  /// The selection's name in the letters that a condition name may have; numbered where the selection has several tests.
  private mutating func unusedName(_ selection: String) -> String {
    var base = String(selection.prefix(64).map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") ? $0 : "_" })
    if base.isEmpty || ["and", "or", "not", "of", "them", "any", "all"].contains(base.lowercased()) || base.first?.isNumber == true {
      base = "c_" + base
    }
    if counts[selection, default: 1] == 1, taken.insert(base).inserted { return base }
    var number = numbers[base, default: 0] + 1
    while !taken.insert("\(base)_\(number)").inserted { number += 1 }
    numbers[base] = number
    return "\(base)_\(number)"
  }

  private static func node(_ test: FieldTest) -> Node {
    var entries: [(String, Node)] = [("field", .text(test.field))]
    switch test.kind {
    case .compare(let comparison):
      return .mapping(entries + [("operator", .text(comparison.rawValue)), ("value", .plain(test.values.first ?? "0"))])
    case .exact: entries.append(("match_type", .text("exact")))
    case .contains: entries.append(("match_type", .text("contains")))
    case .startsWith: entries.append(("match_type", .text("starts_with")))
    case .regex: entries.append(("match_type", .text("regex")))
    }
    if test.isCaseSensitive { entries.append(("case_sensitive", .plain("true"))) }
    return .mapping(entries + [("patterns", .texts(test.values))])
  }
}

extension Question {
  var testCount: Int {
    switch self {
    case .test: 1
    case .not(let inner): inner.testCount
    case .all(let parts), .any(let parts): parts.reduce(0) { $0 + $1.testCount }
    }
  }
  /// The question as `behavioral.filter`, which is a conjunction with each predicate once for each field; nil where it is more than that.
  /// Its `regex` ignores case in rules over host events, and minds it in others.
  func filter(ofHostRule isHostRule: Bool) -> Node? {
    var entries: [(field: String, predicates: [(String, Node)])] = []
    guard collect(into: &entries, isHostRule) else { return nil }
    return .mapping(entries.map { ($0.field, .mapping($0.predicates)) })
  }
  private func collect(into entries: inout [(field: String, predicates: [(String, Node)])], _ isHostRule: Bool) -> Bool {
    func add(_ field: String, _ predicate: String, _ value: Node) -> Bool {
      guard let index = entries.firstIndex(where: { $0.field == field }) else {
        entries.append((field, [(predicate, value)]))
        return true
      }
      guard !entries[index].predicates.contains(where: { $0.0 == predicate }) else { return false }
      entries[index].predicates.append((predicate, value))
      return true
    }
    func addPattern(_ test: FieldTest, _ patterns: [String]) -> Bool {
      guard !isHostRule else { return !test.isCaseSensitive && add(test.field, "regex", .texts(patterns)) }
      return add(test.field, "regex", .texts(test.isCaseSensitive ? patterns : patterns.map { "(?i)" + $0 }))
    }
    switch self {
    case .all(let parts): return parts.allSatisfy { $0.collect(into: &entries, isHostRule) }
    case .not(.test(let test, _)) where test.kind == .regex && test.values == ["^"]: return add(test.field, "exists", .plain("false"))
    // An absent field is equal to none, in Sigma's negation and in this predicate.
    case .not(.test(let test, _)) where test.kind == .exact && test.mindsEveryCase: return add(test.field, "not_in", .texts(test.values))
    case .not, .any: return false
    case .test(let test, _):
      if test.kind == .regex, test.values == ["^"] { return add(test.field, "exists", .plain("true")) }
      switch test.kind {
      case .compare(.eq): return add(test.field, "eq", .text(test.values.first ?? "0"))
      case .compare(let comparison): return add(test.field, comparison.rawValue, .plain(test.values.first ?? "0"))
      case .exact where test.mindsEveryCase:
        return add(test.field, "in", .texts(test.values))
      case .exact:
        return addPattern(test, test.values.map { "^" + Wildcards.escaped($0) + Wildcards.end })
      // These predicates ignore case; what minds it cannot be said here.
      case .contains: return !test.isCaseSensitive && add(test.field, "contains", .texts(test.values))
      case .startsWith: return !test.isCaseSensitive && add(test.field, "starts_with", .texts(test.values))
      case .regex: return addPattern(test, test.values)
      }
    }
  }

  /// Fields with values for which the question holds, in its order; `choice` tells which alternative is taken first. nil where none is
  /// known. Negated tests are left to be absent, so the caller checks what it gets.
  func sample(choice: Int = 0) -> [(field: String, value: String)]? {
    switch self {
    case .test(let test, _): return test.sample.map { [(test.field, $0)] }
    case .not: return []
    case .any(let parts):
      let order = parts.indices.map { parts[($0 + choice) % parts.count] }
      return order.lazy.compactMap { $0.sample(choice: choice) }.first
    case .all(let parts):
      var result: [(field: String, value: String)] = []
      for part in parts {
        guard let more = part.sample(choice: choice) else { return nil }
        for pair in more {
          if let index = result.firstIndex(where: { $0.field == pair.field }) {
            // Two tests of one field: one text after the other holds for most of them.
            if result[index].value != pair.value { result[index].value += " " + pair.value }
          } else {
            result.append(pair)
          }
        }
      }
      return result
    }
  }
}
