// Real programs for the tests of the uplink: itself, and a receiver on loopback with certificates that the test makes.
import CLinux
import Glibc
import Primitives
import UplinkProtocol

enum Place {
  static let root: String = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
  static let uplink: String = {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let n = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count) }
    let own = String(decoding: buffer.prefix(max(0, n)), as: UTF8.self)
    let beside = own.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/panguard-uplink"
    return access(beside, X_OK) == 0 ? beside : root + "/.build/debug/panguard-uplink"
  }()
}

func contents(_ path: String) -> String {
  let file = pg_open(path, O_RDONLY, 0)
  guard file >= 0 else { return "" }
  defer { close(file) }
  var out: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 65536)
  while case let n = read(file, &chunk, chunk.count), n > 0 { out.append(contentsOf: chunk[..<n]) }
  return String(decoding: out, as: UTF8.self)
}

func eventually(seconds: Int = 90, _ condition: () -> Bool) -> Bool {
  for _ in 0..<(seconds * 50) {
    if condition() { return true }
    usleep(20_000)
  }
  return condition()
}

/// A started program, with its output in files. Killed when nobody holds it any more.
final class Program {
  let pid: pid_t
  let output: String
  let errors: String
  private var code: Int32?

  init(_ arguments: [String], in directory: String, name: String) {
    (output, errors) = ("\(directory)/\(name).out", "\(directory)/\(name).err")
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    // A proxy that the environment names is none of ours.
    let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
    let proxy = "http://127.0.0.1:1"
    let variables = ["PATH=\(path)", "HOME=/root", "https_proxy=\(proxy)", "http_proxy=\(proxy)", "ALL_PROXY=\(proxy)"]
    var environment: [UnsafeMutablePointer<CChar>?] = variables.map { strdup($0) } + [nil]
    defer { (argv + environment).forEach { free($0) } }
    var pid: pid_t = 0
    if posix_spawnp(&pid, arguments[0], &actions, nil, &argv, &environment) != 0 { pid = 0 }
    self.pid = pid
  }
  deinit { end(SIGKILL) }

  var said: String { contents(errors) }
  @discardableResult
  func end(_ signal: Int32 = SIGTERM) -> Int32? {
    if pid > 0, code == nil { kill(pid, signal) }
    return wait()
  }
  /// The exit code, or nil where it does not end.
  @discardableResult
  func wait(seconds: Int = 90) -> Int32? {
    guard pid > 0 else { return nil }
    _ = eventually(seconds: seconds) {
      var status: Int32 = 0
      if code == nil, waitpid(pid, &status, WNOHANG) == pid { code = status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f }
      return code != nil
    }
    return code
  }
}

/// A directory with a certificate authority, certificates, a secret, receivers and an uplink.
final class Laboratory {
  let directory: String
  static let secret = "0123456789abcdef0123456789abcdef"
  private var number = 0

  init() {
    var template = Array("/tmp/panguard-uplink-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { fatalError("mkdtemp") }
    directory = String(cString: made)
    // Started by root, the uplink becomes another user where there is one for it, and still reads certificates.
    chmod(directory, 0o755)
    write("secret", Laboratory.secret + "\n", mode: 0o600)
  }
  deinit { Program(["rm", "-rf", directory], in: "/tmp", name: "panguard-uplink-\(getpid())").wait() }

  func path(_ name: String) -> String { "\(directory)/\(name)" }
  @discardableResult
  func write(_ name: String, _ text: String, mode: mode_t = 0o644) -> String {
    unlink(path(name))
    let file = pg_open(path(name), O_WRONLY | O_CREAT | O_TRUNC, mode)
    let bytes = Array(text.utf8)
    _ = Glibc.write(file, bytes, bytes.count)
    close(file)
    return path(name)
  }
  private func run(_ arguments: [String]) -> (code: Int32, output: String) {
    number += 1
    let program = Program(arguments, in: directory, name: "run\(number)")
    let code = program.wait() ?? -1
    return (code, contents(program.output))
  }

  /// ca.pem, and NAME.pem with NAME.key for `hosts`; false where openssl is not there.
  func makeCertificates(_ names: [String], days: Int = 2, hosts: String = "DNS:localhost,IP:127.0.0.1") -> Bool {
    write("ext", "subjectAltName=\(hosts)\n")
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    var script = "cd \(directory)\n[ -e ca.pem ] || openssl req -x509 \(key) -keyout ca.key -out ca.pem -days 2 -subj '/CN=Test CA'\n"
    for name in names {
      script += """
        openssl req \(key) -keyout \(name).key -out \(name).csr -subj /CN=localhost
        openssl x509 -req -in \(name).csr -CA ca.pem -CAkey ca.key -CAcreateserial -days \(days) -extfile ext -out \(name).pem

        """
    }
    return run(["bash", "-ec", script]).code == 0
  }
  /// "sha256//..." of the public key of NAME.pem.
  func pin(_ name: String) -> String {
    let script = "openssl x509 -in \(path(name)).pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64"
    return "sha256//" + run(["bash", "-c", script]).output.split(separator: "\n").joined()
  }

  func receiver(_ name: String, _ options: String...) -> Receiver? { receiver(name, options) }
  func receiver(_ name: String, _ options: [String]) -> Receiver? {
    let program = Program(
      ["python3", Place.root + "/Tests/UplinkTests/Receiver/receiver.py", path(name + ".log"), path("secret")] + options, in: directory, name: name)
    guard eventually({ !contents(program.output).isEmpty }), let port = UInt16(contents(program.output).split(separator: "\n")[0]) else {
      print("skipped: needs python3 (scripts/setup --tests): \(program.said)")
      return nil
    }
    return Receiver(program: program, port: port, log: path(name + ".log"))
  }
  /// One that speaks TLS with NAME.pem.
  func tlsReceiver(_ name: String, certificate: String, _ options: String...) -> Receiver? {
    receiver(name, ["certificate=\(path(certificate)).pem", "key=\(path(certificate)).key"] + options)
  }

  /// An uplink with these webhooks: name, address, further keys ("timeout: 1s").
  func uplink(_ webhooks: [(name: String, url: String, more: String)]) -> Uplink? {
    let list = webhooks.map { webhook in
      "  \(webhook.name): {url: '\(webhook.url)', secret_file: \(path("secret"))\(webhook.more.isEmpty ? "" : ", ")\(webhook.more)}\n"
    }.joined()
    write("uplink.yaml", "webhooks:\n\(list)socket: \(path("uplink.sock"))\n")
    return uplink()
  }
  func uplink() -> Uplink? {
    let program = Program([Place.uplink, "--config", path("uplink.yaml")], in: directory, name: "uplink")
    guard eventually({ access(path("uplink.sock"), F_OK) == 0 && program.said.contains("ready") }),
      let client = try? UplinkClient(path: path("uplink.sock"))
    else {
      print("the uplink does not start: \(program.said)")
      return nil
    }
    return Uplink(program: program, client: client)
  }
}

struct Receiver {
  let program: Program
  let port: UInt16
  let log: String
  /// One line of JSON each.
  var requests: [String] { contents(log).split(separator: "\n").map(String.init) }
  var connections: Int { Int(contents(log + ".connections")) ?? 0 }
}

struct Uplink {
  let program: Program
  let client: UplinkClient

  /// What came of `key`; nil: nothing within the time.
  func outcome(_ key: String, seconds: Int = 90) -> DeliveryOutcome? {
    var found: DeliveryOutcome?
    _ = eventually(seconds: seconds) {
      found = ((try? client.collect()) ?? []).first { $0.key == key }
      return found != nil
    }
    return found
  }
  func problem(_ webhook: String) -> String { (try? client.status())?.webhooks.first { $0.name == webhook }?.problem ?? "" }
}
