// Paths cut at their slashes, byte by byte as the kernel cuts them. Swift's Characters will not do: "/" with a combining accent behind it is
// one Character, so a String that is searched for "/" does not find that slash, and who made the file chose its name.

extension String {
  /// Without the slashes at its end; of slashes alone one is left.
  public var withoutTrailingSlashes: String {
    guard let last = utf8.lastIndex(where: { $0 != 0x2f }) else { return isEmpty ? "" : "/" }
    return String(self[..<utf8.index(after: last)])
  }
  /// What is behind the last slash; all of it where there is none.
  public var lastPathPart: String {
    utf8.lastIndex(of: 0x2f).map { String(self[utf8.index(after: $0)...]) } ?? self
  }
  /// The directory that the last part lies in, without the slash before it: "/" at the root, "." where there is no slash.
  public var directoryPath: String {
    utf8.lastIndex(of: 0x2f).map { $0 == startIndex ? "/" : String(self[..<$0]) } ?? "."
  }
  /// What stands between the slashes, without empty parts.
  public var pathParts: [String] { utf8.split(separator: 0x2f).map { String(decoding: $0, as: UTF8.self) } }

  /// `name` in this directory.
  public func pathAppending(_ name: String) -> String { utf8.last == 0x2f ? self + name : "\(self)/\(name)" }
  /// What of this path is behind `directory` and its slash; nil where it is not below it. Both as they are written.
  public func path(below directory: String) -> String? {
    let above = directory.pathAppending("")
    return utf8.starts(with: above.utf8) ? String(decoding: utf8.dropFirst(above.utf8.count), as: UTF8.self) : nil
  }
  /// Whether it ends in `suffix`, which is ASCII in lower case; its own case does not count.
  public func hasPathSuffix(_ suffix: StaticString) -> Bool {
    let wanted = Bytes(suffix)
    return utf8.count >= wanted.count && zip(utf8.suffix(wanted.count), wanted).allSatisfy { $0 == $1 || $0 | 0x20 == $1 && $0 >= 0x41 && $0 <= 0x5a }
  }
}
