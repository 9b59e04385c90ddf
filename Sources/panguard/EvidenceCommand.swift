// `panguard evidence`: what a decision rests on, as it was: the lines, or the packets out of what the capture recorded. Packets are read by
// `panguard-capture --cut`, which gives up everything first; this command says which, and starts it.
import AgentRuntime
import ArgumentParser
import Detection
import Export
import Glibc
import HostActions
import LogSources
import Primitives
import Storage
import Supervision

struct EvidenceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evidence", abstract: "The lines of a decision, or its packets as a file.",
    discussion: """
      Without --pcap it prints the lines that the decision rests on, as far as their logs still hold them.

      With --pcap it makes a file (pcapng, mode 0600) of the packets to and from the decision's address, and of the flows of the frames that it
      names, from --before its first evidence to --after its last. They come out of the capture's recording (`recording: true` in
      /etc/panguard/capture.yaml), or out of capture files that --from names. It says what it found, and what is missing and why.

      Exit code 1: no packet was found, and no file is made.
      """)
  @OptionGroup var selection: StateSelection
  @Flag(name: .long, help: "Packets instead of lines.") var pcap = false
  @Option(name: .long, help: "With --pcap: the file to make. Default: the decision's id with .pcapng, here.", completion: .file()) var output: String?
  @Option(name: .long, parsing: .upToNextOption, help: "With --pcap: capture files to read instead of the recording.", completion: .file())
  var from: [String] = []
  @Option(name: .long, help: "With --pcap: where the capture records. Default: as its configuration says.", completion: .directory)
  var recording: String?
  @Option(name: .long, help: "With --pcap: the capture's configuration; default /etc/panguard/capture.yaml.", completion: .file())
  var captureConfig: String?
  @Option(name: .long, help: "With --pcap: from so long before the first evidence on.") var before = "30s"
  @Option(name: .long, help: "With --pcap: until so long after the last evidence.") var after = "30s"
  @Option(name: .long, help: "With --pcap: at most so many packets, the first ones.") var packets: UInt64 = 1_000_000
  @Option(name: .long, help: "With --pcap: at most so many bytes of the file.") var bytes: UInt64 = 256 << 20
  @Option(name: .long, help: "A decision log (JSON lines) to look in instead of the store; - is standard input.", completion: .file())
  var log: String?
  @Option(name: .long, help: "table (for people) or json.") var format: OutputFormat = .table
  @Argument(help: "The decision's id, or the beginning of it.") var id: String

  func validate() throws {
    let isGiven = output != nil || !from.isEmpty || recording != nil || captureConfig != nil
    if isGiven, !pcap { throw ValidationError("--output, --from, --recording and --capture-config go with --pcap") }
    if recording != nil, !from.isEmpty { throw ValidationError("--from reads files instead of a recording: name one of the two") }
    // They would be options to the other program too.
    for value in [output, recording, captureConfig].compactMap({ $0 }) + from where value.isEmpty || value.hasPrefix("--") {
      throw ValidationError("'\(value)' looks like an option")
    }
  }

  func run() throws {
    let decision = try log.map { try ExplainCommand.decision(id, inLog: $0) } ?? findDecision(id, in: openStore(selection))
    guard pcap else { return showLines(decision) }
    let status = try cut(decision)
    if status != 0 { throw CommandFailure(status: ExitStatus(rawValue: status) ?? .environment, message: "") }
  }

  // MARK: Lines

  private func showLines(_ decision: Decision) {
    var output = Output()
    var json = JSONWriter()
    if format != .table { json.beginArray() }
    for record in decision.evidence {
      let line = ExplainCommand.fetch(record)
      if format == .table {
        let absence = line == nil ? ": \(EvidenceCommand.absence(record, decision.id))" : ""
        output.line(TerminalText.escaped("\(record.time) \(record.source) \(record.offset)\(absence)"))
        if let line { output.line("    " + TerminalText.escaped(line)) }
        continue
      }
      json.beginObject()
      json.key("@timestamp")
      json.value(record.time)
      json.key("source")
      json.value(record.source)
      json.key("offset")
      json.value(record.offset)
      json.key("line")
      if let line { json.value(line) } else { json.null() }
      json.endObject()
    }
    if format != .table {
      json.endArray()
      output.line(json.out)
    } else if decision.evidenceTotal > UInt64(decision.evidence.count) {
      output.line("\(decision.evidenceTotal) lines in all; the decision keeps \(decision.evidence.count)")
    }
    output.flush()
  }
  private static func absence(_ record: EvidenceRecord, _ id: String) -> String {
    if record.source.hasPrefix("network:") { return "a frame; `panguard evidence \(id) --pcap` has its packets" }
    return record.source == "-" ? "it came by standard input" : "no version of its log holds it any more, or it cannot be read"
  }

  // MARK: Packets

  private func cut(_ decision: Decision) throws -> Int32 {
    func span(_ text: String, _ option: String) throws -> Nanoseconds {
      // A duration is never zero; here it may be.
      let unit = text.drop { $0 == "0" }
      if unit.count < text.count, ["", "ms", "s", "m", "h", "d", "w"].contains(unit) { return Nanoseconds(0) }
      guard let span = Nanoseconds(duration: text) else {
        throw CommandFailure.usage("\(option) wants a span such as 30s, not '\(text)'")
      }
      return span
    }
    guard Limits.cutPackets.contains(packets), Limits.cutBytes.contains(bytes) else {
      throw CommandFailure.usage(
        "--packets may be up to \(Limits.cutPackets.upperBound), --bytes from \(Limits.cutBytes.lowerBound) to \(Limits.cutBytes.upperBound)")
    }
    let selected = decision.packets(before: try span(before, "--before"), after: try span(after, "--after"), packets: packets, bytes: bytes)
    guard let selected else { throw CommandFailure.usage("the decision names neither an address nor a frame: there is nothing to look for") }
    let path = output ?? "\(decision.id).pcapng"
    guard access(path, F_OK) != 0 else { throw CommandFailure.usage("\(path) is there already; --output names another one") }
    let directories = ChildProgram.directories(besides: executablePath())
    guard let program = ChildProgram(name: "capture", executable: "panguard-capture").path(in: directories) else {
      throw CommandFailure.environment("panguard-capture is not in \(directories.joined(separator: ", nor in ")); install or build it")
    }
    var arguments = [program, "--cut", path] + selected.arguments + from.flatMap { ["--from", $0] }
    for (name, value) in [("--recording", recording), ("--config", captureConfig)] { if let value { arguments += [name, value] } }
    if format != .table { arguments.append("--json") }
    let status = try start(arguments)
    // What failed has emptied it; what was ended by a signal had no time to.
    var facts = stat()
    if status != 0, lstat(path, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG, facts.st_size == 0 || status >= 128 { unlink(path) }
    if status == 0, format == .table { print(TerminalText.escaped(path)) }
    return status >= 128 ? ExitStatus.environment.rawValue : status
  }

  /// Its exit code; 128 and the signal's number if one ended it.
  private func start(_ arguments: [String]) throws -> Int32 {
    var list = arguments.map { strdup($0) } + [nil]
    defer { list.forEach { free($0) } }
    var pid: pid_t = 0
    let started = posix_spawn(&pid, arguments[0], nil, nil, &list, environ)
    guard started == 0 else { throw CommandFailure.environment("\(arguments[0]): \(String(cString: strerror(started)))") }
    // Ctrl-C ends it; what it leaves is ours to remove.
    for number in [SIGINT, SIGTERM] { signal(number, SIG_IGN) }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
  }
}
