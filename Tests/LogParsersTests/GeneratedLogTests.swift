// The generator's ground truth: as many attempts as it made, from the sources that made them.
import Events
import Foundation
import Primitives
import Testing

@testable import LogParsers

@Suite("Generated logs")
struct GeneratedLogTests {
  struct Variant: CustomTestStringConvertible, Sendable {
    var arguments: [String]
    var testDescription: String { arguments.isEmpty ? "default" : arguments.joined(separator: " ") }
  }

  @Test(
    "exactly the generator's attempts, source by source",
    arguments: [
      Variant(arguments: []), Variant(arguments: ["--ts", "rfc3339"]), Variant(arguments: ["--seed", "7"]),
      Variant(arguments: ["--seed", "11", "--adversarial", "0.2"]),
      Variant(arguments: ["--seed", "12", "--adversarial", "0.2", "--ts", "rfc3339", "--rate", "20"]),
      Variant(arguments: ["--start", "2025-12-31T20:00:00"]),
    ])
  func attempts(_ variant: Variant) throws {
    guard let shared = sharedDirectory() else {
      print("skipped: no folder 'shared' with tools/gen_logs.py beside the repository and PANGUARD_SHARED is not set")
      return
    }
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("panguard-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let log = directory.appendingPathComponent("auth.log")
    let truthFile = directory.appendingPathComponent("truth.json")
    let arguments = ["--kind", "sshd", "--lines", "20000", "--out", log.path, "--truth", truthFile.path] + variant.arguments
    guard let generator = Child("/usr/bin/env", ["python3", shared + "/tools/gen_logs.py"] + arguments), generator.end(within: 60),
      generator.succeeded
    else {
      print("skipped: gen_logs.py does not run here")
      return
    }
    let truth = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: truthFile)) as? [String: Any])
    var expected: [String: Int64] = [:]
    for (ip, facts) in truth["ips"] as? [String: [String: Any]] ?? [:] {
      if let n = facts["attempts"] as? Int, n > 0 { expected[try #require(IPAddress(ip)).description] = Int64(n) }
    }
    let data = try Data(contentsOf: log)
    var counted: [String: Int64] = [:]
    data.withUnsafeBytes { all in
      var parser = LogParser(format: .auto, inputTime: EventTime(rfc3339: "2026-11-20T00:00:00Z" as String)!)
      var tracker = SessionTracker()
      var event = Event()
      var derived = Event()
      var at = 0
      while at < all.count {
        let end = all.index(of: 0x0a, from: at) ?? all.count
        _ = parser.parse(all.slice(at, end), origin: EventOrigin(source: 0, offset: UInt64(at), length: UInt32(end - at)), into: &event)
        while tracker.nextExpired(asOf: event.time, into: &derived) {
          counted[derived.address(.sourceIP)?.description ?? "-", default: 0] += derived.integer(.attemptCount) ?? 0
        }
        tracker.observe(&event)
        if let n = event.integer(.attemptCount) { counted[event.address(.sourceIP)?.description ?? "-", default: 0] += n }
        at = end + 1
      }
      #expect(parser.counters.unparsed == 0)
      #expect(parser.counters.ambiguous == 0)
      #expect(tracker.evictions == 0)
    }
    #expect(counted == expected)
  }
}
