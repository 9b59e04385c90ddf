// The engine in the foreground: one thread, one loop. It reads what the sources have, decides, makes decisions and places durable in
// one transaction, and only then shows them. Nothing is queued between the steps, so a slow store slows the reading, never the memory.
// Invariants: a line's place is stored together with the decisions of that line, never before; while the store fails, nothing is read.
import CLinux
import Baseline
import Detection
import Events
import Export
import Glibc
import LogParsers
import LogSources
import Playbooks
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
  private let playbooks: PlaybookSet
  private let options: AgentOptions
  private let report: (AgentReport) -> Void
  private let hooks: AgentHooks

  private let pipeline: Pipeline
  private let store: DecisionStore
  private let responder: Responder
  private let control: ControlSocket
  private let syslog: SyslogSocket?
  /// nil: the input is not recorded.
  private var recorder: InputRecorder?
  private var jsonLog: DecisionLogFile?
  private var eventLog: (file: DecisionLogFile, writer: ATREventWriter)?
  private var unsignedEvents: UInt64 = 0
  private var files: [FileSource] = []
  private var journal: JournalFeed?
  private let capture: CaptureFeed?
  private var notRead: [SourceStatus] = []
  /// Read positions as the last run left them, by source: also for logs that come back later.
  private var known: [String: String] = [:]
  private let watcher: FileWatcher
  private var settings: [FileSettings] = []
  private let isDefaultDiscovery: Bool
  private let nothingExists: Bool
  private let epoll: Int32
  private let signals: Int32

  /// Decided but not yet stored.
  private var pending: [Decision] = []
  /// As many of them have been planned for.
  private var plannedCount = 0
  private var isDirty = false
  private var memories: [StoredMemory] = []
  private var lastCommit: Int64 = 0
  private var storeProblem: String?
  private var storeRetryAt: Int64 = 0
  private var commitFailures: UInt64 = 0
  private let startedAt = MonotonicTime.now()
  private var rateMark: (time: Int64, events: UInt64) = (MonotonicTime.now(), 0)
  private var eventsPerSecond: UInt64 = 0
  private var isStopping = false
  private var isReloadWanted = false
  /// What takes over.
  private var next: AgentInput?

  /// How the files of one pattern are read.
  struct FileSettings {
    var pattern: String
    var format: LogFormat
    var readsFromStart: Bool
    var trust: Trust
    /// The log that has the same lines: where it is read, this one is not.
    var repeats: String?
  }
  /// One followed file.
  private final class FileSource {
    let tail: FileTail
    let lane: Lane
    let repeats: String?
    /// Another log with the same lines was opened. It stays so: at a rotation that one is away for a moment.
    var isCovered = false
    var lastLineAt = MonotonicTime.now()
    var acknowledgedLines: UInt64 = 0
    var hasMore = true
    var lastNotice = ""
    init(tail: FileTail, lane: Lane, repeats: String?) {
      self.tail = tail
      self.lane = lane
      self.repeats = repeats
    }
    /// When the file was last written, for stamps without a year and lines without a stamp.
    var writtenAt: EventTime? {
      var info = stat()
      guard stat(tail.openPath ?? tail.path, &info) == 0 else { return nil }
      return EventTime(seconds: Int64(info.st_mtim.tv_sec))
    }
  }
  private final class JournalFeed {
    let source: JournalSource
    let lane: Lane
    var lastLineAt = MonotonicTime.now()
    var acknowledgedEntries: UInt64 = 0
    var hasMore = true
    var problem = ""
    init(source: JournalSource, lane: Lane) {
      self.source = source
      self.lane = lane
    }
  }
  private enum Wake: UInt64 { case signal = 1, control, files, journal, supervisor, capture }

  /// What one source may read before the next gets its turn.
  private static let sliceBytes = 256 * 1024
  private static let sliceEntries = 1024
  /// While lines come, what was decided is stored at least this often, and as soon as it is this much.
  private static let commitNanoseconds: Int64 = 200_000_000
  private static let commitDecisions = 1000
  private static let storeRetryNanoseconds: Int64 = 2_000_000_000
  private static let pollNanoseconds: Int64 = FileWatcher.pollInterval.count
  /// How soon a busy syslog daemon is tried again.
  private static let syslogNanoseconds: Int64 = 50_000_000

  /// Opens everything. Throws where the agent could not do its work at all; a source that cannot be read is only reported.
  /// `control` stays its owner's: it outlives an agent that is replaced.
  public init(
    configuration: Configuration, rules: LoadedRules, playbooks: PlaybookSet = PlaybookSet(), options: AgentOptions, control: ControlSocket,
    hooks: AgentHooks = AgentHooks(), report: @escaping (AgentReport) -> Void
  ) throws {
    self.configuration = configuration
    self.rules = rules
    self.playbooks = playbooks
    self.options = options
    self.report = report
    self.hooks = hooks
    self.control = control
    store = try DecisionStore(directory: options.stateDirectory)
    if let recovery = store.recovery { report(.warning("\(recovery)")) }
    responder = try Responder(
      store: store, playbooks: playbooks, configuration: configuration, link: hooks.enforcer ?? EnforcerLink(path: nil),
      uplink: hooks.uplink ?? UplinkLink(path: nil), host: hooks.responder ?? ResponderLink(path: nil), audit: hooks.audit, report: report)
    let cached = RuleStore.cachedDatabase(for: rules, in: options.cacheDirectory)
    let detector = Detector(
      ruleSet: rules.set, ruleSetHash: rules.hash, configuration: configuration.detector, engineVersion: Version.text, cachedDatabase: cached)
    // Also where there was a cached one that the engine refused.
    if !detector.engine.usedCachedDatabase, let database = detector.engine.serializedDatabase() {
      RuleStore.cache(database, for: rules, in: options.cacheDirectory)
    }
    for diagnostic in detector.engine.diagnostics { report(.warning("\(diagnostic)")) }
    pipeline = Pipeline(detector: detector)
    if hooks.recording.isOn ?? configuration.isRecording {
      do {
        recorder = try InputRecorder(
          state: options.stateDirectory, configuration: configuration, ruleSetHash: rules.hash, sequence: try store.lastSequence(),
          recording: hooks.recording, now: EventTime(seconds: Int64(time(nil))))
        pipeline.recorder = recorder?.segment
      } catch {
        // It is tried again later.
        if hooks.recording.fail("\(error)") { report(.warning("the input is not recorded: \(error)")) }
      }
    } else {
      hooks.recording.endWaiting()
    }
    // Before any line is read: those that it has learned already are not to be learned again.
    if configuration.usesBaseline, let bytes = try store.responseState(Agent.baselineKey) {
      do { try pipeline.resume(baseline: Agent.present(bytes)) } catch {
        report(.warning("what was learned about this host could not be taken up, learning begins anew: \(error)"))
      }
    }
    if hooks.capture != nil, let bytes = try store.responseState(Agent.networkMemoryKey) {
      do { try pipeline.resume(networkMemory: bytes) } catch {
        report(.warning("what was learned about the network could not be taken up, learning begins anew: \(error)"))
      }
    }
    capture = hooks.capture.map { [pipeline] in CaptureFeed($0, pipeline) }
    if configuration.usesBaseline {
      memories.append(
        StoredMemory(key: Agent.baselineKey) { [pipeline] in
          pipeline.detector.baseline.newest.nanoseconds
        } bytes: { [pipeline] in
          pipeline.detector.baseline.snapshot()
        })
    }
    if capture != nil {
      memories.append(
        StoredMemory(key: Agent.networkMemoryKey) { [pipeline] in
          Int64(truncatingIfNeeded: pipeline.detector.networkCounters.events)
        } bytes: { [pipeline] in
          pipeline.detector.networkMemory
        })
    }
    syslog = configuration.syslogPath.map { SyslogSocket(path: $0) }
    if let path = configuration.jsonlPath { jsonLog = try DecisionLogFile(path: path) }
    if let events = configuration.atrEvents {
      let key = try events.keyPath.map { try SigningKey(file: $0) }
      eventLog = (
        try DecisionLogFile(path: events.path, key: "output.atr_events"), ATREventWriter(rules: rules.set, key: key, redacts: events.redacts)
      )
    }

    let sources = Agent.chooseSources(configuration)
    isDefaultDiscovery = configuration.sources == nil
    nothingExists = sources.nothingExists
    settings = sources.files
    notRead = sources.notRead
    watcher = FileWatcher(patterns: sources.files.map(\.pattern))
    epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    signals = Agent.signalDescriptor()
    listen(signals, .signal)
    listen(control.descriptor, .control)
    listen(watcher.descriptor, .files)
    if let supervisor = hooks.supervisor { listen(supervisor.descriptor, .supervisor) }
    known = Dictionary(try store.checkpoints().map { ($0.source, $0.value) }, uniquingKeysWith: { _, new in new })
    if let fromStart = sources.journalFromStart { openJournal(checkpoint: known[SourceName.journal], fromStart: fromStart) }
    let present = watcher.expand()
    openFiles(present, isFirstLook: true)
    openFiles(knownButAbsent(), isFirstLook: true)
    for lane in files.map(\.lane) + [journal?.lane].compactMap({ $0 }) {
      guard let silence = known[SourceName.silence(lane.name)].flatMap({ Int64($0) }) else { continue }
      pipeline.expire(lane, asOf: EventTime(nanoseconds: silence), isWarmUp: true) { _ in }
    }
    resumeIncidents()
    recorder?.begin(wallClock())
  }

  deinit {
    store.close()
    close(epoll)
    close(signals)
  }

  // MARK: Sources

  private struct ChosenSources {
    var files: [FileSettings] = []
    /// Whether a journal that was never read is read from its first entry; nil: the journal is not read.
    var journalFromStart: Bool?
    var notRead: [SourceStatus] = []
    /// Not one of the usual logs is there.
    var nothingExists = false
  }

  private static func chooseSources(_ configuration: Configuration) -> ChosenSources {
    var chosen = ChosenSources()
    if let configured = configuration.sources {
      for source in configured {
        switch source.input {
        case .journal: chosen.journalFromStart = source.readsFromStart
        case .files(let pattern):
          chosen.files.append(
            FileSettings(pattern: pattern, format: source.logFormat, readsFromStart: source.readsFromStart, trust: source.eventTrust))
        }
      }
      return chosen
    }
    // The places themselves are followed, not what is there now: logs may come later.
    let problem = SourceDiscovery.journalProblem()
    if problem == nil { chosen.journalFromStart = false }
    for place in SourceDiscovery.placesToFollow(readsJournal: problem == nil) {
      chosen.files.append(
        FileSettings(pattern: place.pattern, format: place.format, readsFromStart: false, trust: .claimed, repeats: place.repeats))
    }
    let found = SourceDiscovery.discover(journalProblem: problem)
    for source in found {
      guard let reason = source.reasonNotRead else { continue }
      // A file that is followed says itself what is wrong with it.
      let isFollowed = chosen.files.contains { matches(source.name, $0.pattern) }
      if source.kind != .journal, isFollowed { continue }
      chosen.notRead.append(SourceStatus(name: source.name, kind: source.kind == .journal ? "journal" : "file", state: "not read", reason: reason))
    }
    chosen.nothingExists = !found.contains { $0.kind != .journal }
    return chosen
  }

  /// As glob(3) does it: a wildcard stands neither for a slash nor for a leading dot.
  private static func matches(_ path: String, _ pattern: String) -> Bool {
    pattern == path || fnmatch(pattern, path, FNM_PATHNAME | FNM_PERIOD) == 0
  }

  private func openJournal(checkpoint: String?, fromStart: Bool) {
    do throws(SourceError) {
      let source: JournalSource
      if let checkpoint {
        source = try JournalSource(start: .after(cursor: checkpoint))
      } else {
        source = try JournalSource(start: options.fromStart || fromStart ? .beginning : .end)
      }
      let lane = pipeline.addLane(SourceName.journal, format: .auto, inputTime: wallClock())
      let feed = JournalFeed(source: source, lane: lane)
      if checkpoint != nil {
        // A restart: what the engine remembered is rebuilt from the last ten minutes before the place where reading stopped.
        let from = (try source.cursorTime() ?? wallClock()) - .minutes(10)
        _ = try source.readBefore(from: from, maxEntries: 50_000) { record in
          process(record, lane, isWarmUp: true)
        }
      }
      lane.lines = 0
      lane.outcomes = ParseOutcomeCounts()
      journal = feed
      listen(source.descriptor, .journal)
    } catch {
      notRead.append(SourceStatus(name: SourceName.journal, kind: "journal", state: "not read", reason: "\(error)"))
    }
  }

  /// Followed logs of the last run that are not there right now: they were rotated away, with lines that are not read yet.
  private func knownButAbsent() -> [String] {
    let prefix = SourceName.file("")
    return known.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
      .filter { path in access(path, F_OK) != 0 && settings.contains { Agent.matches(path, $0.pattern) } }.sorted()
  }

  private func openFiles(_ paths: [String], isFirstLook: Bool) {
    for path in paths where !files.contains(where: { $0.tail.path == path }) {
      guard files.count < Limits.followedFiles, let setting = settings.first(where: { Agent.matches(path, $0.pattern) }) else { continue }
      let checkpoint = known[SourceName.file(path)].flatMap { FileCheckpoint(json: Array($0.utf8)) }
      // A file that appears while the agent runs is new from its first line.
      let start: FileTail.Start = options.fromStart || setting.readsFromStart || !isFirstLook ? .beginning : .end
      let tail = FileTail(path: path, start: start, checkpoint: checkpoint)
      var info = stat()
      let writtenAt = stat(path, &info) == 0 ? EventTime(seconds: Int64(info.st_mtim.tv_sec)) : wallClock()
      let lane = pipeline.addLane(
        path, format: setting.format, inputTime: writtenAt, utcOffsetSeconds: configuration.logUTCOffsetSeconds, trust: setting.trust)
      if checkpoint != nil {
        tail.readBefore(maxBytes: UInt64(clamping: configuration.warmUpBytes)) { line, offset, _ in
          pipeline.process(line, offset: offset, lane, isWarmUp: true) { _ in }
        }
      }
      lane.lines = 0
      lane.outcomes = ParseOutcomeCounts()
      files.append(FileSource(tail: tail, lane: lane, repeats: setting.repeats))
    }
  }

  /// Incidents that may still take matches: repeats after a restart update them instead of opening new ones. Which of them are still
  /// open the detector decides by event time: logs may be old.
  private func resumeIncidents() {
    do throws(StorageError) {
      for open in try store.openIncidents(after: .distantPast, limit: Limits.resumedIncidents) {
        pipeline.resume(
          Incident(
            id: open.id, revision: open.revision, matchCount: open.matchCount, firstTime: open.firstTime, lastTime: open.lastTime,
            action: open.action), ruleID: open.ruleID, subject: open.subject)
      }
    } catch {
      report(.warning("open incidents could not be taken up (\(error)); their repeats will open new ones"))
    }
  }

  // MARK: The loop

  /// Runs until SIGINT or SIGTERM, or until SIGHUP brought another configuration or other rules. Everything decided is stored before it
  /// returns, if the store lets it; an agent that takes over goes on at the places that were stored, as after a restart.
  public func run() -> AgentEnd {
    report(.note(responder.sentence))
    reportSources()
    if let segment = recorder?.segment { report(.note("recording the input into \(segment.path)")) }
    // Where each log stands now is stored before anything else: what comes from here on is not missed, whatever happens. What waits
    // there comes with it, as far as it can be read in a moment: an agent that is killed again and again still gets on.
    let start = MonotonicTime.now()
    repeat { readSources() } while hasMore && pending.count < Agent.commitDecisions && MonotonicTime.now() - start < Agent.commitNanoseconds
    commit()
    reportUndecided()
    // Loading rules and reading up took memory that is not needed again.
    pg_release_free_memory()
    report(.note("watching; Ctrl-C ends it"))
    hooks.moment(.ready)
    while !isStopping {
      wait()
      if isStopping { break }
      if isReloadWanted { reload() }
      if let next { return .replaced(next) }
      syslog?.flush()
      if let problem = storeProblem {
        guard MonotonicTime.now() >= storeRetryAt else { continue }
        commit()
        if storeProblem != nil { continue }
        report(.note("the store works again (\(problem)); reading goes on"))
      }
      readSources()
      if recorder?.isFull == true, makeWayForItsLike(), let next { return .replaced(next) }
      if isDirty, isUrgent || pending.count >= Agent.commitDecisions || MonotonicTime.now() - lastCommit >= Agent.commitNanoseconds { commit() }
    }
    hooks.moment(.stopping)
    commitRest()
    if storeProblem == nil { finish() }
    syslog?.flush()
    if let storeProblem {
      report(.warning("\(pending.count) decisions were not stored (\(storeProblem)); their lines will be read again at the next start"))
    }
    return .stopped
  }

  /// Something that is to be stopped does not wait for the rest of what is read.
  private var isUrgent: Bool { responder.mode == .armed && pending[plannedCount...].contains { $0.action == .blockIP } }

  /// Sets `next` to what takes over, once everything that this agent decided is stored; otherwise this one goes on.
  @discardableResult
  private func reload() -> ControlOutcome {
    isReloadWanted = false
    do {
      try jsonLog?.reopen()
      try eventLog?.file.reopen()
    } catch { report(.warning("\(error)")) }
    hooks.moment(.reloading)
    let (input, outcome) = hooks.reload()
    guard let input else {
      hooks.moment(.ready)
      return outcome
    }
    guard makeWay(for: input) else {
      let problem = "not reloaded: \(storeProblem ?? ""); the rules and the configuration stay as they were"
      report(.warning(problem))
      hooks.moment(.ready)
      return .refused(problem)
    }
    return outcome
  }

  /// False: the store fails, and this agent goes on.
  private func makeWay(for input: AgentInput) -> Bool {
    commitRest()
    guard storeProblem == nil else { return false }
    finish()
    syslog?.flush()
    next = input
    return true
  }
  private func commitRest() { if isDirty || memories.contains(where: \.isDirty) { commit(isLast: true) } }
  private func finish() {
    recorder?.finish()
    responder.finish()
  }

  // MARK: Recording

  /// A recording begins with an agent, so that whoever replays it needs nothing from before: this one makes way for its like.
  private func record(_ isWanted: Bool) -> ControlOutcome {
    let isOn = recorder != nil && recorder?.segment.problem == nil
    let isWaiting = !isOn && hooks.recording.isWaiting
    guard isOn != isWanted || (isWaiting && !isWanted) else {
      return .refused(isWanted ? "the input is recorded already" : "the input is not recorded")
    }
    if isWanted, let obstacle = InputJournalFiles(state: options.stateDirectory).obstacle(room: 0) {
      return .refused("not begun: \(obstacle)")
    }
    hooks.recording.isOn = isWanted
    if isWanted {
      guard makeWayForItsLike() else {
        hooks.recording.isOn = false
        return .refused("not begun: \(storeProblem ?? "")")
      }
      let directory = InputJournalFiles(state: options.stateDirectory).directory
      return .done("the input is recorded from now on, into \(directory); `record.enabled: true` in the configuration does so at each start")
    }
    commit()
    recorder?.finish()
    (recorder, pipeline.recorder) = (nil, nil)
    hooks.recording.endWaiting()
    return .done("nothing more is recorded; what was recorded stays until record.keep is over")
  }
  private func tickRecorder() {
    guard let tick = recorder?.tick(wallClock()) else {
      if next == nil, hooks.recording.mayTryAgain(configuration, state: options.stateDirectory) { _ = makeWayForItsLike() }
      return
    }
    if let problem = tick.problem { report(.warning(problem)) }
    if tick.isDue, next == nil { _ = makeWayForItsLike() }
  }
  private func makeWayForItsLike() -> Bool { makeWay(for: AgentInput(configuration: configuration, rules: rules, playbooks: playbooks)) }
  private var recordStatus: RecordStatus {
    var status = recorder?.status ?? RecordStatus()
    if recorder == nil { (status.lostRecords, status.problem) = (hooks.recording.lostRecords, hooks.recording.problem ?? "") }
    let segments = InputJournalFiles(state: options.stateDirectory).segments
    status.segments = UInt64(segments.count)
    status.journalBytes = segments.reduce(0) { $0 + $1.bytes }
    status.removedSegments = hooks.recording.removedSegments
    return status
  }

  private var hasMore: Bool { storeProblem == nil && (files.contains { $0.hasMore } || journal?.hasMore == true || capture?.link.hasMore == true) }

  /// Waits for work: not at all while a source has more, else for an event, the next poll, the next commit or a busy syslog.
  private func wait() {
    var timeout = max(0, pollAt - MonotonicTime.now())
    if isDirty { timeout = min(timeout, Agent.commitNanoseconds) }
    if let syslog, syslog.backlogCount > 0 { timeout = min(timeout, Agent.syslogNanoseconds) }
    if hasMore { timeout = 0 }
    let n = events.withUnsafeMutableBufferPointer {
      epoll_wait(epoll, $0.baseAddress, Int32($0.count), Int32((timeout + 999_999) / 1_000_000))
    }
    for i in 0..<max(0, Int(n)) {
      switch Wake(rawValue: events[i].data.u64) {
      case .signal: takeSignal()
      case .control: control.serve { self.answer($0, $1) }
      case .files: takeFileChanges()
      case .supervisor: hooks.supervisor?.read()
      case .journal: if journal?.source.process() == true { journal?.hasMore = true }
      case .capture: capture?.link.noteReadable()
      case nil: break
      }
    }
    watchCapture()
    if MonotonicTime.now() >= pollAt { poll() }
  }
  private func answer(_ request: ControlRequest, _ peer: ControlPeer) -> [UInt8] {
    switch request {
    case .status: return status().json
    case .reload:
      let outcome = reload()
      responder.audit("\(peer)", "reload", outcome.message, isOperator: true)
      return outcome.json
    case .baseline(let wish):
      let outcome = configuration.usesBaseline ? pipeline.perform(wish) : .refused("baseline.enabled is false")
      // Stored with the next commit, which is now: it must survive a crash.
      if outcome.isDone { commit(isLast: true) }
      responder.audit("\(peer)", "baseline", "\(wish.text): \(outcome.told)", isOperator: true)
      return outcome.json
    case .record(let isWanted):
      let outcome = record(isWanted)
      responder.audit("\(peer)", "record", "\(request.line): \(outcome.told)", isOperator: true)
      return outcome.json
    default: return responder.answer(request, peer, storeProblem: storeProblem)
    }
  }
  private var events = [epoll_event](repeating: epoll_event(), count: 8)
  private var pollAt = MonotonicTime.now() + Agent.pollNanoseconds

  /// Once a second by the clock, however busy other sources are: some file systems have no inotify, and a rotated log is left when it
  /// has been silent.
  private func poll() {
    let now = MonotonicTime.now()
    pollAt = now + Agent.pollNanoseconds
    hooks.moment(.alive)
    expireInSilence(now)
    responder.tick(storeWorks: storeProblem == nil)
    tickRecorder()
    for file in files { file.hasMore = true }
    if journal?.source.process() == true { journal?.hasMore = true }
    capture?.link.tick()
    let events = pipeline.detector.counters.events
    if now - rateMark.time >= 5_000_000_000 {
      eventsPerSecond = (events - rateMark.events) * 1_000_000_000 / UInt64(max(1, now - rateMark.time))
      rateMark = (now, events)
    }
    reportUndecided()
    sinceExpand += 1
    if sinceExpand >= 10 {
      sinceExpand = 0
      openFiles(watcher.expand(), isFirstLook: false)
    }
  }
  private var sinceExpand = 0

  /// While no line comes, nothing moves a source's event time on; then it is taken to run like the clock, so that a login attempt whose
  /// outcome is never logged is decided. How far it was taken is stored, so that the same attempt is not decided again after a restart.
  private func expireInSilence(_ now: Int64) {
    guard storeProblem == nil else { return }
    for file in files where !file.hasMore { expire(file.lane, silentSince: file.lastLineAt, now) }
    if let journal, !journal.hasMore { expire(journal.lane, silentSince: journal.lastLineAt, now) }
  }
  private func expire(_ lane: Lane, silentSince last: Int64, _ now: Int64) {
    guard now - last > Limits.sessionSilence.count, lane.newest > .distantPast else { return }
    let asOf = lane.newest + Nanoseconds(now - last)
    guard pipeline.expire(lane, asOf: asOf, { pending.append($0) }) > 0 else { return }
    silences.removeAll { $0.lane === lane }
    silences.append((lane, asOf))
    isDirty = true
  }
  /// How far sources were taken in silence; not yet stored.
  private var silences: [(lane: Lane, asOf: EventTime)] = []

  /// Rules that gave up on an event: never a silent miss. Of very many the rest is counted.
  private func reportUndecided() {
    let now = MonotonicTime.now()
    if now - undecidedMark.time >= 60_000_000_000 { undecidedMark = (now, 0) }
    for rule in pipeline.detector.takeUndecided() {
      guard undecidedMark.reported < Limits.undecidedReportsPerMinute else {
        unreportedUndecided += 1
        continue
      }
      undecidedMark.reported += 1
      report(.warning("\(rule)"))
    }
    for eviction in pipeline.takeEvictions() {
      jsonLog?.append(EvictionJSON.line(eviction))
      guard undecidedMark.reported < Limits.undecidedReportsPerMinute else { continue }
      undecidedMark.reported += 1
      report(.warning("\(eviction)"))
    }
  }
  private var undecidedMark: (time: Int64, reported: Int) = (MonotonicTime.now(), 0)
  private var unreportedUndecided: UInt64 = 0

  private func takeFileChanges() {
    let changes = watcher.drain()
    for file in files where changes.all || changes.paths.contains(file.tail.path) { file.hasMore = true }
    if changes.structure || changes.all {
      openFiles(watcher.expand(), isFirstLook: false)
      for file in files { file.hasMore = true }
    }
  }

  private func takeSignal() {
    var info = signalfd_siginfo()
    while read(signals, &info, MemoryLayout<signalfd_siginfo>.size) == MemoryLayout<signalfd_siginfo>.size {
      if info.ssi_signo == UInt32(SIGHUP) {
        isReloadWanted = true
      } else {
        isStopping = true
      }
    }
  }

  private func readSources() {
    // Each time another source comes first: one that never ends does not keep the others waiting. The journal stands behind the files.
    let count = files.count + (journal == nil ? 0 : 1)
    if capture?.link.hasMore == true { readCapture() }
    for _ in 0..<count {
      nextSource = (nextSource + 1) % count
      if nextSource < files.count { readFile(files[nextSource]) } else { readJournal() }
      if pending.count >= Agent.commitDecisions || recorder?.isFull == true { return }
    }
  }
  private var nextSource = 0

  /// What waits in the socket waits there while the store fails, and then in the capture, which counts what it has no room for.
  private func readCapture() {
    guard let capture, storeProblem == nil else { return }
    capture.read({ pending.append($0) }, say: { report(.warning("capture: \($0)")) })
    if !pending.isEmpty { isDirty = true }
  }
  /// A connection that is new is waited for; one that was closed left by itself.
  private func watchCapture() {
    guard let capture, capture.link.generation != capture.watched else { return }
    capture.watched = capture.link.generation
    // Told once for what came: while the store fails it is not read, and must not keep the loop turning.
    listen(capture.link.descriptor, .capture, EPOLLIN.rawValue | EPOLLET.rawValue)
  }

  private func readFile(_ file: FileSource) {
    guard file.hasMore else { return }
    if isCovered(file) {
      file.hasMore = false
      return
    }
    if let writtenAt = file.writtenAt { pipeline.noteInputTime(writtenAt, file.lane) }
    let progress = file.tail.read(maxBytes: Agent.sliceBytes) { line, offset, _ in
      pipeline.process(line, offset: offset, file.lane) { decided($0) }
    }
    file.hasMore = !progress.reachedEnd
    if progress.lines > 0 { file.lastLineAt = MonotonicTime.now() }
    if progress.lines > 0 || !progress.notices.isEmpty { isDirty = true }
    for notice in progress.notices { reportNotice(notice, file) }
  }

  private func isCovered(_ file: FileSource) -> Bool {
    guard let other = file.repeats, !file.isCovered else { return file.isCovered }
    var info = stat()
    file.isCovered = files.contains { $0.tail.path == other && ($0.tail.openPath != nil || (stat(other, &info) == 0 && access(other, R_OK) == 0)) }
    return file.isCovered
  }

  private func readJournal() {
    guard let journal, journal.hasMore else { return }
    do throws(SourceError) {
      let progress = try journal.source.read(maxEntries: Agent.sliceEntries) { record in
        process(record, journal.lane, isWarmUp: false)
      }
      journal.hasMore = !progress.reachedEnd
      journal.problem = ""
      if progress.lines > 0 {
        journal.lastLineAt = MonotonicTime.now()
        isDirty = true
      }
    } catch {
      journal.hasMore = false
      if journal.problem != "\(error)" { report(.warning("\(error)")) }
      journal.problem = "\(error)"
    }
  }

  private func process(_ record: borrowing JournalRecord, _ lane: Lane, isWarmUp: Bool) {
    // An entry has no byte offset; its time in microseconds finds it again.
    let ordinal = UInt64(clamping: record.time.nanoseconds / 1000)
    pipeline.process(journal: JournalEntry(copy record), ordinal: ordinal, lane, isWarmUp: isWarmUp) { decision in
      if !isWarmUp { decided(decision) }
    }
  }

  private func decided(_ decision: Decision) {
    pending.append(decision)
    let named = pipeline.targets
    if named != ResponseTargets() { targets[PlannedDecision(decision)] = named }
  }
  /// Of decisions that are not planned yet.
  private var targets: [PlannedDecision: ResponseTargets] = [:]  // only looked up
  private struct PlannedDecision: Hashable {
    let id: String
    let revision: Int
    init(_ decision: Decision) { (id, revision) = (decision.id, decision.revision) }
  }

  // MARK: Storing and showing

  /// Of the state in the store.
  public static let baselineKey = "baseline"
  /// A baseline that was led into the future by a wrong clock, and stored there, comes back to the present.
  private static func present(_ snapshot: [UInt8]) throws -> [UInt8] {
    let now = EventTime(seconds: Int64(time(nil)))
    var baseline = try Baseline(snapshot: snapshot)
    guard baseline.newest > now + .days(1) else { return snapshot }
    baseline.goBack(from: baseline.newest, to: now)
    return baseline.snapshot()
  }
  public static let networkMemoryKey = "network memory"

  /// Decisions and the places of their lines, in one transaction; then they are shown.
  private func commit(isLast: Bool = false) {
    responder.plan(pending[plannedCount...]) { targets[PlannedDecision($0)] ?? ResponseTargets() }
    targets.removeAll(keepingCapacity: true)
    plannedCount = pending.count
    var batch = CommitBatch(decisions: pending)
    batch.response = responder.batch()
    // In the same transaction as the places: what comes behind them is learned when it is read again.
    let stored = memories.indices.filter { isLast || memories[$0].isDue }
    for i in stored { batch.response.state.append((memories[i].key, memories[i].bytes())) }
    for file in files {
      guard let checkpoint = file.tail.checkpoint else { continue }
      let lines = file.lane.lines - file.acknowledgedLines
      let value = String(decoding: checkpoint.json, as: UTF8.self)
      guard lines > 0 || value != file.lastNotice else { continue }
      file.lastNotice = value
      batch.checkpoints.append(CheckpointUpdate(source: SourceName.file(file.tail.path), value: value, lines: Int64(clamping: lines)))
    }
    // The place where reading began counts too: what comes behind it is not missed.
    if let journal, let cursor = journal.source.cursor, journal.lane.lines > journal.acknowledgedEntries || known[SourceName.journal] == nil {
      let entries = journal.lane.lines - journal.acknowledgedEntries
      batch.checkpoints.append(CheckpointUpdate(source: SourceName.journal, value: cursor, lines: Int64(clamping: entries)))
      known[SourceName.journal] = cursor
    }
    for (lane, asOf) in silences {
      batch.checkpoints.append(CheckpointUpdate(source: SourceName.silence(lane.name), value: "\(asOf.nanoseconds)", lines: 0))
    }
    // Before the decisions: of what they were made from, nothing is missing then, whenever the engine is killed.
    recorder?.segment.flush()
    do throws(StorageError) {
      let result = try store.commit(batch)
      if let recovery = result.recovery { report(.warning("\(recovery)")) }
      responder.stored(isNewStore: result.recovery != nil)
      if !pending.isEmpty, let segment = recorder?.segment {
        let sequence = try store.lastSequence()
        segment.append { $0.mark(sequence: sequence) }
      }
    } catch {
      commitFailures += 1
      if storeProblem == nil { report(.warning("\(error); reading waits until it works")) }
      storeProblem = "\(error)"
      storeRetryAt = MonotonicTime.now() + Agent.storeRetryNanoseconds
      for file in files { file.lastNotice = "" }
      if journal?.acknowledgedEntries == 0 { known[SourceName.journal] = nil }
      return
    }
    storeProblem = nil
    for i in stored { memories[i].didStore() }
    silences.removeAll()
    lastCommit = MonotonicTime.now()
    isDirty = false
    for file in files { file.acknowledgedLines = file.lane.lines }
    if let journal { journal.acknowledgedEntries = journal.lane.lines }
    // First of all: whoever attacks does not wait.
    responder.carryOut()
    for decision in pending { show(decision) }
    pending.removeAll(keepingCapacity: true)
    plannedCount = 0
  }

  private func show(_ decision: Decision) {
    report(.decision(decision))
    jsonLog?.append(DecisionJSON.line(decision))
    if let eventLog { do { eventLog.file.append(try eventLog.writer.line(decision)) } catch { unsignedEvents += 1 } }
    if let syslog { _ = syslog.send(RFC5424.message(decision, hostname: HostName.current, procid: "\(getpid())")) }
  }

  private func reportNotice(_ notice: FileNotice, _ file: FileSource) {
    switch notice {
    case .opened, .recovered: report(.note("\(notice)"))
    default: report(.warning("\(notice)"))
    }
  }

  private func reportSources() {
    for file in files where !isCovered(file) {
      let problem = SourceDiscovery.problem(reading: file.tail.path)
      let isThere = access(file.tail.path, F_OK) == 0
      if let problem, isThere {
        report(.note("not reading \(file.tail.path): \(problem)"))
      } else if problem == nil {
        report(.note("reading \(file.tail.path)"))
      } else if !isDefaultDiscovery {
        report(.note("waiting for \(file.tail.path): it does not exist yet"))
      }
    }
    if !isDefaultDiscovery {
      for setting in settings where !files.contains(where: { Agent.matches($0.tail.path, setting.pattern) }) {
        report(.note("no file matches \(setting.pattern) yet"))
      }
    }
    if journal != nil { report(.note("reading the journal")) }
    if capture != nil { report(.note("reading the network, as panguard-capture tells it")) }
    for source in notRead { report(.note("not reading \(source.name): \(source.reason)")) }
  }
  /// Nothing to read at all: no source is configured, or this host has none of the usual logs.
  public var hasNoSources: Bool { journal == nil && capture == nil && (isDefaultDiscovery ? nothingExists : settings.isEmpty) }

  // MARK: Helpers of the loop

  private func listen(_ descriptor: Int32, _ wake: Wake, _ events: UInt32 = EPOLLIN.rawValue) {
    guard descriptor >= 0 else { return }
    var event = epoll_event(events: events, data: epoll_data_t(u64: wake.rawValue))
    epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event)
  }

  /// Ends the loop as SIGTERM does.
  public func stop() { isStopping = true }

  /// Lets SIGINT, SIGTERM and SIGHUP wait until the loop takes them, so that they end also a start in order. To be called first, and
  /// before any thread is started.
  public static func holdSignals() {
    var set = heldSignals
    sigprocmask(SIG_BLOCK, &set, nil)
  }
  private static var heldSignals: sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&set, signal) }
    return set
  }
  /// SIGINT and SIGTERM end the loop, SIGHUP reopens the JSON log and reloads; all arrive as reads.
  private static func signalDescriptor() -> Int32 {
    holdSignals()
    var set = heldSignals
    return signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
  }

  private func wallClock() -> EventTime { EventTime(seconds: Int64(time(nil))) }

  // MARK: Status

  /// Decisions that whoever shows them could not show; they are stored all the same.
  public var unshownDecisions: () -> UInt64 = { 0 }

  public func status() -> AgentStatus {
    var s = AgentStatus()
    s.pid = Int64(getpid())
    s.uptimeSeconds = UInt64(max(0, MonotonicTime.now() - startedAt)) / 1_000_000_000
    for file in files {
      // Places that are only looked at in case a log comes are no sources yet.
      if isDefaultDiscovery, file.tail.openPath == nil, file.lane.lines == 0, access(file.tail.path, F_OK) != 0 { continue }
      if file.isCovered {
        let reason = "\(file.repeats ?? "") has the same messages"
        s.sources.append(SourceStatus(name: file.tail.path, kind: "file", state: "not read", reason: reason))
        continue
      }
      var source = SourceStatus(
        name: file.tail.path, kind: "file", state: file.tail.problem == nil ? "reading" : "waiting", reason: file.tail.problem?.description ?? "")
      fill(&source, file.lane)
      source.lagBytes = file.tail.lagBytes
      s.sources.append(source)
    }
    if let journal {
      var source = SourceStatus(name: SourceName.journal, kind: "journal", state: "reading", reason: journal.problem)
      fill(&source, journal.lane)
      s.sources.append(source)
    }
    if let capture { s.sources += capture.sources }
    s.sources += notRead
    let skipped = rules.set.rules.filter { if case .skipped = $0.detection { true } else { false } }.count
    s.rulesLoaded = UInt64(rules.set.rules.count - skipped)
    s.rulesSkipped = UInt64(skipped)
    s.rulesRefused = UInt64(rules.set.refusedCount)
    s.ruleSetHash = rules.hash
    s.configurationHash = configuration.hash
    let counters = pipeline.detector.counters
    s.counters = [
      ("events", counters.events), ("attempts", counters.attempts), ("matches", counters.matches), ("decisions", counters.decisions),
      ("repeats joined to an incident", counters.suppressedRepeats), ("events that name no sure address", counters.ambiguousEvents),
      ("network findings", pipeline.detector.networkCounters.findings), ("decisions sent to syslog", syslog?.sentCount ?? 0),
    ]
    s.drops = pipeline.drops + sourceDrops
    if let capture {
      s.counters += capture.counters
      s.drops += capture.drops
    }
    s.drops.append(("decisions not shown: the reader of the output is too slow", unshownDecisions()))
    s.drops.append(("rules that gave up on an event, beyond those reported", unreportedUndecided))
    s.record = recordStatus
    s.drops.append(("records of the input that were not written", s.record.lostRecords))
    s.eventsPerSecond = eventsPerSecond
    s.residentBytes = SelfMetrics.residentBytes()
    s.peakResidentBytes = SelfMetrics.peakResidentBytes()
    s.cpuMilliseconds = SelfMetrics.cpuMicroseconds() / 1000
    s.storePath = store.path
    s.storeProblem = storeProblem ?? ""
    s.processes = hooks.processes()
    s.mode = responder.mode.rawValue
    s.response = responder.status()
    return s
  }

  private func fill(_ source: inout SourceStatus, _ lane: Lane) {
    source.lines = lane.lines
    source.parsed = lane.outcomes.parsed
    source.headerOnly = lane.outcomes.headerOnly
    source.unparsed = lane.outcomes.unparsed
    if lane.newest > .distantPast { source.newestEvent = "\(lane.newest)" }
  }

  private var sourceDrops: [(cause: String, count: UInt64)] {
    var total = FileTailCounters()
    for file in files {
      let c = file.tail.counters
      total.cutLines += c.cutLines
      total.truncations += c.truncations
      total.truncationsWithoutCopy += c.truncationsWithoutCopy
      total.knownLostBytes += c.knownLostBytes
      total.placesLost += c.placesLost
      total.damagedFiles += c.damagedFiles
    }
    var badTimes: UInt64 = 0
    var cutEvents: UInt64 = 0
    var vouchersEvicted: UInt64 = 0
    for lane in files.map(\.lane) + [journal?.lane].compactMap({ $0 }) {
      badTimes += lane.parser.counters.badTime
      cutEvents += lane.parser.counters.truncated
      vouchersEvicted += lane.parser.counters.vouchersEvicted
    }
    return [
      ("events with a field cut at its limit", cutEvents), ("stamps that could not be read", badTimes),
      ("processes vouched for and forgotten early", vouchersEvicted),
      ("directories and files without a watch (they are polled)", watcher.unwatched),
      ("lines cut at \(Limits.lineBytes) bytes", total.cutLines), ("files truncated", total.truncations),
      ("truncations that destroyed unread lines", total.truncationsWithoutCopy), ("bytes known to be lost by truncation", total.knownLostBytes),
      ("read positions lost", total.placesLost), ("damaged rotated files", total.damagedFiles),
      ("journal entries cut", journal?.source.counters.cutEntries ?? 0), ("journal entries unreadable", journal?.source.counters.unreadable ?? 0),
      ("journal positions lost", journal?.source.counters.cursorsLost ?? 0), ("log files beyond the limit", watcher.refusedFiles),
      ("inotify queue overflows (files were polled)", watcher.overflows), ("failed commits (tried again)", commitFailures),
      ("decisions not sent to syslog", syslog?.dropCount ?? 0), ("decisions not written to the JSON log", jsonLog?.failures ?? 0),
      ("decisions not written to the ATR event log", (eventLog?.file.failures ?? 0) + unsignedEvents),
      ("audit entries about responses left out", responder.auditsLeftOut),
      ("refused control requests", control.refusedRequests), ("control requests that nobody waited for", control.abandonedRequests),
    ]
  }
}

/// Names of sources in checkpoints and evidence.
public enum SourceName {
  public static let journal = "journal"
  /// Not a source: how far event time was taken to run while nothing was logged, in nanoseconds.
  static func silence(_ lane: String) -> String { "silence:\(lane)" }
  static func file(_ path: String) -> String { "file:\(path)" }
}
