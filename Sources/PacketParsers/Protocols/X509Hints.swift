// The first certificate of a TLS server, as far as hints go: whose it is, who signed it, when it holds (RFC 5280 4.1). Nothing is verified.
// What must stay true: total; DER lengths are taken only in their definite form and never beyond their container.
import Events
import Primitives

/// Borrowed.
public struct TLSCertificate {
  /// Distinguished names, "CN=..., O=..." in their order; cut at `Limits.certificateNameBytes`.
  public var subject = Bytes.none
  public var issuer = Bytes.none
  /// RFC 3339, UTC; empty where the certificate has another form.
  public var notBefore = HexText()
  public var notAfter = HexText()
  /// Subject and issuer are the same.
  public var isSelfSigned = false

  func appendFields(to event: inout Event) {
    event.set(.eventAction, "tls-certificate" as StaticString)
    if subject.count > 0 { event.set(.tlsServerSubject, subject) }
    if issuer.count > 0 { event.set(.tlsServerIssuer, issuer) }
    if notBefore.count > 0 { notBefore.withBytes { event.set(.tlsServerNotBefore, $0) } }
    if notAfter.count > 0 { notAfter.withBytes { event.set(.tlsServerNotAfter, $0) } }
    event.set(.tlsServerSelfSigned, isSelfSigned ? 1 : 0)
  }

  /// `message`: a Certificate message of TLS up to 1.2, without its header. `names` takes the texts.
  static func read(_ message: Bytes, _ names: inout [UInt8], _ body: (borrowing TLSCertificate) -> Void) -> ParseFailure? {
    var reader = ByteReader(message)
    guard let list = reader.vector24() else { return ParseFailure(0, .length) }
    var certificates = ByteReader(list)
    guard let first = certificates.vector24() else { return list.count == 0 ? nil : ParseFailure(3, .length) }
    guard let outer = DER(first).first, outer.tag == 0x30, let signed = DER(outer.content).first, signed.tag == 0x30 else {
      return ParseFailure(6, .value)
    }
    var fields = DER(signed.content)
    var item = fields.next()
    if item?.tag == 0xa0 { item = fields.next() }  // version; `item` is then the serial number
    guard item?.tag == 0x02, fields.next()?.tag == 0x30, let issuer = fields.next(), let validity = fields.next(), let subject = fields.next(),
      issuer.tag == 0x30, validity.tag == 0x30, subject.tag == 0x30
    else { return ParseFailure(6, .value) }
    var certificate = TLSCertificate()
    var times = DER(validity.content)
    if let time = times.next() { certificate.notBefore = stamp(time) }
    if let time = times.next() { certificate.notAfter = stamp(time) }
    certificate.isSelfSigned = issuer.content.equals(subject.content)
    names.removeAll(keepingCapacity: true)
    append(name: issuer.content, to: &names)
    let split = names.count
    append(name: subject.content, to: &names)
    names.withUnsafeBytes {
      certificate.issuer = $0.upTo(split)
      certificate.subject = $0.from(split)
      body(certificate)
    }
    return nil
  }

  private static func append(name: Bytes, to out: inout [UInt8]) {
    let start = out.count
    var sets = DER(name)
    while let set = sets.next(), out.count - start < Limits.certificateNameBytes {
      var attributes = DER(set.content)
      while let attribute = attributes.next(), out.count - start < Limits.certificateNameBytes {
        var parts = DER(attribute.content)
        guard let type = parts.next(), type.tag == 0x06, let value = parts.next() else { continue }
        if out.count > start { out.append(", " as StaticString) }
        append(type: type.content, to: &out)
        out.append(0x3d)
        append(value: value, to: &out)
      }
    }
  }
  /// The attributes of RFC 4519 by their last number; others by their bytes.
  private static func append(type: Bytes, to out: inout [UInt8]) {
    if type.count == 3, type[0] == 0x55, type[1] == 0x04 {
      switch type[2] {
      case 3: return out.append("CN" as StaticString)
      case 5: return out.append("serialNumber" as StaticString)
      case 6: return out.append("C" as StaticString)
      case 7: return out.append("L" as StaticString)
      case 8: return out.append("ST" as StaticString)
      case 10: return out.append("O" as StaticString)
      case 11: return out.append("OU" as StaticString)
      default: break
      }
    }
    for byte in type.upTo(16) {
      out.append(HexText.digit(byte >> 4))
      out.append(HexText.digit(byte & 15))
    }
  }
  private static func append(value: DER.Item, to out: inout [UInt8]) {
    let text = value.content.upTo(Limits.certificateNameBytes / 4)
    if value.tag == 0x1e {  // BMPString
      for i in 0..<text.count / 2 {
        let unit = text.u16(at: 2 * i)
        out.append(unit >= 0x20 && unit < 0x7f ? UInt8(unit) : 0x3f)
      }
    } else {
      out.append(text)
    }
  }

  /// UTCTime (YYMMDDHHMMSSZ, years 1950 to 2049) or GeneralizedTime (YYYYMMDDHHMMSSZ).
  private static func stamp(_ item: DER.Item) -> HexText {
    var out = HexText()
    let text = item.content
    let yearDigits = item.tag == 0x17 ? 2 : 4
    guard item.tag == 0x17 || item.tag == 0x18, text.count == yearDigits + 11, text[text.count - 1] == 0x5a,
      text.upTo(text.count - 1).allSatisfy({ $0 >= 0x30 && $0 <= 0x39 })
    else { return out }
    if yearDigits == 2 { for byte in Bytes(text[0] < 0x35 ? "20" : "19") { out.append(byte) } }
    let separators: StaticString = "--T::Z"
    for byte in text.upTo(yearDigits) { out.append(byte) }
    for i in 0..<5 {
      out.append(separators.utf8Start[i])
      out.append(text[yearDigits + 2 * i])
      out.append(text[yearDigits + 2 * i + 1])
    }
    out.append(0x5a)
    return out
  }
}

/// The items of one DER container.
struct DER {
  struct Item {
    var tag: UInt8
    var content: Bytes
  }
  private var reader: ByteReader
  init(_ bytes: Bytes) { reader = ByteReader(bytes) }
  var first: Item? {
    var copy = self
    return copy.next()
  }
  mutating func next() -> Item? {
    guard let tag = reader.u8(), tag & 0x1f != 0x1f, let short = reader.u8() else { return nil }
    var length = Int(short)
    if short >= 0x80 {
      guard short >= 0x81, short <= 0x83 else { return nil }
      length = 0
      for _ in 0..<short & 0x7f {
        guard let byte = reader.u8() else { return nil }
        length = length << 8 | Int(byte)
      }
    }
    guard let content = reader.take(length) else { return nil }
    return Item(tag: tag, content: content)
  }
}
