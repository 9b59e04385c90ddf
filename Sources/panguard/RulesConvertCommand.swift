// `panguard rules convert`: Sigma into ATR, ATR into Sigma or YARA.
import AgentRuntime
import ArgumentParser
import Glibc
import Primitives
import RuleConversion
import RuleImport
import RuleLanguage
import TypedYAML

extension RulesCommand {
  struct Convert: ParsableCommand {
    enum Source: String, ExpressibleByArgument, CaseIterable { case sigma, atr }
    enum Target: String, ExpressibleByArgument, CaseIterable { case atr, sigma, yara }
    static let configuration = CommandConfiguration(
      abstract: "Convert Sigma rules into ATR, and ATR rules into Sigma or YARA.",
      discussion: """
        --from sigma writes ATR with the fields of the host profile; --to sigma and --to yara write what those can say. Each rule that is left
        out is named with file, line and reason, and the exit code is then 1. Without --out the result goes to standard output.
        """)
    @Option(name: .long, help: "sigma, or atr.") var from: Source = .atr
    @Option(name: .long, help: "atr, sigma or yara. Default: atr from sigma.") var to: Target?
    @Option(name: .long, help: "Write one file for each rule into this directory.", completion: .directory) var out: String?
    @Flag(name: .long, help: "Overwrite files that are there.") var replace = false
    @Argument(help: "Rule files, directories, archives or bundles; - is standard input.", completion: .file()) var sources: [String]

    func validate() throws {
      let target = to ?? .atr
      guard (from == .sigma) == (target == .atr) else {
        throw ValidationError("write --from sigma, or --to sigma, or --to yara: '\(from.rawValue)' to '\(target.rawValue)' is no conversion")
      }
      guard sources.count(where: { $0 == "-" }) <= 1 else { throw ValidationError("standard input can be read once: write - once") }
    }

    func run() throws {
      var files: [RuleFile] = []
      var madeFiles: Set<String> = []
      for source in sources {
        do {
          let bundle = try RuleBundle.read(source)
          report(bundle.diagnostics, atLeast: .error)
          files += bundle.files
          madeFiles.formUnion(bundle.madeFiles)
        } catch { throw CommandFailure.environment("\(error.diagnostic)") }
      }
      let converted =
        switch to ?? .atr {
        case .atr: SigmaToATR.convert(files)
        case .sigma: ATRToSigma.convert(files)
        case .yara: ATRToYARA.convert(files)
        }
      // What was made from JSON has lines of our own, and its name says the place in the source.
      report(converted.diagnostics.map { RuleBundle.placed($0, madeFiles: madeFiles) }, atLeast: .note)
      guard !converted.documents.isEmpty || converted.leftOut > 0 else {
        throw CommandFailure.environment("no rule to convert in \(sources.joined(separator: ", "))")
      }
      try write(converted)
      printError("\(converted.documents.count) written, \(converted.leftOut) left out")
      if converted.leftOut > 0 { throw CommandFailure.findings }
    }

    private func write(_ converted: Converted) throws {
      guard let out else {
        var output = Output()
        for (i, document) in converted.documents.enumerated() {
          if i > 0 { output.line(to == .yara ? "" : "---") }
          output.write(document.bytes)
        }
        output.flush()
        return
      }
      guard makeDirectory(out, mode: 0o755) else { throw CommandFailure.environment("cannot make \(out): \(errorText(errno))") }
      let suffix = to == .yara ? ".yar" : to == .sigma ? ".yml" : ".yaml"
      let paths = converted.documents.map { "\(out)/\($0.name)\(suffix)" }
      // All of them before the first is written: half of a conversion is worse than none.
      var seen: Set<String> = []
      for path in paths {
        guard seen.insert(path).inserted else { throw CommandFailure.environment("two rules would be written to \(path)") }
        var info = stat()
        guard replace || lstat(path, &info) != 0 else { throw CommandFailure.environment("\(path) exists; --replace overwrites it") }
      }
      for (path, document) in zip(paths, converted.documents) {
        guard writeAtomically(document.bytes, to: path, mode: 0o644) else {
          throw CommandFailure.environment("cannot write \(path): \(errorText(errno))")
        }
      }
    }
  }
}
