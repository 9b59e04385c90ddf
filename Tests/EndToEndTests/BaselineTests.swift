// The baseline as an operator meets it: learned from recorded logs, taken up by replay and by the agent, there after a restart, corrected.
import AgentRuntime
import Detection
import Export
import Glibc
import Primitives
import Storage
import Testing

@Suite struct BaselineTests {
  /// A quiet host: cron twice an hour, two people at work from their own networks, each with their own commands.
  private static func month(days: Range<Int64> = 0..<28) -> String {
    var out: [UInt8] = []
    for day in days {
      for hour in 0..<24 as Range<Int64> {
        func line(_ minute: Int64, _ text: String) {
          (start + .days(day) + .hours(hour) + .minutes(minute)).append(to: &out)
          out += Array(" web01 \(text)\n".utf8)
        }
        let isAtWork = [8, 10, 13, 17].contains(hour)
        if isAtWork {
          line(5, "sshd[\(1000 + hour)]: Accepted publickey for alice from 198.51.100.21 port 50122 ssh2: ED25519 SHA256:\(key)")
          line(6, "sudo:    alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/apt update")
        }
        line(17, "CRON[300]: (root) CMD (cd / && run-parts --report /etc/cron.hourly)")
        if isAtWork {
          line(30, "sshd[\(2000 + hour)]: Accepted publickey for carol from 198.51.100.200 port 50123 ssh2: ED25519 SHA256:\(key)")
        }
        line(47, "CRON[301]: (root) CMD (/usr/lib/sysstat/sa1)")
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
  private static let start = EventTime(rfc3339: "2026-01-05T00:00:00Z")!
  private static let key = "Gd4hdRkV4jjYV1jUIbuk5lqkAkgTvK0B1cDAkv5OzQE"
  private static func strange(_ time: String) -> String {
    """
    \(time):03:00Z web01 sshd[4100]: Accepted password for alice from 203.0.113.77 port 50999 ssh2
    \(time):04:00Z web01 sudo:    alice : TTY=pts/0 ; PWD=/home/alice ; USER=postgres ; COMMAND=/usr/bin/nc -l 4444
    \(time):05:00Z web01 CRON[301]: (root) CMD (/tmp/.x/update)

    """
  }
  private static let novelties: Set = [
    "ATR-2026-90901", "ATR-2026-90902", "ATR-2026-90904", "ATR-2026-90905", "ATR-2026-90907", "ATR-2026-90910", "ATR-2026-90911",
  ]
  private func rules(_ output: [String]) -> Set<String> {
    Set(output.compactMap { line in line.firstRange(of: "ATR-2026-909").map { String(line[$0.lowerBound...].prefix(14)) } })
  }

  @Test func whatWasLearnedFromLogsIsTakenUpByReplay() {
    let d = TemporaryDirectory()
    d.write(Self.month(), to: "month.log")
    d.write(Self.strange("2026-02-02T02"), to: "today.log")
    let learned = panguard("baseline", "learn", "--rules", Product.rules, "-o", d["b"], d["month.log"])
    #expect(learned.status == 0 && learned.text.contains("login_network") && learned.errors.isEmpty, "\(learned)")
    // Nothing ordinary is told, neither then nor in one go, and nothing at all by who knows nothing.
    let quiet = panguard("replay", "--rules", Product.rules, "--format", "jsonl", d["month.log"])
    #expect(rules(quiet.lines) == [], "\(quiet.text)")
    let blind = panguard("replay", "--rules", Product.rules, "--format", "jsonl", d["today.log"])
    #expect(rules(blind.lines) == [])
    let knowing = panguard("replay", "--rules", Product.rules, "--format", "jsonl", "--baseline", d["b"], d["today.log"])
    #expect(rules(knowing.lines) == Self.novelties, "\(knowing.text)")
    // Each says what was known when it was made.
    let unusual = knowing.lines.filter { $0.contains("ATR-2026-909") }
    #expect(unusual.count == 7 && unusual.allSatisfy { $0.contains(#""baseline":[{"field":"baseline."#) && $0.contains(#","learned_days":28}"#) })
    let network = #"{"field":"baseline.login_network","subject":"alice","object":"203.0.113.0/24","novelty":"new","learned_days":28}"#
    #expect(knowing.text.contains(network))
    #expect(!knowing.text.contains("block_ip"))
    let merged = panguard("replay", "--rules", Product.rules, "--format", "jsonl", d["month.log"], d["today.log"])
    #expect(rules(merged.lines) == Self.novelties)
    // The same bytes in pieces of any size.
    let pieces = bash(
      """
      ( head -c 100000 '\(d["month.log"])'; sleep 0.2; tail -c +100001 '\(d["month.log"])' ) \
        | $P baseline learn --rules '\(Product.rules)' -o '\(d["c"])' -
      """, d)
    #expect(pieces.status == 0 && d.contents("c") == d.contents("b"), "\(pieces)")
    let damaged = d.contents("b").dropLast()
    d.write(String(decoding: damaged.map { $0 & 0x7f }, as: UTF8.self), to: "damaged")
    #expect(panguard("replay", "--rules", Product.rules, "--baseline", d["damaged"], d["today.log"]).status == 3)
    let shown = panguard("baseline", "show", "--file", d["b"])
    #expect(shown.status == 0 && shown.text.contains("login_network   learned"), "\(shown)")
    let explained = panguard("baseline", "explain", "--file", d["b"], "alice", "198.51.100.0/24")
    #expect(explained.status == 0 && explained.text.contains("login_network   first seen 2026-01-05, last 2026-02-01"), "\(explained)")
    #expect(panguard("baseline", "explain", "--file", d["b"], "mallory").status == 1)
  }

  /// From lines that no parser knows to a decision that names their program.
  @Test func anUnknownServiceThatFallsSilentIsADecision() {
    let d = TemporaryDirectory()
    var out: [UInt8] = []
    for hour in 0..<(10 * 24 + 3) as Range<Int64> {
      for minute in 0..<12 as Range<Int64> {
        let time = Self.start + .hours(hour) + .minutes(5 * minute)
        for (program, works) in [("backupd[77]", hour < 10 * 24), ("mirrord[78]", true)] where works {
          time.append(to: &out)
          out += Array(" web01 \(program): pass \(hour).\(minute) is done\n".utf8)
        }
      }
    }
    d.append(out, to: "syslog")
    let replayed = panguard("replay", "--rules", Product.rules, "--format", "jsonl", d["syslog"])
    let silent = replayed.lines.filter { $0.contains("ATR-2026-90913") }
    // The hour that ended brought none of twelve.
    let known = #""baseline":[{"field":"baseline.events","subject":"backupd web01","expected":12,"observed":0,"deviation_thousandths":-"#
    #expect(silent.count == 1 && silent[0].contains(known), "\(replayed)")
    #expect(silent.first?.contains("baseline.events of backupd web01: 0, usually 12 (") == true)
    d.write(silent.joined(separator: "\n") + "\n", to: "log")
    let explained = panguard("explain", "--rules", Product.rules, "--log", d["log"], "d")
    #expect(explained.status == 0 && explained.text.contains("spreads below), after 10 days"), "\(explained)")
    #expect(rules(replayed.lines) == ["ATR-2026-90913"], "\(replayed.text)")
  }

  @Test func aFileSaysWhoseItIs() {
    let d = TemporaryDirectory()
    d.write(Self.month(), to: "month.log")
    #expect(panguard("keys", "new", d["mine"]).status == 0 && panguard("keys", "new", d["theirs"]).status == 0)
    let learned = panguard("baseline", "learn", "--rules", Product.rules, "-o", d["b"], "--key", d["mine"], d["month.log"])
    #expect(learned.status == 0, "\(learned)")
    func take(_ file: String, _ more: String...) -> Finished {
      panguard(["baseline", "import", d[file], "--state", d["state"]] + more)
    }
    #expect(take("b").status == 3, "no key to believe")
    let foreign = take("b", "--key", d["theirs.pub"])
    #expect(foreign.status == 3 && foreign.errors.contains("signed by kid:"), "\(foreign)")
    #expect(take("b", "--unsigned").status == 3)
    let taken = take("b", "--key", d["mine.pub"])
    #expect(taken.status == 0 && taken.text.contains("signed by kid:") && !taken.text.contains("foreign"), "\(taken)")
    #expect(take("b", "--key", d["mine"]).status == 0)
    #expect(take("b", "--foreign").text.contains("a foreign key"))
    #expect(panguard("baseline", "export", d["c"], "--state", d["state"], "--key", d["mine"]).text.contains("signed by"))
    #expect(d.contents("b") == d.contents("c"))
    // Changed anywhere: not even shown.
    for place in [40, 100, 4000] {
      var changed = d.contents("b")
      changed[place] ^= 1
      unlink(d["x"])
      d.append(changed, to: "x")
      #expect(take("x", "--foreign", "--unsigned").status == 3 && panguard("baseline", "show", "--file", d["x"]).status == 3)
    }
  }

  @Test func whatIsNewFromOneToTheOther() {
    let d = TemporaryDirectory()
    d.write(Self.month(), to: "month.log")
    d.write(Self.strange("2026-02-02T02"), to: "today.log")
    #expect(panguard("baseline", "learn", "--rules", Product.rules, "-o", d["a"], d["month.log"]).status == 0)
    #expect(panguard("baseline", "learn", "--rules", Product.rules, "-o", d["b"], "--baseline", d["a"], d["today.log"]).status == 0)
    let bench = panguard("baseline", "bench", "--keys", "1500")
    #expect(bench.status == 0 && bench.text.contains(", the same"), "\(bench)")
    let same = panguard("baseline", "diff", d["a"], d["a"])
    #expect(same.status == 0 && same.lines.count == 1, "\(same)")
    let differs = panguard("baseline", "diff", d["a"], d["b"])
    #expect(differs.status == 1 && differs.text.contains("waits  login_network alice 203.0.113.0/24"), "\(differs)")
    let back = panguard("baseline", "diff", d["b"], d["a"])
    #expect(back.text.contains("waits no more  login_network alice 203.0.113.0/24"), "\(back)")
    let shown = panguard("baseline", "show", "--file", d["b"], "alice")
    #expect(shown.status == 0 && shown.text.contains("waits: alice 203.0.113.0/24 (told, 1 times"), "\(shown)")
  }

  /// One object, of any form, with the exit codes of the text; a name that was made to harm is a string like any other.
  @Test func programsAreToldTheSame() throws {
    let d = TemporaryDirectory()
    d.write(Self.month(), to: "month.log")
    let odd = Self.strange("2026-02-02T02") + "2026-02-02T02:06:00Z web01 CRON[302]: (root) CMD (echo \"a\\b\")\n"
    d.write(odd, to: "today.log")
    #expect(panguard("baseline", "learn", "--rules", Product.rules, "-o", d["a"], d["month.log"]).status == 0)
    #expect(panguard("baseline", "learn", "--rules", Product.rules, "-o", d["b"], "--baseline", d["a"], d["today.log"]).status == 0)
    func ask(_ arguments: String..., expecting status: Int32 = 0) throws -> (text: String, json: CanonicalJSON) {
      let result = panguard(["baseline"] + arguments + ["--format", "json"])
      #expect(result.status == status && result.lines.count == 1, "\(result)")
      return (result.text, try result.output.withUnsafeBytes { try CanonicalJSON(parsing: $0) })
    }
    let all = try ask("show", "--file", d["b"])
    #expect(all.text.hasPrefix(#"{"baseline":""#) && all.text.contains(#""frozen":false,"events_learned":"#), "\(all.text)")
    #expect(all.text.contains(#"{"class":"login_network","learned":true,"entries":4,"waiting":1,"days":28,"hours":112,"events":224,"coverage":"#))
    #expect(all.text.contains(#"{"rate":"events","subject":"cron web01","this_hour":"#))
    let waiting = #"{"class":"login_network","pair":"alice 203.0.113.0/24","cause":"told","count":1,"first":"2026-02-02","last":"2026-02-02"}"#
    #expect(all.text.contains(waiting), "\(all.text)")
    let alice = try ask("show", "--file", d["b"], "alice")
    #expect(alice.text.contains(#""subject":"alice","seen":[{"class":"login_network","first":"2026-01-05","last":"2026-02-01"}"#), "\(alice.text)")
    #expect(alice.text.contains(waiting) && alice.text.contains(#"{"rate":"logins","subject":"alice","this_hour":1,"#), "\(alice.text)")
    let pair = try ask("explain", "--file", d["b"], "alice", "198.51.100.0/24")
    let days = #"[{"class":"login_network","first":"2026-01-05","last":"2026-02-01"}]"#
    #expect(pair.text.hasSuffix(#""object":"198.51.100.0/24","seen":\#(days),"waits":[],"rates":[],"measures":[]}"# + "\n"), "\(pair.text)")
    #expect(try ask("explain", "--file", d["b"], "mallory", expecting: 1).text.contains(#""seen":[],"waits":[],"rates":[],"measures":[]"#))
    let same = try ask("diff", d["a"], d["a"])
    #expect(same.text.hasSuffix(#""pairs":[],"usual":[],"waits":[],"waits_no_more":[]}"# + "\n"), "\(same.text)")
    let differs = try ask("diff", d["a"], d["b"], expecting: 1)
    #expect(differs.text.contains(#""waits":[{"class":"login_network","pair":"alice 203.0.113.0/24"}"#), "\(differs.text)")
    #expect(differs.text.contains(#"{"class":"cron_command","pair":"root echo \"a\\b\""}"#), "\(differs.text)")
    let back = try ask("diff", d["b"], d["a"], expecting: 1)
    #expect(back.text.contains(#""waits_no_more":[{"class":"login_network","pair":"alice 203.0.113.0/24"}"#), "\(back.text)")
  }

  @Test func itSurvivesARestartAndIsCorrectedWhileItRuns() throws {
    let d = TemporaryDirectory()
    d.write(Self.month(), to: "auth.log")
    let agent = RunningAgent(d, more: "warm_up_bytes: 0\n")
    #expect(agent.isUp(), "\(agent.errors)")
    let lines = Self.month().utf8.count { $0 == 0x0a }
    #expect(agent.acknowledges(lines), "\(agent.errors)")
    #expect(agent.stop() == 0)
    // Nothing is in the log that a start reads back: what is known comes from the store.
    let shown = panguard("baseline", "--state", agent.state)
    #expect(shown.status == 0 && shown.text.contains("login_network   learned"), "\(shown)")
    let before = shown.lines.first
    agent.start()
    #expect(agent.isUp(), "\(agent.errors)")
    d.append(Self.strange("2026-02-02T02"), to: "auth.log")
    #expect(agent.acknowledges(lines + 3))
    #expect(try eventually { try Set(agent.decisions().map(\.ruleID)).isSuperset(of: Self.novelties) })
    #expect(try agent.decisions().allSatisfy { $0.action != .blockIP })
    func change(_ arguments: String...) -> Finished { panguard(["baseline"] + arguments + ["--state", agent.state]) }
    #expect(change("promote", "login_network", "alice", "203.0.113.0/24").status == 0)
    #expect(change("freeze").status == 0 && change("freeze").status == 1 && change("thaw").status == 0)
    #expect(change("forget", "nobody-of-this-name").status == 1 && change("forget", "carol").status == 0)
    #expect(change("promote", "nonsense", "a", "b").status == 2)
    let after = panguard("baseline", "--state", agent.state)
    #expect(after.lines.first != before)
    #expect(panguard("baseline", "explain", "alice", "203.0.113.0/24", "--state", agent.state).status == 0)
    #expect(panguard("baseline", "explain", "carol", "--state", agent.state).status == 1)
    #expect(change("export", d["b"]).status == 0)
    #expect(change("import", d["b"], "--unsigned").status == 3, "it would be overwritten")
    #expect(agent.stop() == 0)
    // Moved to another host.
    #expect(change("export", d["b"]).status == 0)
    #expect(panguard("baseline", "import", d["b"], "--state", d["other"]).status == 3, "nobody signed it")
    #expect(panguard("baseline", "import", d["b"], "--unsigned", "--state", d["other"]).status == 0)
    #expect(panguard("baseline", "--state", d["other"]).lines.dropFirst() == panguard("baseline", "--state", agent.state).lines.dropFirst())
  }
}
