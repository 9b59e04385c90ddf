// The text of `detection.condition` over three named conditions.
// What must hold: a text is read or refused at a byte of its own, and what is read nests in bounds and names conditions that exist.
import Primitives

@testable import RuleLanguage

func fuzzExpression(_ input: Bytes) -> CInt {
  let text = String(decoding: input, as: UTF8.self)
  do {
    let expression = try ExpressionParser.parse(text, names: ["a1", "a2", "b"])
    precondition(expression.conditionIndices.allSatisfy { (0..<3).contains($0) })
    precondition(nesting(expression) <= 4 * ExpressionParser.depthLimit + 2)
  } catch {
    precondition((0...text.utf8.count).contains(error.offset))
    precondition(!error.message.isEmpty && error.message.utf8.count < 1000)
  }
  return 0
}

private func nesting(_ expression: Expression) -> Int {
  switch expression {
  case .condition: 1
  case .not(let inner): 1 + nesting(inner)
  case .all(let parts), .any(let parts): 1 + (parts.map(nesting).max() ?? 0)
  }
}
