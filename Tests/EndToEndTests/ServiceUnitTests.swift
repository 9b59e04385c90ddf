// The systemd units that are shipped: how exposed they are by systemd's own measure, and whether systemd understands them. Needs no running
// systemd; skipped where its tools are missing.
import Glibc
import Testing

@Suite struct ServiceUnitTests {
  private static let directory = Product.root + "/packaging/systemd"
  private static let analyze = "/usr/bin/systemd-analyze"
  private static let services = [
    "panguardd.service", "panguard-enforcer.service", "panguard-uplink.service", "panguard-responder.service", "panguard-capture.service",
  ]

  private func run(_ arguments: [String], _ d: TemporaryDirectory) -> (code: Int32, text: String) {
    let code = Child(arguments, output: d["out"], errors: d["err"]).wait(seconds: 60) ?? -1
    return (code, String(decoding: d.contents("out") + d.contents("err"), as: UTF8.self))
  }

  /// `systemd-analyze security` ends with 1 above the threshold, which is ten times the figure that it prints.
  @Test(arguments: services) func exposureIsAtMostOneAndAHalf(_ service: String) {
    guard access(ServiceUnitTests.analyze, X_OK) == 0 else { return skip("systemd-analyze is not installed") }
    let d = TemporaryDirectory()
    let (code, text) = run(
      [ServiceUnitTests.analyze, "--no-pager", "security", "--offline=true", "--threshold=15", "\(ServiceUnitTests.directory)/\(service)"], d)
    #expect(code == 0, "\(text)")
    #expect(text.contains("Overall exposure level for \(service)"), "\(text)")
    #expect(!text.contains("ignoring"), "\(text)")
  }

  @Test func systemdUnderstandsTheUnits() throws {
    guard access(ServiceUnitTests.analyze, X_OK) == 0 else { return skip("systemd-analyze is not installed") }
    let d = TemporaryDirectory()
    // The programs need not be installed where this runs: their place is taken by one that is there.
    let sockets = ["panguardd.socket", "panguard-enforcer.socket", "panguard-uplink.socket", "panguard-responder.socket", "panguard-capture.socket"]
    let names = ServiceUnitTests.services + sockets + ["panguard.target"]
    for name in names {
      let unit = "\(ServiceUnitTests.directory)/\(name)"
      let place = "s#=/usr/(lib/panguard|bin)/panguard[a-z-]*#=/bin/true#; /^Documentation=/d"
      _ = Child(["/bin/sed", "-E", place, unit], output: d[name], errors: d["err"]).wait(seconds: 120)
    }
    let (code, text) = run([ServiceUnitTests.analyze, "verify"] + names.map { d[$0] }, d)
    #expect(code == 0, "\(text)")
    #expect(!text.contains(d.path), "\(text)")
  }

  /// Six quick ends, as a kill or a crash brings them about, must not leave the host without them.
  @Test func quickEndsDoNotKeepAUnitDown() {
    let d = TemporaryDirectory()
    for service in ServiceUnitTests.services {
      let text = run(["/bin/cat", "\(ServiceUnitTests.directory)/\(service)"], d).text
      #expect(text.contains("\nStartLimitIntervalSec=0\n") && text.contains("\nRestart=on-failure\n"), "\(service)")
    }
    for socket in ServiceUnitTests.services.map({ $0.replacing(".service", with: ".socket") }) {
      #expect(run(["/bin/cat", "\(ServiceUnitTests.directory)/\(socket)"], d).text.contains("\nTriggerLimitIntervalSec=0\n"), "\(socket)")
    }
  }

  /// A capability, a socket family or a group that appears in a unit is a decision, not a slip.
  @Test func privilegesAreTheDocumentedOnes() throws {
    let expected: [(service: String, lines: [String])] = [
      (
        "panguardd.service",
        [
          "User=panguard", "SupplementaryGroups=adm systemd-journal", "CapabilityBoundingSet=", "AmbientCapabilities=",
          "RestrictAddressFamilies=AF_UNIX",
        ]
      ),
      (
        "panguard-enforcer.service",
        [
          "User=panguard-enforcer", "CapabilityBoundingSet=CAP_NET_ADMIN", "AmbientCapabilities=CAP_NET_ADMIN",
          "RestrictAddressFamilies=AF_UNIX AF_NETLINK",
        ]
      ),
      (
        "panguard-responder.service",
        [
          "User=panguard-responder", "CapabilityBoundingSet=CAP_KILL CAP_SETUID CAP_SETGID", "AmbientCapabilities=CAP_KILL CAP_SETUID CAP_SETGID",
          "RestrictAddressFamilies=AF_UNIX",
        ]
      ),
      (
        "panguard-uplink.service",
        [
          "User=panguard-uplink", "CapabilityBoundingSet=", "AmbientCapabilities=", "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
        ]
      ),
      (
        "panguard-capture.service",
        [
          "User=panguard-capture", "CapabilityBoundingSet=CAP_NET_RAW", "AmbientCapabilities=CAP_NET_RAW",
          "RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_PACKET",
        ]
      ),
    ]
    let keys = ["User=", "SupplementaryGroups=", "CapabilityBoundingSet=", "AmbientCapabilities=", "RestrictAddressFamilies="]
    for (service, lines) in expected {
      let d = TemporaryDirectory()
      let (_, text) = run(["/bin/cat", "\(ServiceUnitTests.directory)/\(service)"], d)
      let found = text.split(separator: "\n").map(String.init).filter { line in keys.contains { line.hasPrefix($0) } }
      #expect(found.sorted() == lines.sorted(), "\(service)")
    }
  }
}
