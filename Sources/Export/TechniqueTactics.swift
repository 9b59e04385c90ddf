// Which tactics an ATT&CK technique (enterprise, v15) serves, for the techniques that host, network and agent rules refer to. Sub-techniques
// serve what their technique does. An id outside the table has no tactic here; nothing but the coverage table depends on it.

enum Tactic: Int, CaseIterable {
  case reconnaissance, resourceDevelopment, initialAccess, execution, persistence, privilegeEscalation, defenseEvasion, credentialAccess
  case discovery, lateralMovement, collection, commandAndControl, exfiltration, impact

  /// As ATT&CK and its Navigator write it.
  var shortName: String {
    switch self {
    case .reconnaissance: "reconnaissance"
    case .resourceDevelopment: "resource-development"
    case .initialAccess: "initial-access"
    case .execution: "execution"
    case .persistence: "persistence"
    case .privilegeEscalation: "privilege-escalation"
    case .defenseEvasion: "defense-evasion"
    case .credentialAccess: "credential-access"
    case .discovery: "discovery"
    case .lateralMovement: "lateral-movement"
    case .collection: "collection"
    case .commandAndControl: "command-and-control"
    case .exfiltration: "exfiltration"
    case .impact: "impact"
    }
  }

  /// Those of a technique or sub-technique, in the order of the matrix.
  static func of(_ id: String) -> [Tactic] {
    let parent = id.split(separator: ".", omittingEmptySubsequences: false).first.map(String.init) ?? id
    for entry in table where entry.id == parent { return entry.tactics }
    return []
  }

  private static let table: [(id: String, tactics: [Tactic])] = [
    ("T1003", [.credentialAccess]), ("T1016", [.discovery]), ("T1018", [.discovery]), ("T1020", [.exfiltration]), ("T1021", [.lateralMovement]),
    ("T1027", [.defenseEvasion]), ("T1030", [.exfiltration]), ("T1036", [.defenseEvasion]), ("T1040", [.credentialAccess, .discovery]),
    ("T1041", [.exfiltration]), ("T1046", [.discovery]), ("T1048", [.exfiltration]), ("T1053", [.execution, .persistence, .privilegeEscalation]),
    ("T1055", [.defenseEvasion, .privilegeEscalation]),
    ("T1056", [.credentialAccess, .collection]), ("T1059", [.execution]), ("T1068", [.privilegeEscalation]), ("T1070", [.defenseEvasion]),
    ("T1071", [.commandAndControl]), ("T1078", [.initialAccess, .persistence, .privilegeEscalation, .defenseEvasion]), ("T1082", [.discovery]),
    ("T1083", [.discovery]), ("T1087", [.discovery]), ("T1090", [.commandAndControl]), ("T1095", [.commandAndControl]),
    ("T1098", [.persistence, .privilegeEscalation]), ("T1105", [.commandAndControl]), ("T1110", [.credentialAccess]),
    ("T1111", [.credentialAccess]), ("T1129", [.execution]), ("T1133", [.initialAccess, .persistence]), ("T1136", [.persistence]),
    ("T1187", [.credentialAccess]), ("T1189", [.initialAccess]), ("T1190", [.initialAccess]), ("T1195", [.initialAccess]),
    ("T1200", [.initialAccess]), ("T1203", [.execution]), ("T1204", [.execution]), ("T1210", [.lateralMovement]), ("T1212", [.credentialAccess]),
    ("T1485", [.impact]), ("T1489", [.impact]), ("T1496", [.impact]), ("T1498", [.impact]), ("T1499", [.impact]), ("T1505", [.persistence]),
    ("T1528", [.credentialAccess]), ("T1530", [.collection]), ("T1531", [.impact]), ("T1539", [.credentialAccess]),
    ("T1543", [.persistence, .privilegeEscalation]), ("T1546", [.persistence, .privilegeEscalation]),
    ("T1547", [.persistence, .privilegeEscalation]), ("T1548", [.privilegeEscalation, .defenseEvasion]),
    ("T1550", [.defenseEvasion, .lateralMovement]), ("T1552", [.credentialAccess]), ("T1553", [.defenseEvasion]),
    ("T1556", [.persistence, .defenseEvasion, .credentialAccess]), ("T1557", [.credentialAccess, .collection]), ("T1562", [.defenseEvasion]),
    ("T1563", [.lateralMovement]), ("T1565", [.impact]), ("T1566", [.initialAccess]), ("T1567", [.exfiltration]), ("T1568", [.commandAndControl]),
    ("T1571", [.commandAndControl]), ("T1572", [.commandAndControl]), ("T1573", [.commandAndControl]), ("T1583", [.resourceDevelopment]),
    ("T1584", [.resourceDevelopment]), ("T1587", [.resourceDevelopment]), ("T1589", [.reconnaissance]), ("T1590", [.reconnaissance]),
    ("T1592", [.reconnaissance]), ("T1595", [.reconnaissance]), ("T1610", [.execution, .defenseEvasion]), ("T1611", [.privilegeEscalation]),
    ("T1621", [.credentialAccess]), ("T1657", [.impact]),
  ]
}
