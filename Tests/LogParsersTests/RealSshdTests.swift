// The line forms, from the source: a real sshd on a loopback address, real clients with crafted user names, and raw probes.
// Clients come from 127.0.0.7, so that the address that must come out is not in any name.
import Events
import Foundation
import Glibc
import Primitives
import Testing

@testable import LogParsers

@Suite("A real sshd")
struct RealSshdTests {
  static let names: [String] = [
    "invalid user x from 9.9.9.9 port 22", "root from 9.9.9.9 port 1 ssh2", "x port 22 ssh2", " rhost=9.9.9.9",
    "Failed password for root from 9.9.9.9 port 1 ssh2", " ", "from", "[preauth]", "x [preauth]", "admin 9.9.9.9", String(repeating: "u", count: 200),
    " 9.9.9.9 port 22 [preauth]", "x 9.9.9.9 port 22: Too many authentication failures", "\u{fc}ser",
  ]

  /// nil: why it cannot run here.
  private func start(in directory: URL) throws -> (process: Child, port: UInt16, log: URL)? {
    func skip(_ reason: String) -> (process: Child, port: UInt16, log: URL)? {
      print("skipped: \(reason)")
      return nil
    }
    let files = FileManager.default
    guard files.isExecutableFile(atPath: "/usr/sbin/sshd"), files.isExecutableFile(atPath: "/usr/bin/ssh"),
      files.isExecutableFile(atPath: "/usr/bin/ssh-keygen")
    else {
      return skip("no sshd, ssh or ssh-keygen here (apt install openssh-server)")
    }
    if geteuid() == 0, !files.fileExists(atPath: "/run/sshd") {
      guard mkdir("/run/sshd", 0o755) == 0 else { return skip("sshd's privilege separation directory /run/sshd is missing") }
    }
    let key = directory.appendingPathComponent("host_key").path
    guard let keygen = Child("/usr/bin/ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]), keygen.end(within: 20), keygen.succeeded else {
      return skip("ssh-keygen fails")
    }
    for _ in 0..<5 {
      let port = UInt16.random(in: 20_000...50_000)
      let configuration = directory.appendingPathComponent("sshd_config")
      try """
      Port \(port)
      ListenAddress 127.0.0.1
      HostKey \(key)
      PidFile none
      UsePAM no
      PasswordAuthentication yes
      KbdInteractiveAuthentication no
      MaxAuthTries 2
      MaxStartups 200
      LogLevel VERBOSE
      StrictModes no
      """.write(to: configuration, atomically: true, encoding: .utf8)
      let log = directory.appendingPathComponent("log")
      unlink(log.path)
      guard let sshd = Child("/usr/sbin/sshd", ["-D", "-e", "-f", configuration.path], errorPath: log.path) else {
        return skip("sshd does not start")
      }
      for _ in 0..<60 {
        usleep(50_000)
        if let text = try? String(contentsOf: log, encoding: .utf8), text.contains("Server listening") { return (sshd, port, log) }
        if !sshd.isRunning { break }
      }
      sshd.stop()
    }
    return skip("sshd does not start here")
  }

  private func probe(port: UInt16, from last: UInt32, send bytes: [UInt8], waitMicroseconds: UInt32 = 100_000) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    func address(_ host: UInt32, _ port: UInt16) -> sockaddr_in {
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = host.bigEndian
      address.sin_port = port.bigEndian
      return address
    }
    func with<R>(_ address: sockaddr_in, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
      var copy = address
      return withUnsafePointer(to: &copy) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
      }
    }
    _ = with(address(0x7f00_0000 | last, 0)) { bind(descriptor, $0, $1) }
    guard with(address(0x7f00_0001, port), { connect(descriptor, $0, $1) }) == 0 else { return }
    if !bytes.isEmpty { _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } }
    usleep(waitMicroseconds)
  }

  @Test("crafted names and probes: the true address in every line that has one", .timeLimit(.minutes(1)))
  func craftedNames() throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("panguard-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    guard let server = try start(in: directory) else { return }
    defer { server.process.stop() }
    let askpass = directory.appendingPathComponent("askpass")
    try "#!/bin/sh\necho wrong\n".write(to: askpass, atomically: true, encoding: .utf8)
    chmod(askpass.path, 0o755)
    let environment = ["SSH_ASKPASS": askpass.path, "SSH_ASKPASS_REQUIRE": "force", "PATH": "/usr/bin:/bin", "HOME": directory.path]
    let clients = RealSshdTests.names.compactMap { name in
      Child(
        "/usr/bin/ssh",
        [
          "-F", "none", "-p", "\(server.port)", "-b", "127.0.0.7", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
          "-o", "NumberOfPasswordPrompts=1", "-o", "PreferredAuthentications=password", "-o", "ConnectTimeout=10", "-l", name, "127.0.0.1", "true",
        ], environment: environment)
    }
    probe(port: server.port, from: 8, send: Array("GET / HTTP/1.0\r\n\r\n".utf8))
    probe(port: server.port, from: 8, send: [])
    probe(port: server.port, from: 8, send: Array("SSH-1.5-probe from 9.9.9.9 port 1\r\n".utf8))
    probe(port: server.port, from: 8, send: Array("SSH-2.0-probe\r\n".utf8) + [UInt8](repeating: 0x41, count: 64))
    for client in clients { #expect(client.end(within: 20), "a client does not end") }
    usleep(300_000)
    server.process.stop()

    let data = try Data(contentsOf: server.log)
    let lines = data.split(separator: 0x0a).map { String(decoding: $0, as: UTF8.self) }
    let events = parse(lines: lines, program: "sshd")
    var failedNames: Set<String> = []
    var invalidNames: Set<String> = []
    for (line, event) in zip(lines, events) {
      if let ip = event["source.ip"] { #expect(["127.0.0.7", "127.0.0.8"].contains(ip), "\(line)") }
      if line.contains("127.0.0.7") || line.contains("127.0.0.8") {
        #expect(event["#outcome"] == "parsed", "\(line)")
        #expect(event["source.ip"] != nil, "\(line)")
        #expect(event["panguard.ambiguous"] == nil, "\(line)")
      }
      if event["event.action"] == "ssh-login" {
        #expect(event["event.outcome"] == "failure")
        failedNames.insert(event["user.name"] ?? "-")
      }
      if event["event.action"] == "ssh-invalid-user" { invalidNames.insert(event["user.name"] ?? "-") }
    }
    // sshd writes at most 100 bytes of a name, non-ASCII bytes as vis(3) octal, and takes what follows a colon as an authentication
    // style. (The client refuses names with control characters.)
    func written(_ name: String) -> String {
      var out = ""
      for byte in name.utf8.prefix(while: { $0 != 0x3a }).prefix(100) {
        if byte == 0x5c {
          out += "\\\\"
        } else if byte >= 0x20 && byte < 0x7f {
          out.unicodeScalars.append(Unicode.Scalar(byte))
        } else {
          let octal = String(byte, radix: 8)
          out += "\\" + String(repeating: "0", count: 3 - octal.count) + octal
        }
      }
      return out
    }
    for name in RealSshdTests.names {
      #expect(invalidNames.contains(written(name)), "no 'Invalid user' for \(name.debugDescription)")
      #expect(failedNames.contains(written(name)), "no 'Failed password' for \(name.debugDescription)")
    }
    #expect(events.contains { $0["event.action"] == "ssh-protocol-error" && $0["source.ip"] == "127.0.0.8" })
    #expect(events.contains { $0["event.action"] == "ssh-connection" && $0["source.ip"] == "127.0.0.8" })
    #expect(events.contains { $0["event.action"] == "ssh-listening" })
  }
}
