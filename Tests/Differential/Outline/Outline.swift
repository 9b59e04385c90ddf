// For regular_expressions.py: what this package makes of patterns. A line of input is `i` or `s` (ignoring case or not) and the
// pattern's UTF-8 in hexadecimal; a line of output is a JSON object of strings in hexadecimal and numbers.
import Primitives
import RegularExpressions

@main struct Outline {
  static func main() {
    while let line = readLine() {
      guard let first = line.utf8.first, let source = text(line.utf8.dropFirst()) else {
        print("{}")
        continue
      }
      print(describe(source, isCaseSensitive: first == UInt8(ascii: "s")))
    }
  }

  static func describe(_ source: String, isCaseSensitive: Bool) -> String {
    do throws(RegularExpressionError) {
      let expression = try RegularExpression(source, isCaseSensitive: isCaseSensitive)
      let facts = expression.matchFacts()
      let requirement = facts.requirement?.literals.map {
        "[\"\(hex($0.bytes))\",\($0.longestBefore.map { "\($0.bytes),\($0.blanks)" } ?? "null,0")]"
      }
      let clauses = facts.requirement?.clauses.map { clause in
        let sets = ([clause.literals] + clause.others).map { set in "[\(set.map { "\"\(hex($0))\"" }.joined(separator: ","))]" }
        return "[[\(sets.joined(separator: ","))],[\(clause.bytes.map { "\"\(hex($0))\"" }.joined(separator: ","))]]"
      }
      let runs = facts.runs.map { "[\"\(hex($0.set))\",\($0.count)]" }
      return """
        {"ascii":\(quoted(expression.pcre2(for: .ascii))),"unicode":\(quoted(expression.pcre2(for: .unicode))),\
        "requirement":\(requirement.map { "[\($0.joined(separator: ","))]" } ?? "null"),\
        "clauses":\(clauses.map { "[\($0.joined(separator: ","))]" } ?? "null"),\
        "lengths":[\(facts.shortest),\(facts.longest.map(String.init) ?? "null")],\
        "sets":[\(facts.byteSets.map { "\"\(hex($0))\"" }.joined(separator: ","))],"runs":[\(runs.joined(separator: ","))]}
        """
    } catch {
      return "{\"error\":\"\(hex(Array(error.message.utf8)))\",\"offset\":\(error.offset),\"unsupported\":\(error.isUnsupported)}"
    }
  }

  static func quoted(_ text: String?) -> String { text.map { "\"\(hex(Array($0.utf8)))\"" } ?? "null" }
  static func hex(_ set: ByteSet) -> String { hex((0...UInt8.max).filter { set.contains($0) }) }
  static func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
  static func text(_ hex: Substring.UTF8View) -> String? {
    var bytes: [UInt8] = []
    var high: UInt8?
    for digit in hex {
      guard let value = Character(Unicode.Scalar(digit)).hexDigitValue.map({ UInt8($0) }) else { return nil }
      if let top = high {
        bytes.append(top << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
