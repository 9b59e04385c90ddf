// A baseline's snapshot, with a fingerprint that fits. See SnapshotTrial for what must hold.
import Primitives

func fuzzBaselineSnapshot(_ input: Bytes) -> CInt {
  if let problem = SnapshotTrial.run(Array(input)).problem { fatalError(problem) }
  return 0
}
