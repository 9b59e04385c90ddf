// The one table of configuration keys. A key is defined here and nowhere else: its type, default and description make the reader,
// the diagnostics, the reference file (`Configuration.reference`) and the hash. Sections appear in the order of their first key.
import Primitives
import RuleLanguage
import TypedYAML

public struct ConfigurationKey: Sendable {
  /// "thresholds.act"
  public var path: String
  /// For people: "duration".
  public var type: String
  /// As one would write it; nil: absent unless written, and then `example` shows how.
  public var defaultText: String?
  public var example: String
  /// Lines of text.
  public var description: [String]
  let read: @Sendable (_ section: Section, _ key: String, _ configuration: inout Configuration) -> Void
  let canonical: @Sendable (Configuration) -> String

  var section: String { path.utf8.firstIndex(of: 0x2e).map { String(path[..<$0]) } ?? "" }
  var name: String { path.utf8.firstIndex(of: 0x2e).map { String(path[path.index(after: $0)...]) } ?? path }

  init(
    _ path: String, _ type: String, default defaultText: String?, example: String = "", _ description: [String],
    canonical: @escaping @Sendable (Configuration) -> String,
    read: @escaping @Sendable (_ section: Section, _ key: String, _ configuration: inout Configuration) -> Void
  ) {
    self.path = path
    self.type = type
    self.defaultText = defaultText
    self.example = example
    self.description = description
    self.canonical = canonical
    self.read = read
  }

  public static let all: [ConfigurationKey] = [
    ConfigurationKey(
      "sources", "list of sources", default: nil,
      example: """
        sources:
          - path: /var/log/auth.log    # a file or a pattern such as /var/log/nginx/*access.log
            format: auto               # \(Configuration.Source.Format.allCases.map(\.rawValue).joined(separator: ", "))
            from_start: false          # read a file that was never seen from its first line
            trust: claimed             # attested: you vouch that no other local user can make anything write to this file
          - journal: true
        """,
      ["Where log lines come from. Without this key the agent looks for the logs that the host has."],
      canonical: { canonicalList($0.sources?.map(canonical)) },
      read: { section, key, configuration in configuration.sources = readSources(section, key) }),
    ConfigurationKey(
      "rules.directories", "list of paths", default: "[]",
      ["Directories (or files) of rules, read with everything below them. Empty: the shipped rules, in /etc/panguard/rules if that exists."],
      canonical: { canonicalList($0.ruleDirectories.map(quoted)) },
      read: { section, key, configuration in configuration.ruleDirectories = readPaths(section, key) }),
    ConfigurationKey(
      "rules.disabled", "list of rule ids", default: "[]",
      ["Rules that are loaded but not run."],
      canonical: { canonicalList($0.disabledRules.map(quoted)) },
      read: { section, key, configuration in configuration.disabledRules = section.texts(key) }),
    ConfigurationKey(
      "rules.lane", "enforce, alert or hunt", default: "hunt",
      [
        "How mature a rule must be to run. enforce: stable; alert: stable and test; hunt: all.",
        "Drafts and deprecated rules never run.",
      ],
      canonical: { $0.lane.rawValue },
      read: { section, key, configuration in
        if let choice = section.choice(key, RuleLane.self, isRequired: true) { configuration.lane = choice }
      }),
    ConfigurationKey(
      "rules.profiles", "list of profiles", default: "[]",
      ["Profiles whose rules run: an id, id@version or a file. Empty: every rule. `panguard rules profile` shows what is in one."],
      canonical: { canonicalList($0.profiles.map(quoted)) },
      read: { section, key, configuration in configuration.profiles = section.texts(key) }),
    ConfigurationKey(
      "allowlist", "list of addresses and networks", default: "[]", example: "",
      ["Never proposed for blocking, whatever the evidence. Detections are still written down."],
      canonical: { canonicalList($0.allowlist.map { quoted($0.description) }) },
      read: { section, key, configuration in configuration.allowlist = readNetworks(section, key, "takes every address from blocking") }),
    ConfigurationKey(
      "state_directory", "path", default: "~",
      ["Decisions and read positions. Without it: /var/lib/panguard for root, ~/.local/state/panguard for other users."],
      canonical: { $0.stateDirectory.map(quoted) ?? "~" },
      read: { section, key, configuration in if let path = readPath(section, key) { configuration.stateDirectory = path } }),
    ConfigurationKey(
      "log_utc_offset", "offset", default: "\"+00:00\"",
      [
        "Offset from UTC of time stamps that name no zone (classic syslog: \"Jan  5 00:00:01\").",
        "It is a fixed number so that the same log gives the same decisions on every machine.",
      ],
      canonical: { "\($0.logUTCOffsetSeconds)" },
      read: { section, key, configuration in if let offset = readOffset(section, key) { configuration.logUTCOffsetSeconds = offset } }),
    ConfigurationKey(
      "policy.claimed_may_block", "true or false", default: "false",
      [
        "Whether evidence from text log files may lead to a block. Any local user can write such a line (logger), so it is claimed,",
        "not attested: with true, whoever can run a program here decides who is blocked, except for protected addresses.",
        "The journal says who wrote a line and needs no such trust, nor does rsyslogd with its template for us (`format: rsyslog`); any",
        "other file may be vouched for with `trust: attested`.",
      ],
      canonical: { "\($0.claimedEvidenceMayBlock)" },
      read: { section, key, configuration in if let flag = section.flag(key, isRequired: true) { configuration.claimedEvidenceMayBlock = flag } }),
    ConfigurationKey(
      "response.playbooks", "list of paths", default: "[]",
      ["Directories (or files) of playbooks. Empty: the host's own in /etc/panguard/playbooks if that exists, else the shipped ones."],
      canonical: { canonicalList($0.playbookDirectories.map(quoted)) },
      read: { section, key, configuration in configuration.playbookDirectories = readPaths(section, key) }),
    ConfigurationKey(
      "response.enforcer", "path", default: nil, example: "enforcer: \(Configuration.defaultEnforcerPath)",
      [
        "The enforcer's socket. Without it: the enforcer that `panguard run` starts; as a service, the path below.",
        "Whether the agent acts at all is no key: `panguard arm` and `panguard disarm` say so, and it is written down who did.",
      ],
      canonical: { canonicalOptional($0.enforcerPath) },
      read: { section, key, configuration in configuration.enforcerPath = readPath(section, key) }),
    ConfigurationKey(
      "response.reconsider_after", "list of durations", default: "[10m, 30m, 1h]",
      [
        "When somebody whom a decision proposed to block is back this long after it, the decision is made again, and with it the block:",
        "after the first time, the second, ...; the last one stays. Not longer than the playbooks block (`panguard playbooks lint` compares).",
      ],
      canonical: { canonicalList($0.reconsiderAfter.map { "\($0.count)" }) },
      read: { section, key, configuration in if let spans = readSpans(section, key) { configuration.reconsiderAfter = spans } }),
    ConfigurationKey(
      "network.enabled", "true or false", default: "false",
      [
        "Whether the network is a source: `panguard run` then starts panguard-capture, the service connects to it. What is captured",
        "is not decided here but in /etc/panguard/capture.yaml, which the engine cannot write (docs/capture.md).",
      ],
      canonical: { "\($0.readsNetwork)" },
      read: { section, key, configuration in if let flag = section.flag(key, isRequired: true) { configuration.readsNetwork = flag } }),
    ConfigurationKey(
      "network.capture", "path", default: nil, example: "capture: \(Configuration.defaultCapturePath)",
      ["The capture's socket. Without it: the capture that `panguard run` starts; as a service, the path below."],
      canonical: { canonicalOptional($0.capturePath) },
      read: { section, key, configuration in configuration.capturePath = readPath(section, key) }),
    ConfigurationKey(
      "network.own_networks", "list of addresses and networks", default: "[]",
      [
        "Networks that are yours besides the private ones (RFC 1918, RFC 4193, RFC 6598): what goes from them to others has left the house.",
        "What goes into them is inward for the detectors of scans, of movement inside and of new listeners (docs/network-detection.md).",
        "A host with a public address finds its own address by itself.",
      ],
      canonical: { canonicalList($0.network.ownNetworks.map { quoted($0.description) }) },
      read: { section, key, configuration in
        configuration.network.ownNetworks = limited(readNetworks(section, key, "makes all that is sent your own"), Limits.ownNetworks, section, key)
      }),
    ConfigurationKey(
      "network.own_domains", "list of domains", default: "[]",
      ["Domains whose names have addresses inside as well as outside (split horizon): no rebinding is seen in that."],
      canonical: { canonicalList($0.network.ownDomains.map(quoted)) },
      read: { section, key, configuration in
        let domains = section.texts(key).map { $0.lowercased().trimmingDots }
        configuration.network.ownDomains = limited(domains.filter { !$0.isEmpty }, Limits.ownDomains, section, key)
      }),
    ConfigurationKey(
      "network.daily_outbound_bytes", "number of bytes", default: "0",
      ["How much each client may send outside in a day of UTC before it is told. 0: as much as it likes."],
      canonical: { "\($0.network.dailyOutboundBytes)" },
      read: { section, key, configuration in
        if let value = section.byteCount(key, in: 0...(1 << 50), isRequired: true) { configuration.network.dailyOutboundBytes = value }
      }),
    ConfigurationKey(
      "baseline.enabled", "true or false", default: "true",
      [
        "Whether the agent learns what is usual on this host, and judges by it (docs/baseline.md). It learns for a week at least before it",
        "calls anything new; until then, and with false, the rules that ask it are silent.",
      ],
      canonical: { "\($0.usesBaseline)" },
      read: { section, key, configuration in if let flag = section.flag(key, isRequired: true) { configuration.usesBaseline = flag } }),
    ConfigurationKey(
      "record.enabled", "true or false", default: "false",
      [
        "Whether the agent records its input, so that decisions can be made again and new rules be tried on the past (docs/reproduce.md).",
        "The journal holds what the logs hold. `panguard record on` begins one without this key, until the engine ends.",
      ],
      canonical: { "\($0.isRecording)" },
      read: { section, key, configuration in if let flag = section.flag(key, isRequired: true) { configuration.isRecording = flag } }),
    ConfigurationKey(
      "record.max_bytes", "bytes, 16MiB to 1TiB", default: "1GiB",
      ["How much the journal may hold, packed (a seventh of the logs, about). Beyond it the oldest segment is removed."],
      canonical: { "\($0.recordBytes)" },
      read: { section, key, configuration in
        if let value = section.byteCount(key, in: Configuration.recordBytesRange, isRequired: true) { configuration.recordBytes = value }
      }),
    ConfigurationKey(
      "record.keep", "duration", default: "14d",
      ["How long a segment is kept. A quarter of it, and of the bytes, is the most that one segment may span: the engine then begins a new one."],
      canonical: { "\($0.recordKeep.count)" },
      read: { section, key, configuration in
        guard let span = section.duration(key, isRequired: true) else { return }
        guard (Nanoseconds.hours(1)...Nanoseconds.days(3650)).contains(span) else {
          section.problems.error(section.location(of: key), "'\(section.qualified(key))' must be between 1h and 3650d")
          return
        }
        configuration.recordKeep = span
      }),
    ConfigurationKey(
      "thresholds.act", "confidence, 0.001 to 0.999", default: "0.9",
      ["From this confidence on, a decision proposes its action."],
      canonical: { "\($0.actThreshold)" },
      read: { section, key, configuration in if let value = readConfidence(section, key) { configuration.actThreshold = value } }),
    ConfigurationKey(
      "thresholds.notify", "confidence, 0.001 to 0.999", default: "0.7",
      ["From this confidence on, a decision asks for attention. Below it is written down only."],
      canonical: { "\($0.notifyThreshold)" },
      read: { section, key, configuration in if let value = readConfidence(section, key) { configuration.notifyThreshold = value } }),
    ConfigurationKey(
      "confidence.file", "path", default: nil, example: "file: /etc/panguard/confidence.yaml",
      [
        "Weights, caps and the table behind every confidence, corrections for single rules and exclusions (docs/confidence.md). A file holds",
        "what it changes; without one: rules/confidence.yaml as it is built in. `panguard calibrate` and `panguard rules tune` propose one.",
      ],
      canonical: { canonicalOptional($0.confidencePath) },
      read: { section, key, configuration in configuration.confidencePath = readPath(section, key) }),
    ConfigurationKey(
      "incident_window", "duration", default: "24h",
      ["Repeats of one subject and rule inside this span update one incident instead of making new ones."],
      canonical: { "\($0.incidentWindow.count)" },
      read: { section, key, configuration in
        guard let window = section.duration(key, isRequired: true) else { return }
        guard (Nanoseconds.seconds(1)...Nanoseconds.days(30)).contains(window) else {
          section.problems.error(section.location(of: key), "'\(section.qualified(key))' must be between 1s and 30d")
          return
        }
        configuration.incidentWindow = window
      }),
    ConfigurationKey(
      "output.text", "auto, always or never", default: "auto",
      ["Live decisions as text on standard output, coloured if it is a terminal. auto and always print them; never only stores them."],
      canonical: { $0.textOutput.rawValue },
      read: { section, key, configuration in
        if let choice = section.choice(key, Configuration.TextOutput.self, isRequired: true) { configuration.textOutput = choice }
      }),
    ConfigurationKey(
      "output.jsonl", "path", default: nil, example: "jsonl: /var/log/panguard/decisions.jsonl",
      ["A file that every decision is appended to, one JSON object a line."],
      canonical: { canonicalOptional($0.jsonlPath) },
      read: { section, key, configuration in configuration.jsonlPath = readPath(section, key) }),
    ConfigurationKey(
      "output.atr_events", "path, key and redact", default: nil,
      example: """
        atr_events:
          path: /var/log/panguard/events.jsonl
          key: /etc/panguard/events.key    # signs each event; `panguard keys new FILE` makes one (mode 0600)
          redact: true                     # false: text of events stands in them (the standard's forensic mode)
        """,
      ["A file that every decision is appended to as an event of the ATR event format, canonical JSON, signed with Ed25519."],
      canonical: { canonicalOptional($0.atrEvents.map { "\($0.path) \($0.keyPath ?? "none") \($0.redacts)" }) },
      read: { section, key, configuration in configuration.atrEvents = readATREvents(section, key) }),
    ConfigurationKey(
      "output.syslog", "true, false or the path of a socket", default: "false",
      ["Send every decision to the local syslog as RFC 5424. true: /dev/log."],
      canonical: { canonicalOptional($0.syslogPath) },
      read: { section, key, configuration in
        guard let text = section.text(key, isRequired: true) else { return }
        if text == "true" || text == "false" {
          configuration.syslogPath = text == "true" ? "/dev/log" : nil
        } else {
          configuration.syslogPath = readPath(section, key, or: "true, false or ")
        }
      }),
    ConfigurationKey(
      "warm_up_bytes", "bytes", default: "4MiB",
      ["How much of a log before the point of reading is read again at start, to know open sessions and windows. It causes no decisions."],
      canonical: { "\($0.warmUpBytes)" },
      read: { section, key, configuration in
        if let value = section.byteCount(key, in: 0...(1 << 30), isRequired: true) { configuration.warmUpBytes = value }
      }),
  ]

  // MARK: Reading

  /// Reads every key of the table that is there, and refuses the others.
  static func read(_ root: Section, into configuration: inout Configuration) {
    var sectionNames: [String] = []
    for key in all where !key.section.isEmpty && !sectionNames.contains(key.section) { sectionNames.append(key.section) }
    root.refuseUnknownKeys(all.filter { $0.section.isEmpty }.map(\.name) + sectionNames)
    for key in all where key.section.isEmpty && root.node(key.name) != nil { key.read(root, key.name, &configuration) }
    for name in sectionNames {
      guard let section = root.section(name) else { continue }
      let keys = all.filter { $0.section == name }
      section.refuseUnknownKeys(keys.map(\.name))
      for key in keys where section.node(key.name) != nil { key.read(section, key.name, &configuration) }
    }
  }

  private static func readSources(_ section: Section, _ key: String) -> [Configuration.Source] {
    guard let items = section.list(key) else { return [] }
    return items.enumerated().compactMap { index, item in
      guard let source = Section(item, path: "\(key)[\(index + 1)]", problems: section.problems) else { return nil }
      source.refuseUnknownKeys(["path", "journal", "format", "from_start", "trust"])
      let path = readPath(source, "path")
      let isJournal = source.flag("journal") ?? false
      let format = source.choice("format", Configuration.Source.Format.self)
      let fromStart = source.flag("from_start") ?? false
      let trust = source.choice("trust", Configuration.Source.Trust.self)
      guard source.has("path") != isJournal else {
        let message = isJournal ? "has both path and journal" : "needs path or journal: true"
        source.problems.error(source.location, "'\(source.path)' \(message)")
        return nil
      }
      if isJournal {
        for other in ["format", "trust"] where source.has(other) {
          source.problems.error(source.location(of: other), "'\(source.qualified(other))' means nothing for the journal, which knows it by itself")
        }
        return Configuration.Source(input: .journal, readsFromStart: fromStart)
      }
      if format == .rsyslog, source.has("trust") {
        source.problems.error(
          source.location(of: "trust"), "'\(source.qualified("trust"))' means nothing for the format rsyslog, whose lines say who wrote them")
      } else if trust == .attested {
        source.problems.warning(
          source.location(of: "trust"), "lines of this file count as attested",
          hint: "that is right only if no other local user can make anything write to it; syslog's own files do not qualify")
      }
      return path.map { Configuration.Source(input: .files($0), format: format ?? .auto, readsFromStart: fromStart, trust: trust ?? .claimed) }
    }
  }

  private static func isAbsolute(_ path: String) -> Bool { path.hasPrefix("/") && !path.utf8.contains(0) }
  private static func readPath(_ section: Section, _ key: String, or alternative: String = "") -> String? {
    guard let text = section.text(key) else { return nil }
    guard isAbsolute(text) else {
      section.problems.error(section.location(of: key), "'\(section.qualified(key))' must be \(alternative)an absolute path, not '\(shown(text))'")
      return nil
    }
    return text
  }
  private static func readPaths(_ section: Section, _ key: String) -> [String] {
    section.textNodes(key).compactMap { node in
      guard let text = node.text else { return nil }
      guard isAbsolute(text) else {
        section.problems.error(node.location, "'\(section.qualified(key))' must have absolute paths, not '\(shown(text))'")
        return nil
      }
      return text
    }
  }
  private static func readSpans(_ section: Section, _ key: String) -> [Nanoseconds]? {
    let nodes = section.textNodes(key)
    let spans = nodes.compactMap { node -> Nanoseconds? in
      guard let span = node.text.flatMap({ Nanoseconds(duration: $0) }), span >= .seconds(1), span <= .days(30) else {
        section.problems.error(node.location, "'\(section.qualified(key))' must hold durations from 1s to 30d, not '\(shown(node.text ?? ""))'")
        return nil
      }
      return span
    }
    guard !nodes.isEmpty, nodes.count <= Limits.escalationLevels else {
      section.problems.error(section.location(of: key), "'\(section.qualified(key))' must hold 1 to \(Limits.escalationLevels) durations")
      return nil
    }
    return spans.count == nodes.count ? spans : nil
  }
  private static func readATREvents(_ section: Section, _ key: String) -> Configuration.ATREvents? {
    guard let events = section.section(key, isRequired: true) else { return nil }
    events.refuseUnknownKeys(["path", "key", "redact"])
    guard events.has("path") else {
      _ = events.text("path", isRequired: true)
      return nil
    }
    let keyPath = readPath(events, "key")
    if !events.has("key") {
      events.problems.warning(events.location, "'\(events.path)' has no key, so events are not signed", hint: "panguard keys new FILE")
    }
    let redacts = events.flag("redact") ?? true
    return readPath(events, "path").map { Configuration.ATREvents(path: $0, keyPath: keyPath, redacts: redacts) }
  }
  private static func limited<Entry>(_ list: [Entry], _ most: Int, _ section: Section, _ key: String) -> [Entry] {
    if list.count > most { section.problems.error(section.location, "'network.\(key)' has \(list.count) entries; at most \(most) are read") }
    return list
  }
  /// `ofEverything`: what a network of all addresses does.
  private static func readNetworks(_ section: Section, _ key: String, _ ofEverything: String) -> [CIDR] {
    section.textNodes(key).compactMap { node in
      guard let text = node.text else { return nil }
      guard let network = CIDR(text) else {
        section.problems.error(
          node.location, "'\(shown(text))' is not an address or network", hint: "write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32")
        return nil
      }
      let address = String(text.prefix { $0 != "/" })
      if IPAddress(address) != network.base {
        section.problems.warning(node.location, "'\(shown(text))' has bits behind its prefix and is read as \(network)")
      }
      if network.prefixLength == 0 { section.problems.warning(node.location, "'\(shown(text))' \(ofEverything)") }
      return network
    }
  }
  private static func readConfidence(_ section: Section, _ key: String) -> Int? {
    section.decimal(key, digits: 3, in: 1...999, isRequired: true).map { Int($0) }
  }
  /// "+hh:mm", "-hh:mm" or "Z", in seconds.
  private static func readOffset(_ section: Section, _ key: String) -> Int64? {
    guard let text = section.text(key, isRequired: true) else { return nil }
    if text == "Z" || text == "UTC" { return 0 }
    let bytes = Array(text.utf8)
    let isForm =
      bytes.count == 6 && (bytes[0] == 0x2b || bytes[0] == 0x2d) && bytes[3] == 0x3a
      && [1, 2, 4, 5].allSatisfy { (0x30...0x39).contains(bytes[$0]) }
    if isForm {
      func two(_ i: Int) -> Int64 { Int64(bytes[i] - 0x30) * 10 + Int64(bytes[i + 1] - 0x30) }
      let minutes = two(1) * 60 + two(4)
      if two(4) < 60, minutes <= 14 * 60 { return minutes * 60 * (bytes[0] == 0x2d ? -1 : 1) }
    }
    section.problems.error(
      section.location(of: key), "'\(section.qualified(key))' must be an offset from UTC, not '\(shown(text))'", hint: "write \"+02:00\" or Z")
    return nil
  }

  // MARK: Canonical text

  private static func quoted(_ text: String) -> String {
    var out: [UInt8] = []
    var copy = text
    copy.withUTF8 { JSONWriter.appendQuoted(Bytes($0), to: &out) }
    return String(decoding: out, as: UTF8.self)
  }
  private static func canonicalOptional(_ text: String?) -> String { text.map(quoted) ?? "none" }
  private static func canonicalList(_ items: [String]?) -> String { items.map { "[\($0.joined(separator: ","))]" } ?? "none" }
  private static func canonical(_ source: Configuration.Source) -> String {
    let input = if case .files(let path) = source.input { quoted(path) } else { "journal" }
    return "\(input) \(source.format.rawValue) \(source.readsFromStart) \(source.trust.rawValue)"
  }

  // MARK: Reference

  static var reference: String {
    var out = [
      "# Configuration of Panguard: every key with its default. An empty file means the same.",
      "# Check changes with `panguard config check`.",
    ]
    var section = ""
    for key in all {
      let indent = key.section.isEmpty ? "" : "  "
      if key.section != section || key.section.isEmpty { out.append("") }
      if key.section != section, !key.section.isEmpty { out.append("\(key.section):") }
      section = key.section
      out += key.description.map { "\(indent)# \($0)" }
      out.append("\(indent)# Type: \(key.type).")
      if let text = key.defaultText {
        out.append("\(indent)\(key.name): \(text)")
      } else {
        out += key.example.split(separator: "\n", omittingEmptySubsequences: false).map { "\(indent)# \($0)" }
      }
    }
    return out.joined(separator: "\n") + "\n"
  }
}

extension String {
  /// Without dots at either end.
  fileprivate var trimmingDots: String {
    let inner = drop { $0 == "." }
    return String(inner.reversed().drop { $0 == "." }.reversed())
  }
}
