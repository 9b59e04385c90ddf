// A boolean expression as jump code: each node tests one condition and says where to go on for true and for false.
// What must stay true: the code says exactly what the expression says. Order of evaluation cannot change a result, so cheap
// conditions go first.
import RuleLanguage

struct ProgramNode {
  var condition: Int32
  var whenTrue: Int32
  var whenFalse: Int32
}

enum Program {
  static let accept: Int32 = -1
  static let reject: Int32 = -2

  /// Appends the code of `expression` to `nodes` and returns where it begins. `base`: number of the expression's condition 0.
  static func compile(
    _ expression: Expression, base: Int, cost: (Int) -> Int, into nodes: inout [ProgramNode], whenTrue: Int32 = accept, whenFalse: Int32 = reject
  ) -> Int32 {
    switch expression {
    case .condition(let i):
      nodes.append(ProgramNode(condition: Int32(base + i), whenTrue: whenTrue, whenFalse: whenFalse))
      return Int32(nodes.count - 1)
    case .not(let inner):
      return compile(inner, base: base, cost: cost, into: &nodes, whenTrue: whenFalse, whenFalse: whenTrue)
    case .all(let parts):
      var entry = whenTrue
      for part in byCost(parts, cost).reversed() {
        entry = compile(part, base: base, cost: cost, into: &nodes, whenTrue: entry, whenFalse: whenFalse)
      }
      return entry
    case .any(let parts):
      var entry = whenFalse
      for part in byCost(parts, cost).reversed() {
        entry = compile(part, base: base, cost: cost, into: &nodes, whenTrue: whenTrue, whenFalse: entry)
      }
      return entry
    }
  }

  private static func byCost(_ parts: [Expression], _ cost: (Int) -> Int) -> [Expression] {
    parts.enumerated().map { (offset: $0.offset, part: $0.element, cost: total($0.element, cost)) }
      .sorted { ($0.cost, $0.offset) < ($1.cost, $1.offset) }.map(\.part)
  }
  private static func total(_ expression: Expression, _ cost: (Int) -> Int) -> Int {
    switch expression {
    case .condition(let i): cost(i)
    case .not(let inner): total(inner, cost)
    case .all(let parts), .any(let parts): parts.reduce(0) { $0 + total($1, cost) }
    }
  }

  /// Three-valued logic: unknown only where the answer depends on an unknown part. For the rare event on which a limit was hit.
  static func evaluate(_ expression: Expression, _ test: (Int) -> Truth) -> Truth {
    switch expression {
    case .condition(let i): return test(i)
    case .not(let inner): return evaluate(inner, test).negated
    case .all(let parts):
      var result = Truth.yes
      for part in parts {
        switch evaluate(part, test) {
        case .no: return .no
        case .unknown: result = .unknown
        case .yes: break
        }
      }
      return result
    case .any(let parts):
      var result = Truth.no
      for part in parts {
        switch evaluate(part, test) {
        case .yes: return .yes
        case .unknown: result = .unknown
        case .no: break
        }
      }
      return result
    }
  }

  /// Could the expression be true, could it be false, given what each condition could be?
  static func possibilities(_ expression: Expression, _ of: (Int) -> (canBeTrue: Bool, canBeFalse: Bool)) -> (canBeTrue: Bool, canBeFalse: Bool) {
    switch expression {
    case .condition(let i): return of(i)
    case .not(let inner):
      let p = possibilities(inner, of)
      return (p.canBeFalse, p.canBeTrue)
    case .all(let parts):
      let each = parts.map { possibilities($0, of) }
      return (each.allSatisfy { $0.canBeTrue }, each.contains { $0.canBeFalse })
    case .any(let parts):
      let each = parts.map { possibilities($0, of) }
      return (each.contains { $0.canBeTrue }, each.allSatisfy { $0.canBeFalse })
    }
  }

  /// Conditions without which the expression cannot be true, and what remains of it when they are.
  static func split(_ expression: Expression, mandatory isGuard: (Int) -> Bool) -> (guards: [Int], rest: Expression) {
    switch expression {
    case .condition(let i) where isGuard(i): return ([i], .all([]))
    case .all(let parts):
      var guards: [Int] = []
      var rest: [Expression] = []
      for part in parts {
        let inner = split(part, mandatory: isGuard)
        guards += inner.guards
        if inner.rest != .all([]) { rest.append(inner.rest) }
      }
      return (guards, .all(rest))
    default: return ([], expression)
    }
  }

  /// Nothing but alternatives, in whatever depth.
  static func isAny(_ expression: Expression) -> Bool {
    switch expression {
    case .condition: true
    case .any(let parts): !parts.isEmpty && parts.allSatisfy(isAny)
    case .all(let parts): parts.count == 1 && isAny(parts[0])
    case .not: false
    }
  }

  static func mandatory(_ expression: Expression) -> [Int] { split(expression) { _ in true }.guards }

  static func depth(_ expression: Expression) -> Int {
    switch expression {
    case .condition: 1
    case .not(let inner): 1 + depth(inner)
    case .all(let parts), .any(let parts): 1 + (parts.map(depth).max() ?? 0)
    }
  }
  static func conditions(_ expression: Expression) -> [Int] {
    switch expression {
    case .condition(let i): [i]
    case .not(let inner): conditions(inner)
    case .all(let parts), .any(let parts): parts.flatMap(conditions)
    }
  }
}
