// The fields of a frame, read and written. A reader throws where the bytes end or are not in the one form that a value has.
import Primitives

package struct FrameReader {
  private let bytes: Bytes
  package private(set) var at: Int
  init(_ bytes: Bytes, at: Int) {
    self.bytes = bytes
    self.at = at
  }
  package var isAtEnd: Bool { at == bytes.count }
  package var failure: ProtocolError { .body(offset: at) }

  package mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws(ProtocolError) -> Value {
    let size = MemoryLayout<Value>.size
    guard bytes.count - at >= size else { throw failure }
    defer { at += size }
    return Value(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: Value.self))
  }
  package mutating func u64() throws(ProtocolError) -> UInt64 { try integer(UInt64.self) }

  /// The entries must fill the frame: a count cannot ask for more memory than the sender paid for.
  package mutating func list<Element>(
    atMost limit: Int = Limits.enforcedBlocks, _ read: (inout FrameReader) throws(ProtocolError) -> Element
  ) throws(ProtocolError) -> [Element] {
    let count = Int(try integer(UInt32.self))
    guard count <= limit, count <= bytes.count - at else { throw failure }
    var out: [Element] = []
    out.reserveCapacity(count)
    for _ in 0..<count { out.append(try read(&self)) }
    return out
  }

  static func network(_ reader: inout FrameReader) throws(ProtocolError) -> CIDR {
    guard let value = try optionalNetwork(&reader) else { throw reader.failure }
    return value
  }
  private static func optionalNetwork(_ reader: inout FrameReader) throws(ProtocolError) -> CIDR? {
    let failure = reader.failure
    let family = try reader.integer(UInt8.self)
    let prefix = Int(try reader.integer(UInt8.self))
    let high = try reader.u64()
    let low = try reader.u64()
    let address: IPAddress
    switch family {
    case 0:
      guard prefix == 0, high == 0, low == 0 else { throw failure }
      return nil
    case 4:
      guard prefix <= 32, low == 0, high & 0xffff_ffff == 0 else { throw failure }
      address = IPAddress(v4: UInt32(high >> 32))
    case 6:
      guard prefix <= 128 else { throw failure }
      address = IPAddress(v6High: high, low: low)
      // A mapped address would be another family here than it is there.
      guard !address.isV4 else { throw failure }
    default: throw failure
    }
    let network = CIDR(address, prefixLength: prefix)
    guard network.base == address else { throw failure }
    return network
  }
  static func block(_ reader: inout FrameReader) throws(ProtocolError) -> Block {
    Block(try network(&reader), seconds: try reader.integer(UInt32.self))
  }
  static func active(_ reader: inout FrameReader) throws(ProtocolError) -> ActiveBlock {
    ActiveBlock(try network(&reader), remainingMilliseconds: try reader.u64())
  }
  static func outcome(_ reader: inout FrameReader) throws(ProtocolError) -> BlockOutcome {
    let failure = reader.failure
    let code = try reader.integer(UInt8.self)
    let detail = try reader.integer(UInt8.self)
    let number = try reader.integer(UInt16.self)
    let network = try optionalNetwork(&reader)
    guard let outcome = BlockOutcome(code: code, detail: detail, number: number, network: network) else { throw failure }
    return outcome
  }
  static func notice(_ reader: inout FrameReader) throws(ProtocolError) -> EnforcerNotice {
    let failure = reader.failure
    guard let kind = EnforcerNotice.Kind(rawValue: try reader.integer(UInt8.self)) else { throw failure }
    let protected = try reader.integer(UInt8.self)
    guard protected == 0 || ProtectedKind(rawValue: protected) != nil else { throw failure }
    return EnforcerNotice(kind, try network(&reader), protected: ProtectedKind(rawValue: protected))
  }
  mutating func status() throws(ProtocolError) -> EnforcerStatus {
    var out = EnforcerStatus()
    for counter in EnforcerStatus.counters { out[keyPath: counter.path] = try u64() }
    out.unavailable = try text()
    if !isAtEnd {
      out.remarks = try text()
      // An empty one is not written.
      guard !out.remarks.isEmpty else { throw failure }
    }
    return out
  }
  package mutating func text(atMost limit: Int = Limits.enforcerTextBytes) throws(ProtocolError) -> String {
    let count = Int(try integer(UInt16.self))
    guard count <= limit, count <= bytes.count - at,
      let text = String(validating: bytes.slice(at, at + count), as: UTF8.self)
    else { throw failure }
    at += count
    return text
  }
  /// A u32 and as many bytes.
  package mutating func data(atMost limit: Int) throws(ProtocolError) -> [UInt8] {
    let count = Int(try integer(UInt32.self))
    guard count <= limit, count <= bytes.count - at else { throw failure }
    defer { at += count }
    return Array(bytes.slice(at, at + count))
  }
}

package struct FrameWriter {
  package private(set) var bytes: [UInt8]
  package init(kind: UInt8, id: UInt32) {
    bytes = [0, 0, 0, 0, EnforcerProtocol.version, kind, 0, 0]
    integer(id)
  }
  package func finished() -> [UInt8] {
    var out = bytes
    withUnsafeBytes(of: UInt32(truncatingIfNeeded: out.count).bigEndian) { length in for i in 0..<4 { out[i] = length[i] } }
    return out
  }

  package mutating func integer<Value: FixedWidthInteger>(_ value: Value) { withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) } }
  package mutating func list<List: Collection>(_ entries: List, _ write: (inout FrameWriter, List.Element) -> Void) {
    integer(UInt32(truncatingIfNeeded: entries.count))
    for entry in entries { write(&self, entry) }
  }
  mutating func network(_ network: CIDR?) {
    guard let network else { return bytes.append(contentsOf: repeatElement(0, count: EnforcerProtocol.networkBytes)) }
    let isV4 = network.base.isV4
    bytes.append(isV4 ? 4 : 6)
    bytes.append(UInt8(truncatingIfNeeded: network.prefixLength))
    integer(isV4 ? network.base.low << 32 : network.base.high)
    integer(isV4 ? 0 : network.base.low)
  }
  mutating func block(_ block: Block) {
    network(block.network)
    integer(block.seconds)
  }
  mutating func active(_ block: ActiveBlock) {
    network(block.network)
    integer(block.remainingMilliseconds)
  }
  mutating func outcome(_ outcome: BlockOutcome) {
    let (code, detail, number, network) = outcome.parts
    bytes.append(code)
    bytes.append(detail)
    integer(number)
    self.network(network)
  }
  mutating func notice(_ notice: EnforcerNotice) {
    bytes.append(notice.kind.rawValue)
    bytes.append(notice.protected?.rawValue ?? 0)
    network(notice.network)
  }
  mutating func status(_ status: EnforcerStatus) {
    for counter in EnforcerStatus.counters { integer(status[keyPath: counter.path]) }
    text(status.unavailable)
    if !status.remarks.isEmpty { text(status.remarks) }
  }
  /// What is longer is cut.
  package mutating func text(_ text: String, atMost limit: Int = Limits.enforcerTextBytes) {
    var cut = text
    while cut.utf8.count > limit { cut.unicodeScalars.removeLast() }
    integer(UInt16(truncatingIfNeeded: cut.utf8.count))
    bytes.append(contentsOf: cut.utf8)
  }
  package mutating func data(_ value: [UInt8]) {
    integer(UInt32(truncatingIfNeeded: value.count))
    bytes.append(contentsOf: value)
  }
}

extension BlockOutcome {
  /// Refusals without an argument, by their number.
  private static let plain: [(code: UInt8, outcome: BlockOutcome)] = [
    (1, .blocked), (2, .refreshed), (3, .unblocked), (4, .absent), (16, .refused(.prefixTooWide)), (17, .refused(.prefixTooNarrow)),
    (18, .refused(.tooShort)), (19, .refused(.tooLong)), (20, .refused(.rateExceeded)), (21, .refused(.tableFull)),
    (22, .refused(.protectionUnknown)),
  ]
  private static let protectedCode: UInt8 = 32
  private static let kernelCode: UInt8 = 33

  fileprivate var parts: (code: UInt8, detail: UInt8, number: UInt16, network: CIDR?) {
    switch self {
    case .refused(.protected(let kind, let network)): (BlockOutcome.protectedCode, kind.rawValue, 0, network)
    case .refused(.kernel(let code)): (BlockOutcome.kernelCode, 0, UInt16(clamping: code), nil)
    default: (BlockOutcome.plain.first { $0.outcome == self }?.code ?? 0, 0, 0, nil)
    }
  }
  fileprivate init?(code: UInt8, detail: UInt8, number: UInt16, network: CIDR?) {
    switch code {
    case BlockOutcome.protectedCode:
      guard let kind = ProtectedKind(rawValue: detail), let network, number == 0 else { return nil }
      self = .refused(.protected(kind, by: network))
    case BlockOutcome.kernelCode:
      guard detail == 0, network == nil else { return nil }
      self = .refused(.kernel(Int32(number)))
    default:
      guard detail == 0, number == 0, network == nil, let entry = BlockOutcome.plain.first(where: { $0.code == code }) else { return nil }
      self = entry.outcome
    }
  }
}
