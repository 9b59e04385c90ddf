// What two ends say to each other, and what the application layer makes of it: the form of the tests of every protocol.
import Events
import Primitives

@testable import PacketParsers

struct Conversation {
  var name: String
  var transport = TransportProtocol.tcp
  var ports: (UInt16, UInt16) = (40_000, 4000)
  /// In the order they are seen; for UDP each is a datagram.
  var turns: [(direction: FlowDirection, bytes: [UInt8])]

  init(_ name: String, _ transport: TransportProtocol = .tcp, ports: (UInt16, UInt16) = (40_000, 4000), turns: [(FlowDirection, [UInt8])]) {
    self.name = name
    self.transport = transport
    self.ports = ports
    self.turns = turns.map { (direction: $0.0, bytes: $0.1) }
  }
  /// `>` begins what the originator says, `<` what the responder says.
  init(_ name: String, ports: (UInt16, UInt16) = (40_000, 4000), lines: [String]) {
    self.init(name, ports: ports, turns: lines.map { ($0.hasPrefix(">") ? .toResponder : .toOriginator, Array($0.dropFirst(2).utf8)) })
  }
}

/// A layer and what it said.
struct Listener {
  let context = ApplicationContext()
  var layer: ApplicationLayer
  private(set) var messages: [[String: String]] = []
  private(set) var frame: UInt64 = 0
  var demand = StreamDemand.more

  init(_ transport: TransportProtocol = .tcp, ports: (UInt16, UInt16) = (40_000, 4000)) {
    layer = ApplicationLayer(transport: transport, originatorPort: ports.0, responderPort: ports.1, context: context)
  }
  mutating func hear(_ bytes: [UInt8], _ direction: FlowDirection) {
    frame += 1
    var heard: [[String: String]] = []
    demand = bytes.withUnsafeBytes { layer.consume($0, direction, frame: frame) { heard.append(Listener.fields($0)) } }
    messages += heard
  }
  mutating func finish(_ direction: FlowDirection) {
    var heard: [[String: String]] = []
    layer.finish(direction, frame: frame) { heard.append(Listener.fields($0)) }
    messages += heard
  }

  /// All fields of a message but the number of its frame, and which way it went.
  static func fields(_ message: borrowing ApplicationMessage) -> [String: String] {
    var event = Event()
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    message.appendFields(to: &event)
    var out = ["way": message.direction == .toResponder ? ">" : "<", "client": message.isFromClient ? "yes" : "no"]
    for field in Field.allCases where field != .frameNumber {
      var text: [UInt8] = []
      if event.appendText(of: field, to: &text) { out["\(field.name)"] = String(decoding: text, as: UTF8.self) }
    }
    return out
  }
}

extension Conversation {
  /// The messages, in order. `split`: at most so many bytes at a time (TCP).
  func messages(split: Int = .max) -> [[String: String]] {
    var listener = Listener(transport, ports: ports)
    for turn in turns {
      var at = 0
      repeat {
        let end = transport == .udp ? turn.bytes.count : min(turn.bytes.count, at &+ min(split, turn.bytes.count))
        listener.hear(Array(turn.bytes[at..<end]), turn.direction)
        at = end
      } while at < turn.bytes.count
    }
    for direction in FlowDirection.allCases { listener.finish(direction) }
    return listener.messages
  }
  /// Each direction's bytes in one piece, cut in two at `cut`.
  func messages(cut: Int, _ first: FlowDirection) -> [[String: String]] {
    var listener = Listener(transport, ports: ports)
    for direction in [first, first.opposite] {
      let bytes = turns.filter { $0.direction == direction }.flatMap(\.bytes)
      let at = min(cut, bytes.count)
      for part in [bytes[..<at], bytes[at...]] where !part.isEmpty { listener.hear(Array(part), direction) }
    }
    for direction in FlowDirection.allCases { listener.finish(direction) }
    return listener.messages
  }
}

/// Some of the fields of each message, a line each: what a table can show.
func lines(_ messages: [[String: String]], _ fields: String...) -> [String] {
  messages.map { message in fields.map { message[$0] ?? "-" }.joined(separator: " ") }
}

/// Numbers that are the same in every run.
struct Randomness: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    var x = state
    x ^= x >> 33
    x &*= 0xff51_afd7_ed55_8ccd
    return x ^ x >> 33
  }
}
