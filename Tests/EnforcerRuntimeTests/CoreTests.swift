// What the enforcer decides, as tables: time, rate, capacity, prefixes, refreshes, reconciling, and what the kernel refused.
import Enforcement
import Glibc
import PanguardTestKit
import Primitives
import Testing

@testable import EnforcerRuntime

@Suite("The enforcer's decisions")
struct CoreTests {
  static let second: UInt64 = 1_000_000_000
  static let start: UInt64 = 1000 * second

  private func core(_ change: (inout EnforcerPolicy) -> Void = { _ in }, allowlist: [CIDR] = []) -> EnforcerCore {
    var policy = EnforcerPolicy()
    change(&policy)
    return EnforcerCore(policy: policy, allowlist: allowlist, now: CoreTests.start)
  }
  @discardableResult
  private func ask(_ core: inout EnforcerCore, _ request: EnforcerRequest, at now: UInt64 = start, failure: Int32? = nil) -> EnforcerAnswer {
    core.finish(core.plan(request, now: now), failure: failure)
  }
  private func block(_ core: inout EnforcerCore, _ texts: String..., seconds: UInt32 = 60, at now: UInt64 = start) -> [BlockOutcome] {
    guard case .outcomes(let list) = ask(&core, .block(texts.map { Block(network($0), seconds: seconds) }), at: now) else { return [] }
    return list
  }

  private func overdue(_ core: inout EnforcerCore, _ now: UInt64) -> Bool { core.heartbeatIsOverdue(now: now) }
  private func protect(_ core: inout EnforcerCore, _ facts: ProtectedSet.Facts) -> [EnforcerNotice] { core.protect(facts) }

  static let refusals: [(String, UInt32, BlockOutcome)] = [
    ("203.0.113.5/32", 60, .blocked), ("203.0.113.0/24", 60, .blocked), ("2001:db8::/64", 60, .blocked), ("2001:db8::/48", 60, .blocked),
    ("203.0.112.0/23", 60, .refused(.prefixTooWide)), ("0.0.0.0/0", 60, .refused(.prefixTooWide)), ("::/0", 60, .refused(.prefixTooWide)),
    ("128.0.0.0/1", 60, .refused(.prefixTooWide)), ("2001:db8::/47", 60, .refused(.prefixTooWide)),
    ("2001:db8::1/128", 60, .refused(.prefixTooNarrow)), ("2001:db8::/65", 60, .refused(.prefixTooNarrow)),
    ("203.0.113.5/32", 0, .refused(.tooShort)), ("203.0.113.5/32", 9, .refused(.tooShort)), ("203.0.113.5/32", 10, .blocked),
    ("203.0.113.5/32", 604_800, .blocked), ("203.0.113.5/32", 604_801, .refused(.tooLong)), ("203.0.113.5/32", .max, .refused(.tooLong)),
    ("127.0.0.1/32", 60, .refused(.protected(.loopback, by: network("127.0.0.0/8")))),
    ("10.9.9.0/24", 60, .refused(.protected(.allowlist, by: network("10.9.9.9/32")))),
  ]
  @Test("each request has its outcome", arguments: refusals)
  func outcome(_ text: String, _ seconds: UInt32, _ expected: BlockOutcome) {
    var core = core(allowlist: [network("10.9.9.9/32")])
    #expect(block(&core, text, seconds: seconds) == [expected])
    #expect(core.table.count == (expected == .blocked ? 1 : 0))
    let refused = core.currentStatus.named.filter { $0.name.hasPrefix("refused") }.map(\.value).reduce(0, +)
    #expect(refused == (expected == .blocked ? 0 : 1))
  }

  @Test("every way to ask is checked alike")
  func reconcileIsChecked() {
    var core = core(allowlist: [network("10.0.0.0/8")])
    let blocks = [
      Block(network("10.1.1.1/32"), seconds: 60), Block(network("0.0.0.0/0"), seconds: 60), Block(network("203.0.113.5/32"), seconds: 0),
      Block(network("203.0.113.6/32"), seconds: .max), Block(network("203.0.113.7/32"), seconds: 3),
    ]
    let plan = core.plan(.reconcile(blocks), now: CoreTests.start)
    #expect(plan.change.additions.map(\.network) == [network("203.0.113.7/32")])
    #expect(
      core.finish(plan, failure: nil)
        == .reconciled(
          ReconcileReport(outcomes: [
            .refused(.protected(.allowlist, by: network("10.0.0.0/8"))), .refused(.prefixTooWide), .refused(.tooShort), .refused(.tooLong), .blocked,
          ])))
  }

  @Test("the rate holds for each minute, also when the clock stands still, jumps or turns back")
  func rate() {
    var core = core { $0.blocksPerMinute = 3 }
    #expect(block(&core, "203.0.113.1/32", "203.0.113.2/32", "203.0.113.3/32", "203.0.113.4/32").filter { $0 == .blocked }.count == 3)
    #expect(block(&core, "203.0.113.5/32") == [.refused(.rateExceeded)])
    #expect(block(&core, "203.0.113.5/32", at: CoreTests.start - 500 * CoreTests.second) == [.refused(.rateExceeded)])
    #expect(block(&core, "203.0.113.5/32", at: CoreTests.start + 20 * CoreTests.second) == [.blocked])
    #expect(block(&core, "203.0.113.6/32", at: CoreTests.start + 21 * CoreTests.second) == [.refused(.rateExceeded)])
    // A day of silence saves up one minute's worth.
    let later = CoreTests.start + 86_400 * CoreTests.second
    #expect(block(&core, "203.0.113.7/32", "203.0.113.8/32", "203.0.113.9/32", "203.0.113.10/32", at: later).last == .refused(.rateExceeded))
    #expect(core.currentStatus.refusedRate == 5)
  }

  @Test("what the store restores once after the start is not rated, later additions are")
  func restoring() {
    var core = core { $0.blocksPerMinute = 2 }
    let blocks = (1...50).map { Block(network("203.0.113.\($0)/32"), seconds: 100) }
    guard case .reconciled(let first) = ask(&core, .reconcile(blocks)) else { return #expect(Bool(false)) }
    #expect(first.outcomes.allSatisfy { $0 == .blocked })
    let more = (1...100).map { Block(network("203.0.113.\($0)/32"), seconds: 100) }
    guard case .reconciled(let second) = ask(&core, .reconcile(more)) else { return #expect(Bool(false)) }
    #expect(second.outcomes.filter { $0 == .refreshed }.count == 50)
    #expect(second.outcomes.filter { $0 == .blocked }.count == 2)
    #expect(second.outcomes.filter { $0 == .refused(.rateExceeded) }.count == 48)
  }

  @Test("a restoration in which everything was refused may be tried again; the first block ends it")
  func restoringAgain() {
    var core = core { $0.blocksPerMinute = 2 }
    let blocks = (1...50).map { Block(network("203.0.113.\($0)/32"), seconds: 100) }
    var facts = ProtectedSet.Facts()
    facts.unknown = "a file cannot be read"
    _ = protect(&core, facts)
    guard case .reconciled(let refused) = ask(&core, .reconcile(blocks)) else { return #expect(Bool(false)) }
    #expect(refused.outcomes.allSatisfy { $0 == .refused(.protectionUnknown) } && core.mayRestore)
    _ = protect(&core, ProtectedSet.Facts())
    guard case .reconciled(let first) = ask(&core, .reconcile(blocks)) else { return #expect(Bool(false)) }
    #expect(first.outcomes.allSatisfy { $0 == .blocked } && !core.mayRestore)
    var other = self.core()
    _ = block(&other, "203.0.113.1/32")
    #expect(!other.mayRestore)
    var empty = self.core()
    ask(&empty, .reconcile([]))
    #expect(!empty.mayRestore)
  }

  @Test("a new enforcer in the same boot restores nothing without the rate, and is no new minute")
  func anotherStart() {
    var core = core { $0.blocksPerMinute = 60 }
    core.continueBoot()
    let blocks = (1...50).map { Block(network("203.0.113.\($0)/32"), seconds: 100) }
    guard case .reconciled(let report) = ask(&core, .reconcile(blocks)) else { return #expect(Bool(false)) }
    #expect(report.outcomes.filter { $0 == .blocked }.count == 1)
    #expect(block(&core, "203.0.113.99/32") == [.refused(.rateExceeded)])
    #expect(block(&core, "203.0.113.99/32", at: CoreTests.start + CoreTests.second) == [.blocked])
    var slow = self.core { $0.blocksPerMinute = 5 }
    slow.continueBoot()
    #expect(block(&slow, "203.0.113.98/32", "203.0.113.99/32") == [.blocked, .refused(.rateExceeded)])
  }

  @Test("whether an address is blocked, by a block of any length")
  func covering() {
    var table = BlockTable(capacity: 9)
    table.set(network("203.0.113.8/29"), end: 5)
    table.set(network("2001:db8:7::/48"), end: 9)
    let cases: [(String, Bool)] = [
      ("203.0.113.8", true), ("203.0.113.15", true), ("203.0.113.16", false), ("2001:db8:7:ffff::1", true), ("2001:db8:8::1", false),
    ]
    for (text, expected) in cases { #expect(table.covers(address(text)) == expected, "\(text)") }
    #expect(table.expire(now: 5) == 1 && !table.covers(address("203.0.113.8")) && table.covers(address("2001:db8:7::1")))
    table.removeAll()
    #expect(!table.covers(address("2001:db8:7::1")) && table.count == 0)
  }

  @Test("a block ends by itself in our table too, and a new time replaces the old one")
  func time() {
    var core = core()
    #expect(block(&core, "203.0.113.1/32", seconds: 60) == [.blocked])
    #expect(block(&core, "203.0.113.1/32", seconds: 20, at: CoreTests.start + 10 * CoreTests.second) == [.refreshed])
    let listed = ask(&core, .list, at: CoreTests.start + 29 * CoreTests.second)
    #expect(listed == .blocks([ActiveBlock(network("203.0.113.1/32"), remainingMilliseconds: 1000)]))
    #expect(ask(&core, .list, at: CoreTests.start + 30 * CoreTests.second) == .blocks([]))
    #expect(block(&core, "203.0.113.1/32", at: CoreTests.start + 31 * CoreTests.second) == [.blocked])
    #expect(core.currentStatus.expired == 1)
  }

  @Test("the same network twice in one request: the last one holds, the kernel is told once")
  func doubles() {
    var core = core()
    let plan = core.plan(
      .block([Block(network("203.0.113.1/32"), seconds: 60), Block(network("203.0.113.1/32"), seconds: 90)]), now: CoreTests.start)
    #expect(plan.change.additions == [.init(network: network("203.0.113.1/32"), milliseconds: 90_000, isRefresh: false)])
    #expect(core.finish(plan, failure: nil) == .outcomes([.blocked, .refreshed]))
    #expect(core.table.end(of: network("203.0.113.1/32")) == CoreTests.start + 90 * CoreTests.second)
    #expect(
      ask(&core, .unblock([network("203.0.113.1/32"), network("203.0.113.1/32"), network("203.0.113.0/24")]))
        == .outcomes([.unblocked, .absent, .absent]))
  }

  @Test("the table has a size; refreshes still fit")
  func capacity() {
    var core = core { $0.capacity = 2 }
    #expect(
      block(&core, "203.0.113.1/32", "203.0.113.2/32", "203.0.113.1/32", "203.0.113.3/32")
        == [.blocked, .blocked, .refreshed, .refused(.tableFull)])
    #expect(block(&core, "203.0.113.2/32", "203.0.113.3/32") == [.refreshed, .refused(.tableFull)])
    // What a reconcile removes makes room for what it adds.
    let blocks = [Block(network("203.0.113.8/32"), seconds: 60), Block(network("203.0.113.9/32"), seconds: 60)]
    guard case .reconciled(let report) = ask(&core, .reconcile(blocks)) else { return #expect(Bool(false)) }
    #expect(report == ReconcileReport(outcomes: [.blocked, .blocked], strangers: [network("203.0.113.1/32"), network("203.0.113.2/32")]))
  }

  @Test("what the kernel refused is not in the table")
  func kernelRefuses() {
    var core = core()
    _ = block(&core, "203.0.113.9/32")
    let request = EnforcerRequest.block([Block(network("203.0.113.1/32"), seconds: 60), Block(network("127.0.0.1/32"), seconds: 60)])
    #expect(
      ask(&core, request, failure: EPERM)
        == .outcomes([.refused(.kernel(EPERM)), .refused(.protected(.loopback, by: network("127.0.0.0/8")))]))
    #expect(core.table.networks == [network("203.0.113.9/32")])
    #expect(ask(&core, .unblock([network("203.0.113.9/32")]), failure: EBUSY) == .outcomes([.refused(.kernel(EBUSY))]))
    #expect(core.table.count == 1)
    #expect(core.currentStatus.refusedByKernel == 2)
  }

  @Test("nothing is blocked while it is unknown what to protect")
  func unknown() {
    var core = core()
    var facts = ProtectedSet.Facts()
    facts.unknown = "routes cannot be read"
    #expect(protect(&core, facts).isEmpty)
    #expect(block(&core, "203.0.113.1/32") == [.refused(.protectionUnknown)])
    facts.unknown = nil
    facts.sessionPeers = (0...Limits.protectedAddresses).map { IPAddress(v4: 0x0b00_0000 + UInt32($0)) }
    #expect(protect(&core, facts).isEmpty)
    #expect(block(&core, "203.0.113.1/32") == [.refused(.protectionUnknown)])
    #expect(protect(&core, ProtectedSet.Facts()).isEmpty)
    #expect(block(&core, "203.0.113.1/32") == [.blocked])
  }

  @Test("who is blocked and becomes protected is let go, and the engine is told")
  func becomesProtected() {
    var core = core()
    _ = block(&core, "203.0.113.1/32", "203.0.113.0/24", "2001:db8::/64", "203.0.113.2/32")
    var facts = ProtectedSet.Facts()
    facts.gateways = [address("203.0.113.1")]
    facts.ownAddresses = [address("2001:db8::77")]
    let notices = core.protect(facts)
    #expect(
      notices == [
        EnforcerNotice(.unblockedAsProtected, network("203.0.113.0/24"), protected: .gateway),
        EnforcerNotice(.unblockedAsProtected, network("203.0.113.1/32"), protected: .gateway),
        EnforcerNotice(.unblockedAsProtected, network("2001:db8::/64"), protected: .ownAddress),
      ])
    core.removed(notices)
    #expect(core.table.networks == [network("203.0.113.2/32")])
    #expect(ask(&core, .heartbeat) == .alive(notices))
    #expect(ask(&core, .heartbeat) == .alive([]))
    #expect(core.currentStatus.unblockedAsProtected == 3)
  }

  @Test("at start: what is left in the kernel is taken over, what has no end or too late a one is not")
  func adopting() {
    var core = core { $0.capacity = 2 }
    let strangers = core.adopt(
      kernel: [
        ActiveBlock(network("203.0.113.4/32"), remainingMilliseconds: 1500), ActiveBlock(network("203.0.113.1/32"), remainingMilliseconds: 0),
        ActiveBlock(network("203.0.113.2/32"), remainingMilliseconds: 604_800_001),
        ActiveBlock(network("203.0.113.3/32"), remainingMilliseconds: 604_800_000),
        ActiveBlock(network("203.0.113.5/32"), remainingMilliseconds: 1500),
      ], now: CoreTests.start)
    #expect(strangers == [network("203.0.113.1/32"), network("203.0.113.2/32"), network("203.0.113.5/32")])
    #expect(core.table.networks == [network("203.0.113.3/32"), network("203.0.113.4/32")])
    #expect(core.currentStatus.strangersRemoved == 3)
  }

  @Test("store and kernel: kept, added, set again, removed")
  func reconciling() {
    var core = core()
    _ = block(&core, "203.0.113.1/32", "203.0.113.2/32", "203.0.113.3/32", seconds: 100)
    let plan = core.plan(
      .reconcile([
        Block(network("203.0.113.1/32"), seconds: 97), Block(network("203.0.113.2/32"), seconds: 50), Block(network("203.0.113.4/32"), seconds: 7),
      ]), now: CoreTests.start)
    #expect(plan.change.removals == [network("203.0.113.3/32")])
    #expect(
      plan.change.additions == [
        .init(network: network("203.0.113.2/32"), milliseconds: 50_000, isRefresh: true),
        .init(network: network("203.0.113.4/32"), milliseconds: 7000, isRefresh: false),
      ])
    let report = ReconcileReport(outcomes: [.refreshed, .refreshed, .blocked], strangers: [network("203.0.113.3/32")])
    #expect(core.finish(plan, failure: nil) == .reconciled(report))
  }

  @Test("what others did to our sets is undone")
  func comparing() {
    var core = core()
    _ = block(&core, "203.0.113.1/32", "203.0.113.2/32", "203.0.113.3/32", seconds: 100)
    let (change, notices) = core.compare(
      kernel: [
        ActiveBlock(network("203.0.113.1/32"), remainingMilliseconds: 98_000),
        ActiveBlock(network("203.0.113.2/32"), remainingMilliseconds: 9_000_000),
        ActiveBlock(network("192.0.2.1/32"), remainingMilliseconds: 1000),
      ], now: CoreTests.start)
    #expect(change.removals == [network("192.0.2.1/32")])
    #expect(change.additions.map(\.network) == [network("203.0.113.2/32"), network("203.0.113.3/32")])
    #expect(change.additions.map(\.isRefresh) == [true, false])
    core.compared(notices)
    #expect(core.currentStatus.reasserted == 2 && core.currentStatus.strangersRemoved == 1)
  }

  @Test("a silent engine is reported once each time")
  func heartbeat() {
    var core = core()
    #expect(!overdue(&core, CoreTests.start + 1000 * CoreTests.second))
    ask(&core, .heartbeat)
    #expect(!overdue(&core, CoreTests.start + 60 * CoreTests.second))
    #expect(overdue(&core, CoreTests.start + 61 * CoreTests.second))
    #expect(!overdue(&core, CoreTests.start + 62 * CoreTests.second))
    #expect(ask(&core, .heartbeat, at: CoreTests.start + 63 * CoreTests.second) == .alive([EnforcerNotice(.heartbeatLost)]))
    #expect(overdue(&core, CoreTests.start + 200 * CoreTests.second))
  }

  @Test("notices are bounded; the oldest go, and are counted")
  func notices() {
    var core = core { $0.blocksPerMinute = 100_000 }
    for i in 0..<300 {
      _ = block(&core, "203.0.\(i / 256).\(i % 256)/32")
    }
    var facts = ProtectedSet.Facts()
    facts.resolvers = (0..<300).map { address("203.0.\($0 / 256).\($0 % 256)") }
    core.removed(core.protect(facts))
    guard case .alive(let list) = ask(&core, .heartbeat) else { return #expect(Bool(false)) }
    #expect(list.count == Limits.enforcerNotices && core.currentStatus.noticesDropped == 44)
    #expect(list.last?.network == network("203.0.1.43/32"))
  }

  /// Promise P2: whatever is asked, in whatever order, nothing forbidden reaches the kernel.
  @Test("no sequence of requests gets past the checks", arguments: [UInt64(1), 2, 3])
  func hostile(_ seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var core = core({ $0.blocksPerMinute = 40 }, allowlist: [network("203.0.113.64/26")])
    var now = CoreTests.start
    var taken = 0
    var facts = ProtectedSet.Facts()
    facts.gateways = [address("203.0.113.1")]
    core.removed(core.protect(facts))
    // One reconcile may restore freely.
    ask(&core, .reconcile([]))
    for _ in 0..<2000 {
      now += UInt64(random.below(100)) * 1_000_000
      let blocks = (0..<random.below(6)).map { _ in
        Block(
          random.below(4) == 0
            ? CIDR(IPAddress(v6High: UInt64(random.below(4)) << 62, low: UInt64(random.below(2))), prefixLength: random.below(129))
            : CIDR(IPAddress(v4: 0xcb00_7100 | UInt32(random.below(256))), prefixLength: 20 + random.below(13)),
          seconds: [0, 1, 60, 604_800, 604_801, .max][random.below(6)])
      }
      let plan = core.plan(random.below(3) == 0 ? .reconcile(blocks) : .block(blocks), now: now)
      for addition in plan.change.additions {
        #expect(addition.milliseconds > 0 && addition.milliseconds <= 604_800_000)
        #expect(addition.network.base.isV4 ? (24...32).contains(addition.network.prefixLength) : (48...64).contains(addition.network.prefixLength))
        #expect(!addition.network.contains(address("203.0.113.1")))
        #expect(!network("203.0.113.64/26").contains(addition.network.base) && !addition.network.contains(address("203.0.113.64")))
        if !addition.isRefresh { taken += 1 }
      }
      _ = core.finish(plan, failure: nil)
    }
    let minutes = Int((now - CoreTests.start) / (60 * CoreTests.second)) + 2
    #expect(taken <= 40 * minutes)
  }
}
