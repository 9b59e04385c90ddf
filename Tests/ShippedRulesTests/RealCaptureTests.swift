// Captures of real attacks and of real, ordinary traffic: what the shipped rules say of them. The captures are not part of the repository; where
// they are absent this says so and is done.
import AgentRuntime
import CaptureReplay
import Detection
import Foundation
import PacketSources
import Primitives
import RuleEngine
import RuleLanguage
import Testing

private let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

/// What one capture must show.
private struct RealCapture: CustomTestStringConvertible {
  /// Below corpora/pcap.
  var file: String
  /// Files of rules, without their endings. The first one names the attack.
  var fires: [String]
  var testDescription: String { file }
  init(_ file: String, _ fires: String...) {
    self.file = file
    self.fires = fires
  }
}

private let attacks = [
  RealCapture(
    "attack_real/ndpi--WebattackRCE.pcap", "http-attack-series", "http-scanner-agent", "http-path-traversal", "http-command-injection",
    "http-webshell-command", "http-exploit-path", "http-secret-path"),
  RealCapture("attack_real/ndpi--log4j-webapp-exploit.pcap", "http-log4shell", "http-class-by-virtual-machine"),
  RealCapture("attack_real/ndpi--dns-tunnel-iodine.pcap", "dns-tunnel", "dns-rare-types"),
  RealCapture("attack_real/ndpi--dns-exf.pcap", "dns-packed-data-in-name"),
  RealCapture("attack_real/ndpi--trickbot.pcap", "http-post-to-bare-address"),
  RealCapture("attack_real/ndpi--ethereum.pcap", "currency-peer-network"),
  RealCapture("attack_real/ndpi--tcp_scan.pcapng", "flag-scan"),
  RealCapture("attack_real/simplescan--port_scan.pcap", "scan-suspected"),
  RealCapture("attack_real/simplescan--multiport_scan.pcap", "scan-suspected"),
  RealCapture("conformance/zeek--ssh__sshguess.pcap", "ssh-sessions-refused"),
  RealCapture("conformance/zeek--http__cooper-grill-dvwa.pcapng", "http-sql-injection", "http-attack-series"),
  RealCapture("conformance/zeek--http__ctu-62604-80.pcap", "http-post-to-bare-address"),
  RealCapture("conformance/sv--tcp-fastopen-01__tfo.pcap", "http-path-traversal"),
]

/// Labelled as attacks by their origin, of which nothing is to be told: the reason.
private let harmless = [
  // A scan's echo: answers to packets that others sent in these hosts' names.
  "attack_real/simplescan--backscatter.trace",
  // The password of `anonymous` is no secret.
  "attack_real/ndpi--ftp.pcap",
  // One question for an ordinary name, one datagram, one certificate of a list that is not here.
  "attack_real/ndpi--dns_long_domainname.pcap", "attack_real/ndpi--netbios_wildcard_dns_query.pcap", "attack_real/ndpi--tls_malicious_sha1.pcapng",
]
/// Among the ordinary captures these show what deserves to be told, with confidence: remote desktop that answers the Internet.
private let deserving = ["conformance/ndpi--rdp_over_tls.pcap": "remote-desktop-from-public"]

@Suite struct RealCaptureTests {
  private static let folder: String? = {
    let path =
      (ProcessInfo.processInfo.environment["PANGUARD_SHARED"] ?? root + "/../shared") + "/corpora/pcap"
    return FileManager.default.fileExists(atPath: path) ? path : nil
  }()
  /// Those about packets alone: rules about logs are never asked about captures. A correlation with them says that it lacks them.
  private static let loaded = RuleStore.load(yaml: ["\(root)/rules/network"])
  private static let names = Dictionary(
    loaded.set.rules.map { ($0.id, String(($0.location.file.split(separator: "/").last ?? "").prefix { $0 != "." })) },
    uniquingKeysWith: { first, _ in first })
  /// Expressions are compiled once.
  private static let database = RuleEngine(loaded.set).serializedDatabase()

  /// Decisions on a file, or nil where there is none.
  private static func decisions(_ file: String) -> [Decision]? {
    guard let folder, let bytes = FileManager.default.contents(atPath: folder + "/" + file) else {
      print("skipped: \(file) is not here (set PANGUARD_SHARED)")
      return nil
    }
    let detector = Detector(
      ruleSet: loaded.set, ruleSetHash: loaded.hash, configuration: DetectorConfiguration(), engineVersion: "test", cachedDatabase: database)
    let replay = Replay(pipeline: Pipeline(detector: detector))
    replay.add(CaptureReplay(path: file, modificationTime: .zero, reader: CaptureReader(bytes: Array(bytes), step: .max)))
    var found: [Decision] = []
    _ = replay.run { found.append($0) }
    return found
  }
  private static func said(_ decisions: [Decision]) -> [String] {
    Array(Set(decisions.map { "\(names[$0.ruleID] ?? $0.ruleID) \($0.confidence)" })).sorted()
  }

  @Test(arguments: attacks) private func attack(_ capture: RealCapture) {
    guard let found = Self.decisions(capture.file) else { return }
    let fired = Set(found.compactMap { Self.names[$0.ruleID] })
    for rule in capture.fires { #expect(fired.contains(rule), "\(rule) is silent; \(Self.said(found))") }
  }

  @Test(arguments: harmless) func nothingIsToldOf(_ file: String) {
    guard let found = Self.decisions(file) else { return }
    #expect(Self.said(found) == [])
  }

  /// Ordinary traffic of many years and makers: something may be said of it, nothing with confidence.
  @Test func nobodyIsAccusedInOrdinaryCaptures() throws {
    guard let folder = Self.folder else {
      print("skipped: no captures (set PANGUARD_SHARED)")
      return
    }
    let known = Set(attacks.map(\.file) + ["conformance/sv--tcp-fastopen-13__tfo.pcap"])
    let files = try FileManager.default.contentsOfDirectory(atPath: folder + "/conformance").sorted().map { "conformance/" + $0 }
    #expect(files.count >= 200)
    for file in files where !known.contains(file) {
      let sure = (Self.decisions(file) ?? []).filter { $0.confidence.thousandths >= 700 && Self.names[$0.ruleID] != deserving[file] }
      #expect(sure.isEmpty, "\(file): \(Self.said(sure))")
    }
  }
}
