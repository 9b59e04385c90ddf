// Protocols of command lines, as far as logins go: SMTP (RFC 5321, 4954), FTP (RFC 959), POP3 (RFC 1939, 5034), IMAP (RFC 3501).
// What must stay true: only the current line is held; both directions are given up as soon as no login can follow (a login succeeded, mail
// begins), so that transfers cost nothing here.
import Primitives

final class CommandParser: StreamParser {
  private let client: FlowDirection
  private var searched = ByDirection(0)
  private var isLost = ByDirection(false)
  private var login = LoginAttempt()
  /// What the client's next line is.
  private enum Expecting { case command, plain, loginUser, loginSecret, challenge }
  private var expecting = Expecting.command
  private var isOver = false
  /// IMAP: the tag of the command that the answer belongs to. FTP and POP3 have none.
  private var tag: [UInt8] = []

  init(_ name: ApplicationProtocol, _ context: ApplicationContext, client: FlowDirection) {
    self.client = client
    super.init(name, context)
  }
  override var messageLimit: Int { Limits.commandLineBytes }

  override func resynchronise(_ direction: FlowDirection, missing: Int) -> Bool {
    isLost[direction] = true
    searched[direction] = 0
    return true
  }

  override func parse(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    if isOver { return .done }
    if bytes[0] == 0x16 { return TLSParser.recognise(bytes).map { $0 ? .handsOver : .done } ?? .needs(6) }
    guard let end = bytes.index(of: 0x0a, from: searched[direction]) else {
      searched[direction] = bytes.count
      guard bytes.count < Limits.commandLineBytes else {
        isLost[direction] = true
        searched[direction] = 0
        return .took(bytes.count)
      }
      return .needs(bytes.count + 1)
    }
    searched[direction] = 0
    if isLost[direction] {
      isLost[direction] = false
    } else if direction == client {
      command(bytes.upTo(end).trimmed, frame, emit)
    } else {
      answer(bytes.upTo(end).trimmed, frame, emit)
    }
    return isOver ? .done : .took(end + 1)
  }

  private func emitLogin(_ outcome: CredentialMessage.Outcome, _ frame: UInt64, _ emit: MessageReceiver) {
    let isFromClient = outcome == .sent
    login.send(outcome) { emit(message(.credential($0), isFromClient ? client : client.opposite, frame, isFromClient: isFromClient)) }
  }

  // MARK: Client

  private func command(_ line: Bytes, _ frame: UInt64, _ emit: MessageReceiver) {
    if expecting != .command { return exchange(line, frame, emit) }
    if name == .imap { return imap(line, frame, emit) }
    let end = line.index(of: 0x20) ?? line.count
    let (verb, argument) = (line.upTo(end), line.from(end + 1).trimmed)
    if verb.equalsIgnoringCase("user") {
      login.setUser(argument)
    } else if verb.equalsIgnoringCase("pass") {
      sent("pass", frame, emit)
    } else if verb.equalsIgnoringCase("apop") {
      login.setUser(argument.upTo(argument.index(of: 0x20) ?? argument.count))
      sent("apop", isCleartext: false, frame, emit)
    } else if verb.equalsIgnoringCase("auth") {
      authenticate(argument, frame, emit)
    } else if name == .smtp, verb.equalsIgnoringCase("mail") || verb.equalsIgnoringCase("data") || verb.equalsIgnoringCase("bdat") {
      isOver = true  // RFC 4954 4: no AUTH in a mail transaction, and nobody sends it after one
    }
  }
  private func sent(_ method: StaticString, isCleartext: Bool = true, _ frame: UInt64, _ emit: MessageReceiver) {
    expecting = .command
    login.sent(method, isCleartext: isCleartext)
    emitLogin(.sent, frame, emit)
  }
  /// "PLAIN", "PLAIN <initial response>", "LOGIN", "CRAM-MD5", "TLS", ...
  private func authenticate(_ argument: Bytes, _ frame: UInt64, _ emit: MessageReceiver) {
    let end = argument.index(of: 0x20) ?? argument.count
    let (mechanism, initial) = (argument.upTo(end), argument.from(end + 1).trimmed)
    if mechanism.equalsIgnoringCase("plain") {
      expecting = .plain
      if initial.count > 0 { exchange(initial, frame, emit) }
    } else if mechanism.equalsIgnoringCase("login") {
      expecting = .loginUser
      if initial.count > 0 { exchange(initial, frame, emit) }
    } else if mechanism.startsIgnoringCase("cram-") || mechanism.equalsIgnoringCase("digest-md5") {
      expecting = .challenge
    }
  }
  /// A line inside an authentication.
  private func exchange(_ line: Bytes, _ frame: UInt64, _ emit: MessageReceiver) {
    if line.equals("*") {
      expecting = .command
      return
    }
    switch expecting {
    case .plain:
      setPlainUser(line)
      sent("plain", frame, emit)
    case .loginUser:
      if let user = Base64.decode(line) { user.withUnsafeBytes { login.setUser($0) } }
      expecting = .loginSecret
    case .loginSecret: sent("login", frame, emit)
    case .challenge:
      if let text = Base64.decode(line) { text.withUnsafeBytes { login.setUser($0.upTo($0.index(of: 0x20) ?? 0)) } }
      sent("cram", isCleartext: false, frame, emit)
    case .command: break
    }
  }
  /// RFC 4616: authorisation identity, NUL, user, NUL, password.
  private func setPlainUser(_ line: Bytes) {
    guard let text = Base64.decode(line) else { return }
    text.withUnsafeBytes { bytes in
      guard let first = bytes.index(of: 0), let second = bytes.index(of: 0, from: first + 1) else { return }
      login.setUser(bytes.slice(first + 1, second))
    }
  }

  private func imap(_ line: Bytes, _ frame: UInt64, _ emit: MessageReceiver) {
    guard let space = line.index(of: 0x20) else { return }
    let rest = line.from(space + 1).trimmed
    let end = rest.index(of: 0x20) ?? rest.count
    let (verb, argument) = (rest.upTo(end), rest.from(end + 1).trimmed)
    if verb.equalsIgnoringCase("login") {
      tag = Array(line.upTo(min(space, 32)))
      login.setUser(CommandParser.firstWord(argument))
      sent("login", frame, emit)
    } else if verb.equalsIgnoringCase("authenticate") {
      tag = Array(line.upTo(min(space, 32)))
      authenticate(argument, frame, emit)
    } else if verb.equalsIgnoringCase("select") || verb.equalsIgnoringCase("examine") {
      isOver = true
    }
  }
  /// An atom or a quoted string.
  private static func firstWord(_ text: Bytes) -> Bytes {
    if text.starts(with: "\"") { return text.slice(1, text.index(of: 0x22, from: 1) ?? text.count) }
    return text.upTo(text.index(of: 0x20) ?? text.count)
  }

  // MARK: Server

  private static let accepting: [StaticString] = ["230", "235", "+OK"]
  private static let refusing: [StaticString] = ["530", "430", "534", "535", "538", "454", "432", "500", "501", "503", "504", "-ERR"]

  private func answer(_ line: Bytes, _ frame: UInt64, _ emit: MessageReceiver) {
    guard login.isOpen, let isAccepted = verdict(line) else {
      // A refused mechanism ends the exchange.
      if expecting != .command, name == .smtp, line.starts(with: "5") { expecting = .command }
      return
    }
    login.answered()
    emitLogin(isAccepted ? .accepted : .refused, frame, emit)
    isOver = isAccepted
  }
  /// Whether the line says that the login succeeded; nil where it says neither.
  private func verdict(_ line: Bytes) -> Bool? {
    if name == .imap {
      guard !tag.isEmpty, line.count > tag.count, line.upTo(tag.count).elementsEqual(tag) else { return nil }
      let word = line.from(tag.count).trimmed
      return word.startsIgnoringCase("ok") ? true : word.startsIgnoringCase("no") || word.startsIgnoringCase("bad") ? false : nil
    }
    // Together: what speaks is not always told by what was seen first. RFC 959 5.4, RFC 1939 3, RFC 4954 6.
    if CommandParser.accepting.contains(where: { line.starts(with: $0) }) { return true }
    return CommandParser.refusing.contains(where: { line.starts(with: $0) }) ? false : nil
  }

  // MARK: Recognition

  /// The protocol that a first line speaks, and whether it is the client's. nil: more bytes would tell. `.some(nil)`: none of these.
  static func recognise(_ bytes: Bytes) -> (ApplicationProtocol, isClient: Bool)?? {
    guard let end = bytes.index(of: 0x0a) else {
      guard bytes.count < 512, isText(bytes) else { return .some(nil) }
      return mayStart(bytes) ? nil : .some(nil)
    }
    let line = bytes.upTo(end).trimmed
    guard isText(line) else { return .some(nil) }
    if line.starts(with: "220") { return .some(greeting(line)) }
    if line.starts(with: "+OK") { return .some((.pop3, false)) }
    if line.starts(with: "* OK") || line.starts(with: "* PREAUTH") { return .some((.imap, false)) }
    let verb = line.upTo(line.index(of: 0x20) ?? line.count)
    if verb.equalsIgnoringCase("ehlo") || verb.equalsIgnoringCase("helo") { return .some((.smtp, true)) }
    if verb.equalsIgnoringCase("capa") || verb.equalsIgnoringCase("apop") { return .some((.pop3, true)) }
    if verb.equalsIgnoringCase("user") || line.startsIgnoringCase("auth tls") { return .some((.ftp, true)) }
    let rest = line.from(verb.count).trimmed
    return .some(verb.count <= 16 && imapVerbs.contains(where: { rest.startsIgnoringCase($0) }) ? (.imap, true) : nil)
  }
  /// "220 host ESMTP ...", "220 (vsFTPd 3.0.5)", "220-FileZilla Server": what says neither is FTP, whose greeting is free (RFC 959 5.4),
  /// while SMTP's begins with the host's name (RFC 5321 4.2).
  private static func greeting(_ line: Bytes) -> (ApplicationProtocol, isClient: Bool)? {
    guard line.count == 3 || line[3] == 0x20 || line[3] == 0x2d else { return nil }
    return line.withLowercase { lower in
      if lower.contains("ftp") { return (.ftp, false) }
      return lower.contains("smtp") || lower.contains("mail") || lower.contains("postfix") || lower.contains("exim") ? (.smtp, false) : (.ftp, false)
    }
  }
  private static func isText(_ bytes: Bytes) -> Bool { bytes.allSatisfy { $0 >= 0x20 || $0 == 0x09 || $0 == 0x0d } }
  private static let starts: [StaticString] = ["220", "+ok", "* ok", "* preauth", "ehlo", "helo", "capa", "apop", "user", "auth tls"]
  private static let imapVerbs: [StaticString] = ["capability", "login ", "authenticate "]
  /// Whether a first line of these protocols may begin so.
  private static func mayStart(_ bytes: Bytes) -> Bool {
    if starts.contains(where: { agrees(bytes, $0) }) { return true }
    guard let space = bytes.index(of: 0x20) else { return bytes.count <= 16 }
    return space <= 16 && imapVerbs.contains { agrees(bytes.from(space + 1), $0) }
  }
  /// As far as both go.
  private static func agrees(_ bytes: Bytes, _ start: StaticString) -> Bool {
    let shown = min(bytes.count, start.utf8CodeUnitCount)
    for i in 0..<shown where (bytes[i] >= 0x41 && bytes[i] <= 0x5a ? bytes[i] | 0x20 : bytes[i]) != start.utf8Start[i] { return false }
    return true
  }
}
