// One flow. The first byte: bit 0 chooses the transport, bit 1 port 53. Then turns: a byte whose high bit is the direction and whose low bits are
// a length (0 is a gap), and that many bytes.
// What must hold: it comes back, what is emitted becomes fields, and nothing is held once the flow is gone.
import Events
import PacketParsers
import Primitives

func fuzzApplicationLayer(_ input: Bytes) -> CInt {
  guard let kind = input.first else { return 0 }
  let context = ApplicationContext()
  var event = Event()
  func take(_ message: borrowing ApplicationMessage) {
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: message.frame, length: 0))
    message.appendFields(to: &event)
    precondition(event.has(.networkProtocol) && event.has(.eventAction))
  }
  do {
    var layer = ApplicationLayer(
      transport: kind & 1 == 0 ? .tcp : .udp, originatorPort: 40_000, responderPort: kind & 2 == 0 ? 4000 : 53, context: context)
    var at = 1
    var frame: UInt64 = 0
    while at < input.count {
      let direction: FlowDirection = input[at] & 0x80 == 0 ? .toResponder : .toOriginator
      // Datagrams of a realistic size, segments of any.
      let length = Int(input[at] & 0x7f) * (kind & 4 == 0 ? 1 : 16)
      frame += 1
      if length == 0 {
        _ = layer.gap(100, direction)
      } else {
        _ = layer.consume(input.slice(at + 1, at + 1 + length), direction, frame: frame, emit: take)
      }
      at += 1 + length
    }
    for direction in FlowDirection.allCases { layer.finish(direction, frame: frame, emit: take) }
  }
  precondition(context.heldBytes == 0)
  return 0
}
