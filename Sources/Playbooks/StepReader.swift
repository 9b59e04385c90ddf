// One entry of `steps`: a word ("block_ip"), or a mapping of one word to its parameters and, beside it, `approval`. The table below says
// which reader has which word; a word that is not in it is refused.
import Primitives
import TypedYAML

struct StepReader {
  let problems: Problems
  let approval: Approval

  private typealias Parameters = @Sendable (StepReader) -> (_ holder: Section, _ key: String) -> StepAction?
  /// nil: the step has no parameters.
  private static let table: [(kind: StepKind, parameters: Parameters?)] = [
    (.blockIP, { $0.block }), (.unblockIP, nil), (.notify, { $0.notify }), (.captureEvidence, { $0.capture }), (.killProcess, { $0.kill }),
    (.quarantineFile, nil), (.disableAccount, nil), (.logOnly, nil),
  ]
  private static let plain: [StepKind: StepAction] = [  // only looked up
    .blockIP: .blockIP(ttl: nil), .unblockIP: .unblockIP, .killProcess: .killProcess(.term), .quarantineFile: .quarantineFile,
    .disableAccount: .disableAccount, .logOnly: .logOnly,
  ]

  func read(_ node: Node, number: Int) -> Step? {
    let path = "steps[\(number)]"
    if let text = node.text {
      guard let kind = StepKind(rawValue: text) else { return refuse(text, at: node.location, path) }
      guard let action = Self.plain[kind] else {
        problems.error(node.location, "'\(path)': \(text) needs parameters", hint: "write '\(text): ...'")
        return nil
      }
      return step(action, number, nil, node.location)
    }
    guard let section = Section(node, path: path, problems: problems) else { return nil }
    let words = section.entries.filter { $0.key != "approval" }
    guard words.count == 1 else {
      problems.error(section.location, "'\(path)' must name one action, not \(words.count)")
      return nil
    }
    guard let row = Self.table.first(where: { $0.kind.rawValue == words[0].key }) else {
      return refuse(words[0].key, at: words[0].keyLocation, path)
    }
    var mode: Approval.Mode?
    if section.has("approval") {
      mode = section.choice("approval", Approval.Mode.self, isRequired: true)
      if !row.kind.isDisruptive {
        problems.error(section.location(of: "approval"), "'\(path).approval': \(row.kind.rawValue) changes nothing, so there is nothing to approve")
      }
    }
    return parameters(section, row.kind, row.parameters).map { step($0, number, mode, section.location) }
  }

  private func refuse(_ word: String, at location: SourceLocation, _ path: String) -> Step? {
    problems.error(
      location, "'\(path)': unknown action '\(shown(word))'", hint: problems.suggestion(for: word, in: StepKind.allCases.map(\.rawValue)))
    return nil
  }
  private func step(_ action: StepAction, _ number: Int, _ mode: Approval.Mode?, _ location: SourceLocation) -> Step {
    let asks = (mode ?? approval.mode).map { $0 == .required } ?? action.kind.asksByDefault
    return Step(number: number, action: action, asks: action.kind.isDisruptive && asks, location: location)
  }

  private func parameters(_ section: Section, _ kind: StepKind, _ read: Parameters?) -> StepAction? {
    let key = kind.rawValue
    guard section.node(key) != nil else {  // "block_ip:" with nothing behind it
      if let action = Self.plain[kind] { return action }
      problems.error(section.location, "'\(section.qualified(key))' needs parameters")
      return nil
    }
    if let read { return read(self)(section, key) }
    section.section(key)?.refuseUnknownKeys([])
    return Self.plain[kind]
  }

  private func block(_ holder: Section, _ key: String) -> StepAction? {
    guard let section = holder.section(key) else { return nil }
    section.refuseUnknownKeys(["for"])
    guard let length = section.duration("for") else { return .blockIP(ttl: nil) }
    let range = Limits.playbookBlockSeconds
    guard range.contains(length.wholeSeconds), length.count % 1_000_000_000 == 0 else {
      problems.error(section.location(of: "for"), "'\(section.qualified("for"))' is \(length), but must be \(wholeSeconds(between: range))")
      return nil
    }
    return .blockIP(ttl: length)
  }

  private func kill(_ holder: Section, _ key: String) -> StepAction? {
    guard let section = holder.section(key) else { return nil }
    section.refuseUnknownKeys(["signal"])
    return .killProcess(section.choice("signal", KillSignal.self) ?? .term)
  }

  private func capture(_ holder: Section, _ key: String) -> StepAction? {
    if holder.node(key)?.text != nil { return holder.word(key, of: ["lines"]).map { _ in .captureLines(limit: Limits.evidencePerDecision) } }
    guard let section = holder.section(key) else { return nil }
    section.refuseUnknownKeys(["lines", "packets"])
    guard section.has("lines") != section.has("packets") else {
      problems.error(section.location, "'\(section.path)' must name either lines or packets")
      return nil
    }
    if section.has("lines") {
      return section.integer("lines", in: 1...Int64(Limits.evidencePerDecision), isRequired: true).map { .captureLines(limit: Int($0)) }
    }
    guard let packets = section.section("packets", isRequired: true) else { return nil }
    packets.refuseUnknownKeys(["seconds", "bytes"])
    guard let seconds = packets.integer("seconds", in: 1...Limits.captureSeconds, isRequired: true),
      packets.has("bytes"), let bytes = packets.byteCount("bytes", in: 4096...Limits.captureBytes, isRequired: true)
    else {
      if !packets.has("bytes") { problems.error(packets.location, "'\(packets.qualified("bytes"))' is missing") }
      return nil
    }
    return .capturePackets(seconds: Int(seconds), bytes: Int(bytes))
  }

  private func notify(_ holder: Section, _ key: String) -> StepAction? {
    if holder.node(key)?.text != nil { return holder.word(key, of: ["syslog"]).map { _ in .notify(.syslog(.warning)) } }
    guard let section = holder.section(key) else { return nil }
    section.refuseUnknownKeys(["syslog", "webhook", "executable", "args"])
    let ways = ["syslog", "webhook", "executable"].filter(section.has)
    guard ways.count == 1 else {
      problems.error(section.location, "'\(section.path)' must name one of syslog, webhook and executable")
      return nil
    }
    if section.has("args"), ways[0] != "executable" {
      problems.error(section.location(of: "args"), "'\(section.qualified("args"))' belongs to an executable")
    }
    switch ways[0] {
    case "syslog": return section.choice("syslog", NotificationLevel.self, isRequired: true).map { .notify(.syslog($0)) }
    case "webhook": return name(section, "webhook").map { .notify(.webhook($0)) }
    default:
      guard let name = name(section, "executable"), let arguments = arguments(section) else { return nil }
      return .notify(.executable(name, arguments: arguments))
    }
  }
  /// A name, not a path: what it means is the configuration's to say.
  private func name(_ section: Section, _ key: String) -> String? {
    guard let name = section.text(key, isRequired: true) else { return nil }
    let isPlain = name.utf8.allSatisfy {
      (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x2d || $0 == 0x2e || $0 == 0x5f
    }
    guard isPlain, let first = name.utf8.first, first != 0x2e, first != 0x2d, name.utf8.count <= 64 else {
      problems.error(
        section.location(of: key), "'\(section.qualified(key))' must be a name of 1 to 64 letters, digits, '-', '_' or '.', not '\(shown(name))'",
        hint: "a name, not a path: executables lie in one directory, webhooks stand in the configuration")
      return nil
    }
    return name
  }
  private func arguments(_ section: Section) -> [String]? {
    guard section.has("args") else { return [] }
    guard let nodes = section.list("args", isRequired: true) else { return nil }
    guard nodes.count <= Limits.notificationArguments else {
      problems.error(
        section.location(of: "args"),
        "'\(section.qualified("args"))' has \(nodes.count) arguments, but may have \(Limits.notificationArguments)")
      return nil
    }
    var out: [String] = []
    for node in nodes {
      guard let text = node.text else {
        problems.error(node.location, "an argument must be a text, not \(node.kindName)")
        continue
      }
      if text.utf8.count > Limits.notificationArgumentBytes || text.utf8.contains(0) {
        problems.error(node.location, "an argument must have at most \(Limits.notificationArgumentBytes) bytes and no NUL")
      }
      if let unknown = unknownPlaceholder(in: text) {
        problems.error(
          node.location, "unknown placeholder '\(shown(unknown))'",
          hint: "known: \(NotificationPlaceholder.allCases.map(\.rawValue).joined(separator: ", ")); the whole decision is on standard input")
      }
      out.append(text)
    }
    return out
  }
  /// The first "{word}" that is none.
  private func unknownPlaceholder(in text: String) -> String? {
    var open: String.UTF8View.Index?
    for index in text.utf8.indices {
      let byte = text.utf8[index]
      if byte == 0x7b {
        open = index
      } else if byte == 0x7d, let start = open {
        let word = String(text[start...index])
        if word.utf8.count > 2, NotificationPlaceholder(rawValue: word) == nil { return word }
        open = nil
      } else if !(0x61...0x7a).contains(byte), byte != 0x5f, byte != 0x2e {
        open = nil
      }
    }
    return nil
  }
}
