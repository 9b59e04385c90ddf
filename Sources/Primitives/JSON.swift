// JSON (RFC 8259) over raw bytes: a writer that appends to a buffer, and a total, linear, depth-limited reader.
// The writer's output is canonical for what we write: no white space, keys in the caller's order, no floating point.

/// Writes small values of a JSON document into memory that has room for them.
public struct JSONText {
  private let base: UnsafeMutablePointer<UInt8>
  public private(set) var count = 0
  init(base: UnsafeMutablePointer<UInt8>) { self.base = base }

  @inline(__always)
  public mutating func put(_ text: StaticString) {
    (base + count).update(from: text.utf8Start, count: text.utf8CodeUnitCount)
    count += text.utf8CodeUnitCount
  }
  /// At most 20 bytes.
  @inline(__always)
  public mutating func put(decimal value: UInt64) {
    var digits = 1
    var bound: UInt64 = 10
    while digits < 20, value >= bound {
      digits += 1
      bound = digits < 20 ? bound &* 10 : bound
    }
    var rest = value
    var at = count + digits
    while at > count {
      at -= 1
      base[at] = UInt8(truncatingIfNeeded: 0x30 + rest % 10)
      rest /= 10
    }
    count += digits
  }
  /// A quoted RFC 3339 stamp, at most 32 bytes.
  @inline(__always)
  public mutating func put(_ time: EventTime) {
    base[count] = 0x22
    count += 1 + time.write(base + count + 1)
    base[count] = 0x22
    count += 1
  }
  /// Quoted, 34 bytes.
  @inline(__always)
  public mutating func put(_ fingerprint: Fingerprint) {
    base[count] = 0x22
    count += 1 + fingerprint.write(base + count + 1)
    base[count] = 0x22
    count += 1
  }
}

/// Writes one JSON document. The caller keeps containers balanced; commas are put where they belong.
public struct JSONWriter {
  public var out: [UInt8]
  private var needsComma = false
  public init(reserving capacity: Int = 512) {
    out = []
    out.reserveCapacity(capacity)
  }

  /// Begins another document in the same memory.
  public mutating func reset() {
    out.removeAll(keepingCapacity: true)
    needsComma = false
  }

  private mutating func separate() {
    if needsComma { out.append(0x2c) }
    needsComma = true
  }
  public mutating func beginObject() {
    separate()
    out.append(0x7b)
    needsComma = false
  }
  public mutating func endObject() {
    out.append(0x7d)
    needsComma = true
  }
  public mutating func beginArray() {
    separate()
    out.append(0x5b)
    needsComma = false
  }
  public mutating func endArray() {
    out.append(0x5d)
    needsComma = true
  }
  /// A key of ours: written as it is, so it must need no escapes.
  public mutating func key(_ name: StaticString) {
    let count = name.utf8CodeUnitCount
    let comma = needsComma ? 1 : 0
    out.append(atMost: count + 4) { text in
      text[0] = 0x2c  // overwritten where no comma is due
      text[comma] = 0x22
      (text + comma + 1).update(from: name.utf8Start, count: count)
      text[comma + count + 1] = 0x22
      text[comma + count + 2] = 0x3a
      return comma + count + 3
    }
    needsComma = false
  }
  /// Our own text between two values, with the commas, brackets and keys that belong there: one copy instead of many.
  /// What follows is a value, without a comma before it.
  @inline(__always)
  public mutating func verbatim(_ text: StaticString) {
    out.append(text)
    needsComma = false
  }
  /// Our own text with values between its parts, put together on the stack and appended at once. At most `capacity` bytes; the text
  /// carries its own commas and brackets, and what follows it is not the first of its container.
  @inline(__always)
  public mutating func verbatim(atMost capacity: Int, _ write: (inout JSONText) -> Void) {
    out.append(atMost: capacity) { base in
      var text = JSONText(base: base)
      write(&text)
      return text.count
    }
    needsComma = true
  }
  /// A key that is data.
  public mutating func key(text name: Bytes) {
    separate()
    JSONWriter.appendQuoted(name, to: &out)
    out.append(0x3a)
    needsComma = false
  }
  public mutating func key(text name: String) {
    var copy = name
    copy.withUTF8 { key(text: Bytes($0)) }
  }
  public mutating func value(_ bytes: Bytes) {
    separate()
    JSONWriter.appendQuoted(bytes, to: &out)
  }
  public mutating func value(_ string: String) {
    var copy = string
    copy.withUTF8 { value(Bytes($0)) }
  }
  public mutating func value(_ integer: Int64) {
    separate()
    out.append(decimal: integer)
  }
  public mutating func value(_ integer: Int) { value(Int64(integer)) }
  public mutating func value(_ integer: UInt64) {
    separate()
    out.append(decimal: integer, minimumDigits: 1)
  }
  public mutating func value(_ flag: Bool) {
    separate()
    out.append(flag ? "true" as StaticString : "false")
  }
  /// A value that is JSON text already.
  public mutating func value(json text: Bytes) {
    separate()
    out.append(text)
  }
  public mutating func null() {
    separate()
    out.append("null" as StaticString)
  }
  public mutating func value(_ time: EventTime) {
    separate()
    out.append(0x22)
    time.append(to: &out)
    out.append(0x22)
  }
  public mutating func value(_ address: IPAddress) {
    separate()
    out.append(0x22)
    address.append(to: &out)
    out.append(0x22)
  }
  /// Thousandths as a decimal fraction: 953 is 0.953.
  public mutating func value(thousandths: Int) {
    separate()
    if thousandths < 0 { out.append(0x2d) }
    out.append(decimal: UInt64(thousandths.magnitude) / 1000, minimumDigits: 1)
    out.append(0x2e)
    out.append(decimal: UInt64(thousandths.magnitude) % 1000, minimumDigits: 3)
  }
  public mutating func value(_ fingerprint: Fingerprint) {
    separate()
    out.append(0x22)
    fingerprint.append(to: &out)
    out.append(0x22)
  }
  /// Already encoded JSON.
  public mutating func raw(_ encoded: [UInt8]) {
    separate()
    out.append(contentsOf: encoded)
  }

  /// A JSON string. Control characters are escaped; bytes that are not UTF-8 become U+FFFD, one for each maximal ill-formed part.
  public static func appendQuoted(_ bytes: Bytes, to out: inout [UInt8]) {
    let plain = plainPrefix(bytes, from: 0)
    out.append(0x22)
    if plain == bytes.count { out.append(contentsOf: bytes) } else { appendEscaped(bytes, plain: plain, to: &out) }
    out.append(0x22)
  }

  /// End of the run of printable ASCII that needs no escape and begins at `start`. Eight bytes at a time.
  @inline(__always)
  private static func plainPrefix(_ bytes: Bytes, from start: Int) -> Int {
    let low: UInt64 = 0x0101_0101_0101_0101
    let high: UInt64 = 0x8080_8080_8080_8080
    var i = start
    while i + 8 <= bytes.count {
      // The high bit of each byte of a term says: below 0x20, equal to 0x22, 0x5c or 0x7f, or not ASCII (exact up to the first such byte).
      let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: i, as: UInt64.self))
      let quote = word ^ (low &* 0x22)
      let backslash = word ^ (low &* 0x5c)
      let delete = word ^ (low &* 0x7f)
      let special = (word &- (low &* 0x20)) | (quote &- low) | (backslash &- low) | (delete &- low) | word
      if special & high != 0 { break }
      i += 8
    }
    while i < bytes.count, isPlain(bytes[i]) { i += 1 }
    return i
  }
  @inline(__always)
  private static func isPlain(_ byte: UInt8) -> Bool { byte >= 0x20 && byte < 0x7f && byte != 0x22 && byte != 0x5c }

  private static func appendEscaped(_ bytes: Bytes, plain: Int, to out: inout [UInt8]) {
    var runStart = 0
    var i = plain
    let n = bytes.count
    func flush(_ out: inout [UInt8], _ end: Int) {
      if end > runStart { out.append(contentsOf: bytes.slice(runStart, end)) }
    }
    while i < n {
      let byte = bytes[i]
      if isPlain(byte) {
        i = plainPrefix(bytes, from: i)
        continue
      }
      if byte >= 0x80 {
        let length = utf8SequenceLength(bytes, at: i)
        if length > 0 {
          i += length
        } else {
          flush(&out, i)
          out.append("\u{fffd}" as StaticString)
          i -= length == 0 ? -1 : length  // skip the ill-formed part
          runStart = i
        }
        continue
      }
      flush(&out, i)
      switch byte {
      case 0x22: out.append("\\\"" as StaticString)
      case 0x5c: out.append("\\\\" as StaticString)
      case 0x0a: out.append("\\n" as StaticString)
      case 0x0d: out.append("\\r" as StaticString)
      case 0x09: out.append("\\t" as StaticString)
      default:
        out.append("\\u00" as StaticString)
        out.append(lowercaseHexDigit(byte >> 4))
        out.append(lowercaseHexDigit(byte & 15))
      }
      i += 1
      runStart = i
    }
    flush(&out, n)
  }
}

/// Length of the well-formed UTF-8 sequence at `i` (Unicode table 3-7), or the negated length of the ill-formed part (at least 1).
public func utf8SequenceLength(_ bytes: Bytes, at i: Int) -> Int {
  let first = bytes[i]
  if first < 0x80 { return 1 }
  let (count, low, high): (Int, UInt8, UInt8)
  switch first {
  case 0xc2...0xdf: (count, low, high) = (2, 0x80, 0xbf)
  case 0xe0: (count, low, high) = (3, 0xa0, 0xbf)
  case 0xe1...0xec, 0xee...0xef: (count, low, high) = (3, 0x80, 0xbf)
  case 0xed: (count, low, high) = (3, 0x80, 0x9f)
  case 0xf0: (count, low, high) = (4, 0x90, 0xbf)
  case 0xf1...0xf3: (count, low, high) = (4, 0x80, 0xbf)
  case 0xf4: (count, low, high) = (4, 0x80, 0x8f)
  default: return -1
  }
  var length = 1
  while length < count {
    guard i + length < bytes.count else { return -length }
    let byte = bytes[i + length]
    guard byte >= (length == 1 ? low : 0x80), byte <= (length == 1 ? high : 0xbf) else { return -length }
    length += 1
  }
  return count
}

/// What a reader meets, in document order.
public enum JSONToken {
  case beginObject, endObject, beginArray, endArray
  /// Decoded text; valid until the next call.
  case key(Bytes)
  case string(Bytes)
  /// The number as it stands in the text.
  case number(Bytes)
  case bool(Bool)
  case null
}

public struct JSONError: Error, CustomStringConvertible {
  /// Byte offset in the document.
  public var offset: Int
  public var message: String
  public init(offset: Int, message: String) {
    self.offset = offset
    self.message = message
  }
  public var description: String { "\(message) at byte \(offset)" }
}

/// Total pull reader of one JSON document. Linear time, memory bounded by the document and `Limits.jsonDepth`.
public struct JSONReader {
  private let bytes: Bytes
  public private(set) var position: Int
  /// Open containers, and by bit (the innermost lowest) whether each is an object: `Limits.jsonDepth` is at most 64.
  private var depth = 0
  private var objects: UInt64 = 0
  /// Texts are decoded; else keys and strings are only checked, and what a token shows of one with escapes is empty.
  private let decodesText: Bool
  private var scratch: [UInt8] = []
  private enum Expect { case value, keyOrEnd, key, commaOrEnd, end, valueOrEnd }
  private var expect: Expect = .value

  public init(_ bytes: Bytes) {
    self.init(bytes, decodesText: true)
  }
  fileprivate init(_ bytes: Bytes, decodesText: Bool) {
    self.bytes = bytes
    self.decodesText = decodesText
    position = 0
  }
  /// The last key or string has no escapes, and so lies in the document.
  fileprivate private(set) var isPlainText = true
  /// The last key or string as it is written, without its quotes.
  fileprivate private(set) var writtenText = Bytes.none
  /// A value that nests deeper than `Limits.jsonDepth` is no error, but is passed over and shown as null; `skipped` is then its text. Of it
  /// only the strings and the count of brackets are checked.
  public var skipsDeepValues = false
  private var skippedFrom = 0
  private var skippedTo = -1
  /// The text of the value that the last token stands for, where that was passed over.
  public var skipped: Bytes? { skippedTo == position ? bytes.slice(skippedFrom, skippedTo) : nil }
  private var isFull: Bool { depth >= Limits.jsonDepth }

  /// Passes over an object or array, whatever nests in it.
  private mutating func skipContainer() throws {
    skippedFrom = position
    var open = 0
    while position < bytes.count {
      switch bytes[position] {
      case 0x22: _ = try readString()
      case 0x5b, 0x7b:
        open += 1
        position += 1
      case 0x5d, 0x7d:
        open -= 1
        position += 1
        if open == 0 {
          skippedTo = position
          return
        }
      default: position += 1
      }
    }
    throw failure("unterminated JSON document")
  }
  /// The text of the array that the last token began, which is passed over.
  public mutating func arrayText() throws -> Bytes {
    let start = position - 1
    var depth = 1
    while depth > 0 {
      _ = try next { token in
        switch token {
        case .beginArray, .beginObject: depth += 1
        case .endArray, .endObject: depth -= 1
        default: break
        }
      }
    }
    return bytes.slice(start, position)
  }
  /// Before the first value: a byte-order mark is none of the text, and another encoding than UTF-8 is better called by its name.
  private mutating func passMark() throws {
    if bytes.starts(with: "\u{feff}") {
      position = 3
      skipSpace()
    }
    if bytes.count >= 2, bytes[0] == 0 || bytes[1] == 0 || bytes[0] == 0xff && bytes[1] == 0xfe || bytes[0] == 0xfe && bytes[1] == 0xff {
      throw failure("the text is UTF-16 or UTF-32; JSON is read as UTF-8")
    }
  }

  private func failure(_ message: String) -> JSONError { JSONError(offset: position, message: message) }
  private mutating func skipSpace() {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x09, 0x0a, 0x0d: position += 1
      default: return
      }
    }
  }

  /// The next token; nil at the end of the document (trailing bytes are an error).
  /// The bytes of a token are valid until `body` returns.
  public mutating func next<Result>(_ body: (JSONToken) throws -> Result) throws -> Result? {
    while true {
      skipSpace()
      switch expect {
      case .end:
        guard position == bytes.count else { throw failure("text after the end of the JSON document") }
        return nil
      case .commaOrEnd:
        guard position < bytes.count else { throw failure("unterminated JSON document") }
        let byte = bytes[position]
        let isObject = objects & 1 != 0
        if byte == 0x2c {
          position += 1
          expect = isObject ? .key : .value
          continue
        }
        guard byte == (isObject ? 0x7d : 0x5d) else { throw failure("expected ',' or '\(isObject ? "}" : "]")'") }
        return try close(body)
      case .keyOrEnd, .key:
        guard position < bytes.count else { throw failure("unterminated JSON object") }
        if bytes[position] == 0x7d, expect == .keyOrEnd { return try close(body) }
        guard bytes[position] == 0x22 else { throw failure("expected a quoted key") }
        let isPlain = try readString()
        let afterString = position
        skipSpace()
        guard position < bytes.count, bytes[position] == 0x3a else { throw failure("expected ':' after a key") }
        position += 1
        expect = .value
        return try withString(isPlain, end: afterString) { try body(.key($0)) }
      case .value, .valueOrEnd:
        if position == 0, bytes.count > 0, bytes[0] >= 0x80 || bytes[0] == 0 || bytes.count > 1 && bytes[1] == 0 { try passMark() }
        guard position < bytes.count else { throw failure("unterminated JSON document") }
        let byte = bytes[position]
        switch byte {
        case 0x5d where expect == .valueOrEnd:
          return try close(body)
        case _ where (byte == 0x7b || byte == 0x5b) && isFull && skipsDeepValues:
          try skipContainer()
          afterValue()
          return try body(.null)
        case 0x7b, 0x5b:
          guard depth < Limits.jsonDepth else { throw failure("nesting deeper than \(Limits.jsonDepth)") }
          position += 1
          depth += 1
          objects = objects << 1 | (byte == 0x7b ? 1 : 0)
          expect = byte == 0x7b ? .keyOrEnd : .valueOrEnd
          return try body(byte == 0x7b ? .beginObject : .beginArray)
        case 0x22:
          let isPlain = try readString()
          afterValue()
          return try withString(isPlain, end: position) { try body(.string($0)) }
        case 0x74 where bytes.from(position).starts(with: "true"):
          position += 4
          afterValue()
          return try body(.bool(true))
        case 0x66 where bytes.from(position).starts(with: "false"):
          position += 5
          afterValue()
          return try body(.bool(false))
        case 0x6e where bytes.from(position).starts(with: "null"):
          position += 4
          afterValue()
          return try body(.null)
        case 0x2d, 0x30...0x39:
          let start = position
          try readNumber()
          afterValue()
          return try body(.number(bytes.slice(start, position)))
        default:
          throw failure("unexpected character in JSON")
        }
      }
    }
  }

  private mutating func afterValue() { expect = depth == 0 ? .end : .commaOrEnd }
  private mutating func close<Result>(_ body: (JSONToken) throws -> Result) throws -> Result {
    position += 1
    let wasObject = objects & 1 != 0
    depth -= 1
    objects >>= 1
    afterValue()
    return try body(wasObject ? .endObject : .endArray)
  }

  private mutating func readNumber() throws {
    func digits() -> Int {
      let start = position
      while position < bytes.count, bytes[position] >= 0x30, bytes[position] <= 0x39 { position += 1 }
      return position - start
    }
    if bytes[position] == 0x2d { position += 1 }
    let leadingZero = position < bytes.count && bytes[position] == 0x30
    let n = digits()
    guard n > 0, !(leadingZero && n > 1) else { throw failure("malformed number") }
    if position < bytes.count, bytes[position] == 0x2e {
      position += 1
      guard digits() > 0 else { throw failure("malformed number") }
    }
    if position < bytes.count, bytes[position] | 0x20 == 0x65 {
      position += 1
      if position < bytes.count, bytes[position] == 0x2b || bytes[position] == 0x2d { position += 1 }
      guard digits() > 0 else { throw failure("malformed number") }
    }
  }

  private var stringStart = 0
  private func withString<Result>(_ isPlain: Bool, end: Int, _ body: (Bytes) throws -> Result) rethrows -> Result {
    if isPlain { return try body(bytes.slice(stringStart, end - 1)) }
    return try scratch.withUnsafeBytes { try body($0) }
  }

  /// Reads a string at `position`. True if it has no escapes, so that it can be used in place.
  private mutating func readString() throws -> Bool {
    position += 1
    stringStart = position
    position = JSONReader.plainEnd(bytes, from: position)
    isPlainText = position < bytes.count && bytes[position] == 0x22
    if isPlainText {
      writtenText = bytes.slice(stringStart, position)
      position += 1
      return true
    }
    scratch.removeAll(keepingCapacity: true)
    if decodesText { scratch.append(bytes.slice(stringStart, position)) }
    while position < bytes.count {
      let byte = bytes[position]
      guard byte >= 0x20 else { throw failure("control character in a string") }
      if byte == 0x22 {
        writtenText = bytes.slice(stringStart, position)
        position += 1
        return false
      }
      guard byte == 0x5c else {
        let end = JSONReader.plainEnd(bytes, from: position)
        if decodesText { scratch.append(bytes.slice(position, end)) }
        position = end
        continue
      }
      position += 1
      guard position < bytes.count else { break }
      try readEscape()
    }
    throw failure("unterminated string")
  }
  /// `position` is behind the backslash.
  private mutating func readEscape() throws {
    let escape = bytes[position]
    position += 1
    switch escape {
    case 0x22, 0x5c, 0x2f: scratch.append(escape)
    case 0x62: scratch.append(8)
    case 0x66: scratch.append(12)
    case 0x6e: scratch.append(10)
    case 0x72: scratch.append(13)
    case 0x74: scratch.append(9)
    case 0x75:
      guard var code = readHex4() else { throw failure("malformed \\u escape") }
      if code >= 0xd800, code <= 0xdbff, bytes.from(position).starts(with: "\\u") {
        let before = position
        position += 2
        if let low = readHex4(), low >= 0xdc00, low <= 0xdfff {
          code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
        } else {
          position = before
        }
      }
      let scalar = Unicode.Scalar(code) ?? "\u{fffd}"
      scratch.append(contentsOf: UTF8.encode(scalar)!)
    default: throw failure("unknown escape in a string")
    }
    if !decodesText { scratch.removeAll(keepingCapacity: true) }
  }
  /// The first quote, backslash or control character at or after `start`; the end where there is none. Eight bytes at a time.
  @inline(__always)
  private static func plainEnd(_ bytes: Bytes, from start: Int) -> Int {
    let low: UInt64 = 0x0101_0101_0101_0101
    var i = start
    while i + 8 <= bytes.count {
      // The lowest high bit of the sum is exact: each term borrows only beyond its own first byte.
      let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: i, as: UInt64.self))
      let quote = word ^ (low &* 0x22)
      let backslash = word ^ (low &* 0x5c)
      let special =
        ((word &- (low &* 0x20)) & ~word) | ((quote &- low) & ~quote) | ((backslash &- low) & ~backslash)
      let marks = special & (low &* 0x80)
      if marks != 0 { return i + marks.trailingZeroBitCount >> 3 }
      i += 8
    }
    while i < bytes.count, bytes[i] >= 0x20, bytes[i] != 0x22, bytes[i] != 0x5c { i += 1 }
    return i
  }
  private mutating func readHex4() -> UInt32? {
    guard position + 4 <= bytes.count else { return nil }
    var value: UInt32 = 0
    for i in 0..<4 {
      guard let digit = hexDigit(bytes[position + i]) else { return nil }
      value = value << 4 | UInt32(digit)
    }
    position += 4
    return value
  }
}

/// The members of one JSON object, or the elements of one array, as slices of its text, so that they can be passed on or read by
/// somebody else, who also decides how deep they may nest.
public enum JSONMembers {
  /// Calls `body` with each member's decoded key and the text of its value. Throws JSONError where `bytes` is not one JSON object.
  public static func forEach(of bytes: Bytes, _ body: (_ key: Bytes, _ value: Bytes) throws -> Void) throws {
    try walk(bytes, isObject: true, body)
  }
  /// The text of each element. Throws JSONError where `bytes` is not one JSON array.
  public static func elements(of bytes: Bytes) throws -> [Bytes] {
    var out: [Bytes] = []
    try walk(bytes, isObject: false) { _, value in out.append(value) }
    return out
  }

  private static func walk(_ bytes: Bytes, isObject: Bool, _ body: (Bytes, Bytes) throws -> Void) throws {
    enum Step { case openObject, openArray, close, key, scalar }
    var reader = JSONReader(bytes, decodesText: false)
    var depth = 0
    reader.skipsDeepValues = true
    var valueStart = 0
    var key = Bytes.none
    var isPlainKey = true
    while true {
      let before = reader.position
      let step: Step? = try reader.next { token -> Step in
        switch token {
        case .beginObject: return .openObject
        case .beginArray: return .openArray
        case .endObject, .endArray: return .close
        case .key: return .key
        default: return .scalar
        }
      }
      guard let step else { return }
      if depth == 0, step != (isObject ? .openObject : .openArray) {
        throw JSONError(offset: before, message: isObject ? "expected a JSON object" : "expected a JSON array")
      }
      switch step {
      case .key:
        guard depth == 1 else { continue }
        key = reader.writtenText
        isPlainKey = reader.isPlainText
        valueStart = reader.position
        continue
      case .openObject, .openArray:
        if depth == 1, !isObject { valueStart = before }
        depth += 1
        continue
      case .close:
        depth -= 1
        guard depth == 1 else { continue }
      case .scalar:
        guard depth == 1 else { continue }
        if !isObject { valueStart = before }
      }
      // A value of the outer container is complete: between its key (or the comma before it) and here.
      var value = bytes.slice(valueStart, reader.position).trimmed
      if !isObject, value.starts(with: ",") { value = value.from(1).trimmed }
      while let first = value.first, first == 0x0a || first == 0x0d || first == 0x20 || first == 0x09 { value = value.from(1) }
      if isPlainKey { try body(key, value) } else { try withDecoded(key) { try body($0, value) } }
    }
  }
  /// `written`: a string without its quotes, known to be well-formed.
  private static func withDecoded(_ written: Bytes, _ body: (Bytes) throws -> Void) throws {
    var quoted: [UInt8] = [0x22]
    quoted.append(contentsOf: written)
    quoted.append(0x22)
    try quoted.withUnsafeBytes { all in
      var reader = JSONReader(all)
      _ = try reader.next { token in if case .string(let text) = token { try body(text) } }
    }
  }
}
