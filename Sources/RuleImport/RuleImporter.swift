// A bundle -> a pinned set: checked by the same loader that will read it, one file for each rule, with provenance and hashes.
// What must stay true: what is written loads without a refusal; a set appears whole or not at all; nothing is overwritten unasked.
import AgentRuntime
import Glibc
import Primitives
import RuleLanguage
import TypedYAML

/// What an import found, before anything is written.
public struct RuleImportPlan: Sendable {
  public enum Outcome: String, Sendable {
    case imported
    /// Imported, but of a kind that this engine does not run.
    case skipped
    case refused
    /// A document that is no rule: a schema, an index, a workflow.
    case notARule = "not-a-rule"
  }
  public struct Row: Sendable {
    /// "" where the document has none.
    public var id: String
    public var outcome: Outcome
    public var reason: String
    public var location: SourceLocation
    /// What else is wrong with it, in the document's order.
    public var more: [Error] = []
    public struct Error: Sendable {
      public var reason: String
      public var location: SourceLocation
    }
  }
  public var bundle: RuleBundle
  /// In the order of the source.
  public var rows: [Row]
  public var diagnostics: [Diagnostic]
  /// What an imported rule loses.
  public var notes: [Diagnostic]
  /// One for each rule that is imported, sorted by name.
  public var files: [RuleFile]
  /// SHA-256 of each of `files`, and over their names and contents.
  public var hashes: [String]
  public var setHash: String
  public func count(_ outcome: Outcome) -> Int { rows.filter { $0.outcome == outcome }.count }
}

public enum RuleImporter {
  /// Reads every document of the bundle as the loader does. Correlations are resolved within the bundle.
  public static func plan(_ bundle: RuleBundle) -> RuleImportPlan {
    var rows: [RuleImportPlan.Row] = []
    var rules: [(row: Int, file: RuleFile)] = []
    var documents: [RuleFile] = []
    for file in bundle.files {
      let parsed = file.bytes.withUnsafeBytes { YAMLParser.parse($0, file: file.name) }
      for problem in parsed.problems {
        rows.append(.init(id: "", outcome: .refused, reason: problem.message, location: problem.location))
      }
      var (firstLine, counted) = (1, 0)  // of this document, and up to where lines are counted
      for document in parsed.documents {
        firstLine += file.bytes[counted..<document.range.lowerBound].count { $0 == 0x0a }
        counted = document.range.lowerBound
        let id = (document.root["id"] ?? document.root["correlation"]?["id"])?.text ?? ""
        guard isRule(document.root) else {
          rows.append(.init(id: "", outcome: .notARule, reason: "neither id nor detection", location: document.root.location))
          continue
        }
        let isWhole = parsed.documents.count == 1 && parsed.problems.isEmpty
        let bytes = isWhole ? file.bytes : Array(file.bytes[document.range])
        rows.append(.init(id: shown(id), outcome: .refused, reason: "", location: document.root.location))
        documents.append(RuleFile(name: file.name, bytes: bytes, firstLine: isWhole ? 1 : firstLine))
        rules.append((rows.count - 1, RuleFile(name: "", bytes: bytes)))
      }
    }
    let set = RuleLoader.load(paths: [], documents: documents)
    // Taken out as they are met: a rule answers for one document, and a file name for one rule.
    var accepted = Dictionary(set.rules.map { ($0.location, $0) }, uniquingKeysWith: { first, _ in first })
    let found = set.diagnostics.filter { $0.severity == .error }.map { RuleBundle.placed($0, madeFiles: bundle.madeFiles) }
    let errors = Dictionary(grouping: found, by: \.location.file)
    let starts = Dictionary(grouping: rules.map { rows[$0.row].location }, by: \.file)
    var names: Set<String> = []
    var files: [RuleFile] = []
    var notes: [Diagnostic] = []
    for (row, file) in rules {
      guard let rule = accepted.removeValue(forKey: rows[row].location) else {
        let start = rows[row].location
        let isMade = bundle.madeFiles.contains(start.file)
        if isMade { rows[row].location = SourceLocation(file: start.file) }
        explain(&rows[row], errors[start.file] ?? [], before: isMade ? nil : next(behind: start, in: starts[start.file] ?? []))
        continue
      }
      guard names.insert(fileName(rule.id)).inserted else {
        rows[row].reason = "another rule is written to \(fileName(rule.id))"
        continue
      }
      rows[row].id = rule.id
      rows[row].outcome = .imported
      if case .skipped(let method, let reason) = rule.detection {
        rows[row].outcome = .skipped
        rows[row].reason = "\(method): \(reason)"
      }
      if rule.tests.contains(where: { if case .stream = $0.input { true } else { false } }) {
        notes.append(Diagnostic(.warning, rows[row].location, "\(rule.id): the streams of its tests lie beside it and are not imported"))
      }
      files.append(RuleFile(name: fileName(rule.id), bytes: file.bytes))
    }
    for row in rows.indices where bundle.madeFiles.contains(rows[row].location.file) {
      rows[row].location = SourceLocation(file: rows[row].location.file)
    }
    notes = notes.map { RuleBundle.placed($0, madeFiles: bundle.madeFiles) }
    files.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    let left = bundle.diagnostics.map {
      RuleImportPlan.Row(id: "", outcome: $0.severity == .error ? .refused : .notARule, reason: $0.message, location: $0.location)
    }
    return RuleImportPlan(
      bundle: bundle, rows: rows + left, diagnostics: bundle.diagnostics + set.diagnostics, notes: notes, files: files,
      hashes: files.map { SHA256Hash.hex(of: $0.bytes) }, setHash: setHash(files))
  }

  /// The plan without the rules that are already below `directory`, outside the set `name`: there they would be the second of their id, and
  /// unused. They are refused, with the place of the first.
  public static func refuseTaken(_ plan: RuleImportPlan, in directory: String, besides name: String) -> RuleImportPlan {
    guard isDirectory(directory) else { return plan }
    let own = directory.withoutTrailingSlashes.pathAppending(name)
    let there = RuleStore.load(paths: [directory]).set.rules.filter { $0.location.file.path(below: own) == nil }
    let taken = Dictionary(there.map { ($0.id, $0.location) }, uniquingKeysWith: { first, _ in first })
    var plan = plan
    var refused: Set<String> = []
    for i in plan.rows.indices where plan.rows[i].outcome == .imported || plan.rows[i].outcome == .skipped {
      guard let first = taken[plan.rows[i].id] else { continue }
      refused.insert(fileName(plan.rows[i].id))
      plan.rows[i].outcome = .refused
      // The reason goes into the provenance, which names no path.
      plan.rows[i].reason = "rule id \(plan.rows[i].id) is taken by a rule that is already in the rules directory"
      plan.rows[i].more = [.init(reason: "the rule that has the id", location: first)]
    }
    guard !refused.isEmpty else { return plan }
    let kept = plan.files.indices.filter { !refused.contains(plan.files[$0].name) }
    plan.hashes = kept.map { plan.hashes[$0] }
    plan.files = kept.map { plan.files[$0] }
    plan.setHash = setHash(plan.files)
    return plan
  }
  private static func setHash(_ files: [RuleFile]) -> String { SHA256Hash.hex(of: files.flatMap { [Array($0.name.utf8), $0.bytes] }) }

  private static func isRule(_ root: Node) -> Bool {
    root["correlation"] != nil || root["source_rules"] != nil || root["detection"] != nil || root["id"]?.text?.hasPrefix("ATR-") == true
  }
  /// The first of `starts` behind `location`; they are in order.
  private static func next(behind location: SourceLocation, in starts: [SourceLocation]) -> SourceLocation? {
    var low = 0
    var high = starts.count
    while low < high {
      let middle = (low + high) / 2
      if location < starts[middle] { high = middle } else { low = middle + 1 }
    }
    return low < starts.count ? starts[low] : nil
  }
  /// The errors of its own part of the file, which are in order; the row stands at the first of them.
  private static func explain(_ row: inout RuleImportPlan.Row, _ errors: [Diagnostic], before end: SourceLocation?) {
    var low = 0
    var high = errors.count
    while low < high {
      let middle = (low + high) / 2
      if errors[middle].location < row.location { low = middle + 1 } else { high = middle }
    }
    let mine = errors[low...].prefix { error in end.map { error.location < $0 } ?? true }
    var all: [RuleImportPlan.Row.Error] = []
    // Two readers of one key may say the same of it; sorted, they stand side by side.
    for (i, error) in zip(mine.indices, mine) where i == mine.startIndex || mine[i - 1] != error {
      all.append(.init(reason: error.message + (error.hint.isEmpty ? "" : "; \(error.hint)"), location: error.location))
    }
    row.reason = all.first?.reason ?? "refused"
    if let first = all.first { row.location = first.location }
    row.more = Array(all.dropFirst())
  }
  /// Ids have only letters, digits and "-_.:". The loader does not read files that begin with a dot.
  static func fileName(_ id: String) -> String { (id.hasPrefix(".") ? "_" : "") + id + ".yaml" }

  /// A directory name from what the source calls itself.
  public static func setName(of bundle: RuleBundle) -> String {
    let raw = bundle.version.isEmpty ? bundle.name : "\(bundle.name)-\(bundle.version)"
    let name = String(raw.prefix(64).map { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) ? $0 : "_" })
    let plain = isNamedAsFile(name) ? String(name.dropLast(name.hasSuffix(".yml") ? 4 : 5)) + "_yaml" : name
    return plain.isEmpty || plain.hasPrefix(".") ? "rules\(plain)" : plain
  }
  /// A directory is loaded whatever its name; one that is named like a rule file misleads who reads the paths below it.
  private static func isNamedAsFile(_ name: String) -> Bool { name.hasSuffix(".yaml") || name.hasSuffix(".yml") }
  public static func isSetName(_ name: String) -> Bool {
    !isNamedAsFile(name) && !name.isEmpty && name.utf8.count <= 128 && !name.hasPrefix(".")
      && !name.utf8.contains { $0 == 0x2f || $0 < 0x20 || $0 == 0x7f }
  }

  // MARK: Writing

  public struct WriteError: Error, CustomStringConvertible {
    public var description: String
  }

  /// Writes DIRECTORY/NAME and gives its path. The files are written aside, synchronised and renamed into place together. A signal that
  /// would end the program takes what was written away first.
  public static func write(_ plan: RuleImportPlan, name: String, into directory: String, replaces: Bool) throws(WriteError) -> String {
    let target = "\(directory)/\(name)"
    guard makeDirectory(directory, mode: 0o755) else { throw WriteError(description: "cannot make \(directory): \(errorText(errno))") }
    var info = stat()
    let exists = lstat(target, &info) == 0
    if exists {
      guard replaces else { throw WriteError(description: "\(target) exists; --replace replaces it, --name gives another name") }
      guard info.st_mode & S_IFMT == S_IFDIR, PinnedRuleSet.read("\(target)/\(PinnedRuleSet.provenanceName)") != nil else {
        throw WriteError(description: "\(target) was not written by an import, so it is not replaced")
      }
    }
    let aside = "\(directory)/.\(name).\(getpid()).new"
    let signals = HeldSignals()
    defer { signals.release() }
    removeFlatDirectory(aside)
    guard mkdir(aside, 0o755) == 0 else { throw WriteError(description: "cannot write below \(directory): \(errorText(errno))") }
    let provenance = RuleFile(name: PinnedRuleSet.provenanceName, bytes: provenance(plan, name: name))
    for file in plan.files + [provenance] {
      let problem = signals.isPending ? "a signal ends it" : writePlainly(file.bytes, to: "\(aside)/\(file.name)")
      guard let problem else { continue }
      removeFlatDirectory(aside)
      throw WriteError(description: "cannot write \(target)/\(file.name): \(problem)")
    }
    guard synchronise(aside, withFiles: true) else {
      let problem = errorText(errno)
      removeFlatDirectory(aside)
      throw WriteError(description: "cannot write \(target): \(problem)")
    }
    try put(aside, at: target, exists: exists)
    synchronise(directory, withFiles: false)
    return target
  }

  private static func put(_ aside: String, at target: String, exists: Bool) throws(WriteError) {
    let old = aside + ".old"
    if exists {
      guard rename(target, old) == 0 else {
        let problem = errorText(errno)
        removeFlatDirectory(aside)
        throw WriteError(description: "cannot replace \(target): \(problem)")
      }
    } else if mkdir(target, 0o755) != 0 {
      // Our own empty directory holds the name, so that the rename below can only replace that.
      let problem = errorText(errno)
      removeFlatDirectory(aside)
      throw WriteError(description: "cannot make \(target): \(problem)")
    }
    guard rename(aside, target) == 0 else {
      let problem = errorText(errno)
      if exists { _ = rename(old, target) } else { rmdir(target) }
      removeFlatDirectory(aside)
      throw WriteError(description: "cannot write \(target): \(problem)")
    }
    if exists { removeFlatDirectory(old) }
  }

  /// A directory that holds files only, as ours do.
  private static func removeFlatDirectory(_ path: String) {
    guard let names = directoryNames(path) else { return }
    for name in names { unlink("\(path)/\(name)") }
    rmdir(path)
  }
  /// `withFiles`: all that was written below it, with one wait for the disk instead of one for each file.
  @discardableResult
  private static func synchronise(_ directory: String, withFiles: Bool) -> Bool {
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return (withFiles ? syncFileSystem(descriptor) : fsync(descriptor)) == 0
  }
  /// syncfs(2), which the module of the C library does not show: it is no part of POSIX.
  private static func syncFileSystem(_ descriptor: Int32) -> Int32 {
    guard let found = dlsym(nil, "syncfs") else { return fsync(descriptor) }
    return unsafeBitCast(found, to: (@convention(c) (Int32) -> Int32).self)(descriptor)
  }
  /// Why a new file could not be written; nil: it was.
  private static func writePlainly(_ bytes: [UInt8], to path: String) -> String? {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard descriptor >= 0 else { return errorText(errno) }
    defer { close(descriptor) }
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + written, bytes.count - written) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return errorText(errno) }
      written += count
    }
    return fchmod(descriptor, 0o644) == 0 ? nil : errorText(errno)
  }

  /// Signals that end the program, kept waiting in this thread while there is something to take away.
  private struct HeldSignals {
    private static let numbers = [SIGINT, SIGTERM, SIGHUP]
    private var before = sigset_t()
    init() {
      var held = sigset_t()
      sigemptyset(&held)
      for number in Self.numbers { sigaddset(&held, number) }
      pthread_sigmask(SIG_BLOCK, &held, &before)
    }
    var isPending: Bool {
      var pending = sigset_t()
      sigpending(&pending)
      return Self.numbers.contains { sigismember(&pending, $0) == 1 }
    }
    func release() {
      var mask = before
      pthread_sigmask(SIG_SETMASK, &mask, nil)
    }
  }

  /// The set's provenance.json: one line for each file, no time stamp, so that the same source gives the same bytes.
  static func provenance(_ plan: RuleImportPlan, name: String) -> [UInt8] {
    func object(_ members: [(StaticString, String)]) -> [UInt8] {
      var json = JSONWriter()
      json.beginObject()
      for (key, value) in members {
        json.key(key)
        json.value(value)
      }
      json.endObject()
      return json.out
    }
    func text(_ value: String) -> [UInt8] {
      var json = JSONWriter()
      json.value(value)
      return json.out
    }
    func list(_ rows: [[UInt8]]) -> [UInt8] {
      rows.isEmpty ? Array("[]".utf8) : Array("[\n    ".utf8) + rows.joined(separator: Array(",\n    ".utf8)) + Array("\n  ]".utf8)
    }
    let bundle = plan.bundle
    let source = object([
      ("kind", bundle.kind.rawValue), ("name", bundle.name), ("version", bundle.version), ("license", bundle.license), ("sha256", bundle.sha256),
    ])
    var counts = JSONWriter()
    counts.beginObject()
    counts.key("imported")
    counts.value(plan.count(.imported))
    counts.key("skipped")
    counts.value(plan.count(.skipped))
    counts.key("refused")
    counts.value(plan.count(.refused))
    counts.key("not_rules")
    counts.value(plan.count(.notARule))
    counts.endObject()
    let refused = plan.rows.filter { $0.outcome == .refused }
    let members: [(String, [UInt8])] = [
      ("format", text(PinnedRuleSet.format)), ("name", text(name)), ("source", source), ("importer", text("panguard \(Version.text)")),
      ("counts", counts.out), ("set_sha256", text(plan.setHash)),
      ("refused", list(refused.map { object([("id", $0.id), ("reason", $0.reason)]) })),
      ("files", list(zip(plan.files, plan.hashes).map { object([("file", $0.name), ("sha256", $1)]) })),
    ]
    let lines = members.map { Array("  \"\($0.0)\": ".utf8) + $0.1 }
    return Array("{\n".utf8) + lines.joined(separator: Array(",\n".utf8)) + Array("\n}\n".utf8)
  }
}

extension RuleStore {
  /// The door through which every command loads rules: directories and YAML files as they are, and bundles among `paths` (archives, wheels,
  /// JSON) through the same reader as `rules import`. No path at all means the shipped rules.
  public static func load(paths: [String], options: RuleLoadOptions = RuleLoadOptions()) -> LoadedRules {
    var documents: [RuleFile] = []
    var diagnostics: [Diagnostic] = []
    var failures = 0
    var plain: [String] = []
    var version = ""
    for path in paths {
      guard RuleBundle.isBundle(path) else {
        plain.append(path)
        continue
      }
      do {
        let (files, refused, itsVersion) = try open(path, keptIn: options.cacheDirectory)
        version = itsVersion
        documents += files.map { RuleFile(name: "\(path)!\($0.name)", bytes: $0.bytes) }
        for row in refused {
          let all = [RuleImportPlan.Row.Error(reason: row.reason, location: row.location)] + row.more
          diagnostics += all.map { Diagnostic(.error, $0.location, row.id.isEmpty ? $0.reason : "\(row.id): \($0.reason)") }
        }
        failures += refused.count
      } catch {
        diagnostics.append(error.diagnostic)
        failures += 1
      }
    }
    let isPlain = failures == 0 && documents.isEmpty
    var loaded = load(yaml: plain, documents: isPlain ? nil : documents, options: options)
    if isPlain { return loaded }
    loaded.set.diagnostics += diagnostics
    loaded.set.refusedCount += failures
    loaded.paths = paths
    if paths.count == 1, !version.isEmpty { loaded.corpusVersion = version }
    return loaded
  }

  /// What is in a bundle, and what was refused of it. Where nothing was, it need not be opened the next time.
  private static func open(
    _ path: String, keptIn directory: String?
  ) throws(DocumentFileError) -> (files: [RuleFile], refused: [RuleImportPlan.Row], version: String) {
    let bytes = try RuleBundle.bytes(of: path)
    if let directory, let known = OpenedBundle.kept(for: bytes, at: path, in: directory) {
      return (known.documents.map { RuleFile(name: $0.name, bytes: Array($0.text.utf8)) }, [], known.version)
    }
    let bundle = try RuleBundle.read(bytes, file: path)
    let plan = RuleImporter.plan(bundle)
    let refused = plan.rows.filter { $0.outcome == .refused }
    if let directory, refused.isEmpty {
      // YAML may be UTF-16 too.
      let texts = plan.files.compactMap { file in
        String(validating: file.bytes, as: UTF8.self).map { OpenedBundle.Document(name: file.name, text: $0) }
      }
      if texts.count == plan.files.count { OpenedBundle(version: bundle.version, documents: texts).keep(for: bytes, at: path, in: directory) }
    }
    return (plan.files, refused, bundle.version)
  }
}
