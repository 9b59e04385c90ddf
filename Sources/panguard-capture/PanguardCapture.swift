// panguard-capture: the only program of Panguard that sees packets. Everything is in PacketCapture.
import Glibc
import PacketCapture

@main
struct PanguardCapture {
  static func main() { exit(CaptureProgram.main(Array(CommandLine.arguments.dropFirst()))) }
}
