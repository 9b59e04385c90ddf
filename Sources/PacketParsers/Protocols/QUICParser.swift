// QUIC's handshake as far as it can be read: the client's Initial packets (RFC 9000 17.2.2), coalesced or spread over several datagrams, and
// the TLS hello in their CRYPTO frames.
// What must stay true: at most `Limits.quicInitials` packets of a flow are opened; CRYPTO data is held up to `Limits.applicationMessageBytes`.
import Primitives

final class QUICParser {
  let context: ApplicationContext
  private var keys: QUICKeys?
  private var opened = 0
  private var isDone = false
  private var assembly = RangeAssembly()
  private var plain: [UInt8] = []
  /// The way the client's packets go, once one of them has opened.
  private var client: FlowDirection?

  init(_ context: ApplicationContext) { self.context = context }
  deinit { assembly.free(context) }

  /// Whether a long header of a version with published keys begins here; of the Initial type, as every connection begins.
  static func recognise(_ datagram: Bytes) -> Bool {
    guard let packet = QUICPacket(datagram), packet.isInitial, QUICVersion.salt(packet.version) != nil else { return false }
    return true
  }

  func consume(_ datagram: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> StreamDemand {
    if isDone || (client != nil && client != direction) { return .enough }
    var rest = datagram
    // Coalesced packets (RFC 9000 12.2); a short header, or what is none, ends the datagram.
    while let packet = QUICPacket(rest) {
      if packet.isInitial, let hello = open(packet, rest, direction) {
        read(hello, direction, frame, emit)
        if isDone { return .enough }
      }
      rest = rest.from(packet.end)
    }
    if opened >= Limits.quicInitials { isDone = true }
    return isDone ? .enough : .more
  }

  /// What an Initial packet holds; nil if it does not open with the keys of the flow, nor with those of its own identifier (a Retry, or
  /// a flow whose start was not seen).
  private func open(_ packet: QUICPacket, _ bytes: Bytes, _ direction: FlowDirection) -> Bool? {
    guard opened < Limits.quicInitials else { return nil }
    opened += 1
    if let keys, packet.open(bytes, keys, into: &plain) { return true }
    guard let fresh = QUICKeys(version: packet.version, destinationID: packet.destinationID(bytes), isClient: true),
      packet.open(bytes, fresh, into: &plain)
    else {
      if client != nil || keys == nil { context.count(.seal) }
      return nil
    }
    keys = fresh
    client = direction
    return true
  }

  private func read(_ hasPlain: Bool, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) {
    let isWhole = plain.withUnsafeBytes { frames($0) }
    if !isWhole { context.count(.value) }
    let bytes = assembly.contiguous
    guard bytes.count >= 4 else { return }
    guard bytes[0] == 1 else {
      isDone = true
      return context.count(.value)
    }
    let size = 4 + (Int(bytes[1]) << 16 | Int(bytes.u16(at: 2)))
    guard size <= Limits.applicationMessageBytes else {
      isDone = true
      return context.count(.tooLong)
    }
    guard bytes.count >= size else { return }
    isDone = true
    switch TLSClientHello.read(bytes.slice(4, size), isQUIC: true, context) {
    case .value(let hello):
      context.counters.messages[Int(ApplicationProtocol.quic.rawValue)] &+= 1
      emit(
        ApplicationMessage(frame: frame, protocol: .quic, direction: direction, isFromClient: true, content: .tlsClientHello(hello)))
    case .failure(let failure): context.count(failure)
    case .incomplete: break
    }
    assembly.free(context)
  }

  /// Takes the CRYPTO frames (RFC 9000 19). False where a frame is none that an Initial packet may have.
  private func frames(_ bytes: Bytes) -> Bool {
    var reader = ByteReader(bytes)
    while let type = reader.u8() {
      switch type {
      case 0, 1: continue
      case 2, 3:  // ACK
        guard reader.variableInteger() != nil, reader.variableInteger() != nil, let ranges = reader.variableInteger(),
          reader.variableInteger() != nil, ranges <= UInt64(bytes.count)
        else { return false }
        for _ in 0..<(2 * ranges + (type == 3 ? 3 : 0)) { guard reader.variableInteger() != nil else { return false } }
      case 6:
        guard let offset = reader.variableInteger(), let length = reader.variableInteger(), length <= UInt64(bytes.count),
          let data = reader.take(Int(length))
        else { return false }
        guard offset + length <= UInt64(Limits.applicationMessageBytes) else {
          context.count(.tooLong)
          continue
        }
        if !assembly.insert(data, at: Int(offset), context) { isDone = true }
      default: return type == 0x1c  // CONNECTION_CLOSE ends what there is to say
      }
    }
    return true
  }
}

/// The long header of one packet, by offsets into its bytes.
struct QUICPacket {
  let version: UInt32
  let isInitial: Bool
  private let destination: Range<Int>
  /// Of the packet number, which is still masked.
  private let numberAt: Int
  /// The packet's end.
  let end: Int

  /// nil: no long header of a known version, or one that says more than there is.
  init?(_ bytes: Bytes) {
    guard bytes.count >= 7, bytes[0] & 0xc0 == 0xc0 else { return nil }
    var reader = ByteReader(bytes, at: 1)
    guard let version = reader.u32(), QUICVersion.salt(version) != nil, let destination = reader.vector8(), destination.count <= 20
    else { return nil }
    let destinationEnd = reader.at
    guard let source = reader.vector8(), source.count <= 20 else { return nil }
    let type = bytes[0] >> 4 & 3
    let initialType: UInt8 = version == QUICVersion.v2.rawValue ? 1 : 0
    if type == initialType {
      guard let token = reader.variableInteger(), token <= UInt64(bytes.count), reader.take(Int(token)) != nil else { return nil }
    } else if type == (initialType &+ 3) & 3 {
      return nil  // Retry: it has no length, and nothing follows it
    }
    guard let length = reader.variableInteger(), length <= UInt64(reader.left), length >= 20 else { return nil }
    self.version = version
    self.destination = destinationEnd - destination.count..<destinationEnd
    isInitial = type == initialType
    numberAt = reader.at
    end = reader.at + Int(length)
  }
  func destinationID(_ bytes: Bytes) -> Bytes { bytes.slice(destination.lowerBound, destination.upperBound) }

  /// Takes off the header's mask and opens what is behind it (RFC 9001 5.4.1).
  func open(_ bytes: Bytes, _ keys: QUICKeys, into plain: inout [UInt8]) -> Bool {
    guard end - numberAt >= 4 + QUICKeys.sampleBytes, let mask = keys.mask(bytes.slice(numberAt + 4, numberAt + 4 + QUICKeys.sampleBytes)) else {
      return false
    }
    var header = [UInt8](bytes.upTo(numberAt + 4))
    header[0] ^= mask[0] & 0x0f
    let numberBytes = Int(header[0] & 3) + 1
    var number: UInt64 = 0
    for i in 0..<numberBytes {
      header[numberAt + i] ^= mask[1 + i]
      number = number << 8 | UInt64(header[numberAt + i])
    }
    header.removeLast(4 - numberBytes)
    return keys.open(bytes.slice(numberAt + numberBytes, end), header: header, packetNumber: number, into: &plain)
  }
}

/// Bytes that come in any order, put where they belong; what comes twice stays as it came first.
struct RangeAssembly {
  private var base: UnsafeMutableRawPointer?
  private var capacity = 0
  /// What is there, in order, not touching each other.
  private var ranges: [Range<Int>] = []

  var contiguous: Bytes {
    guard let first = ranges.first, first.lowerBound == 0 else { return .none }
    return Bytes(start: base, count: first.upperBound)
  }
  mutating func free(_ context: ApplicationContext) {
    guard let memory = base else { return }
    memory.deallocate()
    context.release(capacity)
    base = nil
    capacity = 0
    ranges = []
  }
  /// False: there is no budget, or there are more pieces than `Limits.quicPieces`.
  mutating func insert(_ data: Bytes, at offset: Int, _ context: ApplicationContext) -> Bool {
    guard data.count > 0 else { return true }
    let range = offset..<offset + data.count
    guard grow(to: range.upperBound, context) else { return false }
    var start = range.lowerBound
    var merged = range
    var kept: [Range<Int>] = []
    for old in ranges {
      if old.upperBound < range.lowerBound || old.lowerBound > range.upperBound {
        kept.append(old)
        continue
      }
      copy(data, offset, start, min(old.lowerBound, range.upperBound))
      start = max(start, old.upperBound)
      merged = min(merged.lowerBound, old.lowerBound)..<max(merged.upperBound, old.upperBound)
    }
    copy(data, offset, start, range.upperBound)
    let at = kept.firstIndex { $0.lowerBound > merged.lowerBound } ?? kept.count
    kept.insert(merged, at: at)
    ranges = kept
    return ranges.count <= Limits.quicPieces
  }
  private func copy(_ data: Bytes, _ offset: Int, _ from: Int, _ to: Int) {
    guard to > from, let base else { return }
    (base + from).copyMemory(from: data.baseAddress! + (from - offset), byteCount: to - from)
  }
  private mutating func grow(to size: Int, _ context: ApplicationContext) -> Bool {
    guard size > capacity else { return true }
    let wanted = max(2048, size, min(2 * capacity, Limits.applicationMessageBytes))
    guard context.reserve(wanted) else { return false }
    let memory = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 8)
    if let old = base {
      memory.copyMemory(from: old, byteCount: capacity)
      old.deallocate()
      context.release(capacity)
    }
    base = memory
    capacity = wanted
    return true
  }
}

extension ByteReader {
  /// RFC 9000 16.
  mutating func variableInteger() -> UInt64? {
    guard at < bytes.count else { return nil }
    let length = 1 << Int(bytes[at] >> 6)
    guard let encoded = take(length) else { return nil }
    var value = UInt64(encoded[0] & 0x3f)
    for byte in encoded.from(1) { value = value << 8 | UInt64(byte) }
    return value
  }
}
