// A log: its lines go through parser and tracker. The first byte of the input chooses the format; the rest are lines.
import Events
import LogParsers
import Primitives

func fuzzLogParser(_ input: Bytes) -> CInt {
  guard input.count > 0 else { return 0 }
  let formats = LogFormat.allCases
  let format = formats[Int(input[0]) % (formats.count * 2) % formats.count]
  var parser = LogParser(
    format: format, inputTime: EventTime(seconds: 1_780_000_000), program: Int(input[0]) >= formats.count * 16 ? "sshd" : nil)
  var tracker = SessionTracker()
  var event = Event()
  var derived = Event()
  var at = 1
  while at < input.count {
    let end = input.index(of: 0x0a, from: at) ?? input.count
    let line = input.slice(at, end)
    _ = parser.parse(line, origin: EventOrigin(source: 0, offset: UInt64(at), length: UInt32(line.count)), into: &event)
    precondition(event.has(.message))
    precondition(!(event.has(.isAmbiguous) && event.has(.sourceIP)))
    while tracker.nextExpired(asOf: event.time, into: &derived) {}
    tracker.observe(&event)
    at = end + 1
  }
  return 0
}
