// What is refused, where, and in which words; and what the defaults are.
import PanguardTestKit
import Playbooks
import Primitives
import Testing

@Suite struct ReaderTests {
  /// Line 1 is `playbook`, 2 `title`, 3 `when`, 4 `steps` unless the case replaces the whole text.
  private static func document(_ steps: String = "[block_ip]", _ rest: String = "") -> String {
    "playbook: p\ntitle: T\nwhen: {severity: low}\nsteps: \(steps)\n\(rest)"
  }

  @Test func defaults() throws {
    let read = set(Self.document())
    #expect(read.diagnostics.map(\.description) == [])
    let playbook = try #require(read.playbooks.first)
    #expect(playbook.priority == 500 && playbook.isEnabled)
    #expect(playbook.escalation.blockFor.map(\.description) == ["10m", "1h", "1d", "7d"])
    #expect(playbook.coolDown == .minutes(5))
    #expect(playbook.rate == RateCap.standard)
    #expect(playbook.approval == Approval.standard)
    #expect(playbook.steps.map(\.action) == [.blockIP(ttl: nil)])
  }

  @Test func everyKey() throws {
    let read = set(
      """
      playbook: all.of-it_1
      title: Everything
      description: words
      priority: 1000
      enabled: false
      when:
        rule: [ATR-2026-9000?, 'ATR-*']
        category: credential-access
        technique: [T1110, T1110.001, AML.T0051]
        severity: high
        confidence: 0.95
        trust: attested
        subject: [address, user]
      steps:
        - block_ip: {for: 2h}
          approval: automatic
        - unblock_ip
        - notify: syslog
        - notify: {syslog: alert}
        - notify: {webhook: oncall}
        - notify: {executable: page, args: ['--id', '{decision}', 'at {address}', '{}']}
        - capture_evidence: lines
        - capture_evidence: {lines: 3}
        - capture_evidence: {packets: {seconds: 30, bytes: 1MiB}}
        - kill_process
        - kill_process: {signal: KILL}
          approval: automatic
        - quarantine_file
        - disable_account
        - log_only
      escalation: {block_for: [10s, 7d], window: 1d}
      cooldown: 1m
      rate: {per_minute: 3, trips: 2, open_for: 1h}
      approval: {expires: 1h}
      tests: []
      """)
    #expect(read.diagnostics.map(\.description) == [])
    let playbook = try #require(read.playbooks.first)
    #expect(
      playbook.steps.map(\.action) == [
        .blockIP(ttl: .hours(2)), .unblockIP, .notify(.syslog(.warning)), .notify(.syslog(.alert)), .notify(.webhook("oncall")),
        .notify(.executable("page", arguments: ["--id", "{decision}", "at {address}", "{}"])), .captureLines(limit: 16), .captureLines(limit: 3),
        .capturePackets(seconds: 30, bytes: 1 << 20), .killProcess(.term), .killProcess(.kill), .quarantineFile, .disableAccount, .logOnly,
      ])
    #expect(playbook.steps.map(\.asks) == [false, false, false, false, false, false, false, false, false, true, false, true, true, false])
    #expect(playbook.trigger.minimumConfidence == Confidence(thousandths: 950))
  }

  @Test(arguments: [
    ("playbook: p\ntitel: T\ntitle: T\nwhen: {severity: low}\nsteps: [block_ip]", "p.yaml:2:1: error: unknown key 'titel'; did you mean 'title'?"),
    ("playbook: P P\ntitle: T\nwhen: {severity: low}\nsteps: [block_ip]", "p.yaml:1:11: error: 'playbook' must be 1 to 64 lower-case letters"),
    ("playbook: -p\ntitle: T\nwhen: {severity: low}\nsteps: [block_ip]", "p.yaml:1:11: error: 'playbook' must be"),
    ("playbook: p\ntitle: T\nsteps: [block_ip]", "p.yaml:1:1: error: 'when' is missing"),
    ("playbook: p\ntitle: T\nwhen: {}\nsteps: [block_ip]", "p.yaml:3:7: error: 'when' says nothing"),
    ("playbook: p\ntitle: T\nwhen: {severity: low}", "p.yaml:1:1: error: 'steps' is missing"),
    (document("[]"), "p.yaml:4:8: error: 'steps' must have 1 to 16 entries"),
    (document("[blok_ip]"), "p.yaml:4:9: error: 'steps[1]': unknown action 'blok_ip'; did you mean 'block_ip'?"),
    (document("[{blok_ip: {}}]"), "p.yaml:4:10: error: 'steps[1]': unknown action 'blok_ip'; did you mean 'block_ip'?"),
    (document("[{block_ip: {}, notify: syslog}]"), "p.yaml:4:9: error: 'steps[1]' must name one action, not 2"),
    (document("[{block_ip: {ttl: 1h}}]"), "p.yaml:4:21: error: unknown key 'ttl' in 'steps[1].block_ip'"),
    (document("[{block_ip: {for: 8d}}]"), "p.yaml:4:26: error: 'steps[1].block_ip.for' is 8d, but must be whole seconds between 10s and 7d"),
    (document("[{block_ip: {for: forever}}]"), "p.yaml:4:26: error: 'steps[1].block_ip.for' must be a duration, not 'forever'"),
    (document("[{block_ip: {for: 1500ms}}]"), "p.yaml:4:26: error: 'steps[1].block_ip.for' is 1500ms"),
    (document("[notify]"), "p.yaml:4:9: error: 'steps[1]': notify needs parameters"),
    (document("[{notify: {}}]"), "p.yaml:4:18: error: 'steps[1].notify' must name one of syslog, webhook and executable"),
    (document("[{notify: {webhook: a, syslog: info}}]"), "must name one of syslog, webhook and executable"),
    (document("[{notify: {executable: ../bin/sh}}]"), "'steps[1].notify.executable' must be a name of 1 to 64"),
    (document("[{notify: {executable: .x}}]"), "must be a name"),
    (document("[{notify: {executable: -x}}]"), "must be a name"),
    (document("[{notify: {executable: x, args: 'a b'}}]"), "'steps[1].notify.args' must be a list, not a text"),
    (document("[{notify: {executable: x, args: ['{user}']}}]"), "unknown placeholder '{user}'"),
    (document("[{notify: {webhook: x, args: [a]}}]"), "'steps[1].notify.args' belongs to an executable"),
    (document("[{capture_evidence: {lines: 17}}]"), "'steps[1].capture_evidence.lines' is 17, but must be between 1 and 16"),
    (document("[{capture_evidence: {packets: {seconds: 1}}}]"), "'steps[1].capture_evidence.packets.bytes' is missing"),
    (document("[{capture_evidence: {packets: {seconds: 601, bytes: 1MiB}}}]"), "is 601, but must be between 1 and 600"),
    (document("[{capture_evidence: {packets: {seconds: 1, bytes: 1GiB}}}]"), "is 1GiB, but must be between 4096 and 268435456 bytes"),
    (document("[{capture_evidence: {packets: {seconds: 1, bytes: 1MiB}, lines: 1}}]"), "must name either lines or packets"),
    (document("[{kill_process: {signal: HUP}}]"), "'steps[1].kill_process.signal' is 'HUP', but must be one of TERM, KILL"),
    (document("[{notify: syslog, approval: required}]"), "notify changes nothing, so there is nothing to approve"),
    (document("[{block_ip: {}, approval: yes}]"), "'steps[1].approval' is 'yes', but must be one of automatic, required"),
    (document("[[block_ip]]"), "'steps[1]' must be a mapping of keys, not a list"),
    (document("[block_ip]", "priority: 1001"), "p.yaml:5:11: error: 'priority' is 1001, but must be between 0 and 1000"),
    (document("[block_ip]", "enabled: yes"), "'enabled' must be true or false, not 'yes'"),
    (document("[block_ip]", "escalation: [1h, 10m]"), "'escalation' must not fall: 10m follows 1h"),
    (document("[block_ip]", "escalation: []"), "'escalation' must have 1 to 16 lengths"),
    (document("[block_ip]", "escalation: [0s]"), "'escalation[1]' must be a duration in whole seconds between 10s and 7d, not '0s'"),
    (document("[block_ip]", "escalation: {block_for: [1h], window: 2w, extra: 1}"), "unknown key 'extra' in 'escalation'"),
    (document("[block_ip]", "cooldown: 8d"), "'cooldown' is 8d, but must be whole seconds between 1s and 7d"),
    (document("[block_ip]", "rate: {per_minute: 0}"), "'rate.per_minute' is 0, but must be between 1 and 10000"),
    (document("[block_ip]", "rate: 5"), "'rate' must be a mapping of keys, not a text"),
    (document("[block_ip]", "approval: sometimes"), "'approval' is 'sometimes', but must be one of automatic, required"),
    (document("[block_ip]", "approval: {expires: 30s}"), "'approval.expires' is 30s, but must be whole seconds between 1m and 7d"),
    (document("[block_ip]", "tests: [{name: a, decision: {}, expect: []}]"), "'tests[1].decision' has no subject"),
    (document("[block_ip]", "tests: [{name: a, decision: {source: x}, expect: []}]"), "is 'x', which is no address or network"),
    (document("[block_ip]", "tests: [{name: a, decision: {user: x}}]"), "'tests[1].expect' is missing"),
    (document("[block_ip]", "tests: [{name: a}]"), "'tests[1].decision' is missing"),
    ("playbook: p\ntitle: T\nwhen: {technique: T11}\nsteps: [block_ip]", "p.yaml:3:19: error: 'when.technique' names 'T11', which is no technique"),
    ("playbook: p\ntitle: T\nwhen: {trust: sure}\nsteps: [block_ip]", "'when.trust' is 'sure', but must be one of claimed, attested"),
    ("playbook: p\ntitle: T\nwhen: {subject: ip}\nsteps: [block_ip]", "'when.subject' is 'ip', but must be one of address, user, session, host"),
    ("playbook: p\ntitle: T\nwhen: {confidence: 1.5}\nsteps: [block_ip]", "'when.confidence' is 1.5, but must be between 0.001 and 0.999"),
    ("playbook: p\ntitle: T\ntitle: U\nwhen: {severity: low}\nsteps: [block_ip]", "p.yaml:3:"),
    ("- playbook", "p.yaml:1:1: error: the document must be a mapping of keys, not a list"),
    ("playbook: [", "p.yaml:"),
  ])
  func refusals(_ text: String, _ wanted: String) {
    let read = set(text)
    #expect(read.hasErrors)
    #expect(read.playbooks.isEmpty)
    #expect(read.diagnostics.contains { $0.description.contains(wanted) }, "\(read.diagnostics)")
    #expect(read.diagnostics.allSatisfy { $0.location.line > 0 })
  }

  @Test func oneNameOnce() {
    let read = set(Self.document() + "---\n" + Self.document("[log_only]"))
    #expect(read.playbooks.count == 1)
    #expect(read.diagnostics.map(\.description) == ["p.yaml:6:1: error: playbook p is taken: it is first defined at p.yaml:1:1"])
  }

  @Test func theOrderIsPriorityThenName() {
    func one(_ id: String, _ priority: Int) -> String {
      "playbook: \(id)\ntitle: T\npriority: \(priority)\nwhen: {category: \(id)}\nsteps: [log_only]\n"
    }
    let texts = [one("b", 5), one("a", 5), one("z", 900), one("c", 0)]
    for order in [texts, texts.reversed()] {
      let read = PlaybookSet(reading: order.enumerated().map { ("\($0).yaml", Array($1.utf8)) })
      #expect(read.playbooks.map(\.id) == ["z", "a", "b", "c"])
      #expect(read.fingerprint == PlaybookSet(reading: texts.map { ("x.yaml", Array($0.utf8)) }).fingerprint)
    }
  }

  @Test func aPlaybookThatIsNeverAsked() {
    let read = set(Self.document() + "---\n" + Self.document().replacingFirst("playbook: p", with: "playbook: q"))
    #expect(read.diagnostics.map(\.description) == ["p.yaml:6:1: warning: playbook q is never asked: p has the same trigger and comes first"])
    #expect(read.playbooks.count == 2)
  }

  /// Whatever the bytes are: no trap, and never a playbook beside an error of its own.
  @Test func hostileBytes() {
    var numbers = SplitMix64(seed: 4)
    let seed = Array(Self.document("[block_ip, {notify: {executable: x, args: ['{decision}']}}]", "escalation: [10m, 1h]\n").utf8)
    for _ in 0..<3000 {
      var bytes = seed
      for _ in 0...numbers.below(6) {
        switch numbers.below(3) {
        case 0: bytes[numbers.below(bytes.count)] = UInt8(numbers.below(256))
        case 1: bytes.remove(at: numbers.below(bytes.count))
        default: bytes.insert([0x7b, 0x5b, 0x26, 0x2a, 0x0a, 0x3a, 0x22, 0xff][numbers.below(8)], at: numbers.below(bytes.count))
        }
      }
      let read = PlaybookSet(reading: [("f", bytes)])
      for playbook in read.playbooks {
        #expect(!playbook.steps.isEmpty && !playbook.escalation.blockFor.isEmpty)
        #expect(playbook.escalation.blockFor.allSatisfy { Limits.playbookBlockSeconds.contains($0.wholeSeconds) })
      }
    }
  }
}

extension String {
  fileprivate func replacingFirst(_ text: String, with other: String) -> String {
    guard hasPrefix(text) else { return self }
    return other + dropFirst(text.count)
  }
}
