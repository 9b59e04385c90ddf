// The same input under two sets of rules and playbooks: which incidents only one of them has, which are judged otherwise, and whom a block
// would have hit that had logged in. Pure; all order comes from the decisions.
import Detection
import Events
import Playbooks
import Primitives

/// What one side made of the input.
public struct RuleOutcome: ~Copyable {
  public struct Incident: Sendable {
    /// Its latest record.
    public var latest: Decision
    /// The strongest action that any of its records proposed.
    public var action: ProposedAction
    /// What playbooks would have done about it, each once, in order.
    public var planned: [String] = []
  }
  /// In the order in which they were opened.
  public private(set) var incidents: [Incident] = []
  /// Networks that playbooks would have blocked or asked to block, or that a decision proposed to block, with the first incident.
  public private(set) var blocks: [(network: CIDR, incident: Int)] = []
  private var index: [String: Int] = [:]  // only looked up
  private var blocked: [CIDR: Int] = [:]  // only looked up
  private var simulation: PlaybookSimulation

  public init(_ playbooks: PlaybookSet, configuration: PlannerConfiguration) {
    simulation = PlaybookSimulation(playbooks, configuration: configuration)
  }

  public mutating func take(_ decision: Decision) {
    let plan = simulation.plan(decision)
    let at = index[decision.id] ?? incidents.count
    if at == incidents.count {
      index[decision.id] = at
      incidents.append(Incident(latest: decision, action: decision.action))
    }
    incidents[at].latest = decision
    incidents[at].action = max(incidents[at].action, decision.action)
    var networks = decision.action == .blockIP ? [decision.subject.source.flatMap { CIDR($0) }].compactMap { $0 } : []
    for action in plan.actions {
      if case .refused = action.disposition { continue }
      if !incidents[at].planned.contains(action.line) { incidents[at].planned.append(action.line) }
      if case .blockIP(let network, _)? = action.action { networks.append(network) }
    }
    for network in networks.map(\.ofWholeHosts) where blocked[network] == nil {
      blocked[network] = at
      blocks.append((network, at))
    }
  }
}

/// Sources that had a log-in that succeeded: those who are meant to be let in.
public final class LegitimateSources {
  public struct Entry: Sendable {
    /// "alice logged in", "alice was served /admin".
    public var what: String
    public var time: EventTime
  }
  private var table: BoundedTable<CIDR, Entry>
  public init(capacity: Int = Limits.legitimateSources) { table = BoundedTable(capacity: capacity) }
  public var evictions: UInt64 { table.evictions }

  public func see(_ event: borrowing Event) {
    guard let address = event.address(.sourceIP) else { return }
    let user = event.text(.userName)
    let what: String
    if event.text(.eventCategory)?.equals("authentication") == true, event.text(.eventOutcome)?.equals("success") == true {
      what = "\(user.map { $0.upTo(Limits.subjectBytes).string } ?? "somebody") logged in"
    } else if let user, let status = event.integer(.httpResponseStatusCode), (200..<300).contains(status) {
      what = "\(user.upTo(Limits.subjectBytes).string) was served \(event.text(.urlPath)?.upTo(Limits.subjectBytes).string ?? "a page")"
    } else {
      return
    }
    let entry = Entry(what: what, time: event.time)
    table.update(CIDR(address, prefixLength: 128).ofWholeHosts, make: { entry }) { $0 = entry }
  }

  /// The latest in a network; nil: there is none.
  public func latest(in network: CIDR) -> Entry? {
    if let entry = table.peek(network) { return entry }
    // Networks wider than a host are few.
    let isHost = network.base.isV4 ? network.prefixLength == 32 : network.prefixLength == 64
    guard !isHost else { return nil }
    var found: Entry?
    table.forEachOldestFirst { host, entry in if network.contains(host.base) { found = entry } }
    return found
  }
}

/// Where two outcomes differ.
public struct RuleComparison: Sendable {
  public enum Change: String, Sendable { case appears, vanishes, changes }
  public struct Row: Sendable {
    public var change: Change
    public var old: RuleOutcome.Incident?
    public var new: RuleOutcome.Incident?
    /// What is different of one that both have: "confidence 0.910 -> 0.640".
    public var details: [String] = []
    public var incident: RuleOutcome.Incident? { new ?? old }
  }
  /// Somebody who logged in and would have been blocked.
  public struct Hit: Sendable {
    public var network: CIDR
    public var what: String
    public var time: EventTime
    public var ruleID: String
    /// The old rules would have blocked it too.
    public var isOld: Bool
  }
  /// By the time of the incidents' first event.
  public private(set) var rows: [Row] = []
  public private(set) var hits: [Hit] = []
  /// Incidents that both have and judge alike.
  public private(set) var unchanged = 0
  public var oldBlocks = 0
  public var newBlocks = 0
  /// Sources with a log-in that there was no room to remember: of these no hit is known.
  public private(set) var forgottenSources: UInt64
  /// Incidents of the new rules that only the allowlist kept from a block.
  public private(set) var allowlisted: [RuleOutcome.Incident] = []
  public func count(_ change: Change) -> Int { rows.reduce(0) { $0 + ($1.change == change ? 1 : 0) } }

  public init(
    old: borrowing RuleOutcome, new: borrowing RuleOutcome, legitimate: LegitimateSources, allowlist: [CIDR], threshold: Confidence
  ) {
    forgottenSources = legitimate.evictions
    let pairs = RuleComparison.pairs(old.incidents, new.incidents)
    for (a, b) in pairs {
      guard let a, let b else {
        rows.append(Row(change: a == nil ? .appears : .vanishes, old: a, new: b))
        continue
      }
      let details = RuleComparison.details(a, b)
      if details.isEmpty { unchanged += 1 } else { rows.append(Row(change: .changes, old: a, new: b, details: details)) }
    }
    rows = rows.enumerated().sorted {
      let (x, y) = (time($0.element), time($1.element))
      return x != y ? x < y : $0.offset < $1.offset
    }.map(\.element)
    (oldBlocks, newBlocks) = (old.blocks.count, new.blocks.count)
    let before = Set(old.blocks.map(\.network))  // only asked for members
    for (network, incident) in new.blocks {
      guard let entry = legitimate.latest(in: network) else { continue }
      hits.append(
        Hit(
          network: network, what: entry.what, time: entry.time, ruleID: new.incidents[incident].latest.ruleID, isOld: before.contains(network)))
    }
    allowlisted = new.incidents.filter { incident in
      guard incident.latest.confidence >= threshold, let source = incident.latest.subject.source.flatMap({ CIDR($0) }) else { return false }
      return allowlist.contains { $0.contains(source.base) || source.contains($0.base) }
    }
    func time(_ row: Row) -> EventTime { row.incident?.latest.firstTime ?? .distantPast }
  }

  /// The same incident by its id; where a rule counts otherwise it opens at another line, and is known by its rule and subject.
  private static func pairs(
    _ old: [RuleOutcome.Incident], _ new: [RuleOutcome.Incident]
  ) -> [(RuleOutcome.Incident?, RuleOutcome.Incident?)] {
    struct Key: Hashable {
      var rule: String
      var subject: Subject
      init(_ incident: RuleOutcome.Incident) { (rule, subject) = (incident.latest.ruleID, incident.latest.subject) }
    }
    let ids = Set(new.map(\.latest.id))  // only asked for members
    var byID: [String: RuleOutcome.Incident] = [:]  // only looked up
    var byKey: [Key: [RuleOutcome.Incident]] = [:]  // only looked up
    for incident in old {
      if ids.contains(incident.latest.id) { byID[incident.latest.id] = incident } else { byKey[Key(incident), default: []].append(incident) }
    }
    var out: [(RuleOutcome.Incident?, RuleOutcome.Incident?)] = []
    var taken: Set<String> = []  // only asked for members
    for incident in new {
      if let same = byID[incident.latest.id] {
        out.append((same, incident))
      } else if let first = byKey[Key(incident)]?.first {
        byKey[Key(incident)]?.removeFirst()
        taken.insert(first.latest.id)
        out.append((first, incident))
      } else {
        out.append((nil, incident))
      }
    }
    for incident in old where byID[incident.latest.id] == nil && !taken.contains(incident.latest.id) { out.append((incident, nil)) }
    return out
  }

  private static func details(_ a: RuleOutcome.Incident, _ b: RuleOutcome.Incident) -> [String] {
    var out: [String] = []
    func compare(_ name: String, _ x: String, _ y: String) { if x != y { out.append("\(name) \(x) -> \(y)") } }
    compare("action", a.action.rawValue, b.action.rawValue)
    compare("confidence", "\(a.latest.confidence)", "\(b.latest.confidence)")
    compare("severity", a.latest.severity.rawValue, b.latest.severity.rawValue)
    compare("matches", "\(a.latest.matchCount)", "\(b.latest.matchCount)")
    for line in a.planned where !b.planned.contains(line) { out.append("no longer: \(line)") }
    for line in b.planned where !a.planned.contains(line) { out.append("newly: \(line)") }
    return out
  }
}
