// Logins by form (application/x-www-form-urlencoded): that a password crossed the wire, and for whom.
// What must stay true: the password is not kept. A value that holds what attacks need and passwords hardly ever have (quotes, angle brackets,
// substitutions) stays, because rules have to see it.
import Primitives

struct HTTPForm {
  /// The body with passwords as "***".
  private(set) var body: [UInt8] = []
  /// Percent-decoded; empty where the form names none.
  private(set) var user: [UInt8] = []

  private static let secrets: [StaticString] = ["password", "passwd", "pass", "pwd", "passphrase", "passwort", "user_password", "j_password"]
  private static let users: [StaticString] = ["username", "user", "login", "log", "email", "user_name", "userid", "j_username", "uname"]

  /// nil: no member is a password.
  init?(_ form: Bytes) {
    var hasSecret = false
    var at = 0
    while at < form.count {
      let end = form.index(of: 0x26, from: at) ?? form.count
      let member = form.slice(at, end)
      let equals = member.index(of: 0x3d) ?? member.count
      let (key, value) = (member.upTo(equals), member.from(equals + 1))
      if !body.isEmpty { body.append(0x26) }
      if value.count > 0, HTTPForm.secrets.contains(where: { key.equalsIgnoringCase($0) }) {
        hasSecret = true
        body.append(form.slice(at, at + equals + 1))
        if HTTPForm.mayBeAttack(value) { body.append(value) } else { body.append("***" as StaticString) }
      } else {
        if user.isEmpty, HTTPForm.users.contains(where: { key.equalsIgnoringCase($0) }) {
          user = PercentDecoding.decode(value.upTo(Limits.credentialUserBytes), plusIsSpace: true, maxRounds: 1) { Array($0) }
        }
        body.append(member)
      }
      at = end + 1
    }
    guard hasSecret else { return nil }
  }

  private static let signs: [StaticString] = ["'", "\"", "<", ">", "`", "${", "$("]
  private static func mayBeAttack(_ value: Bytes) -> Bool {
    PercentDecoding.decode(value, plusIsSpace: true) { decoded in signs.contains { decoded.contains($0) } }
  }
}
