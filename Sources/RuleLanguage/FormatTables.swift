// What the versions of the rule format ask for beyond what the engine needs: forms of ids, required keys, sizes. None of it refuses a rule,
// because the corpus has rules of every version; all of it is said, at its place.
// Sources: SPEC.md 4.1, 4.2, 5.1, 5.2, 11; spec/atr-schema.yaml; spec/schema/rule.schema.json.
import Primitives
import TypedYAML

enum FormatTables {
  // MARK: Ids

  /// `prefix`YYYY-NNNNN, and the forms beside it: three digits (before 1.0), YYYY-DRAFT-hex (not yet numbered), a country before the year.
  static func isNumbered(_ id: String, prefix: String) -> Bool {
    guard id.hasPrefix(prefix) else { return false }
    var parts = id.utf8.dropFirst(prefix.utf8.count).split(separator: 0x2d, omittingEmptySubsequences: false).map(Array.init)
    if parts.count == 3, parts[0].count == 2, parts[0].allSatisfy({ (0x41...0x5a).contains($0) }) { parts.removeFirst() }
    func isDigits(_ text: [UInt8]) -> Bool { text.allSatisfy { (0x30...0x39).contains($0) } }
    guard parts.count >= 2, parts[0].count == 4, isDigits(parts[0]) else { return false }
    if parts.count == 2 { return (parts[1].count == 5 || parts[1].count == 3) && isDigits(parts[1]) }
    let isHex = (1...32).contains(parts.last!.count) && parts.last!.allSatisfy { isDigits([$0]) || (0x61...0x66).contains($0 | 0x20) }
    return parts.count == 3 && String(decoding: parts[1], as: UTF8.self) == "DRAFT" && isHex
  }

  // MARK: Keys

  /// A near miss of a known key is a warning, any other unknown key a note: it means nothing here (SPEC.md 5) and may mean something
  /// elsewhere. Returns the unknown ones.
  static func reportUnknownKeys(of section: Section, known: [String]) -> [String] {
    let set = Set(known)
    var unknown: [String] = []
    for entry in section.entries where !set.contains(entry.key) {
      unknown.append(entry.key)
      guard !entry.key.hasPrefix("_"), !entry.key.hasPrefix("x-") else { continue }
      let near = section.problems.isFull ? nil : nearest(entry.key, in: known)
      let message = "unknown key '\(shown(entry.key))'"
      if let near {
        section.problems.warning(entry.keyLocation, message, hint: "did you mean '\(near)'?")
      } else {
        section.problems.note(entry.keyLocation, "\(message) is ignored")
      }
    }
    return unknown
  }

  static func schemaVersion(_ section: Section) -> String {
    guard let text = section.text("schema_version") else { return "" }
    let parts = text.utf8.split(separator: 0x2e, omittingEmptySubsequences: false)
    let isVersion = parts.count == 2 && parts.allSatisfy { (1...4).contains($0.count) && $0.allSatisfy { (0x30...0x39).contains($0) } }
    if !isVersion { section.problems.warning(section.location(of: "schema_version"), "schema_version '\(shown(text))' does not have the form 1.0") }
    return isVersion ? text : ""
  }

  /// Lengths in characters that SPEC.md 5.1 gives from 1.0 on.
  private static let lengths: [(key: String, range: ClosedRange<Int>)] = [
    ("title", 1...200), ("description", 50...4000), ("author", 1...200),
  ]
  private static let casesOfEachKind = 5

  /// Notes on what the rule's own schema version requires. A rule that names no version is not measured by one.
  static func reportWhatIsRequired(_ section: Section, schemaVersion: String, tests: [TestCase]) {
    let problems = section.problems
    if !schemaVersion.isEmpty, section.node("maturity") == nil {
      problems.note(section.location, "'maturity' is missing: the rule runs in lane hunt only")
    }
    guard let major = schemaVersion.utf8.first, major >= 0x31 else {
      // Drafts of the format asked for the tier that 1.1 made optional.
      if schemaVersion == "0.1", section.node("detection_tier") == nil, section.section("detection")?.has("method") == false {
        problems.note(section.location, "'detection_tier' is missing, which schema 0.1 requires")
      }
      return
    }
    for (key, range) in lengths {
      guard let text = section.node(key)?.text else { continue }
      let count = text.unicodeScalars.count
      if !range.contains(count) {
        problems.note(
          section.location(of: key),
          "'\(key)' has \(count) characters, but schema \(schemaVersion) asks for \(range.lowerBound) to \(range.upperBound)")
      }
    }
    for group in [TestCase.Group.truePositive, .trueNegative] {
      let count = tests.filter { $0.group == group }.count
      if count < casesOfEachKind {
        problems.note(section.location, CaseCountNote.text("\(count) \(group.rawValue)", schemaVersion, wanted: casesOfEachKind))
      }
    }
  }

  // MARK: Compliance

  /// The keys that hold an item's identifier, by framework convention.
  private static let identifierKeys = ["id", "article", "subcategory", "clause", "section", "principle", "control"]

  /// `compliance: {framework: [{article: "15", context: ..., strength: ...}, ...]}` as "framework:15"; plain texts are identifiers too.
  static func compliance(_ node: Node) -> [String] {
    var found: [String] = []
    for framework in node.entries ?? [] {
      for item in framework.value.list ?? [framework.value] {
        guard let id = item.text ?? identifierKeys.lazy.compactMap({ item[$0]?.text }).first else { continue }
        let reference = "\(framework.key):\(id)"
        if !found.contains(reference) { found.append(reference) }
      }
    }
    return found
  }
}

/// How loading ends what it says of the part of a rule for which the rule is not run, so that lint need not say it again.
public enum SkipWarning {
  static let ending = "so the rule is skipped"
  public static func isOne(_ message: String) -> Bool { message.contains(", \(ending)") }
}

/// What loading says of a rule with fewer cases than its schema version asks for, so that lint need not say it again.
public enum CaseCountNote {
  private static let (head, middle) = ("has ", ", but schema ")
  static func text(_ count: String, _ schemaVersion: String, wanted: Int) -> String {
    "\(head)\(count)\(middle)\(schemaVersion) asks for \(wanted)"
  }
  public static func isOne(_ message: String) -> Bool {
    message.hasPrefix(head) && (message.contains("_positives\(middle)") || message.contains("_negatives\(middle)"))
  }
}
