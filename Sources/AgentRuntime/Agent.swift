// The engine in the foreground: one thread, one loop. It reads what the sources have, decides, makes decisions and places durable in
// one transaction, and only then shows them. Nothing is queued between the steps, so a slow store slows the reading, never the memory.
// Invariants: a line's place is stored together with the decisions of that line, never before; while the store fails, nothing is read.
import CLinux
import Detection
import Events
import Export
import Glibc
import LogParsers
import LogSources
import Primitives
import RuleLanguage
import Scoring
import Storage
import SyslogOutput

public struct AgentOptions: Sendable {
  public var stateDirectory: String
  /// Read never-seen files from their beginning, whatever the configuration says.
  public var fromStart = false
  /// Where the compiled rules are kept; nil: nowhere.
  public var cacheDirectory: String?
  public init(stateDirectory: String) { self.stateDirectory = stateDirectory }
}

public struct AgentError: Error, CustomStringConvertible, Sendable {
  public var description: String
  public init(_ description: String) { self.description = description }
}

/// What the agent tells its operator while it runs.
public enum AgentReport: Sendable {
  /// How things are: sources found, problems, recoveries.
  case note(String)
  case warning(String)
  /// A decision that is stored.
  case decision(Decision)
}

public final class Agent {
  private let configuration: Configuration
  private let rules: LoadedRules
  private let options: AgentOptions
  private let report: (AgentReport) -> Void

  private var pipeline: Pipeline
  private let store: DecisionStore
  private let control: ControlSocket
  private let syslog: SyslogSocket?
  private var jsonLog: Int32 = -1
  private var files: [FileSource] = []
  private var journal: JournalFeed?
  private var notRead: [SourceStatus] = []
  private var watcher: FileWatcher
  private let epoll: Int32
  private let signals: Int32

  /// Decided but not yet stored.
  private var pending: [Decision] = []
  private var isDirty = false
  private var lastCommit: Int64 = 0
  private var storeProblem: String?
  private var storeRetryAt: Int64 = 0
  private var commitFailures: UInt64 = 0
  private var jsonLogFailures: UInt64 = 0
  private let startedAt = MonotonicTime.now()
  private var rateMark: (time: Int64, events: UInt64) = (0, 0)
  private var eventsPerSecond: UInt64 = 0

  /// One followed file.
  private final class FileSource {
    let tail: FileTail
    let lane: Lane
    let key: String
    var acknowledgedLines: UInt64 = 0
    init(tail: FileTail, lane: Lane, key: String) {
      self.tail = tail
      self.lane = lane
      self.key = key
    }
  }
  private final class JournalFeed {
    let source: JournalSource
    let lane: Lane
    var acknowledgedLines: UInt64 = 0
    var ordinal: UInt64 = 0
    init(source: JournalSource, lane: Lane) {
      self.source = source
      self.lane = lane
    }
  }

  private enum Wake: UInt64 {
    case signal = 1
    case control, files, journal
  }
  /// Reads of one source before the next gets its turn.
  private static let sliceBytes = 256 * 1024
  /// A batch is stored at least this often while lines come, and as soon as it is this large.
  private static let commitNanoseconds: Int64 = 200_000_000
  private static let commitDecisions = 1000
  private static let storeRetryNanoseconds: Int64 = 2_000_000_000

  /// Opens everything. Throws where the agent could not do its work at all; a source that cannot be read is only reported.
  public init(configuration: Configuration, rules: LoadedRules, options: AgentOptions, report: @escaping (AgentReport) -> Void) throws {
    self.configuration = configuration
    self.rules = rules
    self.options = options
    self.report = report
    store = try DecisionStore(directory: options.stateDirectory, readOnly: false)
    for note in store.notices { report(.warning(note)) }
    control = try ControlSocket(path: AgentPaths.socketPath(in: options.stateDirectory))
    let cached = RuleStore.cachedDatabase(for: rules, in: options.cacheDirectory)
    let detector = Detector(
      ruleSet: rules.set, ruleSetHash: rules.hash, configuration: configuration.detector, engineVersion: Version.text, cachedDatabase: cached)
    if cached == nil, let database = detector.engine.serializedDatabase() { RuleStore.cache(database, for: rules, in: options.cacheDirectory) }
    for diagnostic in detector.engine.diagnostics { report(.warning("\(diagnostic)")) }
    pipeline = Pipeline(detector: detector)
    syslog = configuration.syslogPath.map { SyslogSocket(path: $0) }
    watcher = FileWatcher()
    epoll = epoll_create1(Int32(EPOLL_CLOEXEC.rawValue))
    signals = Agent.blockSignals()
    if let path = configuration.jsonlPath {
      jsonLog = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
      guard jsonLog >= 0 else { throw AgentError("\(path): \(String(cString: strerror(errno))) (output.jsonl)") }
    }
    listen(signals, .signal)
    listen(control.descriptor, .control)
    listen(watcher.descriptor, .files)
    try openSources()
  }

  deinit {
    control.closeAndRemove()
    if jsonLog >= 0 { close(jsonLog) }
    close(epoll)
    close(signals)
  }

  private func listen(_ descriptor: Int32, _ wake: Wake) {
    guard descriptor >= 0 else { return }
    var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(u64: wake.rawValue))
    epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event)
  }

  /// SIGINT and SIGTERM end the loop, SIGHUP reopens the JSON log; all arrive as reads.
  private static func blockSignals() -> Int32 {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&set, signal) }
    sigprocmask(SIG_BLOCK, &set, nil)
    return signalfd(-1, &set, Int32(SFD_CLOEXEC.rawValue | SFD_NONBLOCK.rawValue))
  }
}
