// `panguard replay`: the same bytes on every run, the truth of generated logs, and bounded memory.
import Detection
import Foundation
import Glibc
import Primitives
import Testing

@Suite struct ReplayTests {
  private static let examples = [Product.root + "/examples/auth.log", Product.root + "/examples/access.log"]
  private static let time = "2026-11-01T00:00:00Z"

  /// A generated log and what it says of its sources; nil where the generator is not there.
  private func generate(_ kind: String, lines: Int, seed: Int, in d: TemporaryDirectory) throws -> Truth? {
    guard let shared = Product.shared else {
      skip("no folder 'shared' with tools/gen_logs.py beside the repository, and PANGUARD_SHARED is not set")
      return nil
    }
    let made = run([
      "/usr/bin/env", "python3", shared + "/tools/gen_logs.py", "--kind", kind, "--lines", "\(lines)", "--seed", "\(seed)", "--out", d["\(kind).log"],
      "--truth", d["\(kind).json"],
    ])
    guard made.status == 0 else {
      skip("gen_logs.py does not run here: \(made.errors)")
      return nil
    }
    return try JSONDecoder().decode(Truth.self, from: Data(d.contents("\(kind).json")))
  }
  struct Truth: Decodable {
    struct Source: Decodable {
      var `class`: String
      var attempts: Int
      /// When the reference policy would have banned it; nil: never.
      var ref_ban: Double?
    }
    var ips: [String: Source]
    static let benign: Set = ["legit", "visitor", "crawler"]
  }

  /// Hash seeds, time zones, languages and the pieces in which the input comes make no difference.
  @Test func theSameInputGivesTheSameBytes() throws {
    let d = TemporaryDirectory()
    var inputs = Self.examples
    if try generate("sshd", lines: 4000, seed: 5, in: d) != nil { inputs.append(d["sshd.log"]) }
    // Merged files, each environment.
    var logs: Set<[UInt8]> = []
    for environment in [
      [:], ["SWIFT_DETERMINISTIC_HASHING": "1"], ["TZ": "Asia/Kathmandu", "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"],
      ["TZ": "America/St_Johns", "LANG": "C"],
    ] as [[String: String]] {
      let result = panguard(["replay", "--rules", Product.rules, "--format", "jsonl", "--input-time", Self.time] + inputs, environment: environment)
      #expect(result.status == 0 && result.errors.isEmpty, "\(result.errors)")
      logs.insert(result.output)
    }
    #expect(logs.count == 1)
    #expect((logs.first?.count ?? 0) > 50_000)

    // One input through a pipe, in pieces of any size, and from a file.
    for input in inputs {
      var logs: Set<[UInt8]> = []
      let arguments = "replay --rules $R --format jsonl --input-time \(Self.time) -"
      for command in [
        "$P \(arguments) < $INPUT", "dd if=$INPUT bs=97 status=none | $P \(arguments)", "dd if=$INPUT bs=65537 status=none | $P \(arguments)",
        "(head -c 1; sleep 0.2; head -c 4096; sleep 0.2; cat) < $INPUT | $P \(arguments)", "gzip -c $INPUT | $P \(arguments)",
      ] {
        let result = bash(command, d, environment: ["INPUT": input])
        #expect(result.status == 0, "\(command): \(result.errors)")
        logs.insert(result.output)
      }
      #expect(logs.count == 1, "\(input)")
    }
  }

  /// Two logs whose lines have the same stamps, and the sample: the order in which files are named makes no difference, nor does whether
  /// what is known about the rules was kept from before.
  @Test func neitherTheOrderOfFilesNorAKeptRuleDatabaseMatters() throws {
    let d = TemporaryDirectory()
    for attempt in 0..<12 {
      let time = Workload.start + .seconds(Int64(attempt) * 7)
      for (log, address) in [("a.log", "198.18.0.1"), ("b.log", "198.18.0.2"), ("c.log", "198.18.0.1")] {
        d.append(Workload.failedLogin(time, pid: 40 + attempt, user: "root", from: address).joined(), to: log)
      }
    }
    let inputs = [d["a.log"], d["b.log"], d["c.log"]] + Self.examples
    var logs: Set<[UInt8]> = []
    for (round, order) in [inputs, inputs.reversed(), [inputs[2], inputs[4], inputs[0], inputs[3], inputs[1]]].enumerated() {
      let arguments = ["replay", "--rules", Product.rules, "--format", "jsonl", "--input-time", Self.time] + order
      // The second run of each finds what the first kept.
      for _ in 0..<2 {
        let result = panguard(arguments, environment: ["CACHE_DIRECTORY": d["cache\(round)"], "TZ": round == 0 ? "UTC" : "Asia/Kathmandu"])
        #expect(result.status == 0 && result.errors.isEmpty, "\(result.errors)")
        logs.insert(result.output)
      }
    }
    #expect(logs.count == 1)
    #expect(logs.first?.isEmpty == false)
  }

  /// --output holds what --format jsonl prints, and a log can be written over.
  @Test func theOutputFileHoldsTheDecisions() throws {
    let d = TemporaryDirectory()
    d.append(String(repeating: "old\n", count: 100_000), to: "log.jsonl")
    let printed = panguard(["replay", "--rules", Product.rules, "--format", "jsonl", "--input-time", Self.time] + Self.examples)
    let written = panguard(["replay", "--rules", Product.rules, "--output", d["log.jsonl"], "--input-time", Self.time] + Self.examples)
    #expect(written.status == 0 && written.output.isEmpty)
    #expect(d.contents("log.jsonl") == printed.output)
    #expect(try printed.decisions.count == printed.lines.count)
  }

  /// Packed logs, and logs without a last newline.
  @Test func packedLogsAreReadLikePlainOnes() {
    let d = TemporaryDirectory()
    d.append(Array(fileContents(Self.examples[0]).dropLast()), to: "auth.log")
    let arguments = ["replay", "--rules", Product.rules, "--format", "jsonl", d["auth.log"]]
    let plain = panguard(arguments)
    #expect(!plain.output.isEmpty)
    for packer in ["gzip", "xz"] {
      guard bash("command -v \(packer)", d).status == 0 else {
        skip("\(packer) is not installed")
        continue
      }
      // Under the same name, so that sources and times are the same.
      let packed = bash(
        "cp -p $D/auth.log $D/keep && \(packer) -c $D/keep > $D/auth.log && touch -r $D/keep $D/auth.log && "
          + "$P \(arguments.joined(separator: " ")); s=$?; cp -p $D/keep $D/auth.log; exit $s", d)
      #expect(packed.status == 0 && packed.output == plain.output, "\(packer): \(packed.errors)")
    }
    // A file that stops in the middle is read as far as it goes, and said.
    let cut = bash("gzip -c $D/auth.log | head -c 3000 > $D/cut.gz; $P replay --rules $R --format none --stats $D/cut.gz", d)
    #expect(cut.status == 3 && cut.errors.contains("cut.gz") && cut.errors.contains("inputs that ended early 1"), "\(cut)")
  }

  @Test(arguments: [(20_260_105, "sshd"), (4711, "nginx")]) func generatedAttacksAreFoundAndNobodyElse(seed: Int, kind: String) throws {
    let d = TemporaryDirectory()
    guard let truth = try generate(kind, lines: kind == "sshd" ? 70_000 : 60_000, seed: seed, in: d) else { return }
    let result = panguard("replay", "--rules", Product.rules, "--format", "jsonl", "--stats", "--input-time", Self.time, d["\(kind).log"])
    #expect(result.status == 0)
    var best: [IPAddress: Int] = [:]
    var networks: [(network: CIDR, confidence: Int)] = []
    for decision in try result.decisions {
      guard let network = decision.subject.source.flatMap({ CIDR($0) }) else { continue }
      if decision.subject.source?.contains("/") == true {
        networks.append((network, decision.confidence.thousandths))
      } else {
        best[network.base] = max(best[network.base] ?? 0, decision.confidence.thousandths)
      }
    }
    var attempts = 0
    var banned = 0
    for (text, source) in truth.ips {
      let address = try #require(IPAddress(text))
      let own = best[address] ?? 0
      let found = networks.reduce(own) { $1.network.contains(address) ? max($0, $1.confidence) : $0 }
      attempts += source.attempts
      if Truth.benign.contains(source.class) { #expect(own < 700, "\(text) is \(source.class)") }
      if source.ref_ban != nil {
        banned += 1
        #expect(found >= 900, "\(text), \(source.class), \(source.attempts) attempts: \(found)")
      }
    }
    #expect(banned > 0)
    if kind == "sshd" {
      let counted = result.errors.split(separator: "\n").first { $0.hasPrefix("attempts") }
      #expect(counted?.filter(\.isNumber) == "\(attempts)", "\(result.errors)")
    }
  }

  /// More attackers than any table holds: what is forgotten is counted, and memory stays where it was.
  @Test func manyAddressesNeitherFillTheMemoryNorGoUnnoticed() throws {
    let d = TemporaryDirectory()
    let count = 300_000
    let file = fopen(d["auth.log"], "w")
    for n in 0..<count {
      let six = "2001:db8:\(String(n / 65536, radix: 16)):\(String(n % 65536, radix: 16))::1"
      let address = n % 3 == 0 ? six : "\(11 + n / 65536).\(n / 256 % 256).\(n % 256).7"
      let stamp = "2026-01-05T\(hms(n / 100)).\(n % 100 < 10 ? "0" : "")\(n % 100)0000+00:00"
      fputs("\(stamp) web01 sshd[\(n % 30000 + 1)]: Failed password for root from \(address) port 4000 ssh2\n", file)
    }
    fclose(file)
    let result = panguard("replay", "--rules", Product.rules, "--format", "none", "--stats", d["auth.log"])
    #expect(result.status == 0)
    func figure(_ name: String) -> Int? {
      result.errors.split(separator: "\n").first { $0.hasPrefix(name) }.flatMap { Int($0.dropFirst(name.count).filter(\.isNumber)) }
    }
    #expect(figure("attempts") == count, "\(result.errors)")
    #expect(try #require(figure("peak RSS")) < 128 * 1024, "\(result.errors)")
    #expect(result.errors.contains("groups evicted from rule windows"), "\(result.errors)")
  }
  private func hms(_ seconds: Int) -> String {
    [seconds / 3600, seconds / 60 % 60, seconds % 60].map { $0 < 10 ? "0\($0)" : "\($0)" }.joined(separator: ":")
  }

  @Test func aProgressBarIsShownOnATerminalOnly() {
    let d = TemporaryDirectory()
    guard access("/usr/bin/script", X_OK) == 0 else { return skip("script(1) is not installed") }
    d.append(Workload.harmless(0..<20_000), to: "auth.log")
    let arguments = "replay --rules $R --output $D/o $D/auth.log"
    #expect(bash("script -qec \"$P \(arguments)\" /dev/null", d).text.contains("replaying"))
    #expect(!bash("$P \(arguments)", d).errors.contains("replaying"))
    #expect(!bash("script -qec \"$P \(arguments) --quiet\" /dev/null", d).text.contains("replaying"))
  }

  /// A log in local time beside one in UTC: three slips are three attempts.
  @Test func inputsWithSkewedClocksDoNotSplitAttempts() {
    let d = TemporaryDirectory()
    for n in 0..<3 {
      for line in Workload.failedLogin(Workload.start + .seconds(Int64(n) * 20), pid: 70 + n, user: "alice", from: "198.18.0.7") {
        d.append(line.replacing("2026-01-05T00:", with: "2026-01-04T19:"), to: "auth.log")
      }
    }
    for second in 10..<60 {
      d.append("198.18.0.9 - - [05/Jan/2026:00:00:\(second) +0000] \"GET / HTTP/1.1\" 200 10 \"-\" \"-\"\n", to: "access.log")
    }
    let result = panguard("replay", "--rules", Product.rules, "--stats", d["auth.log"], d["access.log"])
    #expect(result.status == 0 && result.errors.contains("attempts    3\n"), "\(result)")
    #expect(!result.text.contains("block_ip"), "\(result)")
  }

  /// What the configuration says of a file holds for its replay.
  @Test func theConfiguredFormatIsUsed() {
    let d = TemporaryDirectory()
    d.append(Workload.attacks(0..<1)[0].joined(), to: "auth.log")
    d.write("sources:\n  - path: \(d.path)/*.log\n    format: access\n", to: "config.yaml")
    let plain = panguard("replay", "--rules", Product.rules, d["auth.log"])
    #expect(plain.lines.count > 0)
    let configured = panguard("replay", "--rules", Product.rules, "--config", d["config.yaml"], d["auth.log"])
    #expect(configured.status == 0 && configured.text.isEmpty, "\(configured)")
    let chosen = panguard("replay", "--rules", Product.rules, "--config", d["config.yaml"], "--log-format", "syslog", d["auth.log"])
    #expect(chosen.lines.count == plain.lines.count, "\(chosen)")
  }

  /// A kept compilation that cannot be used is made again.
  @Test func aDamagedRuleCacheIsReplaced() {
    let d = TemporaryDirectory()
    d.append(Workload.harmless(0..<1), to: "auth.log")
    let command = "$P replay --rules $R $D/auth.log 2>/dev/null; ls $D/cache/* && stat -c %s $D/cache/*"
    let first = bash(command, d, environment: ["CACHE_DIRECTORY": d["cache"]])
    // The checked rules, and what is known about their patterns.
    #expect(first.lines.count == 4, "\(first)")
    #expect(bash("for f in $D/cache/*; do echo damaged > $f; done", d).status == 0)
    let second = bash(command, d, environment: ["CACHE_DIRECTORY": d["cache"]])
    #expect(second.text == first.text, "\(second)")
  }

  /// The page of a decision names the file to replay also where it was given without a directory.
  @Test func aBareFileNameIsAFile() {
    let d = TemporaryDirectory()
    d.append(Workload.attacks(0..<1)[0].joined(), to: "auth.log")
    let page = bash(
      "cd $D && $P replay --rules $R --output log auth.log && $P explain --rules $R --log log $(sed -n 's/.*\"panguard.decision.id\":\"\\(d[0-9a-f]*\\)\".*/\\1/p' log | tail -1)",
      d)
    #expect(page.text.contains("--config CONFIG auth.log"), "\(page)")
  }
}
