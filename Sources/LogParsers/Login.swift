// login of util-linux and of shadow: who came in on a console, and who did not.
// The name in FAILED LOGIN is what was typed at the prompt and may contain anything, also "', Authentication failure"; the terminal and
// the remote host stand before it. So the name runs from the first FOR to the last comma.
import Events
import Primitives

extension ServiceParser {
  /// Action console-login, outcome success or failure; user.name is left out where login wrote UNKNOWN.
  public static let login = ServiceParser(name: "login", programs: ["login"], parse: Login.parse)
}

enum Login {
  @Sendable
  static func parse(_ message: Bytes, _ event: inout Event) -> Bool {
    success(message, &event) || failure(message, &event)
  }

  private static func success(_ message: Bytes, _ event: inout Event) -> Bool {
    var cursor = ByteCursor(message)
    var user: Bytes
    var place: Bytes
    if cursor.skip("ROOT LOGIN ON ") {
      user = Bytes("root")
      place = cursor.rest
    } else if cursor.skip("ROOT LOGIN ") {
      user = Bytes("root")
      place = cursor.rest.trimmed
      guard place.starts(with: "on '") else { return false }
    } else if cursor.skip("LOGIN ON ") || cursor.skip("DIALUP AT ") {
      guard let tty = cursor.take(until: " BY "), isTerminal(tty) else { return false }
      // Both readings of "BY a FROM b FROM c" end in the remote host.
      let rest = cursor.rest
      let from = rest.lastIndex(of: " FROM ")
      user = rest.upTo(from ?? rest.count)
      place = tty
      if let from { setHost(rest.from(from + 6), into: &event) }
    } else if cursor.skip(byte: 0x27) {
      guard let end = message.lastIndex(of: "' logged in") else { return false }
      user = message.slice(1, end)
      place = message.from(end + 11).trimmed
      guard place.count == 0 || place.starts(with: "on '") else { return false }
    } else {
      return false
    }
    setPlace(place, into: &event)
    if user.count > 0 { event.set(.userName, user) }
    finish("success", into: &event)
    return true
  }

  private static func failure(_ message: Bytes, _ event: inout Event) -> Bool {
    var cursor = ByteCursor(message)
    guard cursor.skip("FAILED LOGIN SESSION") || cursor.skip("FAILED LOGIN") || cursor.skip("TOO MANY LOGIN TRIES") else { return false }
    let isExhausted = message.starts(with: "TOO")
    cursor.skipSpaces()
    let isParenthesised = cursor.skip(byte: 0x28)
    if cursor.takeDecimal() != nil, isParenthesised, !cursor.skip(byte: 0x29) { return false }
    guard let place = cursor.take(until: " FOR ") else { return false }
    var name = cursor.rest
    var reason: Bytes = .none
    if name.starts(with: "'") {
      if let end = name.lastIndex(of: "', ") {
        reason = name.from(end + 3)
        name = name.slice(1, end)
      } else {
        guard name.count >= 2, name.ends(with: "'") else { return false }
        name = name.slice(1, name.count - 1)
      }
    } else if let end = name.lastIndex(of: ", ") {
      reason = name.from(end + 2)
      name = name.upTo(end)
    }
    setPlace(place.trimmed, into: &event)
    if name.count > 0, !name.equals("UNKNOWN"), !name.equals("(unknown)") { event.set(.userName, name) }
    if isExhausted {
      event.set(.eventReason, "too-many-tries")
    } else if reason.count > 0 {
      event.set(.eventReason, reason)
    }
    finish("failure", into: &event)
    return true
  }

  private static func finish(_ outcome: StaticString, into event: inout Event) {
    event.set(.eventProvider, "login")
    event.set(.eventCategory, "authentication")
    event.set(.eventAction, "console-login")
    event.set(.eventOutcome, outcome)
  }

  /// "tty1", "tty1 FROM host", "on '/dev/tty1'", "on '/dev/tty1' from 'host'", "FROM host", "FROM tty1".
  private static func setPlace(_ place: Bytes, into event: inout Event) {
    if place.starts(with: "on '") {
      let rest = place.from(4)
      let end = rest.index(of: 0x27) ?? rest.count
      event.set(.processTty, rest.upTo(end))
      let host = rest.from(end)
      if host.starts(with: "' from '") { setHost(host.slice(8, host.lastIndex(of: 0x27) ?? host.count), into: &event) }
      return
    }
    var where_ = place
    if let from = where_.index(of: " FROM ") {
      setHost(where_.from(from + 6), into: &event)
      where_ = where_.upTo(from)
    } else if where_.starts(with: "FROM ") {
      where_ = where_.from(5)
    }
    if isTerminal(where_) {
      event.set(.processTty, where_)
    } else if !event.has(.sourceAddress) {
      setHost(where_, into: &event)
    }
  }
  private static func setHost(_ host: Bytes, into event: inout Event) {
    guard host.count > 0, host.index(of: 0x20) == nil else { return }
    event.set(.sourceAddress, host)
    event.set(.sourceIP, parsing: host)
  }
  private static func isTerminal(_ text: Bytes) -> Bool {
    text.index(of: 0x20) == nil
      && (text.starts(with: "tty") || text.starts(with: "pts/") || text.starts(with: "/dev/") || text.equals("console") || text.starts(with: "hvc"))
  }
}
