// `panguard arm`, `disarm`, `approve`, `deny`, `block`, `unblock`, `blocks`: what operators tell the running agent about responses. Each asks
// over the control socket; the agent checks who asks, does it, and writes it down.
import AgentRuntime
import ArgumentParser
import Enforcement
import Export
import FrameProtocol
import Glibc
import Primitives

/// One request to the running agent.
enum AgentControl {
  static func ask(_ selection: StateSelection, _ request: ControlRequest) throws -> [UInt8] {
    let socket = AgentPaths.socketPath(in: try selection.directory())
    do {
      return try ControlClient.ask(socket, request)
    } catch let error as ControlSocketError where error.isTimeout {
      throw CommandFailure.environment("the agent at \(socket) did not answer in \(request.patienceSeconds) s; it is stuck or its host is overloaded")
    } catch {
      throw CommandFailure.environment("no agent answers at \(socket) (\(error)); start one with `panguard run`")
    }
  }

  /// Exit code 1 where the agent refused.
  static func perform(_ selection: StateSelection, _ format: OutputFormat, _ request: ControlRequest) throws {
    let answer = try ask(selection, request)
    let outcome = try answer.withUnsafeBytes { try ControlOutcome(json: $0) }
    var output = Output()
    if format != .table {
      output.line(answer)
    } else if outcome.isDone {
      output.line(outcome.text)
    }
    output.flush()
    guard outcome.isDone else {
      throw CommandFailure(status: .findings, message: format == .table ? outcome.text : "")
    }
  }
}

extension ControlOutcome {
  /// For a terminal; each line by itself.
  fileprivate var text: String { message.split(separator: "\n").map { TerminalText.escaped(String($0)) }.joined(separator: "\n") }
}

private func duration(_ text: String, in range: ClosedRange<Int64>, _ what: String) throws -> Int64 {
  guard let span = Nanoseconds(duration: text), range.contains(span.wholeSeconds) else {
    let (low, high) = (Nanoseconds.seconds(range.lowerBound), Nanoseconds.seconds(range.upperBound))
    throw CommandFailure.usage("\(what) must be a duration from \(low) to \(high), for example 10m, not '\(TerminalText.escaped(text))'")
  }
  return span.wholeSeconds
}

struct ArmCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "arm", abstract: "Let playbooks act; until then the agent only says what it would do.",
    discussion: """
      With --confirm-within the arming is on trial: unless `panguard arm --confirm` comes from another login session in that time, all blocks
      are lifted and the agent observes again. So a rule that locks you out does so for that long at most. Another session is one with another
      audit session id (/proc/PID/sessionid); where the host has none, another terminal. It must have begun after the arming.
      """)
  @OptionGroup var selection: StateSelection
  @Option(name: .long, help: "Roll everything back unless it is confirmed within this time (10s to 1d).") var confirmWithin: String?
  @Flag(name: .long, help: "Confirm an arming, from another session than the one that armed.") var confirm = false
  @Option(name: .long, help: "table (text) or json.") var format: OutputFormat = .table

  func run() throws {
    if confirm {
      guard confirmWithin == nil else { throw CommandFailure.usage("--confirm and --confirm-within exclude each other") }
      let session = SessionIdentity.current
      return try AgentControl.perform(selection, format, .confirm(session: session.name, began: session.began))
    }
    let seconds = try confirmWithin.map { try duration($0, in: Limits.confirmationSeconds, "--confirm-within") }
    try AgentControl.perform(selection, format, .arm(confirmWithin: seconds, session: SessionIdentity.current.name))
  }
}

struct DisarmCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "disarm", abstract: "Only say what would be done. What is blocked stays so until its end; see `panguard unblock all`.")
  @OptionGroup var selection: StateSelection
  @Option(name: .long, help: "table (text) or json.") var format: OutputFormat = .table
  func run() throws { try AgentControl.perform(selection, format, .disarm) }
}

struct ApproveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "approve", abstract: "Agree to what a playbook asks, or list what waits.",
    discussion: "Without an id it lists the questions. What is approved is done at once.")
  @OptionGroup var selection: StateSelection
  @Option(name: .long, help: "table (text) or json.") var format: OutputFormat = .table
  @Argument(help: "The question's id, or the beginning of it.") var id: String?

  func run() throws {
    guard let id else { return try PendingView.show(selection, format) }
    try AgentControl.perform(selection, format, .approve(try checked(id)))
  }
}

struct DenyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "deny", abstract: "Refuse what a playbook asks. It is not asked again for the same subject for an hour.")
  @OptionGroup var selection: StateSelection
  @Option(name: .long, help: "table (text) or json.") var format: OutputFormat = .table
  @Argument(help: "The question's id, or the beginning of it.") var id: String
  func run() throws { try AgentControl.perform(selection, format, .deny(try checked(id))) }
}

private func checked(_ id: String) throws -> String {
  guard case .approve? = ControlRequest("approve \(id)") else {
    throw CommandFailure.usage("'\(TerminalText.escaped(id))' is no id; `panguard approve` lists what waits")
  }
  return id
}

struct BlockCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "block", abstract: "Block an address or network by hand.",
    discussion: """
      The enforcer checks it as it checks every block: protected addresses, networks wider than /24 or /48, and blocks without an end are
      refused. An IPv6 address stands for its /64. It works while the agent observes too.
      """)
  @OptionGroup var selection: StateSelection
  @Option(name: .long, help: "table (text) or json.") var format: OutputFormat = .table
  @Argument(help: "An address or network.") var network: String
  @Argument(help: "For how long: 10s to 7d.") var duration: String

  func run() throws {
    let seconds = try panguard.duration(duration, in: Limits.operatorBlockSeconds, "the time")
    try AgentControl.perform(selection, format, .block(try parsed(network), seconds: seconds))
  }
}

struct UnblockCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "unblock", abstract: "Let a blocked address or network in again, or all of them.")
  @OptionGroup var selection: StateSelection
  @Option(name: .long, help: "table (text) or json.") var format: OutputFormat = .table
  @Flag(name: .long, help: "All of them.") var all = false
  @Argument(help: "An address or network, or `all`.") var network: String?

  func run() throws {
    if all || network == "all" {
      do { return try AgentControl.perform(selection, format, .unblockAll) } catch let failure as CommandFailure where failure.status == .environment
      {
        return try askEnforcer(failure)
      }
    }
    guard let network else { throw CommandFailure.usage("name an address or network, or `all`") }
    try AgentControl.perform(selection, format, .unblock(try parsed(network)))
  }

  /// Who is locked out must get in, also where the engine hangs: the enforcer itself is asked, that of `panguard run` or the service's.
  private func askEnforcer(_ failure: CommandFailure) throws {
    let service = try selection.configuration().enforcerPath ?? Configuration.defaultEnforcerPath
    var reasons: [String] = []
    // The socket of a `panguard run` that was killed stays behind: then the service's is asked.
    for path in [ForegroundSocket.path(state: try selection.directory()), service] {
      do throws(FrameClientError) {
        switch try EnforcerClient(path: path).unblockAll() {
        case .done(let count): return UnblockCommand.tell(count, format)
        case .unavailable(let reason): reasons.append("\(path): \(reason)")
        }
      } catch {
        reasons.append("\(error)")
      }
    }
    throw CommandFailure.environment(
      "\(failure.message); and no enforcer can do it: \(reasons.joined(separator: "; ")). "
        + "Stop the agent, then `panguard-enforcer --remove-table` takes all blocks away")
  }
  private static func tell(_ count: UInt64, _ format: OutputFormat) {
    let outcome = ControlOutcome(
      isDone: true,
      message: "\(count) networks unblocked by the enforcer. The agent did not answer: ask again once it does, or its next start blocks them again")
    var output = Output()
    output.line(format == .table ? Array(outcome.message.utf8) : outcome.json)
    output.flush()
  }
}

struct ReloadCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reload", abstract: "Have the running agent read its configuration, rules and playbooks again.",
    discussion: """
      What is broken, or does not fit what the engine has given up, is refused as a whole with its reasons (exit code 1), and the agent goes on
      with what it has. No line is missed or read twice. SIGHUP does the same, and says it in the journal only.
      """)
  @OptionGroup var selection: StateSelection
  @Option(name: .long, help: "table (text) or json.") var format: OutputFormat = .table
  func run() throws { try AgentControl.perform(selection, format, .reload) }
}

private func parsed(_ network: String) throws -> CIDR {
  guard let parsed = CIDR(network) else {
    throw CommandFailure.usage("'\(TerminalText.escaped(network))' is not an address or network; write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/64")
  }
  return parsed
}

struct BlocksCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "blocks", abstract: "What is blocked now, for how much longer, and why.")
  @OptionGroup var selection: StateSelection
  @Option(name: .long, help: "table or json.") var format: OutputFormat = .table

  func run() throws {
    let answer = try AgentControl.ask(selection, .blocks)
    var output = Output()
    defer { output.flush() }
    guard format == .table else { return output.line(answer) }
    try answer.withUnsafeBytes { bytes in
      var total: Int64 = 0
      var shown: Int64 = 0
      try JSONMembers.forEach(of: bytes) { key, value in
        if key.string == "total" { total = value.decimal ?? 0 }
        guard key.string == "blocks" else { return }
        for block in try JSONMembers.elements(of: value) {
          let text = try Texts(of: block)
          let left = Nanoseconds.seconds(text.number("remaining_seconds"))
          shown += 1
          let waits = text["state"] == "waiting" ? "waits for the enforcer, " : ""
          output.line(TerminalText.escaped("\(text["network"])  \(waits)\(left) left  \(text["origin"])"))
        }
      }
      if total == 0 { output.line("nothing is blocked") }
      if shown < total { output.line("and \(total - shown) more") }
    }
  }
}

struct ActionsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "actions", abstract: "What was done on this host: executables, processes, files, accounts.",
    discussion: "The newest first. What can be taken back says so; `panguard undo KEY` does it.")
  @OptionGroup var selection: StateSelection
  @Option(name: .long, help: "table or json.") var format: OutputFormat = .table

  func run() throws {
    let answer = try AgentControl.ask(selection, .actions)
    var output = Output()
    defer { output.flush() }
    guard format == .table else { return output.line(answer) }
    try answer.withUnsafeBytes { bytes in
      var count = 0
      var problem = ""
      try JSONMembers.forEach(of: bytes) { key, value in
        if key.string == "responder" { problem = try Texts(of: bytes)["responder"] }
        guard key.string == "actions" else { return }
        for action in try JSONMembers.elements(of: value) {
          let text = try Texts(of: action)
          count += 1
          let mark = text["can_undo"] == "true" ? "  (undo \(text["key"].prefix(8)))" : ""
          output.line(TerminalText.escaped("\(text["time"])  \(text["state"])  \(text["action"])\(mark)"))
          if !text["detail"].isEmpty { output.line(TerminalText.escaped("  \(text["detail"])")) }
        }
      }
      if !problem.isEmpty { throw CommandFailure(status: .environment, message: "no responder: \(TerminalText.escaped(problem))") }
      if count == 0 { output.line("nothing was done") }
    }
  }
}

struct UndoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "undo", abstract: "Take back what was done on this host: a file comes back, an account is unlocked.",
    discussion: "Only what was changed then and nobody has changed since is taken back. A process that was killed stays so.")
  @OptionGroup var selection: StateSelection
  @Option(name: .long, help: "table (text) or json.") var format: OutputFormat = .table
  @Argument(help: "The action's key, or the beginning of it; `panguard actions` lists them.") var key: String

  func run() throws {
    guard case .undo? = ControlRequest("undo \(key)") else {
      throw CommandFailure.usage("'\(TerminalText.escaped(key))' is no key; `panguard actions` lists them")
    }
    try AgentControl.perform(selection, format, .undo(key))
  }
}

private enum PendingView {
  static func show(_ selection: StateSelection, _ format: OutputFormat) throws {
    let answer = try AgentControl.ask(selection, .pending)
    var output = Output()
    defer { output.flush() }
    guard format == .table else { return output.line(answer) }
    try answer.withUnsafeBytes { bytes in
      var count = 0
      try JSONMembers.forEach(of: bytes) { key, value in
        guard key.string == "pending" else { return }
        for question in try JSONMembers.elements(of: value) {
          let text = try Texts(of: question)
          count += 1
          output.line(TerminalText.escaped("\(text["id"])  \(text["action"])  until \(text["expires"])"))
          output.line(TerminalText.escaped("  \(text["reason"]) (\(text["rule.id"]), \(text["panguard.decision.id"]))"))
        }
      }
      if count == 0 { output.line("no question waits") }
    }
  }
}

/// The members of a JSON object, as text.
private struct Texts {
  private var values: [String: String] = [:]
  init(of object: Bytes) throws {
    try JSONMembers.forEach(of: object) { key, value in
      var text = value.string
      var reader = JSONReader(value)
      _ = try reader.next { if case .string(let bytes) = $0 { text = bytes.string } }
      values[key.string] = text
    }
  }
  subscript(_ key: String) -> String { values[key] ?? "" }
  func number(_ key: String) -> Int64 { Int64(self[key]) ?? 0 }
}
