import Events
import Primitives
import Testing

@testable import LogParsers

@Suite("sshd: messages")
struct SshdTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var message: String
    var action: String
    var ip: String?
    var port: String?
    var user: String?
    var more: [String: String]
    init(_ message: String, _ action: String, _ ip: String? = nil, _ port: String? = nil, _ user: String? = nil, _ more: [String: String] = [:]) {
      self.message = message
      self.action = action
      self.ip = ip
      self.port = port
      self.user = user
      self.more = more
    }
    var testDescription: String { message }
  }

  @Test(
    "forms",
    arguments: [
      // results
      Case(
        "Accepted password for alice from 192.0.2.1 port 50000 ssh2", "ssh-login", "192.0.2.1", "50000", "alice",
        ["event.outcome": "success", "panguard.auth.method": "password", "event.category": "authentication"]),
      Case(
        "Accepted publickey for alice from 2001:db8::7 port 50000 ssh2: ED25519 SHA256:AbCdEf0123456789AbCdEf0123456789AbCdEf01234", "ssh-login",
        "2001:db8::7", "50000", "alice",
        ["panguard.key.type": "ED25519", "panguard.key.fingerprint": "SHA256:AbCdEf0123456789AbCdEf0123456789AbCdEf01234"]),
      Case(
        "Accepted publickey for alice from 192.0.2.1 port 50000 ssh2: RSA 01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef", "ssh-login", "192.0.2.1",
        "50000", "alice", ["panguard.key.type": "RSA"]),
      Case(
        "Accepted publickey for alice from 192.0.2.1 port 50000 ssh2: ED25519-CERT SHA256:aaaa ID alice@corp (serial 7) CA ED25519 SHA256:bbbb",
        "ssh-login", "192.0.2.1", "50000", "alice", ["panguard.key.type": "ED25519-CERT", "panguard.key.fingerprint": "SHA256:aaaa"]),
      Case(
        "Accepted publickey for alice from 192.0.2.1 port 50000 ssh2: RSA-CERT ID alice@corp (serial 7) CA RSA SHA256:bbbb", "ssh-login", "192.0.2.1",
        "50000", "alice", ["panguard.key.type": "RSA-CERT"]),
      Case(
        "Accepted keyboard-interactive/pam for alice from 192.0.2.1 port 50000 ssh2", "ssh-login", "192.0.2.1", "50000", "alice",
        ["panguard.auth.method": "keyboard-interactive"]),
      Case("Accepted gssapi-with-mic for alice from 192.0.2.1 port 50000 ssh2: alice@REALM", "ssh-login", "192.0.2.1", "50000", "alice"),
      Case(
        "Accepted hostbased for alice from 192.0.2.1 port 50000 ssh2: RSA SHA256:aaaa, client user \"alice\", client host \"h\"", "ssh-login",
        "192.0.2.1", "50000", "alice"),
      Case("Accepted password for alice from UNKNOWN port 65535 ssh2", "ssh-login", nil, nil, "alice"),
      Case("error: Connection reset by peer", "ssh-disconnect"),
      Case("error: Protocol major versions differ: 2 vs. 1", "ssh-protocol-error"),
      Case("Account alice has expired", "ssh-user-not-allowed", nil, nil, "alice", ["event.reason": "account-expired"]),
      Case(
        "Authentication tried for root with correct key but not from a permitted host (host=h.example, ip=192.0.2.1).", "ssh-key-rejected",
        "192.0.2.1", nil, "root"),
      Case(
        "srclimit_penalise: ipv4: existing 192.0.2.1/32 deferred penalty adjusted to 10 seconds", "ssh-connection-dropped", "192.0.2.1"),
      Case("Failed password for root from 192.0.2.1 port 50000 ssh2", "ssh-login", "192.0.2.1", "50000", "root", ["event.outcome": "failure"]),
      Case(
        "Failed password for invalid user admin from 192.0.2.1 port 50000 ssh2", "ssh-login", "192.0.2.1", "50000", "admin",
        ["event.reason": "invalid-user"]),
      Case("Failed password for illegal user admin from ::ffff:192.0.2.1 port 50000 ssh2", "ssh-login", "192.0.2.1", "50000", "admin"),
      Case(
        "Failed none for invalid user admin from 192.0.2.1 port 50000 ssh2", "ssh-login", "192.0.2.1", "50000", "admin",
        ["panguard.auth.method": "none"]),
      Case("Failed keyboard-interactive/pam for invalid user admin from 192.0.2.1 port 50000 ssh2", "ssh-login", "192.0.2.1", "50000", "admin"),
      Case(
        "Failed publickey for invalid user admin from 192.0.2.1 port 50000 ssh2: RSA SHA256:aaaa", "ssh-login", "192.0.2.1", "50000", "admin",
        ["panguard.auth.method": "publickey"]),
      Case("error: Failed password for root from 192.0.2.1 port 50000 ssh2", "ssh-login", "192.0.2.1", "50000", "root"),
      Case("Failed password for root from 192.0.2.1 port 50000 ssh2 [preauth]", "ssh-login", "192.0.2.1", "50000", "root"),
      Case("Failed password for root from 192.0.2.1 port 50000 ssh1", "ssh-login", "192.0.2.1", "50000", "root"),
      Case("Failed password for root from fe80::1%eth0 port 50000 ssh2", "ssh-login", "fe80::1", "50000", "root"),
      Case(
        "Postponed keyboard-interactive for invalid user admin from 192.0.2.1 port 50000 ssh2 [preauth]", "ssh-postponed", "192.0.2.1", "50000",
        "admin"),
      Case("Postponed publickey for alice from 192.0.2.1 port 50000 ssh2 [preauth]", "ssh-postponed", "192.0.2.1", "50000", "alice"),
      Case("Partial publickey for alice from 192.0.2.1 port 50000 ssh2: RSA SHA256:aaaa", "ssh-partial", "192.0.2.1", "50000", "alice"),
      Case(
        "error: PAM: Authentication failure for root from 192.0.2.1", "ssh-login", "192.0.2.1", nil, "root",
        ["event.outcome": "failure", "event.reason": "Authentication failure"]),
      Case(
        "error: PAM: User not known to the underlying authentication module for illegal user x from host.example", "ssh-login", nil, nil, "x",
        ["source.address": "host.example"]),
      // users
      Case("Invalid user admin from 192.0.2.1 port 50000", "ssh-invalid-user", "192.0.2.1", "50000", "admin"),
      Case("Invalid user admin from 192.0.2.1", "ssh-invalid-user", "192.0.2.1", nil, "admin"),
      Case("Illegal user admin from 192.0.2.1", "ssh-invalid-user", "192.0.2.1", nil, "admin"),
      Case("Invalid user  from 192.0.2.1 port 50000", "ssh-invalid-user", "192.0.2.1", "50000", ""),
      Case("Invalid user admin from UNKNOWN port 65535", "ssh-invalid-user", nil, nil, "admin"),
      Case("input_userauth_request: invalid user admin [preauth]", "ssh-invalid-user", nil, nil, "admin"),
      Case(
        "User root from 192.0.2.1 not allowed because not listed in AllowUsers", "ssh-user-not-allowed", "192.0.2.1", nil, "root",
        ["event.reason": "not listed in AllowUsers"]),
      Case(
        "User root from host.example not allowed because listed in DenyUsers", "ssh-user-not-allowed", nil, nil, "root",
        ["source.address": "host.example"]),
      Case("User sys not allowed because shell /usr/sbin/nologin is not executable", "ssh-user-not-allowed", nil, nil, "sys"),
      Case("User bob not allowed because account is locked", "ssh-user-not-allowed", nil, nil, "bob"),
      Case("User bob password has expired (password aged)", "ssh-user-not-allowed", nil, nil, "bob", ["event.reason": "password-expired"]),
      Case("Access denied for user bob by PAM account configuration [preauth]", "ssh-user-not-allowed", nil, nil, "bob"),
      Case("fatal: Access denied for user bob by PAM account configuration [preauth]", "ssh-user-not-allowed", nil, nil, "bob"),
      Case("ROOT LOGIN REFUSED FROM 192.0.2.1 port 50000", "ssh-user-not-allowed", "192.0.2.1", "50000", "root"),
      Case("ROOT LOGIN REFUSED FROM 192.0.2.1", "ssh-user-not-allowed", "192.0.2.1", nil, "root"),
      Case(
        "error: maximum authentication attempts exceeded for root from 192.0.2.1 port 50000 ssh2 [preauth]", "ssh-max-attempts", "192.0.2.1", "50000",
        "root"),
      Case(
        "error: maximum authentication attempts exceeded for invalid user x from 192.0.2.1 port 50000 ssh2 [preauth]", "ssh-max-attempts",
        "192.0.2.1", "50000", "x"),
      Case("Too many authentication failures for root [preauth]", "ssh-max-attempts", nil, nil, "root"),
      // ends
      Case("Connection closed by invalid user admin 192.0.2.1 port 50000 [preauth]", "ssh-disconnect", "192.0.2.1", "50000", "admin"),
      Case("Connection closed by authenticating user root 192.0.2.1 port 50000 [preauth]", "ssh-disconnect", "192.0.2.1", "50000", "root"),
      Case("Connection closed by invalid user  192.0.2.1 port 50000 [preauth]", "ssh-disconnect", "192.0.2.1", "50000", ""),
      Case("Connection closed by user alice 192.0.2.1 port 50000", "ssh-disconnect", "192.0.2.1", "50000", "alice"),
      Case("Connection closed by 192.0.2.1 port 50000 [preauth]", "ssh-preauth-close", "192.0.2.1", "50000"),
      Case("Connection closed by 192.0.2.1 port 50000", "ssh-preauth-close", "192.0.2.1", "50000"),
      Case("Connection closed by 192.0.2.1 [preauth]", "ssh-preauth-close", "192.0.2.1"),
      Case("Connection closed by UNKNOWN port 65535 [preauth]", "ssh-preauth-close"),
      Case("Connection reset by 192.0.2.1 port 50000 [preauth]", "ssh-preauth-close", "192.0.2.1", "50000", nil, ["event.reason": "reset"]),
      Case("Connection reset by authenticating user root 2001:db8::7 port 50000 [preauth]", "ssh-disconnect", "2001:db8::7", "50000", "root"),
      Case("Disconnected from invalid user admin 192.0.2.1 port 50000 [preauth]", "ssh-disconnect", "192.0.2.1", "50000", "admin"),
      Case("Disconnected from user alice 192.0.2.1 port 50000", "ssh-disconnect", "192.0.2.1", "50000", "alice"),
      Case("Disconnected from 192.0.2.1 port 50000 [preauth]", "ssh-preauth-close", "192.0.2.1", "50000"),
      Case("Disconnected from 192.0.2.1 port 50000", "ssh-disconnect", "192.0.2.1", "50000"),
      Case(
        "Disconnecting authenticating user root 192.0.2.1 port 50000: Too many authentication failures [preauth]", "ssh-disconnect", "192.0.2.1",
        "50000", "root", ["event.reason": "Too many authentication failures"]),
      Case(
        "Disconnecting invalid user a 192.0.2.1 port 50000: Change of username or service not allowed: (a,ssh-connection) -> (b,ssh-connection) [preauth]",
        "ssh-disconnect", "192.0.2.1", "50000", "a"),
      Case("Disconnecting: Too many authentication failures for root [preauth]", "ssh-disconnect"),
      Case("Disconnecting 192.0.2.1 port 50000: Packet corrupt", "ssh-disconnect", "192.0.2.1", "50000"),
      Case(
        "Received disconnect from 192.0.2.1 port 50000:11: Bye Bye [preauth]", "ssh-disconnect", "192.0.2.1", "50000", nil,
        ["event.reason": "Bye Bye"]),
      Case(
        "error: Received disconnect from 192.0.2.1 port 50000:3: com.jcraft.jsch.JSchException: Auth fail [preauth]", "ssh-disconnect", "192.0.2.1",
        "50000"),
      Case("Received disconnect from 192.0.2.1: 11: Bye Bye [preauth]", "ssh-disconnect", "192.0.2.1"),
      Case("Received disconnect from 2001:db8::7: 11: disconnected by user", "ssh-disconnect", "2001:db8::7"),
      Case("Closing connection to 192.0.2.1 port 50000", "ssh-disconnect", "192.0.2.1", "50000"),
      Case("Read error from remote host 192.0.2.1 port 50000: Connection timed out", "ssh-disconnect", "192.0.2.1", "50000"),
      Case("Timeout, client not responding from user alice 192.0.2.1 port 50000", "ssh-timeout", "192.0.2.1", "50000", "alice"),
      Case("fatal: Timeout before authentication for 192.0.2.1 port 50000", "ssh-timeout", "192.0.2.1", "50000"),
      Case("fatal: Timeout before authentication for 192.0.2.1", "ssh-timeout", "192.0.2.1"),
      Case("Timeout before authentication for connection from 192.0.2.1 to 198.51.100.1, pid = 77", "ssh-timeout", "192.0.2.1"),
      Case("Connection from 192.0.2.1 port 50000 timed out", "ssh-timeout", "192.0.2.1", "50000"),
      Case("Connection from authenticating user root 192.0.2.1 port 50000 timed out [preauth]", "ssh-timeout", "192.0.2.1", "50000", "root"),
      // protocol
      Case(
        "Connection from 192.0.2.1 port 50000 on 198.51.100.1 port 22 rdomain \"\"", "ssh-connection", "192.0.2.1", "50000", nil,
        ["destination.ip": "198.51.100.1", "destination.port": "22"]),
      Case("Connection from 192.0.2.1 port 50000", "ssh-connection", "192.0.2.1", "50000"),
      Case("Connection from 192.0.2.1: refusing non-sftp session", "ssh-user-not-allowed", "192.0.2.1"),
      Case("Did not receive identification string from 192.0.2.1 port 50000", "ssh-protocol-error", "192.0.2.1", "50000"),
      Case("Did not receive identification string from 192.0.2.1", "ssh-protocol-error", "192.0.2.1"),
      Case("Bad protocol version identification 'GET / HTTP/1.1' from 192.0.2.1 port 50000", "ssh-protocol-error", "192.0.2.1", "50000"),
      Case("Bad protocol version identification '\\003' from UNKNOWN port 65535", "ssh-protocol-error"),
      Case(
        "banner exchange: Connection from 192.0.2.1 port 50000: invalid format", "ssh-protocol-error", "192.0.2.1", "50000", nil,
        ["event.reason": "invalid format"]),
      Case("banner exchange: Connection from 192.0.2.1 port 50000: could not read protocol version", "ssh-protocol-error", "192.0.2.1", "50000"),
      Case("error: kex_exchange_identification: Connection closed by remote host", "ssh-protocol-error"),
      Case("error: kex_exchange_identification: client sent invalid protocol identifier \"GET / HTTP/1.1\"", "ssh-protocol-error"),
      Case("error: kex_exchange_identification: read: Connection reset by peer", "ssh-protocol-error"),
      Case("error: kex protocol error: type 30 seq 1 [preauth]", "ssh-protocol-error"),
      Case(
        "ssh_dispatch_run_fatal: Connection from 192.0.2.1 port 50000: message authentication code incorrect [preauth]", "ssh-protocol-error",
        "192.0.2.1", "50000"),
      Case(
        "ssh_dispatch_run_fatal: Connection from invalid user x 192.0.2.1 port 50000: Broken pipe [preauth]", "ssh-protocol-error", "192.0.2.1",
        "50000", "x"),
      Case(
        "fatal: ssh_dispatch_run_fatal: Connection from 192.0.2.1 port 50000: Connection corrupted [preauth]", "ssh-protocol-error", "192.0.2.1",
        "50000"),
      Case("Protocol major versions differ for 192.0.2.1 port 50000: SSH-2.0-OpenSSH_9.2 vs. SSH-1.5-x", "ssh-protocol-error", "192.0.2.1", "50000"),
      Case("Protocol major versions differ for 192.0.2.1: SSH-2.0-OpenSSH_6.0 vs. SSH-1.5-x", "ssh-protocol-error", "192.0.2.1"),
      Case("probed from 192.0.2.1 port 50000 with SSH-1.0-SSH_Version_Mapper.  Don't panic.", "ssh-protocol-error", "192.0.2.1", "50000"),
      Case("Bad packet length 1349676916. [preauth]", "ssh-protocol-error"),
      Case("padding error: need 12345 block 16 mod 9 [preauth]", "ssh-protocol-error"),
      Case("Corrupted MAC on input. [preauth]", "ssh-protocol-error"),
      Case(
        "Unable to negotiate with 192.0.2.1 port 50000: no matching key exchange method found. Their offer: diffie-hellman-group1-sha1 [preauth]",
        "ssh-negotiation-failure", "192.0.2.1", "50000", nil,
        ["panguard.ssh.client_offer": "diffie-hellman-group1-sha1", "event.reason": "no matching key exchange method found"]),
      Case(
        "fatal: Unable to negotiate with 192.0.2.1 port 50000: no matching host key type found. Their offer: ssh-dss [preauth]",
        "ssh-negotiation-failure", "192.0.2.1", "50000"),
      Case("fatal: no matching cipher found: client aes128-cbc server aes256-ctr [preauth]", "ssh-negotiation-failure"),
      Case(
        "drop connection #11 from [192.0.2.1]:50000 on [198.51.100.1]:22 past MaxStartups", "ssh-connection-dropped", "192.0.2.1", "50000", nil,
        ["event.reason": "past MaxStartups"]),
      Case(
        "drop connection #0 from [2001:db8::7]:50000 on [2001:db8::1]:22 penalty: failed authentication", "ssh-connection-dropped", "2001:db8::7",
        "50000", nil, ["event.reason": "penalty: failed authentication"]),
      Case("error: beginning MaxStartups throttling", "ssh-connection-dropped"),
      Case(
        "srclimit_penalise: ipv4: new 192.0.2.1/32 active penalty of 10.000 seconds for penalty: failed authentication", "ssh-connection-dropped",
        "192.0.2.1"),
      Case(
        "srclimit_penalise: 192.0.2.0/24: activating ipv4 penalty of 16.000 seconds for penalty: caused crash", "ssh-connection-dropped", nil, nil,
        nil, ["source.network": "192.0.2.0/24"]),
      Case("refused connect from 192.0.2.1 (192.0.2.1)", "ssh-connection-dropped", "192.0.2.1"),
      Case("reverse mapping checking getaddrinfo for h.example [192.0.2.1] failed - POSSIBLE BREAK-IN ATTEMPT!", "ssh-break-in-attempt", "192.0.2.1"),
      Case("reverse mapping checking getaddrinfo for h.example [192.0.2.1] failed.", "ssh-break-in-attempt", "192.0.2.1"),
      Case(
        "Address 192.0.2.1 maps to h.example, but this does not map back to the address - POSSIBLE BREAK-IN ATTEMPT!", "ssh-break-in-attempt",
        "192.0.2.1"),
      // keys
      Case(
        "error: Authentication key RSA SHA256:aaaa revoked by file /etc/ssh/revoked", "ssh-key-rejected", nil, nil, nil,
        ["panguard.key.type": "RSA", "panguard.key.fingerprint": "SHA256:aaaa"]),
      Case("Authentication refused: bad ownership or modes for directory /home/u", "ssh-key-rejected"),
      Case(
        "/home/u/.ssh/authorized_keys:3: Authentication tried for u with correct key but not from a permitted host (host=h.example, ip=192.0.2.1, required=10.0.0.0/8).",
        "ssh-key-rejected", "192.0.2.1", nil, "u"),
      Case(
        "Authentication tried for u with correct key but not from a permitted host (host=h.example, ip=192.0.2.1, required=10.0.0.1).",
        "ssh-key-rejected", "192.0.2.1", nil, "u"),
      Case(
        "cert: Authentication tried for u with valid certificate but not from a permitted source address (192.0.2.1).", "ssh-key-rejected",
        "192.0.2.1", nil, "u"),
      Case("error: Certificate invalid: expired", "ssh-key-rejected"),
      Case("userauth_pubkey: key type ssh-dss not in PubkeyAcceptedAlgorithms [preauth]", "ssh-key-rejected"),
      Case(
        "error: public key ED25519-SK SHA256:aaaa signature for root from 192.0.2.1 port 50000 rejected: user presence (authenticator touch) requirement not met ",
        "ssh-key-rejected", "192.0.2.1", "50000", "root"),
      // sessions and configuration
      Case("Starting session: shell on pts/0 for alice from 192.0.2.1 port 50000 id 0", "ssh-session", "192.0.2.1", "50000", "alice"),
      Case("Close session: user alice from 192.0.2.1 port 50000 id 0", "ssh-session", "192.0.2.1", "50000", "alice"),
      Case("User child is on pid 77", "ssh-session"),
      Case("Server listening on 0.0.0.0 port 22.", "ssh-listening", nil, nil, nil, ["destination.ip": "0.0.0.0", "destination.port": "22"]),
      Case("Server listening on :: port 22.", "ssh-listening", nil, nil, nil, ["destination.port": "22"]),
      Case("error: Bind to port 22 on 0.0.0.0 failed: Address already in use.", "ssh-config-error"),
      Case("error: Could not load host key: /etc/ssh/ssh_host_dsa_key", "ssh-config-error"),
      Case("/etc/ssh/sshd_config line 3: Deprecated option UsePrivilegeSeparation", "ssh-config-error"),
      Case("error: connect_to 192.0.2.9 port 80: failed.", "ssh-forwarding"),
    ])
  func forms(_ c: Case) {
    let got = parse(message: c.message)
    #expect(got["#outcome"] == "parsed")
    #expect(got["event.action"] == c.action)
    #expect(got["event.provider"] == "sshd")
    #expect(got["source.port"] == c.port)
    #expect(got["source.ip"] == c.ip)
    #expect(got["user.name"] == c.user)
    #expect(got["panguard.ambiguous"] == nil)
    for (name, value) in c.more { #expect(got[name] == value, "\(name)") }
  }

  @Test(
    "not sshd's words",
    arguments: [
      "", "x", "Failed", "Failed ", "Failed password", "Accepted", "error: ", "Nothing that is known", "[preauth]", " [preauth]",
      "debug1: Forked child 77.",
    ])
  func unknown(_ message: String) {
    let got = parse(message: message)
    #expect(got["event.action"] == nil)
    #expect(got["#outcome"] == "headerOnly")
  }

  @Test("the other names of sshd", arguments: ["sshd", "sshd-session", "sshd-auth", "/usr/sbin/sshd", "SSHD"])
  func programs(_ program: String) {
    #expect(parse(message: "Failed password for root from 192.0.2.1 port 22 ssh2", of: program)["source.ip"] == "192.0.2.1")
  }
}

@Suite("sshd: names that look like something else")
struct SshdInjectionTests {
  static let truth = "198.51.100.7"
  static let port = "40022"
  static let innocent = "9.9.9.9"

  static let users: [String] = [
    "invalid user x from 9.9.9.9 port 22", "root from 9.9.9.9 port 1 ssh2", "x port 22 ssh2", " rhost=9.9.9.9", "x rhost=9.9.9.9 ",
    "a\\012b from 9.9.9.9", "a\\n9.9.9.9", "Failed password for root from 9.9.9.9 port 1 ssh2", "", " ", "   ", "from", " from ", "from 9.9.9.9",
    "[preauth]", "x [preauth]", "9.9.9.9", "x 9.9.9.9", "x from 9.9.9.9", String(repeating: "u", count: 200), " 9.9.9.9 port 22 [preauth]",
    "x 9.9.9.9 port 22 [preauth]", "x 9.9.9.9 port 22", "x 9.9.9.9 port 22: Too many authentication failures",
    "x 9.9.9.9 port 22: Too many authentication failures [preauth]", "invalid user", "invalid user ", "authenticating user root 9.9.9.9 port 22",
    "user", "for", "x for y from 9.9.9.9 port 1 ssh2: RSA SHA256:aaaa", "root from 9.9.9.9 port 1 ssh2: RSA-CERT ID", "ssh2", "port", "port 22",
    "x from 9.9.9.9 port",
    "%s%s%n", "<HOST>", "\\303\\274ser", "test'; drop", "x from 2001:db8::bad port 22 ssh2", "x\u{0}from 9.9.9.9", "x\tfrom\t9.9.9.9\tport\t22",
    "x from 9.9.9.9 port 22 ssh2 [preauth]", "x: 9.9.9.9", "x, ip=9.9.9.9", "x id 0", "x 9.9.9.9 port 22 timed out", "x not allowed because y",
    "x by PAM account configuration", "x from 9.9.9.9 not allowed because y", "x maps to 9.9.9.9", "x [9.9.9.9] failed",
    "x rejected: y from 9.9.9.9 port 22 rejected: z",
  ]
  /// "%u" stands for the name. In all of these the address can be told whatever the name is.
  static let certain: [String] = [
    "Failed password for invalid user %u from 198.51.100.7 port 40022 ssh2",
    "Failed password for %u from 198.51.100.7 port 40022 ssh2",
    "Failed none for invalid user %u from 198.51.100.7 port 40022 ssh2",
    "Failed keyboard-interactive/pam for invalid user %u from 198.51.100.7 port 40022 ssh2",
    "Accepted password for %u from 198.51.100.7 port 40022 ssh2",
    "Postponed keyboard-interactive for invalid user %u from 198.51.100.7 port 40022 ssh2 [preauth]",
    "error: maximum authentication attempts exceeded for invalid user %u from 198.51.100.7 port 40022 ssh2 [preauth]",
    "Invalid user %u from 198.51.100.7 port 40022",
    "Connection closed by invalid user %u 198.51.100.7 port 40022 [preauth]",
    "Connection reset by authenticating user %u 198.51.100.7 port 40022 [preauth]",
    "Disconnected from invalid user %u 198.51.100.7 port 40022 [preauth]",
    "Disconnected from invalid user %u 198.51.100.7 port 40022",
    "Connection from invalid user %u 198.51.100.7 port 40022 timed out [preauth]",
    "Close session: user %u from 198.51.100.7 port 40022 id 0",
  ]
  static let withoutPort: [String] = [
    "Invalid user %u from 198.51.100.7", "error: PAM: Authentication failure for illegal user %u from 198.51.100.7",
    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.7  user=%u",
    "pam_sss(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.7 user=%u",
    "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.7  user=%u",
  ]
  /// The name stands on both sides of the address, or a key's id behind it: the truth or nothing.
  static let doubtful: [String] = [
    "Disconnecting invalid user %u 198.51.100.7 port 40022: Too many authentication failures [preauth]",
    "Disconnecting invalid user %u 198.51.100.7 port 40022: Change of username or service not allowed: (%u,ssh-connection) -> (%u,ssh-connection) [preauth]",
    "Disconnecting invalid user a 198.51.100.7 port 40022: Change of username or service not allowed: (a,%u) -> (%u,%u)",
    "ssh_dispatch_run_fatal: Connection from invalid user %u 198.51.100.7 port 40022: Broken pipe [preauth]",
    "Failed publickey for invalid user %u from 198.51.100.7 port 40022 ssh2: RSA SHA256:aaaa",
    "Failed publickey for invalid user %u from 198.51.100.7 port 40022 ssh2: RSA-CERT ID %u (serial 0) CA RSA SHA256:aaaa",
    "Failed publickey for root from 198.51.100.7 port 40022 ssh2: RSA-CERT SHA256:aaaa ID %u (serial 0) CA RSA SHA256:aaaa",
    "error: public key RSA SHA256:aaaa signature for invalid user %u from 198.51.100.7 port 40022 rejected: user presence (authenticator touch) requirement not met ",
    "Failed hostbased for invalid user %u from 198.51.100.7 port 40022 ssh2: RSA SHA256:aaaa, client user \"%u\", client host \"%u\"",
    "Starting session: forced-command (config) '%u' for root from 198.51.100.7 port 40022 id 0",
  ]
  /// The address is first, the peer's words are last.
  static let trailing: [String] = [
    "Received disconnect from 198.51.100.7 port 40022:11: %u [preauth]", "Received disconnect from 198.51.100.7 port 40022:11: %u",
    "Unable to negotiate with 198.51.100.7 port 40022: no matching key exchange method found. Their offer: %u [preauth]",
    "Protocol major versions differ for 198.51.100.7 port 40022: SSH-2.0-OpenSSH_9.2 vs. %u",
    "probed from 198.51.100.7 port 40022 with %u.  Don't panic.", "Bad protocol version identification '%u' from 198.51.100.7 port 40022",
  ]
  /// No address at all.
  static let silent: [String] = [
    "input_userauth_request: invalid user %u [preauth]", "Access denied for user %u by PAM account configuration [preauth]",
    "error: kex_exchange_identification: client sent invalid protocol identifier \"%u\"", "pam_unix(sshd:auth): check pass; user unknown",
    "fatal: no matching cipher found: client %u server aes256-ctr [preauth]", "Too many authentication failures for %u [preauth]",
  ]

  private func check(_ form: String, mustKnow: Bool, port: Bool) {
    for user in SshdInjectionTests.users {
      let message = form.replacing("%u", with: user)
      let got = parse(message: message)
      let ip = got["source.ip"]
      #expect(ip != SshdInjectionTests.innocent && ip?.hasPrefix("2001:db8::bad") != true, "blamed: \(message)")
      if mustKnow {
        #expect(ip == SshdInjectionTests.truth, "\(message)")
        #expect(got["panguard.ambiguous"] == nil, "\(message)")
      } else {
        #expect(ip == SshdInjectionTests.truth || (ip == nil && got["panguard.ambiguous"] == "1"), "\(message) -> \(ip ?? "-")")
      }
      if port, ip != nil { #expect(got["source.port"] == SshdInjectionTests.port, "\(message)") }
    }
  }
  @Test("the address is certain", arguments: certain) func certainForms(_ form: String) { check(form, mustKnow: true, port: true) }
  @Test("the address is certain, without port", arguments: withoutPort) func withoutPorts(_ form: String) { check(form, mustKnow: true, port: false) }
  @Test("the address stands first or last", arguments: trailing) func trailingForms(_ form: String) { check(form, mustKnow: true, port: true) }
  @Test("the truth or nothing", arguments: doubtful) func doubtfulForms(_ form: String) { check(form, mustKnow: false, port: true) }
  @Test("no address is invented", arguments: silent)
  func silentForms(_ form: String) {
    for user in SshdInjectionTests.users {
      let message = form.replacing("%u", with: user)
      let got = parse(message: message)
      if let ip = got["source.ip"] { Issue.record("\(message) -> \(ip)") }
    }
  }

  @Test("the user's name comes out as it was sent")
  func names() {
    for user in SshdInjectionTests.users where !user.contains("%u") {
      #expect(parse(message: "Failed password for invalid user \(user) from 198.51.100.7 port 40022 ssh2")["user.name"] == user)
      #expect(parse(message: "Invalid user \(user) from 198.51.100.7 port 40022")["user.name"] == user)
      #expect(parse(message: "Connection closed by invalid user \(user) 198.51.100.7 port 40022 [preauth]")["user.name"] == user)
    }
  }

  @Test("a line that was cut is not read from its end")
  func cut() {
    let long = String(repeating: "x", count: 1000)
    let got = parse(message: "Connection closed by invalid user \(long) 9.9.9.9 port 22")
    #expect(got["source.ip"] == nil)
    #expect(got["panguard.ambiguous"] == "1")
    let inner = String(repeating: "x", count: 760)
    let repeated = parse(message: "message repeated 2 times: [ Connection closed by invalid user \(inner) 9.9.9.9 port 22]")
    #expect(repeated["source.ip"] == nil)
  }

  @Test("another program cannot speak for sshd's PAM")
  func foreignPAM() {
    let message = "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=9.9.9.9  user=root"
    #expect(parse(message: message, of: "webapp")["source.ip"] == nil)
    #expect(parse(message: message, of: "sshd-session")["source.ip"] == "9.9.9.9")
  }
}
