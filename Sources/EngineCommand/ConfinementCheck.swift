// `panguardd --check-confinement`: a process that gives up what the engine gives up, then tries what the engine must not be able to do.
// Each try has the answer that it must get; one that gets another is a finding.
import AgentRuntime
import CLinux
import Confinement
import Glibc
import Primitives

public enum ConfinementCheck {
  /// Prints one line for each try. Exit code 1 where something was let through.
  public static func run(_ options: EngineOptions) throws {
    let settings = try options.selection.configuration()
    let state = EngineConfinement.absolute(options.selection.state ?? AgentPaths.stateDirectory(configured: settings.stateDirectory))
    let (account, _) = try EngineConfinement.account(requested: options.user)
    let confinement = EngineConfinement.declare(options, settings, state: state, cache: nil, account: account)
    // A file that everybody may read, to show that it is the list that closes it.
    let outside = "/etc/passwd"
    let report: ConfinementReport
    do { report = try confinement.apply() } catch { throw CommandFailure.environment("\(error)") }
    for line in report.achieved { print("achieved: \(line)") }
    for line in report.missing { print("missing: \(line)") }
    var isLetThrough = false
    for trial in trials(outside) {
      let answer = trial.attempt()
      let isRefused = answer != 0
      print("\(isRefused ? "refused" : "ALLOWED"): \(trial.what)\(isRefused ? ": \(String(cString: strerror(answer)))" : "")")
      if !isRefused { isLetThrough = true }
    }
    if isLetThrough { throw CommandFailure.findings }
  }

  private struct Trial {
    var what: String
    /// errno, or 0 where it was let through.
    var attempt: () -> Int32
  }

  private static func trials(_ outside: String) -> [Trial] {
    func opened(_ descriptor: Int32) -> Int32 {
      if descriptor < 0 { return errno }
      close(descriptor)
      return 0
    }
    func code(_ result: Int32) -> Int32 { result < 0 ? errno : 0 }
    let types = [("stream", SOCK_STREAM), ("datagram", SOCK_DGRAM), ("raw", SOCK_RAW)]
    var trials: [Trial] = []
    for (family, number) in [("AF_INET", AF_INET), ("AF_INET6", AF_INET6), ("AF_NETLINK", AF_NETLINK), ("AF_PACKET", AF_PACKET)] {
      for (name, type) in types {
        trials.append(Trial(what: "\(family) \(name) socket") { opened(pg_try_socket(number, Int32(type.rawValue))) })
      }
    }
    trials += [
      Trial(what: "AF_UNIX stream socket") { opened(pg_try_socket(AF_UNIX, Int32(SOCK_STREAM.rawValue))) },
      Trial(what: "reading \(outside)") { opened(pg_open(outside, O_RDONLY, 0)) },
      Trial(what: "reading the directory /root") { opened(pg_open("/root", O_RDONLY | O_DIRECTORY, 0)) },
      Trial(what: "writing a file in /tmp") { opened(pg_open("/tmp/panguard-check-\(getpid())", O_WRONLY | O_CREAT | O_EXCL, 0o600)) },
      Trial(what: "writing a file in /var/log") { opened(pg_open("/var/log/panguard-check-\(getpid())", O_WRONLY | O_CREAT | O_EXCL, 0o600)) },
      Trial(what: "a signal to process 1") { code(kill(1, 0)) },
      Trial(what: "a new process") { code(pg_try_fork()) },
      Trial(what: "becoming root") { code(pg_setresuid(0, 0, 0)) },
      Trial(what: "CAP_NET_ADMIN") { code(pg_capset(1 << 12)) },
      Trial(what: "changing a mode") { code(chmod(outside, 0o644)) },
    ]
    return trials
  }
}
