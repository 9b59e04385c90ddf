// kill -9 at any point, a hundred times, while lines come and logs rotate: nothing that was acknowledged is lost, no line is read
// twice, and in the end the same is found as in one quiet replay.
import CLinux
import Detection
import Glibc
import PanguardTestKit
import Primitives
import Storage
import Testing

@Suite struct KillTests {
  /// Renames auth.log.1 to .2 and so on, as logrotate does.
  private static func rotate(_ d: TemporaryDirectory, packsOlder: Bool, packsNewest: Bool) {
    for n in (1..<60).reversed() {
      for suffix in ["", ".gz"] where d.exists("auth.log.\(n)\(suffix)") { d.rename("auth.log.\(n)\(suffix)", "auth.log.\(n + 1)\(suffix)") }
    }
    d.rename("auth.log", "auth.log.1")
    if packsOlder, d.exists("auth.log.2") { run(["/bin/gzip", d["auth.log.2"]]) }
    if packsNewest { run(["/bin/gzip", d["auth.log.1"]]) }
  }

  @Test(.timeLimit(.minutes(5))) func aHundredKillsLoseNothingAndRepeatNothing() throws {
    let d = TemporaryDirectory()
    var random = SplitMix64(seed: 20_260_105)
    let kills = 100
    let attacks = Workload.attacks(0..<kills)
    var written = 0
    var all = ""
    func write(_ lines: ArraySlice<String>) {
      let text = lines.joined()
      d.append(text, to: "auth.log")
      all += text
      written += lines.count
    }
    d.append("", to: "auth.log")
    let agent = RunningAgent(d)
    // Kills that came when something had been acknowledged since the one before.
    var workingKills = 0
    var acknowledged: Int64 = 0
    // Compiling the rules for the first time may take longer than a whole round; a log that rotates before it was ever seen is not read.
    #expect(agent.isUp(), "\(agent.errors)")
    for n in 0..<kills {
      if n > 0 { agent.start() }
      // The attack comes in two parts, at random moments; sometimes the log rotates between them, sometimes while nobody runs.
      let lines = attacks[n]
      let cut = Int.random(in: 1..<lines.count, using: &random)
      usleep(UInt32.random(in: 0...200_000, using: &random))
      write(lines[..<cut])
      let rotation = Int.random(in: 0..<12, using: &random)
      if rotation == 0 {
        Self.rotate(d, packsOlder: Bool.random(using: &random), packsNewest: false)
        d.append("", to: "auth.log")
      }
      usleep(UInt32.random(in: 0...200_000, using: &random))
      write(lines[cut...])
      // Half of them as soon as it works, the others whatever it does.
      if Bool.random(using: &random) { _ = eventually(seconds: 5) { agent.status() != nil } }
      usleep(UInt32.random(in: 0...150_000, using: &random))
      agent.killAtOnce()
      let now = agent.acknowledgedLines()
      #expect(now >= acknowledged && now <= Int64(written))
      if now > acknowledged { workingKills += 1 }
      acknowledged = now
      if rotation == 1 {
        // The next append makes the new file.
        Self.rotate(d, packsOlder: false, packsNewest: Bool.random(using: &random))
      }
    }
    agent.start()
    #expect(agent.acknowledges(written), "\(agent.acknowledgedLines()) of \(written) lines; \(agent.errors)")
    #expect(agent.isUp())
    let errors = agent.errors
    #expect(agent.stop() == 0)
    #expect(agent.acknowledgedLines() == Int64(written))
    #expect(!errors.contains("warning"), "\(errors)")

    let decisions = try agent.decisions()
    d.write(all, to: "whole.log")
    let whole = panguard("replay", "--rules", Product.rules, "--format", "jsonl", d["whole.log"])
    let expected = findings(try whole.decisions)
    let found = findings(decisions)
    let more = decisions.filter { !expected.contains("\($0.ruleID) \($0.subject.label)") }
    #expect(found == expected, "missing: \(expected.subtracting(found).sorted()), more: \(more)")
    #expect(expected.count >= kills)
    #expect(workingKills > kills / 3)
    // One incident for each finding: none was opened a second time.
    let incidents = Dictionary(grouping: decisions) { "\($0.ruleID) \($0.subject.label)" }.filter { $0.value.count > 1 }
    #expect(incidents.isEmpty, "\(incidents.keys.sorted())")
  }
}
