// Events, and patterns with texts, through the engine. See EvaluationTrial for what must hold.
import Primitives

nonisolated(unsafe) private let trial = EvaluationTrial()

/// Lines of JSON: one event each, in the form of an agent or flat.
func fuzzEvaluator(_ input: Bytes) -> CInt {
  if let problem = trial.problem(lines: input) { fatalError(problem) }
  return 0
}

/// The first line is a pattern, the rest a text.
func fuzzPatternEvaluation(_ input: Bytes) -> CInt {
  if let problem = EvaluationTrial.problem(patternAndText: input) { fatalError(problem) }
  return 0
}
