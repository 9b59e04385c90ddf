// What a host's baseline is about: one table of pairs that are watched for novelty, and one of rates. A row says which events it takes, what
// the two halves are, and under which field rules see the judgement.
// What must stay true: rows are numbered by their place, which snapshots hold; new ones come last.
import Events
import Primitives

/// Pairs whose first appearance matters.
public enum PairClass: UInt8, CaseIterable, Sendable {
  case loginNetwork, loginMethod, loginHost, loginHour, sudoCommand, switchedUser, cronCommand, service, processParent, servicePort
  case dnsDomain, tlsClient, processPort, listener, processTLS, sshClient

  /// Where rules find what was judged: learning, known, recent, new or new-subject.
  public var field: Field { definition.field }
  /// "login_network", as operators write it.
  public var name: String { String("\(field.name)".dropFirst("baseline.".count)) }
  public init?(name: String) {
    guard let found = PairClass.allCases.first(where: { $0.name == name }) else { return nil }
    self = found
  }
  /// What the halves are, for people.
  public var halves: (subject: StaticString, object: StaticString) { (definition.subject, definition.object) }
  /// Entries of its set; each pair is one, and so is each first half.
  var capacity: Int { definition.isWide ? Limits.baselineWidePairs : Limits.baselinePairs }

  private var definition: (field: Field, subject: StaticString, object: StaticString, isWide: Bool) {
    switch self {
    case .loginNetwork: (.baselineLoginNetwork, "user", "network", false)
    case .loginMethod: (.baselineLoginMethod, "user", "method", false)
    case .loginHost: (.baselineLoginHost, "user", "host", false)
    case .loginHour: (.baselineLoginHour, "user", "hour", false)
    case .sudoCommand: (.baselineSudoCommand, "user", "program", false)
    case .switchedUser: (.baselineSwitchedUser, "user", "user", false)
    case .cronCommand: (.baselineCronCommand, "user", "command", false)
    case .service: (.baselineService, "host", "unit", false)
    case .processParent: (.baselineProcessParent, "parent", "program", true)
    case .servicePort: (.baselineServicePort, "address", "port", true)
    case .dnsDomain: (.baselineDNSDomain, "host", "domain", true)
    case .tlsClient: (.baselineTLSClient, "host", "JA4", true)
    case .processPort: (.baselineProcessPort, "program", "port", false)
    case .listener: (.baselineListener, "program", "port", false)
    case .processTLS: (.baselineProcessTLS, "program", "JA4", false)
    case .sshClient: (.baselineSSHClient, "host", "HASSH", true)
    }
  }

  /// Writes the halves that the event has. False: it is none of this class. The hour is the event's own.
  func write(_ event: borrowing Event, subject: inout [UInt8], object: inout [UInt8]) -> Bool {
    switch self {
    case .loginNetwork:
      guard let address = event.address(.sourceIP) else { return false }
      let length = address.isV4 ? 24 : 48
      address.masked(length).append(to: &object)
      object.append(0x2f)
      object.append(decimal: Int64(length))
      return event.appendText(of: .userName, to: &subject)
    case .loginMethod: return event.appendText(of: .userName, to: &subject) && event.appendText(of: .authenticationMethod, to: &object)
    case .loginHost: return event.appendText(of: .userName, to: &subject) && event.appendText(of: .hostName, to: &object)
    case .loginHour:
      PairClass.writeHour(floorDivide(event.time.nanoseconds, nanosecondsPerHour), to: &object)
      return event.appendText(of: .userName, to: &subject)
    case .sudoCommand: return event.appendText(of: .userName, to: &subject) && event.appendText(of: .processExecutable, to: &object)
    case .switchedUser: return event.appendText(of: .userName, to: &subject) && event.appendText(of: .userEffectiveName, to: &object)
    case .cronCommand: return event.appendText(of: .userName, to: &subject) && event.appendText(of: .processCommandLine, to: &object)
    case .service: return event.appendText(of: .hostName, to: &subject) && event.appendText(of: .systemdUnit, to: &object)
    case .processParent:
      return (event.appendText(of: .processParentExecutable, to: &subject) || event.appendText(of: .processParentName, to: &subject))
        && (event.appendText(of: .processExecutable, to: &object) || event.appendText(of: .processName, to: &object))
    case .servicePort: return event.appendText(of: .destinationIP, to: &subject) && port(event, &object) && event.has(.networkTransport)
    case .dnsDomain: return host(event, &subject) && event.appendText(of: .dnsQuestionRegisteredDomain, to: &object)
    case .tlsClient: return host(event, &subject) && event.appendText(of: .tlsClientJA4, to: &object)
    case .processPort: return event.appendText(of: .processExecutable, to: &subject) && port(event, &object)
    case .listener:
      return (event.appendText(of: .processExecutable, to: &subject) || event.appendText(of: .processName, to: &subject)) && port(event, &object)
    case .processTLS: return event.appendText(of: .processExecutable, to: &subject) && event.appendText(of: .tlsClientJA4, to: &object)
    case .sshClient: return host(event, &subject) && event.appendText(of: .sshClientHASSH, to: &object)
    }
  }
  /// "weekday 08", UTC.
  static func writeHour(_ hour: Int64, to out: inout [UInt8]) {
    out.append(HourProfile.hourOfWeek(hour) < 120 ? "weekday " as StaticString : "weekend ")
    out.append(decimal: UInt64(HourProfile.hourOfDay(hour)), minimumDigits: 2)
  }
  /// "443/tcp"; a log that does not say the transport means TCP.
  private func port(_ event: borrowing Event, _ out: inout [UInt8]) -> Bool {
    guard event.appendText(of: .destinationPort, to: &out) else { return false }
    out.append(0x2f)
    if !event.appendText(of: .networkTransport, to: &out) { out.append("tcp" as StaticString) }
    return true
  }
  /// The machine that asks: by name where the event has one, else by address (IPv6: its /64, for addresses there last a day).
  private func host(_ event: borrowing Event, _ out: inout [UInt8]) -> Bool {
    if event.appendText(of: .hostName, to: &out) { return true }
    guard let address = event.address(.sourceIP) else { return false }
    Measures.subject(address).append(to: &out)
    return true
  }
  /// It is about machines of ours and what they use: what a stranger brings along is not.
  var isOfMachines: Bool { self == .dnsDomain || self == .tlsClient || self == .sshClient }
}

extension PairClass {
  /// A second half as it is kept, from what a person writes: an address stands for its network, a port for that of TCP. nil: none of this class
  /// looks so, and what was kept under that name would never be met again.
  public func object(writtenAs text: String) -> [UInt8]? {
    var out: [UInt8] = []
    switch self {
    case .loginNetwork:
      guard let network = CIDR(text) else { return nil }
      let length = network.base.isV4 ? 24 : 48
      guard network.prefixLength >= length else { return nil }
      network.base.masked(length).append(to: &out)
      out.append(0x2f)
      out.append(decimal: Int64(length))
    case .loginHour:
      let hours = (0..<168).map { (hour: Int64) in
        var name: [UInt8] = []
        PairClass.writeHour(hour, to: &name)
        return name
      }
      guard hours.contains(Array(text.utf8)) else { return nil }
      out = Array(text.utf8)
    case .servicePort, .processPort, .listener:
      let parts = text.utf8.split(separator: 0x2f, omittingEmptySubsequences: false)
      guard parts.count <= 2, let port = UInt16(String(parts[0]) ?? ""), parts.count == 1 || !parts[1].isEmpty else { return nil }
      out.append(decimal: Int64(port))
      out.append(0x2f)
      out += parts.count == 2 ? Array(parts[1]) : Array("tcp".utf8)
    default:
      guard !text.isEmpty else { return nil }
      out = Array(text.utf8)
    }
    return out
  }
  /// One such half, for people.
  public var example: StaticString {
    switch self {
    case .loginNetwork: "192.0.2.0/24 or 2001:db8::/48"
    case .loginHour: "\"weekday 03\" or \"weekend 03\" (UTC)"
    case .servicePort, .processPort, .listener: "443/tcp"
    default: "as `panguard baseline show` writes it"
    }
  }
}

/// Amounts for each hour.
public enum RateClass: UInt8, CaseIterable, Sendable {
  case logins, attempts, commands, events, requestBytes

  /// How far the running hour is from what is usual at this hour of the week, in thousandths of spreads.
  public var field: Field { definition.field }
  /// "logins", for people.
  public var name: String { "\(definition.name)" }
  /// What a rule that reads it groups by.
  public var subject: Field { definition.subject }

  private var definition: (field: Field, name: StaticString, subject: Field) {
    switch self {
    case .logins: (.baselineLogins, "logins", .userName)
    case .attempts: (.baselineAttempts, "attempts", .hostName)
    case .commands: (.baselineCommands, "commands", .userName)
    case .events: (.baselineEvents, "events", .eventProvider)
    case .requestBytes: (.baselineSentBytes, "sent_bytes", .sourceIP)
    }
  }

  /// It is about what many do: a host, a service. What no rule spoke of is learned whatever else the hour brought.
  var isShared: Bool { self == .attempts || self == .events }

  /// The text that names whom it is about; nil: there is none, or it is no text. A service is named by the parser that knows it, else by the
  /// program that the line says.
  func name(_ event: borrowing Event) -> Bytes? {
    guard self == .events else { return event.text(subject) }
    return isNamedByLine(event) ? event.text(.processName) : event.text(.eventProvider)
  }
  /// Whether any local user may have made up the name.
  func isNamedByLine(_ event: borrowing Event) -> Bool {
    guard self == .events, event.has(.processName) else { return false }
    return event.text(.eventProvider)?.equals("generic") ?? true
  }
  /// What the event adds: at most `HourProfile.largest`, whatever its input says, so that a sum of two is no overflow.
  func amount(_ event: borrowing Event) -> Int64 {
    let said: Int64 =
      switch self {
      case .logins, .commands, .events: max(1, event.repeatCount)
      case .attempts: event.integer(.attemptCount) ?? 0
      case .requestBytes: event.integer(.sourceBytes) ?? 0
      }
    return max(0, min(said, HourProfile.largest))
  }
}

let nanosecondsPerHour: Int64 = 3_600_000_000_000

/// Rows of both tables that an event may belong to, as bits.
public struct ClassSet: Equatable, Sendable {
  var pairs: UInt32 = 0
  var rates: UInt32 = 0
  var measures = MeasureSet()
  /// Of `Baseline.judge`, where it came from one; else 0.
  var judgement: UInt64 = 0
  var isEmpty: Bool { pairs | rates == 0 && measures.isEmpty }
  init() {}
  init(_ pairs: [PairClass], _ rates: [RateClass] = [], _ measures: MeasureSet = []) {
    self.measures = measures
    for row in pairs { self.pairs |= 1 << UInt32(row.rawValue) }
    for row in rates { self.rates |= 1 << UInt32(row.rawValue) }
  }

  /// By `event.action`. What a row needs besides is asked when its halves are written.
  private static let byAction: [(action: StaticString, needsSuccess: Bool, rows: ClassSet)] = [
    ("ssh-login", true, ClassSet([.loginNetwork, .loginMethod, .loginHost, .loginHour], [.logins])),
    ("console-login", true, ClassSet([.loginHost, .loginHour], [.logins])),
    ("sudo-command", true, ClassSet([.sudoCommand, .switchedUser], [.commands])),
    ("su-session", true, ClassSet([.switchedUser])),
    ("cron-command", false, ClassSet([.cronCommand])),
    ("service-started", true, ClassSet([.service])),
    ("dns-query", false, ClassSet([.dnsDomain])),
    ("tls-client-hello", false, ClassSet([.tlsClient])),
    ("ssh-key-exchange", false, ClassSet([.sshClient])),
    ("network_flow", false, ClassSet([.servicePort], [.requestBytes], .flows)),
    ("ssh-listening", false, ClassSet([.listener])),
    ("process-listening", false, ClassSet([.listener])),
  ]
  /// By length and first letter, as bits: nearly all actions are none of them.
  private static let shapes = byAction.reduce(0 as UInt64) { $0 | shape(Bytes($1.action)) }
  @inline(__always)
  private static func shape(_ action: Bytes) -> UInt64 { action.isEmpty ? 0 : 1 << UInt64((action.count &* 5 &+ Int(action[0])) & 63) }

  @inline(__always)
  private mutating func insert(_ row: PairClass) { pairs |= 1 << UInt32(row.rawValue) }
  @inline(__always)
  private mutating func insert(_ row: RateClass) { rates |= 1 << UInt32(row.rawValue) }

  public init(of event: borrowing Event) {
    self.init()
    if event.has(.eventProvider) || event.has(.processName) { insert(.events) }
    if let action = event.text(.eventAction), ClassSet.shape(action) & ClassSet.shapes != 0,
      let row = ClassSet.byAction.first(where: { action.equals($0.action) }),
      !row.needsSuccess || event.text(.eventOutcome)?.equals("success") == true
    {
      formUnion(row.rows)
    }
    if event.has(.attemptCount) {
      insert(.attempts)
      measures.insert(.triedUsers)
    }
    if event.has(.processParentExecutable) || event.has(.processParentName) { insert(.processParent) }
    if event.has(.httpResponseBodyBytes), (event.integer(.httpResponseBodyBytes) ?? 0) >= Limits.baselineResponseBytes {
      measures.insert(.responses)
    }
    // Not by `process.name`: that may be who wrote the line.
    if event.has(.processExecutable) {
      if event.has(.destinationPort), event.has(.destinationIP), pairs & 1 << UInt32(PairClass.listener.rawValue) == 0 { insert(.processPort) }
      if event.has(.tlsClientJA4) { insert(.processTLS) }
    }
    // A port that did not answer is no service.
    if event.has(.flowState), let state = event.text(.flowState), !ClassSet.answered.contains(where: { state.equals($0) }) {
      pairs &= ~(1 << UInt32(PairClass.servicePort.rawValue))
    }
  }
  private static let answered: [StaticString] = ["S1", "SF", "S2", "S3", "RSTO", "RSTR"]
  mutating func formUnion(_ other: ClassSet) {
    pairs |= other.pairs
    rates |= other.rates
    measures.formUnion(other.measures)
  }
  /// Something besides a line of its service: what is learned of it depends on whose it is.
  public var isMoreThanCounted: Bool { pairs != 0 || rates & ~ClassSet.counted != 0 || !measures.isEmpty }
  private static let counted: UInt32 = 1 << UInt32(RateClass.events.rawValue)
  var pairRows: Rows<PairClass> { Rows(rest: pairs) }
  var rateRows: Rows<RateClass> { Rows(rest: rates) }

  /// The rows of some bits, lowest first.
  struct Rows<Row: RawRepresentable<UInt8>>: Sequence, IteratorProtocol {
    fileprivate var rest: UInt32
    mutating func next() -> Row? {
      guard rest != 0 else { return nil }
      let row = Row(rawValue: UInt8(truncatingIfNeeded: rest.trailingZeroBitCount))
      rest &= rest &- 1
      return row
    }
  }
}
