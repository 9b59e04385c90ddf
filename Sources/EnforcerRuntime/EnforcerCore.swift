// What the enforcer decides: for each request, what the kernel is to be told and what the answer is. Pure, in the shape of a state machine:
// `plan` decides and changes nothing in the table of blocks, the shell tells the kernel, `finish` takes the kernel's word and answers.
// What must stay true: no plan contains a network that hits the protected set, is too wide, has no end, or exceeds rate or capacity, from
// whatever request it came; what the kernel refused is not in the table.
import Enforcement
import Primitives

/// What may be asked for, from the enforcer's own configuration. The engine cannot change it.
public struct EnforcerPolicy: Equatable, Sendable {
  /// Seconds.
  public var shortest: UInt32 = 10
  public var longest: UInt32 = 7 * 86_400
  public var blocksPerMinute = 1000
  public var capacity = Limits.enforcedBlocks
  /// nil: not watched.
  public var heartbeatTimeout: Nanoseconds? = .seconds(60)
  public init() {}
}

/// What the kernel is to do, in one transaction, removals first.
struct KernelChange: Equatable, Sendable {
  struct Addition: Equatable, Sendable {
    var network: CIDR
    var milliseconds: UInt64
    /// An element of this network may be there already.
    var isRefresh: Bool
  }
  var removals: [CIDR] = []
  var additions: [Addition] = []
  /// All sets are emptied first.
  var emptiesAll = false
  var isEmpty: Bool { removals.isEmpty && additions.isEmpty && !emptiesAll }
}

struct Plan: Sendable {
  var change = KernelChange()
  fileprivate var answer: Answer
  /// Index into `outcomes` of each addition; later ones for the same network replace it.
  fileprivate var planned: [(outcome: Int, network: CIDR, end: UInt64)] = []
  fileprivate var removedOutcomes: [Int] = []
  /// Networks of `planned` that were not blocked before.
  fileprivate var newcomers = 0
  fileprivate enum Answer {
    case outcomes([BlockOutcome])
    case unblockedAll
    case reconciled([BlockOutcome], strangers: [CIDR])
    case ready(EnforcerAnswer)
  }
}

struct EnforcerCore: Sendable {
  let policy: EnforcerPolicy
  private(set) var protected: ProtectedSet
  private(set) var table: BlockTable
  private(set) var status = EnforcerStatus()
  private var rate: RateLimit
  /// The next reconciliation may add without the rate: a reboot has emptied the kernel.
  private(set) var mayRestore = true
  private var notices: [EnforcerNotice] = []
  private var lastHeartbeat: UInt64?

  static let narrowest = (v4: 32, v6: 64)
  static let widest = (v4: 24, v6: 48)

  init(policy: EnforcerPolicy, allowlist: [CIDR], now: UInt64) {
    self.policy = policy
    protected = ProtectedSet(allowlist: allowlist)
    table = BlockTable(capacity: min(policy.capacity, Limits.enforcedBlocks))
    rate = RateLimit(perMinute: policy.blocksPerMinute, now: now)
    status.capacity = UInt64(table.capacity)
  }

  // MARK: Requests

  mutating func plan(_ request: EnforcerRequest, now: UInt64) -> Plan {
    status.expired += UInt64(table.expire(now: now))
    switch request {
    case .block(let blocks): return plan(blocks, now: now)
    case .unblock(let networks): return plan(unblock: networks)
    case .unblockAll:
      var plan = Plan(answer: .unblockedAll)
      plan.change.emptiesAll = true
      return plan
    case .list: return Plan(answer: .ready(.blocks(table.active(now: now))))
    case .reconcile(let blocks): return plan(reconcile: blocks, now: now)
    case .heartbeat:
      lastHeartbeat = now
      defer { notices = [] }
      return Plan(answer: .ready(.alive(notices)))
    case .status: return Plan(answer: .ready(.status(currentStatus)))
    }
  }

  /// The kernel did it, or did none of it and `failure` is its errno.
  mutating func finish(_ plan: Plan, failure: Int32?) -> EnforcerAnswer {
    switch plan.answer {
    case .ready(let answer): return answer
    case .unblockedAll:
      if let failure { return .unavailable("the kernel refused to empty the sets (errno \(failure))") }
      let count = table.count
      table.removeAll()
      status.unblocked += UInt64(count)
      return .unblockedAll(UInt64(count))
    case .outcomes(let outcomes): return .outcomes(settled(plan, outcomes, failure))
    case .reconciled(let outcomes, let strangers):
      let settled = settled(plan, outcomes, failure)
      guard failure == nil else { return .reconciled(ReconcileReport(outcomes: settled)) }
      status.strangersRemoved += UInt64(strangers.count)
      // Where everything was refused, nothing has been restored yet.
      if outcomes.isEmpty { mayRestore = false }
      return .reconciled(ReconcileReport(outcomes: settled, strangers: strangers))
    }
  }

  private mutating func settled(_ plan: Plan, _ planned: [BlockOutcome], _ failure: Int32?) -> [BlockOutcome] {
    var outcomes = planned
    if let failure {
      for entry in plan.planned { outcomes[entry.outcome] = .refused(.kernel(failure)) }
      for index in plan.removedOutcomes { outcomes[index] = .refused(.kernel(failure)) }
    } else {
      for network in plan.change.removals { table.remove(network) }
      for entry in plan.planned { table.set(entry.network, end: entry.end) }
      if !plan.planned.isEmpty { mayRestore = false }
    }
    for outcome in outcomes { count(outcome) }
    return outcomes
  }

  // MARK: Planning

  private mutating func plan(_ blocks: [Block], now: UInt64) -> Plan {
    var outcomes: [BlockOutcome] = []
    outcomes.reserveCapacity(blocks.count)
    var plan = Plan(answer: .outcomes([]))
    var places: [CIDR: Int] = [:]
    for block in blocks {
      let seconds = block.seconds
      let refusal =
        seconds < policy.shortest ? BlockRefusal.tooShort : seconds > policy.longest ? .tooLong : self.refusal(block.network)
      outcomes.append(
        refusal.map(BlockOutcome.refused) ?? admit(block, outcome: outcomes.count, isRated: true, into: &plan, &places, now: now))
    }
    plan.answer = .outcomes(outcomes)
    return plan
  }

  private mutating func plan(reconcile blocks: [Block], now: UInt64) -> Plan {
    var outcomes: [BlockOutcome] = []
    outcomes.reserveCapacity(blocks.count)
    var plan = Plan(answer: .reconciled([], strangers: []))
    var places: [CIDR: Int] = [:]
    let wanted = Set(blocks.lazy.map(\.network))
    let strangers = table.networks.filter { !wanted.contains($0) }
    plan.change.removals = strangers
    for block in blocks {
      let refusal = block.seconds == 0 ? BlockRefusal.tooShort : block.seconds > policy.longest ? .tooLong : refusal(block.network)
      if let refusal {
        outcomes.append(.refused(refusal))
      } else if let end = table.end(of: block.network), end.isWithin(Limits.timeoutDrift, of: now + UInt64(block.seconds) * 1_000_000_000) {
        outcomes.append(.refreshed)
      } else {
        let isRated = !mayRestore && !table.contains(block.network)
        outcomes.append(admit(block, outcome: outcomes.count, isRated: isRated, into: &plan, &places, now: now))
      }
    }
    plan.answer = .reconciled(outcomes, strangers: strangers)
    return plan
  }

  private mutating func plan(unblock networks: [CIDR]) -> Plan {
    var plan = Plan(answer: .outcomes([]))
    var outcomes: [BlockOutcome] = []
    var seen: Set<CIDR> = []
    for network in networks {
      guard table.contains(network), seen.insert(network).inserted else {
        outcomes.append(.absent)
        continue
      }
      plan.removedOutcomes.append(outcomes.count)
      outcomes.append(.unblocked)
      plan.change.removals.append(network)
    }
    plan.answer = .outcomes(outcomes)
    return plan
  }

  /// Why this network may not be blocked, whatever the time and the rate.
  private func refusal(_ network: CIDR) -> BlockRefusal? {
    let isV4 = network.base.isV4
    if network.prefixLength < (isV4 ? EnforcerCore.widest.v4 : EnforcerCore.widest.v6) { return .prefixTooWide }
    if let conflict = protected.conflict(with: network) { return .protected(conflict.kind, by: conflict.network) }
    if network.prefixLength > (isV4 ? EnforcerCore.narrowest.v4 : EnforcerCore.narrowest.v6) { return .prefixTooNarrow }
    if protected.facts.unknown != nil || protected.facts.isTooLong { return .protectionUnknown }
    return nil
  }

  private mutating func admit(
    _ block: Block, outcome: Int, isRated: Bool, into plan: inout Plan, _ places: inout [CIDR: Int], now: UInt64
  ) -> BlockOutcome {
    let isKnown = table.contains(block.network)
    let place = places[block.network]
    if !isKnown, place == nil, table.count - plan.change.removals.count + plan.newcomers >= table.capacity { return .refused(.tableFull) }
    if isRated, !rate.take(now: now) { return .refused(.rateExceeded) }
    let addition = KernelChange.Addition(network: block.network, milliseconds: UInt64(block.seconds) * 1000, isRefresh: isKnown)
    let end = now + UInt64(block.seconds) * 1_000_000_000
    plan.planned.append((outcome, block.network, end))
    guard let place else {
      places[block.network] = plan.change.additions.count
      plan.change.additions.append(addition)
      if !isKnown { plan.newcomers += 1 }
      return isKnown ? .refreshed : .blocked
    }
    plan.change.additions[place] = addition
    return .refreshed
  }

  private mutating func count(_ outcome: BlockOutcome) {
    switch outcome {
    case .blocked: status.blocked += 1
    case .refreshed: status.refreshed += 1
    case .unblocked: status.unblocked += 1
    case .absent: break
    case .refused(let refusal):
      switch refusal {
      case .protected: status.refusedProtected += 1
      case .prefixTooWide, .prefixTooNarrow: status.refusedPrefix += 1
      case .tooShort, .tooLong: status.refusedTime += 1
      case .rateExceeded: status.refusedRate += 1
      case .tableFull: status.refusedFull += 1
      case .protectionUnknown: status.refusedProtectionUnknown += 1
      case .kernel: status.refusedByKernel += 1
      }
    }
  }

  // MARK: What happens without a request

  /// The host changed. What is blocked and protected now is to be removed; call `removed` when it is.
  mutating func protect(_ facts: ProtectedSet.Facts) -> [EnforcerNotice] {
    protected.update(facts) ? conflicting : []
  }
  /// What is blocked although it is protected: after a change, and after the kernel's blocks were adopted.
  var conflicting: [EnforcerNotice] {
    table.networks.compactMap { network in
      protected.conflict(with: network).map { EnforcerNotice(.unblockedAsProtected, network, protected: $0.kind) }
    }
  }
  mutating func removed(_ list: [EnforcerNotice]) {
    for notice in list where table.remove(notice.network) { status.unblockedAsProtected += 1 }
    list.forEach { note($0) }
  }

  /// Compares the table with what the kernel holds. What the kernel has and nobody asked for goes; what is missing or has another time is
  /// set again.
  mutating func compare(kernel: [ActiveBlock], now: UInt64) -> (change: KernelChange, notices: [EnforcerNotice]) {
    status.expired += UInt64(table.expire(now: now))
    var change = KernelChange()
    var found: [CIDR: UInt64] = [:]
    for block in kernel { found[block.network] = now + block.remainingMilliseconds * 1_000_000 }
    var list: [EnforcerNotice] = []
    for network in found.keys.sorted(by: CIDR.precedes) where !table.contains(network) {
      change.removals.append(network)
      list.append(EnforcerNotice(.strangerRemoved, network))
    }
    for network in table.networks {
      guard let end = table.end(of: network), end > now + UInt64(Limits.timeoutDrift.count) else { continue }
      if let kernelEnd = found[network], kernelEnd.isWithin(Limits.timeoutDrift, of: end) { continue }
      change.additions.append(
        KernelChange.Addition(network: network, milliseconds: (end - now) / 1_000_000, isRefresh: found[network] != nil))
      list.append(EnforcerNotice(.reasserted, network))
    }
    return (change, list)
  }
  mutating func compared(_ list: [EnforcerNotice]) {
    for notice in list {
      if notice.kind == .strangerRemoved { status.strangersRemoved += 1 } else { status.reasserted += 1 }
      note(notice)
    }
  }

  /// At start: an earlier enforcer of this boot has blocked already. There is nothing to be restored without the rate, and a new enforcer is
  /// no new minute: an engine that ends its enforcer again and again would get a full one each time.
  mutating func continueBoot() {
    mayRestore = false
    rate.leaveOneSecond()
  }

  /// At start: what an earlier enforcer left in the kernel is taken over with the time that is left. Elements without an end, with one
  /// beyond the maximum, or of a length that is not ours, are strangers: they are returned, to be removed.
  mutating func adopt(kernel: [ActiveBlock], now: UInt64) -> [CIDR] {
    var strangers: [CIDR] = []
    for block in kernel.sorted(by: { CIDR.precedes($0.network, $1.network) }) {
      let isOurs = block.remainingMilliseconds > 0 && block.remainingMilliseconds <= UInt64(policy.longest) * 1000 && table.count < table.capacity
      if isOurs {
        table.set(block.network, end: now + block.remainingMilliseconds * 1_000_000)
      } else {
        strangers.append(block.network)
        status.strangersRemoved += 1
        note(EnforcerNotice(.strangerRemoved, block.network))
      }
    }
    return strangers
  }

  /// The table was gone from the kernel and was made anew, with everything in it.
  mutating func tableRestored() {
    status.tablesRestored += 1
    note(EnforcerNotice(.tableRestored))
  }

  /// True once for each time that the engine falls silent.
  mutating func heartbeatIsOverdue(now: UInt64) -> Bool {
    guard let timeout = policy.heartbeatTimeout, let last = lastHeartbeat, now > last, now - last > UInt64(clamping: timeout.count) else {
      return false
    }
    lastHeartbeat = nil
    status.heartbeatsLost += 1
    note(EnforcerNotice(.heartbeatLost))
    return true
  }

  mutating func count(_ counter: WritableKeyPath<EnforcerStatus, UInt64>, _ amount: UInt64 = 1) { status[keyPath: counter] &+= amount }
  mutating func set(_ counter: WritableKeyPath<EnforcerStatus, UInt64>, _ value: UInt64) { status[keyPath: counter] = value }

  var currentStatus: EnforcerStatus {
    var out = status
    out.active = UInt64(table.count)
    out.protected = UInt64(protected.count)
    return out
  }

  private mutating func note(_ notice: EnforcerNotice) {
    if notices.count >= Limits.enforcerNotices {
      notices.removeFirst()
      status.noticesDropped += 1
    }
    notices.append(notice)
  }
}

extension UInt64 {
  func isWithin(_ span: Nanoseconds, of other: UInt64) -> Bool { (self > other ? self - other : other - self) <= UInt64(clamping: span.count) }
}
