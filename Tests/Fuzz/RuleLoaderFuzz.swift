// libFuzzer entry: one input is a rule file; it is loaded, linted, and each of its rules is described. Built apart from the package, as one module
// of all sources (clang and swiftc of the toolchain, from the root of the repository):
//
//   mkdir -p .build/fuzz/src && clang -O1 -g -c Sources/CLinux/CLinux.c -I Sources/CLinux/include -o .build/fuzz/CLinux.o
//   printf 'module CLinux { header "%s/Sources/CLinux/include/CLinux.h" export * }\n' "$PWD" > .build/fuzz/module.modulemap
//   rm -f .build/fuzz/src/* && for f in Sources/{Primitives,RegularExpressions,Events,TypedYAML,RuleLanguage}/*.swift Tests/Fuzz/RuleLoaderFuzz.swift; do
//     sed -E '/^import (Primitives|RegularExpressions|Events|TypedYAML|RuleLanguage)$/d' "$f" > ".build/fuzz/src/$(echo "$f" | tr / _)"; done
//   swiftc -O -swift-version 6 -sanitize=fuzzer,address -parse-as-library -module-name Fuzz -I .build/fuzz -I Sources/CPCRE2 -I Sources/CLibYAML \
//     .build/fuzz/src/*.swift .build/fuzz/CLinux.o -lpcre2-8 -lyaml -use-ld=lld -o .build/fuzz/rule-loader
//   .build/fuzz/rule-loader -max_len=16384 -max_total_time=60 rules/host
//
// What must hold: nothing that is refused is silent, nothing that has an error is loaded, and every expression names conditions that exist.
import Primitives
import RuleLanguage

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRuleLoader(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  var set = RuleLoader.load(document: Bytes(start: start, count: count), file: "fuzz.yaml")
  precondition((set.refusedCount > 0) == set.diagnostics.contains { $0.severity == .error })
  _ = RuleLint.lint(set)
  for lane in RuleLane.allCases { set.activate(lane: lane) }
  for rule in set.rules {
    for path in ScanPath.allCases { _ = rule.isMeant(for: path) }
    guard case .pattern(let conditions, let expression) = rule.detection else { continue }
    precondition(expression.conditionIndices.allSatisfy(conditions.indices.contains))
  }
  return 0
}
