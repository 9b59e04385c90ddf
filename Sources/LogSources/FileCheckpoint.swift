// Which file was read, and how far. A file is known by its content, not by its name: names move at every rotation, inodes are
// given to the next file, and compression changes both.
// Invariant: a position says "the same file" only if its first bytes and the bytes right before the offset are the same.
import Primitives

/// A file as far as it can be recognised again.
public struct FileIdentity: Hashable, Sendable {
  /// Of the file that the bytes were read from; a compressed copy has another. Only used where the content cannot decide.
  public var device: UInt64
  public var inode: UInt64
  /// Fingerprint of the first `headLength` bytes (unpacked).
  public var head: Fingerprint
  /// Bytes, 0...256; less than 256 only for a file that was shorter when it was looked at.
  public var headLength: Int
  public init(device: UInt64, inode: UInt64, head: Fingerprint, headLength: Int) {
    self.device = device
    self.inode = inode
    self.head = head
    self.headLength = headLength
  }
  public static let headBytes = 256
  /// No file: nothing was there.
  static let nothing = FileIdentity(device: 0, inode: 0, head: Fingerprint(of: .none), headLength: 0)
}

/// A place in a file: everything before `offset` was handed out.
public struct FilePosition: Hashable, Sendable {
  public var identity: FileIdentity
  /// Bytes (unpacked). `UInt64.max`: the whole file lies behind us, whatever its size.
  public var offset: UInt64
  /// Fingerprint of the `anchorLength` bytes right before `offset`.
  public var anchor: Fingerprint
  /// Bytes, 0...256; 0: not known.
  public var anchorLength: Int
  public static let anchorBytes = 256

  public init(identity: FileIdentity, offset: UInt64, anchor: Fingerprint, anchorLength: Int) {
    self.identity = identity
    self.offset = offset
    self.anchor = anchor
    self.anchorLength = anchorLength
  }
  static let nothing = FilePosition(identity: .nothing, offset: 0, anchor: Fingerprint(of: .none), anchorLength: 0)
}

/// What must be kept to go on reading a followed path after a restart: one canonical line of JSON.
public struct FileCheckpoint: Hashable, Sendable {
  /// The file being read. `headLength` 0 and `offset` 0: nothing was in it, or no file was there.
  public var current: FilePosition
  /// The file read before it: what is newer than it is new to us also if `current` cannot be found; and lines that a service
  /// still writes to it after its successor was begun are read from its offset on. nil: no rotated file existed.
  public var previous: FilePosition?
  public init(current: FilePosition, previous: FilePosition? = nil) {
    self.current = current
    self.previous = previous
  }

  /// Version of the encoding. Another one is refused.
  static let version: UInt64 = 1

  /// One line without newline; the same value gives the same bytes.
  public var json: [UInt8] {
    var writer = JSONWriter(reserving: 512)
    writer.beginObject()
    writer.key("v" as StaticString)
    writer.value(FileCheckpoint.version)
    FileCheckpoint.write(current, to: &writer)
    if let previous {
      writer.key("previous" as StaticString)
      writer.beginObject()
      FileCheckpoint.write(previous, to: &writer)
      writer.endObject()
    }
    writer.endObject()
    return writer.out
  }

  private static func write(_ position: FilePosition, to writer: inout JSONWriter) {
    writer.key("device" as StaticString)
    writer.value(position.identity.device)
    writer.key("inode" as StaticString)
    writer.value(position.identity.inode)
    writer.key("head" as StaticString)
    writer.value(position.identity.head.description)
    writer.key("head_length" as StaticString)
    writer.value(position.identity.headLength)
    writer.key("offset" as StaticString)
    writer.value(position.offset)
    writer.key("anchor" as StaticString)
    writer.value(position.anchor.description)
    writer.key("anchor_length" as StaticString)
    writer.value(position.anchorLength)
  }

  /// Reads what `json` wrote; nil for anything else: another version, a missing, unknown, repeated or out-of-range member.
  public init?(json: Bytes) {
    var reader = JSONReader(json)
    guard let parsed = try? FileCheckpoint.parse(&reader) else { return nil }
    self = parsed
  }
  public init?(json: [UInt8]) {
    guard let value = json.withUnsafeBytes({ FileCheckpoint(json: $0) }) else { return nil }
    self = value
  }

  private struct Malformed: Error {}
  private enum Item {
    case begin, end, key(String), number(UInt64), text(String), finished
  }
  private static func item(_ reader: inout JSONReader) throws -> Item {
    let item = try reader.next { token throws(Malformed) -> Item in
      switch token {
      case .beginObject: .begin
      case .endObject: .end
      case .key(let name): .key(name.string)
      case .string(let text): .text(text.string)
      case .number(let digits):
        if let value = unsigned(digits) { .number(value) } else { throw Malformed() }
      default: throw Malformed()
      }
    }
    return item ?? .finished
  }
  private static func unsigned(_ digits: Bytes) -> UInt64? {
    guard digits.count > 0, digits.count <= 20 else { return nil }
    var value: UInt64 = 0
    for byte in digits {
      guard byte >= 0x30, byte <= 0x39 else { return nil }
      let (product, o1) = value.multipliedReportingOverflow(by: 10)
      let (sum, o2) = product.addingReportingOverflow(UInt64(byte - 0x30))
      guard !o1, !o2 else { return nil }
      value = sum
    }
    return value
  }

  private static func parse(_ reader: inout JSONReader) throws -> FileCheckpoint {
    guard case .begin = try item(&reader) else { throw Malformed() }
    let (current, previous, version) = try members(&reader, isOuter: true)
    guard case .finished = try item(&reader), version == FileCheckpoint.version else { throw Malformed() }
    return FileCheckpoint(current: current, previous: previous)
  }

  private static func members(_ reader: inout JSONReader, isOuter: Bool) throws -> (FilePosition, FilePosition?, UInt64?) {
    var numbers: [String: UInt64] = [:]
    var prints: [String: Fingerprint] = [:]
    var previous: FilePosition?
    let numberNames =
      isOuter
      ? ["v", "device", "inode", "head_length", "offset", "anchor_length"] : ["device", "inode", "head_length", "offset", "anchor_length"]
    while case .key(let name) = try item(&reader) {
      switch try item(&reader) {
      case .number(let value) where numberNames.contains(name) && numbers[name] == nil: numbers[name] = value
      case .text(let text) where ["head", "anchor"].contains(name) && prints[name] == nil:
        guard let print = Fingerprint(text) else { throw Malformed() }
        prints[name] = print
      case .begin where isOuter && name == "previous" && previous == nil: previous = try members(&reader, isOuter: false).0
      default: throw Malformed()
      }
    }
    guard numbers.count == numberNames.count, prints.count == 2, let device = numbers["device"], let inode = numbers["inode"],
      let headLength = numbers["head_length"], headLength <= UInt64(FileIdentity.headBytes), let offset = numbers["offset"],
      let anchorLength = numbers["anchor_length"], anchorLength <= UInt64(FilePosition.anchorBytes), anchorLength <= offset,
      let head = prints["head"], let anchor = prints["anchor"]
    else { throw Malformed() }
    let identity = FileIdentity(device: device, inode: inode, head: head, headLength: Int(headLength))
    return (FilePosition(identity: identity, offset: offset, anchor: anchor, anchorLength: Int(anchorLength)), previous, numbers["v"])
  }
}
