// This engine against the references, as far as fits into a test run: a sample of the corpus' patterns (Python, node where installed,
// PCRE2's JIT and interpreter), and the rules of the corpus on generated events of which pyatr's answers are kept.
// `make differential` does the same with everything.
import Glibc
import Testing

@Suite struct DifferentialTests {
  /// nil, having said why, where what these tests need is not here.
  private static func corpus() -> String? {
    guard let shared = Product.shared, access(shared + "/corpora/atr/rules-642", R_OK) == 0 else {
      skip("no shared data with corpora/atr (set PANGUARD_SHARED)")
      return nil
    }
    guard run(["/usr/bin/env", "python3", "-c", "import yaml"]).status == 0 else {
      skip("no python3 with the module yaml (apt install python3-yaml)")
      return nil
    }
    return shared
  }

  @Test func patternsMatchWhatTheReferencesMatch() {
    guard let shared = Self.corpus() else { return }
    let outline = Product.panguard.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/regular-expressions-outline"
    let result = run(
      [
        "/usr/bin/env", "python3", Product.root + "/Tests/Differential/regular_expressions.py", "--outline", outline, "--sample", "250", "--texts",
        "12",
        "--show", "5",
      ], environment: ["PANGUARD_SHARED": shared])
    #expect(result.status == 0 && result.text.contains("250  patterns") && !result.text.contains("DIFFERENCE"), "\(result)")
  }

  @Test func rulesMatchWhatPyatrAnswered() {
    guard let shared = Self.corpus() else { return }
    let d = TemporaryDirectory()
    let result = bash(
      """
      set -eo pipefail
      cd "$ROOT/Tests/Differential"
      python3 agent_events.py "$RULES" --count 800 --seed 1 > "$D/events"
      gzip -dc pyatr-rules-642.jsonl.gz > "$D/answers"
      "$P" rules eval --rules "$RULES" "$D/events" > "$D/evaluated"
      python3 compare_answers.py "$D/answers" "$D/evaluated" --explained explained.txt --events "$D/events" --partial
      """, d, environment: ["RULES": shared + "/corpora/atr/rules-642"])
    #expect(result.status == 0 && result.text.contains("800 events compared") && result.text.contains(" 0 differences unexplained"), "\(result)")
  }
}
