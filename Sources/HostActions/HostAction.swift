// The closed table of what the engine may ask the responder to do on this host, and what it is told. What is not here cannot be asked for.
// Pure. Keys are the planner's idempotency keys: whatever is asked for twice under one key is done once.
import Primitives

/// A process, by what the asker knows of it: its number, and when it was that process.
public struct ProcessTarget: Hashable, Sendable {
  public var pid: Int32
  /// Field 22 of /proc/PID/stat, clock ticks since boot; 0: not known.
  public var startTicks: UInt64
  /// A moment (ns since 1970, UTC) at which the number was this process's: what was started later is another one. 0: not known. One of
  /// the two must be known.
  public var seenAt: Int64
  public var signal: HostSignal
  public init(pid: Int32, startTicks: UInt64 = 0, seenAt: Int64 = 0, signal: HostSignal) {
    (self.pid, self.startTicks, self.seenAt, self.signal) = (pid, startTicks, seenAt, signal)
  }
}
/// The raw value is signal(7)'s number.
public enum HostSignal: UInt8, Hashable, Sendable, CaseIterable {
  case kill = 9
  case terminate = 15
  public var name: String { self == .kill ? "KILL" : "TERM" }
}

/// A file, by its path and by what else the asker knows of it.
public struct FileTarget: Hashable, Sendable {
  /// Absolute.
  public var path: String
  /// stat(2)'s; both 0: not known, what is there when the request is carried out is meant.
  public var device: UInt64
  public var inode: UInt64
  /// 32 bytes; empty: not known.
  public var sha256: [UInt8]
  public init(path: String, device: UInt64 = 0, inode: UInt64 = 0, sha256: [UInt8] = []) {
    (self.path, self.device, self.inode, self.sha256) = (path, device, inode, sha256)
  }
}

public struct ExecutableRun: Hashable, Sendable {
  /// Of a file in the configured directory.
  public var name: String
  public var arguments: [String]
  public var input: [UInt8]
  public init(name: String, arguments: [String], input: [UInt8]) { (self.name, self.arguments, self.input) = (name, arguments, input) }
}

public enum HostAction: Hashable, Sendable {
  case run(ExecutableRun)
  case kill(ProcessTarget)
  case quarantine(FileTarget)
  case disable(account: String)
  /// Packets of a decision, out of what the capture recorded, into a file of the responder's.
  case cut(PacketSelection)

  /// The number on the wire; the word in configuration, audit and status.
  public enum Kind: UInt8, Sendable, CaseIterable {
    case run = 1
    case kill, quarantine, disable, cut
    public var word: String {
      switch self {
      case .run: "run"
      case .kill: "kill_process"
      case .quarantine: "quarantine_file"
      case .disable: "disable_account"
      case .cut: "capture_evidence"
      }
    }
    /// The key of /etc/panguard/responder.yaml that lets it be done.
    public var configurationKey: String {
      switch self {
      case .run: "run_executables"
      case .kill: "kill_processes"
      case .quarantine: "quarantine_files"
      case .disable: "disable_accounts"
      case .cut: "capture_packets"
      }
    }
  }
  public var kind: Kind {
    switch self {
    case .run: .run
    case .kill: .kill
    case .quarantine: .quarantine
    case .disable: .disable
    case .cut: .cut
    }
  }
  /// "kill_process 4711 with TERM"; it may hold text from hostile logs.
  public var text: String {
    switch self {
    case .run(let run): (["run", run.name] + run.arguments).joined(separator: " ")
    case .kill(let target): "kill_process \(target.pid) with \(target.signal.name)"
    case .quarantine(let target): "quarantine_file \(target.path)"
    case .disable(let account): "disable_account \(account)"
    case .cut(let selection): "capture_evidence \(selection.text)"
    }
  }
}

/// How it stands with one action.
public struct HostActionOutcome: Hashable, Sendable {
  public enum State: UInt8, Sendable, CaseIterable {
    /// Taken in and not finished: ask again.
    case pending = 1
    case done
    /// Not done, for a reason that stands in the responder's own configuration or rules.
    case refused
    /// Tried, and it did not work.
    case failed
    /// Done, and taken back.
    case undone
    /// No such key.
    case unknown
    public var word: String { "\(self)" }
    public init?(word: String) {
      guard let state = State.allCases.first(where: { $0.word == word }) else { return nil }
      self = state
    }
  }
  public var state: State
  /// One word, for counters: "not_enabled", "protected". Empty where it was done.
  public var code: String
  /// A sentence. Output of an executable may be part of it: who shows it on a terminal escapes it.
  public var detail: String
  public init(_ state: State, _ code: String = "", _ detail: String = "") { (self.state, self.code, self.detail) = (state, code, detail) }
}

/// One action that the responder remembers.
public struct HostActionRecord: Hashable, Sendable {
  public var key: String
  /// Of the host's clock, ns since 1970.
  public var time: Int64
  /// "quarantine_file /tmp/x"
  public var text: String
  public var outcome: HostActionOutcome
  public var canUndo: Bool
  public init(key: String, time: Int64, text: String, outcome: HostActionOutcome, canUndo: Bool) {
    (self.key, self.time, self.text, self.outcome, self.canUndo) = (key, time, text, outcome, canUndo)
  }
}

public enum HostActionRequest: Hashable, Sendable {
  case perform(key: String, HostAction)
  /// How it stands with actions that were asked for.
  case outcomes([String])
  case undo(key: String)
  /// What is remembered, the newest first, at most `Limits.listedHostActions`.
  case list
  case status

  public enum Kind: UInt8, Sendable, CaseIterable { case perform = 1, outcomes, undo, list, status }
  public var kind: Kind {
    switch self {
    case .perform: .perform
    case .outcomes: .outcomes
    case .undo: .undo
    case .list: .list
    case .status: .status
    }
  }
  /// Letters, digits, '-' and '_', 1 to 64: a key becomes the name of a directory.
  public static func isValid(key: String) -> Bool {
    (1...64).contains(key.utf8.count)
      && key.utf8.allSatisfy {
        (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x2d || $0 == 0x5f
      }
  }
}

/// Counters since the responder started; each is the wire's order too.
public struct ResponderStatus: Equatable, Sendable {
  /// Bit n: the kind with the raw value n is enabled.
  public var enabled: UInt64 = 0
  public var done: UInt64 = 0
  public var refused: UInt64 = 0
  public var failed: UInt64 = 0
  public var undone: UInt64 = 0
  public var repeated: UInt64 = 0
  public var running: UInt64 = 0
  public var waiting: UInt64 = 0
  public var timedOut: UInt64 = 0
  public var outputBytesDropped: UInt64 = 0
  public var remembered: UInt64 = 0
  public var forgotten: UInt64 = 0
  public var malformedFrames: UInt64 = 0
  public var peersRefused: UInt64 = 0
  public var connectionsRefused: UInt64 = 0
  public var peersTooSlow: UInt64 = 0
  public var auditLinesDropped: UInt64 = 0
  public init() {}

  static var counters: [(name: String, path: WritableKeyPath<ResponderStatus, UInt64>)] {
    [
      ("enabled", \.enabled), ("done", \.done), ("refused", \.refused), ("failed", \.failed), ("undone", \.undone), ("repeated", \.repeated),
      ("running", \.running), ("waiting", \.waiting), ("timed_out", \.timedOut), ("output_bytes_dropped", \.outputBytesDropped),
      ("remembered", \.remembered), ("forgotten", \.forgotten), ("malformed_frames", \.malformedFrames), ("peers_refused", \.peersRefused),
      ("connections_refused", \.connectionsRefused), ("peers_too_slow", \.peersTooSlow), ("audit_lines_dropped", \.auditLinesDropped),
    ]
  }
  public func isEnabled(_ kind: HostAction.Kind) -> Bool { enabled & 1 << UInt64(kind.rawValue) != 0 }
  public mutating func enable(_ kind: HostAction.Kind) { enabled |= 1 << UInt64(kind.rawValue) }
}

public enum HostActionAnswer: Equatable, Sendable {
  /// To `perform` and `undo`.
  case outcome(HostActionOutcome)
  /// To `outcomes`: one for each key, in their order.
  case outcomes([HostActionOutcome])
  case records([HostActionRecord])
  case status(ResponderStatus)

  public enum Kind: UInt8, Sendable, CaseIterable { case outcome = 0x81, outcomes, records, status }
  public var kind: Kind {
    switch self {
    case .outcome: .outcome
    case .outcomes: .outcomes
    case .records: .records
    case .status: .status
    }
  }
}
