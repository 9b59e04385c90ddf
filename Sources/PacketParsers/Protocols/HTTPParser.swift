// HTTP/1 requests and responses of one connection (RFC 9112): pipelined, chunked, with bodies of a length or to the end; MCP and JSON-RPC in
// them; what follows CONNECT or an upgrade to TLS.
// What must stay true: a message is emitted once, when its head and as much of its body as is kept are there (or will never be); bodies beyond
// that are passed over, not held.
import Primitives

final class HTTPParser: StreamParser {
  private enum Phase: Equatable {
    case head
    /// Of a body with a length, or of one chunk: bytes that are still to come.
    case body(Int)
    case chunkSize, chunk(Int), chunkEnd, trailers
    case untilEnd
    /// Behind a gap: whatever does not begin a message is passed over.
    case searching
  }
  private struct Side {
    var phase = Phase.head
    /// Offset up to which a head, or a line of an event stream, was searched for its end.
    var searched = 0
    /// A message whose body is not complete: its head, and what of its body is kept.
    var head = StreamBuffer()
    var body = StreamBuffer()
    var wanted = 0
    var isPending = false
    /// The pending message will get no more of its body.
    var isCut = false
    var isEventStream = false
    var passedOver = 0
  }
  private var sides = ByDirection(Side())
  private enum Expected: UInt8 { case plain, noBody, tunnel }
  /// Requests without an answer yet, oldest first.
  private var open: [Expected] = []
  private var isTunnel = false
  private var calls = RPCCalls()
  /// MCP's session of the connection: answers need not repeat it.
  private var sessionID: [UInt8] = []

  init(_ context: ApplicationContext) { super.init(.http, context) }
  deinit {
    for direction in FlowDirection.allCases {
      sides[direction].head.free(context)
      sides[direction].body.free(context)
    }
  }

  override var messageLimit: Int { Limits.httpHeadBytes }

  override func parse(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    if sides[direction].isCut { flush(direction, frame, emit) }
    switch sides[direction].phase {
    case .head: return head(bytes, direction, frame, emit)
    case .body(let left): return body(bytes, left, direction, frame, emit)
    case .untilEnd: return body(bytes, .max, direction, frame, emit)
    case .chunkSize: return chunkSize(bytes, direction, frame, emit)
    case .chunk(let left): return body(bytes, left, direction, frame, emit)
    case .chunkEnd, .trailers: return trailerLine(bytes, direction, frame, emit)
    case .searching: return search(bytes, direction, frame, emit)
    }
  }
  override func end(_ rest: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) { flush(direction, frame, emit) }

  override func resynchronise(_ direction: FlowDirection, missing: Int) -> Bool {
    switch sides[direction].phase {
    case .body(let left) where left >= missing: sides[direction].phase = left > missing ? .body(left - missing) : .head
    case .chunk(let left) where left >= missing: sides[direction].phase = left > missing ? .chunk(left - missing) : .chunkEnd
    case .untilEnd: break
    default:
      sides[direction].phase = .searching
      sides[direction].searched = 0
    }
    sides[direction].isCut = sides[direction].isPending
    // What comes behind a gap is no answer to a request that may have been in it.
    open.removeAll()
    return true
  }
  private func search(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    if HTTPHead.mayStart(bytes) != false {
      sides[direction].phase = .head
      return head(bytes, direction, frame, emit)
    }
    sides[direction].passedOver += 1
    return sides[direction].passedOver > 64 ? .done : .took(bytes.count)
  }

  // MARK: Heads

  private func head(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    if bytes[0] == 0x0d || bytes[0] == 0x0a { return .took(1) }
    if isTunnel || bytes[0] == 0x16 { return TLSParser.recognise(bytes).map { $0 ? .handsOver : .done } ?? .needs(6) }
    guard let end = endOfHead(bytes, direction) else {
      if HTTPHead.mayStart(bytes) == false { return .failed(ParseFailure(0, .value)) }
      return .needs(bytes.count + 1)
    }
    sides[direction].searched = 0
    guard HTTPHead.mayStart(bytes) == true, let head = HTTPHead.read(bytes.upTo(end)) else { return .failed(ParseFailure(0, .value)) }
    if head.method.equals("PRI") { return .done }  // HTTP/2
    let framing = framing(of: head)
    return begin(head, bytes, end, framing, direction, frame, emit)
  }
  /// The offset behind the empty line; nil where it is not there yet.
  private func endOfHead(_ bytes: Bytes, _ direction: FlowDirection) -> Int? {
    var at = sides[direction].searched
    while let line = bytes.index(of: 0x0a, from: at) {
      if line + 1 < bytes.count, bytes[line + 1] == 0x0a { return line + 2 }
      if line + 2 < bytes.count, bytes[line + 1] == 0x0d, bytes[line + 2] == 0x0a { return line + 3 }
      if line + 2 >= bytes.count {
        sides[direction].searched = line
        return nil
      }
      at = line + 1
    }
    sides[direction].searched = bytes.count
    return nil
  }

  private enum Framing { case none, length(Int), chunked, untilEnd, tunnel }
  private func framing(of head: HTTPHead) -> Framing {
    if !head.isResponse {
      if head.method.equals("HEAD") { note(.noBody) } else { note(head.method.equals("CONNECT") ? .tunnel : .plain) }
      if head.method.equals("CONNECT") { return .none }
      if head.isChunked { return .chunked }
      return head.contentLength.map { $0 > 0 ? .length($0) : .none } ?? .none
    }
    if head.status < 200, head.status != 101 { return .none }
    let asked = open.isEmpty ? .plain : open.removeFirst()
    if asked == .tunnel, head.status < 300 { return .tunnel }
    if head.status == 101 { return .tunnel }
    if asked == .noBody || head.status == 204 || head.status == 304 { return .none }
    if head.isChunked { return .chunked }
    return head.contentLength.map { $0 > 0 ? .length($0) : .none } ?? .untilEnd
  }
  private func note(_ expected: Expected) { if open.count < Limits.httpPipelined { open.append(expected) } }

  /// Emits the message if all that is kept of it is here, else holds it.
  private func begin(
    _ head: HTTPHead, _ bytes: Bytes, _ end: Int, _ framing: Framing, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver
  ) -> ParseStep {
    switch framing {
    case .none:
      send(head, .none, direction, frame, emit)
      return .took(end)
    case .tunnel:
      send(head, .none, direction, frame, emit)
      isTunnel = true
      return .took(end)
    case .length(let length):
      let kept = min(length, head.bodyLimit)
      if !head.isEventStream, bytes.count - end >= kept {
        send(head, bytes.slice(end, end + kept), direction, frame, emit)
        return .took(end + length)
      }
      sides[direction].phase = .body(length)
    case .chunked: sides[direction].phase = .chunkSize
    case .untilEnd: sides[direction].phase = .untilEnd
    }
    return hold(head, bytes.upTo(end), direction, frame, emit) ? .took(end) : .done
  }
  private func hold(_ head: HTTPHead, _ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> Bool {
    sides[direction].isEventStream = head.isEventStream
    if head.isEventStream {
      send(head, .none, direction, frame, emit)
      return true
    }
    sides[direction].wanted = head.bodyLimit
    sides[direction].isPending = true
    return sides[direction].head.append(bytes, context)
  }

  // MARK: Bodies

  private func body(_ bytes: Bytes, _ left: Int, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    let part = bytes.upTo(left)
    let whole = left - part.count
    collect(part, direction, frame, emit)
    switch sides[direction].phase {
    case .body:
      if whole == 0 {
        sides[direction].phase = .head
        finishBody(direction, frame, emit)
      } else if !isCollecting(direction) {
        sides[direction].phase = .head
        return .took(left)
      } else {
        sides[direction].phase = .body(whole)
      }
    case .chunk: sides[direction].phase = whole == 0 ? .chunkEnd : .chunk(whole)
    default: if !isCollecting(direction) { return .done }
    }
    return .took(part.count)
  }
  private func isCollecting(_ direction: FlowDirection) -> Bool { sides[direction].isPending || sides[direction].isEventStream }

  private func collect(_ part: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) {
    if sides[direction].isEventStream { return eventStream(part, direction, frame, emit) }
    guard sides[direction].isPending else { return }
    let room = sides[direction].wanted - sides[direction].body.count
    guard sides[direction].body.append(part.upTo(room), context) else { return flush(direction, frame, emit) }
    if part.count >= room { flush(direction, frame, emit) }
  }
  private func finishBody(_ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) {
    if sides[direction].isEventStream {
      sides[direction].isEventStream = false
      sides[direction].searched = 0
      sides[direction].body.free(context)
    }
    flush(direction, frame, emit)
  }
  /// The pending message with what there is of its body.
  private func flush(_ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) {
    sides[direction].isCut = false
    guard sides[direction].isPending else { return }
    sides[direction].isPending = false
    // Taken out: what is sent refers to them.
    var head = sides[direction].head
    var body = sides[direction].body
    sides[direction].head = StreamBuffer()
    sides[direction].body = StreamBuffer()
    if let read = HTTPHead.read(head.bytes) { send(read, body.bytes, direction, frame, emit) }
    head.free(context)
    body.free(context)
  }

  // MARK: Chunks (RFC 9112 7.1)

  private func line(_ bytes: Bytes) -> (text: Bytes, size: Int)? {
    guard let end = bytes.index(of: 0x0a) else { return nil }
    return (bytes.upTo(end).trimmed, end + 1)
  }
  private func needsLine(_ bytes: Bytes) -> ParseStep { bytes.count < 4096 ? .needs(bytes.count + 1) : .failed(ParseFailure(0, .tooLong)) }

  private func chunkSize(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    guard let (text, size) = line(bytes) else { return needsLine(bytes) }
    var value = 0
    var digits = 0
    while digits < text.count, digits < 12, let digit = hexDigit(text[digits]) {
      value = value << 4 | Int(digit)
      digits += 1
    }
    guard digits > 0 else {
      flush(direction, frame, emit)
      return .failed(ParseFailure(0, .value))
    }
    if value == 0 {
      sides[direction].phase = .trailers
    } else {
      sides[direction].phase = .chunk(value)
    }
    return .took(size)
  }
  private func trailerLine(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    guard let (text, size) = line(bytes) else { return needsLine(bytes) }
    if sides[direction].phase == .chunkEnd {
      guard text.count == 0 else {
        flush(direction, frame, emit)
        return .failed(ParseFailure(0, .value))
      }
      sides[direction].phase = .chunkSize
    } else if text.count == 0 {
      sides[direction].phase = .head
      finishBody(direction, frame, emit)
    }
    return .took(size)
  }

  // MARK: Event streams (MCP's way of answering)

  private func eventStream(_ part: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) {
    var buffer = sides[direction].body
    sides[direction].body = StreamBuffer()
    _ = buffer.feed(part, limit: Limits.httpStructuredBodyBytes, context) { bytes in
      guard let end = bytes.index(of: 0x0a, from: sides[direction].searched) else {
        sides[direction].searched = bytes.count
        return .needs(bytes.count + 1)
      }
      sides[direction].searched = 0
      let text = bytes.upTo(end).trimmed
      if text.starts(with: "data:") { rpc(text.from(5).trimmed, .none, direction, frame, isFromClient: false, emit) }
      return .took(end + 1)
    }
    sides[direction].body = buffer
  }

  // MARK: Messages

  private func send(_ head: HTTPHead, _ body: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) {
    if head.isResponse {
      emit(message(.httpResponse(HTTPResponse(head: head, body: body)), direction, frame, isFromClient: false))
    } else {
      sendRequest(HTTPRequest(head: head, body: body), direction, frame, emit)
    }
    if head.isStructured, body.count > 0 { rpc(body, head.sessionID, direction, frame, isFromClient: !head.isResponse, emit) }
  }
  private func sendRequest(_ plain: HTTPRequest, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) {
    let authorization = plain.head.authorization
    var request = plain
    if authorization.startsIgnoringCase("basic "), let pair = Base64.decode(authorization.from(6).trimmed) {
      pair.withUnsafeBytes {
        request.user = $0.upTo($0.index(of: 0x3a) ?? 0)
        emit(message(.httpRequest(request), direction, frame, isFromClient: true))
      }
    } else if plain.body.count > 0, plain.head.isForm, let form = HTTPForm(plain.body) {
      request.method = "form"
      form.user.withUnsafeBytes { user in
        form.body.withUnsafeBytes { body in
          request.user = user
          request.body = body
          emit(message(.httpRequest(request), direction, frame, isFromClient: true))
        }
      }
    } else {
      emit(message(.httpRequest(plain), direction, frame, isFromClient: true))
    }
  }
  private func rpc(
    _ body: Bytes, _ sessionID: Bytes, _ direction: FlowDirection, _ frame: UInt64, isFromClient: Bool, _ emit: MessageReceiver
  ) {
    guard body.contains("\"jsonrpc\"") else { return }
    if sessionID.count > 0, !self.sessionID.elementsEqual(sessionID) { self.sessionID = Array(sessionID.upTo(128)) }
    self.sessionID.withUnsafeBytes { session in
      JSONRPCReader.read(body, sessionID: session, &calls) {
        emit(message(.jsonRPC($0), direction, frame, isFromClient: isFromClient))
      }
    }
  }
}
