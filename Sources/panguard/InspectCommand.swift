// `panguard inspect`: what is in a capture. Flows and protocol messages as they become known, and at the end the capture's own counts.
import ArgumentParser
import Events
import Export
import Glibc
import LogSources
import PacketParsers
import PacketSources
import Primitives

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Show the flows and protocol messages of a capture file.",
    discussion: """
      Reads pcap and pcapng, plain or packed with gzip or xz, or standard input (-). Protocols are recognised by their content, not by their
      ports. Messages come in the order of the frames that completed them, flows when they end; the source of both is the client.

      With --format jsonl each line is one JSON object with ECS names, and the last one holds the capture's own counts (capture.*).

      A capture that stops inside a frame is shown as far as it goes. What is no capture, or is damaged, ends with exit code 3.
      """)
  @Flag(name: .long, help: "Flows: ends, state, packets and bytes both ways.") var flows = false
  @Flag(name: .long, help: "DNS questions and answers (mDNS and LLMNR too).") var dns = false
  @Flag(name: .long, help: "TLS and QUIC hellos: server name, ALPN, JA3, JA4.") var tls = false
  @Flag(name: .long, help: "HTTP requests and responses, MCP and other JSON-RPC in them.") var http = false
  @Flag(name: .long, help: "SSH banners and key exchanges.") var ssh = false
  @Flag(name: .long, help: "All of these, and logins in clear text (SMTP, FTP, Telnet, Redis, ...). The default.") var all = false
  @Option(name: .long, help: "table or jsonl.") var format: MessageFormat = .table
  @Flag(name: .long, help: "No progress bar.") var quiet = false
  @Argument(help: "A capture file; - is standard input.", completion: .file()) var file: String

  func run() throws {
    let input: InputFile
    do {
      input = try InputFile(path: file)
    } catch {
      throw CommandFailure.environment("\(error)")
    }
    let reader = CaptureReader { try input.read(into: $0) }
    var analyzer = PacketAnalyzer(seed: (.random(in: 0 ... .max), .random(in: 0 ... .max)))
    let output = InspectOutput(format: format, shows: selection)
    // Never between the lines of a table on the same screen.
    var progress = Progress("reading", quiet: quiet || isatty(STDOUT_FILENO) == 1)
    while let frame = reader.next() {
      analyzer.process(
        frame.bytes, linkType: LinkType(rawValue: frame.linkType), time: frame.time, number: frame.number, wireBytes: Int(frame.wireBytes),
        sink: output)
      if frame.number & 0xffff == 0, let size = input.containerSize { progress.update(input.containerBytesRead, of: size) }
    }
    analyzer.finish(sink: output)
    progress.finish()
    output.finish(CaptureCounts.of(reader, analyzer))
    guard let failure = reader.failure else { return }
    printError("\(failure.code == .truncated ? "warning: " : "panguard: ")\(file): \(failure)")
    if failure.code != .truncated { throw CommandFailure(status: .environment, message: "") }
  }

  private var selection: InspectSelection {
    let chosen: [(Bool, InspectSelection)] = [(flows, .flows), (dns, .dns), (tls, .tls), (http, .http), (ssh, .ssh)]
    let selection = chosen.reduce(into: InspectSelection()) { if $1.0 { $0.insert($1.1) } }
    return all || selection.isEmpty ? .all : selection
  }
}

struct InspectSelection: OptionSet {
  let rawValue: UInt8
  static let flows = InspectSelection(rawValue: 1)
  static let dns = InspectSelection(rawValue: 2)
  static let tls = InspectSelection(rawValue: 4)
  static let http = InspectSelection(rawValue: 8)
  static let ssh = InspectSelection(rawValue: 16)
  static let others = InspectSelection(rawValue: 32)
  static let all: InspectSelection = [.flows, .dns, .tls, .http, .ssh, .others]

  init(rawValue: UInt8) { self.rawValue = rawValue }
  init(_ name: ApplicationProtocol) {
    switch name {
    case .dns, .mdns, .llmnr: self = .dns
    case .tls, .quic: self = .tls
    case .http, .jsonRPC: self = .http
    case .ssh: self = .ssh
    default: self = .others
    }
  }
}

/// Writes what the analyzer tells: one line each.
final class InspectOutput: PacketSink {
  private let format: MessageFormat
  private let shows: InspectSelection
  private var output = Output()
  private var event = Event()
  private var scratch: [UInt8] = []
  private var json = JSONWriter()
  private var table = MessageTable()

  init(format: MessageFormat, shows: InspectSelection) {
    self.format = format
    self.shows = shows
  }

  func message(_ message: borrowing ApplicationMessage, flow: Flow, time: EventTime) {
    guard shows.contains(InspectSelection(message.protocol)) else { return }
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: message.frame, length: 0))
    event.time = time
    flow.appendEnds(to: &event, clientDirection: message.clientDirection, scratch: &scratch)
    message.appendFields(to: &event)
    write()
  }

  func flow(_ record: FlowRecord) {
    guard shows.contains(.flows), record.end != .active else { return }
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: record.flow.firstFrame, length: 0))
    record.appendFields(to: &event, scratch: &scratch)
    write()
  }

  func finish(_ counts: [CaptureCounts]) {
    switch format {
    case .jsonl:
      json.reset()
      json.beginObject()
      for entry in counts {
        json.key(text: entry.name)
        switch entry.value {
        case .number(let number): json.value(number)
        case .text(let text): json.value(text)
        }
      }
      json.endObject()
      output.line(json.out)
    case .table:
      output.line()
      for entry in counts where entry.isShown { output.line(entry.name.padding(to: 36) + TerminalText.escaped("\(entry.value)")) }
    }
    output.flush()
  }

  private func write() {
    switch format {
    case .jsonl:
      json.reset()
      json.beginObject()
      event.writeFields(to: &json)
      json.endObject()
      output.line(json.out)
    case .table:
      table.write(event, to: &output)
    }
  }
}

/// One of the counts of a capture.
struct CaptureCounts {
  enum Value: CustomStringConvertible {
    case number(UInt64)
    case text(String)
    var description: String {
      switch self {
      case .number(let number): grouped(number)
      case .text(let text): text
      }
    }
  }
  var name: String
  var value: Value
  /// In the table, which leaves out what did not happen.
  var isShown: Bool {
    if case .number(0) = value { return false }
    return true
  }
  private init(_ name: String, _ number: UInt64) { (self.name, value) = ("capture." + name, .number(number)) }
  private init(_ name: String, _ text: String) { (self.name, value) = ("capture." + name, .text(text)) }

  static func of(_ reader: CaptureReader, _ analyzer: borrowing PacketAnalyzer) -> [CaptureCounts] {
    let counters = analyzer.counters
    let (flows, streams, fragments) = (analyzer.flowCounters, analyzer.streamCounters, analyzer.fragmentCounters)
    var out = [CaptureCounts("frames", counters.frames), CaptureCounts("bytes", counters.bytes)]
    if let format = reader.format { out.append(CaptureCounts("format", name(of: format))) }
    if reader.format == .pcapng {
      out += [
        CaptureCounts("sections", reader.sections), CaptureCounts("interfaces", reader.interfaceCount),
        CaptureCounts("comments", reader.comments),
      ]
    }
    for (i, entry) in PacketLayers.names.enumerated() { out.append(CaptureCounts("layers.\(entry.name)", counters.layers[i])) }
    for error in PacketError.allCases where error != .none {
      out.append(CaptureCounts("errors.\(error.name)", counters.errors[Int(error.rawValue)]))
    }
    out += [
      CaptureCounts("not_ip", counters.notIP), CaptureCounts("cut", counters.cut), CaptureCounts("flows", flows.begun),
      CaptureCounts("messages", counters.messages), CaptureCounts("flows_evicted", flows.evicted),
      CaptureCounts("half_open_evicted", flows.evictedHalfOpen), CaptureCounts("datagrams.completed", fragments.completed),
      CaptureCounts("datagrams.overlapping", fragments.overlapping), CaptureCounts("datagrams.invalid", fragments.invalid),
      CaptureCounts("datagrams.expired", fragments.expired), CaptureCounts("datagrams.evicted", fragments.evicted),
      CaptureCounts("streams.early", streams.early), CaptureCounts("streams.repeated", streams.repeated),
      CaptureCounts("streams.gaps", streams.gaps), CaptureCounts("streams.lost_bytes", streams.lostBytes),
      CaptureCounts("streams.evicted", streams.evicted),
    ]
    if let failure = reader.failure { out.append(CaptureCounts("failure", "\(failure)")) }
    return out
  }

  private static func name(of format: CaptureFormat) -> String {
    switch format {
    case .pcap(let nanoseconds, _): nanoseconds ? "pcap-nanosecond" : "pcap"
    case .pcapng: "pcapng"
    }
  }
}
