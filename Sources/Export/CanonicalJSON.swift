// JSON in the canonical form of RFC 8785 (JCS): what a signature is made over, so that a reader may re-order or re-format an event and
// still verify it. Members are sorted by the UTF-16 units of their names, strings carry the fewest escapes, numbers are written as
// ECMAScript writes them.
// What must stay true: canonical(parse(canonical(x))) == canonical(x); no floating point: a number that needs more than 15 digits
// (integers: more than 2^53) has no exact canonical form here and is refused, never rounded; any input ends in a value or an error.
import Primitives

public indirect enum CanonicalJSON: Sendable, Equatable {
  case null
  case bool(Bool)
  case integer(Int64)
  /// Canonical already (see `number`).
  case number(String)
  case string(String)
  case array([CanonicalJSON])
  case object([Member])

  public struct Member: Sendable, Equatable {
    public var name: String
    public var value: CanonicalJSON
    public init(_ name: String, _ value: CanonicalJSON) {
      self.name = name
      self.value = value
    }
  }

  /// Thousandths as a number: 950 is 0.95.
  public static func thousandths(_ value: Int) -> CanonicalJSON {
    let digits = String(value.magnitude)
    return .number(number("\(value < 0 ? "-" : "")\(digits)e-3") ?? "0")
  }

  // MARK: Writing

  public var bytes: [UInt8] {
    var out: [UInt8] = []
    append(to: &out)
    return out
  }

  private func append(to out: inout [UInt8]) {
    switch self {
    case .null: out += Array("null".utf8)
    case .bool(let flag): out += Array((flag ? "true" : "false").utf8)
    case .integer(let value): out += Array("\(value)".utf8)
    case .number(let text): out += Array(text.utf8)
    case .string(let text): CanonicalJSON.append(text, to: &out)
    case .array(let items):
      out.append(0x5b)
      for (i, item) in items.enumerated() {
        if i > 0 { out.append(0x2c) }
        item.append(to: &out)
      }
      out.append(0x5d)
    case .object(let members):
      out.append(0x7b)
      let sorted = members.map { (units: Array($0.name.utf16), member: $0) }.sorted { $0.units.lexicographicallyPrecedes($1.units) }
      for (i, entry) in sorted.enumerated() {
        if i > 0 { out.append(0x2c) }
        CanonicalJSON.append(entry.member.name, to: &out)
        out.append(0x3a)
        entry.member.value.append(to: &out)
      }
      out.append(0x7d)
    }
  }

  /// RFC 8785, 3.2.2.2.
  private static func append(_ text: String, to out: inout [UInt8]) {
    out.append(0x22)
    for byte in text.utf8 {
      switch byte {
      case 0x22, 0x5c: out += [0x5c, byte]
      case 0x08: out += [0x5c, 0x62]
      case 0x09: out += [0x5c, 0x74]
      case 0x0a: out += [0x5c, 0x6e]
      case 0x0c: out += [0x5c, 0x66]
      case 0x0d: out += [0x5c, 0x72]
      case 0..<0x20:
        out += Array("\\u00".utf8)
        for nibble in [byte >> 4, byte & 15] { out.append(nibble < 10 ? 0x30 + nibble : 0x57 + nibble) }
      default: out.append(byte)
      }
    }
    out.append(0x22)
  }

  // MARK: Numbers

  /// A JSON number as ECMAScript writes the double that it stands for; nil where that could need rounding.
  public static func number(_ text: String) -> String? {
    let bytes = Array(text.utf8)
    var at = 0
    let isNegative = bytes.first == 0x2d
    if isNegative { at = 1 }
    var digits: [UInt8] = []
    var scale = 0
    var hasPoint = false
    while at < bytes.count, bytes[at] == 0x2e || (0x30...0x39).contains(bytes[at]) {
      if bytes[at] == 0x2e { hasPoint = true } else { digits.append(bytes[at]) }
      if hasPoint, bytes[at] != 0x2e { scale -= 1 }
      at += 1
      guard digits.count <= 400 else { return nil }
    }
    if at < bytes.count, bytes[at] | 0x20 == 0x65 {
      let exponent = bytes[(at + 1)...].first == 0x2b ? bytes[(at + 2)...] : bytes[(at + 1)...]
      guard exponent.count <= 5, let value = Int(String(decoding: exponent, as: UTF8.self)) else { return nil }
      scale += value
      at = bytes.count
    }
    guard at == bytes.count, !digits.isEmpty else { return nil }
    while digits.last == 0x30 {
      digits.removeLast()
      scale += 1
    }
    let significant = Array(digits.drop { $0 == 0x30 })
    if significant.isEmpty { return "0" }
    let point = significant.count + scale
    let isExactInteger =
      scale >= 0 && point <= 16 && (Int64(String(decoding: significant, as: UTF8.self) + String(repeating: "0", count: scale)) ?? .max) <= 1 << 53
    guard isExactInteger || significant.count <= 15, (-300...300).contains(point) else { return nil }
    return (isNegative ? "-" : "") + written(String(decoding: significant, as: UTF8.self), point)
  }

  /// ECMAScript's Number::toString for `0.digits` times ten to the power of `point`.
  private static func written(_ digits: String, _ point: Int) -> String {
    let count = digits.utf8.count
    if count <= point, point <= 21 { return digits + String(repeating: "0", count: point - count) }
    if 0 < point, point <= 21 { return digits.prefix(point) + "." + digits.dropFirst(point) }
    if -6 < point, point <= 0 { return "0." + String(repeating: "0", count: -point) + digits }
    let exponent = point - 1
    let mantissa = count == 1 ? digits : digits.prefix(1) + "." + digits.dropFirst()
    return "\(mantissa)e\(exponent < 0 ? "-" : "+")\(abs(exponent))"
  }

  // MARK: Reading

  public enum ReadingError: Error, Hashable, CustomStringConvertible {
    case duplicate(String)
    case inexact(String)
    case empty
    public var description: String {
      switch self {
      case .duplicate(let name): "the member \"\(name)\" occurs twice"
      case .inexact(let number): "the number \(number) has no exact canonical form"
      case .empty: "the text is empty"
      }
    }
  }

  /// One JSON document. Throws JSONError or ReadingError.
  public init(parsing text: Bytes) throws {
    struct Open {
      var members: [Member] = []
      var items: [CanonicalJSON] = []
      var names: Set<String> = []  // only asked for members
      var name = ""
      var isObject: Bool
    }
    var reader = JSONReader(text)
    var open: [Open] = []
    var root: CanonicalJSON?
    func place(_ value: CanonicalJSON) {
      guard let top = open.indices.last else {
        root = value
        return
      }
      if open[top].isObject { open[top].members.append(Member(open[top].name, value)) } else { open[top].items.append(value) }
    }
    while true {
      let more: Bool? = try reader.next { token in
        switch token {
        case .beginObject: open.append(Open(isObject: true))
        case .beginArray: open.append(Open(isObject: false))
        case .endObject: if let top = open.popLast() { place(.object(top.members)) }
        case .endArray: if let top = open.popLast() { place(.array(top.items)) }
        case .key(let name):
          let top = open.count - 1
          open[top].name = name.string
          guard open[top].names.insert(open[top].name).inserted else { throw ReadingError.duplicate(open[top].name) }
        case .string(let text): place(.string(text.string))
        case .number(let text):
          guard let number = CanonicalJSON.number(text.string) else { throw ReadingError.inexact(text.string) }
          place(.number(number))
        case .bool(let flag): place(.bool(flag))
        case .null: place(.null)
        }
        return true
      }
      if more == nil { break }
    }
    guard let root else { throw ReadingError.empty }
    self = root
  }
}
