// The shadow suite (useradd, usermod, userdel, groupadd, groupmod, groupdel, gpasswd, passwd, chage, chsh, chfn, newusers): every
// change of an account is one line, in the words of a table. user.target.name is the account, group.name the group, user.name who did it.
// Most tools write a line for each file they change ("add 'eve' to shadow group 'sudo'", "... in /etc/group"): the further ones have the
// same action and event.reason "shadow" or "group-file", so that a rule can leave them out and nothing counts twice.
// Names may contain quotes (useradd --badname): MessageTemplate marks what can be read in two ways.
import Events
import Primitives

extension ServiceParser {
  /// Actions user-added, user-deleted, user-changed, user-locked, user-unlocked, password-changed, password-expiry-changed, group-added,
  /// group-deleted, group-changed, user-added-to-group, user-removed-from-group.
  public static let shadow = ServiceParser(
    name: "shadow",
    programs: [
      "useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel", "gpasswd", "passwd", "chpasswd", "chgpasswd", "chage", "chsh",
      "chfn", "newusers", "adduser", "addgroup", "deluser", "delgroup", "groupmems",
    ], parse: Shadow.parse)
}

enum Shadow {
  private static func iam(
    _ pieces: [TemplatePiece], _ action: StaticString, _ outcome: StaticString = "success", reason: StaticString? = nil
  ) -> MessageTemplate { MessageTemplate(pieces, "iam", action, outcome, reason: reason) }

  /// gpasswd writes each change once for each file and once more: " in /etc/group", " in /etc/gshadow", and without either.
  private static func gpasswd(_ pieces: [TemplatePiece], _ action: StaticString, reason: StaticString? = nil) -> [MessageTemplate] {
    [
      iam(pieces + [" in /etc/gshadow"], action, reason: "shadow"), iam(pieces + [" in /etc/group"], action, reason: "group-file"),
      iam(pieces, action, reason: reason),
    ]
  }
  private static let gpasswdTemplates: [MessageTemplate] =
    gpasswd(["user ", .hole(.userTargetName), " added by ", .hole(.userName), " to group ", .hole(.groupName)], "user-added-to-group")
    + gpasswd(["user ", .hole(.userTargetName), " removed by ", .hole(.userName), " from group ", .hole(.groupName)], "user-removed-from-group")
    + gpasswd(
      ["members of group ", .hole(.groupName), " set by ", .hole(.userName), " to ", .hole(.userTargetName)], "user-added-to-group",
      reason: "members-set")
    + gpasswd(
      ["administrators of group ", .hole(.groupName), " set by ", .hole(.userName), " to ", .hole(.userTargetName)], "group-changed",
      reason: "administrators-set")
    + gpasswd(["password of group ", .hole(.groupName), " changed by ", .hole(.userName)], "group-changed", reason: "password-changed")
    + gpasswd(["password of group ", .hole(.groupName), " removed by ", .hole(.userName)], "group-changed", reason: "password-removed")
    + gpasswd(["access to group ", .hole(.groupName), " restricted by ", .hole(.userName)], "group-changed", reason: "restricted")

  private static let templates: [MessageTemplate] = accountTemplates + gpasswdTemplates
  /// The first that fits is taken: longer texts stand before those that begin the same way.
  private static let accountTemplates: [MessageTemplate] = [
    // useradd, newusers
    iam(
      [
        "new user: name=", .hole(.userTargetName), ", UID=", .hole(.userTargetID), ", GID=", .hole(.groupID), ", home=",
        .hole(.userTargetHome), ", shell=", .hole(.userTargetShell), ", from=", .hole(.processTty),
      ], "user-added"),
    iam(
      [
        "new user: name=", .hole(.userTargetName), ", UID=", .hole(.userTargetID), ", GID=", .hole(.groupID), ", home=",
        .hole(.userTargetHome), ", shell=", .hole(.userTargetShell),
      ], "user-added"),
    iam(["failed adding user '", .hole(.userTargetName), "', exit code: ", .ignored], "user-added", "failure"),
    iam(["failed adding user '", .hole(.userTargetName), "', data deleted"], "user-added", "failure"),
    iam(["failed adding user '", .hole(.userTargetName), "'"], "user-added", "failure"),
    // groups
    iam(["new group: name=", .hole(.groupName), ", GID=", .hole(.groupID)], "group-added"),
    iam(["group added to /etc/group: name=", .hole(.groupName), ", GID=", .hole(.groupID)], "group-added", reason: "group-file"),
    iam(["group added to /etc/gshadow: name=", .hole(.groupName)], "group-added", reason: "shadow"),
    iam(["group '", .hole(.groupName), "' removed from /etc/gshadow"], "group-deleted", reason: "shadow"),
    iam(["group '", .hole(.groupName), "' removed from /etc/group"], "group-deleted", reason: "group-file"),
    iam(["group '", .hole(.groupName), "' removed"], "group-deleted"),
    iam(["removed shadow group '", .hole(.groupName), "' owned by '", .hole(.userTargetName), "'"], "group-deleted", reason: "shadow"),
    iam(["removed group '", .hole(.groupName), "' owned by '", .hole(.userTargetName), "'"], "group-deleted"),
    iam(["group changed in /etc/gshadow (group ", .hole(.groupName), ", new name: ", .ignored, ")"], "group-changed", reason: "shadow"),
    iam(["group changed in /etc/group (group ", .hole(.groupName), "/", .hole(.groupID), ", ", .ignored, ")"], "group-changed"),
    iam(["group changed in /etc/group (group ", .hole(.groupName), ", ", .ignored, ")"], "group-changed"),
    iam(
      ["group changed in /etc/passwd (group ", .hole(.groupName), "/", .hole(.groupID), ", ", .ignored, ")"], "group-changed", reason: "passwd-file"),
    // membership
    iam(["add '", .hole(.userTargetName), "' to shadow group '", .hole(.groupName), "'"], "user-added-to-group", reason: "shadow"),
    iam(["add '", .hole(.userTargetName), "' to group '", .hole(.groupName), "'"], "user-added-to-group"),
    iam(["delete '", .hole(.userTargetName), "' from shadow group '", .hole(.groupName), "'"], "user-removed-from-group", reason: "shadow"),
    iam(["delete '", .hole(.userTargetName), "' from group '", .hole(.groupName), "'"], "user-removed-from-group"),
    iam(["change '", .ignored, "' to '", .hole(.userTargetName), "' in shadow group '", .hole(.groupName), "'"], "group-changed", reason: "shadow"),
    iam(["change '", .ignored, "' to '", .hole(.userTargetName), "' in group '", .hole(.groupName), "'"], "group-changed"),
    iam(
      ["change admin '", .ignored, "' to '", .hole(.userTargetName), "' in shadow group '", .hole(.groupName), "'"], "group-changed", reason: "shadow"
    ),
    // userdel
    iam(["delete user '", .hole(.userTargetName), "'"], "user-deleted"),
    iam(["delete home directory '", .hole(.userTargetHome), "'"], "user-changed", reason: "home-deleted"),
    // usermod
    iam(["lock user '", .hole(.userTargetName), "' password"], "user-locked"),
    iam(["unlock user '", .hole(.userTargetName), "' password"], "user-unlocked"),
    iam(["change user '", .hole(.userTargetName), "' password"], "password-changed"),
    iam(
      ["change user '", .hole(.userTargetName), "' shell from '", .ignored, "' to '", .hole(.userTargetShell), "'"], "user-changed", reason: "shell"),
    iam(["change user '", .hole(.userTargetName), "' home from '", .ignored, "' to '", .hole(.userTargetHome), "'"], "user-changed", reason: "home"),
    iam(["change user '", .hole(.userTargetName), "' UID from '", .ignored, "' to '", .hole(.userTargetID), "'"], "user-changed", reason: "uid"),
    iam(["change user '", .hole(.userTargetName), "' GID from '", .ignored, "' to '", .hole(.groupID), "'"], "user-changed", reason: "gid"),
    iam(["change user '", .hole(.userTargetName), "' expiration from '", .ignored, "' to '", .ignored, "'"], "password-expiry-changed"),
    iam(["change user '", .hole(.userTargetName), "' inactive from '", .ignored, "' to '", .ignored, "'"], "password-expiry-changed"),
    iam(["change user name '", .hole(.userTargetName), "' to '", .ignored, "'"], "user-changed", reason: "name"),
    iam(["change user '", .hole(.userTargetName), "' ", .ignored], "user-changed"),
    // passwd, chpasswd, chage
    iam(["password for '", .hole(.userTargetName), "' changed by '", .hole(.userName), "'"], "password-changed"),
    iam(["password for `", .hole(.userTargetName), "' changed by `", .hole(.userName), "'"], "password-changed"),
    iam(["password for ", .hole(.userTargetName), " changed by ", .hole(.userName)], "password-changed"),
    iam(["password changed for ", .hole(.userTargetName)], "password-changed"),
    iam(["changed password expiry for ", .hole(.userTargetName)], "password-expiry-changed"),
    iam(["can't view or modify password information for ", .hole(.userTargetName)], "password-changed", "failure"),
    iam(["password for user ", .hole(.userTargetName), " could not be changed", .ignored], "password-changed", "failure"),
    // chsh, chfn
    iam(["changed user '", .hole(.userTargetName), "' shell to '", .hole(.userTargetShell), "'"], "user-changed", reason: "shell"),
    iam(["changed user '", .hole(.userTargetName), "' information"], "user-changed", reason: "information"),
  ]

  @Sendable
  static func parse(_ message: Bytes, _ event: inout Event) -> Bool { templates.parse(message, provider: "shadow", into: &event) }
}
