// `panguard parse`: what the parsers make of lines. One JSON object for each input line, in order.
import AgentRuntime
import ArgumentParser
import Events
import Glibc
import LogParsers
import Primitives

extension LogFormat: ExpressibleByArgument {}

struct ParseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "parse", abstract: "Show what the parsers make of log lines.",
    discussion: #"Prints {"line":n,"event":{..}} for each line, with "unparsed":true where no parser knows it. Fields have their ECS names."#)
  @Option(name: .long, help: "Read lines without a header as messages of this program (sshd, sudo, nginx, ...).") var program: String?
  @Option(name: .long, help: "The log's format: \(LogFormat.allCases.map(\.rawValue).joined(separator: ", ")).") var logFormat: LogFormat = .auto
  @Option(name: .long, help: "jsonl.") var format: OutputFormat = .jsonl
  @Flag(name: .long, help: "Join the lines of each login as the daemon does, and mark the attempts (panguard.attempt.count).") var attempts = false
  @Argument(help: "A log file, plain or compressed; - is standard input.", completion: .file()) var file: String = "-"

  func run() throws {
    var output = Output()
    var event = Event()
    var tracker = SessionTracker()
    var number: UInt64 = 0
    var offset: UInt64 = 0
    let withAttempts = attempts
    let parserOptions = (logFormat, program)
    var parser: LogParser?
    try forEachLine(of: file) { line, inputTime in
      if parser == nil { parser = LogParser(format: parserOptions.0, inputTime: inputTime, program: parserOptions.1) }
      number += 1
      let outcome = parser!.parse(line, origin: EventOrigin(source: 0, offset: offset, length: UInt32(clamping: line.count)), into: &event)
      offset += UInt64(line.count) + 1
      if withAttempts { tracker.observe(&event) }
      var json = JSONWriter()
      json.beginObject()
      json.key("line")
      json.value(number)
      json.key("event")
      json.beginObject()
      if outcome == .unparsed {
        json.key("message")
        json.value(event.text(.message) ?? event.raw)
      } else {
        event.writeFields(to: &json)
      }
      json.endObject()
      if outcome == .unparsed {
        json.key("unparsed")
        json.value(true)
      }
      json.endObject()
      output.line(json.out)
    }
    output.flush()
  }
}
