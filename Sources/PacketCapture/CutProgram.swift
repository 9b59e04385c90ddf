// `panguard-capture --cut FILE`: the packets of a decision out of what was recorded, into a file. Its own process, because it reads packets, which
// hostile hosts have sent: it opens what it reads and the file that it writes, gives up everything else, as the capture does, and only then reads
// the first of them. Who asks for it (the command line, the responder) never sees a packet.
// What must stay true: the file is made, never written over; 0600; where something fails it is emptied, so that no half of it looks like a whole.
import CLinux
import Confinement
import Glibc
import HostActions
import Primitives
import TypedYAML

struct CutOptions: Equatable {
  var output: String
  /// A recording's directory; nil: as the configuration says.
  var recording: String?
  /// Capture files to read instead.
  var inputs: [String] = []
  var configPath = CaptureConfiguration.defaultPath
  var selection: PacketSelection
  var writesJSON = false

  /// nil and what is wrong. `arguments`: what stands behind `--cut`.
  static func parse(_ arguments: ArraySlice<String>) -> (CutOptions?, String) {
    var rest = arguments
    guard let output = rest.popFirst(), !output.isEmpty, !output.hasPrefix("--"), output.utf8.count <= 4096 else {
      return (nil, "--cut needs the file to make")
    }
    var (recording, configPath): (String?, String?) = (nil, nil)
    var inputs: [String] = []
    var writesJSON = false
    var selected: [(name: String, value: String)] = []
    while let name = rest.popFirst() {
      if name == "--json" {
        writesJSON = true
        continue
      }
      guard let value = rest.popFirst(), !value.isEmpty, value.utf8.count <= 4096 else { return (nil, "\(name): its value is missing") }
      switch name {
      case "--recording": recording = value
      case "--from": inputs.append(value)
      case "--config": configPath = value
      case _ where PacketSelection.optionNames.contains(name): selected.append((name, value))
      default: return (nil, "unknown option '\(name)'")
      }
    }
    guard inputs.count <= Int(Limits.recordingFiles.upperBound) else { return (nil, "--from: at most \(Limits.recordingFiles.upperBound) files") }
    guard let selection = PacketSelection(options: selected) else {
      return (nil, "--cut needs \(PacketSelection.optionNames.joined(separator: ", ")) with values that they can have")
    }
    return (
      CutOptions(
        output: output, recording: recording, inputs: inputs, configPath: configPath ?? CaptureConfiguration.defaultPath, selection: selection,
        writesJSON: writesJSON), ""
    )
  }
}

enum CutProgram {
  /// The exit status: 0 there is a file now, 1 nothing was found and there is none worth keeping, 3 environment.
  static func run(_ options: CutOptions) throws(CaptureFailure) -> Int32 {
    InheritedDescriptors.closeOthers()
    signal(SIGXFSZ, SIG_IGN)
    var files: [RecordedFile] = []
    var problems: [String] = []
    if options.inputs.isEmpty {
      (files, problems) = try RecordingFiles.openAll(in: try directory(options))
    } else {
      for path in options.inputs { files.append(try RecordingFiles.openPlain(path)) }
    }
    let output = pg_open(options.output, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
    guard output >= 0 else {
      throw errno == EEXIST ? CaptureFailure("\(options.output): is there already") : RecordingFiles.failure(options.output)
    }
    // Whatever the file mode creation mask says.
    guard fchmod(output, 0o600) == 0 else { throw RecordingFiles.failure(options.output) }
    do throws(ConfinementError) {
      var confinement = Confinement(name: "the cut")
      confinement.account = geteuid() == 0 ? Account(name: "root", user: 0, group: 0) : nil
      confinement.openFiles = 64
      _ = try confinement.apply()
    } catch { throw CaptureFailure("\(error)") }

    var code: Int32 = 0
    let cut = PacketCut(options.selection, files) { bytes in
      let isWhole = writeWhole(bytes, to: output)
      if !isWhole { code = errno }
      return isWhole
    }
    cut.run()
    if cut.isWritten, fsync(output) != 0 { code = errno }
    guard code == 0, cut.isWritten else {
      _ = ftruncate(output, 0)
      throw CaptureFailure("\(options.output): \(String(cString: strerror(code))); nothing is kept")
    }
    var report = cut.report
    report.notes += problems.map { "left out: \($0)" }
    if report.packets == 0 { _ = ftruncate(output, 0) }
    let status = CaptureProgram.show(options.writesJSON ? json(report, options) : text(report, options))
    return report.packets == 0 ? max(1, status) : status
  }

  private static func directory(_ options: CutOptions) throws(CaptureFailure) -> String {
    if let recording = options.recording { return recording }
    let (configuration, diagnostics) = CaptureConfiguration.load(path: options.configPath)
    guard let configuration else { throw CaptureFailure(diagnostics.map { "\($0)" }.joined(separator: "\n")) }
    guard let recording = configuration.recording else {
      throw CaptureFailure(
        "nothing is recorded: set `recording: true` in \(options.configPath) and restart the capture, or name capture files with --from")
    }
    return recording.directory
  }

  /// The first line holds what matters most: of what the responder's child says only the beginning is kept.
  static func text(_ report: CutReport, _ options: CutOptions) -> String {
    var lines: [String] = []
    if report.packets > 0, let first = report.firstTime, let last = report.lastTime {
      lines.append("\(report.packets) packets, \(report.bytes) bytes, from \(first) to \(last)")
    } else {
      lines.append("no packet of it was found")
    }
    let moments = Set(options.selection.moments).count
    if moments > 0 { lines.append("\(report.momentsFound) of \(moments) frames that the decision names were found") }
    return (lines + report.notes).map { $0 + "\n" }.joined()
  }

  static func json(_ report: CutReport, _ options: CutOptions) -> String {
    var json = JSONWriter()
    json.beginObject()
    json.key("file")
    if report.packets > 0 { json.value(options.output) } else { json.null() }
    let numbers = [
      ("packets", report.packets), ("bytes", report.packets > 0 ? report.bytes : 0), ("packets_left_out", report.leftOut),
      ("frames_named", UInt64(Set(options.selection.moments).count)), ("frames_found", UInt64(report.momentsFound)),
    ]
    for (name, value) in numbers {
      json.key(text: name)
      json.value(Int64(clamping: value))
    }
    for (name, time) in [
      ("first", report.firstTime), ("last", report.lastTime), ("recorded_from", report.oldest), ("recorded_to", report.newest),
    ] {
      json.key(text: name)
      if let time { json.value(time) } else { json.null() }
    }
    json.key("notes")
    json.beginArray()
    for note in report.notes { json.value(note) }
    json.endArray()
    json.endObject()
    return String(decoding: json.out, as: UTF8.self) + "\n"
  }
}
