// `panguard record`, and what it is for: the agent's decisions made again from what it recorded, byte for byte; and other rules tried on it.
import AgentRuntime
import Detection
import Export
import Glibc
import PanguardTestKit
import Primitives
import Storage
import Testing

@Suite struct RecordTests {
  private static let recording = "record: {enabled: true}\n"

  private func tool(_ agent: RunningAgent, _ arguments: String..., rules: String = Product.rules) -> Finished {
    panguard(arguments + ["--state", agent.state, "--config", agent.directory["config.yaml"], "--rules", rules])
  }
  private func verify(_ agent: RunningAgent, _ more: String..., range: String = "..", rules: String = Product.rules) -> Finished {
    panguard(
      ["replay", "--journal", range, "--verify", "--state", agent.state, "--config", agent.directory["config.yaml"], "--rules", rules] + more)
  }
  /// A copy of the shipped rules in which password guessing is worth less.
  private func changedRules(_ d: TemporaryDirectory) -> String {
    let made = bash(
      "cp -r $R $D/rules && sed -i 's/^confidence: 93$/confidence: 71/' $D/rules/ssh-brute-force-fast.yaml && ! diff -q $R $D/rules > /dev/null", d)
    #expect(made.status == 0, "\(made)")
    return d["rules"]
  }
  /// Every record of the log, in its order.
  private func records(_ agent: RunningAgent) throws -> [[UInt8]] {
    let store = try agent.store()
    defer { store.close() }
    return try store.records(after: 0, limit: 100_000).map(\.bytes)
  }

  @Test func whatWasRecordedIsDecidedAgain() throws {
    let d = TemporaryDirectory()
    var written = 0
    func write(_ numbers: Range<Int>) {
      for attack in Workload.attacks(numbers) {
        d.append(attack.joined(), to: "auth.log")
        written += attack.count
      }
    }
    write(0..<3)
    let agent = RunningAgent(d, more: Self.recording)
    #expect(agent.isUp() && agent.acknowledges(written), "\(agent.errors)")
    #expect(agent.errors.contains("recording the input into \(agent.state)/input-0000000001"), "\(agent.errors)")
    // What an operator says of the baseline is input too.
    #expect(panguard("baseline", "promote", "login_network", "alice", "192.0.2.0/24", "--state", agent.state).status == 0)
    d.rename("auth.log", "auth.log.1")
    write(3..<6)
    #expect(agent.acknowledges(written))
    let status = panguard("record", "status", "--state", agent.state)
    #expect(status.status == 0 && status.text.contains("recording since"), "\(status)")
    // While it runs, and after a restart, with the lines that it reads back.
    let running = verify(agent)
    #expect(running.status == 0 && running.text.hasPrefix("verified: "), "\(running)")
    #expect(agent.stop() == 0)
    agent.start()
    #expect(agent.isUp())
    write(6..<8)
    #expect(agent.acknowledges(written))
    #expect(agent.stop() == 0)

    let log = try records(agent)
    #expect(log.count > 20)
    let verified = verify(agent)
    #expect(verified.status == 0 && verified.text.hasPrefix("verified: \(log.count) decisions") && verified.lines.count == 1, "\(verified)")
    let json = verify(agent, "--format", "jsonl")
    #expect(json.status == 0 && json.text.hasPrefix("{\"verified\":true,\"identical\":\(log.count),\"differing\":0"), "\(json)")
    // On any machine, at any hash seed, with the rules compiled anew.
    for environment in [["TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8"], ["SWIFT_DETERMINISTIC_HASHING": "1", "CACHE_DIRECTORY": d["cold"]]] {
      let elsewhere = panguard(
        ["replay", "--journal", "..", "--verify", "--state", agent.state, "--config", d["config.yaml"], "--rules", Product.rules],
        environment: environment)
      #expect(elsewhere.status == 0 && elsewhere.text == verified.text, "\(elsewhere)")
    }
    // Printed instead, they are the log.
    let printed = tool(agent, "replay", "--journal", "..", "--format", "jsonl")
    #expect(printed.status == 0 && printed.output == log.flatMap { $0 + [0x0a] }, "\(printed.errors)")
    // A part of it.
    let part = verify(agent, range: "2026-01-05T01:00:00Z..2026-01-05T03:00:00Z")
    #expect(part.status == 0 && !part.text.contains(" \(log.count) decisions"), "\(part)")
    #expect(verify(agent, range: "2020-01-01T00:00:00Z..2020-01-02T00:00:00Z").status == 3)
    #expect(verify(agent, range: "yesterday").status == 2)
    for decision in try agent.decisions() {
      let again = tool(agent, "explain", decision.id, "--reproduce")
      #expect(again.status == 0 && again.text.contains("reproduced: \(decision.id) revision \(decision.revision), byte for byte"), "\(again)")
    }
    var info = stat()
    #expect(stat(agent.state + "/input-0000000001", &info) == 0 && info.st_mode & 0o7777 == 0o600)
  }

  @Test func theFirstDifferenceIsNamed() throws {
    let d = TemporaryDirectory()
    let attack = Workload.attacks(0..<1)[0]
    d.write(attack.joined(), to: "auth.log")
    let agent = RunningAgent(d, more: Self.recording)
    #expect(agent.isUp() && agent.acknowledges(attack.count), "\(agent.errors)")
    #expect(agent.stop() == 0)
    #expect(verify(agent).status == 0)
    let rules = changedRules(d)
    let other = verify(agent, rules: rules)
    #expect(other.status == 1 && other.text.hasPrefix("not verified: "), "\(other)")
    #expect(other.text.contains("rules: recorded with "), "\(other)")
    #expect(other.text.contains("ATR-2026-90001 about 198.18.0.1"), "\(other)")
    #expect(other.text.contains("input: \(d["auth.log"]) at byte "), "\(other)")
    #expect(other.text.contains("Failed password for root from 198.18.0.1"), "\(other)")
    #expect(other.text.contains("term ATR-2026-90001: ATR-2026-90001 (brute-force, claimed) with "), "\(other)")
    let decision = try #require(try agent.decisions().first { $0.ruleID == "ATR-2026-90001" })
    let again = tool(agent, "explain", decision.id, "--reproduce", rules: rules)
    #expect(again.status == 1 && again.text.contains("not reproduced: term ATR-2026-90001"), "\(again)")

    // A log that was changed behind the engine's back.
    guard bash("command -v sqlite3", d).status == 0 else { return skip("sqlite3 is not installed") }
    for (column, change) in [
      ("confidence: 1 in the log, ", "confidence = 1, action = 'log_only'"), ("action: log_only in the log, ", "action = 'log_only'"),
      ("source: 192.0.2.1 in the log, 198.18.0.1 when", "source = '192.0.2.1'"), ("is_latest: 0 in the log, 1 when", "is_latest = 0"),
    ] {
      let sql = "update decisions set \(change) where rule = 'ATR-2026-90001' and is_latest = 1"
      #expect(bash("cp $D/state/panguard.db $D/whole && sqlite3 $D/state/panguard.db \"\(sql)\"", d).status == 0)
      let misfiled = verify(agent)
      #expect(misfiled.status == 1 && misfiled.text.contains("column \(column)"), "\(misfiled)")
      #expect(bash("cat $D/whole > $D/state/panguard.db && rm -f $D/state/panguard.db-*", d).status == 0)
    }
    let sql = "update decisions set record = replace(record, '\"confidence\":0.9', '\"confidence\":0.1') where rule = 'ATR-2026-90001'"
    #expect(bash("sqlite3 $D/state/panguard.db \"\(sql.replacing("\"", with: "\\\""))\"", d).status == 0)
    let forged = verify(agent)
    #expect(forged.status == 1 && forged.text.contains("confidence: 0.1"), "\(forged)")
    #expect(bash("sqlite3 $D/state/panguard.db \"delete from decisions where rule = 'ATR-2026-90001'\"", d).status == 0)
    let deleted = verify(agent)
    #expect(deleted.status == 1 && deleted.text.contains("the log does not have it"), "\(deleted)")
  }

  /// Killed again and again: what the log has is made again, in each recording up to its torn end.
  @Test func aKilledEngineLeavesARecordingThatVerifies() throws {
    let d = TemporaryDirectory()
    var random = SplitMix64(seed: 11)
    d.append("", to: "auth.log")
    let agent = RunningAgent(d, more: Self.recording)
    #expect(agent.isUp(), "\(agent.errors)")
    var written = 0
    for n in 0..<8 {
      if n > 0 { agent.start() }
      _ = agent.isUp()
      let lines = Workload.attacks(n * 3..<n * 3 + 3).flatMap { $0 }
      for line in lines { d.append(line, to: "auth.log") }
      written += lines.count
      usleep(UInt32.random(in: 0...400_000, using: &random))
      agent.killAtOnce()
    }
    agent.start()
    #expect(agent.isUp() && agent.acknowledges(written), "\(agent.errors)")
    #expect(agent.stop() == 0)
    // A block that was written in part, in each: which of them have input that could decide, and so are asked, depends on when they were killed.
    for number in 1...9 where d.contents("state/input-000000000\(number)").count > 100 {
      d.append([1, 2, 3], to: "state/input-000000000\(number)")
    }
    let verified = verify(agent)
    let count = try records(agent).count
    #expect(verified.status == 0 && verified.text.hasPrefix("verified: \(count) decisions"), "\(verified)")
    #expect(verified.text.contains(" bytes at the end of a recording were written in part"), "\(verified)")
  }

  @Test func anOperatorBeginsAndEndsIt() throws {
    let d = TemporaryDirectory()
    var written = 0
    func write(_ number: Int) {
      let lines = Workload.attacks(number..<number + 1)[0]
      d.append(lines.joined(), to: "auth.log")
      written += lines.count
    }
    write(0)
    let agent = RunningAgent(d)
    #expect(agent.isUp() && agent.acknowledges(written), "\(agent.errors)")
    func record(_ word: String) -> Finished { panguard("record", word, "--state", agent.state) }
    #expect(record("status").text.hasPrefix("the input is not recorded"))
    #expect(verify(agent).status == 3)
    #expect(record("off").status == 1)
    let begun = record("on")
    #expect(begun.status == 0 && begun.text.contains("is recorded from now on"), "\(begun)")
    #expect(eventually { record("status").text.hasPrefix("recording since") }, "\(agent.errors)")
    #expect(record("on").status == 1)
    write(1)
    #expect(agent.acknowledges(written))
    let ended = record("off")
    #expect(ended.status == 0, "\(ended)")
    write(2)
    #expect(agent.acknowledges(written))
    #expect(record("status").text.contains("the journal has 1 segments"))
    #expect(agent.stop() == 0)
    let verified = verify(agent)
    #expect(verified.status == 0 && verified.text.contains("decisions of the log were made while nothing was recorded"), "\(verified)")
    let first = try #require(try agent.decisions().last)
    let early = tool(agent, "explain", first.id, "--reproduce")
    #expect(early.status == 3 && early.text.isEmpty, "\(early)")
    let last = try #require(try agent.decisions().first)
    let late = tool(agent, "explain", last.id, "--reproduce")
    #expect(late.status == 3 && late.text.isEmpty && late.errors.contains("while nothing was recorded"), "\(late)")
    let audit = String(decoding: d.contents("state/audit.jsonl"), as: UTF8.self)
    #expect(audit.contains("record on"), "\(audit)")
  }

  /// Old segments go, what is left is whole; and whoever makes this host log much at once, in lines that cannot be packed, ends no recording.
  @Test func theJournalStaysWithinItsSize() throws {
    let d = TemporaryDirectory()
    let agent = RunningAgent(d, more: "record: {enabled: true, max_bytes: 16MiB}\nwarm_up_bytes: 0\n")
    #expect(agent.isUp(), "\(agent.errors)")
    let noise = "head -c 15000000 /dev/urandom | base64 -w 50000 | sed 's/^/2026-01-05T00:00:00Z web01 job[1]: /' >> $D/auth.log"
    var written = 0
    for round in 0..<2 {
      #expect(bash(noise, d).status == 0)
      d.append(Workload.attacks(round..<round + 1)[0].joined(), to: "auth.log")
      written += 400 + 44
      #expect(agent.acknowledges(written), "\(agent.errors)")
    }
    let status = try #require(agent.status()).record
    let isBounded = status.isOn && status.removedSegments > 0 && status.segments > 1 && status.journalBytes <= 16 << 20
    #expect(isBounded && status.lostRecords == 0, "\(status)")
    #expect(agent.stop() == 0)
    let verified = verify(agent)
    #expect(verified.status == 0, "\(verified)")
  }

  /// What is missing, copied or renamed is said, and is not taken for decisions that nobody recorded.
  @Test func aJournalWithHolesIsNoProof() throws {
    let d = TemporaryDirectory()
    var written = 0
    let agent = RunningAgent(d, more: Self.recording)
    for round in 0..<4 {
      if round > 0 { agent.start() }
      let lines = Workload.attacks(round..<round + 1)[0]
      d.append(lines.joined(), to: "auth.log")
      written += lines.count
      #expect(agent.isUp() && agent.acknowledges(written), "\(agent.errors)")
      #expect(agent.stop() == 0)
    }
    #expect(verify(agent).status == 0)
    let (second, third, fourth) = ("$D/state/input-0000000002", "$D/state/input-0000000003", "$D/state/input-0000000004")
    for (change, undo, problem) in [
      ("mv \(second) $D/x", "mv $D/x \(second)", "segment 2 of the journal is missing"),
      ("mv \(second) $D/x; mv \(third) $D/y", "mv $D/x \(second); mv $D/y \(third)", "segment 2 to 3 of the journal is missing"),
      ("cp \(second) $D/state/input-0000000005", "rm $D/state/input-0000000005", "input-0000000005: is segment 2 by its header"),
      ("mv \(third) $D/x; cp \(fourth) \(third)", "mv $D/x \(third)", "input-0000000003: is segment 4 by its header"),
    ] {
      #expect(bash(change, d).status == 0)
      let verified = verify(agent)
      #expect(verified.status == 3 && verified.text.contains(problem) && !verified.text.hasPrefix("verified"), "\(verified)")
      let json = verify(agent, "--format", "jsonl")
      #expect(json.text.hasPrefix("{\"verified\":false") && json.text.contains(problem), "\(json)")
      let printed = tool(agent, "replay", "--journal", "..", "--format", "none")
      #expect(printed.status == 3 && printed.errors.contains(problem), "\(printed)")
      #expect(bash(undo, d).status == 0)
    }
    #expect(verify(agent).status == 0)
    try expectDamageIsTold(agent)
    // The oldest may be gone.
    #expect(bash("rm $D/state/input-0000000001", d).status == 0)
    #expect(verify(agent).status == 0)
  }

  /// One segment with a damaged block: told by each command, and the others are read all the same.
  private func expectDamageIsTold(_ agent: RunningAgent) throws {
    let d = agent.directory
    let path = "state/input-0000000002"
    let bytes = d.contents(path)
    let first = try #require(bytes.count > 12 ? bytes.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: 8, as: UInt32.self)) + 16 } : nil)
    func whatif(_ rules: String, _ more: String...) -> Finished {
      panguard(["whatif", "--state", agent.state, "--config", d["config.yaml"], "--against", Product.rules, "--rules", rules] + more)
    }
    #expect(whatif(Product.rules).status == 0)
    // In what the first block holds, and in the times at its head.
    for at in [first + 40, first + 13] {
      var damaged = bytes
      damaged[at] ^= 0x10
      unlink(d[path])
      d.append(damaged, to: path)
      let problem = "input-0000000002: the block at byte \(first) is damaged"
      let same = whatif(Product.rules)
      #expect(same.status == 3 && same.errors.contains("not all could be read: ") && same.errors.contains(problem), "\(same)")
      #expect(same.errors.contains("0 incidents appear, 0 vanish, 0 change") && !same.errors.contains(" 0 stay"), "\(same)")
      let json = whatif(Product.rules, "--format", "json")
      #expect(json.status == 3 && json.text.contains("\"legitimate_sources_forgotten\":0,\"problems\":["), "\(json)")
      #expect(json.text.contains(problem), "\(json)")
      let other = whatif(changedRules(d))
      #expect(other.status == 1 && other.errors.contains(problem), "\(other)")
      #expect(bash("rm -r $D/rules", d).status == 0)
      let verified = verify(agent)
      #expect(verified.status == 3 && verified.text.contains(problem) && !verified.text.hasPrefix("verified"), "\(verified)")
    }
    unlink(d[path])
    d.append(bytes, to: path)
    chmod(d[path], 0o600)
  }

  /// Without a place for it the agent does its work all the same, and says so.
  @Test func aRecordingThatCannotBeginHoldsNothingUp() throws {
    let d = TemporaryDirectory()
    let attack = Workload.attacks(0..<1)[0]
    d.write(attack.joined(), to: "auth.log")
    mkdir(d["state"], 0o700)
    mkdir(d["state/input-0000000001"], 0o700)
    let agent = RunningAgent(d, more: Self.recording)
    #expect(agent.isUp() && agent.acknowledges(attack.count), "\(agent.errors)")
    #expect(agent.errors.contains("the input is not recorded: "), "\(agent.errors)")
    #expect(try !agent.decisions().isEmpty)
    #expect(agent.stop() == 0)
  }

  @Test func otherRulesAreTriedOnThePast() throws {
    let d = TemporaryDirectory()
    let rules = changedRules(d)
    let victim = Workload.line(
      Workload.start + .minutes(40), "sshd[9]: Accepted publickey for alice from \(Workload.address(0)) port 50122 ssh2: ED25519 SHA256:abc")
    let lines = Workload.attacks(0..<3).flatMap { $0 } + [victim]
    d.write(lines.joined(), to: "auth.log")
    let agent = RunningAgent(d, more: Self.recording)
    #expect(agent.isUp() && agent.acknowledges(lines.count), "\(agent.errors)")
    #expect(agent.stop() == 0)
    func whatif(_ rules: String, _ more: String...) -> Finished {
      panguard(["whatif", "--state", agent.state, "--config", d["config.yaml"], "--against", Product.rules, "--rules", rules] + more)
    }
    if access("/usr/bin/script", X_OK) == 0 {
      // However short the journal is.
      let more = "--state $D/state --config $D/config.yaml --rules $R"
      for (arguments, label) in [
        ("whatif --against $R", "trying"), ("replay --journal .. --verify", "verifying"), ("replay --journal .. --output $D/o", "replaying"),
      ] {
        let shown = bash("script -qec \"$P \(arguments) \(more)\" /dev/null", d)
        #expect(shown.text.contains(label + " ") && shown.text.contains("░"), "\(shown)")
      }
    } else {
      skip("script(1) is not installed")
    }
    let same = whatif(Product.rules)
    #expect(same.status == 0 && same.errors.contains("0 incidents appear, 0 vanish, 0 change"), "\(same)")
    #expect(same.text.contains("\(Workload.address(0))/32 by ATR-2026-90001 (as before): alice logged in at"), "\(same)")
    let other = whatif(rules)
    #expect(other.status == 1, "\(other)")
    #expect(other.lines.contains { $0.hasPrefix("changes ") && $0.contains("ATR-2026-90001") && $0.contains(Workload.address(1)) }, "\(other)")
    #expect(other.text.contains("action block_ip -> notify") && other.text.contains("confidence 0.9"), "\(other)")
    let json = whatif(rules, "--format", "json")
    #expect(json.status == 1 && json.text.hasPrefix("{\"appear\":0,\"vanish\":"), "\(json)")
    // Without the rule, and from files instead of the journal.
    #expect(bash("rm $D/rules/ssh-brute-force-fast.yaml", d).status == 0)
    let gone = whatif(rules, d["auth.log"])
    #expect(gone.status == 1 && gone.lines.contains { $0.hasPrefix("vanishes ") && $0.contains("ATR-2026-90001") }, "\(gone)")
    #expect(panguard("whatif", d["auth.log"]).status == 2)
  }
}
