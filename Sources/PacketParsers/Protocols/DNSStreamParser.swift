// DNS over TCP (RFC 7766): messages behind their length.
import Primitives

final class DNSStreamParser: StreamParser {
  /// Behind a gap: a message may begin with any segment.
  private var isLost = ByDirection(false)

  init(_ context: ApplicationContext) { super.init(.dns, context) }
  override var messageLimit: Int { 2 + 65_535 }

  /// A length that fits, and a header that can be one. nil: too few bytes to say.
  static func recognise(_ bytes: Bytes) -> Bool? {
    guard bytes.count >= 2 else { return nil }
    let length = Int(bytes.u16(at: 0))
    guard length >= 12 else { return false }
    // Too short a preamble of something else must not wait for more.
    if bytes.count >= 6, !DNSReader.areLikely(flags: bytes.u16(at: 4)) { return false }
    // Everything that the header test looks at.
    guard bytes.count >= 14 else { return nil }
    let questions = bytes.u16(at: 6)
    return DNSReader.isLikely(bytes.from(2)) && questions <= 1 && bytes.u16(at: 8) <= 4096
  }

  override func resynchronise(_ direction: FlowDirection, missing: Int) -> Bool {
    isLost[direction] = true
    return true
  }

  override func parse(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    if isLost[direction] {
      guard let isMessage = DNSStreamParser.recognise(bytes) else { return .needs(14) }
      guard isMessage else { return .took(bytes.count) }
      isLost[direction] = false
    }
    guard bytes.count >= 2 else { return .needs(2) }
    let size = 2 + Int(bytes.u16(at: 0))
    guard bytes.count >= size else { return .needs(size) }
    var reader = DNSReader(bytes.slice(2, size), context.dns)
    let failure = reader.read(isCertain: true) {
      emit(message(.dns($0), direction, frame, isFromClient: !$0.isResponse))
    }
    if let failure { return .failed(failure) }
    return .took(size)
  }
}
