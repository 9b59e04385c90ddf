// The page behind `panguard explain`: everything a person needs to judge one decision, and nothing they have to look up first.
// Invariants: every number on it is in the decision record or follows from it by addition; a line that could not be fetched is
// said to be missing, never left out; nothing an attacker wrote reaches the terminal unescaped.
import Detection
import Events
import Primitives
import RuleLanguage
import Scoring

public enum DecisionPage {
  /// The page, each line ended by a newline, about 100 columns wide; raw lines are never cut.
  /// `rule`: nil if the rule is not loaded any more. `lines`: the evidence in its order, with the raw line or nil where it is gone.
  /// `model`: the confidence file that is in use now; sums are only mapped where the decision was made with it.
  public static func render(
    _ d: Decision, rule: Rule?, lines: [(EvidenceRecord, String?)], model: ConfidenceModel = ConfidenceModel(), color: Bool
  ) -> String {
    var page = Page(style: Style(isOn: color))
    head(d, &page)
    seen(d, lines, &page)
    about(d, rule, &page)
    ConfidenceSum.write(d, model, &page)
    action(d, &page)
    provenance(d, &page)
    return page.out
  }

  struct Page {
    var style: Style
    var out = ""
    static let textColumns = 96

    mutating func heading(_ text: String) { out += "\n" + style.paint(text, .bold) + "\n" }
    /// `text` is escaped here; `tone` covers it.
    mutating func line(_ text: String, _ tone: Style.Tone? = nil, indent: Int = 2) {
      out += String(repeating: " ", count: indent) + style.paint(TerminalText.escaped(text), tone) + "\n"
    }
    mutating func paragraph(_ text: String, indent: Int = 2) {
      for part in TerminalText.wrapped(TerminalText.escaped(text), to: Page.textColumns - indent) {
        out += String(repeating: " ", count: indent) + part + "\n"
      }
    }
    /// A name and its text, wrapped beside it.
    mutating func entry(_ name: String, _ text: String, _ tone: Style.Tone? = nil) {
      let indent = 2 + 12
      var prefix = "  " + TerminalText.padded(name, to: 12)
      let parts = TerminalText.wrapped(TerminalText.escaped(text), to: Page.textColumns - indent)
      for part in parts.isEmpty ? ["-"] : parts {
        out += prefix + style.paint(part, tone) + "\n"
        prefix = String(repeating: " ", count: indent)
      }
    }
  }

  // MARK: Parts

  private static func head(_ d: Decision, _ page: inout Page) {
    page.out += page.style.paint(TerminalText.escaped("Decision \(d.id)"), .bold) + TerminalText.escaped(", revision \(d.revision)") + "\n"
    page.line(d.ruleTitle, .bold)
    page.out += "\n"
    page.entry("subject", DecisionText.subject(d.subject), .bold)
    page.entry("severity", d.severity.rawValue, Style.tone(d.severity))
    page.entry("confidence", d.confidence.description, .bold)
    page.entry("action", d.action.rawValue, Style.tone(d.action))
    page.entry("time", d.time.description)
    let times = d.matchCount == 1 ? "1 match" : "\(d.matchCount) matches"
    page.entry("incident", "\(times) from \(d.firstTime) to \(d.lastTime)")
    page.entry("trust", trust(d))
  }
  private static func trust(_ d: Decision) -> String {
    let isOfPackets = !d.evidence.isEmpty && d.evidence.allSatisfy { isPacket($0.source) }
    switch d.trust {
    case .attested where isOfPackets: return "attested: both ends opened these connections, so the addresses are not forged"
    case .attested: return "attested: the kernel or journald vouches for the program that wrote these lines"
    case .claimed where isOfPackets: return "claimed: no answer has confirmed the address of at least one packet, so it may be forged"
    case .claimed: return "claimed: at least one line came from where any local user could have forged it"
    }
  }

  private static func seen(_ d: Decision, _ lines: [(EvidenceRecord, String?)], _ page: inout Page) {
    page.heading("What was seen")
    page.paragraph(d.summary)
    if d.observed != 1 || d.threshold != 1 { page.line("observed \(d.observed), threshold \(d.threshold)") }
    for known in d.baseline where !d.summary.contains("\(known)") { page.paragraph("The baseline: \(known).") }
    let missing = lines.reduce(0) { $0 + ($1.1 == nil ? 1 : 0) }
    var count = d.evidenceTotal == 1 ? "1 line" : "\(d.evidenceTotal) lines"
    if UInt64(lines.count) < d.evidenceTotal { count += ", \(lines.count) of them kept" }
    if missing > 0 { count += ", \(missing) no longer readable" }
    page.line("\(count):", .dim)
    for (record, text) in lines {
      page.out += "\n"
      let place = isPacket(record.source) ? "frame \(record.offset)" : isFile(record.source) ? "at byte \(record.offset)" : "entry \(record.offset)"
      page.line("\(record.time)  \(record.source) \(place), \(record.length) bytes", .dim, indent: 4)
      if let text {
        page.line(text, indent: 4)
      } else if isPacket(record.source) {
        page.line("[packets are not kept; fingerprint \(record.fingerprint)]", .yellow, indent: 4)
      } else {
        page.line("[not readable any more: rotated away, deleted or changed; fingerprint \(record.fingerprint)]", .yellow, indent: 4)
      }
    }
  }

  private static func about(_ d: Decision, _ rule: Rule?, _ page: inout Page) {
    page.heading("Which rule says so")
    page.entry("rule", "\(d.ruleID): \(d.ruleTitle)")
    page.entry("category", d.category)
    if d.techniques.isEmpty { page.entry("techniques", "none stated") }
    for (i, id) in d.techniques.enumerated() {
      page.entry(i == 0 ? "techniques" : "", TechniqueName.of(id).map { "\(id) \($0)" } ?? id)
    }
    guard let rule else {
      page.entry("", "The rule is not among the rules that are loaded now: its description cannot be shown.", .yellow)
      return
    }
    if !rule.summary.isEmpty { page.entry("says", rule.summary) }
    for (i, statement) in RuleText.detection(rule.detection).enumerated() { page.entry(i == 0 ? "fires when" : "", statement) }
    if rule.falsePositives.isEmpty { page.entry("harmless if", "the rule names no known false positives") }
    for (i, text) in rule.falsePositives.enumerated() { page.entry(i == 0 ? "harmless if" : "", text) }
    if !rule.author.isEmpty { page.entry("author", rule.author) }
  }

  private static func action(_ d: Decision, _ page: inout Page) {
    page.heading("What would have been done, and why")
    let what =
      switch d.action {
      case .logOnly: "log_only: this record, nothing else"
      case .notify: "notify: an operator would have been told and asked"
      case .blockIP: "block_ip: \(d.subject.source ?? "the source") would have been blocked for a limited time"
      }
    page.paragraph(what)
    page.paragraph(d.actionReason)
    page.paragraph("Panguard observed only: nothing was changed on this host.")
  }

  private static func provenance(_ d: Decision, _ page: inout Page) {
    page.heading("Made with")
    page.entry("engine", d.provenance.engineVersion)
    page.entry("rules", d.provenance.ruleSetHash)
    page.entry("config", d.provenance.configurationHash)
    page.entry("baseline", d.provenance.baselineHash)
    if !d.provenance.confidenceHash.isEmpty { page.entry("confidence", d.provenance.confidenceHash) }
    page.heading("To reproduce")
    var sources: [String] = []
    for record in d.evidence where !sources.contains(record.source) { sources.append(record.source) }
    let files = sources.filter(isFile)
    if !files.isEmpty { page.line("panguard replay --rules RULES --config CONFIG \(files.map(quoted).joined(separator: " "))") }
    for source in sources where !files.contains(source) {
      page.paragraph(
        isPacket(source)
          ? "The packets of \(source) are kept where the capture records them: `panguard evidence \(d.id) --pcap`."
          : "The lines from \(source) are not in a file: record them in one first, and replay that.")
    }
    page.paragraph("The same lines, rules and configuration (compare the hashes above) give this record byte for byte.")
  }

  /// What the capture saw on an interface: "network:INTERFACE".
  private static func isPacket(_ source: String) -> Bool { source.hasPrefix("network:") }
  /// Files are named by their path as it was given, which need not hold a slash.
  private static func isFile(_ source: String) -> Bool { source != "journal" && source != "-" && !isPacket(source) }

  /// For a POSIX shell.
  private static func quoted(_ path: String) -> String {
    let isPlain = path.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2e, 0x2f, 0x5f, 0x2d: true
      default: false
      }
    }
    if isPlain { return path }
    return "'" + path.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }
}
