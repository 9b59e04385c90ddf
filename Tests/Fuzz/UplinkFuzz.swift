// The frames that the uplink reads from the engine, and the engine from the uplink: any bytes are a value, a beginning or an error, and what
// was read is written back to the same bytes. A delivery that is read names a webhook and a key, and nothing that a header could not hold.
import Primitives
import UplinkProtocol

func fuzzUplinkFrame(_ input: Bytes) -> CInt {
  switch UplinkRequest.decode(input) {
  case .value(let request, let id, let consumed):
    precondition(request.encoded(id: id) == Array(input.upTo(consumed)))
    if case .deliver(let webhook, let key, let body) = request {
      precondition(UplinkName.isValid(webhook.utf8) && UplinkName.isValid(key.utf8) && body.count <= Limits.webhookBodyBytes)
    }
  case .incomplete(let wanted): precondition(wanted > input.count && wanted <= Limits.webhookBodyBytes + 256)
  case .malformed: break
  }
  switch UplinkAnswer.decode(input) {
  case .value(let answer, let id, let consumed): precondition(answer.encoded(id: id) == Array(input.upTo(consumed)))
  case .incomplete(let wanted): precondition(wanted > input.count && wanted <= UplinkFrame.answerBytes)
  case .malformed: break
  }
  return 0
}
