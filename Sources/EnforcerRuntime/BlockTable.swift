// The enforcer's own copy of what is blocked, with the moment each block ends: queries never ask the kernel. Pure; time is handed in.
import Enforcement
import Primitives

struct BlockTable: Sendable {
  /// Nanoseconds of the monotonic clock at which the kernel lets go.
  private var ends: [CIDR: UInt64] = [:]
  /// No block ends before this.
  private var earliest = UInt64.max
  let capacity: Int

  init(capacity: Int) { self.capacity = capacity }
  var count: Int { ends.count }

  func end(of network: CIDR) -> UInt64? { ends[network] }
  func contains(_ network: CIDR) -> Bool { ends[network] != nil }
  mutating func set(_ network: CIDR, end: UInt64) {
    ends[network] = end
    earliest = min(earliest, end)
  }
  @discardableResult
  mutating func remove(_ network: CIDR) -> Bool { ends.removeValue(forKey: network) != nil }
  mutating func removeAll() {
    ends = [:]
    earliest = .max
  }

  /// Forgets what has ended. Returns how many. Costs nothing before the first one ends, one walk through the table after.
  mutating func expire(now: UInt64) -> Int {
    guard now >= earliest else { return 0 }
    let before = ends.count
    var next = UInt64.max
    ends = ends.filter {
      guard $0.value > now else { return false }
      next = min(next, $0.value)
      return true
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
