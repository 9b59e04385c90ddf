// DNS over TCP (RFC 7766): messages behind their length.
import Primitives

final class DNSStreamParser: StreamParser {
  init(_ context: ApplicationContext) { super.init(.dns, context) }
  override var messageLimit: Int { 2 + 65_535 }

  /// A length that fits, and a header that can be one. nil: too few bytes to say.
  static func recognise(_ bytes: Bytes) -> Bool? {
    guard bytes.count >= 2 else { return nil }
    let length = Int(bytes.u16(at: 0))
    guard length >= 12 else { return false }
    // Everything that the header test looks at.
    guard bytes.count >= 14 else { return nil }
    let questions = bytes.u16(at: 6)
    return DNSReader.mayBegin(bytes.from(2)) && questions <= 1 && bytes.u16(at: 8) <= 4096
  }

  override func parse(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
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
