// What goes between the capture and the engine: that it arrives as it was sent, and that the reader takes any bytes without harm.
import Events
import Primitives
import Testing

@testable import CaptureChannel

private func text(_ event: borrowing Event, _ field: Field) -> String? { event.text(field)?.string }

/// A connection as a capture begins it, with one interface.
private func opening() -> [UInt8] {
  var out: [UInt8] = []
  CaptureEncoder.fields(to: &out)
  CaptureEncoder.interface(0, "eth0", to: &out)
  return out
}

private func sample(_ body: (inout Event) -> Void = { _ in }) -> [UInt8] {
  var event = Event()
  event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
  event.time = EventTime(nanoseconds: 1_767_571_200_123_456_789)
  event.trust = .attested
  event.set(.eventAction, "network-flow" as StaticString)
  event.set(.sourceIP, IPAddress(v4: 0xc000_0207))
  event.set(.destinationIP, IPAddress(v6High: 0x2001_0db8_0000_0001, low: 7))
  event.set(.sourcePort, 40_000)
  event.set(.networkBytes, Int64.max)
  event.setExtra(Bytes("panguard.flow.example" as StaticString), Bytes("S0" as StaticString))
  body(&event)
  var out: [UInt8] = []
  let fits = CaptureEncoder.event(event, interface: 0, frame: 4711, to: &out)
  #expect(fits)
  return out
}

/// Everything that a reader makes of `bytes`, until it needs more or gives up.
private func read(_ bytes: [UInt8], _ decoder: inout CaptureDecoder, _ event: inout Event) -> [CaptureDecoded] {
  var found: [CaptureDecoded] = []
  bytes.withUnsafeBytes { all in
    var at = 0
    while true {
      let (decoded, consumed) = decoder.next(all.from(at), into: &event)
      found.append(decoded)
      at += consumed
      #expect(consumed >= 0 && at <= all.count)
      if consumed == 0 { return }
    }
  }
  return found
}

@Suite struct CaptureChannelTests {
  @Test func anEventArrivesAsItWasSent() {
    var decoder = CaptureDecoder()
    var event = Event()
    let bytes = opening() + sample()
    let found = read(bytes, &decoder, &event)
    #expect(found == [.learned, .learned, .event(interface: 0, frame: 4711), .incomplete(CaptureProtocol.headerBytes)])
    #expect(decoder.interfaces == ["eth0"] && decoder.unknownFields == 0)
    #expect(event.time == EventTime(nanoseconds: 1_767_571_200_123_456_789) && event.trust == .attested && !event.isTruncated)
    #expect(event.origin.offset == 4711)
    #expect(text(event, .eventAction) == "network-flow")
    #expect(event.address(.sourceIP) == IPAddress(v4: 0xc000_0207))
    #expect(event.address(.destinationIP) == IPAddress(v6High: 0x2001_0db8_0000_0001, low: 7))
    #expect(event.integer(.sourcePort) == 40_000 && event.integer(.networkBytes) == .max)
    #expect(event.extra(Bytes("panguard.flow.example" as StaticString))?.string == "S0" && event.extraCount == 1)
    #expect(event.raw.count == sample().count)
    // And goes out again as the same bytes.
    var again: [UInt8] = []
    let fits = CaptureEncoder.event(event, interface: 0, frame: 4711, to: &again)
    #expect(fits && again == sample())
  }

  @Test func countersAndNoticesArrive() {
    var out = opening()
    CaptureEncoder.counters([("packets:eth0", 5), ("kernel_drops:eth0", .max), ("odd name\n", 1)], to: &out)
    CaptureEncoder.notice(String(repeating: "ä", count: 2000), to: &out)
    var decoder = CaptureDecoder()
    var event = Event()
    let found = read(out, &decoder, &event)
    #expect(
      found[2] == .counters([CaptureCounter("packets:eth0", 5), CaptureCounter("kernel_drops:eth0", .max), CaptureCounter("odd?name?", 1)]))
    #expect(found[3] == .notice(String(repeating: "ä", count: Limits.captureNoticeBytes / 2)))
  }

  /// Whatever pieces it comes in.
  @Test func everyBeginningIsIncomplete() {
    let begun = opening()
    let whole = sample()
    for count in 0..<whole.count {
      var decoder = CaptureDecoder()
      var event = Event()
      _ = read(begun, &decoder, &event)
      let (decoded, consumed) = whole[..<count].withUnsafeBytes { decoder.next($0, into: &event) }
      guard case .incomplete(let wanted) = decoded, consumed == 0, wanted > count, wanted <= whole.count else {
        Issue.record("\(count): \(decoded)")
        continue
      }
    }
  }

  /// A capture of another version, for the moment of an upgrade: what it has and we do not is left out, and counted.
  @Test func fieldsOfAnotherVersionAreLeftOut() {
    func name(_ text: String) -> [UInt8] { [UInt8(text.utf8.count)] + Array(text.utf8) }
    func message(_ kind: CaptureProtocol.Kind, _ body: [UInt8]) -> [UInt8] {
      let count = body.count + 8
      return [0, 0, UInt8(count >> 8), UInt8(count & 255), 1, kind.rawValue, 0, 0] + body
    }
    let names = message(.fields, [0, 2] + name("new.field") + name("source.port"))
    let body: [UInt8] =
      [0, 0, 0, 0, 0, 0, 0, 9] + [0, 0] + [0, 0, 0, 0, 0, 0, 0, 1] + [0, 0, 2] + [0, 0, 0, 0, 0, 0, 2, 0x68, 0x69]
      + [0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 80]
    var interface: [UInt8] = []
    CaptureEncoder.interface(0, "eth0", to: &interface)
    var decoder = CaptureDecoder()
    var event = Event()
    let found = read(names + interface + message(.event, body), &decoder, &event)
    #expect(found[2] == .event(interface: 0, frame: 1), "\(found)")
    #expect(decoder.unknownFields == 1 && event.integer(.sourcePort) == 80)
  }

  @Test func whatIsNoMessageEndsTheConnection() {
    func first(_ bytes: [UInt8], after begun: [UInt8] = opening()) -> CaptureDecoded {
      var decoder = CaptureDecoder()
      var event = Event()
      _ = read(begun, &decoder, &event)
      return bytes.withUnsafeBytes { decoder.next($0, into: &event).0 }
    }
    var event = sample()
    #expect(first(event, after: []) == .malformed(.order))
    event[4] = 9
    #expect(first(event) == .malformed(.version(9)))
    event = sample()
    event[5] = 77
    #expect(first(event) == .malformed(.kind(77)))
    event = sample()
    event[6] = 1
    #expect(first(event) == .malformed(.reserved))
    // Longer than any event, refused by the header alone.
    #expect(first([0x7f, 0xff, 0xff, 0xff, 1, 3, 0, 0]) == .malformed(.length(0x7fff_ffff)))
    #expect(first([0, 0, 0, 7, 1, 3, 0, 0]) == .malformed(.length(7)))
    var names: [UInt8] = []
    CaptureEncoder.fields(to: &names)
    #expect(first(names) == .malformed(.order))
    // An interface out of its turn, an event of one that was not announced, a trust that is none.
    var interface: [UInt8] = []
    CaptureEncoder.interface(2, "eth2", to: &interface)
    guard case .malformed(.body) = first(interface) else {
      Issue.record("interface 2")
      return
    }
    for (offset, value) in [(8 + 9, UInt8(1)), (8 + 18, 2), (8 + 19, 2)] {
      var changed = sample()
      changed[offset] = value
      guard case .malformed(.body) = first(changed) else {
        Issue.record("\(offset)")
        continue
      }
    }
    // Trailing bytes in a message, and a field with a value of another type.
    var longer = sample()
    longer.append(0)
    longer[3] += 1
    guard case .malformed(.body) = first(longer) else {
      Issue.record("trailing byte")
      return
    }
  }

  @Test func whatIsTooLongIsNotSent() {
    var event = Event()
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    event.allowLargeTexts()
    let long = [UInt8](repeating: 0x61, count: Limits.captureMessageBytes)
    long.withUnsafeBytes { event.set(.message, $0) }
    var out: [UInt8] = [1, 2, 3]
    let fits = CaptureEncoder.event(event, interface: 0, frame: 1, to: &out)
    #expect(!fits && out == [1, 2, 3])
  }

  /// Every byte changed to many values, and random bytes: an answer, no trap, and never more consumed than there is.
  @Test func mutatedBytesDoNoHarm() {
    var generator = SystemRandomNumberGenerator()
    let bytes = opening() + sample() + sample { $0.setExtra(Bytes("a" as StaticString), Bytes("b" as StaticString)) }
    var event = Event()
    for _ in 0..<5000 {
      var changed = bytes
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let at = Int.random(in: 0..<changed.count, using: &generator)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: changed[at] = UInt8.random(in: 0...255, using: &generator)
        case 1: changed.remove(at: at)
        default: changed.insert(UInt8.random(in: 0...255, using: &generator), at: at)
        }
      }
      var decoder = CaptureDecoder()
      _ = read(changed, &decoder, &event)
    }
  }
}
