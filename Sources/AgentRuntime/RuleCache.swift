// Checked rules on disk, and what was found in bundles, so that a start reads YAML only when a rule file, or the program, has changed.
// What must stay true: the cache is advisory. A file is used only if it is ours, nobody else could have written it, it names exactly these
// files' bytes and this build of the program, and it is undamaged; in doubt the rules are read again.
import Glibc
import Primitives
import RuleLanguage

enum RuleCache {
  private static let magic: StaticString = "PGRULES1"
  private static let headBytes = 8 + 64 + 16

  /// What `RuleLoader.load` gives for `files`, from the cache in `directory` where that is possible; else it is put there.
  static func load(_ files: RuleLoader.Files, takesRecordedMatches: Bool, in directory: String?) -> RuleSet {
    func read() -> RuleSet { RuleLoader.load(files, takesRecordedMatches: takesRecordedMatches) }
    guard let directory else { return read() }
    // What could not be read may be readable the next time.
    guard files.diagnostics.isEmpty, !files.files.isEmpty else { return read() }
    let key = key(of: files, takesRecordedMatches)
    if let set = kept(RuleSet.self, key, rules, in: directory) { return set }
    let set = read()
    keep(set, key, rules, in: directory)
    return set
  }
  private static let rules: Kind = ("rules", "ruleset")

  /// How files of a kind begin, and their suffix.
  typealias Kind = (prefix: String, suffix: String)
  static func kept<T: Decodable>(_ type: T.Type, _ key: String, _ kind: Kind, in directory: String) -> T? {
    RuleStore.readCache("\(directory)/\(kind.prefix)-\(key.prefix(32)).\(kind.suffix)").flatMap { decode(type, $0, key: key) }
  }
  static func keep<T: Encodable>(_ value: T, _ key: String, _ kind: Kind, in directory: String) {
    // More would not be read again.
    guard let bytes = encode(value, key: key), bytes.count <= RuleStore.cacheBytes else { return }
    let path = "\(directory)/\(kind.prefix)-\(key.prefix(32)).\(kind.suffix)"
    RuleStore.writeCache(bytes, to: path, in: directory, pattern: "\(kind.prefix)-*.\(kind.suffix)")
  }

  /// Of the program and of each file's name, place and bytes.
  private static func key(of files: RuleLoader.Files, _ takesRecordedMatches: Bool) -> String {
    var parts: [[UInt8]] = [[takesRecordedMatches ? 1 : 0]]
    for file in files.files {
      parts.append(Array("\(file.firstLine) \(file.name)".utf8))
      parts.append(file.bytes)
    }
    return key(of: parts)
  }
  /// Of the program too: a build may have other types.
  static func key(of parts: [[UInt8]]) -> String {
    var identity: [UInt8] = []
    var info = stat()
    if stat("/proc/self/exe", &info) == 0 {
      for number in [Int64(info.st_size), Int64(info.st_mtim.tv_sec), Int64(info.st_mtim.tv_nsec), Int64(info.st_ino)] {
        identity.append(decimal: number)
        identity.append(0x20)
      }
    }
    return SHA256Hash.hex(of: [Array(Version.text.utf8), identity] + parts)
  }

  static func encode<T: Encodable>(_ value: T, key: String) -> [UInt8]? {
    guard let body = try? CompactCoding.encode(value) else { return nil }
    let check = body.withUnsafeBytes { Fingerprint(of: $0) }
    var out = Array(Bytes(magic)) + Array(key.utf8)
    for word in [check.high, check.low] { withUnsafeBytes(of: word.littleEndian) { out.append(contentsOf: $0) } }
    return out + body
  }

  /// nil: of other rules, of another program, or damaged.
  static func decode<T: Decodable>(_ type: T.Type, _ bytes: [UInt8], key: String) -> T? {
    bytes.withUnsafeBytes { all -> T? in
      guard all.count > headBytes, all.starts(with: magic), all.slice(8, 72).elementsEqual(key.utf8) else { return nil }
      let body = all.from(headBytes)
      let high = UInt64(littleEndian: all.loadUnaligned(fromByteOffset: 72, as: UInt64.self))
      let low = UInt64(littleEndian: all.loadUnaligned(fromByteOffset: 80, as: UInt64.self))
      guard Fingerprint(of: body) == Fingerprint(high: high, low: low) else { return nil }
      return try? CompactCoding.decode(type, from: body)
    }
  }
}

/// What was found in a bundle (RuleImport) of which nothing was refused.
public struct OpenedBundle: Codable, Equatable, Sendable {
  public struct Document: Codable, Equatable, Sendable {
    /// Of the file that `rules import` would write.
    public var name: String
    public var text: String
    public init(name: String, text: String) { (self.name, self.text) = (name, text) }
  }
  public var version: String
  public var documents: [Document]
  public init(version: String, documents: [Document]) { (self.version, self.documents) = (version, documents) }

  private static let kind: RuleCache.Kind = ("bundle", "documents")
  private static func key(_ bytes: [UInt8], _ path: String) -> String { RuleCache.key(of: [Array(path.utf8), bytes]) }

  /// What `keep` was told of the same bytes; nil: nothing, or by another program.
  public static func kept(for bytes: [UInt8], at path: String, in directory: String) -> OpenedBundle? {
    RuleCache.kept(OpenedBundle.self, key(bytes, path), kind, in: directory)
  }
  public func keep(for bytes: [UInt8], at path: String, in directory: String) {
    RuleCache.keep(self, OpenedBundle.key(bytes, path), OpenedBundle.kind, in: directory)
  }
}
