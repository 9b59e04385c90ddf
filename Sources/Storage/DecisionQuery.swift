// Which decisions to show. Every part that is set must hold; an empty query asks for everything.
import Detection
import Foundation
import GRDB
import Primitives
import RuleLanguage

public struct DecisionQuery: Sendable {
  /// Event time of the record, inclusive.
  public var since: EventTime?
  /// Event time of the record, exclusive.
  public var until: EventTime?
  /// An address or network: finds subjects inside it, and networks that contain it.
  public var address: CIDR?
  /// The exact name.
  public var user: String?
  /// A rule id, or a glob of `*` and `?`.
  public var rule: String?
  public var minimumSeverity: Severity?
  public var minimumConfidence: Confidence?
  public var action: ProposedAction?
  /// Every record of each incident, not only the latest.
  public var allRevisions: Bool
  public init(
    since: EventTime? = nil, until: EventTime? = nil, address: CIDR? = nil, user: String? = nil, rule: String? = nil,
    minimumSeverity: Severity? = nil, minimumConfidence: Confidence? = nil, action: ProposedAction? = nil, allRevisions: Bool = false
  ) {
    self.since = since
    self.until = until
    self.address = address
    self.user = user
    self.rule = rule
    self.minimumSeverity = minimumSeverity
    self.minimumConfidence = minimumConfidence
    self.action = action
    self.allRevisions = allRevisions
  }

  /// A WHERE clause ("1" if everything matches) and its arguments.
  var clause: (sql: String, arguments: [DatabaseValue]) {
    var parts: [String] = []
    var arguments: [DatabaseValue] = []
    func add(_ sql: String, _ values: DatabaseValue...) {
      parts.append(sql)
      arguments += values
    }
    if !allRevisions { add("is_latest = 1") }
    if let since { add("time >= ?", since.nanoseconds.databaseValue) }
    if let until { add("time < ?", until.nanoseconds.databaseValue) }
    if let minimumSeverity { add("severity >= ?", minimumSeverity.rank.databaseValue) }
    if let minimumConfidence { add("confidence >= ?", minimumConfidence.thousandths.databaseValue) }
    if let action { add("action = ?", action.rawValue.databaseValue) }
    if let user { add("user = ?", databaseText(user)) }
    if let rule {
      // Brackets mean sets to SQLite, but themselves here.
      let isGlob = rule.utf8.contains(0x2a) || rule.utf8.contains(0x3f)
      let pattern = rule.split(separator: "[", omittingEmptySubsequences: false).joined(separator: "[[]")
      if isGlob { add("rule GLOB ?", databaseText(pattern)) } else { add("rule = ?", databaseText(rule)) }
    }
    if let address {
      let range = AddressRange(address)
      let containers = AddressRange.containers(of: address)
      let marks = repeatElement("?", count: containers.count).joined(separator: ", ")
      parts.append("(source_low BETWEEN ? AND ? OR (source_low IN (\(marks)) AND source_high >= ?))")
      arguments += [Data(range.low).databaseValue, Data(range.high).databaseValue]
      arguments += containers.map { Data($0).databaseValue }
      arguments.append(Data(range.high).databaseValue)
    }
    return (parts.isEmpty ? "1" : parts.joined(separator: " AND "), arguments)
  }
}
