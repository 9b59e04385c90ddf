import Glibc
import RuleLanguage
import Testing
@Test func smoke() {
  let path = String(cString: getenv("PANGUARD_SHARED")) + "/corpora/atr/rules-642"
  let set = RuleLoader.load(paths: [path])
  print(set.rules.count, set.refusedCount, set.diagnostics.count)
  for d in set.diagnostics.filter({ $0.severity == .error }).prefix(30) { print(d) }
  var seen: [String: Int] = [:]
  for d in set.diagnostics.filter({ $0.severity != .error }) { seen[d.message, default: 0] += 1 }
  for (k, v) in seen.sorted(by: { $0.value > $1.value }).prefix(40) { print(v, k) }
  for r in set.rules { if case .skipped(let m, let reason) = r.detection { print(r.id, m, reason) } }
  print(RuleLint.lint(set).count)
}
