// A network, a block and what became of it as fields of a frame: of requests to the enforcer, and of its answers.
import FrameProtocol
import Primitives

extension FrameReader {
  static func network(_ reader: inout FrameReader) throws(FrameError) -> CIDR {
    guard let value = try optionalNetwork(&reader) else { throw reader.failure }
    return value
  }
  private static func optionalNetwork(_ reader: inout FrameReader) throws(FrameError) -> CIDR? {
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
  static func block(_ reader: inout FrameReader) throws(FrameError) -> Block {
    Block(try network(&reader), seconds: try reader.integer(UInt32.self))
  }
  static func active(_ reader: inout FrameReader) throws(FrameError) -> ActiveBlock {
    ActiveBlock(try network(&reader), remainingMilliseconds: try reader.u64())
  }
  static func outcome(_ reader: inout FrameReader) throws(FrameError) -> BlockOutcome {
    let failure = reader.failure
    let code = try reader.integer(UInt8.self)
    let detail = try reader.integer(UInt8.self)
    let number = try reader.integer(UInt16.self)
    let network = try optionalNetwork(&reader)
    guard let outcome = BlockOutcome(code: code, detail: detail, number: number, network: network) else { throw failure }
    return outcome
  }
  static func notice(_ reader: inout FrameReader) throws(FrameError) -> EnforcerNotice {
    let failure = reader.failure
    guard let kind = EnforcerNotice.Kind(rawValue: try reader.integer(UInt8.self)) else { throw failure }
    let protected = try reader.integer(UInt8.self)
    guard protected == 0 || ProtectedKind(rawValue: protected) != nil else { throw failure }
    return EnforcerNotice(kind, try network(&reader), protected: ProtectedKind(rawValue: protected))
  }
  mutating func status() throws(FrameError) -> EnforcerStatus {
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
}

extension FrameWriter {
  mutating func network(_ network: CIDR?) {
    guard let network else { return zeros(EnforcerFrame.networkBytes) }
    let isV4 = network.base.isV4
    byte(isV4 ? 4 : 6)
    byte(UInt8(truncatingIfNeeded: network.prefixLength))
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
    byte(code)
    byte(detail)
    integer(number)
    self.network(network)
  }
  mutating func notice(_ notice: EnforcerNotice) {
    byte(notice.kind.rawValue)
    byte(notice.protected?.rawValue ?? 0)
    network(notice.network)
  }
  mutating func status(_ status: EnforcerStatus) {
    for counter in EnforcerStatus.counters { integer(status[keyPath: counter.path]) }
    text(status.unavailable)
    if !status.remarks.isEmpty { text(status.remarks) }
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
