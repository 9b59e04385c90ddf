// `panguard record`: the journal of the running engine's input.
import AgentRuntime
import ArgumentParser
import Export
import Primitives

struct RecordCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "record", abstract: "Keep the agent's input, so that decisions can be made again and rules be tried on it.",
    discussion: """
      The engine writes what it reads, in its order, into a packed journal in its state directory. `panguard replay --journal .. --verify` makes
      the decisions again and compares them with the log, `panguard explain ID --reproduce` does so for one, and `panguard whatif` tries other
      rules on it.

      A recording begins with a cold start: the engine takes its rules and configuration up anew, as at a reload.
      """,
    subcommands: [On.self, Off.self, Status.self], defaultSubcommand: Status.self)

  struct On: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Record from now on.", discussion: "Until the engine ends; `record.enabled: true` in the configuration does so at each start.")
    @OptionGroup var selection: StateSelection
    @Option(name: .long, help: "table (text) or json.") var format: OutputFormat = .table
    func run() throws { try AgentControl.perform(selection, format, .record(true)) }
  }
  struct Off: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Record no longer.", discussion: "What was recorded stays until its time is over.")
    @OptionGroup var selection: StateSelection
    @Option(name: .long, help: "table (text) or json.") var format: OutputFormat = .table
    func run() throws { try AgentControl.perform(selection, format, .record(false)) }
  }
  struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Whether the input is recorded, and what the journal holds.")
    @OptionGroup var selection: StateSelection
    @Option(name: .long, help: "table (text) or json.") var format: OutputFormat = .table

    func run() throws {
      let answer = try AgentControl.ask(selection, .status)
      let status = try answer.withUnsafeBytes { try AgentStatus(json: $0) }.record
      var output = Output()
      if format == .table {
        for line in RecordView.lines(status) { output.line(line) }
      } else {
        output.line(status.json)
      }
      output.flush()
    }
  }
}

enum RecordView {
  static func lines(_ s: RecordStatus) -> [String] {
    var out: [String] = []
    if s.isOn {
      out.append("recording since \(s.since) into segment \(s.segment): \(grouped(s.records)) records, \(grouped(s.bytes)) bytes packed")
    } else if s.problem.isEmpty {
      out.append("the input is not recorded; `panguard record on` begins")
    } else {
      out.append("the recording ended: \(TerminalText.escaped(s.problem)); \(grouped(s.lostRecords)) records were not written")
    }
    let removed = s.removedSegments > 0 ? ", \(grouped(s.removedSegments)) removed to make room" : ""
    out.append("the journal has \(grouped(s.segments)) segments, \(grouped(s.journalBytes)) bytes\(removed)")
    return out
  }
}
