// What the parsers of TCP streams have in common: a buffer for each direction, what becomes of gaps and ends, and handing over to another
// protocol in the middle (STARTTLS, CONNECT).
import Primitives

typealias MessageReceiver = (borrowing ApplicationMessage) -> Void

/// One flow's parser. A class, so that a flow that says nothing costs one pointer.
class StreamParser {
  let context: ApplicationContext
  /// What messages say they are; also the flow's name.
  let name: ApplicationProtocol
  private var toResponder = StreamBuffer()
  private var toOriginator = StreamBuffer()
  /// Takes over the directions that are marked.
  private var successor: StreamParser?
  private var isHandedOver = (false, false)

  init(_ name: ApplicationProtocol, _ context: ApplicationContext) {
    self.name = name
    self.context = context
  }
  deinit {
    toResponder.free(context)
    toOriginator.free(context)
  }

  // MARK: For subclasses

  /// Bytes that one message may take.
  var messageLimit: Int { Limits.applicationMessageBytes }
  /// Reads what begins `bytes`, which are never empty.
  func parse(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep { .done }
  /// `missing` bytes are not there; what waited for more is forgotten. False: nothing more can be made of this direction.
  func resynchronise(_ direction: FlowDirection, missing: Int) -> Bool { false }
  /// The direction has ended; `rest`: what waited for more.
  func end(_ rest: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) {}
  /// Who reads the bytes that `parse` did not want because they are of another protocol (`ParseStep.handsOver`).
  func makeSuccessor() -> StreamParser { TLSParser(context) }

  // MARK: For the layer

  final func consume(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> StreamDemand {
    if handedOver(direction), let successor { return successor.consume(bytes, direction, frame, emit) }
    // Taken out while it is fed: `parse` is a method of this object.
    var buffer = take(direction)
    let left = buffer.feed(bytes, limit: messageLimit, context) { parse($0, direction, frame, emit) }
    if let left {
      let next = successor ?? makeSuccessor()
      successor = next
      if direction == .toResponder { isHandedOver.0 = true } else { isHandedOver.1 = true }
      let demand = next.consume(left, direction, frame, emit)
      buffer.finish(context)
      put(buffer, direction)
      return demand
    }
    put(buffer, direction)
    return buffer.isDone ? .enough : .more
  }
  final func gap(_ count: Int, _ direction: FlowDirection) -> StreamDemand {
    if handedOver(direction), let successor { return successor.gap(count, direction) }
    var buffer = take(direction)
    defer { put(buffer, direction) }
    if buffer.isDone { return .enough }
    if buffer.gap(count) { return .more }
    context.counters.gaps &+= 1
    buffer.forget(context)
    if resynchronise(direction, missing: count) { return .more }
    buffer.finish(context)
    return .enough
  }
  final func finish(_ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) {
    if handedOver(direction), let successor { return successor.finish(direction, frame, emit) }
    var buffer = take(direction)
    if !buffer.isDone { end(buffer.bytes, direction, frame, emit) }
    buffer.finish(context)
    put(buffer, direction)
  }
  /// Nothing more is wanted of this direction.
  final func abandon(_ direction: FlowDirection) {
    var buffer = take(direction)
    buffer.finish(context)
    put(buffer, direction)
  }

  /// What a subclass emits.
  final func message(_ content: ApplicationContent, _ direction: FlowDirection, _ frame: UInt64, isFromClient: Bool) -> ApplicationMessage {
    context.counters.messages[Int(name.rawValue)] &+= 1
    return ApplicationMessage(frame: frame, protocol: name, direction: direction, isFromClient: isFromClient, content: content)
  }

  private func handedOver(_ direction: FlowDirection) -> Bool { direction == .toResponder ? isHandedOver.0 : isHandedOver.1 }
  private func take(_ direction: FlowDirection) -> StreamBuffer {
    let buffer = direction == .toResponder ? toResponder : toOriginator
    if direction == .toResponder { toResponder = StreamBuffer() } else { toOriginator = StreamBuffer() }
    return buffer
  }
  private func put(_ buffer: StreamBuffer, _ direction: FlowDirection) {
    if direction == .toResponder { toResponder = buffer } else { toOriginator = buffer }
  }
}

/// One value for each direction.
struct ByDirection<Value> {
  private var toResponder: Value
  private var toOriginator: Value
  init(_ value: Value) {
    toResponder = value
    toOriginator = value
  }
  subscript(_ direction: FlowDirection) -> Value {
    get { direction == .toResponder ? toResponder : toOriginator }
    _modify {
      if direction == .toResponder { yield &toResponder } else { yield &toOriginator }
    }
  }
}
