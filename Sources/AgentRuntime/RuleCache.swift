// Checked rules on disk, so that a start reads YAML only when a rule file, or the program, has changed.
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
    let path = "\(directory)/rules-\(key.prefix(32)).ruleset"
    if let bytes = RuleStore.readCache(path), let set = decode(bytes, key: key) { return set }
    let set = read()
    if let bytes = encode(set, key: key) { RuleStore.writeCache(bytes, to: path, in: directory, pattern: "rules-*.ruleset") }
    return set
  }

  /// Of the program (a build may have other types) and of each file's name, place and bytes.
  private static func key(of files: RuleLoader.Files, _ takesRecordedMatches: Bool) -> String {
    var identity: [UInt8] = []
    var info = stat()
    if stat("/proc/self/exe", &info) == 0 {
      for number in [Int64(info.st_size), Int64(info.st_mtim.tv_sec), Int64(info.st_mtim.tv_nsec), Int64(info.st_ino)] {
        identity.append(decimal: number)
        identity.append(0x20)
      }
    }
    var parts = [Array(Version.text.utf8), identity, [takesRecordedMatches ? 1 : 0]]
    for file in files.files {
      parts.append(Array("\(file.firstLine) \(file.name)".utf8))
      parts.append(file.bytes)
    }
    return SHA256Hash.hex(of: parts)
  }

  static func encode(_ set: RuleSet, key: String) -> [UInt8]? {
    guard let body = try? CompactCoding.encode(set) else { return nil }
    let check = body.withUnsafeBytes { Fingerprint(of: $0) }
    var out = Array(Bytes(magic)) + Array(key.utf8)
    for word in [check.high, check.low] { withUnsafeBytes(of: word.littleEndian) { out.append(contentsOf: $0) } }
    return out + body
  }

  /// nil: of other rules, of another program, or damaged.
  static func decode(_ bytes: [UInt8], key: String) -> RuleSet? {
    bytes.withUnsafeBytes { all -> RuleSet? in
      guard all.count > headBytes, all.starts(with: magic), all.slice(8, 72).elementsEqual(key.utf8) else { return nil }
      let body = all.from(headBytes)
      let high = UInt64(littleEndian: all.loadUnaligned(fromByteOffset: 72, as: UInt64.self))
      let low = UInt64(littleEndian: all.loadUnaligned(fromByteOffset: 80, as: UInt64.self))
      guard Fingerprint(of: body) == Fingerprint(high: high, low: low) else { return nil }
      return try? CompactCoding.decode(RuleSet.self, from: body)
    }
  }
}
