// Packets: through decoder, fragments, flows, streams and application layers.
import PacketParsers
import PacketSources
import Primitives

private final class Counting: PacketSink {
  var flows: UInt64 = 0
  func message(_ message: borrowing ApplicationMessage, flow: Flow, time: EventTime) {
    // Not in the condition itself: `message` is borrowed, and an autoclosure would outlive that.
    let frame = message.frame
    precondition(frame > 0)
  }
  func flow(_ record: FlowRecord) {
    precondition(record.flow.toResponder.packets + record.flow.toOriginator.packets > 0)
    flows += 1
  }
}

private let links: [UInt32] = [1, 0, 9, 50, 101, 104, 108, 113, 276, 228]

/// The first byte chooses the link layer. Then frames: each after two bytes of length (its low ten bits) and one of time that passed before.
func fuzzPacket(_ input: Bytes) -> CInt {
  guard input.count > 0 else { return 0 }
  let link = LinkType(rawValue: links[Int(input[0]) % links.count])
  var analyzer = PacketAnalyzer(seed: (1, 2), flowCapacity: 8, halfOpenCapacity: 4, contentCapacity: 4)
  let sink = Counting()
  var at = 1
  var number: UInt64 = 0
  var time: Int64 = 0
  while at + 3 <= input.count {
    let count = Int(input[at]) << 8 & 0x300 | Int(input[at + 1])
    time += Int64(input[at + 2]) * 50_000_000
    let frame = input.slice(at + 3, at + 3 + count)
    number += 1
    analyzer.process(frame, linkType: link, time: EventTime(nanoseconds: time), number: number, wireBytes: frame.count, sink: sink)
    at += 3 + count
  }
  analyzer.finish(sink: sink)
  precondition(sink.flows == analyzer.flowCounters.begun)
  return 0
}

func fuzzCaptureFile(_ input: Bytes) -> CInt {
  var at = 0
  let reader = CaptureReader { target in
    let part = input.slice(at, at + target.count)
    target.copyMemory(from: part)
    at += part.count
    return part.count
  }
  var analyzer = PacketAnalyzer(seed: (1, 2), flowCapacity: 8, halfOpenCapacity: 4, contentCapacity: 4)
  let sink = Counting()
  while let frame = reader.next() {
    analyzer.process(
      frame.bytes, linkType: LinkType(rawValue: frame.linkType), time: frame.time, number: frame.number, wireBytes: Int(frame.wireBytes), sink: sink)
  }
  analyzer.finish(sink: sink)
  precondition(reader.position <= UInt64(input.count))
  return 0
}
