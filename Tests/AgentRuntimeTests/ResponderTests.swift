// What is kept of blocks and given to the enforcer, when the enforcer refuses, clocks are set, operators and playbooks disagree, and sessions
// are old. The enforcer here is one that remembers what it is asked, in the real protocol over a socket pair.
import Detection
import Enforcement
import Export
import Glibc
import HostActions
import Playbooks
import Primitives
import Storage
import Synchronization
import Testing
import TypedYAML

@testable import AgentRuntime

/// Serves one connection after the other until the client closes.
private final class RecordingEnforcer: Sendable {
  struct State: Sendable {
    /// What is blocked, with the seconds of the last request.
    var kernel: [CIDR: UInt32] = [:]
    var refusal: BlockRefusal?
    var requests: [EnforcerRequest] = []
  }
  let state = Mutex(State())
  func connect(_ link: EnforcerLink) {
    var ends: [Int32] = [0, 0]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else {
      Issue.record("socketpair: \(errno)")
      return
    }
    link.adopt(ends[0])
    let end = ends[1]
    let thread = PThread { [self] in serve(end) }
    thread.start()
  }

  private func serve(_ descriptor: Int32) {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let n = read(descriptor, &buffer, buffer.count)
      guard n > 0 else { break }
      bytes += buffer[..<n]
      while case .value(let request, let id, let consumed) = bytes.withUnsafeBytes({ EnforcerRequest.decode($0) }) {
        bytes.removeFirst(consumed)
        let answer = answer(request).encoded(id: id)
        _ = write(descriptor, answer, answer.count)
      }
    }
    close(descriptor)
  }
  private func answer(_ request: EnforcerRequest) -> EnforcerAnswer {
    state.withLock { state in
      state.requests.append(request)
      func block(_ blocks: [Block]) -> [BlockOutcome] {
        blocks.map { block in
          if let refusal = state.refusal { return .refused(refusal) }
          return state.kernel.updateValue(block.seconds, forKey: block.network) == nil ? .blocked : .refreshed
        }
      }
      switch request {
      case .block(let blocks): return .outcomes(block(blocks))
      case .unblock(let networks): return .outcomes(networks.map { state.kernel.removeValue(forKey: $0) == nil ? .absent : .unblocked })
      case .unblockAll:
        defer { state.kernel.removeAll() }
        return .unblockedAll(UInt64(state.kernel.count))
      case .list: return .blocks(state.kernel.map { ActiveBlock($0.key, remainingMilliseconds: UInt64($0.value) * 1000) })
      case .reconcile(let blocks):
        let wanted = Set(blocks.map(\.network))
        let strangers = state.kernel.keys.filter { !wanted.contains($0) }
        for network in strangers { state.kernel[network] = nil }
        return .reconciled(ReconcileReport(outcomes: block(blocks), strangers: strangers))
      case .heartbeat: return .alive([])
      case .status: return .status(EnforcerStatus())
      }
    }
  }
  var kernel: [CIDR: UInt32] { state.withLock { $0.kernel } }
  func refuse(_ refusal: BlockRefusal?) { state.withLock { $0.refusal = refusal } }
}

private final class PThread {
  private let body: @Sendable () -> Void
  init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  func start() {
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      {
        Unmanaged<PThread>.fromOpaque($0!).takeRetainedValue().body()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    pthread_detach(thread)
  }
}

/// A responder with its store, on a host whose clocks are set by hand.
private final class Host {
  let directory: String
  let enforcer = RecordingEnforcer()
  var hostTime = EventTime(seconds: 1_800_000_000)
  var monotonic: Int64 = 5_000_000_000
  var responder: Responder!
  private var number = 0

  init() throws {
    var template = Array("/tmp/panguard-responder-XXXXXX".utf8CString)
    directory = mkdtemp(&template) == nil ? "" : template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    try start()
  }
  deinit {
    responder = nil
    for name in directoryNames(directory) ?? [] { unlink("\(directory)/\(name)") }
    rmdir(directory)
  }

  /// A new run over the same state.
  func start(connects: Bool = true) throws {
    responder = nil
    let link = EnforcerLink(path: nil)
    responder = try Responder(
      store: DecisionStore(directory: directory), playbooks: PlaybookSet(), configuration: Configuration(), link: link, uplink: UplinkLink(path: nil),
      host: ResponderLink(path: nil),
      clock: ResponseClock(hostTime: { [unowned self] in hostTime }, monotonic: { [unowned self] in monotonic }),
      audit: { _, _, _ in }, report: { _ in })
    if connects { connect() }
  }
  func connect() {
    enforcer.connect(responder.link)
    responder.tick(storeWorks: true)
  }
  func pass(_ seconds: Int64, clockMoves: Int64 = 0) {
    monotonic += seconds * 1_000_000_000
    hostTime = hostTime + .seconds(seconds + clockMoves)
    responder.askAgainAt = 0
    responder.tick(storeWorks: true)
  }

  static let decision: Decision? = {
    let path = "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/ExportTests/Golden/decisions.jsonl"
    guard case .success(let bytes) = readDocumentFile(path), let line = bytes.split(separator: 0x0a).first else { return nil }
    return try? DecisionJSON.decode(Array(line))
  }()
  /// As a playbook gives it out.
  func playbookBlocks(_ network: String, for ttl: Nanoseconds, age: Nanoseconds = .seconds(1)) throws {
    var decision = try #require(Self.decision)
    decision.time = hostTime - age
    number += 1
    responder.give("key\(number)", .blockIP(try #require(CIDR(network)), ttl: ttl), decision, playbook: "p", step: 1)
    responder.flush()
    responder.carryOut()
  }
  @discardableResult
  func ask(_ line: String) throws -> ControlOutcome {
    let request = try #require(ControlRequest(line), "\(line)")
    return try responder.answer(request, ControlPeer(uid: 0, pid: 1), storeProblem: nil).withUnsafeBytes { try ControlOutcome(json: $0) }
  }
  func seconds(_ network: String) -> UInt32? { CIDR(network).flatMap { enforcer.kernel[$0] } }
}

@Suite struct ResponderTests {
  @Test(arguments: [BlockRefusal.protectionUnknown, .kernel(2), .rateExceeded, .tableFull])
  func aBlockThatCannotBeMadeNowIsMadeLater(_ refusal: BlockRefusal) throws {
    let host = try Host()
    host.enforcer.refuse(refusal)
    try host.playbookBlocks("192.0.2.1", for: .hours(1))
    #expect(host.enforcer.kernel.isEmpty && host.responder.blocks.count == 1)
    host.pass(6)
    #expect(host.enforcer.kernel.isEmpty && host.responder.blocks.count == 1)
    host.enforcer.refuse(nil)
    host.pass(6)
    #expect(host.seconds("192.0.2.1") == 3588)
    // The same for one that was blocked, and could not be restored at once.
    host.enforcer.state.withLock { $0.kernel.removeAll() }
    host.enforcer.refuse(refusal)
    try host.start()
    #expect(host.enforcer.kernel.isEmpty && host.responder.blocks.count == 1)
    host.enforcer.refuse(nil)
    host.pass(6)
    #expect(host.seconds("192.0.2.1") == 3582)
  }

  /// What an earlier run left is not said to be blocked before the enforcer has said so.
  @Test func aStoredBlockIsHeldOnceTheEnforcerSaysSo() throws {
    let host = try Host()
    try host.ask("block 192.0.2.1 600")
    #expect(host.responder.status().activeBlocks == 1)
    try host.start(connects: false)
    #expect(host.responder.status().activeBlocks == 0 && host.responder.status().waitingBlocks == 1)
    host.connect()
    #expect(host.responder.status().activeBlocks == 1 && host.responder.status().waitingBlocks == 0)
  }

  @Test func whatIsProtectedIsForgotten() throws {
    let host = try Host()
    host.enforcer.refuse(.protected(.gateway, by: try #require(CIDR("192.0.2.1"))))
    try host.playbookBlocks("192.0.2.1", for: .hours(1))
    #expect(host.responder.blocks.isEmpty)
  }

  @Test func aClockThatIsSetMovesNoEnd() throws {
    let host = try Host()
    try host.ask("block 192.0.2.1 1800")
    host.pass(10, clockMoves: 7200)
    #expect(host.responder.blocks.count == 1)
    #expect(try host.ask("unblock 192.0.2.1").isDone && host.enforcer.kernel.isEmpty)

    try host.ask("block 192.0.2.2 600")
    host.pass(10, clockMoves: -86_400)
    host.enforcer.state.withLock { $0.kernel.removeAll() }
    host.connect()
    #expect(host.seconds("192.0.2.2") == 590)
    // And over a restart, with a clock that is a month behind.
    host.hostTime = host.hostTime - .days(30)
    try host.start()
    #expect(host.seconds("192.0.2.2") == 600)
    host.pass(601)
    #expect(host.responder.blocks.isEmpty && host.enforcer.kernel.isEmpty)
  }

  @Test func nobodyIsLetInSoonerByBeingBlockedAgain() throws {
    let host = try Host()
    try host.ask("block 192.0.2.1 604800")
    try host.playbookBlocks("192.0.2.1", for: .minutes(10))
    #expect(host.seconds("192.0.2.1") == 604_800 && host.responder.blocks.first?.value.key == "")
    #expect(host.responder.open.isEmpty)
    try host.playbookBlocks("192.0.2.2", for: .minutes(10))
    try host.playbookBlocks("192.0.2.2", for: .hours(1))
    #expect(host.seconds("192.0.2.2") == 3600)
    // An operator may shorten.
    try host.ask("block 192.0.2.1 60")
    #expect(host.seconds("192.0.2.1") == 60)
  }

  @Test func aTrialBoundsEverythingTheKernelHolds() throws {
    let host = try Host()
    try host.ask("block 192.0.2.1 3600")
    try host.ask("arm 60 audit:1")
    #expect(host.seconds("192.0.2.1") == 60)
    try host.ask("block 192.0.2.2 3600")
    try host.playbookBlocks("192.0.2.3", for: .hours(1))
    #expect(host.seconds("192.0.2.2") == 60 && host.seconds("192.0.2.3") == 60)
    // A clock that is set back does not lengthen it.
    host.pass(30, clockMoves: -3600)
    #expect(host.responder.mode == .armed)
    host.pass(31)
    #expect(host.responder.mode == .observe && host.enforcer.kernel.isEmpty && host.responder.blocks.isEmpty)
  }

  @Test func whoTakesATrialBackLiftsWhatItMade() throws {
    let host = try Host()
    try host.ask("block 192.0.2.1 3600")
    host.pass(2)
    try host.ask("arm 60 audit:1")
    host.pass(1)
    try host.playbookBlocks("192.0.2.3", for: .hours(1))
    #expect(try host.ask("disarm").isDone)
    #expect(host.seconds("192.0.2.3") == nil && host.seconds("192.0.2.1") == 3597)
  }

  @Test func aTrialIsConfirmedFromANewerSessionOnly() throws {
    let host = try Host()
    try host.ask("arm 60 audit:1")
    let armed = SessionIdentity.millisecondsSinceBoot
    #expect(try !host.ask("confirm audit:1 \(armed + 10_000)").isDone)
    let older = try host.ask("confirm audit:2 \(armed - 10_000)")
    #expect(!older.isDone && older.message.contains("older than the arming"))
    // Also after a restart.
    host.responder.finish()
    try host.start()
    #expect(try !host.ask("confirm audit:2 \(armed - 10_000)").isDone)
    #expect(try host.ask("confirm audit:2 \(armed + 10_000)").isDone)
    host.pass(61)
    #expect(host.responder.mode == .armed)
  }

  @Test func whatWaitsIsWithdrawnByDisarming() throws {
    let host = try Host()
    try host.start(connects: false)
    try host.ask("arm")
    try host.playbookBlocks("192.0.2.1", for: .hours(1))
    #expect(host.responder.blocks.count == 1)
    try host.ask("disarm")
    host.connect()
    #expect(host.responder.blocks.isEmpty && host.enforcer.kernel.isEmpty)
  }

  @Test func whatIsOverIsNotBlocked() throws {
    let host = try Host()
    try host.playbookBlocks("192.0.2.1", for: .minutes(10), age: .minutes(11))
    #expect(host.enforcer.kernel.isEmpty && host.responder.refusals["too_old"] == 1)
    try host.playbookBlocks("192.0.2.1", for: .minutes(10), age: .minutes(9))
    #expect(host.seconds("192.0.2.1") == 600)
    // Whoever agrees to it has seen how old it is.
    var decision = try #require(Host.decision)
    decision.time = host.hostTime - .days(3)
    host.responder.give(
      "agreed", .blockIP(try #require(CIDR("192.0.2.2")), ttl: .minutes(10)), decision, playbook: "p", step: 1, isAgreed: true)
    host.responder.carryOut()
    #expect(host.seconds("192.0.2.2") == 600)
  }

  @Test func whatTheKernelHoldsAndNobodyKnowsIsRemoved() throws {
    let host = try Host()
    let stranger = try #require(CIDR("192.0.2.9"))
    host.enforcer.state.withLock { $0.kernel[stranger] = 600_000 }
    try host.start()
    #expect(host.enforcer.kernel.isEmpty)
    // An observing agent that finds nothing asks for nothing that would make a table.
    host.enforcer.state.withLock { $0.requests = [] }
    try host.start()
    #expect(!host.enforcer.state.withLock { $0.requests.contains { $0.kind == .reconcile || $0.kind == .block } })
    host.enforcer.state.withLock { $0.kernel[stranger] = 600_000 }
    #expect(try host.ask("unblock 192.0.2.9").isDone && host.enforcer.kernel.isEmpty)
    #expect(try !host.ask("unblock 192.0.2.9").isDone)
  }

  @Test func aBlockByHandThatIsRefusedChangesNothing() throws {
    let host = try Host()
    try host.ask("block 192.0.2.1 600")
    host.enforcer.refuse(.rateExceeded)
    #expect(try !host.ask("block 192.0.2.1 60").isDone && !host.ask("block 192.0.2.2 60").isDone)
    host.enforcer.refuse(nil)
    #expect(host.responder.blocks.count == 1)
    try host.start()
    #expect(host.seconds("192.0.2.1") == 600)
  }
}
