// libFuzzer entry: one input is a pattern and, behind a NUL, a text. Reading, translating and analysing never trap; what is
// translated compiles; each match contains what the analysis says. Built apart from the package, from the root of the repository:
//
//   mkdir -p .build/fuzz/re && printf 'module CPCRE2 [system] { header "%s/Sources/CPCRE2/shim.h" link "pcre2-8" export * }\n' "$PWD" > .build/fuzz/re/module.modulemap
//   clang -O1 -g -c Sources/CLinux/CLinux.c -I Sources/CLinux/include -o .build/fuzz/re/CLinux.o
//   printf 'module CLinux { header "%s/Sources/CLinux/include/CLinux.h" export * }\n' "$PWD" >> .build/fuzz/re/module.modulemap
//   mkdir -p .build/fuzz/re/src && for f in Sources/Primitives/*.swift Sources/RegularExpressions/*.swift Tests/RegularExpressionsTests/PatternMatcher.swift Tests/Fuzz/RegularExpressionFuzz.swift; do
//     sed -E '/^(@testable )?import (Primitives|RegularExpressions)$/d' "$f" > ".build/fuzz/re/src/$(echo "$f" | tr / _)"; done
//   swiftc -O -swift-version 6 -sanitize=fuzzer,address -parse-as-library -module-name Fuzz -I .build/fuzz/re .build/fuzz/re/src/*.swift .build/fuzz/re/CLinux.o -use-ld=lld -o .build/fuzz/regular-expression
//   .build/fuzz/regular-expression -max_len=512 -max_total_time=60
import Primitives
import RegularExpressions

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRegularExpression(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard let start, count > 0 else { return 0 }
  let input = Array(UnsafeBufferPointer(start: start, count: count))
  let end = input.firstIndex(of: 0) ?? count
  let pattern = String(decoding: input[..<end], as: UTF8.self)
  let text = Array(String(decoding: input[min(end + 1, count)...], as: UTF8.self).utf8)
  if let problem = PatternMatcher.problem(pattern, isCaseSensitive: count & 1 == 0, texts: [text, Array(pattern.utf8)]) {
    fatalError("\(problem): \(pattern)")
  }
  return 0
}
