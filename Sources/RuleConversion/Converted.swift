// What a conversion gives: documents or texts, and what it had to leave out, each with file and line.
import Primitives
import TypedYAML

public struct Converted: Sendable {
  public struct Document: Sendable {
    public var id: String
    /// A file name without directory: the id or title in the letters of file names.
    public var name: String
    public var bytes: [UInt8]
    public init(id: String, name: String, bytes: [UInt8]) {
      self.id = id
      self.name = name
      self.bytes = bytes
    }
  }
  /// In the order of the input.
  public var documents: [Document] = []
  /// Errors: something was left out. Warnings and notes: it was kept, but reads differently.
  public var diagnostics: [Diagnostic] = []
  /// Rules of the input that are not in the output.
  public var leftOut = 0
  public init() {}
}

/// `ATR-2026-DRAFT-0123456789ab` from what names the rule in its own format. `year`: four digits.
func draftID(_ prefix: String, year: String, of name: String) -> String {
  var copy = name
  let fingerprint = copy.withUTF8 { Fingerprint(of: Bytes($0)) }
  let digits = String(fingerprint.high, radix: 16)
  let hex = String(repeating: "0", count: 16 - digits.count) + digits
  return "\(prefix)\(year)-DRAFT-\(hex.prefix(12))"
}

/// A UUID (RFC 9562, version 8: of our own making) that depends on `name` alone.
func uuid(of name: String) -> String {
  var copy = name
  let fingerprint = copy.withUTF8 { Fingerprint(of: Bytes($0)) }
  func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
  let high = hex(fingerprint.high & 0xffff_ffff_ffff_0fff | 0x8000)
  let low = hex(fingerprint.low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000)
  return "\(high.prefix(8))-\(high.dropFirst(8).prefix(4))-\(high.suffix(4))-\(low.prefix(4))-\(low.suffix(12))"
}

/// One line without control characters, as titles are.
func oneLine(_ text: String) -> String {
  var out = ""
  for scalar in text.unicodeScalars { out.unicodeScalars.append(scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) ? " " : scalar) }
  while out.utf8.count > 400 { out.removeLast() }
  return out
}
