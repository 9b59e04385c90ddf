// panguard-uplink: the only program of Panguard that opens connections to other hosts. Everything is in Uplink.
import Glibc
import Uplink

@main
struct PanguardUplink {
  static func main() { exit(UplinkProgram.main(Array(CommandLine.arguments.dropFirst()))) }
}
