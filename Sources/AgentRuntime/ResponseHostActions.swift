// What is done on the host itself: executables, processes, files, accounts and packets that are kept, through the responder, which decides for itself what it lets be
// done. Invariants: an action is settled by the responder's word, or by waiting too long; one that is asked for again, after a crash of either
// side, is asked for under the same key, and the responder does none twice; nothing that does not end by itself is done on trial.
import Export
import FrameProtocol
import Glibc
import HostActions
import Playbooks
import Primitives

/// Actions that the responder has not settled. At most `Limits.unansweredActions`, as the planner's.
final class HostActionRequests {
  fileprivate struct Waiting {
    let key: String
    let action: HostAction
    /// MonotonicTime.
    let since: Int64
    /// The link's generation that has taken it; 0: none.
    var acceptedBy: UInt64 = 0
  }
  let link: ResponderLink
  /// In the order in which they came.
  fileprivate var waiting: [Waiting] = []
  fileprivate var status: ResponderStatus?
  fileprivate var saidProblem = ""
  init(_ link: ResponderLink) { self.link = link }
}

extension ResponseAction {
  /// Something is another way afterwards, of this host or of who reaches it.
  var changesSomething: Bool {
    switch self {
    case .blockIP, .killProcess, .quarantineFile, .disableAccount: true
    default: false
    }
  }
  var isOfHost: Bool {
    switch self {
    case .killProcess, .quarantineFile, .disableAccount, .notify(.executable), .capturePackets: true
    default: false
    }
  }
}

extension Responder {
  private static let nobody = "no responder is set up (/etc/panguard/responder.yaml enables what may be done on this host)"

  func askHost(_ item: Work) {
    guard !host.waiting.contains(where: { $0.key == item.key }) else { return }
    if mode != .armed, item.action.changesSomething { return settle(item.key, .refused, "disarmed", "the agent observes now") }
    guard !host.link.isAbsent else { return settle(item.key, .failed, "not_enabled", Responder.nobody) }
    if window != nil, item.action.changesSomething {
      return settle(item.key, .refused, "trial", "the arming is not confirmed yet, and this would not end with it")
    }
    guard let action = hostAction(item) else { return settle(item.key, .failed, "too-large", "the decision does not fit a request to the responder") }
    host.waiting.append(HostActionRequests.Waiting(key: item.key, action: action, since: MonotonicTime.now()))
  }

  private func hostAction(_ item: Work) -> HostAction? {
    switch item.action {
    case .notify(.executable(let name, let arguments)):
      let input = DecisionJSON.line(item.decision) + [0x0a]
      return input.count <= Limits.hostActionInputBytes ? .run(ExecutableRun(name: name, arguments: arguments, input: input)) : nil
    case .killProcess(let process, let signal):
      return .kill(
        ProcessTarget(
          pid: process.pid, startTicks: process.startTicks, seenAt: process.seenAt > .distantPast ? max(0, process.seenAt.nanoseconds) : 0,
          signal: signal == .kill ? .kill : .terminate))
    case .quarantineFile(let path): return .quarantine(FileTarget(path: path))
    case .disableAccount(let name): return .disable(account: name)
    case .capturePackets(_, let seconds, let bytes):
      let span = Nanoseconds.seconds(Int64(seconds))
      return item.decision.packets(before: span, after: span, packets: Limits.playbookCutPackets, bytes: UInt64(bytes)).map { .cut($0) }
    default: return nil
    }
  }

  /// Hands over what the responder has not taken yet. What is in the way ends it: the rest waits.
  func handOverHostActions() {
    guard !host.waiting.isEmpty else { return }
    guard host.link.connect(now: MonotonicTime.now()) else {
      if host.link.isAbsent {
        for entry in host.waiting { settle(entry.key, .failed, "not_enabled", Responder.nobody) }
        host.waiting.removeAll()
      } else if host.saidProblem != host.link.problem {
        host.saidProblem = host.link.problem
        report(.warning("the responder does not answer (\(host.link.problem)): actions on this host wait for it"))
      }
      return
    }
    let generation = host.link.generation
    for entry in host.waiting where entry.acceptedBy != generation {
      guard let outcome = host.link.ask({ client throws(FrameClientError) in try client.perform(entry.key, entry.action) }) else { return }
      host.saidProblem = ""
      take(outcome, entry.key)
      if let i = host.waiting.firstIndex(where: { $0.key == entry.key }) { host.waiting[i].acceptedBy = generation }
    }
  }

  /// The agent observes from now on: what the responder has not taken yet is not done any more.
  func withdrawHostActions() {
    let withdrawn = host.waiting.filter { $0.acceptedBy == 0 && $0.action.kind != .run && $0.action.kind != .cut }
    host.waiting.removeAll { entry in withdrawn.contains { $0.key == entry.key } }
    for entry in withdrawn { settle(entry.key, .refused, "disarmed", "the agent observes now") }
  }

  private func take(_ outcome: HostActionOutcome, _ key: String) {
    guard outcome.state != .pending else { return }
    host.waiting.removeAll { $0.key == key }
    switch outcome.state {
    case .done, .undone:
      count(.host)
      settle(key, .done, "", outcome.detail)
    case .refused: settle(key, .refused, outcome.code, outcome.detail)
    case .failed, .unknown, .pending: settle(key, .failed, outcome.code, outcome.detail)
    }
  }

  /// Once a second or so: what came of them, and what nobody has taken in time.
  func tickHostActions() {
    let now = MonotonicTime.now()
    _ = host.link.connect(now: now)
    handOverHostActions()
    let generation = host.link.generation
    let keys = host.waiting.filter { $0.acceptedBy == generation }.prefix(Limits.askedHostActions).map(\.key)
    if !keys.isEmpty, let outcomes = host.link.ask({ client throws(FrameClientError) in try client.outcomes(keys) }) {
      for (key, outcome) in zip(keys, outcomes) { take(outcome, key) }
    }
    for entry in host.waiting where entry.acceptedBy != host.link.generation && now - entry.since >= Limits.hostActionPatience.count {
      host.waiting.removeAll { $0.key == entry.key }
      settle(entry.key, .failed, "too_late", "no responder took it in time (\(host.link.problem))")
    }
    host.status = host.link.ask { client throws(FrameClientError) in try client.status() }
  }

  // MARK: By the operator

  func undo(_ key: String) -> ControlOutcome {
    guard host.link.connect(now: MonotonicTime.now()),
      let records = host.link.ask({ client throws(FrameClientError) in try client.list() })
    else { return .refused("the responder does not answer: \(host.link.problem)") }
    let found = records.filter { $0.key.hasPrefix(key) }
    guard let record = found.first(where: { $0.key == key }) ?? found.first else {
      return .refused("no action '\(key)'; `panguard actions` lists them")
    }
    guard found.count == 1 || record.key == key else { return .refused("\(found.count) actions begin with '\(key)': give more digits") }
    let deadline = MonotonicTime.now() + Limits.frameCall.count
    guard var outcome = host.link.ask({ client throws(FrameClientError) in try client.undo(record.key) }) else {
      return .refused("the responder does not answer: \(host.link.problem)")
    }
    while outcome.state == .pending, MonotonicTime.now() < deadline {
      usleep(20_000)
      guard let next = host.link.ask({ client throws(FrameClientError) in try client.outcomes([record.key]) })?.first else { break }
      outcome = next
    }
    switch outcome.state {
    case .undone: return .done("taken back: \(record.text): \(outcome.detail)")
    case .pending: return .done("being taken back: \(record.text); `panguard actions` shows it")
    case .done: return .refused("not taken back: \(record.text); the responder's journal says why")
    case .refused, .failed, .unknown: return .refused("not taken back: \(record.text): \(outcome.detail)")
    }
  }

  var hostActionList: [UInt8] {
    let records = host.link.connect(now: MonotonicTime.now()) ? host.link.ask { client throws(FrameClientError) in try client.list() } : nil
    var json = JSONWriter()
    json.beginObject()
    json.key("responder")
    json.value(records == nil ? host.link.problem : "")
    json.key("actions")
    json.beginArray()
    for record in records ?? [] {
      json.beginObject()
      let texts = [
        ("key", record.key), ("action", record.text), ("state", record.outcome.state.word), ("reason", record.outcome.code),
        ("detail", record.outcome.detail),
      ]
      for (name, value) in texts {
        json.key(text: name)
        json.value(value)
      }
      json.key("time")
      json.value(EventTime(nanoseconds: record.time))
      json.key("can_undo")
      json.value(record.canUndo)
      json.endObject()
    }
    json.endArray()
    json.endObject()
    return json.out
  }

  // MARK: Status

  /// "ready; kill_process", or why nothing is done.
  var hostSentence: String {
    guard host.link.isOpen else { return host.link.problem }
    guard let status = host.status else { return "ready" }
    let kinds = HostAction.Kind.allCases.filter(status.isEnabled).map(\.word)
    return "ready; " + (kinds.isEmpty ? "nothing is enabled" : kinds.joined(separator: ", "))
  }
  var isHostTroubled: Bool { !host.link.isOpen && !host.link.isAbsent }
  var hostCounters: [(name: String, value: UInt64)] { [("actions that wait for the responder", UInt64(host.waiting.count))] }
}
