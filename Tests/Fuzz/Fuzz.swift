// libFuzzer over the modules that read hostile bytes: `scripts/fuzz TARGET [SECONDS] [libFuzzer options]`. Built apart from the tests
// (PANGUARD_FUZZ=1), because everything is instrumented. A finding is an input that traps, leaks, or takes longer than -timeout.
import Glibc
import Primitives

/// By name: one input goes through the target; it must come back.
private let targets: [(name: String, run: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt)] = [
  ("log-parser", { fuzzLogParser(Bytes(start: $0, count: $1)) }),
  ("rule-loader", { fuzzRuleLoader(Bytes(start: $0, count: $1)) }),
  ("expression", { fuzzExpression(Bytes(start: $0, count: $1)) }),
  ("regular-expression", { fuzzRegularExpression(Bytes(start: $0, count: $1)) }),
  ("evaluator", { fuzzEvaluator(Bytes(start: $0, count: $1)) }),
  ("playbook", { fuzzPlaybook(Bytes(start: $0, count: $1)) }),
  ("enforcer-frame", { fuzzEnforcerFrame(Bytes(start: $0, count: $1)) }),
  ("responder-frame", { fuzzResponderFrame(Bytes(start: $0, count: $1)) }),
  ("uplink-frame", { fuzzUplinkFrame(Bytes(start: $0, count: $1)) }),
  ("packet", { fuzzPacket(Bytes(start: $0, count: $1)) }),
  ("capture-file", { fuzzCaptureFile(Bytes(start: $0, count: $1)) }),
  ("application-layer", { fuzzApplicationLayer(Bytes(start: $0, count: $1)) }),
  ("capture-message", { fuzzCaptureMessages(Bytes(start: $0, count: $1)) }),
  ("pattern-evaluation", { fuzzPatternEvaluation(Bytes(start: $0, count: $1)) }),
  ("input-records", { fuzzInputRecords(Bytes(start: $0, count: $1)) }),
  ("baseline-snapshot", { fuzzBaselineSnapshot(Bytes(start: $0, count: $1)) }),
]

/// What a corpus begins with, where no file of the repository is that.
private let seeds: [(name: String, bytes: @Sendable () -> [UInt8])] = [
  ("input-records", RecordTrial.seed), ("baseline-snapshot", SnapshotTrial.seed),
]

nonisolated(unsafe) private var chosen = targets[0].run

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ argc: UnsafeMutablePointer<CInt>, _ argv: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ run: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// The name that the package manager gives to this executable's `main`.
@_cdecl("fuzz_main")
public func fuzzMain(_ argc: CInt, _ argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> CInt {
  let name = getenv("PANGUARD_FUZZ_TARGET").map { String(cString: $0) } ?? ""
  guard let target = targets.first(where: { $0.name == name }) else {
    print("targets: \(targets.map(\.name).joined(separator: ", "))")
    return 2
  }
  if getenv("PANGUARD_FUZZ_SEED") != nil {
    let bytes = seeds.first { $0.name == name }?.bytes() ?? []
    return write(STDOUT_FILENO, bytes, bytes.count) == bytes.count ? 0 : 1
  }
  chosen = target.run
  var count = argc
  var arguments = argv
  return runDriver(&count, &arguments, { chosen($0, $1) })
}
