// `panguard baseline ...`: what is usual on this host, and what an operator may change about it. What is shown is what the agent stored last
// (every five minutes, and at its end); what is changed is changed in the running agent, which writes down who did it.
import AgentRuntime
import ArgumentParser
import Baseline
import CaptureReplay
import EngineCommand
import Export
import Glibc
import LogParsers
import Primitives
import Storage
import TypedYAML

struct BaselineCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "baseline", abstract: "What is usual on this host: show, teach, correct.",
    subcommands: [
      Show.self, Explain.self, Difference.self, Promote.self, Forget.self, Freeze.self, Thaw.self, Learn.self, Export.self, Import.self, Bench.self,
    ], defaultSubcommand: Show.self)
}

/// A snapshot in a file.
enum BaselineFile {
  static func read(_ path: String) throws -> Baseline { try decode(try open(path).snapshot, path) }
  /// The snapshot in the file and who signed it; nil: nobody. A signature that is not valid is an error.
  static func open(_ path: String) throws -> (snapshot: [UInt8], signer: VerifyingKey?) {
    switch readDocumentFile(path, limit: Limits.baselineFileBytes) {
    case .failure(let failure): throw CommandFailure.environment(failure.diagnostic.description)
    case .success(let bytes):
      guard SignedBaseline.isSigned(bytes) else { return (bytes, nil) }
      do {
        let signed = try SignedBaseline(bytes)
        return (signed.snapshot, signed.signer)
      } catch { throw CommandFailure.environment("\(path): \(error)") }
    }
  }
  static func decode(_ bytes: [UInt8], _ name: String) throws -> Baseline {
    do { return try Baseline(snapshot: bytes) } catch { throw CommandFailure.environment("\(name): \(error)") }
  }
  static func write(_ bytes: [UInt8], _ path: String) throws {
    let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw CommandFailure.environment("\(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    // Also where the file was there before.
    guard fchmod(descriptor, 0o600) == 0 || errno == EPERM || errno == EINVAL else {
      throw CommandFailure.environment("\(path): \(String(cString: strerror(errno)))")
    }
    var rest = bytes[...]
    while !rest.isEmpty {
      let n = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      guard n > 0 else { throw CommandFailure.environment("\(path): \(String(cString: strerror(errno)))") }
      rest = rest.dropFirst(n)
    }
  }
}

/// With which key a baseline is signed, and whose signature is believed: that of ATR events, unless told otherwise.
struct BaselineSigning: ParsableArguments {
  @Option(name: .long, help: "An Ed25519 key (PEM; `panguard keys new`). Default: atr_events.key of the configuration.", completion: .file())
  var key: String?

  func path(_ selection: StateSelection) throws -> String? { try key ?? selection.configuration().atrEvents?.keyPath }
  /// What to write: signed if there is a key.
  static func sealed(_ snapshot: [UInt8], _ path: String?) throws -> (bytes: [UInt8], signer: VerifyingKey?) {
    guard let path else { return (snapshot, nil) }
    do {
      let key = try SigningKey(file: path)
      return (try SignedBaseline.encode(snapshot, key: key), key.verifyingKey)
    } catch { throw CommandFailure.environment("\(error)") }
  }
  /// The public half: of the key itself, or a file of its own.
  func trusted(_ selection: StateSelection) throws -> VerifyingKey? {
    guard let path = try path(selection) else { return nil }
    do { return try VerifyingKey(file: path) } catch {
      do { return try SigningKey(file: path).verifyingKey } catch { throw CommandFailure.environment("\(error)") }
    }
  }
}

/// Which baseline a command looks at.
struct BaselineSelection: ParsableArguments {
  @OptionGroup var selection: StateSelection
  @Option(name: .long, help: "A baseline in a file (`panguard baseline export`, `learn`) instead of the agent's.", completion: .file())
  var file: String?

  func load() throws -> Baseline {
    if let file { return try BaselineFile.read(file) }
    return try BaselineFile.decode(BaselineSelection.stored(selection), "the store")
  }
  static func stored(_ selection: StateSelection) throws -> [UInt8] {
    let store = try openStore(selection)
    defer { store.close() }
    let bytes: [UInt8]?
    do { bytes = try store.responseState(Agent.baselineKey) } catch { throw CommandFailure.environment("\(error)") }
    guard let bytes else {
      throw CommandFailure.environment("the agent has stored no baseline yet; it does so five minutes after its start, and when it ends")
    }
    return bytes
  }
}

/// What a command prints, and how.
private func show(_ format: OutputFormat, _ lines: @autoclosure () -> [String], _ json: @autoclosure () -> [UInt8]) {
  var output = Output()
  if format == .table { lines().forEach { output.line($0) } } else { output.line(json()) }
  output.flush()
}

extension BaselineCommand {
  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "How far each class has come, what waits, and what is usual in an hour and in a day.",
      discussion: "With a user, host, address, network or program: what is known of it alone.")
    @OptionGroup var selection: BaselineSelection
    @Option(name: .long, help: "table or json.") var format: OutputFormat = .table
    @Argument(help: "Only this user, host, address, network or program.") var subject: String?

    func run() throws { try BaselineCommand.show(selection, subject, nil, format) }
  }

  struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "What is known of a user, host or address, or of a pair.",
      discussion: "For example `panguard baseline explain alice` or `panguard baseline explain alice 192.0.2.0/24`.")
    @OptionGroup var selection: BaselineSelection
    @Option(name: .long, help: "table or json.") var format: OutputFormat = .table
    @Argument(help: "The first half: a user, host, address or program.") var subject: String
    @Argument(help: "The second half, as `show` and the table of classes write it: 192.0.2.0/24, \"weekday 03\", /usr/bin/apt.") var object: String?

    func run() throws { try BaselineCommand.show(selection, subject, object, format) }
  }

  fileprivate static func show(_ selection: BaselineSelection, _ subject: String?, _ object: String?, _ format: OutputFormat) throws {
    let view = BaselineView(try selection.load(), subject: subject, object: object)
    panguard.show(format, view.lines(), view.json())
    if subject != nil, view.isEmpty { throw CommandFailure(status: .findings, message: "nothing is known about it") }
  }

  struct Difference: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "diff", abstract: "What is new, gone and changed from one baseline to another.",
      discussion: "With one file: from it to what the agent stored last. Exit 1 if anything differs. Pairs have no names: their numbers are told.")
    @OptionGroup var selection: StateSelection
    @Option(name: .long, help: "table or json.") var format: OutputFormat = .table
    @Argument(help: "The earlier one, a file.", completion: .file()) var before: String
    @Argument(help: "The later one, a file.", completion: .file()) var after: String?

    func run() throws {
      let old = try BaselineFile.read(before)
      let new = try after.map { try BaselineFile.read($0) } ?? BaselineFile.decode(BaselineSelection.stored(selection), "the store")
      let difference = BaselineDifference(from: old, to: new)
      let sides = (BaselineDifference.Side(old), BaselineDifference.Side(new))
      panguard.show(format, difference.lines(sides.0, sides.1), difference.json(sides.0, sides.1))
      if !difference.isEmpty { throw CommandFailure.findings }
    }
  }

  struct Promote: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Call a pair normal, also one that a rule spoke of.",
      discussion: "For example `panguard baseline promote login_network alice 192.0.2.0/24`.")
    @OptionGroup var selection: StateSelection
    @Argument(help: "The class: \(PairClass.allCases.map(\.name).joined(separator: ", ")).") var row: String
    @Argument(help: "The first half.") var subject: String
    @Argument(help: "The second half.") var object: String

    func run() throws {
      guard let row = PairClass(name: row) else {
        throw CommandFailure.usage("there is no class '\(TerminalText.escaped(row))'; `panguard baseline show` lists them")
      }
      guard let object = row.object(writtenAs: object) else {
        throw CommandFailure.usage("\(row.name): '\(TerminalText.escaped(object))' is no \(row.halves.object); one is written \(row.example)")
      }
      try change(selection, .promote(row, subject: Array(subject.utf8), object: object))
    }
  }
  struct Forget: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Forget a user, host or address: it is new again.")
    @OptionGroup var selection: StateSelection
    @Argument(help: "The user, host, address or program.") var subject: String
    func run() throws { try change(selection, .forget(subject: Array(subject.utf8))) }
  }
  struct Freeze: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Learn nothing more; judging goes on.")
    @OptionGroup var selection: StateSelection
    func run() throws { try change(selection, .freeze) }
  }
  struct Thaw: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Go on learning after `freeze`.")
    @OptionGroup var selection: StateSelection
    func run() throws { try change(selection, .thaw) }
  }
  private static func change(_ selection: StateSelection, _ request: BaselineRequest) throws {
    let request = ControlRequest.baseline(request)
    guard request.line.utf8.count <= Limits.controlRequestBytes else { throw CommandFailure.usage("the names are too long for a request") }
    try AgentControl.perform(selection, .table, request)
  }

  struct Learn: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Learn from recorded logs and captures, in event time, into a file.",
      discussion: """
        So a new installation begins with last month's logs instead of a blind week:

        panguard baseline learn -o b /var/log/auth.log*; panguard baseline import --unsigned b

        Name logs before --pcap.
        """)
    @OptionGroup var selection: RuleSelection
    @Option(name: .long, help: "The configuration file.", completion: .file()) var config: String?
    @Option(name: [.short, .long], help: "Where the baseline goes.", completion: .file()) var output: String
    @Option(name: .long, help: "Begin with this one.", completion: .file()) var baseline: String?
    @Option(name: .long, help: "Sign it with this key (PEM). Default: atr_events.key of the configuration.", completion: .file()) var key: String?
    @Option(name: .long, help: "The logs' format: \(LogFormat.allCases.map(\.rawValue).joined(separator: ", ")).") var logFormat: LogFormat = .auto
    @Option(name: .long, help: "Stands for the files' modification time (RFC 3339).") var inputTime: String?
    @Flag(name: .long, help: "No progress bar.") var quiet = false
    @Option(name: .long, parsing: .upToNextOption, help: "Capture files, up to the next option.", completion: .file()) var pcap: [String] = []
    @Argument(help: "Log files; - is standard input.", completion: .file()) var files: [String] = []

    func validate() throws {
      if files.isEmpty, pcap.isEmpty { throw ValidationError("name a log file, or a capture with --pcap") }
    }

    func run() throws {
      let settings = try ReplayCommand.settings(config)
      guard settings.usesBaseline else { throw CommandFailure.usage("baseline.enabled is false in the configuration") }
      let time = try inputTime.map { try ReplayCommand.inputTime($0) }
      let (pipeline, _) = try ReplayCommand.pipeline(selection, settings, baseline: baseline)
      let replay = Replay(pipeline: pipeline)
      let now = EventTime(seconds: Int64(Glibc.time(nil)))
      do {
        for file in files {
          try replay.add(path: file, format: logFormat, inputTime: time, standardInputTime: now, configuration: settings)
        }
        for file in pcap { replay.add(try CaptureReplay(path: file, standardInputTime: now, share: pcap.count)) }
      } catch { throw CommandFailure.environment("\(error)") }
      var progress = Progress("learning", quiet: quiet)
      let statistics = replay.run(progress: { progress.update($0, of: $1) }) { _ in }
      progress.finish()
      for problem in replay.damagedInputs { printError("panguard: \(problem)") }
      let sealed = try BaselineSigning.sealed(pipeline.detector.baseline.snapshot(), key ?? settings.atrEvents?.keyPath)
      try BaselineFile.write(sealed.bytes, output)
      let learned = PairClass.allCases.filter { pipeline.detector.baseline.state(of: $0).learning.isLearned }.map(\.name)
      let frames = pcap.isEmpty ? "" : ", \(grouped(statistics.frames)) frames"
      print("\(grouped(statistics.lines)) lines\(frames); learned: \(learned.isEmpty ? "nothing yet" : learned.joined(separator: ", "))")
      if !replay.damagedInputs.isEmpty { throw CommandFailure(status: .environment, message: "") }
    }
  }

  struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Write what the agent stored last into a file.")
    @OptionGroup var selection: StateSelection
    @OptionGroup var signing: BaselineSigning
    @Argument(help: "The file.", completion: .file()) var file: String
    func run() throws {
      let sealed = try BaselineSigning.sealed(try BaselineSelection.stored(selection), try signing.path(selection))
      try BaselineFile.write(sealed.bytes, file)
      let unsigned = "not signed; `--key FILE` signs it, and `import` takes it with --unsigned only"
      print("\(file): \(sealed.signer.map { "signed by \($0.id)" } ?? unsigned)")
    }
  }
  struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Give the agent a baseline from a file, instead of its own.", discussion: "The agent must not run: it would go on with its own.")
    @OptionGroup var selection: StateSelection
    @OptionGroup var signing: BaselineSigning
    @Flag(name: .long, help: "Take one that nobody signed.") var unsigned = false
    @Flag(name: .long, help: "Take one that somebody else signed.") var foreign = false
    @Argument(help: "The file.", completion: .file()) var file: String
    func run() throws {
      let (snapshot, signer) = try BaselineFile.open(file)
      let origin = try origin(signer)
      let baseline = try BaselineFile.decode(snapshot, file)
      do {
        let store = try DecisionStore(directory: try selection.directory())
        defer { store.close() }
        var batch = CommitBatch()
        batch.response.state.append((Agent.baselineKey, baseline.snapshot()))
        _ = try store.commit(batch)
      } catch let error as StorageError { throw CommandFailure.environment("\(error)") }
      print("taken: \(grouped(baseline.learnedEvents)) events up to \(baseline.newest), \(origin)")
    }
    /// By whom it is, or why it is not taken.
    private func origin(_ signer: VerifyingKey?) throws -> String {
      guard let signer else {
        guard unsigned else { throw CommandFailure.environment("\(file): nobody signed it; --unsigned takes it all the same") }
        return "not signed"
      }
      let trusted = try signing.trusted(selection)
      guard signer == trusted || foreign else {
        let whose = trusted.map { "not by \($0.id)" } ?? "and there is no key to believe (--key)"
        throw CommandFailure.environment("\(file): signed by \(signer.id), \(whose); --foreign takes it all the same")
      }
      return "signed by \(signer.id)\(signer == trusted ? "" : ", a foreign key")"
    }
  }
}
