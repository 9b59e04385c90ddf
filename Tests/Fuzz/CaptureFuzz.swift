// What the engine reads from the capture: any bytes are a message, a beginning or an error; an event goes out again as a message that is read
// to the same.
import CaptureChannel
import Events
import Primitives

func fuzzCaptureMessages(_ input: Bytes) -> CInt {
  var decoder = CaptureDecoder()
  var event = Event()
  // Behind what every connection begins with.
  var begun: [UInt8] = []
  if input.first.map({ $0 & 1 == 0 }) ?? false {
    CaptureEncoder.fields(to: &begun)
    CaptureEncoder.interface(0, "eth0", to: &begun)
  }
  begun.withUnsafeBytes { bytes in
    var at = 0
    while case let consumed = decoder.next(bytes.from(at), into: &event).consumed, consumed > 0 { at += consumed }
  }
  var at = 1
  while at < input.count {
    let (decoded, consumed) = decoder.next(input.from(at), into: &event)
    precondition(consumed >= 0 && consumed <= input.count - at)
    switch decoded {
    case .incomplete(let wanted): precondition(wanted > input.count - at && consumed == 0)
    case .malformed: precondition(consumed == 0)
    case .event(let interface, let frame):
      precondition(interface < decoder.interfaces.count && consumed > 0)
      var again: [UInt8] = []
      precondition(CaptureEncoder.event(event, interface: UInt16(interface), frame: frame, to: &again) || consumed > 0)
    case .counters, .notice, .learned: precondition(consumed > 0)
    }
    if consumed == 0 { return 0 }
    at += consumed
  }
  return 0
}
