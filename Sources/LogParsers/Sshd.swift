// Messages of OpenSSH's sshd (programs sshd, sshd-session, sshd-auth), versions 6 to 10.
// The forms are those of its source: auth.c, auth2.c, auth2-pubkey.c, packet.c, kex.c, sshd.c, sshd-session.c, srclimit.c, monitor.c.
//
// User names, key ids, version strings, disconnect texts and algorithm lists are the peer's own words and may look like any other
// part of a message. So: where the peer's words stand in the middle, the address is read from the end of the line; where they stand
// at the end, from the beginning; where they stand on both sides, every reading is tried, and if more than one holds, the event is
// marked ambiguous and no address is set. sshd cuts a message at 1,023 bytes and escapes control characters (vis, octal), so a line
// that long may have lost its true end: then nothing is read from the end.
import Events
import Primitives

extension ServiceParser {
  public static let sshd = ServiceParser(name: "sshd", programs: ["sshd", "sshd-session", "sshd-auth"], parse: Sshd.parse)
}

enum Sshd {
  /// Where a message's user and address stand.
  enum Shape: UInt8 {
    /// "<method> for [invalid user ]<user> from <peer> ssh2[: <key>]"
    case result
    /// "[invalid user ]<user> from <peer>[ ssh2]" at the end.
    case userFromPeer
    /// "<user> from <peer>", where the words before said that the user is not known.
    case invalidUser
    /// "[invalid user |authenticating user |user ]<user> <peer>" at the end, as sshpkt_fatal writes it.
    case identity
    /// The same, followed by ": <reason>".
    case identityReason
    /// "Connection from": new connection, or an identity with a reason.
    case connectionFrom
    /// "<peer><anything>"
    case peerFirst
    /// "<anything> <peer>[.]"
    case peerLast
    /// "<user>[ from <host>] not allowed because <reason>"
    case notAllowed
    /// "<user>"
    case userRest
    /// "<user> has expired"
    case accountExpired
    /// "<user> by PAM account configuration"
    case userByPAM
    /// "<reason> for [illegal user |invalid user ]<user> from <host>"
    case pamError
    /// "#<n> from [<peer>]:<port> on [..]:.. <reason>"
    case dropped
    /// "<anything> [<address>] failed ..." or "<address> maps to ..."
    case reverseMapping
    /// "user <user> from <peer> id <n>"
    case sessionOf
    /// "... for <user> from <peer> id <n>"
    case sessionFor
    /// "<address> port <n>."
    case listening
    /// Key type and fingerprint somewhere, no peer.
    case key
    /// "public key <fp> signature for <user> from <peer> rejected: <reason>"
    case keySignature
    /// "srclimit_penalise: ..."
    case penalty
    /// Nothing but the text.
    case text
  }

  enum Category: UInt8 { case authentication, session, network, configuration }
  enum Outcome: UInt8 { case none, success, failure, unknown }

  struct Row {
    var prefix: StaticString
    var action: StaticString
    var category: Category
    var outcome: Outcome
    var shape: Shape
    /// The prefix's first eight bytes, and which of them it has.
    var head: UInt64
    var mask: UInt64
    init(_ prefix: StaticString, _ action: StaticString, _ category: Category, _ outcome: Outcome, _ shape: Shape) {
      self.prefix = prefix
      self.action = action
      self.category = category
      self.outcome = outcome
      self.shape = shape
      head = 0
      for i in 0..<min(8, prefix.utf8CodeUnitCount) { head |= UInt64(prefix.utf8Start[i]) << UInt64(8 * i) }
      mask = prefix.utf8CodeUnitCount >= 8 ? ~0 : (1 << UInt64(8 * prefix.utf8CodeUnitCount)) - 1
    }
  }

  /// All messages by their first words. Within one first letter the first match wins, so longer prefixes stand before shorter ones.
  private static let rows: [Row] = [
    Row("Account ", "ssh-user-not-allowed", .authentication, .failure, .accountExpired),
    Row("Accepted certificate ID ", "ssh-key-accepted", .authentication, .success, .text),
    Row("Accepted key ", "ssh-key-accepted", .authentication, .success, .key),
    Row("Accepted ", "ssh-login", .authentication, .success, .result),
    Row("Access denied for user ", "ssh-user-not-allowed", .authentication, .failure, .userByPAM),
    Row("Address ", "ssh-break-in-attempt", .network, .unknown, .reverseMapping),
    Row("Authentication key ", "ssh-key-rejected", .authentication, .failure, .key),
    Row("Authentication refused", "ssh-key-rejected", .authentication, .failure, .text),
    Row("AuthorizedKeysCommand ", "ssh-config-error", .configuration, .failure, .text),
    Row("Bad packet length", "ssh-protocol-error", .network, .failure, .text),
    Row("Bad protocol version identification ", "ssh-protocol-error", .network, .failure, .peerLast),
    Row("Bad remote protocol version identification", "ssh-protocol-error", .network, .failure, .text),
    Row("Bind to port ", "ssh-config-error", .configuration, .failure, .text),
    Row("banner exchange: Connection from ", "ssh-protocol-error", .network, .failure, .peerFirst),
    Row("banner exchange: ", "ssh-protocol-error", .network, .failure, .text),
    Row("banner line contains invalid characters", "ssh-protocol-error", .network, .failure, .text),
    Row("beginning MaxStartups throttling", "ssh-connection-dropped", .network, .failure, .text),
    Row("buffer_get_", "ssh-protocol-error", .network, .failure, .text),
    Row("Certificate ", "ssh-key-rejected", .authentication, .failure, .text),
    Row("Close session: user ", "ssh-session", .session, .none, .sessionOf),
    Row("Closing connection to ", "ssh-disconnect", .session, .none, .peerFirst),
    Row("Connection closed by ", "ssh-disconnect", .session, .none, .identity),
    Row("Connection from ", "ssh-connection", .network, .none, .connectionFrom),
    Row("Connection refused by tcp wrapper", "ssh-connection-dropped", .network, .failure, .text),
    Row("Connection reset by peer", "ssh-disconnect", .session, .none, .text),
    Row("Connection reset by ", "ssh-disconnect", .session, .none, .identity),
    Row("Corrupted ", "ssh-protocol-error", .network, .failure, .text),
    Row("Could not load host ", "ssh-config-error", .configuration, .failure, .text),
    Row("Could not write ident string to ", "ssh-protocol-error", .network, .failure, .peerFirst),
    Row("connect_to ", "ssh-forwarding", .network, .failure, .text),
    Row("connect to ", "ssh-forwarding", .network, .failure, .text),
    Row("Did not receive identification string from ", "ssh-protocol-error", .network, .failure, .peerFirst),
    Row("Disconnected from ", "ssh-disconnect", .session, .none, .identity),
    Row("Disconnecting: ", "ssh-disconnect", .session, .none, .text),
    Row("Disconnecting ", "ssh-disconnect", .session, .none, .identityReason),
    Row("dispatch_protocol_error: ", "ssh-protocol-error", .network, .failure, .text),
    Row("drop connection ", "ssh-connection-dropped", .network, .failure, .dropped),
    Row("exited MaxStartups throttling", "ssh-connection-dropped", .network, .none, .text),
    Row("expired certificate", "ssh-key-rejected", .authentication, .failure, .text),
    Row("Failed ", "ssh-login", .authentication, .failure, .result),
    Row("Illegal user ", "ssh-invalid-user", .authentication, .failure, .invalidUser),
    Row("Invalid user ", "ssh-invalid-user", .authentication, .failure, .invalidUser),
    Row("Invalid key length", "ssh-key-rejected", .authentication, .failure, .text),
    Row("in MaxStartups throttling", "ssh-connection-dropped", .network, .none, .text),
    Row("input_userauth_request: invalid user ", "ssh-invalid-user", .authentication, .failure, .userRest),
    Row("input_userauth_request: illegal user ", "ssh-invalid-user", .authentication, .failure, .userRest),
    Row("kex_exchange_identification: ", "ssh-protocol-error", .network, .failure, .text),
    Row("kex_input_kexinit: ", "ssh-protocol-error", .network, .failure, .text),
    Row("kex protocol error: ", "ssh-protocol-error", .network, .failure, .text),
    Row("kex_protocol_error: ", "ssh-protocol-error", .network, .failure, .text),
    Row("key_verify: ", "ssh-key-rejected", .authentication, .failure, .text),
    Row("key_read: ", "ssh-key-rejected", .authentication, .failure, .text),
    Row("maximum authentication attempts exceeded for ", "ssh-max-attempts", .authentication, .failure, .userFromPeer),
    Row("message authentication code incorrect", "ssh-protocol-error", .network, .failure, .text),
    Row("monitor_read: unpermitted request", "ssh-protocol-error", .network, .failure, .text),
    Row("Missing privilege separation directory", "ssh-config-error", .configuration, .failure, .text),
    Row("Nasty PTR record ", "ssh-break-in-attempt", .network, .unknown, .text),
    Row("no matching ", "ssh-negotiation-failure", .network, .failure, .text),
    Row("no hostkey alg", "ssh-negotiation-failure", .network, .failure, .text),
    Row("no kex alg", "ssh-negotiation-failure", .network, .failure, .text),
    Row("no hostkeys available", "ssh-config-error", .configuration, .failure, .text),
    Row("PAM: ", "ssh-login", .authentication, .failure, .pamError),
    Row("Packet corrupt", "ssh-protocol-error", .network, .failure, .text),
    Row("Partial ", "ssh-partial", .authentication, .unknown, .result),
    Row("Postponed ", "ssh-postponed", .authentication, .unknown, .result),
    Row("Protocol major versions differ: ", "ssh-protocol-error", .network, .failure, .text),
    Row("Protocol major versions differ for ", "ssh-protocol-error", .network, .failure, .peerFirst),
    Row("Protocol error", "ssh-protocol-error", .network, .failure, .text),
    Row("padding error: ", "ssh-protocol-error", .network, .failure, .text),
    Row("preauth child ", "ssh-protocol-error", .network, .failure, .text),
    Row("probed from ", "ssh-protocol-error", .network, .failure, .peerFirst),
    Row("protocol error: ", "ssh-protocol-error", .network, .failure, .text),
    Row("public key ", "ssh-key-rejected", .authentication, .failure, .keySignature),
    Row("ROOT LOGIN REFUSED FROM ", "ssh-user-not-allowed", .authentication, .failure, .peerFirst),
    Row("Read error from remote host ", "ssh-disconnect", .session, .none, .peerFirst),
    Row("Read from socket failed: ", "ssh-preauth-close", .network, .none, .text),
    Row("Received disconnect from ", "ssh-disconnect", .session, .none, .peerFirst),
    Row("Received request from ", "ssh-forwarding", .network, .unknown, .peerFirst),
    Row("Received request to connect to host ", "ssh-forwarding", .network, .failure, .text),
    Row("refused connect from ", "ssh-connection-dropped", .network, .failure, .peerLast),
    Row("refused local port forward: ", "ssh-forwarding", .network, .failure, .text),
    Row("refused streamlocal port forward: ", "ssh-forwarding", .network, .failure, .text),
    Row("refusing previously-used ", "ssh-key-rejected", .authentication, .failure, .text),
    Row("reverse mapping checking ", "ssh-break-in-attempt", .network, .unknown, .reverseMapping),
    Row("revoked certificate", "ssh-key-rejected", .authentication, .failure, .text),
    Row("Server listening on ", "ssh-listening", .configuration, .success, .listening),
    Row("Starting session: ", "ssh-session", .session, .success, .sessionFor),
    Row("scanned from ", "ssh-protocol-error", .network, .failure, .peerFirst),
    Row("srclimit_penalise: ", "ssh-connection-dropped", .network, .failure, .penalty),
    Row("ssh_dispatch_run_fatal: Connection from ", "ssh-protocol-error", .network, .failure, .identityReason),
    Row("ssh_dispatch_run_fatal: ", "ssh-protocol-error", .network, .failure, .text),
    Row("ssh_packet_", "ssh-protocol-error", .network, .failure, .text),
    Row("ssh_ecdsa_verify: ", "ssh-key-rejected", .authentication, .failure, .text),
    Row("ssh_rsa_verify: ", "ssh-key-rejected", .authentication, .failure, .text),
    Row("sshpkt_", "ssh-protocol-error", .network, .failure, .text),
    Row("subsystem request for ", "ssh-session", .session, .unknown, .text),
    Row("Timeout before authentication for connection from ", "ssh-timeout", .network, .failure, .peerFirst),
    Row("Timeout before authentication for ", "ssh-timeout", .network, .failure, .peerFirst),
    Row("Timeout before authentication", "ssh-timeout", .network, .failure, .text),
    Row("Timeout, client not responding from ", "ssh-timeout", .session, .none, .identity),
    Row("Too many authentication failures for ", "ssh-max-attempts", .authentication, .failure, .userRest),
    Row("terminating inactive connection from ", "ssh-disconnect", .session, .none, .identity),
    Row("Unable to negotiate with ", "ssh-negotiation-failure", .network, .failure, .peerFirst),
    Row("Unable to load host ", "ssh-config-error", .configuration, .failure, .text),
    Row("Unsupported option ", "ssh-config-error", .configuration, .failure, .text),
    Row("User child is on pid ", "ssh-session", .session, .success, .text),
    Row("User ", "ssh-user-not-allowed", .authentication, .failure, .notAllowed),
    Row("unexpected ", "ssh-protocol-error", .network, .failure, .text),
    Row("userauth_pubkey: ", "ssh-key-rejected", .authentication, .failure, .text),
    Row("userauth_hostbased", "ssh-key-rejected", .authentication, .failure, .text),
    Row("WARNING: revoked key for ", "ssh-key-rejected", .authentication, .failure, .text),
    Row("Write failed: ", "ssh-disconnect", .session, .none, .text),
    Row("key type ", "ssh-key-rejected", .authentication, .failure, .text),
    Row("signature algorithm ", "ssh-key-rejected", .authentication, .failure, .text),
  ]

  /// `rows` sorted by first byte (stable), and for each first byte where its rows begin. Made once, never freed, so that a look-up
  /// is two loads and touches no reference count.
  private struct Index: @unchecked Sendable {
    let rows: UnsafePointer<Row>
    let starts: UnsafePointer<UInt16>
    init(_ source: [Row]) {
      let rows = UnsafeMutablePointer<Row>.allocate(capacity: source.count)
      let starts = UnsafeMutablePointer<UInt16>.allocate(capacity: 257)
      var n = 0
      for byte in 0..<256 {
        starts[byte] = UInt16(n)
        for row in source where Int(row.prefix.utf8Start[0]) == byte {
          (rows + n).initialize(to: row)
          n += 1
        }
      }
      starts[256] = UInt16(n)
      self.rows = UnsafePointer(rows)
      self.starts = UnsafePointer(starts)
    }
  }
  private static let index = Index(rows)

  // MARK: Entry

  @Sendable
  static func parse(_ whole: Bytes, _ event: inout Event) -> Bool {
    var text = whole
    if text.starts(with: "error: ") { text = text.from(7) } else if text.starts(with: "fatal: ") { text = text.from(7) }
    if text.starts(with: "warning: ") { text = text.from(9) }
    let isPreauth = text.ends(with: " [preauth]")
    if isPreauth { text = text.upTo(text.count - 10) }
    guard text.count > 0 else { return false }
    // The end of a message this long may be missing: sshd's own buffer, or rsyslog's for a repeated one.
    // Some syslog daemons cut at 1 KiB with their header, which takes up to about 120 bytes of it.
    let isCut = whole.count >= (event.repeatCount > 1 ? 790 : 900)
    let index = Sshd.index
    var at = Int(index.starts[Int(text[0])])
    let end = Int(index.starts[Int(text[0]) + 1])
    var head: UInt64 = 0
    if text.count >= 8 {
      head = UInt64(littleEndian: text.loadUnaligned(as: UInt64.self))
    } else {
      for i in 0..<text.count { head |= UInt64(text[i]) << UInt64(8 * i) }
    }
    while at < end {
      if head & index.rows[at].mask == index.rows[at].head, text.starts(with: index.rows[at].prefix) {
        let row = index.rows[at]
        let rest = text.from(row.prefix.utf8CodeUnitCount)
        guard read(row, rest, text: text, isPreauth: isPreauth, isCut: isCut, &event) else { return false }
        finish(row, &event)
        return true
      }
      at += 1
    }
    return parseLocated(text, &event)
  }

  @inline(__always)
  private static func finish(_ row: Row, _ event: inout Event) {
    if !event.has(.eventAction) { event.set(.eventAction, row.action) }
    event.set(.eventProvider, "sshd")
    event.set(.eventDataset, "sshd")
    switch row.category {
    case .authentication: event.set(.eventCategory, "authentication")
    case .session: event.set(.eventCategory, "session")
    case .network: event.set(.eventCategory, "network")
    case .configuration: event.set(.eventCategory, "configuration")
    }
    switch row.outcome {
    case .none: break
    case .success: event.set(.eventOutcome, "success")
    case .failure: event.set(.eventOutcome, "failure")
    case .unknown: event.set(.eventOutcome, "unknown")
    }
  }

  private static func read(
    _ row: Row, _ rest: Bytes, text: Bytes, isPreauth: Bool, isCut: Bool, _ event: inout Event
  ) -> Bool {
    switch row.shape {
    case .result: return result(rest, isCut: isCut, &event)
    case .userFromPeer: return userFromPeer(rest, isCut: isCut, &event)
    case .invalidUser: return userFromPeer(rest, isCut: isCut, isNameOnly: true, &event)
    case .identity: return identity(rest, isPreauth: isPreauth, isCut: isCut, verb: text, &event)
    case .identityReason: return identityReason(rest, isCut: isCut, &event)
    case .connectionFrom: return connectionFrom(rest, isPreauth: isPreauth, isCut: isCut, &event)
    case .peerFirst: return peerFirst(rest, text: text, &event)
    case .peerLast: return peerLast(rest, isCut: isCut, &event)
    case .notAllowed: return notAllowed(rest, &event)
    case .userRest:
      event.set(.userName, rest)
      return true
    case .accountExpired:
      guard rest.ends(with: " has expired") else { return false }
      event.set(.userName, rest.upTo(rest.count - 12))
      event.set(.eventReason, "account-expired")
      return true
    case .userByPAM:
      guard let end = rest.lastIndex(of: " by PAM account configuration") else { return false }
      event.set(.userName, rest.upTo(end))
      event.set(.eventReason, "pam-account")
      return true
    case .pamError: return pamError(rest, isCut: isCut, &event)
    case .dropped: return dropped(rest, &event)
    case .reverseMapping: return reverseMapping(rest, text: text, &event)
    case .sessionOf, .sessionFor: return session(row.shape, rest, isCut: isCut, &event)
    case .listening:
      guard let port = rest.lastIndex(of: " port ") else { return false }
      event.set(.destinationIP, parsing: rest.upTo(port))
      var cursor = ByteCursor(rest, at: port + 6)
      if let value = cursor.takeDecimal(maxDigits: 5) { event.set(.destinationPort, value) }
      return true
    case .key:
      event.set(.eventReason, text)
      keyInfo(rest, &event)
      return true
    case .keySignature:
      guard let end = rest.lastIndex(of: " rejected: "), let mark = rest.index(of: " signature for ") else { return false }
      event.set(.eventReason, rest.from(end + 11))
      keyInfo(rest.upTo(mark), &event)
      return userFromPeer(rest.slice(mark + 15, end), isCut: isCut, &event)
    case .penalty: return penalty(rest, &event)
    case .text:
      event.set(.eventReason, text)
      return true
    }
  }

  /// Messages that begin with a place: "/home/u/.ssh/authorized_keys:3: Authentication tried for u with correct key but not from a
  /// permitted host (host=h, ip=192.0.2.1, required=...)", and "/etc/ssh/sshd_config line 3: ...".
  private static func parseLocated(_ text: Bytes, _ event: inout Event) -> Bool {
    if let mark = text.index(of: "Authentication tried for ") {
      let rest = text.from(mark + 25)
      event.set(.eventReason, rest)
      if let end = rest.index(of: " with correct key but not from a permitted host (host="),
        let address = rest.index(of: ", ip=", from: end), let close = endOfAddress(rest, from: address + 5)
      {
        event.set(.userName, rest.upTo(end))
        if let ip = IPAddress(rest.slice(address + 5, close)) { event.set(.sourceIP, ip) }
      } else if let end = rest.index(of: " with valid certificate but not from a permitted source address ("),
        let close = rest.index(of: 0x29, from: end)
      {
        event.set(.userName, rest.upTo(end))
        if let open = rest.index(of: 0x28, from: end), let ip = IPAddress(rest.slice(open + 1, close)) { event.set(.sourceIP, ip) }
      }
      finish(Row("", "ssh-key-rejected", .authentication, .failure, .text), &event)
      return true
    }
    if text.starts(with: "cert: ") {
      event.set(.eventReason, text)
      finish(Row("", "ssh-key-rejected", .authentication, .failure, .text), &event)
      return true
    }
    if text[0] == 0x2f, let mark = text.index(of: " line "), mark < 256, text.upTo(mark).index(of: "sshd_config") != nil {
      event.set(.eventReason, text.from(mark + 1))
      finish(Row("", "ssh-config-error", .configuration, .failure, .text), &event)
      return true
    }
    return false
  }

  /// Where the address at `start` ends: at the comma of newer versions, or at the bracket of those before 8.
  private static func endOfAddress(_ text: Bytes, from start: Int) -> Int? {
    var at = start
    while at < text.count, text[at] != 0x2c, text[at] != 0x29 { at += 1 }
    return at < text.count ? at : nil
  }

  // MARK: Shapes

  /// Sets `user.name` from "[invalid user ]<user>".
  @inline(__always)
  private static func user(_ text: Bytes, _ event: inout Event) {
    if text.starts(with: "invalid user ") {
      event.set(.userName, text.from(13))
      if !event.has(.eventReason) { event.set(.eventReason, "invalid-user") }
    } else if text.starts(with: "illegal user ") {
      event.set(.userName, text.from(13))
      if !event.has(.eventReason) { event.set(.eventReason, "invalid-user") }
    } else {
      event.set(.userName, text)
    }
  }

  /// Without a final " ssh2" or the older " ssh1", " ssh".
  @inline(__always)
  private static func withoutProtocol(_ text: Bytes) -> Bytes {
    if text.ends(with: " ssh2") || text.ends(with: " ssh1") { return text.upTo(text.count - 5) }
    return text.ends(with: " ssh") ? text.upTo(text.count - 4) : text
  }

  private static func userFromPeer(_ rest: Bytes, isCut: Bool, isNameOnly: Bool = false, _ event: inout Event) -> Bool {
    let body = isNameOnly ? rest : withoutProtocol(rest)
    guard !isCut, let peer = PeerText.trailing(body), peer.start >= 6, body.slice(peer.start - 6, peer.start).equals(" from ") else {
      // The user's name is known, the rest is not as it should be.
      event.markAmbiguous()
      return true
    }
    peer.put(into: &event)
    let name = body.upTo(peer.start - 6)
    if isNameOnly { event.set(.userName, name) } else { user(name, &event) }
    return true
  }

  private static func result(_ rest: Bytes, isCut: Bool, _ event: inout Event) -> Bool {
    // "<method>[/<submethod>] for ": the method is one word of ours.
    guard let space = rest.index(of: 0x20), space > 0, space <= 64, rest.from(space).starts(with: " for ") else { return false }
    let method = rest.upTo(space)
    event.set(.authenticationMethod, method.upTo(method.index(of: 0x2f) ?? space))
    let body = rest.from(space + 5)
    if isCut {
      event.markAmbiguous()
      return true
    }
    // The quick way: nothing but the peer behind the user, which is all that password and keyboard-interactive ever write.
    let endsPlain = body.ends(with: " ssh2")
    if endsPlain,
      method.equals("password") || method.starts(with: "keyboard-interactive") || method.equals("none")
        || body.index(of: " ssh2: ") == nil
    {
      return userFromPeer(body, isCut: false, &event)
    }
    if body.ends(with: " ssh") || body.ends(with: " ssh1") { return userFromPeer(body, isCut: false, &event) }
    // Every place where "from <peer> ssh2" could end, with what would then be said about the key. A public key's words are strict, so
    // that most forgeries drop out; what other methods add is free text, and then every place counts.
    let isStrict = method.equals("publickey")
    var readings = 0
    var loose = 0
    var chosen = (user: Bytes.none, peer: PeerText?.none, key: Bytes.none)
    var lastLoose = chosen
    if endsPlain, let reading = resultReading(body.upTo(body.count - 5)) {
      readings += 1
      chosen = (reading.user, reading.peer, .none)
    }
    var from = 0
    while let mark = body.index(of: " ssh2: ", from: from) {
      from = mark + 1
      guard let reading = resultReading(body.upTo(mark)) else { continue }
      let key = body.from(mark + 7)
      loose += 1
      lastLoose = (reading.user, reading.peer, key)
      guard !isStrict || isKeyInfo(key) else { continue }
      readings += 1
      chosen = lastLoose
    }
    if readings == 0, loose == 1 {
      readings = 1
      chosen = lastLoose
    }
    guard readings == 1, let peer = chosen.peer else {
      event.markAmbiguous()
      return true
    }
    peer.put(into: &event)
    user(chosen.user, &event)
    if chosen.key.count > 0 { keyInfo(chosen.key, &event) }
    return true
  }

  private static func resultReading(_ text: Bytes) -> (user: Bytes, peer: PeerText?)? {
    guard let peer = PeerText.trailing(text), peer.port >= 0, peer.start >= 6, text.slice(peer.start - 6, peer.start).equals(" from ")
    else { return nil }
    return (text.upTo(peer.start - 6), peer)
  }

  /// Whether `text` is, as a whole, what sshd writes about a key: "RSA SHA256:...", "RSA 00:11:..", or
  /// "RSA-CERT [SHA256:... ]ID <anything> (serial n) CA RSA SHA256:...".
  private static func isKeyInfo(_ text: Bytes) -> Bool {
    guard let space = text.index(of: 0x20), isKeyType(text.upTo(space)) else { return false }
    let rest = text.from(space + 1)
    if isFingerprint(rest) { return true }
    guard text.upTo(space).ends(with: "-CERT"), rest.starts(with: "ID ") || rest.index(of: " ID ") != nil,
      let authority = rest.lastIndex(of: ") CA ")
    else { return false }
    let tail = rest.from(authority + 5)
    guard let gap = tail.index(of: 0x20), isKeyType(tail.upTo(gap)) else { return false }
    let fingerprint = tail.from(gap + 1)
    return isFingerprint(fingerprint.upTo(fingerprint.index(of: 0x20) ?? fingerprint.count))
  }
  private static func isKeyType(_ text: Bytes) -> Bool {
    guard text.count >= 3, text.count <= 24 else { return false }
    for byte in text {
      switch byte {
      case 0x41...0x5a, 0x30...0x39, 0x2d: continue
      default: return false
      }
    }
    return true
  }
  private static func isFingerprint(_ text: Bytes) -> Bool {
    guard text.starts(with: "SHA256:") || text.starts(with: "MD5:") || text.starts(with: "SHA1:") || text.index(of: 0x3a) == 2 else {
      return false
    }
    return text.index(of: 0x20) == nil && text.count <= 128
  }

  /// Sets key type and fingerprint from "<type> <fingerprint>", wherever they begin the text.
  private static func keyInfo(_ text: Bytes, _ event: inout Event) {
    var cursor = ByteCursor(text)
    var previous = Bytes.none
    while !cursor.isAtEnd {
      let start = cursor.position
      let end = text.index(of: 0x20, from: start) ?? text.count
      let word = text.slice(start, end)
      if isFingerprint(word) {
        event.set(.keyFingerprint, word)
        if isKeyType(previous) { event.set(.keyType, previous) }
        return
      }
      if previous.count == 0, isKeyType(word) { event.set(.keyType, word) }
      // What follows is the id that its owner gave the certificate.
      if word.equals("ID"), isKeyType(previous) { return }
      previous = word
      cursor.position = end + 1
      if start > 128 { return }
    }
  }

  /// "[invalid user |authenticating user |user ]<user> <peer>". Decides between an end after a name was given and one before.
  private static func identity(_ rest: Bytes, isPreauth: Bool, isCut: Bool, verb: Bytes, _ event: inout Event) -> Bool {
    if verb.starts(with: "Connection reset") {
      event.set(.eventReason, "reset")
    } else if verb.starts(with: "Connection closed") {
      event.set(.eventReason, "closed")
    } else if verb.starts(with: "Timeout") {
      event.set(.eventAction, "ssh-timeout")
    }
    return identify(rest, isPreauth: isPreauth, isCut: isCut, &event)
  }

  private static func identify(_ rest: Bytes, isPreauth: Bool, isCut: Bool, _ event: inout Event) -> Bool {
    guard let named = Preamble(rest) else {
      // No name: the address is all there is.
      guard let peer = PeerText.trailing(rest), peer.start == 0 else {
        event.markAmbiguous()
        return true
      }
      peer.put(into: &event)
      // Without a name and without "[preauth]", "closed" and "reset" are also what a child writes that ended before the key
      // exchange, and what an old version writes after a login: SessionTracker tells them apart.
      if !event.has(.eventAction), isPreauth || event.has(.eventReason) { event.set(.eventAction, "ssh-preauth-close") }
      return true
    }
    if named.isInvalid { event.set(.eventReason, "invalid-user") }
    guard !isCut, let peer = PeerText.trailing(rest), peer.start >= named.length, peer.port >= 0 || peer.ip != nil else {
      event.markAmbiguous()
      return true
    }
    peer.put(into: &event)
    event.set(.userName, rest.slice(named.length, peer.start - 1))
    return true
  }
  /// The words before a user's name in a connection's identity.
  private struct Preamble {
    var length: Int
    var isInvalid: Bool
    init?(_ text: Bytes) {
      if text.starts(with: "invalid user ") {
        length = 13
        isInvalid = true
      } else if text.starts(with: "authenticating user ") {
        length = 20
        isInvalid = false
      } else if text.starts(with: "user ") {
        length = 5
        isInvalid = false
      } else {
        return nil
      }
    }
  }

  /// "<identity>: <reason>". The reason is sshd's own, but for one that repeats names: then both sides are the peer's words.
  private static func identityReason(_ rest: Bytes, isCut: Bool, _ event: inout Event) -> Bool {
    guard let named = Preamble(rest) else {
      guard let peer = PeerText.leading(rest) else {
        event.markAmbiguous()
        return true
      }
      peer.put(into: &event)
      event.set(.eventReason, rest.from(peer.end + 2))
      return true
    }
    if named.isInvalid { event.set(.eventReason, "invalid-user") }
    guard !isCut else {
      event.markAmbiguous()
      return true
    }
    var readings = 0
    var chosen: (peer: PeerText, reason: Bytes)?
    var last: (peer: PeerText, reason: Bytes)?
    var candidates = 0
    var from = named.length
    while let mark = rest.index(of: " port ", from: from) {
      from = mark + 1
      var cursor = ByteCursor(rest, at: mark + 6)
      guard cursor.takeDecimal(maxDigits: 5) != nil, cursor.skip(byte: 0x3a), cursor.skip(byte: 0x20) else { continue }
      guard let peer = PeerText.trailing(rest.upTo(cursor.position - 2)), peer.start >= named.length else { continue }
      candidates += 1
      last = (peer, cursor.rest)
      if isOwnReason(cursor.rest) {
        readings += 1
        chosen = last
      }
    }
    if readings == 0, candidates == 1 {
      readings = 1
      chosen = last
    }
    guard readings == 1, let chosen else {
      event.markAmbiguous()
      return true
    }
    chosen.peer.put(into: &event)
    event.set(.userName, rest.slice(named.length, chosen.peer.start - 1))
    event.set(.eventReason, chosen.reason)
    return true
  }

  /// Reasons that sshd gives when it ends a connection. One of them quotes the peer and therefore only its beginning is known.
  private static let ownReasons: [StaticString] = [
    "Too many authentication failures", "Packet corrupt", "Protocol error", "Invalid user", "disconnected by server request",
    "message authentication code incorrect", "Connection corrupted", "incomplete message", "Broken pipe", "Connection reset by peer",
    "Connection timed out", "invalid format", "unexpected internal error", "incorrect signature", "bignum is too large", "no such file",
    "string is too large", "Corrupted MAC on input.", "Bad packet length", "bad decrypted len", "invalid elliptic curve value",
    "Change of service not allowed", "Access denied", "Host key verification failed.", "Success", "Operation timed out",
  ]
  private static func isOwnReason(_ text: Bytes) -> Bool {
    if text.starts(with: "Change of username or service not allowed: (") { return true }
    for known in ownReasons where text.equals(known) { return true }
    // "Too many authentication failures for root" of old versions.
    return text.starts(with: "Too many authentication failures for ") && text.index(of: " port ") == nil
  }

  private static func connectionFrom(_ rest: Bytes, isPreauth: Bool, isCut: Bool, _ event: inout Event) -> Bool {
    if rest.ends(with: " timed out") {
      event.set(.eventAction, "ssh-timeout")
      event.set(.eventReason, "timed-out")
      return identify(rest.upTo(rest.count - 10), isPreauth: false, isCut: isCut, &event)
    }
    if Preamble(rest) != nil {
      event.set(.eventAction, "ssh-protocol-error")
      return identityReason(rest, isCut: isCut, &event)
    }
    guard let peer = PeerText.leading(rest) else { return false }
    peer.put(into: &event)
    let tail = rest.from(peer.end)
    if tail.starts(with: ": refusing non-sftp session") {
      event.set(.eventAction, "ssh-user-not-allowed")
      event.set(.eventReason, "non-sftp-session")
    } else if tail.starts(with: ": ") {
      event.set(.eventAction, "ssh-protocol-error")
      event.set(.eventReason, tail.from(2))
    } else if tail.starts(with: " on ") {
      let local = tail.from(4)
      if let own = PeerText.leading(local) {
        if let ip = own.ip { event.set(.destinationIP, ip) }
        if own.port >= 0 { event.set(.destinationPort, own.port) }
      }
    }
    return true
  }

  private static func peerFirst(_ rest: Bytes, text: Bytes, _ event: inout Event) -> Bool {
    var body = rest
    if body.starts(with: "connection from ") { body = body.from(16) }
    if let named = Preamble(body) {
      // After a login the identity carries the (known) user: "Unable to negotiate with user u 192.0.2.1 port 22: ...".
      guard let mark = body.index(of: " port ", from: named.length),
        let peer = PeerText.trailing(body.upTo(endOfDigits(body, from: mark + 6))), peer.start > named.length
      else {
        event.markAmbiguous()
        return true
      }
      if body.index(of: " port ", from: mark + 1) != nil {
        event.markAmbiguous()
        return true
      }
      peer.put(into: &event)
      event.set(.userName, body.slice(named.length, peer.start - 1))
      event.set(.eventReason, trimmedReason(body.from(peer.end)))
      return true
    }
    guard let peer = PeerText.leading(body) else { return false }
    peer.put(into: &event)
    if text.starts(with: "ROOT LOGIN") {
      event.set(.userName, "root")
      event.set(.eventReason, "root-login-refused")
      return true
    }
    let reason = trimmedReason(body.from(peer.end))
    if text.starts(with: "Unable to negotiate"), let offer = reason.index(of: "Their offer: ") {
      event.set(.sshClientOffer, reason.from(offer + 13))
      event.set(.eventReason, reason.upTo(max(0, offer - 2)))
      return true
    }
    if text.starts(with: "Received disconnect"), let colon = reason.index(of: 0x3a), reason.upTo(colon).decimal != nil {
      event.set(.eventReason, reason.from(colon + 1).trimmed)
      return true
    }
    if reason.count > 0 { event.set(.eventReason, reason) }
    return true
  }

  private static func endOfDigits(_ text: Bytes, from start: Int) -> Int {
    var at = start
    while at < text.count, text[at] &- 0x30 <= 9 { at += 1 }
    return at
  }
  /// Without the colon and spaces that stand between an address and what is said about it.
  private static func trimmedReason(_ text: Bytes) -> Bytes {
    var at = 0
    while at < text.count, text[at] == 0x3a || text[at] == 0x20 { at += 1 }
    return text.from(at)
  }

  private static func peerLast(_ rest: Bytes, isCut: Bool, _ event: inout Event) -> Bool {
    var body = rest
    if body.ends(with: ".") { body = body.upTo(body.count - 1) }
    if body.ends(with: ")"), let open = body.lastIndex(of: 0x28) { body = body.slice(open + 1, body.count - 1) }  // libwrap: "name (address)"
    guard !isCut, let peer = PeerText.trailing(body) else {
      event.markAmbiguous()
      return true
    }
    peer.put(into: &event)
    if peer.start > 6 { event.set(.eventReason, body.upTo(max(0, peer.start - 6))) }
    return true
  }

  /// The user is an account of this host here, and the host name one that DNS confirmed; neither has spaces in practice.
  private static func notAllowed(_ rest: Bytes, _ event: inout Event) -> Bool {
    guard let mark = rest.index(of: " not allowed because ") else {
      guard let end = rest.index(of: " password has expired") else { return false }
      event.set(.userName, rest.upTo(end))
      event.set(.eventReason, "password-expired")
      return true
    }
    guard rest.index(of: " not allowed because ", from: mark + 1) == nil else {
      event.markAmbiguous()
      return true
    }
    event.set(.eventReason, rest.from(mark + 21))
    let who = rest.upTo(mark)
    if let from = who.lastIndex(of: " from "), let peer = PeerText.trailing(who.from(from + 6)), peer.start == 0 {
      peer.put(into: &event)
      event.set(.userName, who.upTo(from))
    } else {
      event.set(.userName, who)
    }
    return true
  }

  private static func pamError(_ rest: Bytes, isCut: Bool, _ event: inout Event) -> Bool {
    guard let mark = rest.index(of: " for "), !isCut, let from = rest.lastIndex(of: " from "), from >= mark,
      let peer = PeerText.make(rest, from + 6, rest.count, port: -1, end: rest.count)
    else { return false }
    let named = from >= mark + 5 ? rest.slice(mark + 5, from) : .none
    event.set(.eventReason, rest.upTo(mark))
    event.set(.authenticationMethod, "keyboard-interactive")
    peer.put(into: &event)
    user(named, &event)
    return true
  }

  private static func dropped(_ rest: Bytes, _ event: inout Event) -> Bool {
    guard let mark = rest.index(of: " from [") else {
      event.set(.eventReason, rest)
      return true
    }
    guard let peer = PeerText.bracketed(rest.from(mark + 6)) else { return false }
    peer.put(into: &event)
    let tail = rest.from(mark + 6 + peer.end)
    if tail.starts(with: " on "), let own = PeerText.bracketed(tail.from(4)) {
      if let ip = own.ip { event.set(.destinationIP, ip) }
      if own.port >= 0 { event.set(.destinationPort, own.port) }
      event.set(.eventReason, tail.from(4 + own.end).trimmed)
    }
    return true
  }

  private static func reverseMapping(_ rest: Bytes, text: Bytes, _ event: inout Event) -> Bool {
    if text.starts(with: "Address ") {
      guard rest.index(of: " maps to ") != nil, let peer = PeerText.leading(rest), peer.ip != nil else { return false }
      peer.put(into: &event)
    } else {
      // "reverse mapping checking getaddrinfo for <name> [192.0.2.1] failed ...": the name is DNS's, without brackets.
      guard let close = rest.lastIndex(of: "] failed"), let open = rest.lastIndex(of: 0x5b, before: close),
        let ip = IPAddress(rest.slice(open + 1, close))
      else { return false }
      event.set(.sourceIP, ip)
    }
    event.set(.eventReason, text)
    return true
  }

  /// "shell on pts/0 for u from 192.0.2.1 port 22 id 0", "user u from 192.0.2.1 port 22 id 0".
  private static func session(_ shape: Shape, _ rest: Bytes, isCut: Bool, _ event: inout Event) -> Bool {
    guard !isCut, let id = rest.lastIndex(of: " id "), let peer = PeerText.trailing(rest.upTo(id)), peer.start >= 6,
      rest.slice(peer.start - 6, peer.start).equals(" from ")
    else { return false }
    peer.put(into: &event)
    let who = rest.upTo(peer.start - 6)
    if shape == .sessionOf {
      event.set(.userName, who)
    } else if let mark = who.lastIndex(of: " for ") {
      event.set(.userName, who.from(mark + 5))
      event.set(.eventReason, who.upTo(mark))
    }
    return true
  }

  /// "ipv4: new 192.0.2.1/32 active penalty of 10.000 seconds for penalty: ..." and "192.0.2.1/32: activating ipv4 penalty ...".
  private static func penalty(_ rest: Bytes, _ event: inout Event) -> Bool {
    var body = rest
    if let mark = rest.index(of: ": new "), mark <= 5 {
      body = rest.from(mark + 6)
    } else if let mark = rest.index(of: ": existing "), mark <= 5 {
      body = rest.from(mark + 11)
    }
    event.set(.eventReason, rest)
    let end = body.index(of: 0x20) ?? body.count
    var word = body.upTo(end)
    if word.ends(with: ":") { word = word.upTo(word.count - 1) }
    guard let slash = word.index(of: 0x2f), let ip = IPAddress(word.upTo(slash)) else { return true }
    if word.from(slash + 1).decimal == (ip.isV4 ? 32 : 128) { event.set(.sourceIP, ip) } else { event.set(.sourceNetwork, word) }
    return true
  }
}
