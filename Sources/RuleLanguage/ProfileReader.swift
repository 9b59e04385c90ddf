// YAML documents with a `profile` key -> Profile (spec/atr-profile-v1.0.md). Strict: an entry that cannot be understood would select
// other rules than its author meant, so it refuses the document. All problems are reported with their place.
import Glibc
import Primitives
import TypedYAML

public enum ProfileReader {
  /// Reads the profiles of one document file.
  public static func load(_ bytes: Bytes, file: String) -> ProfileLibrary {
    let parsed = YAMLParser.parse(bytes, file: file)
    let problems = Problems()
    let profiles = parsed.documents.compactMap { document in
      Section(document.root, problems: problems).flatMap { ProfileDocument(problems: problems).read($0) }
    }
    return ProfileLibrary(profiles, diagnostics: parsed.problems + problems.finished(file: file))
  }
  public static func load(_ text: String, file: String) -> ProfileLibrary {
    var copy = text
    return copy.withUTF8 { load(Bytes($0), file: file) }
  }

  /// Reads every file of `paths`; of a directory, its `*.yaml` and `*.yml`, in the order of their names.
  public static func load(paths: [String]) -> ProfileLibrary {
    var library = ProfileLibrary()
    for path in paths {
      for file in files(at: path) {
        switch readDocumentFile(file) {
        case .success(let bytes):
          let read = bytes.withUnsafeBytes { load($0, file: file) }
          library = ProfileLibrary(library.profiles + read.profiles, diagnostics: library.diagnostics + read.diagnostics)
        case .failure(let failure): library = ProfileLibrary(library.profiles, diagnostics: library.diagnostics + [failure.diagnostic])
        }
      }
    }
    return library
  }
  private static func files(at path: String) -> [String] {
    guard let names = directoryNames(path) else { return [path] }  // a file, or what cannot be opened: reading says why
    let documents = names.filter { !$0.hasPrefix(".") && ($0.hasSuffix(".yaml") || $0.hasSuffix(".yml")) }
    return documents.prefix(Limits.knownProfiles).map { "\(path)/\($0)" }
  }
}

private struct ProfileDocument {
  let problems: Problems
  static let statuses = ["draft", "stable", "deprecated"]
  static let tagKeys = ["severity", "maturity", "category", "scan_target", "status", "rule_status", "subcategory", "confidence"]
  static let entryLimit = 10_000

  func read(_ document: Section) -> Profile? {
    let errorsBefore = problems.errorCount
    document.refuseUnknownKeys(["profile", "inclusions", "exclusions", "resolved_rules_summary"])
    guard let head = document.section("profile", isRequired: true) else { return nil }
    head.refuseUnknownKeys([
      "schema_version", "id", "title", "version", "description", "author", "date", "license", "status", "conformance_bound",
    ])
    _ = head.word("schema_version", of: ["1.0"], isRequired: true)
    let id = identifier(head, "id")
    let version = identifier(head, "version")
    let title = head.text("title", isRequired: true) ?? ""
    for key in ["description", "author", "date", "license"] where head.node(key) == nil {
      problems.warning(head.location, "'profile.\(key)' is missing")
    }
    let status = head.word("status", of: Self.statuses, isRequired: true) ?? ""
    let bound = self.bound(head)
    let inclusions = entries(document, "inclusions", isRequired: true)
    let exclusions = entries(document, "exclusions", isRequired: false)
    if document.node("inclusions")?.list?.isEmpty == true {
      problems.error(document.location(of: "inclusions"), "'inclusions' is empty: no rule would be in")
    }
    let total = document.section("resolved_rules_summary")?.integer("total", in: 0...Int64(Int32.max))
    guard problems.errorCount == errorsBefore else { return nil }
    return Profile(
      id: id, title: title, version: version, summary: head.text("description") ?? "", author: head.text("author") ?? "",
      date: head.text("date") ?? "", license: head.text("license") ?? "", status: status, bound: bound, inclusions: inclusions,
      exclusions: exclusions, statedTotal: total, location: head.location)
  }

  private func identifier(_ section: Section, _ key: String) -> String {
    guard let text = section.text(key, isRequired: true) else { return "" }
    let isPlain = text.utf8.allSatisfy { byte in
      (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || "-_.+".utf8.contains(byte)
    }
    if !isPlain || text.isEmpty || text.utf8.count > 128 {
      problems.error(
        section.location(of: key), "'\(section.qualified(key))' must be 1 to 128 letters, digits, '-', '_', '.' or '+', not '\(shown(text))'")
    }
    return text
  }

  private func bound(_ head: Section) -> Profile.Bound {
    var bound = Profile.Bound()
    guard let section = head.section("conformance_bound", isRequired: true) else { return bound }
    section.refuseUnknownKeys(["spec_version_min", "spec_version_max", "minimum_rule_coverage", "minimum_engine_passing"])
    bound.specVersionMinimum = version(section, "spec_version_min", isRequired: true) ?? ""
    bound.specVersionMaximum = version(section, "spec_version_max", isRequired: false)
    if let maximum = bound.specVersionMaximum.flatMap({ SpecVersion($0) }), let minimum = SpecVersion(bound.specVersionMinimum), maximum < minimum {
      problems.error(
        section.location(of: "spec_version_max"), "'\(section.qualified("spec_version_max"))' \(maximum) is below the minimum, \(minimum)")
    }
    bound.minimumRuleCoverage = section.decimal("minimum_rule_coverage", digits: 3, in: 0...1000, isRequired: true) ?? 1000
    bound.minimumEnginePassing = section.decimal("minimum_engine_passing", digits: 3, in: 0...1000, isRequired: true) ?? 1000
    return bound
  }

  private func version(_ section: Section, _ key: String, isRequired: Bool) -> String? {
    guard let text = section.text(key, isRequired: isRequired) else { return nil }
    if SpecVersion(text) == nil {
      problems.error(section.location(of: key), "'\(section.qualified(key))' '\(shown(text))' does not have the form 1.0")
    }
    return text
  }

  private func entries(_ document: Section, _ key: String, isRequired: Bool) -> [Profile.Entry] {
    guard let items = document.list(key, isRequired: isRequired) else { return [] }
    guard items.count <= Self.entryLimit else {
      problems.error(document.location(of: key), "'\(key)' has \(items.count) entries, but may have \(Self.entryLimit)")
      return []
    }
    let isInclusion = key == "inclusions"
    return items.enumerated().flatMap { index, item -> [Profile.Entry] in
      guard let section = Section(item, path: "\(key)[\(index + 1)]", problems: problems) else { return [] }
      return read(section, isInclusion: isInclusion)
    }
  }

  /// An entry with several keys counts as one entry for each, as the standard's algorithm goes through them.
  private func read(_ section: Section, isInclusion: Bool) -> [Profile.Entry] {
    let selectors = ["rule_id", "rule_id_pattern", "category", "tag_match", "rule_status"] + (isInclusion ? ["profile"] : [])
    section.refuseUnknownKeys(selectors + ["description", "reason"])
    var found: [Profile.Entry] = []
    func add(_ key: String, _ make: (String) -> Profile.Selector?) {
      guard section.has(key), let text = section.text(key, isRequired: true) else { return }
      if let selector = make(text) { found.append(Profile.Entry(selector, location: section.location(of: key))) }
    }
    add("profile") { name in
      let parts = name.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard !parts[0].isEmpty, parts.count < 2 || !parts[1].isEmpty else {
        problems.error(section.location(of: "profile"), "'\(shown(name))' is not a profile", hint: "write id@version")
        return nil
      }
      return .profile(id: parts[0], version: parts.count > 1 ? parts[1] : nil)
    }
    add("rule_id") { .ruleID($0) }
    add("rule_id_pattern") { .ruleIDPattern($0) }
    add("category") { .category($0) }
    add("rule_status") { text in
      section.word("rule_status", of: Vocabulary.statuses).map { _ in .status(text) }
    }
    if section.has("tag_match"), let tags = section.section("tag_match", isRequired: true) {
      tags.refuseUnknownKeys(Self.tagKeys)
      let filters = tags.entries.filter { Self.tagKeys.contains($0.key) }.map {
        Profile.TagFilter(key: $0.key, values: tags.texts($0.key, isRequired: true))
      }
      if filters.isEmpty || filters.contains(where: { $0.values.isEmpty }) {
        problems.error(tags.location, "'\(tags.path)' must name values")
      } else {
        found.append(Profile.Entry(.tagMatch(filters), location: tags.location))
      }
    }
    if !selectors.contains(where: section.has) {
      problems.error(section.location, "'\(section.path)' selects nothing", hint: "write one of \(selectors.joined(separator: ", "))")
    }
    return found
  }
}
