// The records of an input journal's block, and the header of its segment. See RecordTrial for what must hold.
import Primitives

func fuzzInputRecords(_ input: Bytes) -> CInt {
  if let problem = RecordTrial.run(input).problem { fatalError(problem) }
  return 0
}
