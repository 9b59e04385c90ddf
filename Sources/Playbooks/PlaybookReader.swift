// YAML documents with a `playbook` key -> Playbook. Strict: a key that is not known, a value out of its range, a list where a word belongs
// refuses the document with its place, because a playbook that does something else than its author meant is worse than none. All problems of
// a document are reported.
import Events
import Primitives
import RuleLanguage
import TypedYAML

struct PlaybookReader {
  let problems: Problems

  static let keys = [
    "playbook", "title", "description", "priority", "enabled", "when", "steps", "escalation", "cooldown", "rate", "approval", "tests",
  ]

  /// nil where there was an error.
  func read(_ document: Document, fingerprint: Fingerprint) -> Playbook? {
    let errorsBefore = problems.errorCount
    guard let section = Section(document.root, problems: problems) else { return nil }
    section.refuseUnknownKeys(Self.keys)
    let approval = self.approval(section)
    let playbook = Playbook(
      id: identifier(section), title: line(section, "title"), summary: section.text("description") ?? "",
      priority: Int(section.integer("priority", in: 0...1000) ?? 500), isEnabled: section.flag("enabled") ?? true, trigger: trigger(section),
      steps: steps(section, approval), escalation: escalation(section), coolDown: coolDown(section), rate: rate(section), approval: approval,
      tests: PlaybookTestReader(problems: problems).read(section), location: section.location, fingerprint: fingerprint)
    return problems.errorCount == errorsBefore ? playbook : nil
  }

  // MARK: Head

  private func identifier(_ section: Section) -> String {
    guard let id = section.text("playbook", isRequired: true) else { return "" }
    if !isName(id) {
      problems.error(
        section.location(of: "playbook"), "'playbook' must be 1 to 64 lower-case letters, digits, '-', '_' or '.', not '\(shown(id))'")
    }
    return id
  }
  /// A name that is no path and no option.
  private func isName(_ text: String) -> Bool {
    guard let first = text.utf8.first, first != 0x2d, first != 0x2e, text.utf8.count <= 64 else { return false }
    return text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x2d || $0 == 0x2e || $0 == 0x5f }
  }

  /// One line, because it reaches terminals and logs.
  private func line(_ section: Section, _ key: String) -> String {
    guard let text = section.text(key, isRequired: true) else { return "" }
    if text.isEmpty || text.utf8.count > 256 || text.unicodeScalars.contains(where: { $0.value < 0x20 || (0x7f...0x9f).contains($0.value) }) {
      problems.error(section.location(of: key), "'\(key)' must be one line of 1 to 256 bytes without control characters")
    }
    return text
  }

  private func duration(_ section: Section, _ key: String, in range: ClosedRange<Int64>, or value: Nanoseconds) -> Nanoseconds {
    guard let found = section.duration(key) else { return value }
    guard range.contains(found.wholeSeconds), found.count % 1_000_000_000 == 0 else {
      problems.error(section.location(of: key), "'\(section.qualified(key))' is \(found), but must be \(wholeSeconds(between: range))")
      return value
    }
    return found
  }

  private func coolDown(_ section: Section) -> Nanoseconds { duration(section, "cooldown", in: 1...7 * 86_400, or: .minutes(5)) }

  private func approval(_ section: Section) -> Approval {
    var approval = Approval.standard
    guard let node = section.node("approval") else { return approval }
    if node.text != nil {
      approval.mode = section.choice("approval", Approval.Mode.self)
    } else if let inner = section.section("approval") {
      inner.refuseUnknownKeys(["mode", "expires"])
      approval.mode = inner.choice("mode", Approval.Mode.self)
      approval.expiresAfter = duration(inner, "expires", in: 60...7 * 86_400, or: approval.expiresAfter)
    }
    return approval
  }

  private func rate(_ section: Section) -> RateCap {
    var rate = RateCap.standard
    guard let inner = section.section("rate") else { return rate }
    inner.refuseUnknownKeys(["per_minute", "trips", "open_for"])
    rate.perMinute = Int(inner.integer("per_minute", in: 1...10_000) ?? Int64(rate.perMinute))
    rate.trips = Int(inner.integer("trips", in: 1...60) ?? Int64(rate.trips))
    rate.openFor = duration(inner, "open_for", in: 60...86_400, or: rate.openFor)
    return rate
  }

  private func escalation(_ section: Section) -> Escalation {
    var escalation = Escalation.standard
    guard let node = section.node("escalation") else { return escalation }
    var holder = section
    var key = "escalation"
    if node.entries != nil, let inner = section.section("escalation") {
      inner.refuseUnknownKeys(["block_for", "window"])
      escalation.window = duration(inner, "window", in: 60...366 * 86_400, or: escalation.window)
      guard inner.has("block_for") else { return escalation }
      (holder, key) = (inner, "block_for")
    }
    let nodes = holder.textNodes(key, isRequired: true)
    guard (1...Limits.escalationLevels).contains(nodes.count) else {
      problems.error(holder.location(of: key), "'\(holder.qualified(key))' must have 1 to \(Limits.escalationLevels) lengths")
      return escalation
    }
    var lengths: [Nanoseconds] = []
    for (i, node) in nodes.enumerated() {
      guard let length = blockLength(node, "\(holder.qualified(key))[\(i + 1)]") else { continue }
      if let last = lengths.last, length < last {
        problems.error(node.location, "'\(holder.qualified(key))' must not fall: \(length) follows \(last)")
      }
      lengths.append(length)
    }
    if !lengths.isEmpty { escalation.blockFor = lengths }
    return escalation
  }
  private func blockLength(_ node: Node, _ name: String) -> Nanoseconds? {
    let range = Limits.playbookBlockSeconds
    guard let text = node.text, let length = Nanoseconds(duration: text), length.count % 1_000_000_000 == 0, range.contains(length.wholeSeconds)
    else {
      let found = node.text.map { "'\(shown($0))'" } ?? node.kindName
      problems.error(node.location, "'\(name)' must be a duration in \(wholeSeconds(between: range)), not \(found)")
      return nil
    }
    return length
  }

  // MARK: Trigger

  private func trigger(_ section: Section) -> Trigger {
    var trigger = Trigger()
    guard let when = section.section("when", isRequired: true) else { return trigger }
    when.refuseUnknownKeys(["rule", "category", "technique", "severity", "confidence", "trust", "subject"])
    trigger.rules = words(when, "rule") { $0.utf8.count <= 64 && $0.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f } } ?? []
    trigger.categories = words(when, "category") { $0.utf8.count <= 64 && $0.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f } } ?? []
    trigger.techniques = words(when, "technique", form: " like T1110, T1110.001 or AML.T0051", where: isTechnique) ?? []
    trigger.minimumSeverity = when.choice("severity", Severity.self)
    trigger.minimumConfidence = when.decimal("confidence", digits: 3, in: 1...999).map { Confidence(thousandths: Int($0)) }
    if let word = when.word("trust", of: Trust.allCases.map { "\($0.name)" }) {
      trigger.minimumTrust = Trust.allCases.first { "\($0.name)" == word }
    }
    for node in when.textNodes("subject") {
      guard let text = node.text else { continue }
      if let kind = SubjectKind(rawValue: text) {
        trigger.subjects.append(kind)
      } else {
        let known = SubjectKind.allCases.map(\.rawValue)
        problems.error(
          node.location, "'when.subject' is '\(shown(text))', but must be one of \(known.joined(separator: ", "))",
          hint: nearest(text, in: known).map { "did you mean '\($0)'?" } ?? "")
      }
    }
    if when.entries.isEmpty { problems.error(when.location, "'when' says nothing: the playbook would answer every decision") }
    return trigger
  }
  private func words(_ section: Section, _ key: String, form: String = "", where isValid: (String) -> Bool) -> [String]? {
    guard section.has(key) else { return nil }
    let nodes = section.textNodes(key, isRequired: true)
    if nodes.isEmpty || nodes.count > Limits.playbookTriggerNames {
      problems.error(section.location(of: key), "'\(section.qualified(key))' must name 1 to \(Limits.playbookTriggerNames)")
      return []
    }
    return nodes.compactMap { node in
      guard let text = node.text, !text.isEmpty, isValid(text) else {
        problems.error(node.location, "'\(section.qualified(key))' names '\(shown(node.text ?? ""))', which is no \(key)\(form)")
        return nil
      }
      return text
    }
  }
  private func isTechnique(_ text: String) -> Bool {
    var digits = Array(text.utf8)[...]
    if text.hasPrefix("AML.") { digits = digits.dropFirst(4) }
    guard digits.first == 0x54 else { return false }
    let parts = digits.dropFirst().split(separator: 0x2e, omittingEmptySubsequences: false)
    return (1...2).contains(parts.count) && parts[0].count == 4 && (parts.count == 1 || parts[1].count == 3)
      && parts.allSatisfy { $0.allSatisfy { (0x30...0x39).contains($0) } }
  }

  // MARK: Steps

  private func steps(_ section: Section, _ approval: Approval) -> [Step] {
    guard let nodes = section.list("steps", isRequired: true) else { return [] }
    guard (1...Limits.playbookSteps).contains(nodes.count) else {
      problems.error(section.location(of: "steps"), "'steps' must have 1 to \(Limits.playbookSteps) entries")
      return []
    }
    return nodes.enumerated().compactMap { StepReader(problems: problems, approval: approval).read($1, number: $0 + 1) }
  }
}

/// "whole seconds between 10s and 7d"
func wholeSeconds(between range: ClosedRange<Int64>) -> String {
  "whole seconds between \(Nanoseconds.seconds(range.lowerBound)) and \(Nanoseconds.seconds(range.upperBound))"
}
