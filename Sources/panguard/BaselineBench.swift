// `panguard baseline bench`: what a full baseline costs on this machine. Figures only: it asserts nothing.
import AgentRuntime
import ArgumentParser
import Baseline
import CLinux
import EngineCommand
import Events
import Glibc
import Primitives

extension BaselineCommand {
  struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "What a full baseline costs on this machine: memory, and time to store it and to take it up.",
      discussion: "Learns from made events, each with a user, address, program, domain and machine of its own; nothing is read or written.")
    @Option(name: .long, help: "How many different ones.") var keys: Int64 = 500_000

    func run() throws {
      guard (1...100_000_000).contains(keys) else { throw CommandFailure.usage("--keys takes 1 to 100000000") }
      // What code and tables of this program take is not the baseline's.
      var warmUp = Baseline()
      Bench.learn(1, into: &warmUp)
      let before = Bench.resident()
      var baseline = Baseline()
      let began = clock()
      Bench.learn(keys, into: &baseline)
      let learned = clock()
      let memory = Bench.resident() - before
      let bytes = baseline.snapshot()
      let stored = clock()
      let copy = try BaselineFile.decode(bytes, "the snapshot")
      let restored = clock()
      func milliseconds(_ ticks: Int) -> String {
        let tenths = ticks * 10_000 / Int(CLOCKS_PER_SEC)
        return "\(tenths / 10).\(tenths % 10) ms"
      }
      let entries = PairClass.allCases.map { baseline.state(of: $0).entries }.reduce(0, +)
      print("learned   \(grouped(UInt64(keys))) of each of \(Kind.allCases.count) kinds in \(milliseconds(learned - began)) of processor time")
      print("kept      \(entries) pairs and first halves, \(baseline.profileCount) rates; \(grouped(baseline.evictions)) forgotten")
      print("memory    \(grouped(UInt64(max(0, memory)) / 1024)) KiB")
      print("stored    \(grouped(UInt64(bytes.count))) bytes in \(milliseconds(stored - learned))")
      print("taken up  in \(milliseconds(restored - stored)), \(copy.hash == baseline.hash ? "the same" : "not the same")")
      print("peak      \(SelfMetrics.peakResidentBytes() / 1_048_576) MiB of the process")
    }

    private static func learn(_ keys: Int64, into baseline: inout Baseline) {
      var event = Event()
      for n in 0..<keys {
        // A day for every five hundred: what may come in a day is limited.
        let time = EventTime(seconds: 1_767_571_200 + n / 500 * 86_400 + n % 500 * 170)
        for kind in Kind.allCases {
          kind.fill(&event, n, at: time)
          let classes = baseline.judge(&event)
          _ = baseline.advance(to: time)
          baseline.learn(event, classes, at: time, isClean: true)
        }
      }
    }
    /// Without what was freed.
    private static func resident() -> Int64 {
      pg_release_free_memory()
      return Int64(clamping: SelfMetrics.residentBytes())
    }

    private enum Kind: CaseIterable {
      case login, failedLogin, sudo, cron, unit, domain, hello, keyExchange, flow, listener, program, answer

      func fill(_ event: inout Event, _ n: Int64, at time: EventTime) {
        event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
        event.time = time
        event.set(.eventOutcome, "success")
        event.set(.hostName, "web01")
        let address = IPAddress(v4: 0x0b00_0000 &+ UInt32(truncatingIfNeeded: n))
        func text(_ field: Field, _ prefix: StaticString) {
          var name: [UInt8] = []
          name.append(prefix)
          name.append(decimal: n)
          name.withUnsafeBytes { event.set(field, $0) }
        }
        switch self {
        case .login, .failedLogin:
          event.set(.eventAction, "ssh-login")
          event.set(.eventProvider, "sshd")
          text(.userName, "user")
          event.set(.sourceIP, address)
          event.set(.authenticationMethod, "publickey")
          guard self == .failedLogin else { break }
          event.set(.eventOutcome, "failure")
          event.set(.attemptCount, 1)
        case .sudo:
          event.set(.eventAction, "sudo-command")
          text(.userName, "user")
          text(.userEffectiveName, "other")
          text(.processExecutable, "/usr/bin/")
        case .cron:
          event.set(.eventAction, "cron-command")
          event.set(.userName, "root")
          text(.processCommandLine, "/usr/bin/job ")
        case .unit:
          event.set(.eventAction, "service-started")
          text(.systemdUnit, "unit")
        case .domain:
          event.set(.eventAction, "dns-query")
          text(.dnsQuestionRegisteredDomain, "example")
        case .hello:
          event.set(.eventAction, "tls-client-hello")
          text(.processExecutable, "/usr/bin/")
          text(.tlsClientJA4, "t13d")
        case .keyExchange:
          event.set(.eventAction, "ssh-key-exchange")
          text(.sshClientHASSH, "hassh")
        case .listener:
          event.set(.eventAction, "process-listening")
          text(.processExecutable, "/usr/bin/")
          event.set(.destinationPort, n % 65_536)
        case .flow:
          event.set(.eventAction, "network_flow")
          text(.processExecutable, "/usr/bin/")
          event.set(.sourceIP, address)
          event.set(.destinationIP, address)
          event.set(.destinationPort, n % 65_536)
          event.set(.networkTransport, "tcp")
          event.set(.sourceBytes, n * 7919 % 1_000_000)
          event.set(.eventDuration, n * 7919 % 1_000_000_000_000)
        case .program:
          event.set(.eventAction, "process-started")
          text(.processParentExecutable, "/usr/bin/")
          text(.processExecutable, "/usr/bin/")
        case .answer:
          event.set(.eventAction, "http-request")
          text(.eventProvider, "server")
          event.set(.httpResponseBodyBytes, 20_000 + n % 1_000_000)
        }
      }
    }
  }
}
