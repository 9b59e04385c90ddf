// The frames that the responder reads from the engine, and the engine from the responder: any bytes are a value, a beginning or an error, and
// what was read is written back to the same bytes.
import HostActions
import Primitives

func fuzzResponderFrame(_ input: Bytes) -> CInt {
  switch HostActionRequest.decode(input) {
  case .value(let request, let id, let consumed): precondition(request.encoded(id: id) == Array(input.upTo(consumed)))
  case .incomplete(let wanted): precondition(wanted > input.count && wanted <= Limits.hostActionFrameBytes)
  case .malformed: break
  }
  switch HostActionAnswer.decode(input) {
  case .value(let answer, let id, let consumed): precondition(answer.encoded(id: id) == Array(input.upTo(consumed)))
  case .incomplete(let wanted): precondition(wanted > input.count && wanted <= Limits.hostActionFrameBytes)
  case .malformed: break
  }
  return 0
}
