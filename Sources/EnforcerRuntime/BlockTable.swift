// The enforcer's own copy of what is blocked, with the moment each block ends: queries never ask the kernel. Pure; time is handed in.
import Enforcement
import Primitives

struct BlockTable: Sendable {
  /// Nanoseconds of the monotonic clock at which the kernel lets go.
  private var ends: [CIDR: UInt64] = [:]
  /// No block ends before this.
  private var earliest = UInt64.max
  /// Blocks of each prefix length, IPv4 and IPv6.
  private var lengths = [[Int](repeating: 0, count: 33), [Int](repeating: 0, count: 129)]
  let capacity: Int

  init(capacity: Int) { self.capacity = capacity }
  var count: Int { ends.count }

  func end(of network: CIDR) -> UInt64? { ends[network] }
  func contains(_ network: CIDR) -> Bool { ends[network] != nil }
  /// Whether a block of any length covers the address.
  func covers(_ address: IPAddress) -> Bool {
    let counts = lengths[address.isV4 ? 0 : 1]
    for length in counts.indices where counts[length] > 0 && ends[CIDR(address, prefixLength: length)] != nil { return true }
    return false
  }
  mutating func set(_ network: CIDR, end: UInt64) {
    if ends.updateValue(end, forKey: network) == nil { count(network, 1) }
    earliest = min(earliest, end)
  }
  @discardableResult
  mutating func remove(_ network: CIDR) -> Bool {
    guard ends.removeValue(forKey: network) != nil else { return false }
    count(network, -1)
    return true
  }
  private mutating func count(_ network: CIDR, _ change: Int) { lengths[network.base.isV4 ? 0 : 1][network.prefixLength] += change }
  mutating func removeAll() {
    self = BlockTable(capacity: capacity)
  }

  /// Forgets what has ended. Returns how many. Costs nothing before the first one ends, one walk through the table after.
  mutating func expire(now: UInt64) -> Int {
    guard now >= earliest else { return 0 }
    let before = ends.count
    var next = UInt64.max
    for (network, end) in ends {
      if end > now { next = min(next, end) } else { remove(network) }
    }
    earliest = next
    return before - ends.count
  }

  /// All networks, sorted: hash order never leaves this file.
  var networks: [CIDR] { ends.keys.sorted(by: CIDR.precedes) }
  func active(now: UInt64) -> [ActiveBlock] {
    networks.compactMap { network in
      guard let end = ends[network], end > now else { return nil }
      return ActiveBlock(network, remainingMilliseconds: (end - now + 999_999) / 1_000_000)
    }
  }
}

extension CIDR {
  static func precedes(_ a: CIDR, _ b: CIDR) -> Bool { (a.base, a.prefixLength) < (b.base, b.prefixLength) }
}

/// Blocks within a minute: a bucket that holds `perMinute` and fills evenly. Integer, and total for any clock.
struct RateLimit: Sendable {
  private static let minute: UInt64 = 60_000_000_000
  let perMinute: UInt64
  /// In nanoseconds of filling: one block costs a minute's worth of one.
  private var credit: UInt64
  private var last: UInt64

  init(perMinute: Int, now: UInt64) {
    self.perMinute = UInt64(max(1, perMinute))
    credit = self.perMinute * RateLimit.minute
    last = now
  }
  /// Takes all but what fills in within a second, and at least one.
  mutating func leaveOneSecond() { credit = min(credit, max(perMinute / 60, 1) * RateLimit.minute) }
  mutating func take(now: UInt64) -> Bool {
    if now > last {
      credit = min(perMinute * RateLimit.minute, credit + min(now - last, RateLimit.minute) * perMinute)
      last = now
    }
    guard credit >= RateLimit.minute else { return false }
    credit -= RateLimit.minute
    return true
  }
}
