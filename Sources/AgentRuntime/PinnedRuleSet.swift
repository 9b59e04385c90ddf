// Sets of rules that `panguard rules import` has written: a directory with `provenance.json`, which names each file and its SHA-256.
// What must stay true: a file of such a set that has changed, is gone, or was added is an error that names it, and its rules are not used.
import Glibc
import Primitives
import RuleLanguage
import TypedYAML

public enum PinnedRuleSet {
  public static let provenanceName = "provenance.json"
  /// `format` of a provenance file that this version reads.
  public static let format = "panguard-rule-set/1"

  public struct Findings {
    public var diagnostics: [Diagnostic] = []
    /// Files whose rules must not be used, as the loader names them; in bytes, since Unicode calls names equal that the kernel does not.
    private var refusedFiles: Set<[UInt8]> = []  // only asked for members
    public func refuses(_ file: String) -> Bool { refusedFiles.contains(Array(file.utf8)) }
    mutating func refuse(_ file: String) { refusedFiles.insert(Array(file.utf8)) }
  }

  /// Checks every pinned set at or below the directories among `paths`; and, of the sets that a path lies in, what is at that path.
  public static func verify(below paths: [String]) -> Findings {
    var findings = Findings()
    var sets: [[UInt8]: Pinned] = [:]  // by directory: many files of one set may be named
    for path in paths {
      checkSets(around: path, &sets, &findings)
      guard isDirectory(path) else { continue }
      var pending = [(path: path.withoutTrailingSlashes, depth: 0)]
      while let (directory, depth) = pending.popLast() {
        var info = stat()
        if lstat(directory.pathAppending(provenanceName), &info) == 0 { check(directory, &findings) }
        guard depth < Limits.ruleDirectoryDepth else { continue }
        for name in directoryNames(directory) ?? [] where name.utf8.first != 0x2e {
          let child = directory.pathAppending(name)
          if lstat(child, &info) == 0, info.st_mode & S_IFMT == S_IFDIR { pending.append((child, depth + 1)) }
        }
      }
    }
    findings.diagnostics.sort { $0.location != $1.location ? $0.location < $1.location : $0.message < $1.message }
    return findings
  }

  private enum Pinned {
    case none, unreadable
    /// The SHA-256 of each file, by the bytes of its name.
    case files([[UInt8]: String])
  }
  private static let changed = "the file has changed since it was imported; its rules are not used"
  private static let foreign = "the file does not belong to the imported set; its rules are not used"
  private static let unreadable = "not a provenance file of a rule set that this version reads"

  private static func refuse(_ file: String, _ message: String, _ findings: inout Findings) {
    findings.diagnostics.append(
      Diagnostic(
        .error, SourceLocation(file: file), message,
        hint: "import the set again with --replace, or keep rules of your own in another directory"))
    findings.refuse(file)
  }

  private static func check(_ directory: String, _ findings: inout Findings) {
    let yaml = RuleLoader.ruleFiles(below: [directory]).files
    let provenance = directory.pathAppending(provenanceName)
    guard let pinned = read(provenance) else {
      findings.diagnostics.append(Diagnostic(.error, SourceLocation(file: provenance), unreadable))
      for file in yaml { findings.refuse(file) }
      return
    }
    for (name, hash) in pinned {
      let file = directory.pathAppending(name)
      switch readDocumentFile(file) {
      case .success(let bytes): if SHA256Hash.hex(of: bytes) != hash { refuse(file, changed, &findings) }
      case .failure: refuse(file, "the file of an imported set is missing or cannot be read", &findings)
      }
    }
    let known = Set(pinned.map { Array($0.name.utf8) })
    for file in yaml where !known.contains(Array((file.path(below: directory) ?? file).utf8)) { refuse(file, foreign, &findings) }
  }

  // MARK: A path into a set

  /// A file or directory that was named itself: what it is to the sets around it. By its own place and, if it is a link, by where it leads.
  private static func checkSets(around path: String, _ sets: inout [[UInt8]: Pinned], _ findings: inout Findings) {
    let isFolder = isDirectory(path)
    var places: [[String]] = []
    func add(_ place: [String]) {
      if !places.contains(where: { $0.elementsEqual(place) { $0.utf8.elementsEqual($1.utf8) } }) { places.append(place) }
    }
    if let place = resolved(path) { add(place) }
    if !isFolder {
      // A link in a set is a file of the set.
      if let above = resolved(path.directoryPath) { add(above + [path.lastPathPart]) }
    }
    for place in places {
      for count in stride(from: place.count - 1, through: max(0, place.count - Limits.ruleDirectoryDepth), by: -1) {
        let directory = "/" + place[..<count].joined(separator: "/")
        let name = place[count...].joined(separator: "/")
        switch pinned(directory, &sets) {
        case .none: continue
        // A file of that name may be anybody's; beside the rules it takes the place of ours.
        case .unreadable where isFolder || count < place.count - 1: continue
        case .unreadable:
          refuse(path, "\(provenanceName) beside it is \(unreadable)", &findings)
        case .files(let hashes):
          if isFolder {
            for file in RuleLoader.ruleFiles(below: [path]).files { refuse(file, foreign, &findings) }
          } else if let hash = hashes[Array(name.utf8)] {
            if case .success(let bytes) = readDocumentFile(path), SHA256Hash.hex(of: bytes) != hash { refuse(path, changed, &findings) }
          } else if name != provenanceName {
            refuse(path, foreign, &findings)
          }
        }
      }
    }
  }

  private static func pinned(_ directory: String, _ sets: inout [[UInt8]: Pinned]) -> Pinned {
    let key = Array(directory.utf8)
    if let known = sets[key] { return known }
    let file = "\(directory)/\(provenanceName)"
    var info = stat()
    var result = Pinned.none
    if lstat(file, &info) == 0 {
      result =
        read(file).map { .files(Dictionary($0.map { (Array($0.name.utf8), $0.hash) }, uniquingKeysWith: { first, _ in first })) } ?? .unreadable
    }
    sets[key] = result
    return result
  }

  /// The parts of the path without links; nil where there is nothing.
  private static func resolved(_ path: String) -> [String]? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real).pathParts
  }

  /// What the source of the set in `directory` called its version; nil where it is no imported set, or its source did not say.
  public static func version(of directory: String) -> String? {
    let path = "\(directory)/\(provenanceName)"
    guard case .success(let bytes) = readDocumentFile(path, limit: 8 * Limits.documentBytes),
      case .success(let root) = bytes.withUnsafeBytes({ JSONTree.parse($0, file: path, limit: 8 * Limits.ruleFiles) }),
      root["format"]?.text == format, let version = root["source"]?["version"]?.text, !version.isEmpty
    else { return nil }
    return version
  }

  /// The files that a provenance file names, in its order.
  public static func read(_ path: String) -> [(name: String, hash: String)]? {
    guard case .success(let bytes) = readDocumentFile(path, limit: 8 * Limits.documentBytes),
      case .success(let root) = bytes.withUnsafeBytes({ JSONTree.parse($0, file: path, limit: 8 * Limits.ruleFiles) }),
      root["format"]?.text == format, let files = root["files"]?.list
    else { return nil }
    var result: [(name: String, hash: String)] = []
    for file in files {
      guard let name = file["file"]?.text, let hash = file["sha256"]?.text, !name.isEmpty, !name.utf8.contains(0x2f), !name.utf8.contains(0)
      else { return nil }
      result.append((name, hash))
    }
    return result
  }
}
