// panguard-responder: the only program of Panguard that acts on this host itself. Everything is in ResponderRuntime.
import Glibc
import ResponderRuntime

@main
struct PanguardResponder {
  static func main() { exit(ResponderProgram.main(Array(CommandLine.arguments.dropFirst()))) }
}
