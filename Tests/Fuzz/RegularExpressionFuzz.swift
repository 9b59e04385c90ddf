// A pattern and, behind a NUL, a text.
// What must hold: reading, translating and analysing never trap; what is translated compiles; JIT and interpreter agree; each match
// contains what the analysis says.
import Primitives
import RegularExpressions

func fuzzRegularExpression(_ input: Bytes) -> CInt {
  guard input.count > 0 else { return 0 }
  let end = input.index(of: 0, from: 0) ?? input.count
  let pattern = String(decoding: input.slice(0, end), as: UTF8.self)
  let text = Array(String(decoding: input.slice(min(end + 1, input.count), input.count), as: UTF8.self).utf8)
  if let problem = PatternMatcher.problem(pattern, isCaseSensitive: input.count & 1 == 0, texts: [text, Array(pattern.utf8)]) {
    fatalError("\(problem): \(pattern)")
  }
  return 0
}
