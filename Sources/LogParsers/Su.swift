// su and runuser of util-linux ("(to root) alice on pts/1", "FAILED SU (to root) bob on pts/0") and of shadow ("Successful su for
// root by alice", then "+ /dev/pts/0 alice:root"). The wanted account is what the caller typed; the caller and the terminal are not.
import Events
import Primitives

extension ServiceParser {
  /// Action su-session, outcome success or failure. user.name is the caller, user.effective.name the wanted account.
  /// shadow writes two lines for one su; the second ("+ tty from:to") carries event.reason "summary", so that none counts twice.
  public static let su = ServiceParser(name: "su", programs: ["su", "su-l", "runuser", "runuser-l"], parse: Su.parse)
}

enum Su {
  private static func su(_ pieces: [TemplatePiece], _ outcome: StaticString, reason: StaticString? = nil) -> MessageTemplate {
    MessageTemplate(pieces, "authentication", "su-session", outcome, reason: reason)
  }
  private static let templates: [MessageTemplate] = [
    su(["(to ", .hole(.userEffectiveName), ") ", .hole(.userName), " on ", .hole(.processTty)], "success"),
    su(["FAILED SU (to ", .hole(.userEffectiveName), ") ", .hole(.userName), " on ", .hole(.processTty)], "failure"),
    su(["FAILED RUNUSER (to ", .hole(.userEffectiveName), ") ", .hole(.userName), " on ", .hole(.processTty)], "failure"),
    su(["Successful su for ", .hole(.userEffectiveName), " by ", .hole(.userName)], "success"),
    su(["FAILED su for ", .hole(.userEffectiveName), " by ", .hole(.userName)], "failure"),
    su(["BAD SU ", .hole(.userName), " to ", .hole(.userEffectiveName), " on ", .hole(.processTty)], "failure"),
  ]

  @Sendable
  static func parse(_ message: Bytes, _ event: inout Event) -> Bool {
    for template in templates {
      guard let match = template.match(message) else { continue }
      template.apply(match, to: &event, message: message)
      event.set(.eventProvider, "su")
      if match.isAmbiguous {
        event.set(.isAmbiguous, 1)
        setCertainEnds(message, template, match, into: &event)
      }
      return true
    }
    return summary(message, &event)
  }

  /// "+ /dev/pts/0 alice:root", "- ??? bob:root". Neither terminals nor account names have a colon, so the first one ends the caller.
  private static func summary(_ message: Bytes, _ event: inout Event) -> Bool {
    guard message.starts(with: "+ ") || message.starts(with: "- ") else { return false }
    var cursor = ByteCursor(message, at: 2)
    guard let tty = cursor.take(until: 0x20), tty.starts(with: "/dev/") || tty.starts(with: "tty") || tty.starts(with: "pts/") || tty.equals("???"),
      let caller = cursor.take(until: 0x3a), cursor.rest.count > 0
    else { return false }
    event.set(.eventProvider, "su")
    event.set(.eventCategory, "authentication")
    event.set(.eventAction, "su-session")
    event.set(.eventOutcome, message[0] == 0x2b ? "success" as StaticString : "failure")
    event.set(.eventReason, "summary")
    if caller.count > 0 { event.set(.userName, caller) }
    event.set(.userEffectiveName, cursor.rest)
    event.set(.processTty, tty)
    return true
  }

  /// In util-linux's form the wanted account is the only text that the caller chooses, and it comes first: what follows its last
  /// ") " (the caller) and the last " on " (the terminal) is certain even where the account is not.
  private static func setCertainEnds(_ message: Bytes, _ template: MessageTemplate, _ match: MessageTemplate.Match, into event: inout Event) {
    guard template.holes.count == 3, template.holes[0] == .userEffectiveName else { return }
    event.set(.userName, message.slice(Int(match.rightStart[1]), Int(match.rightEnd[1])))
    event.set(.processTty, message.slice(Int(match.rightStart[2]), Int(match.rightEnd[2])))
  }
}
