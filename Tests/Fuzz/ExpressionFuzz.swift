// libFuzzer entry: one input is the text of `detection.condition` over three named conditions. Built as Tests/Fuzz/RuleLoaderFuzz.swift says, with
// this file in its place; `.build/fuzz/expression -max_len=4096 -max_total_time=60`.
//
// What must hold: a text is read or refused at a byte of its own, and what is read nests in bounds and names conditions that exist.
import Primitives
import RuleLanguage

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzExpression(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let text = String(decoding: Bytes(start: start, count: count), as: UTF8.self)
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
