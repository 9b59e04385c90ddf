// `panguard status`: what the running agent reads, decides, drops and costs.
import AgentRuntime
import ArgumentParser
import Export
import Glibc
import Primitives

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "status", abstract: "What the running agent reads, decides, drops and costs.")
  @OptionGroup var selection: StateSelection
  @Option(name: .long, help: "table or json.") var format: OutputFormat = .table

  func run() throws {
    let answer = try AgentControl.ask(selection, .status)
    if format != .table {
      var output = Output()
      output.line(answer)
      output.flush()
      return
    }
    let status = try answer.withUnsafeBytes { try AgentStatus(json: $0) }
    print(StatusView.render(status, color: Terminal.usesColor(.auto)))
  }
}

enum StatusView {
  static func render(_ s: AgentStatus, color: Bool) -> String {
    func heading(_ text: String) -> String { color ? "\u{1b}[1m\(text)\u{1b}[0m" : text }
    func warn(_ text: String) -> String { color ? "\u{1b}[33m\(text)\u{1b}[0m" : text }
    func mebibytes(_ bytes: UInt64) -> String { "\(bytes / 1_048_576).\((bytes % 1_048_576) * 10 / 1_048_576) MiB" }
    var out = [
      heading("panguard \(s.version)") + "  pid \(s.pid), mode \(s.mode), up \(Nanoseconds.seconds(Int64(clamping: s.uptimeSeconds)))",
      "memory \(mebibytes(s.residentBytes)) (peak \(mebibytes(s.peakResidentBytes))), CPU \(s.cpuMilliseconds / 1000).\((s.cpuMilliseconds % 1000) / 100) s, \(s.eventsPerSecond) events/s",
      "", heading("Sources"),
    ]
    for source in s.sources {
      let name = TerminalText.escaped(source.name)
      if source.state == "reading" {
        out.append(
          "  \(name): \(grouped(source.lines)) lines (\(grouped(source.parsed)) recognised, \(grouped(source.headerOnly)) header only, \(grouped(source.unparsed)) unparsed), lag \(grouped(source.lagBytes)) bytes"
            + (source.newestEvent.isEmpty ? "" : ", newest \(source.newestEvent)"))
        if !source.reason.isEmpty { out.append("    " + warn(TerminalText.escaped(source.reason))) }
      } else {
        out.append("  \(name): \(warn(source.state)): \(TerminalText.escaped(source.reason))")
      }
    }
    out += ["", heading("Rules"), "  \(s.rulesLoaded) loaded, \(s.rulesSkipped) skipped, \(s.rulesRefused) refused; set \(s.ruleSetHash.prefix(16))"]
    out += ["", heading("Response")] + response(s.response, mode: s.mode, warn: warn)
    if s.record.isOn || !s.record.problem.isEmpty || s.record.segments > 0 {
      out += ["", heading("Recording")] + RecordView.lines(s.record).map { "  " + (s.record.problem.isEmpty ? $0 : warn($0)) }
    }
    out += ["", heading("Counters")] + s.counters.map { "  \($0.name): \(grouped($0.value))" }
    let lost = s.drops.filter { $0.count > 0 }
    out += ["", heading("Drops")]
    out += lost.isEmpty ? ["  none (\(s.drops.count) causes watched)"] : lost.map { "  " + warn("\($0.cause): \(grouped($0.count))") }
    out += ["", heading("Store"), "  \(s.storePath)" + (s.storeProblem.isEmpty ? "" : "\n  " + warn(TerminalText.escaped(s.storeProblem)))]
    return out.joined(separator: "\n")
  }

  private static func response(_ r: ResponseStatus, mode: String, warn: (String) -> String) -> [String] {
    let enforcer = TerminalText.escaped(r.enforcer)
    var out = ["  mode \(mode), \(r.playbooks) playbooks, enforcer: \(r.isEnforcerReady ? enforcer : warn(enforcer))"]
    let uplink = TerminalText.escaped(r.uplink)
    out.append("  uplink: \(r.isUplinkTroubled ? warn(uplink) : uplink)")
    let responder = TerminalText.escaped(r.responder)
    out.append("  responder: \(r.isResponderTroubled ? warn(responder) : responder)")
    if r.confirmationSeconds > 0 {
      let left = Nanoseconds.seconds(Int64(clamping: r.confirmationSeconds))
      out.append("  " + warn("rolled back in \(left) unless `panguard arm --confirm` comes from another session"))
    }
    out.append(
      "  \(grouped(r.activeBlocks)) blocks now\(r.waitingBlocks > 0 ? ", \(grouped(r.waitingBlocks)) wait for the enforcer" : ""), "
        + "\(grouped(r.pendingApprovals)) questions wait")
    out += r.counters.filter { $0.value > 0 }.map { "  \($0.name): \(grouped($0.value))" }
    if !r.refusals.isEmpty {
      out.append("  not done: " + r.refusals.map { "\(TerminalText.escaped($0.reason)) \(grouped($0.count))" }.joined(separator: ", "))
    }
    return out
  }
}
