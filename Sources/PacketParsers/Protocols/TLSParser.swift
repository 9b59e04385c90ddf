// The clear part of a TLS connection: records, the handshake messages in them (across records and segments), until it is sealed.
// What must stay true: after the hellos a direction is given up as soon as it is sealed, so that bulk costs nothing here.
import Primitives

final class TLSParser: StreamParser {
  private var handshake = ByDirection(StreamBuffer())
  private var sawChangeCipherSpec = ByDirection(false)
  /// Behind a gap, or where something else came first: segments that begin no handshake.
  private var isLost = ByDirection(false)
  private var strangers = ByDirection(UInt8(0))
  /// Bytes before the first record.
  private var preamble = ByDirection(0)

  /// `preambles`: the way that the client's request for TLS goes (PostgreSQL), if there is one before the first record.
  init(_ context: ApplicationContext, preambles client: FlowDirection? = nil) {
    if let client {
      preamble[client] = TLSParser.postgresRequest.count
      preamble[client.opposite] = 1
    }
    super.init(.tls, context)
  }
  deinit {
    handshake[.toResponder].free(context)
    handshake[.toOriginator].free(context)
  }

  private static let recordHead = 5
  /// RFC 5246 6.2.3: 2^14 and what sealing adds.
  private static let longestRecord = 16_384 + 2048

  /// Whether a handshake begins here. nil: too few bytes to say.
  static func recognise(_ bytes: Bytes) -> Bool? {
    guard let type = bytes.first else { return nil }
    if type != 0x16 || (bytes.count > 1 && bytes[1] != 3) || (bytes.count > 2 && bytes[2] > 4) { return false }
    guard bytes.count >= 6 else { return nil }
    let length = Int(bytes.u16(at: 3))
    return length > 0 && length <= longestRecord && (bytes[5] == 1 || bytes[5] == 2)
  }

  /// Whether a record of a connection whose handshake was not seen begins here.
  static func recogniseLater(_ bytes: Bytes) -> Bool? {
    guard bytes.count >= recordHead else { return nil }
    return (0x14...0x17).contains(bytes[0]) && bytes[1] == 3 && bytes[2] <= 4 && (1...longestRecord).contains(Int(bytes.u16(at: 3)))
  }

  private static let postgresRequest: [UInt8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]
  /// PostgreSQL's SSLRequest, which the server answers with one letter.
  static func recognisePreamble(_ bytes: Bytes) -> Bool? {
    let shown = min(bytes.count, postgresRequest.count)
    guard bytes.upTo(shown).elementsEqual(postgresRequest.prefix(shown)) else { return false }
    return bytes.count >= postgresRequest.count ? true : nil
  }

  override func resynchronise(_ direction: FlowDirection, missing: Int) -> Bool {
    isLost[direction] = true
    handshake[direction].forget(context)
    return true
  }
  override func parse(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    if isLost[direction] {
      guard let isHandshake = TLSParser.recognise(bytes) else { return .needs(6) }
      guard isHandshake else {
        strangers[direction] += 1
        return strangers[direction] >= Limits.unknownSegments ? .done : .took(bytes.count)
      }
      isLost[direction] = false
    }
    if preamble[direction] > 0 {
      let skipped = preamble[direction]
      preamble[direction] = 0
      return .took(skipped)
    }
    guard bytes.count >= TLSParser.recordHead else { return .needs(TLSParser.recordHead) }
    let length = Int(bytes.u16(at: 3))
    guard bytes[1] == 3, length <= TLSParser.longestRecord else { return .failed(ParseFailure(1, .value)) }
    let size = TLSParser.recordHead + length
    switch bytes[0] {
    case 0x16:
      guard bytes.count >= size else { return .needs(size) }
      return records(bytes.slice(TLSParser.recordHead, size), direction, frame, emit) ? .took(size) : .done
    case 0x14:
      sawChangeCipherSpec[direction] = true
      return .took(size)
    case 0x15: return .took(size)
    case 0x17, 0x18: return .done
    default: return .failed(ParseFailure(0, .value))
    }
  }

  /// One handshake record. False: nothing more is to be read in this direction.
  private func records(_ fragment: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> Bool {
    // Behind ChangeCipherSpec all is sealed, but for the hello that follows a HelloRetryRequest.
    if sawChangeCipherSpec[direction], !isHello(fragment) { return false }
    var buffer = handshake[direction]
    handshake[direction] = StreamBuffer()
    _ = buffer.feed(fragment, limit: Limits.applicationMessageBytes, context) { handshakeMessage($0, direction, frame, emit) }
    handshake[direction] = buffer
    return !buffer.isDone
  }
  private func isHello(_ fragment: Bytes) -> Bool {
    guard fragment.count >= 4, fragment[0] == 1 || fragment[0] == 2 else { return false }
    return (Int(fragment[1]) << 16 | Int(fragment.u16(at: 2))) + 4 == fragment.count
  }

  private func handshakeMessage(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    guard bytes.count >= 4 else { return .needs(4) }
    let size = 4 + (Int(bytes[1]) << 16 | Int(bytes.u16(at: 2)))
    switch bytes[0] {
    case 1, 2, 11:
      guard bytes.count >= size else { return .needs(size) }
      return hello(bytes[0], bytes.slice(4, size), direction, frame, emit) ?? .took(size)
    case 14: return .done  // ServerHelloDone
    // Key exchanges, requests, tickets, status: nothing that is asked for, but a certificate may follow.
    case 0, 4, 12, 13, 15, 16, 20, 22, 23, 24: return .took(size)
    default: return .failed(ParseFailure(0, .value))
    }
  }
  private func hello(_ type: UInt8, _ body: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep? {
    switch type {
    case 1:
      switch TLSClientHello.read(body, isQUIC: false, context) {
      case .value(let hello):
        emit(message(.tlsClientHello(hello), direction, frame, isFromClient: true))
        // A second hello, which a HelloRetryRequest asks for, says the same about the client. What else it sends in the clear is not asked for.
        return .done
      case .failure(let failure): return .failed(failure)
      case .incomplete: return .done
      }
    case 2:
      switch TLSServerHello.read(body, context) {
      case .value(let hello):
        let isSealedNext = hello.selectedVersion == 0x0304 || hello.selectedVersion >> 8 == 0x7f
        emit(message(.tlsServerHello(hello), direction, frame, isFromClient: false))
        if isSealedNext, !hello.isRetryRequest { return .done }
      case .failure(let failure): return .failed(failure)
      case .incomplete: return .done
      }
    default:
      let failure = TLSCertificate.read(body, &context.scratch) {
        emit(message(.tlsCertificate($0), direction, frame, isFromClient: false))
      }
      if let failure { context.count(failure) }
      return .done
    }
    return nil
  }
}
