// Telnet (RFC 854) and what looks like it: the login prompt, who logged in, that a password followed. Not the session.
// What must stay true: options are taken out; only the current line is held, up to `Limits.telnetLineBytes`; after the login, or
// `Limits.telnetBytes` without one, both directions are given up.
import Primitives

final class TelnetParser: StreamParser {
  private let client: FlowDirection
  private var lines = ByDirection([UInt8]())
  private var seen = ByDirection(0)
  private var isInSubnegotiation = ByDirection(false)
  private var login = LoginAttempt()
  private enum Prompt { case none, user, secret }
  private var prompt = Prompt.none
  private var isOver = false

  init(_ context: ApplicationContext, client: FlowDirection) {
    self.client = client
    super.init(.telnet, context)
  }

  /// IAC and an option command; such a pair begins nothing else.
  static func recognise(_ bytes: Bytes) -> Bool? {
    guard let first = bytes.first else { return nil }
    guard first == 0xff else { return false }
    guard bytes.count >= 3 else { return nil }
    return bytes[1] >= 0xfa && bytes[1] <= 0xfe
  }

  override func parse(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    if isOver || seen[direction] > Limits.telnetBytes { return .done }
    var at = 0
    while at < bytes.count, !isOver {
      let byte = bytes[at]
      if byte == 0xff || isInSubnegotiation[direction] {
        let taken = option(bytes.from(at), direction)
        if taken == 0 {
          seen[direction] += at
          return at > 0 ? .took(at) : .needs(bytes.count + 1)
        }
        at += taken
        continue
      }
      text(byte, direction, frame, emit)
      at += 1
    }
    seen[direction] += bytes.count
    return isOver ? .done : .took(bytes.count)
  }
  override func resynchronise(_ direction: FlowDirection, missing: Int) -> Bool {
    lines[direction].removeAll(keepingCapacity: true)
    isInSubnegotiation[direction] = false
    return true
  }

  /// Bytes of the option that begins here; 0 where more are needed.
  private func option(_ bytes: Bytes, _ direction: FlowDirection) -> Int {
    if isInSubnegotiation[direction] {
      guard bytes[0] == 0xff else { return 1 }
      guard bytes.count >= 2 else { return 0 }
      if bytes[1] == 0xf0 { isInSubnegotiation[direction] = false }
      return 2
    }
    guard bytes.count >= 2 else { return 0 }
    switch bytes[1] {
    case 0xfa:
      isInSubnegotiation[direction] = true
      return 2
    case 0xfb...0xfe: return bytes.count >= 3 ? 3 : 0
    default: return 2
    }
  }

  private func text(_ byte: UInt8, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) {
    if byte == 0x0d || byte == 0x0a {
      if direction == client, byte == 0x0d || !lines[client].isEmpty { clientLine(frame, emit) }
      lines[direction].removeAll(keepingCapacity: true)
      return
    }
    guard byte != 0 else { return }
    if direction == client, byte == 0x7f || byte == 0x08 {
      _ = lines[client].popLast()
      return
    }
    // The secret itself is not even held: that something was typed is enough.
    if direction == client, prompt == .secret { return lines[client] = [0x2a] }
    if lines[direction].count < Limits.telnetLineBytes { lines[direction].append(byte) }
    if direction != client, byte == 0x3a || byte == 0x20 || byte == 0x2e || byte == 0x74 { serverText(frame, emit) }
  }
  private func clientLine(_ frame: UInt64, _ emit: MessageReceiver) {
    switch prompt {
    case .user: lines[client].withUnsafeBytes { login.setUser($0.trimmed) }
    case .secret:
      login.sent("telnet")
      login.send(.sent) { emit(message(.credential($0), client, frame, isFromClient: true)) }
    case .none: return
    }
    prompt = .none
  }
  private func serverText(_ frame: UInt64, _ emit: MessageReceiver) {
    let verdict: Bool? = lines[client.opposite].withUnsafeBytes { line in
      line.withLowercase { text in
        if text.ends(with: "last login:") || text.ends(with: "welcome ") { return true }
        if text.ends(with: "login incorrect") || text.ends(with: "login failed.") { return false }
        if text.ends(with: "login:") || text.ends(with: "username:") || text.ends(with: "user name:") {
          prompt = .user
        } else if text.ends(with: "password:") {
          prompt = .secret
        }
        return nil
      }
    }
    guard let isAccepted = verdict, login.isOpen else { return }
    login.answered()
    login.send(isAccepted ? .accepted : .refused) { emit(message(.credential($0), client.opposite, frame, isFromClient: false)) }
    isOver = isAccepted
  }
}
