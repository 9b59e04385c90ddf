// Files and directories -> RuleSet. A bad document never stops the good ones, and is never silent: what was refused is counted and
// every reason is a diagnostic. The result depends on the files' bytes and names only, not on the order of the file system.
import Glibc
import Primitives
import TypedYAML

/// A rule file that is in memory: from an archive, a bundle, standard input.
public struct RuleFile: Sendable, Equatable {
  /// Names it in locations.
  public var name: String
  public var bytes: [UInt8]
  /// Where `bytes` is a part of the file: the line of it that this begins at, from 1.
  public var firstLine: Int
  public init(name: String, bytes: [UInt8], firstLine: Int = 1) {
    self.name = name
    self.bytes = bytes
    self.firstLine = firstLine
  }
}

public enum RuleLoader {
  /// Loads every `*.yaml` and `*.yml`, in any case, below `paths` (files are taken whatever their name), in the order of their names. Files that
  /// begin with "." are not read. Directories behind symbolic links are not entered.
  /// `documents` are read after them, as if they were files.
  /// `takesRecordedMatches`: matches of rules that are not loaded can come from recorded events, so a correlation that names such a
  /// rule is loaded, with a warning, instead of refused.
  public static func load(paths: [String], documents: [RuleFile] = [], takesRecordedMatches: Bool = false) -> RuleSet {
    load(read(paths: paths, documents: documents), takesRecordedMatches: takesRecordedMatches)
  }

  /// Rule files as they lie on disk, unread by any parser, so that a cache can tell whether it knows them.
  public struct Files: Sendable {
    public internal(set) var files: [RuleFile] = []
    /// What could not be found or read.
    public internal(set) var diagnostics: [Diagnostic] = []
    var refusedCount = 0
  }
  /// Reads every file that `load(paths:documents:)` loads.
  public static func read(paths: [String], documents: [RuleFile] = []) -> Files {
    var collection = Collection()
    var result = Files()
    for path in paths {
      for file in collection.files(below: path) {
        switch readDocumentFile(file) {
        case .success(let bytes): result.files.append(RuleFile(name: file, bytes: bytes))
        case .failure(let failure):
          collection.diagnostics.append(failure.diagnostic)
          collection.refusedCount += 1
        }
      }
    }
    result.files += documents
    result.diagnostics = collection.diagnostics
    result.refusedCount = collection.refusedCount
    return result
  }
  public static func load(_ read: Files, takesRecordedMatches: Bool = false) -> RuleSet {
    var collection = Collection()
    collection.takesRecordedMatches = takesRecordedMatches
    collection.diagnostics = read.diagnostics
    collection.refusedCount = read.refusedCount
    for file in read.files { file.bytes.withUnsafeBytes { collection.add($0, file: file.name, firstLine: file.firstLine) } }
    return collection.finished()
  }

  /// The files that `load` would read below `paths`, sorted within each path, and what was not looked at.
  public static func ruleFiles(below paths: [String]) -> (files: [String], diagnostics: [Diagnostic]) {
    var collection = Collection()
    let files = paths.flatMap { collection.files(below: $0) }
    return (files, collection.diagnostics)
  }

  /// Loads the documents of one file that is in memory. `file` names it in locations; streams of tests are sought beside it.
  public static func load(document bytes: Bytes, file: String, takesRecordedMatches: Bool = false) -> RuleSet {
    var collection = Collection()
    collection.takesRecordedMatches = takesRecordedMatches
    collection.add(bytes, file: file)
    return collection.finished()
  }
  public static func load(document text: String, file: String, takesRecordedMatches: Bool = false) -> RuleSet {
    var copy = text
    return copy.withUTF8 { load(document: Bytes($0), file: file, takesRecordedMatches: takesRecordedMatches) }
  }
}

private struct Collection {
  var diagnostics: [Diagnostic] = []
  var takesRecordedMatches = false
  var refusedCount = 0
  private var rules: [Rule] = []
  private var indexOfID: [String: Int] = [:]
  private var sources: [String: RuleReader.Sources] = [:]
  private var fileCount = 0

  mutating func add(_ bytes: Bytes, file: String, firstLine: Int = 1) {
    let parsed = YAMLParser.parse(bytes, file: file, firstLine: firstLine)
    diagnostics.append(contentsOf: parsed.problems)
    refusedCount += parsed.problems.count
    let problems = Problems()
    let directory = file.utf8.lastIndex(of: 0x2f).map { String(file[...$0]) } ?? ""
    let reader = RuleReader(problems: problems, file: file, directory: directory)
    // A profile selects rules and is none (see ProfileReader); a playbook answers what rules find (see Playbooks).
    for document in parsed.documents
    where (document.root["profile"] == nil || document.root["inclusions"] == nil)
      && (document.root["playbook"] == nil || document.root["steps"] == nil)
    {
      guard
        let (rule, ruleSources) = reader.read(
          document, fingerprint: Fingerprint(of: bytes.slice(document.range.lowerBound, document.range.upperBound)))
      else {
        refusedCount += 1
        continue
      }
      if let first = indexOfID[rule.id] {
        problems.error(rule.location, "rule id \(rule.id) is taken: it is first defined at \(rules[first].location)")
        refusedCount += 1
        continue
      }
      indexOfID[rule.id] = rules.count
      rules.append(rule)
      if !ruleSources.isEmpty { sources[rule.id] = ruleSources }
    }
    diagnostics.append(contentsOf: problems.finished(file: file))
  }

  /// Refuses correlations that name rules which are not there (missing, refused, or leading back to the correlation itself); then sorts.
  mutating func finished() -> RuleSet {
    // A rule is accepted once all rules that it names are: from the rules that name none, along the names, each edge once.
    var waitingFor = [Int](repeating: 0, count: rules.count)
    var dependents: [String: [Int]] = [:]
    for (i, rule) in rules.enumerated() {
      let named = Set((sources[rule.id] ?? []).map(\.id))
      waitingFor[i] = named.count
      for id in named { dependents[id, default: []].append(i) }
    }
    var accepted: Set<String> = []
    var ready = rules.indices.filter { waitingFor[$0] == 0 }
    if takesRecordedMatches {
      for (i, rule) in rules.enumerated() {
        let missing = (sources[rule.id] ?? []).filter { indexOfID[$0.id] == nil }
        for (id, location) in missing {
          diagnostics.append(Diagnostic(.warning, location, "\(rule.id) waits for \(shown(id)), which is not loaded: only recorded matches feed it"))
        }
        waitingFor[i] -= Set(missing.map(\.id)).count
        if !missing.isEmpty, waitingFor[i] == 0 { ready.append(i) }
      }
    }
    while let i = ready.popLast() {
      accepted.insert(rules[i].id)
      for dependent in dependents[rules[i].id] ?? [] {
        waitingFor[dependent] -= 1
        if waitingFor[dependent] == 0 { ready.append(dependent) }
      }
    }
    for rule in rules where !accepted.contains(rule.id) {
      refusedCount += 1
      for (id, location) in sources[rule.id] ?? [] where !accepted.contains(id) {
        let isThere = indexOfID[id] != nil
        let near = isThere ? nil : nearest(id, in: rules.prefix(1000).map(\.id).filter { $0 != rule.id })
        let reason = isThere ? "which is refused for what it needs itself" : "which is not loaded"
        diagnostics.append(
          Diagnostic(.error, location, "\(rule.id) needs rule \(shown(id)), \(reason)", hint: near.map { "did you mean \($0)?" } ?? ""))
      }
    }
    return RuleSet(
      rules: rules.filter { accepted.contains($0.id) }.sorted { $0.id.utf8.lexicographicallyPrecedes($1.id.utf8) },
      diagnostics: diagnostics.sorted(by: diagnosticOrder), refusedCount: refusedCount)
  }
  private func diagnosticOrder(_ a: Diagnostic, _ b: Diagnostic) -> Bool {
    a.location != b.location ? a.location < b.location : a.message < b.message
  }

  /// The rule files below `path`, sorted by their bytes.
  mutating func files(below path: String) -> [String] {
    var status = stat()
    guard stat(path, &status) == 0 else {
      refuse(path, "cannot open: \(errorText(errno))")
      return []
    }
    guard status.st_mode & S_IFMT == S_IFDIR else { return [path] }
    var found: [String] = []
    var pending = [(path: path.withoutTrailingSlashes, depth: 0)]
    while let (directory, depth) = pending.popLast() {
      guard let names = names(in: directory) else { continue }
      for name in names where name.utf8.first != 0x2e {
        let file = directory.pathAppending(name)
        var status = stat()
        guard lstat(file, &status) == 0 else {
          // Deleted since the directory was read: as if it had never been there.
          if errno != ENOENT { refuse(file, "cannot open: \(errorText(errno))") }
          continue
        }
        if status.st_mode & S_IFMT == S_IFDIR {
          if depth >= Limits.ruleDirectoryDepth {
            refuse(file, "nested deeper than \(Limits.ruleDirectoryDepth) directories")
          } else {
            pending.append((file, depth + 1))
          }
        } else if isRuleFileName(name) {
          fileCount += 1
          guard fileCount <= Limits.ruleFiles else {
            refuse(path, "more than \(Limits.ruleFiles) rule files")
            return []
          }
          found.append(file)
        }
      }
    }
    return found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
  private func isRuleFileName(_ name: String) -> Bool { name.hasPathSuffix(".yaml") || name.hasPathSuffix(".yml") }
  /// Without names that are not UTF-8: nothing here could open them again, so what may hold rules is refused.
  private mutating func names(in directory: String) -> [String]? {
    guard let handle = opendir(directory) else {
      refuse(directory, "cannot open: \(errorText(errno))")
      return nil
    }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      let (name, shownName) = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { (String(validatingCString: $0), String(cString: $0)) }
      }
      let mayHoldRules = [DT_DIR, DT_UNKNOWN].contains(Int(entry.pointee.d_type)) || isRuleFileName(shownName)
      if let name {
        names.append(name)
      } else if mayHoldRules, shownName.utf8.first != 0x2e {
        refuse(directory.pathAppending(shownName), "the name is not UTF-8, so it is not read")
      }
    }
    return names
  }
  private mutating func refuse(_ path: String, _ message: String) {
    diagnostics.append(Diagnostic(.error, SourceLocation(file: path), message))
    refusedCount += 1
  }
}

extension RuleSet {
  /// One value for the whole set: the fingerprint of all ids and document fingerprints, in order.
  public var fingerprint: Fingerprint {
    var bytes: [UInt8] = []
    for rule in rules {
      bytes.append(rule.id)
      bytes.append(0x20)
      rule.fingerprint.append(to: &bytes)
      bytes.append(0x0a)
    }
    return bytes.withUnsafeBytes { Fingerprint(of: $0) }
  }
}
