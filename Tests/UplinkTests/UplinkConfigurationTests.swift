// The uplink's configuration: what is taken, and what is refused with file and line.
import Glibc
import Primitives
import Testing

@testable import Uplink

@Suite struct UplinkConfigurationTests {
  private func load(_ text: String) -> (UplinkConfiguration?, String) {
    let (configuration, diagnostics) = Array(text.utf8).withUnsafeBytes { UplinkConfiguration.load($0, file: "uplink.yaml") }
    return (configuration, diagnostics.map { "\($0)" }.joined(separator: "\n"))
  }

  @Test func theReferenceLoadsAndNamesNothing() {
    let (configuration, problems) = load(UplinkConfiguration.reference)
    #expect(configuration?.webhooks.isEmpty == true && problems.isEmpty, "\(problems)")
    for key in UplinkKey.all { #expect(UplinkConfiguration.reference.contains("\n\(key.name): \(key.defaultText)\n")) }
    for key in WebhookKey.all { #expect(UplinkConfiguration.reference.contains("\n#     \(key.name): \(key.example)\n")) }
  }

  @Test func itsExampleIsGoodOnceItsSecretIsThere() {
    let l = Laboratory()
    let lines = UplinkConfiguration.reference.split(separator: "\n").map(String.init)
    let example = lines.filter { $0.hasPrefix("#   ") && !$0.hasPrefix("#     #") }.map { $0.dropFirst(2) }.joined(separator: "\n")
    let (configuration, problems) = load("webhooks:\n" + example.replacing("/etc/panguard/ops.secret", with: l.path("secret")))
    guard access(Webhook.systemAuthorities, R_OK) == 0 else { return print("skipped: no \(Webhook.systemAuthorities)") }
    #expect(configuration?.webhooks.first?.url.text == "https://hooks.example.org/panguard", "\(problems)")
  }

  @Test func aFullOneIsTaken() {
    let l = Laboratory()
    let pin = "sha256//" + String(repeating: "A", count: 43) + "="
    let (configuration, problems) = load(
      """
      webhooks:
        ops:
          url: https://hooks.example.org:8443/x?token=abc
          secret_file: \(l.path("secret"))
          pin: [\(pin), \(pin)]
          timeout: 3s
        a.b-c_D: {url: 'http://[::1]:8080/', secret_file: \(l.path("secret")), allow_http_to_loopback: true}
      socket: /run/x.sock
      engine_user: other
      """)
    #expect(configuration != nil, "\(problems)")
    #expect(configuration?.webhooks.map(\.name) == ["a.b-c_D", "ops"] && configuration?.webhooks.map(\.url.port) == [8080, 8443])
    #expect(configuration?.webhooks[1].pins.count == 2 && configuration?.webhooks[1].timeout == .seconds(3))
    #expect(configuration?.webhooks[1].secret == Array(Laboratory.secret.utf8) && configuration?.webhooks[0].url.isPlain == true)
    #expect(configuration?.socketPath == "/run/x.sock" && configuration?.engineUser == "other")
  }

  @Test(arguments: [
    ("url: http://hooks.example.org/", "must begin with https://"),
    ("url: http://127.0.0.1/", "must begin with https://"),
    ("url: http://127.0.0.1.example.org/, allow_http_to_loopback: true", "must begin with https://"),
    ("url: http://localhost/, allow_http_to_loopback: true", "must begin with https://"),
    ("url: http://10.0.0.1/, allow_http_to_loopback: true", "must begin with https://"),
    ("url: ftp://hooks.example.org/", "must begin with https://"), ("url: file:///etc/passwd", "must begin with https://"),
    ("url: 'https://user:hunter2@hooks.example.org/'", "without a user name or password"),
    ("url: 'https://hooks.example.org/a b'", "without spaces"), ("url: 'https://hooks.example.org:0/'", "a port above 0"),
    ("url: 'https://hooks.example.org:99999/'", "'webhooks.ops.url'"), ("url: 'https://'", "'webhooks.ops.url'"),
    ("timeout: 10s", "'webhooks.ops.url' is missing"),
    ("url: https://h.example/, timeout: 500ms", "between 1s and 60s"), ("url: https://h.example/, timeout: 2m", "between 1s and 60s"),
    ("url: https://h.example/, pin: abc", "44 characters of base64"), ("url: https://h.example/, pin: [md5//x]", "44 characters of base64"),
    ("url: https://h.example/, authorities: /nowhere.pem", "a file that can be read"),
    ("url: https://h.example/, method: GET", "unknown key 'method'"),
  ])
  func whatIsWrongIsSaid(_ keys: String, _ words: String) {
    let l = Laboratory()
    let (configuration, problems) = load("webhooks:\n  ops: {secret_file: \(l.path("secret")), \(keys)}\n")
    #expect(configuration == nil && problems.contains("uplink.yaml:2:") && problems.contains(words), "\(problems)")
    #expect(!problems.contains("hunter2"), "\(problems)")
  }

  @Test func namesAndCountsAreBounded() {
    let l = Laboratory()
    let (bad, words) = load("webhooks:\n  'a b': {url: https://h.example/, secret_file: \(l.path("secret"))}\n")
    #expect(bad == nil && words.contains("uplink.yaml:2:3: error: a webhook's name"), "\(words)")
    let many = (0...Limits.webhooks).map { "  w\($0): {url: https://h.example/, secret_file: \(l.path("secret"))}\n" }.joined()
    #expect(load("webhooks:\n" + many).0 == nil)
  }

  @Test func aSecretThatOthersReadIsRefused() {
    let l = Laboratory()
    func problem(_ path: String) -> String { load("webhooks: {ops: {url: https://h.example/, secret_file: \(path)}}").1 }
    #expect(problem(l.path("secret")).isEmpty)
    chmod(l.path("secret"), 0o640)
    #expect(problem(l.path("secret")).contains("others may read it"))
    #expect(
      problem(l.path("none")).contains("No such file") && problem("secret").contains("absolute path") && problem(l.directory).contains("regular file")
    )
    l.write("short", "0123456789abcde\n", mode: 0o600)
    #expect(problem(l.path("short")).contains("has 15 bytes"))
    l.write("long", String(repeating: "x", count: 1025), mode: 0o600)
    #expect(problem(l.path("long")).contains("1024"))
    if geteuid() == 0 {
      l.write("other", Laboratory.secret, mode: 0o600)
      chown(l.path("other"), 65534, 65534)
      #expect(problem(l.path("other")).contains("belongs to user 65534"))
    }
  }

  @Test func aFileThatOthersWriteIsRefused() {
    let l = Laboratory()
    l.write("uplink.yaml", "webhooks: {}\n")
    #expect(UplinkConfiguration.load(path: l.path("uplink.yaml")).configuration != nil)
    for mode: mode_t in [0o664, 0o646] {
      chmod(l.path("uplink.yaml"), mode)
      let (configuration, diagnostics) = UplinkConfiguration.load(path: l.path("uplink.yaml"))
      #expect(configuration == nil && diagnostics.contains { "\($0)".contains("others may write this file") })
    }
  }
}
