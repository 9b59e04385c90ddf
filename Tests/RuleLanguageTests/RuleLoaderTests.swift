// Directories of rules, the corpus, hostile files, and lint.
import Glibc
import PanguardTestKit
import Primitives
import RuleLanguage
import Testing

@Suite struct RuleLoaderTests {
  /// A directory of its own, removed afterwards.
  private func withDirectory(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/panguard-rules-XXXXXX\0".utf8).map { CChar(bitPattern: $0) }
    let made = try #require(mkdtemp(&template))
    let path = String(cString: made)
    defer { remove(path) }
    try body(path)
  }
  private func remove(_ path: String) {
    if let handle = opendir(path) {
      var names: [String] = []
      while let entry = readdir(handle) {
        names.append(withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } })
      }
      closedir(handle)
      var status = stat()
      for name in names where name != "." && name != ".." {
        let child = "\(path)/\(name)"
        if lstat(child, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { remove(child) } else { unlink(child) }
      }
    }
    rmdir(path)
  }
  private func write(_ text: String, _ path: String) {
    guard let file = fopen(path, "w") else { return }
    let bytes = Array(text.utf8)
    fwrite(bytes, 1, bytes.count, file)
    fclose(file)
  }
  private func rule(_ number: Int) -> String { hostRule(id: "ATR-2026-9000\(number)", detection: DiagnosticsTests.condition) }

  @Test func directoriesAreReadWhole() throws {
    try withDirectory { path in
      for name in ["b", "a", "a/deep", ".hidden"] { mkdir("\(path)/\(name)", 0o700) }
      write(rule(1), "\(path)/z.yaml")
      write(rule(2), "\(path)/b/x.yml")
      write(rule(3), "\(path)/a/deep/y.yaml")
      write(rule(4) + "---\n" + rule(5), "\(path)/a/two.yaml")
      write("a log line\n", "\(path)/a/stream.log")
      write(rule(6), "\(path)/.hidden/x.yaml")
      write(rule(7), "\(path)/.x.yaml")
      symlink("\(path)/a", "\(path)/b/loop")
      let set = RuleLoader.load(paths: [path + "/"])
      #expect(set.diagnostics.map(\.description) == [])
      #expect(set.rules.map(\.id) == (1...5).map { "ATR-2026-9000\($0)" })
      #expect(set.rules.map(\.location.file) == ["z.yaml", "b/x.yml", "a/deep/y.yaml", "a/two.yaml", "a/two.yaml"].map { "\(path)/\($0)" })
      // The same files by other ways are the same set.
      let again = RuleLoader.load(paths: ["\(path)/z.yaml", "\(path)/b", "\(path)/a"])
      #expect(again.fingerprint == set.fingerprint)
      #expect(again.rules.map(\.fingerprint) == set.rules.map(\.fingerprint))
    }
  }

  @Test func brokenFilesInTheMiddle() throws {
    try withDirectory { path in
      write(rule(1), "\(path)/1.yaml")
      write("a: [\n", "\(path)/2.yaml")
      write("\u{0}\u{1}binary", "\(path)/3.yaml")
      mkdir("\(path)/4.yaml", 0o700)
      mkfifo("\(path)/5.yaml", 0o600)
      symlink("/nonexistent", "\(path)/6.yaml")
      symlink("/dev/zero", "\(path)/7.yaml")
      write("# \(String(repeating: "x", count: Limits.documentBytes))", "\(path)/8.yaml")
      write("", "\(path)/8b.yaml")
      write(rule(2), "\(path)/9.yaml")
      let set = RuleLoader.load(paths: [path, "\(path)/missing"])
      #expect(set.rules.map(\.id) == ["ATR-2026-90001", "ATR-2026-90002"])
      #expect(
        set.diagnostics.map { String($0.description.dropFirst(path.count + 1)) } == [
          "2.yaml:2:1: error: while parsing a flow node at line 2: did not find expected node content",
          "3.yaml:1:1: error: control characters are not allowed (U+0000)", "5.yaml: error: is not a regular file",
          "6.yaml: error: cannot open: No such file or directory", "7.yaml: error: is not a regular file",
          "8.yaml: error: the file has \(Limits.documentBytes + 2) bytes, more than the \(Limits.documentBytes) that are read",
          "missing: error: cannot open: No such file or directory",
        ])
      #expect(set.refusedCount == 7)
    }
  }

  @Test func deepDirectoriesEnd() throws {
    try withDirectory { path in
      var deep = path
      for _ in 0..<(Limits.ruleDirectoryDepth + 2) {
        deep += "/d"
        mkdir(deep, 0o700)
      }
      #expect(RuleLoader.load(paths: [path]).diagnostics.map(\.message) == ["nested deeper than \(Limits.ruleDirectoryDepth) directories"])
    }
  }

  @Test func correlationsFindTheirSourcesInOtherFiles() throws {
    try withDirectory { path in
      write(
        """
        correlation: {id: ATR-COR-2026-90001, title: T, severity: high}
        source_rules: [{alias: a, rule_id: ATR-2026-90001}]
        correlation_logic: {type: count_threshold, count: 3, window: 5m}
        """, "\(path)/0.yaml")
      write(rule(1), "\(path)/1.yaml")
      #expect(RuleLoader.load(paths: [path]).rules.map(\.id) == ["ATR-2026-90001", "ATR-COR-2026-90001"])
    }
  }

  /// Correlations may build on correlations, but never on themselves; and long chains cost no more than their length.
  @Test func chainsAndCycles() {
    func correlation(_ n: Int, _ source: String) -> String {
      "correlation: {id: ATR-COR-2026-\(n), title: T, severity: high}\nsource_rules: [{alias: a, rule_id: \(source)}]\n"
        + "correlation_logic: {type: count_threshold, count: 3, window: 5m}\n---\n"
    }
    let chain = (10_001..<12_000).map { correlation($0, "ATR-COR-2026-\($0 + 1)") }.joined()
    #expect(RuleLoader.load(document: chain + rule(1), file: "r").rules.count == 1)
    #expect(RuleLoader.load(document: chain + correlation(12_000, "ATR-2026-90001") + rule(1), file: "r").rules.count == 2001)
    let cycle = correlation(10_001, "ATR-COR-2026-10002") + correlation(10_002, "ATR-COR-2026-10001")
    let set = RuleLoader.load(document: cycle, file: "r")
    #expect(set.rules.isEmpty)
    #expect(set.refusedCount == 2)
    #expect(
      set.diagnostics.filter { $0.severity == .error }.map(\.message) == [
        "ATR-COR-2026-10001 needs rule ATR-COR-2026-10002, which is refused for what it needs itself",
        "ATR-COR-2026-10002 needs rule ATR-COR-2026-10001, which is refused for what it needs itself",
      ])
  }

  @Test func theFingerprintIsOfTheBytes() {
    let a = RuleLoader.load(document: rule(1), file: "a")
    let b = RuleLoader.load(document: rule(1), file: "b")
    let c = RuleLoader.load(document: rule(1) + "# changed\n", file: "a")
    #expect(a.fingerprint == b.fingerprint)
    #expect(a.fingerprint != c.fingerprint)
  }

  // MARK: Hostile rules

  @Test func hugeAndStrange() {
    let million = String(repeating: "x", count: 250_000)
    for (detection, ruleCount) in [
      ("conditions: [{field: message, operator: contains, value: \(million)}]\ncondition: any", 1),
      ("conditions: [{field: message, operator: regex, value: \(million)}]\ncondition: any", 0),  // PCRE2: too large
      ("conditions: [{field: \(million), operator: contains, value: x}]\ncondition: any", 0),
      ("conditions: [{field: message, operator: contains, value: x}]\ncondition: \(million)", 0),
      ("conditions: [{field: message, operator: \(million), value: x}]\ncondition: any", 0),
      ("conditions: {\"\(million)\": {field: message, operator: y}}\ncondition: any", 0),
      ("method: behavioral\nbehavioral: {filter: {\"\(million)\": {is: y}}}\ncondition: any", 0),
      ("conditions: [{field: message, operator: regex, value: '\(String(repeating: "(", count: 100_000))'}]\ncondition: any", 0),
    ] {
      let set = RuleLoader.load(document: hostRule(detection: detection), file: "r")
      #expect(set.rules.count == ruleCount)
      for diagnostic in set.diagnostics { #expect(diagnostic.description.utf8.count < 1000) }
    }
    let many = hostRule(detection: "conditions:\n" + (0..<20_000).map { "  - {feld\($0): x}" }.joined(separator: "\n") + "\ncondition: any")
    let set = RuleLoader.load(document: many, file: "r")
    #expect(set.diagnostics.count == 2 * Limits.diagnosticsPerFile + 1)
    #expect(set.rules.isEmpty)
  }

  @Test func mutations() {
    let seeds = [
      rule(1),
      hostRule(
        detection:
          "method: behavioral\nbehavioral: {metric: user.name, aggregation: distinct_count, window: PT5M, operator: gte, threshold: 5, "
          + "group_by: [source.ip], filter: {event.action: [a, b], source.port: {gt: 3, not_in: [4]}}}"),
      "correlation: {id: ATR-COR-2026-90001, title: T, severity: high}\nsource_rules: [{alias: a, rule_id_pattern: 'ATR-*'}, {alias: b, rule_id_pattern: x}]\n"
        + "correlation_logic: {type: temporal_sequence, sequence: [{alias: a}, b], join_keys: [source.ip], window: {type: wall_time, duration: 5m}}\n",
      hostRule(
        detection:
          "selectors:\n  a1: {user_input: {contains: x, length_gt: 3}}\n  a2: {tool_args: {operator: in, value: [p, q]}}\n  b: {content: {endswith: y}}\n"
          + "condition: 1 of a* and not b", extra: "schema_version: '1.0'\nmaturity: test\nscan_target: skill"
      ).replacing("host_log", with: "llm_io").replacing(
        "test_cases: {}",
        with: "test_cases: {true_positives: [{user_input: x, expected: triggered}, {tool_call: {name: a, args: b}}, {input: {response: z}}]}"),
    ].map { Array($0.utf8) }
    let words = [
      "detection", "conditions", "[]", "{}", "~", "\n", "- ", ": ", "9223372036854775808", "-1", "\\u{110000}", "&a ", "*a", "'", "any of them", "(",
      "\t",
    ]
    var random = SplitMix64(seed: 3)
    for round in 0..<3000 {
      var bytes = seeds[round % seeds.count]
      for _ in 0..<(1 + random.below(3)) {
        let at = random.below(bytes.count)
        switch random.below(4) {
        case 0: bytes[at] = UInt8(random.below(256))
        case 1: bytes.insert(contentsOf: Array(words[random.below(words.count)].utf8), at: at)
        case 2: bytes.removeSubrange(at..<min(bytes.count, at + random.below(12)))
        default: bytes.replaceSubrange(at..<min(bytes.count, at + 8), with: Array(words[random.below(words.count)].utf8))
        }
      }
      let set = bytes.withUnsafeBytes { RuleLoader.load(document: $0, file: "r") }
      let hasError = set.diagnostics.contains { $0.severity == .error }
      // Never silent: what is not loaded has an error, and what has an error is not loaded.
      #expect((set.refusedCount > 0) == hasError)
    }
  }

  // MARK: Sources of correlations

  @Test(arguments: [
    ("ATR-2026-90001", "ATR-2026-90001", true), ("ATR-2026-9*", "ATR-2026-90001", true), ("*", "x", true), ("*", "", true), ("ATR-?", "ATR-1", true),
    ("ATR-?", "ATR-12", false), ("a*b*c", "aXbXc", true), ("a*b*c", "aXbX", false), ("", "a", false), ("**a", "ba", true),
    ("ATR-2026-9", "ATR-2026-90001", false),
  ]) func globs(_ pattern: String, _ id: String, _ matches: Bool) {
    #expect(CorrelationDetection.SourceRule(alias: "a", ruleIDPattern: pattern).matches(id) == matches)
  }
  @Test func globsDoNotExplode() {
    let pattern = String(repeating: "*a", count: 500) + "b"
    #expect(!CorrelationDetection.SourceRule(alias: "a", ruleIDPattern: pattern).matches(String(repeating: "a", count: 2000)))
  }

  // MARK: The corpus

  /// The directory of shared data: $PANGUARD_SHARED, or `shared` beside the repository.
  private var shared: String? {
    var status = stat()
    if let value = getenv("PANGUARD_SHARED") {
      let path = String(cString: value)
      return stat(path, &status) == 0 ? path : nil
    }
    var directory = #filePath.split(separator: "/").map(String.init)
    while !directory.isEmpty {
      directory.removeLast()
      let candidate = "/" + (directory + ["shared"]).joined(separator: "/")
      if stat(candidate + "/corpora", &status) == 0 { return candidate }
    }
    return nil
  }

  @Test(arguments: [("rules-642", 642), ("rules-450", 450)]) func theCorpusLoads(_ name: String, _ count: Int) {
    guard let shared else {
      print("skipped: no shared data (set PANGUARD_SHARED)")
      return
    }
    let set = RuleLoader.load(paths: ["\(shared)/corpora/atr/\(name)"])
    #expect(set.rules.count == count)
    #expect(set.refusedCount == 0)
    #expect(set.diagnostics.filter { $0.severity == .error }.map(\.description) == [])
    for rule in set.rules {
      #expect(!rule.tests.isEmpty, "\(rule.id)")
      if case .skipped(let method, let reason) = rule.detection { #expect(!method.isEmpty && !reason.isEmpty) }
    }
    let skipped = set.rules.filter { if case .skipped = $0.detection { true } else { false } }
    #expect(skipped.count <= 30)
  }
}
