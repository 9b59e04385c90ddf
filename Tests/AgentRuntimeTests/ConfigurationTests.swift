// The configuration: defaults, every key, every refusal with its place, the reference file, the hash.
import AgentRuntime
import Primitives
import Testing

@Suite struct ConfigurationTests {
  private func load(_ text: String) -> (configuration: Configuration?, messages: [String]) {
    let (configuration, diagnostics) = Configuration.load(text, file: "c.yaml")
    return (configuration, diagnostics.map(\.description))
  }

  @Test(arguments: ["", "# nothing\n", "\n\n", "{}", "---\n", "rules:\n", "\u{feff}"])
  func anEmptyFileIsTheDefault(_ text: String) {
    let (configuration, messages) = load(text)
    #expect(messages == [])
    #expect(configuration?.canonicalText == Configuration().canonicalText)
  }

  @Test func everyKeyIsRead() throws {
    let (configuration, messages) = load(
      """
      sources:
        - path: /var/log/auth.log
          format: syslog
          from_start: true
        - path: /var/log/nginx/*access.log
          format: access
        - journal: true
      rules:
        directories: [/opt/rules]
        disabled:
          - ATR-2026-90001
      allowlist: [192.0.2.7, 10.0.0.0/8, "2001:db8::/32"]
      state_directory: /tmp/state
      log_utc_offset: -05:30
      policy:
        claimed_may_block: true
      response:
        playbooks: [/opt/playbooks]
        enforcer: /run/e.sock
        reconsider_after: [10s, 5m]
      network:
        enabled: true
        capture: /run/c.sock
        own_networks: [198.51.100.0/24]
        own_domains: [.Corp.example., lab.example]
        daily_outbound_bytes: 10GiB
      thresholds: {act: 0.95, notify: 0.5}
      incident_window: PT30M
      output:
        text: never
        jsonl: /tmp/d.jsonl
        syslog: true
      warm_up_bytes: 64KiB
      """)
    #expect(messages == [])
    let c = try #require(configuration)
    #expect(
      c.sources == [
        Configuration.Source(input: .files("/var/log/auth.log"), format: .syslog, readsFromStart: true),
        Configuration.Source(input: .files("/var/log/nginx/*access.log"), format: .access), Configuration.Source(input: .journal),
      ])
    #expect(c.ruleDirectories == ["/opt/rules"])
    #expect(c.disabledRules == ["ATR-2026-90001"])
    #expect(c.allowlist.map(\.description) == ["192.0.2.7/32", "10.0.0.0/8", "2001:db8::/32"])
    #expect(c.stateDirectory == "/tmp/state")
    #expect(c.logUTCOffsetSeconds == -19_800)
    #expect(c.claimedEvidenceMayBlock && !Configuration().claimedEvidenceMayBlock)
    #expect(c.playbookDirectories == ["/opt/playbooks"] && c.enforcerPath == "/run/e.sock")
    #expect(c.reconsiderAfter == [.seconds(10), .minutes(5)] && c.detector.reconsiderAfter == c.reconsiderAfter)
    #expect(c.network.ownNetworks.map(\.description) == ["198.51.100.0/24"] && c.network.ownDomains == ["corp.example", "lab.example"])
    #expect(c.network.dailyOutboundBytes == 10 << 30 && c.detector.network == c.network)
    #expect(c.readsNetwork && c.capturePath == "/run/c.sock" && !Configuration().readsNetwork)
    #expect(c.actThreshold == 950)
    #expect(c.notifyThreshold == 500)
    #expect(c.incidentWindow == .minutes(30))
    #expect(c.textOutput == .never)
    #expect(c.jsonlPath == "/tmp/d.jsonl")
    #expect(c.syslogPath == "/dev/log")
    #expect(c.warmUpBytes == 65_536)
    #expect(c.hash != Configuration().hash)
  }

  @Test func profilesAndEventsAreRead() {
    let read = load("rules: {profiles: [panguard-host, /opt/p.yaml]}\noutput: {atr_events: {path: /tmp/e.jsonl, key: /etc/k, redact: false}}\n")
    #expect(read.messages == [])
    #expect(read.configuration?.profiles == ["panguard-host", "/opt/p.yaml"])
    #expect(read.configuration?.atrEvents?.path == "/tmp/e.jsonl" && read.configuration?.atrEvents?.keyPath == "/etc/k")
    #expect(read.configuration?.atrEvents?.redacts == false)
    #expect(read.configuration?.hash != Configuration().hash)
    #expect(
      load("output:\n  atr_events: {path: /tmp/e}\n").messages
        == ["c.yaml:2:15: warning: 'output.atr_events' has no key, so events are not signed; panguard keys new FILE"])
    #expect(load("output:\n  atr_events: {key: /tmp/e}\n").messages == ["c.yaml:2:15: error: 'output.atr_events.path' is missing"])
  }

  static let refused: [(text: String, message: String)] = [
    ("thresolds:\n  act: 0.9\n", "c.yaml:1:1: error: unknown key 'thresolds'; did you mean 'thresholds'?"),
    ("output:\n  txt: auto\n", "c.yaml:2:3: error: unknown key 'txt' in 'output'; did you mean 'text'?"),
    (
      "_mine: 1\n",
      "c.yaml:1:1: error: unknown key '_mine'; known: sources, allowlist, state_directory, log_utc_offset, "
        + "incident_window, warm_up_bytes, rules, policy, response, network, baseline, record, thresholds, confidence, output"
    ),
    ("thresholds:\n  act: high\n", "c.yaml:2:8: error: 'thresholds.act' must be a number with at most 3 decimals, not 'high'"),
    ("thresholds:\n  act: 1\n", "c.yaml:2:8: error: 'thresholds.act' is 1, but must be between 0.001 and 0.999"),
    ("thresholds:\n  act: 0.95555\n", "c.yaml:2:8: error: 'thresholds.act' must be a number with at most 3 decimals, not '0.95555'"),
    ("thresholds:\n  act: 0.5\n", "c.yaml:2:3: error: 'thresholds.notify' (0.7) is above 'thresholds.act' (0.5)"),
    ("thresholds:\n  notify: 0.95\n", "c.yaml:2:11: error: 'thresholds.notify' (0.95) is above 'thresholds.act' (0.9)"),
    ("response:\n  reconsider_after: []\n", "c.yaml:2:21: error: 'response.reconsider_after' must hold 1 to 16 durations"),
    (
      "response:\n  reconsider_after: [10m, soon]\n",
      "c.yaml:2:27: error: 'response.reconsider_after' must hold durations from 1s to 30d, not 'soon'"
    ),
    ("policy:\n  claimed_may_block: yes\n", "c.yaml:2:22: error: 'policy.claimed_may_block' must be true or false, not 'yes'"),
    (
      "sources:\n  - {path: /a, format: rsyslog, trust: attested}\n",
      "c.yaml:2:40: error: 'sources[1].trust' means nothing for the format rsyslog, whose lines say who wrote them"
    ),
    ("output:\n  text: alwys\n", "c.yaml:2:9: error: 'output.text' is 'alwys', but must be one of auto, always, never; did you mean 'always'?"),
    ("output:\n  jsonl: d.jsonl\n", "c.yaml:2:10: error: 'output.jsonl' must be an absolute path, not 'd.jsonl'"),
    ("output:\n  syslog: maybe\n", "c.yaml:2:11: error: 'output.syslog' must be true, false or an absolute path, not 'maybe'"),
    ("output: all\n", "c.yaml:1:9: error: 'output' must be a mapping of keys, not a text"),
    ("allowlist: [10.0.0.300]\n", "c.yaml:1:13: error: '10.0.0.300' is not an address or network; write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32"),
    ("allowlist: [10.0.0.0/33]\n", "c.yaml:1:13: error: '10.0.0.0/33' is not an address or network; write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32"),
    ("allowlist: {a: b}\n", "c.yaml:1:12: error: 'allowlist' must be a list of texts, not a mapping"),
    (
      "incident_window: 1 hour\n",
      "c.yaml:1:18: error: 'incident_window' must be a duration, not '1 hour'; "
        + "write a whole number and a unit (500ms, 30s, 10m, 1h, 7d, 2w), or ISO 8601 like PT5M"
    ),
    ("incident_window: 60d\n", "c.yaml:1:18: error: 'incident_window' must be between 1s and 30d"),
    ("warm_up_bytes: 4MB\n", "c.yaml:1:16: error: 'warm_up_bytes' must be a number of bytes, not '4MB'; for example 65536, 64KiB, 4MiB"),
    ("warm_up_bytes: 99999GiB\n", "c.yaml:1:16: error: 'warm_up_bytes' is 99999GiB, but must be between 0 and 1073741824 bytes"),
    (
      "warm_up_bytes: 9223372036854775807GiB\n",
      "c.yaml:1:16: error: 'warm_up_bytes' must be a number of bytes, not '9223372036854775807GiB'; "
        + "for example 65536, 64KiB, 4MiB"
    ),
    ("log_utc_offset: 1:30\n", "c.yaml:1:17: error: 'log_utc_offset' must be an offset from UTC, not '1:30'; write \"+02:00\" or Z"),
    ("log_utc_offset: +25:00\n", "c.yaml:1:17: error: 'log_utc_offset' must be an offset from UTC, not '+25:00'; write \"+02:00\" or Z"),
    ("sources:\n  - format: syslog\n", "c.yaml:2:5: error: 'sources[1]' needs path or journal: true"),
    ("sources:\n  - {path: /a, journal: true}\n", "c.yaml:2:5: error: 'sources[1]' has both path and journal"),
    (
      "sources:\n  - {journal: true, format: json}\n",
      "c.yaml:2:29: error: 'sources[1].format' means nothing for the journal, which knows it by itself"
    ),
    ("sources:\n  - {path: /a, fromat: json}\n", "c.yaml:2:16: error: unknown key 'fromat' in 'sources[1]'; did you mean 'format'?"),
    ("a: 1\na: 2\n", "c.yaml:2:1: error: duplicate key 'a', first at line 1"),
    ("rules: {}\n---\nrules: {}\n", "c.yaml:3:1: error: a configuration is one document, but here a second one begins"),
    ("- a\n", "c.yaml:1:1: error: the document must be a mapping of keys, not a list"),
    (
      "rules:\n\tdirectories: []\n",
      "c.yaml:2:1: error: while scanning for the next token at line 2: found character that cannot start any token; "
        + "indent with spaces: YAML does not take tabs"
    ),
  ]
  @Test(arguments: refused) func refusesWithThePlace(_ text: String, _ message: String) {
    let (configuration, messages) = load(text)
    #expect(configuration == nil)
    #expect(messages == [message])
  }

  @Test func reportsEverythingAtOnce() {
    let (configuration, messages) = load("outptu: 1\nthresholds: {act: x, notfy: 1}\nallowlist: [nonsense, 10.0.0.1, more]\n")
    #expect(configuration == nil)
    #expect(messages.count == 5)
  }

  @Test func warnsAndGoesOn() {
    let (configuration, messages) = load("allowlist: [10.0.0.1/8, 0.0.0.0/0]\nsources: [{path: /a, trust: attested}]\n")
    #expect(configuration?.allowlist.map(\.description) == ["10.0.0.0/8", "0.0.0.0/0"])
    #expect(configuration?.sources?.first?.trust == .attested)
    #expect(messages.map { $0.contains("warning") } == [true, true, true])
  }

  @Test func theReferenceMeansTheDefault() throws {
    let (configuration, messages) = load(Configuration.reference)
    #expect(messages == [])
    #expect(configuration?.canonicalText == Configuration().canonicalText)
    for key in ConfigurationKey.all {
      #expect(Configuration.reference.contains("\(key.path.split(separator: ".").last!):"), "\(key.path)")
      #expect(!key.description.isEmpty)
    }
    // The examples of keys that are absent by default must be right too.
    let uncommented = Configuration.reference.split(separator: "\n").map { line -> Substring in
      for mark in ["# sources:", "#   ", "  # jsonl:"] where line.hasPrefix(mark) {
        return mark == "  # jsonl:" ? "  " + line.dropFirst(4) : line.dropFirst(2)
      }
      return line
    }.joined(separator: "\n")
    let full = load(uncommented)
    #expect(full.messages == [])
    #expect(full.configuration?.sources?.count == 2)
    #expect(full.configuration?.jsonlPath == "/var/log/panguard/decisions.jsonl")
  }

  @Test func theHashIsOfTheMeaning() {
    let a = load("incident_window: 60m\nallowlist: [10.1.2.3/8]\n").configuration
    let b = load("# a comment\nallowlist:\n  - 10.0.0.0/8\nincident_window: PT1H\n").configuration
    #expect(a?.hash == b?.hash)
    #expect(a?.hash.utf8.count == 64)
    // SHA-256 of the canonical text, so that it can be checked with sha256sum.
    #expect(a?.canonicalText.contains("allowlist=[\"10.0.0.0/8\"]\n") == true)
    let other = load("incident_window: 61m\nallowlist: [10.1.2.3/8]\n").configuration
    #expect(a?.hash != other?.hash)
  }

  @Test func filesThatAreNone() {
    #expect(
      Configuration.load(path: "/nonexistent/c.yaml").diagnostics.map(\.description) == [
        "/nonexistent/c.yaml: error: cannot open: No such file or directory"
      ])
    #expect(Configuration.load(path: "/tmp").diagnostics.map(\.message) == ["is not a regular file"])
    #expect(Configuration.load(path: "/dev/zero").diagnostics.map(\.message) == ["is not a regular file"])
  }

  @Test func wildcardsStopAtSlashesAndDots() {
    var configuration = Configuration()
    configuration.sources = [.init(input: .files("/nonexistent/*.log"), format: .access, trust: .attested)]
    #expect(configuration.source(of: "/nonexistent/a.log")?.trust == .attested)
    for path in ["/nonexistent/b/a.log", "/nonexistent/.a.log", "/nonexistent/a.txt", "-", ""] { #expect(configuration.source(of: path) == nil) }
  }
}
