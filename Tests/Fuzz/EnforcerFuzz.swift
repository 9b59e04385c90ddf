// The frames that the enforcer reads from the engine, and the engine from the enforcer: any bytes are a value, a beginning or an error, and
// what was read is written back to the same bytes.
import Enforcement
import Primitives

func fuzzEnforcerFrame(_ input: Bytes) -> CInt {
  switch EnforcerRequest.decode(input) {
  case .value(let request, let id, let consumed): precondition(request.encoded(id: id) == Array(input.upTo(consumed)))
  case .incomplete(let wanted): precondition(wanted > input.count && wanted <= Limits.enforcerFrameBytes)
  case .malformed: break
  }
  switch EnforcerAnswer.decode(input) {
  case .value(let answer, let id, let consumed): precondition(answer.encoded(id: id) == Array(input.upTo(consumed)))
  case .incomplete(let wanted): precondition(wanted > input.count && wanted <= Limits.enforcerFrameBytes)
  case .malformed: break
  }
  return 0
}
