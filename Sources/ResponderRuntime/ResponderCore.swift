// What the responder does with a request: whether the action is enabled, was asked for before, fits the rate; then the action itself, and what
// became of it, on the disk before and after.
// What must stay true: nothing is done that is not enabled in the configuration; nothing is done twice under one key, in this life of the
// process or a later one; every action and every refusal is a line of the audit.
import Confinement
import Glibc
import HostActions
import Primitives
import TypedYAML

final class ResponderCore {
  private let configuration: ResponderConfiguration
  private let ledger: ActionLedger
  private let killing: ProcessKilling
  private let files: FileQuarantine
  private let audit: (String) -> Void
  private let notifier: Account?
  let runner = ChildRunner()
  private var counters = ResponderStatus()
  /// Executables that wait for their turn, the oldest first.
  private var waiting: [(key: String, run: ExecutableRun)] = []
  /// Changes of accounts: one at a time, because whether one is allowed depends on what became of the one before.
  private var accountJobs: [(key: String, job: AccountJob)] = []
  private var isChangingAccounts = false
  /// Cuts that wait for their turn, and for the end of their time (of the monotonic clock).
  private var waitingCuts: [(key: String, selection: PacketSelection, due: Int64)] = []
  private var isCutting = false
  private let evidence: EvidenceCuts
  private var lastSweep: Int64 = 0
  /// Files that could not be removed, as they were said last.
  private var saidFailures: [String] = []
  /// Being taken back now.
  private var undoing: Set<String> = []  // only looked up
  private var minute: (number: UInt64, actions: Int, runs: Int, cuts: Int) = (0, 0, 0, 0)

  private enum AccountJob {
    case disable(String)
    case enable([String])
  }

  /// `notifier`: whom executables run as; nil: there is no such user.
  init(
    _ configuration: ResponderConfiguration, ledger: ActionLedger, notifier: Account?, policy: KillPolicy? = nil, audit: @escaping (String) -> Void
  ) {
    (self.configuration, self.ledger, self.notifier, self.audit) = (configuration, ledger, notifier, audit)
    var policy = policy ?? KillPolicy(sessionLeaders: { Set(LoginSessions.all().map(\.leader)) })
    policy.spared = configuration.neverKill
    killing = ProcessKilling(policy: policy)
    files = FileQuarantine(
      directory: configuration.quarantineDirectory, spared: configuration.neverQuarantine + [configuration.stateDirectory])
    evidence = EvidenceCuts(configuration)
    evidence.sweepUnfinished()
    for kind in HostAction.Kind.allCases where configuration.enabled.contains(kind) { counters.enable(kind) }
    // What a crash left without its end: the host says whether it was done, where it can be taken back.
    for entry in ledger.newest(Limits.rememberedHostActions) where entry.outcome.code == "interrupted" && wasDone(entry) {
      var entry = entry
      entry.outcome = HostActionOutcome(.done, "", "it is done; the responder had ended meanwhile")
      try? ledger.put(entry)
    }
  }

  private func wasDone(_ entry: LedgerEntry) -> Bool {
    if entry.undo == ["file"] { return files.holds(entry.key) }
    if entry.undo == ["cut"] { return evidence.holds(entry.key) }
    return entry.undo.first == "account" && AccountFiles.read().files?.unlocking(entry.undo).isEmpty == false
  }

  // MARK: Requests

  func answer(_ request: HostActionRequest, from peer: String) -> HostActionAnswer {
    switch request {
    case .perform(let key, let action): .outcome(perform(key, action, peer))
    case .outcomes(let keys): .outcomes(keys.map(outcome))
    case .undo(let key): .outcome(undo(key, peer))
    case .list: .records(ledger.newest(Limits.listedHostActions).map(\.record))
    case .status: .status(status)
    }
  }

  var status: ResponderStatus {
    var status = counters
    status.running = UInt64(runner.count)
    status.waiting = UInt64(waiting.count + accountJobs.count + waitingCuts.count)
    (status.timedOut, status.outputBytesDropped) = (runner.timedOut, runner.droppedBytes)
    (status.remembered, status.forgotten) = (UInt64(ledger.count), ledger.forgotten)
    return status
  }
  func count(_ counter: WritableKeyPath<ResponderStatus, UInt64>) { counters[keyPath: counter] += 1 }
  func set(_ counter: WritableKeyPath<ResponderStatus, UInt64>, _ value: UInt64) { counters[keyPath: counter] = value }

  private func outcome(_ key: String) -> HostActionOutcome {
    if undoing.contains(key) { return HostActionOutcome(.pending, "", "it is being taken back") }
    return ledger[key]?.outcome ?? HostActionOutcome(.unknown, "unknown", "nothing was asked for under this key")
  }

  private func perform(_ key: String, _ action: HostAction, _ peer: String) -> HostActionOutcome {
    if ledger[key] != nil {
      count(\.repeated)
      return outcome(key)
    }
    func refuse(_ code: String, _ detail: String) -> HostActionOutcome {
      count(\.refused)
      audit("refused for \(peer): \(action.text): \(detail) (\(key))")
      return HostActionOutcome(.refused, code, detail)
    }
    guard configuration.enabled.contains(action.kind) else {
      let key = action.kind.configurationKey
      return refuse("not_enabled", "the responder's configuration does not enable it: set `\(key): true` and restart the responder")
    }
    if let reason = overRate(action.kind) { return refuse("rate", reason) }
    if case .run = action, waiting.count >= Limits.waitingExecutables {
      return refuse("busy", "\(Limits.waitingExecutables) executables wait already")
    }
    if case .cut = action, waitingCuts.count >= Limits.waitingCuts { return refuse("busy", "\(Limits.waitingCuts) cuts wait already") }
    let entry = LedgerEntry(
      key: key, time: ProcessKilling.now(CLOCK_REALTIME), text: action.text, outcome: HostActionOutcome(.pending),
      undo: action.kind == .quarantine ? ["file"] : action.kind == .cut ? ["cut"] : [])
    do throws(LedgerError) { try ledger.put(entry) } catch { return refuse("ledger", "\(error)") }
    audit("asked by \(peer): \(action.text) (\(key))")
    switch action {
    case .kill(let target): return finish(key, killing.kill(target) { audit("sending \($0) (\(key))") })
    case .quarantine(let target): return finish(key, files.quarantine(target, key: key))
    case .run(let run):
      waiting.append((key, run))
      startWaiting()
    case .disable(let account):
      accountJobs.append((key, .disable(account)))
      startWaiting()
    case .cut(let selection):
      waitingCuts.append((key, selection, ResponderCore.due(selection)))
      startWaiting()
    }
    return outcome(key)
  }

  /// By the minute: an action that changes something, an executable, a cut, each by itself: none keeps another out.
  private func overRate(_ kind: HostAction.Kind) -> String? {
    let now = UInt64(ProcessKilling.now(CLOCK_MONOTONIC)) / 60_000_000_000
    if now != minute.number { minute = (now, 0, 0, 0) }
    switch kind {
    case .run:
      guard minute.runs < Limits.executablesPerMinute else { return "\(Limits.executablesPerMinute) executables were started in this minute" }
      minute.runs += 1
    case .cut:
      guard minute.cuts < Limits.cutsPerMinute else { return "\(Limits.cutsPerMinute) cuts were asked for in this minute" }
      minute.cuts += 1
    case .kill, .quarantine, .disable:
      guard minute.actions < configuration.actionsPerMinute else { return "actions_per_minute is \(configuration.actionsPerMinute)" }
      minute.actions += 1
    }
    return nil
  }

  @discardableResult
  private func finish(_ key: String, _ outcome: HostActionOutcome) -> HostActionOutcome {
    guard var entry = ledger[key] else { return outcome }
    entry.outcome = outcome
    if outcome.state != .done, outcome.state != .pending { entry.undo = [] }
    switch outcome.state {
    case .done: count(\.done)
    case .refused: count(\.refused)
    case .failed: count(\.failed)
    case .undone: count(\.undone)
    case .pending, .unknown: break
    }
    audit("\(outcome.state.word): \(entry.text)\(outcome.detail.isEmpty ? "" : ": \(outcome.detail)") (\(key))")
    do throws(LedgerError) { try ledger.put(entry) } catch { audit("what became of \(key) cannot be kept: \(error)") }
    return outcome
  }

  // MARK: Taking back

  private func undo(_ key: String, _ peer: String) -> HostActionOutcome {
    guard let entry = ledger[key] else { return outcome(key) }
    if undoing.contains(key) || entry.outcome.state == .undone { return outcome(key) }
    guard entry.outcome.state == .done, !entry.undo.isEmpty else {
      return HostActionOutcome(.refused, "cannot_undo", "\(entry.text): \(entry.outcome.state.word), and cannot be taken back")
    }
    audit("taking back for \(peer): \(entry.text) (\(key))")
    let atOnce: HostActionOutcome? = entry.undo == ["file"] ? files.restore(key) : entry.undo == ["cut"] ? evidence.remove(key) : nil
    if let outcome = atOnce {
      guard outcome.state == .undone else {
        audit("not taken back: \(entry.text): \(outcome.detail) (\(key))")
        return outcome
      }
      return finish(key, outcome)
    }
    undoing.insert(key)
    accountJobs.append((key, .enable(entry.undo)))
    startWaiting()
    return outcome(key)
  }

  // MARK: Programs

  /// To be called after each wait.
  func turn() {
    let now = ProcessKilling.now(CLOCK_MONOTONIC)
    runner.turn(now: UInt64(now))
    startWaiting()
    guard configuration.enabled.contains(.cut), lastSweep == 0 || now - lastSweep >= 60_000_000_000 else { return }
    lastSweep = now
    _ = sweep(for: 0)
    finishMoved()
  }

  private func startWaiting() {
    while runner.count < Limits.runningExecutables, !waiting.isEmpty {
      let (key, run) = waiting.removeFirst()
      start(key, run)
    }
    startCut()
    while !isChangingAccounts, !accountJobs.isEmpty {
      let (key, job) = accountJobs.removeFirst()
      switch job {
      case .disable(let name): disable(key, name)
      case .enable(let undo): enable(key, undo)
      }
    }
  }

  // MARK: Packets

  /// When its time has passed, and the recording has been written: on the monotonic clock. Nobody can ask for a wait without end.
  private static func due(_ selection: PacketSelection) -> Int64 {
    let ahead = selection.until.subtractingReportingOverflow(ProcessKilling.now(CLOCK_REALTIME)).partialValue
    return ProcessKilling.now(CLOCK_MONOTONIC) + min(max(0, ahead), Limits.captureSeconds * 1_000_000_000) + 2_000_000_000
  }

  /// Files that are removed are no longer there to be taken back. Whether there is room then.
  private func sweep(for bytes: Int64) -> Bool {
    let room = evidence.makeRoom(for: bytes, now: ProcessKilling.now(CLOCK_REALTIME))
    for (key, reason) in room.removed { finish(key, HostActionOutcome(.undone, "", reason)) }
    // Once, not each minute.
    if room.failures != saidFailures { for failure in room.failures { audit("cannot be removed: \(failure)") } }
    saidFailures = room.failures
    return room.isEnough
  }

  /// What an operator moved away is his: its entry must not fill the ledger as one that can be taken back.
  private func finishMoved() {
    guard let kept = evidence.keys() else { return }
    for entry in ledger.newest(Limits.rememberedHostActions) where entry.outcome.state == .done && entry.undo == ["cut"] && !kept.contains(entry.key)
    {
      finish(entry.key, HostActionOutcome(.undone, "", "\(evidence.path(entry.key)) is no longer there"))
    }
  }

  /// Room is made for what there is, not for what was asked for at most; only then it has its name.
  private func finishCut(_ key: String, _ end: ChildEnd) {
    let hasRoom = evidence.unfinishedBytes(key, end).map { sweep(for: $0) } ?? true
    finish(key, evidence.outcome(key, end, hasRoom: hasRoom))
  }

  /// One at a time.
  private func startCut() {
    let now = ProcessKilling.now(CLOCK_MONOTONIC)
    guard !isCutting, let next = waitingCuts.firstIndex(where: { $0.due <= now }) else { return }
    let (key, selection, _) = waitingCuts.remove(at: next)
    guard Int64(clamping: selection.bytes) <= evidence.totalBytes else {
      finish(key, HostActionOutcome(.refused, "too_large", "evidence_size is \(evidence.totalBytes) bytes"))
      return
    }
    switch evidence.request(key, selection) {
    case .failure(let failure): finish(key, HostActionOutcome(.refused, failure.refusal.code, failure.refusal.detail))
    case .success(let request):
      isCutting = true
      let code = runner.start(request, now: UInt64(now)) { [unowned self] end in
        isCutting = false
        finishCut(key, end)
      }
      if let code {
        isCutting = false
        finish(key, HostActionOutcome(.failed, "kernel", "cannot be started: \(errorText(code))"))
      }
    }
  }

  private func start(_ key: String, _ run: ExecutableRun) {
    guard let notifier else {
      finish(key, HostActionOutcome(.refused, "no_user", "there is no user '\(configuration.executablesUser)' to run it as, or it is root"))
      return
    }
    switch Executables.open(run.name, in: configuration.executablesDirectory) {
    case .failure(let failure): finish(key, HostActionOutcome(.refused, failure.refusal.code, failure.refusal.detail))
    case .success(let program):
      let request = ChildProgramRequest(
        program: program, arguments: [run.name] + run.arguments, input: run.input, account: notifier.user == geteuid() ? nil : notifier,
        timeout: configuration.executablesTimeout)
      start(key, request) { end in
        HostActionOutcome(end.code == 0 && !end.timedOut ? .done : .failed, end.timedOut ? "timed_out" : end.code == 0 ? "" : "exit", end.text)
      }
    }
  }
  private func start(_ key: String, _ request: ChildProgramRequest, _ outcome: @escaping (ChildEnd) -> HostActionOutcome) {
    let code = runner.start(request, now: UInt64(ProcessKilling.now(CLOCK_MONOTONIC))) { [unowned self] end in
      finish(key, outcome(end))
    }
    if let code { finish(key, HostActionOutcome(.failed, "kernel", "cannot be started: \(errorText(code))")) }
  }

  // MARK: Accounts

  private static func today() -> Int { Int(ProcessKilling.now(CLOCK_REALTIME) / 86_400_000_000_000) }

  private func disable(_ key: String, _ name: String) {
    let (files, problem) = AccountFiles.read()
    guard let files else {
      finish(key, HostActionOutcome(.failed, "accounts", problem))
      return
    }
    let today = ResponderCore.today()
    if let refusal = files.refusal(name, spared: configuration.neverDisable, loggedIn: isLoggedIn, today: today) {
      finish(key, HostActionOutcome(.refused, refusal.code, refusal.detail))
      return
    }
    guard let (arguments, undo) = files.locking(name, today: today) else {
      finish(key, HostActionOutcome(.done, "", "'\(name)' was locked and expired already"))
      return
    }
    // How it was is on the disk before it is another way.
    if var entry = ledger[key] {
      entry.undo = undo
      do throws(LedgerError) { try ledger.put(entry) } catch {
        finish(key, HostActionOutcome(.refused, "ledger", "\(error)"))
        return
      }
    }
    changeAccount(arguments + ["--", name]) { [unowned self] failure in
      let done = HostActionOutcome(.done, "", "'\(name)' is locked; sessions and jobs of his go on")
      finish(key, failure.map { HostActionOutcome(.failed, "usermod", $0) } ?? done)
    }
  }

  private func enable(_ key: String, _ undo: [String]) {
    func done(_ outcome: HostActionOutcome) {
      undoing.remove(key)
      if outcome.state == .undone { finish(key, outcome) } else { audit("not taken back: \(outcome.detail) (\(key))") }
    }
    let (files, problem) = AccountFiles.read()
    guard let files, undo.count == 5 else { return done(HostActionOutcome(.failed, "accounts", problem)) }
    let arguments = files.unlocking(undo)
    guard !arguments.isEmpty else {
      return done(HostActionOutcome(.undone, "", "'\(undo[1])' is not as we left it: somebody else has changed it since"))
    }
    changeAccount(arguments + ["--", undo[1]]) { failure in
      done(failure.map { HostActionOutcome(.failed, "usermod", $0) } ?? HostActionOutcome(.undone, "", "'\(undo[1])' is as before"))
    }
  }

  private func isLoggedIn(_ user: AccountFiles.User) -> Bool {
    guard configuration.sparesLoggedIn else { return false }
    return LoginSessions.all().contains { $0.uid == user.uid } || LoginSessions.utmpUsers().contains(user.name)
  }

  /// usermod(8) with these arguments, as root with the one capability that replacing /etc/shadow takes. nil: it did it.
  private func changeAccount(_ arguments: [String], _ done: @escaping (String?) -> Void) {
    let program: Int32
    switch Executables.open("usermod", in: "/usr/sbin") {
    case .success(let descriptor): program = descriptor
    case .failure(let failure):
      // Where /usr/sbin is a link to it.
      guard case .success(let descriptor) = Executables.open("usermod", in: "/usr/bin") else { return done(failure.refusal.detail) }
      program = descriptor
    }
    isChangingAccounts = true
    let request = ChildProgramRequest(
      program: program, arguments: ["usermod"] + arguments, account: geteuid() == 0 ? nil : Account(name: "root", user: 0, group: 0),
      capabilities: [.changeOwner], timeout: .seconds(60), boundsProcesses: false)
    let code = runner.start(request, now: UInt64(ProcessKilling.now(CLOCK_MONOTONIC))) { [unowned self] end in
      isChangingAccounts = false
      done(end.code == 0 && !end.timedOut ? nil : "usermod: \(end.text)")
    }
    if let code {
      isChangingAccounts = false
      done("usermod cannot be started: \(errorText(code))")
    }
  }
}
