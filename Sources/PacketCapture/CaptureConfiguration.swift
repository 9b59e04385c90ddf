// The capture's own configuration: what is listened to is the operator's decision, in a file that the engine cannot write. Read once, at
// start. What a key is called, its default and why stand once, in `CaptureKey.all`; reading and the reference text follow it.
import Glibc
import Primitives
import TypedYAML

public struct CaptureConfiguration: Sendable, Equatable {
  public static let defaultPath = "/etc/panguard/capture.yaml"

  public var interfaces = [InterfaceCapture.all]
  public var options = CaptureOptions()
  public var socketPath = "/run/panguard/capture.sock"
  /// Where and how much is kept of all frames, whether or not it is switched on.
  var recordingSettings = RecordingSettings()
  var isRecording = false
  /// nil: nothing is kept.
  public var recording: RecordingSettings? { isRecording ? recordingSettings : nil }
  /// Who gets the events, besides root and the capture's own user.
  public var engineUser = "panguard"
  public init() {}

  /// The configuration at `path`, or what is wrong with it. A file that others than root and this user may write is refused. The default
  /// file may be absent.
  public static func load(path: String) -> (configuration: CaptureConfiguration?, diagnostics: [Diagnostic]) {
    var status = stat()
    if stat(path, &status) != 0, errno == ENOENT, path == defaultPath { return (CaptureConfiguration(), []) }
    switch readOwnedDocumentFile(path) {
    case .failure(let failure): return (nil, [failure.diagnostic])
    case .success(let bytes): return bytes.withUnsafeBytes { load($0, file: path) }
    }
  }

  public static func load(_ bytes: Bytes, file: String) -> (configuration: CaptureConfiguration?, diagnostics: [Diagnostic]) {
    let (documents, failures) = YAMLParser.parse(bytes, file: file)
    guard failures.isEmpty else { return (nil, failures) }
    guard let document = documents.first else { return (CaptureConfiguration(), []) }
    let problems = Problems()
    if documents.count > 1 { problems.error(documents[1].root.location, "a configuration is one document, but here a second one begins") }
    var configuration = CaptureConfiguration()
    if let root = Section(document.root, problems: problems) {
      root.refuseUnknownKeys(CaptureKey.all.map(\.name))
      for key in CaptureKey.all where root.has(key.name) { key.read(root, key.name, &configuration) }
      if configuration.options.isPromiscuous, configuration.interfaces.contains(InterfaceCapture.all) {
        problems.error(root.location(of: "promiscuous"), "'promiscuous' needs interfaces by name: 'any' cannot be")
      }
    }
    return (problems.errorCount == 0 ? configuration : nil, problems.finished(file: file))
  }

  /// Why these cannot be captured from together; nil: they can.
  static func problem(_ interfaces: [String]) -> String? {
    if interfaces.isEmpty { return "at least one interface is needed" }
    if interfaces.count > Limits.openInterfaces { return "\(interfaces.count) interfaces are more than \(Limits.openInterfaces)" }
    if Set(interfaces).count != interfaces.count { return "an interface stands there twice" }
    if interfaces.count > 1, interfaces.contains(InterfaceCapture.all) { return "'any' is all of them: it stands alone" }
    // IFNAMSIZ, and what the kernel takes for a name.
    for name in interfaces where name.isEmpty || name.utf8.count > 15 || name.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7f || $0 == 0x2f }) {
      return "'\(name)' is not the name of an interface"
    }
    return nil
  }

  /// A file with every key, its default and its reason. It loads, and means the same as an empty file.
  public static var reference: String {
    "# What panguard-capture listens to. Only root may write it; the engine cannot. Read at start.\n"
      + CaptureKey.all.map { key in
        "\n" + key.description.map { "# \($0)\n" }.joined() + "\(key.name): \(key.defaultText)\n"
      }.joined()
  }
}

struct CaptureKey: Sendable {
  let name: String
  let defaultText: String
  let description: [String]
  let read: @Sendable (_ section: Section, _ key: String, _ configuration: inout CaptureConfiguration) -> Void

  static let all: [CaptureKey] = [
    CaptureKey(
      name: "interfaces", defaultText: "[any]",
      description: [
        "Names, or [any]: all that are up, also those that come up later. With names each has a ring of its own; one that was not there",
        "at the start is opened by a restart when it comes up, because opening needs a privilege that is given up.",
      ]
    ) { section, key, configuration in
      configuration.interfaces = section.texts(key)
      if let problem = CaptureConfiguration.problem(configuration.interfaces) {
        section.problems.error(section.location(of: key), "'\(key)': \(problem)")
      }
    },
    CaptureKey(
      name: "filter", defaultText: "\"\"",
      description: [
        "What is captured, as pcap-filter(7) has it; empty: everything. For example \"not (host 192.0.2.7 and port 443)\".",
        "It runs in the kernel, and cannot be changed by anybody once the capture runs.",
      ]
    ) { section, key, configuration in
      guard let text = section.text(key) else { return }
      configuration.options.filter = text
      if text.utf8.count > Limits.captureFilterBytes { section.problems.error(section.location(of: key), "'\(key)' is too long") }
    },
    CaptureKey(
      name: "snap_length", defaultText: "\(Limits.frameBytes)",
      description: ["Bytes of each frame that are kept. Below 262144 long frames (network cards join segments to 64 KiB) lose their end."]
    ) { section, key, configuration in
      if let count = section.integer(key, in: 64...Int64(Limits.frameBytes)) { configuration.options.snapLength = Int32(count) }
    },
    CaptureKey(
      name: "ring_size", defaultText: "64MiB",
      description: [
        "The kernel's buffer for each interface. At a low rate the kernel uses 256 KiB each 100 ms: 64MiB last 25 s of a stalled reader,",
        "2MiB less than one second. At 100,000 packets a second of 500 bytes 64MiB last one second.",
      ]
    ) { section, key, configuration in
      if let count = section.byteCount(key, in: 1 << 20...1 << 30) { configuration.options.ringBytes = Int32(count) }
    },
    CaptureKey(
      name: "promiscuous", defaultText: "false", description: ["Also frames that are meant for other hosts. Needs interfaces by name."]
    ) { section, key, configuration in
      if let flag = section.flag(key) { configuration.options.isPromiscuous = flag }
    },
    CaptureKey(
      name: "recording", defaultText: "false",
      description: [
        "Keep all frames that are captured, in a ring of files in which the oldest is written over, so that `panguard evidence DECISION --pcap`",
        "finds the packets of a decision. It holds what everybody sends and receives, passwords in clear text included.",
      ]
    ) { section, key, configuration in
      if let flag = section.flag(key) { configuration.isRecording = flag }
    },
    CaptureKey(
      name: "recording_directory", defaultText: RecordingSettings().directory,
      description: ["Where the files lie: a directory of root's or the capture's own user's that nobody else may write."]
    ) { section, key, configuration in
      guard let path = section.text(key) else { return }
      configuration.recordingSettings.directory = path
      if !path.hasPrefix("/") || path.utf8.count > 1024 || path.utf8.contains(0) {
        section.problems.error(section.location(of: key), "'\(key)' must be an absolute path of at most 1024 bytes")
      }
    },
    CaptureKey(
      name: "recording_files", defaultText: "\(RecordingSettings().files)",
      description: ["How many files there are (2 to 32); with the next key, how much of the disk it takes: 1 GiB."]
    ) { section, key, configuration in
      if let count = section.integer(key, in: Limits.recordingFiles) { configuration.recordingSettings.files = Int(count) }
    },
    CaptureKey(
      name: "recording_file_size", defaultText: "64MiB",
      description: ["Bytes of each (1MiB to 16GiB). At 1 MB/s of traffic 16 files of 64MiB reach back 18 minutes."]
    ) { section, key, configuration in
      if let count = section.byteCount(key, in: Limits.recordingFileBytes) { configuration.recordingSettings.fileBytes = count }
    },
    CaptureKey(
      name: "recording_group", defaultText: "\"\"",
      description: [
        "A group that may read the files (0640) besides root; empty: none (0600). \"panguard-responder\" for the playbooks' step",
        "capture_evidence: {packets: ...}, which the responder carries out. Never the engine's.",
      ]
    ) { section, key, configuration in
      if let name = section.text(key) { configuration.recordingSettings.group = name }
    },
    CaptureKey(
      name: "socket", defaultText: "/run/panguard/capture.sock",
      description: ["Where the engine connects. Made with mode 0660."]
    ) { section, key, configuration in
      guard let path = section.text(key) else { return }
      if path.hasPrefix("/"), path.utf8.count < 108 {
        configuration.socketPath = path
      } else {
        section.problems.error(section.location(of: key), "'\(key)' must be an absolute path of at most 107 bytes")
      }
    },
    CaptureKey(
      name: "engine_user", defaultText: "panguard", description: ["The user who gets the events, besides root and the capture's own."]
    ) { section, key, configuration in
      if let name = section.text(key) { configuration.engineUser = name }
    },
  ]
}
