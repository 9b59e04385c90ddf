// What `panguard status` shows: one flat picture of the running agent, as JSON over the control socket.
import Primitives

public struct SourceStatus: Sendable {
  public var name: String
  /// "file" or "journal".
  public var kind: String
  /// "reading", "waiting" (nothing there yet), "not read".
  public var state: String
  /// Why it is not read, or what is wrong; empty if nothing is.
  public var reason: String
  public var lines: UInt64 = 0
  public var parsed: UInt64 = 0
  public var headerOnly: UInt64 = 0
  public var unparsed: UInt64 = 0
  public var lagBytes: UInt64 = 0
  /// RFC 3339; empty before the first event.
  public var newestEvent = ""
  public init(name: String, kind: String, state: String, reason: String) {
    self.name = name
    self.kind = kind
    self.state = state
    self.reason = reason
  }
}

/// One process of the agent, as it or its supervisor says.
public struct ProcessStatus: Sendable, Equatable {
  /// "engine", "enforcer", ...
  public var name: String
  /// 0: it does not run.
  public var pid: Int64
  /// Times that it was started again since the agent began.
  public var restarts: UInt64 = 0
  /// How it ended the last time ("signal 9"); empty: it has not.
  public var lastEnd = ""
  /// What it gave up, in its own words; empty where it does not say.
  public var confined: [String] = []
  /// What this host did not let it give up.
  public var notConfined: [String] = []
  public init(name: String, pid: Int64) {
    self.name = name
    self.pid = pid
  }
}

public struct AgentStatus: Sendable {
  public var version = Version.text
  public var pid: Int64 = 0
  public var mode = "observe"
  public var uptimeSeconds: UInt64 = 0
  public var sources: [SourceStatus] = []
  public var rulesLoaded: UInt64 = 0
  public var rulesSkipped: UInt64 = 0
  public var rulesRefused: UInt64 = 0
  public var ruleSetHash = ""
  public var configurationHash = ""
  /// Name and value, in the order in which they are shown: events, attempts, matches, decisions, ...
  public var counters: [(name: String, value: UInt64)] = []
  /// What was lost or left out, by cause. All of them, also the zeros: a zero is a statement.
  public var drops: [(cause: String, count: UInt64)] = []
  public var eventsPerSecond: UInt64 = 0
  public var residentBytes: UInt64 = 0
  public var peakResidentBytes: UInt64 = 0
  public var cpuMilliseconds: UInt64 = 0
  public var storePath = ""
  /// Empty while commits succeed.
  public var storeProblem = ""
  public var processes: [ProcessStatus] = []
  public var response = ResponseStatus()
  public var record = RecordStatus()
  public init() {}

  public var json: [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    func text(_ key: StaticString, _ value: String) {
      json.key(key)
      json.value(value)
    }
    func number(_ key: StaticString, _ value: UInt64) {
      json.key(key)
      json.value(value)
    }
    text("version", version)
    json.key("pid")
    json.value(pid)
    text("mode", mode)
    number("uptime_seconds", uptimeSeconds)
    json.key("sources")
    json.beginArray()
    for source in sources {
      json.beginObject()
      text("name", source.name)
      text("kind", source.kind)
      text("state", source.state)
      text("reason", source.reason)
      number("lines", source.lines)
      number("parsed", source.parsed)
      number("header_only", source.headerOnly)
      number("unparsed", source.unparsed)
      number("lag_bytes", source.lagBytes)
      text("newest_event", source.newestEvent)
      json.endObject()
    }
    json.endArray()
    number("rules_loaded", rulesLoaded)
    number("rules_skipped", rulesSkipped)
    number("rules_refused", rulesRefused)
    text("rule_set_hash", ruleSetHash)
    text("configuration_hash", configurationHash)
    json.key("counters")
    json.beginObject()
    for counter in counters {
      json.key(text: counter.name)
      json.value(counter.value)
    }
    json.endObject()
    json.key("drops")
    json.beginObject()
    for drop in drops {
      json.key(text: drop.cause)
      json.value(drop.count)
    }
    json.endObject()
    number("events_per_second", eventsPerSecond)
    number("resident_bytes", residentBytes)
    number("peak_resident_bytes", peakResidentBytes)
    number("cpu_milliseconds", cpuMilliseconds)
    text("store", storePath)
    text("store_problem", storeProblem)
    json.key("processes")
    json.beginArray()
    for process in processes {
      json.beginObject()
      text("name", process.name)
      json.key("pid")
      json.value(process.pid)
      number("restarts", process.restarts)
      text("last_end", process.lastEnd)
      for (key, lines) in [("confined", process.confined), ("not_confined", process.notConfined)] {
        json.key(text: key)
        json.beginArray()
        for line in lines { json.value(line) }
        json.endArray()
      }
      json.endObject()
    }
    json.endArray()
    json.key("response")
    response.append(to: &json)
    json.key("record")
    record.append(to: &json)
    json.endObject()
    return json.out
  }

  /// A JSON string's text; empty where it is none.
  static func text(_ value: Bytes) -> String {
    var out = ""
    var reader = JSONReader(value)
    _ = try? reader.next { if case .string(let s) = $0 { out = s.string } }
    return out
  }

  /// Reads what `json` wrote. Throws JSONError; unknown members are passed over, so that versions may differ.
  public init(json bytes: Bytes) throws {
    func text(_ value: Bytes) -> String { AgentStatus.text(value) }
    func number(_ value: Bytes) -> UInt64 { UInt64(clamping: value.decimal ?? 0) }
    func pairs(_ value: Bytes) throws -> [(String, UInt64)] {
      var out: [(String, UInt64)] = []
      try JSONMembers.forEach(of: value) { out.append(($0.string, number($1))) }
      return out
    }
    try JSONMembers.forEach(of: bytes) { key, value in
      switch key.string {
      case "version": version = text(value)
      case "pid": pid = value.decimal ?? 0
      case "mode": mode = text(value)
      case "uptime_seconds": uptimeSeconds = number(value)
      case "rules_loaded": rulesLoaded = number(value)
      case "rules_skipped": rulesSkipped = number(value)
      case "rules_refused": rulesRefused = number(value)
      case "rule_set_hash": ruleSetHash = text(value)
      case "configuration_hash": configurationHash = text(value)
      case "counters": counters = try pairs(value).map { (name: $0.0, value: $0.1) }
      case "drops": drops = try pairs(value).map { (cause: $0.0, count: $0.1) }
      case "events_per_second": eventsPerSecond = number(value)
      case "resident_bytes": residentBytes = number(value)
      case "peak_resident_bytes": peakResidentBytes = number(value)
      case "cpu_milliseconds": cpuMilliseconds = number(value)
      case "store": storePath = text(value)
      case "store_problem": storeProblem = text(value)
      case "sources":
        for element in try JSONMembers.elements(of: value) {
          var source = SourceStatus(name: "", kind: "", state: "", reason: "")
          try JSONMembers.forEach(of: element) { key, value in
            switch key.string {
            case "name": source.name = text(value)
            case "kind": source.kind = text(value)
            case "state": source.state = text(value)
            case "reason": source.reason = text(value)
            case "lines": source.lines = number(value)
            case "parsed": source.parsed = number(value)
            case "header_only": source.headerOnly = number(value)
            case "unparsed": source.unparsed = number(value)
            case "lag_bytes": source.lagBytes = number(value)
            case "newest_event": source.newestEvent = text(value)
            default: break
            }
          }
          sources.append(source)
        }
      case "response": response = try ResponseStatus(json: value)
      case "record": record = try RecordStatus(json: value)
      case "processes":
        for element in try JSONMembers.elements(of: value) {
          var process = ProcessStatus(name: "", pid: 0)
          try JSONMembers.forEach(of: element) { key, value in
            switch key.string {
            case "name": process.name = text(value)
            case "pid": process.pid = value.decimal ?? 0
            case "restarts": process.restarts = number(value)
            case "last_end": process.lastEnd = text(value)
            case "confined": process.confined = try JSONMembers.elements(of: value).map(text)
            case "not_confined": process.notConfined = try JSONMembers.elements(of: value).map(text)
            default: break
            }
          }
          processes.append(process)
        }
      default: break
      }
    }
  }
}
