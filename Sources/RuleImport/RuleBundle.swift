// A set of rules as somebody hands it on: a directory, an archive or a wheel of YAML files, a JSON bundle, one YAML file, or any of
// them on standard input -> the documents in it, each as YAML, with the name, version, licence and hash of where they come from.
// What must stay true: YAML keeps its bytes; JSON becomes YAML of our own emitter; what is left out is named with its reason.
import AgentRuntime
import Glibc
import Primitives
import RuleLanguage
import TypedYAML

public struct RuleBundle: Sendable {
  public enum Kind: String, Sendable { case directory, archive, wheel, json, yaml }
  public var kind: Kind
  /// Of the package, or of the file without its suffix.
  public var name: String
  /// "" where the source does not say.
  public var version = ""
  public var license = ""
  /// Lower-case hexadecimal SHA-256 of the file; of a directory, over the names and contents of its rule files in order.
  public var sha256: String
  /// Rule files, YAML, each of one or more documents, in the order of the source. No two have the same name.
  public var files: [RuleFile] = []
  /// Of them, those made from JSON: their lines are ours, their names say the place in the source.
  public var madeFiles: Set<String> = []
  /// What was left out, and why.
  public var diagnostics: [Diagnostic] = []

  /// With the places of what was made from JSON as they are in the source, also where the message ends in one.
  public static func placed(_ diagnostic: Diagnostic, madeFiles: Set<String>) -> Diagnostic {
    guard madeFiles.contains(diagnostic.location.file) else { return diagnostic }
    var copy = diagnostic
    copy.location = SourceLocation(file: diagnostic.location.file)
    // "... at bundle.json:1:36:1:1"
    let parts = copy.message.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count > 2, parts.suffix(2).allSatisfy({ Int($0) != nil }) else { return copy }
    let place = parts.dropLast(2).joined(separator: ":")
    if let space = place.lastIndex(of: " "), madeFiles.contains(String(place[place.index(after: space)...])) { copy.message = place }
    return copy
  }

  /// Reads `path`; "-" is standard input. Fails where nothing of it can be read. What has changed in a set that was pinned before is
  /// refused here too: written again it would look sound.
  public static func read(_ path: String) throws(DocumentFileError) -> RuleBundle {
    if path != "-", isDirectory(path) { return readDirectory(path) }
    return try read(try bytes(of: path), file: path)
  }
  /// Of a file, or of standard input.
  static func bytes(of path: String) throws(DocumentFileError) -> [UInt8] {
    if path == "-" { return try standardInput() }
    if let refusal = PinnedRuleSet.verify(below: [path]).diagnostics.first { throw DocumentFileError(diagnostic: refusal) }
    return try readDocumentFile(path, limit: Limits.ruleBundleBytes).get()
  }

  /// A file that is in memory. `file` names it.
  public static func read(_ bytes: [UInt8], file: String) throws(DocumentFileError) -> RuleBundle {
    let hash = SHA256Hash.hex(of: bytes)
    if Archive.isArchive(bytes) { return try readArchive(bytes, file: file, hash: hash) }
    let first = bytes.first { ![0x20, 0x09, 0x0a, 0x0d, 0xef, 0xbb, 0xbf].contains($0) }
    // UTF-16, of which the reader of JSON says so; YAML may be that.
    let isOtherText = file.hasSuffix(".json") && (bytes.starts(with: [0xff, 0xfe]) || bytes.starts(with: [0xfe, 0xff]))
    guard !hasYAMLSuffix(file), first == 0x5b || first == 0x7b || isOtherText else {
      return RuleBundle(kind: .yaml, name: stem(file), sha256: hash, files: [RuleFile(name: file, bytes: bytes)])
    }
    var bundle = RuleBundle(kind: .json, name: stem(file), sha256: hash)
    try bundle.addJSON(bytes, file: file)
    return bundle
  }

  /// Whether `path` is a regular file that only `read` understands, and the loader of YAML files does not.
  public static func isBundle(_ path: String) -> Bool {
    guard path != "-" else { return true }
    var info = stat()
    guard stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFREG, !hasYAMLSuffix(path) else { return false }
    if isJSON(path) { return true }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var head = [UInt8](repeating: 0, count: 512)
    let count = Glibc.read(descriptor, &head, head.count)
    return count > 0 && Archive.isArchive(Array(head[..<count]))
  }

  // MARK: Sources

  private static func readDirectory(_ path: String) -> RuleBundle {
    let (paths, diagnostics) = RuleLoader.ruleFiles(below: [path])
    let pinned = PinnedRuleSet.verify(below: [path])
    let root = path.withoutTrailingSlashes
    var bundle = RuleBundle(kind: .directory, name: stem(root), sha256: "", diagnostics: diagnostics + pinned.diagnostics)
    var parts: [[UInt8]] = []
    for file in paths where !pinned.refuses(file) {
      switch readDocumentFile(file) {
      case .success(let bytes):
        parts += [Array(file.utf8.dropFirst(root.utf8.count)), bytes]
        bundle.files.append(RuleFile(name: file, bytes: bytes))
      case .failure(let failure): bundle.diagnostics.append(failure.diagnostic)
      }
    }
    bundle.sha256 = SHA256Hash.hex(of: parts)
    for name in ["LICENSE", "LICENSE.md", "LICENSE.txt", "COPYING"] {
      if bundle.license.isEmpty, case .success(let bytes) = readDocumentFile("\(root)/\(name)") { bundle.license = firstLine(of: bytes) }
    }
    return bundle
  }

  private static func readArchive(_ bytes: [UInt8], file: String, hash: String) throws(DocumentFileError) -> RuleBundle {
    var hidden: [String] = []
    let entries = try Archive.files(in: bytes, file: file) { name in
      if isHidden(name) { hidden.append(name) }
      if isYAML(name) || isMetadata(name) || isLicense(name) { return Limits.documentBytes }
      if isJSON(name) { return Limits.ruleBundleBytes }
      return isPacked(name) ? 0 : nil
    }.get()
    var bundle = RuleBundle(kind: .archive, name: stem(file), sha256: hash)
    var json: [(name: String, bytes: [UInt8])] = []
    var labels: Set<String> = []  // only asked
    for (number, entry) in entries.enumerated() {
      // Uncut, and unlike any other: what is found about a document is told by its file's name.
      var label = "\(file)!\(entry.name)"
      while !labels.insert(label).inserted { label += "#\(number + 1)" }
      let content: [UInt8]
      switch entry.content {
      case .bytes(let bytes): content = bytes
      case .refused(let reason):
        let text = isPacked(entry.name) ? "an archive inside an archive is not opened" : reason
        bundle.diagnostics.append(Diagnostic(isPacked(entry.name) ? .note : .error, SourceLocation(file: label), text))
        continue
      case .shut(let reason):
        // What is named like a rule was meant to be one.
        let isRule = isYAML(entry.name) || isJSON(entry.name)
        bundle.diagnostics.append(Diagnostic(isRule ? .error : .note, SourceLocation(file: label), reason))
        continue
      }
      if isYAML(entry.name) {
        bundle.files.append(RuleFile(name: label, bytes: content))
      } else if isMetadata(entry.name), Archive.isZip(bytes) {
        bundle.kind = .wheel
        bundle.readMetadata(content)
      } else if isLicense(entry.name), bundle.license.isEmpty {
        bundle.license = firstLine(of: content)
      } else if isJSON(entry.name) {
        json.append((label, content))
      }
    }
    guard bundle.files.count <= Limits.ruleFiles else {
      throw DocumentFileError(diagnostic: Diagnostic(.error, SourceLocation(file: file), "more than \(Limits.ruleFiles) rule files"))
    }
    try bundle.addJSONFiles(json)
    for name in hidden {
      bundle.diagnostics.append(Diagnostic(.note, SourceLocation(file: "\(file)!\(name)"), "its name begins with a dot, so it is not read"))
    }
    return bundle
  }

  /// JSON beside YAML is about the rules (indexes, fixtures), not the rules again.
  private mutating func addJSONFiles(_ json: [(name: String, bytes: [UInt8])]) throws(DocumentFileError) {
    guard files.isEmpty else {
      if let first = json.first {
        let count = json.count == 1 ? "not read" : "not read, nor are \(json.count - 1) more such files"
        diagnostics.append(Diagnostic(.note, SourceLocation(file: first.name), "JSON beside YAML rules is \(count)"))
      }
      return
    }
    for (name, bytes) in json {
      do { try addJSON(bytes, file: name) } catch {
        guard json.count > 1 else { throw error }
        diagnostics.append(Diagnostic(.note, error.diagnostic.location, "not a bundle of rules: \(error.diagnostic.message)"))
      }
    }
  }

  /// An array of rules, `{"rules": [..]}`, or one rule.
  private mutating func addJSON(_ bytes: [UInt8], file: String) throws(DocumentFileError) {
    func failure(_ message: String) -> DocumentFileError {
      DocumentFileError(diagnostic: Diagnostic(.error, SourceLocation(file: file), message))
    }
    // A whole bundle has many rules' values; each rule has the limit of a document.
    let root = try bytes.withUnsafeBytes { JSONTree.parse($0, file: file, limit: Limits.documentNodes * 64) }.get()
    let rules: [Node]
    if let list = root.list {
      rules = list
    } else if let list = root["rules"]?.list {
      rules = list
      if version.isEmpty, let text = root["version"]?.text { version = text }
      if license.isEmpty, let text = root["license"]?.text { license = text }
    } else if root["id"] != nil || root["correlation"] != nil {
      rules = [root]
    } else {
      throw failure("neither an array of rules nor an object with \"rules\"")
    }
    guard rules.count <= Limits.ruleFiles else { throw failure("more than \(Limits.ruleFiles) rules") }
    for rule in rules {
      guard rule.entries != nil else {
        diagnostics.append(Diagnostic(.error, rule.location, "a rule must be an object, not \(kind(of: rule))"))
        continue
      }
      guard let yaml = YAMLEmitter.emit(rule) else {
        let name = rule["id"]?.text.map { shown($0) } ?? "a rule"
        diagnostics.append(Diagnostic(.error, rule.location, "\(name) holds what YAML cannot say, or is larger than a rule may be"))
        continue
      }
      let place = "\(rule.location.file):\(rule.location.line):\(rule.location.column)"
      madeFiles.insert(place)
      files.append(RuleFile(name: place, bytes: yaml))
    }
  }

  /// In JSON's words.
  private func kind(of node: Node) -> String {
    guard case .scalar(let scalar) = node.content else { return node.list == nil ? "an object" : "an array" }
    if !scalar.isPlain { return "a text" }
    return scalar.isNull ? "null" : ["true", "false"].contains(scalar.text) ? scalar.text : "the number \(shown(scalar.text))"
  }

  /// Name, version and licence from a wheel's METADATA (core metadata: headers, then an empty line).
  private mutating func readMetadata(_ bytes: [UInt8]) {
    for line in bytes.split(separator: 0x0a, omittingEmptySubsequences: false) {
      if line.isEmpty || line.elementsEqual([0x0d]) { return }
      guard let colon = line.firstIndex(of: 0x3a) else { continue }
      let value = shown(String(decoding: line[(colon + 1)...].drop { $0 == 0x20 }.filter { $0 != 0x0d }, as: UTF8.self))
      switch String(decoding: line[..<colon], as: UTF8.self).lowercased() {
      case "name": name = value
      case "version": version = value
      case "license-expression": license = value
      case "license" where license.isEmpty: license = value
      default: break
      }
    }
  }

  private static func standardInput() throws(DocumentFileError) -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    while true {
      let count = Glibc.read(STDIN_FILENO, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      let problem = count < 0 ? "cannot read: \(errorText(errno))" : bytes.count > Limits.ruleBundleBytes ? "more than a bundle may have" : nil
      if let problem { throw DocumentFileError(diagnostic: Diagnostic(.error, SourceLocation(file: "-"), problem)) }
      if count == 0 { return bytes }
      bytes.append(contentsOf: buffer[..<count])
    }
  }

  // MARK: Names

  private static func base(_ name: String) -> String { name.pathParts.last ?? "" }
  private static func has(_ suffix: String, _ name: String) -> Bool { name.suffix(suffix.count).lowercased() == suffix }
  private static func hasYAMLSuffix(_ name: String) -> Bool { has(".yaml", name) || has(".yml", name) }
  private static func isYAML(_ name: String) -> Bool { hasYAMLSuffix(name) && base(name).utf8.first != 0x2e }
  private static func isJSON(_ name: String) -> Bool { has(".json", name) }
  private static func isMetadata(_ name: String) -> Bool { name.hasSuffix(".dist-info/METADATA") }
  private static func isLicense(_ name: String) -> Bool {
    name.pathParts.count <= 2 && ["LICENSE", "LICENSE.md", "LICENSE.txt", "COPYING"].contains(base(name))
  }
  private static let packedSuffixes = [".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst", ".tgz", ".txz", ".tar", ".zip", ".whl"]
  private static func isPacked(_ name: String) -> Bool { packedSuffixes.contains { has($0, name) } }

  /// "rules" of "/a/b/rules.tar.gz"; "rules" where nothing is left.
  static func stem(_ path: String) -> String {
    var name = base(path)
    for suffix in packedSuffixes + [".json", ".yaml", ".yml"] where has(suffix, name) {
      name = String(name.dropLast(suffix.count))
      break
    }
    return name.isEmpty || name == "-" || name == "." || name == ".." ? "rules" : name
  }

  private static func isHidden(_ name: String) -> Bool { hasYAMLSuffix(name) && !isYAML(name) }
  private static func firstLine(of bytes: [UInt8]) -> String {
    let line = bytes.split(separator: 0x0a).lazy.map { String(decoding: $0, as: UTF8.self) }.first { $0.contains { !$0.isWhitespace } }
    return line.map { shown(String($0.drop { $0 == "#" || $0.isWhitespace })) } ?? ""
  }
}
