// panguard-enforcer: the only program of Panguard that changes the firewall. Everything is in EnforcerRuntime.
import EnforcerRuntime
import Glibc

@main
struct PanguardEnforcer {
  static func main() { exit(EnforcerProgram.main(Array(CommandLine.arguments.dropFirst()))) }
}
