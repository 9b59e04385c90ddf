// Which user and groups a process becomes. Names are looked up once, before anything is given up: afterwards the files and sockets
// behind the lookup (passwd, nscd) may be out of reach.
import Glibc

/// A user with the groups it is to have, and no others.
public struct Account: Sendable, Equatable {
  public var name: String
  public var user: uid_t
  public var group: gid_t
  /// Supplementary groups, all of them.
  public var groups: [gid_t]
  public init(name: String, user: uid_t, group: gid_t, groups: [gid_t] = []) {
    self.name = name
    self.user = user
    self.group = group
    self.groups = groups
  }

  /// The user called `name`, with those of `groups` that this host has. nil: there is no such user.
  public static func named(_ name: String, groups: [String] = []) -> Account? {
    guard let entry = getpwnam(name) else { return nil }
    let (user, group) = (entry.pointee.pw_uid, entry.pointee.pw_gid)
    return Account(name: name, user: user, group: group, groups: groups.compactMap { getgrnam($0)?.pointee.gr_gid })
  }
}

/// Capabilities that a process of ours may keep (capabilities(7)); the raw value is the kernel's number.
public enum Capability: Int, Sendable, CaseIterable {
  case changeOwner = 0
  case overrideAccess = 1
  case actAsOwner = 3
  case kill = 5
  case setGroups = 6
  case setUser = 7
  case networkAdministration = 12
  case rawNetwork = 13
  public var name: String {
    switch self {
    case .changeOwner: "CAP_CHOWN"
    case .overrideAccess: "CAP_DAC_OVERRIDE"
    case .actAsOwner: "CAP_FOWNER"
    case .kill: "CAP_KILL"
    case .setGroups: "CAP_SETGID"
    case .setUser: "CAP_SETUID"
    case .networkAdministration: "CAP_NET_ADMIN"
    case .rawNetwork: "CAP_NET_RAW"
    }
  }
}
