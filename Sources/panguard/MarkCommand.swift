// `panguard decisions mark`: what a person says of a decision. Written down with who said it, and nothing else: what could follow from it is
// proposed by `panguard rules tune` and done by a person.
import AgentRuntime
import ArgumentParser
import CLinux
import EngineCommand
import Export
import Glibc
import Primitives
import Storage

extension DecisionMark.Verdict: ExpressibleByArgument {}

extension DecisionsCommand {
  struct Mark: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say that a decision was right or wrong; it changes nothing by itself.",
      discussion: """
        For example `panguard decisions mark d01234567 false-positive --reason "our own scanner"`. What was said is kept with who said it and
        shown by `decisions list` and `explain`; of several marks the last counts. The running agent writes it down; where none runs, this
        command does. `panguard rules tune` proposes what could be changed.
        """)
    @OptionGroup var selection: StateSelection
    @Argument(help: "The decision's id, or the beginning of it.") var id: String
    @Argument(help: "\(DecisionMark.Verdict.allCases.map(\.rawValue).joined(separator: " or ")).") var verdict: DecisionMark.Verdict
    @Option(name: .long, help: "Why, in one line.") var reason: String
    @Option(name: .long, help: "table (text) or json.") var format: OutputFormat = .table

    func run() throws {
      guard let request = MarkRequest(id: id, verdict: verdict, reason: reason) else {
        throw CommandFailure.usage(
          "the id is the one that `panguard decisions list` shows, the reason one line of 1 to \(Limits.markReasonBytes) bytes that can be seen")
      }
      let directory = try selection.directory()
      do {
        _ = try ControlClient.ask(AgentPaths.socketPath(in: directory), .status)
      } catch let error as ControlSocketError where error.isTimeout {
        throw CommandFailure.environment("the agent does not answer; it is stuck or its host is overloaded")
      } catch {
        return try write(request, in: directory)
      }
      try AgentControl.perform(selection, format, .mark(request))
    }

    /// No agent runs: the store's lock says so too.
    private func write(_ request: MarkRequest, in directory: String) throws {
      guard access("\(directory)/panguard.db", F_OK) == 0 else {
        throw CommandFailure.environment("there is no store in \(directory); name the agent's state directory with --state")
      }
      let outcome: ControlOutcome
      do {
        let store = try DecisionStore(directory: directory)
        defer { store.close() }
        outcome = request.perform(on: store, actor: "uid \(getuid())", at: EventTime(seconds: Int64(time(nil))))
      } catch {
        throw CommandFailure.environment("no agent answers, and the store cannot be written: \(error)")
      }
      AuditFile(directory: directory).append(
        actor: "uid \(getuid()), pid \(getpid())", event: "mark", process: "panguard",
        detail: "\(request.text): \(outcome.told)")
      var output = Output()
      if format != .table { output.line(outcome.json) } else if outcome.isDone { output.line(TerminalText.escaped(outcome.message)) }
      output.flush()
      guard outcome.isDone else {
        throw CommandFailure(status: .findings, message: format == .table ? TerminalText.escaped(outcome.message) : "")
      }
    }
  }
}
