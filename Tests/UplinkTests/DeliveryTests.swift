// The uplink as it runs, against receivers on loopback: what arrives and how it is signed, and each way in which it must not arrive.
import CLinux
import Glibc
import Primitives
import Testing
import UplinkProtocol

@testable import Uplink

@Suite(.serialized) struct DeliveryTests {
  private let body = Array(#"{"rule.id":"ATR-2026-90001"}"#.utf8)

  /// A laboratory with certificates, or nil with the reason printed.
  private func laboratory(_ names: String..., days: Int = 2) -> Laboratory? {
    let laboratory = Laboratory()
    if laboratory.makeCertificates(names, days: days) { return laboratory }
    print("skipped: needs openssl")
    return nil
  }

  @Test func aDeliveryArrivesSignedOverTLS13() throws {
    guard let l = laboratory("good"), let receiver = l.tlsReceiver("receiver", certificate: "good") else { return }
    let uplink = try #require(
      l.uplink([("ops", "https://localhost:\(receiver.port)/in?x=1", "authorities: \(l.path("ca.pem")), pin: ['\(l.pin("good"))']")]))
    #expect(try uplink.client.deliver(webhook: "ops", key: "k1", body: body) == nil)
    #expect(uplink.outcome("k1") == DeliveryOutcome(key: "k1", attempts: 1))
    let request = try #require(receiver.requests.first)
    for part in [
      #""path": "/in?x=1""#, #""genuine": true"#, #""key": "k1""#, #""tls": "TLSv1.3""#, #"ATR-2026-90001"#, #""Content-Type": "application/json""#,
    ] { #expect(request.contains(part), "\(part): \(request)") }
    #expect(!request.contains("Expect"))

    // Asked for again, it is told again, and not sent again.
    #expect(try uplink.client.deliver(webhook: "ops", key: "k1", body: body) == nil)
    #expect(uplink.outcome("k1")?.isDelivered == true && receiver.requests.count == 1)
    #expect(try uplink.client.deliver(webhook: "other", key: "k2", body: body) == .unknownWebhook)
    let status = try uplink.client.status()
    #expect(status.accepted == 1 && status.delivered == 1 && status.attempts == 1 && status.repeated == 1 && status.refused == 1)
    #expect(status.webhooks == [WebhookStatus(name: "ops", waiting: 0, problem: "")])
    #expect(!uplink.program.said.contains(Laboratory.secret))
    #expect(uplink.program.end() == 0)
  }

  /// Without a delivery nothing is connected to, whatever is configured.
  @Test func nothingIsSentUnasked() throws {
    let l = Laboratory()
    guard let receiver = l.receiver("receiver") else { return }
    let uplink = try #require(l.uplink([("ops", "http://127.0.0.1:\(receiver.port)/", "allow_http_to_loopback: true")]))
    for _ in 0..<3 {
      _ = try uplink.client.status()
      usleep(500_000)
    }
    #expect(receiver.connections == 0)
    #expect(try uplink.client.deliver(webhook: "ops", key: "k", body: body) == nil)
    #expect(uplink.outcome("k")?.isDelivered == true && receiver.connections == 1 && receiver.requests.count == 1)
  }

  @Test func withoutAConfigurationThereIsNothingToDo() {
    let l = Laboratory()
    let program = Program([Place.uplink, "--fd", "9"], in: l.directory, name: "none")
    guard access(UplinkConfiguration.defaultPath, F_OK) != 0 else { return print("skipped: \(UplinkConfiguration.defaultPath) exists here") }
    #expect(program.wait() == 0 && program.said.contains("there is nothing to do"), "\(program.said)")
  }

  private func refusal(_ l: Laboratory, _ receiver: Receiver, _ more: String = "") throws -> (DeliveryOutcome?, Uplink) {
    let uplink = try #require(l.uplink([("ops", "https://localhost:\(receiver.port)/", more.isEmpty ? "authorities: \(l.path("ca.pem"))" : more)]))
    #expect(try uplink.client.deliver(webhook: "ops", key: "k", body: body) == nil)
    return (uplink.outcome("k", seconds: 30), uplink)
  }

  @Test func aServerWithAnotherKeyIsNotSpokenTo() throws {
    guard let l = laboratory("good", "other"), let receiver = l.tlsReceiver("receiver", certificate: "good") else { return }
    let (outcome, uplink) = try refusal(l, receiver, "authorities: \(l.path("ca.pem")), pin: ['\(l.pin("other"))']")
    #expect(outcome?.attempts == 1 && outcome?.failure.contains("TLS") == true, "\(String(describing: outcome))")
    #expect(receiver.requests.isEmpty && uplink.problem("ops").contains("pinned"), "\(uplink.problem("ops"))")
    #expect(uplink.program.said.contains("was given up"), "\(uplink.program.said)")
  }

  @Test func anExpiredCertificateIsRefused() throws {
    guard let l = laboratory("old", days: -1), let receiver = l.tlsReceiver("receiver", certificate: "old") else { return }
    let (outcome, _) = try refusal(l, receiver)
    #expect(outcome?.failure.contains("expired") == true && receiver.requests.isEmpty, "\(String(describing: outcome))")
  }

  @Test func aCertificateThatNobodyVouchesForIsRefused() throws {
    guard let l = laboratory("good"), let receiver = l.tlsReceiver("receiver", certificate: "good") else { return }
    guard access(Webhook.systemAuthorities, R_OK) == 0 else { return print("skipped: no \(Webhook.systemAuthorities)") }
    // A pin does not stand for the rest of the check.
    let (outcome, _) = try refusal(l, receiver, "pin: ['\(l.pin("good"))']")
    #expect(outcome?.failure.contains("TLS") == true && receiver.requests.isEmpty, "\(String(describing: outcome))")
  }

  @Test func aCertificateForAnotherNameIsRefused() throws {
    guard let l = laboratory(), l.makeCertificates(["other"], hosts: "DNS:other.example"),
      let receiver = l.tlsReceiver("receiver", certificate: "other")
    else { return }
    let (outcome, _) = try refusal(l, receiver)
    #expect(outcome?.failure.contains("TLS") == true && receiver.requests.isEmpty, "\(String(describing: outcome))")
  }

  @Test func anOldTLSIsRefused() throws {
    guard let l = laboratory("good"), let receiver = l.tlsReceiver("receiver", certificate: "good", "newest=1.2") else { return }
    let (outcome, _) = try refusal(l, receiver)
    #expect(outcome?.attempts == UInt32(Limits.webhookHandshakes) && outcome?.failure.contains("TLS") == true, "\(String(describing: outcome))")
    #expect(receiver.requests.isEmpty)
  }

  @Test func aRedirectIsNotFollowed() throws {
    let l = Laboratory()
    guard let elsewhere = l.receiver("elsewhere"), let receiver = l.receiver("receiver", "status=307", "location=http://127.0.0.1:\(elsewhere.port)/")
    else { return }
    let uplink = try #require(l.uplink([("ops", "http://127.0.0.1:\(receiver.port)/", "allow_http_to_loopback: true")]))
    #expect(try uplink.client.deliver(webhook: "ops", key: "k", body: body) == nil)
    #expect(uplink.outcome("k")?.failure == "HTTP 307: redirects are not followed")
    #expect(receiver.requests.count == 1 && elsewhere.connections == 0)
  }

  /// A slow server costs its time-out, and nobody else anything.
  @Test func aSlowServerHoldsUpNobodyElse() throws {
    let l = Laboratory()
    guard let slow = l.receiver("slow", "delay=30"), let quick = l.receiver("quick") else { return }
    let uplink = try #require(
      l.uplink([
        ("quick", "http://127.0.0.1:\(quick.port)/", "allow_http_to_loopback: true"),
        ("slow", "http://127.0.0.1:\(slow.port)/", "allow_http_to_loopback: true, timeout: 1s"),
      ]))
    #expect(try uplink.client.deliver(webhook: "slow", key: "s", body: body) == nil)
    for i in 0..<20 { #expect(try uplink.client.deliver(webhook: "quick", key: "q\(i)", body: body) == nil) }
    #expect(eventually(seconds: 120) { quick.requests.count == 20 })
    #expect(quick.requests.enumerated().allSatisfy { $1.contains("\"key\": \"q\($0)\"") })
    #expect(eventually(seconds: 120) { (try? uplink.client.status())?.attempts ?? 0 >= 22 }, "\(uplink.program.said)")
    #expect(uplink.problem("slow").contains("timed out") && slow.requests.count >= 1, "\(uplink.problem("slow"))")
  }

  @Test(arguments: ["bytes=5000000", "header_bytes=90000"]) func aHugeAnswerIsCutOff(_ option: String) throws {
    let l = Laboratory()
    guard let receiver = l.receiver("receiver", option) else { return }
    let uplink = try #require(l.uplink([("ops", "http://127.0.0.1:\(receiver.port)/", "allow_http_to_loopback: true")]))
    #expect(try uplink.client.deliver(webhook: "ops", key: "k", body: body) == nil)
    // Its number came first, and that says that it has arrived.
    #expect(uplink.outcome("k")?.isDelivered == true, "\(uplink.program.said)")
    let memory = contents("/proc/\(uplink.program.pid)/status").split(separator: "\n").first { $0.hasPrefix("VmHWM") }
    print("memory at most: \(memory ?? "")")
  }

  @Test func aServerThatComesBackGetsItInOrder() throws {
    let l = Laboratory()
    guard let first = l.receiver("first") else { return }
    let port = first.port
    first.program.end(SIGKILL)
    let uplink = try #require(l.uplink([("ops", "http://127.0.0.1:\(port)/", "allow_http_to_loopback: true")]))
    for key in ["a", "b", "c"] { #expect(try uplink.client.deliver(webhook: "ops", key: key, body: body) == nil) }
    #expect(eventually { !uplink.problem("ops").isEmpty })
    #expect(try uplink.client.status().webhooks[0].waiting == 3)
    guard let second = l.receiver("second", "port=\(port)", "status=503,200") else { return }
    #expect(uplink.outcome("c", seconds: 30)?.isDelivered == true, "\(uplink.program.said)")
    let keys = second.requests.map { request in ["a", "b", "c"].first { request.contains("\"key\": \"\($0)\"") } ?? "?" }
    #expect(keys == ["a", "a", "b", "c"] && second.requests.allSatisfy { $0.contains("\"genuine\": true") }, "\(second.requests)")
    #expect(uplink.problem("ops").isEmpty)
  }

  @Test func aRefusalByTheServerIsFinal() throws {
    let l = Laboratory()
    guard let receiver = l.receiver("receiver", "status=401,200") else { return }
    let uplink = try #require(l.uplink([("ops", "http://127.0.0.1:\(receiver.port)/", "allow_http_to_loopback: true")]))
    #expect(try uplink.client.deliver(webhook: "ops", key: "k", body: body) == nil)
    #expect(try uplink.client.deliver(webhook: "ops", key: "m", body: body) == nil)
    #expect(eventually { receiver.requests.count == 2 })
    let outcomes = try uplink.client.collect()
    #expect(
      outcomes == [DeliveryOutcome(key: "k", attempts: 1, failure: "HTTP 401"), DeliveryOutcome(key: "m", attempts: 1)]
        || eventually {
          ((try? uplink.client.status())?.delivered ?? 0) == 1
        })
  }

  // MARK: Who asks, and what

  private func send(_ bytes: [UInt8], to l: Laboratory) -> [UInt8]? {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    guard withSocketAddress(l.path("uplink.sock"), { connect(descriptor, $0, $1) }) == 0 else { return nil }
    _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    var patience = timeval(tv_sec: 10, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    var buffer = [UInt8](repeating: 0, count: 4096)
    let n = recv(descriptor, &buffer, buffer.count, 0)
    // Closed with bytes of ours unread.
    if n < 0, errno == ECONNRESET { return [] }
    return n < 0 ? nil : Array(buffer[..<n])
  }

  /// An empty answer is a closed connection.
  @Test func hostileFramesCloseTheConnection() throws {
    let l = Laboratory()
    let uplink = try #require(l.uplink([("ops", "https://127.0.0.1:1/", "")]))
    let good = UplinkRequest.deliver(webhook: "ops", key: "k", body: body).encoded(id: 1)
    func changed(_ offset: Int, _ byte: UInt8) -> [UInt8] {
      var bytes = good
      bytes[offset] = byte
      return bytes
    }
    let hostile: [[UInt8]] = [
      Array("GET / HTTP/1.1\r\n\r\n".utf8), changed(4, 2), changed(5, 9), changed(6, 1), changed(0, 0x7f), changed(12, 200), changed(13, 0x0a),
      UplinkRequest.deliver(webhook: "../etc", key: "k", body: body).encoded(id: 1),
      UplinkRequest.deliver(webhook: "ops", key: "k\r\nX-Evil: 1", body: body).encoded(id: 1),
      UplinkRequest.deliver(webhook: "ops", key: "", body: body).encoded(id: 1),
      UplinkRequest.deliver(webhook: "ops", key: "k", body: [UInt8](repeating: 0x61, count: Limits.webhookBodyBytes + 1)).encoded(id: 1),
      [UInt8](repeating: 0xff, count: 100_000),
    ]
    for bytes in hostile { #expect(send(bytes, to: l) == [], "\(bytes.prefix(32))") }
    // A frame that never ends is given up, and meanwhile others are served.
    #expect(send(Array(good.dropLast()), to: l) == [])
    let status = try uplink.client.status()
    #expect(status.malformedFrames == UInt64(hostile.count) && status.connectionsClosed == 1 && status.accepted == 0, "\(status)")
    #expect(uplink.program.said.contains("unknown kind 9") && !uplink.program.said.contains("X-Evil"), "\(uplink.program.said)")
  }

  @Test func othersAreNotAnswered() throws {
    guard geteuid() == 0 else { return print("skipped: needs root, to become another user") }
    let l = Laboratory()
    let uplink = try #require(l.uplink([]))
    chmod(l.directory, 0o755)
    chmod(l.path("uplink.sock"), 0o666)
    let script = """
      socket(my $s, PF_UNIX, SOCK_STREAM, 0); connect($s, sockaddr_un($ARGV[0])) or exit 2; print sysread($s, my $b, 1) // "reset";
      """
    let other = Program(
      ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "perl", "-MSocket", "-e", script, l.path("uplink.sock")], in: l.directory,
      name: "other")
    #expect(other.wait() == 0 && ["0", "reset"].contains(contents(other.output)), "\(other.said)")
    #expect(try uplink.client.status().peersRefused == 1)
    #expect(uplink.program.said.contains("uid 65534") && uplink.program.said.contains("names no webhook"), "\(uplink.program.said)")
  }

  // MARK: Confinement

  @Test(arguments: [false, true]) func whatItMustNotDoIsRefused(asOrdinaryUser: Bool) throws {
    let l = Laboratory()
    l.write("uplink.yaml", "webhooks: {ops: {url: 'https://127.0.0.1:8443/', secret_file: \(l.path("secret"))}}\n")
    l.write("decisions.sqlite", "")
    var command = [
      Place.uplink, "--config", l.path("uplink.yaml"), "--check-confinement", l.path("decisions.sqlite"), l.path("secret"), l.path("uplink.yaml"),
    ]
    if asOrdinaryUser {
      guard geteuid() == 0 else { return print("skipped: needs root, to become another user") }
      for name in ["", "secret", "uplink.yaml", "decisions.sqlite"] { chown(l.path(name), 65534, 65534) }
      command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] + command
    }
    let program = Program(command, in: l.directory, name: "check")
    #expect(program.wait() == 0, "\(program.said)")
    let text = contents(program.output)
    #expect(!text.contains("ALLOWED"), "\(text)")
    for what in [
      "capabilities: none", "TCP to port 53 8443 only", "refused: reading /etc/passwd: Permission denied",
      "refused: reading \(l.path("decisions.sqlite"))",
      "refused: reading \(l.path("secret"))", "refused: reading \(l.path("uplink.yaml"))", "refused: AF_NETLINK", "refused: AF_PACKET",
      "refused: listening: Operation not permitted", "refused: connecting to port 9", "refused: a new process", "refused: CAP_NET_RAW",
    ] { #expect(text.contains(what), "\(what): \(text)") }
  }

  /// By the kernel's word, while it works, in every thread.
  @Test func theKernelSaysThatItHasNoCapability() throws {
    let l = Laboratory()
    // By name: that takes a thread.
    guard let receiver = l.receiver("receiver", "delay=1") else { return }
    let uplink = try #require(l.uplink([("ops", "http://127.0.0.1:\(receiver.port)/", "allow_http_to_loopback: true, timeout: 5s")]))
    #expect(try uplink.client.deliver(webhook: "ops", key: "k", body: body) == nil)
    #expect(eventually { receiver.requests.count == 1 })
    let facts = contents("/proc/\(uplink.program.pid)/status")
    for line in ["CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "CapInh:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
      #expect(facts.contains(line), "\(line): \(facts)")
    }
    if geteuid() == 0 { #expect(facts.contains("CapBnd:\t0000000000000000")) }
    #expect(contents("/proc/\(uplink.program.pid)/limits").contains("Max core file size        0 "))
    #expect(uplink.outcome("k")?.isDelivered == true)
  }

  /// What name lookups need is replaced by renaming on real hosts: it ends to be started anew, with a code that says so.
  @Test func replacedFilesEndIt() throws {
    guard let l = laboratory("good") else { return }
    let uplink = try #require(l.uplink([("ops", "https://127.0.0.1:1/", "authorities: \(l.path("ca.pem"))")]))
    l.write("new.pem", contents(l.path("ca.pem")))
    #expect(rename(l.path("new.pem"), l.path("ca.pem")) == 0)
    #expect(uplink.program.wait(seconds: 120) == EX_TEMPFAIL && uplink.program.said.contains("was replaced"), "\(uplink.program.said)")
  }
}
