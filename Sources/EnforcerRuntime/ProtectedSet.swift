// What must never be blocked, and whether a network would hit it. Pure: the facts of the host come from HostFacts.
// What must stay true: a network that is, contains or lies in a protected one is found, whatever else is in the set; a question costs
// a logarithm of the set, because a hostile engine may ask 65,536 of them at once.
import Enforcement
import Primitives

public struct ProtectedSet: Sendable {
  /// The facts of this host that change while it runs; each list in any order, duplicates allowed.
  public struct Facts: Equatable, Sendable {
    public var ownAddresses: [IPAddress] = []
    public var gateways: [IPAddress] = []
    public var resolvers: [IPAddress] = []
    public var sessionPeers: [IPAddress] = []
    /// Why the lists may be incomplete; nil where they are whole. Nothing may be blocked on incomplete lists.
    public var unknown: String?
    public init() {}
    var lists: [(ProtectedKind, [IPAddress])] {
      [(.ownAddress, ownAddresses), (.gateway, gateways), (.resolver, resolvers), (.adminSession, sessionPeers)]
    }
    var isTooLong: Bool { lists.contains { $0.1.count > Limits.protectedAddresses } }
  }

  /// True on every host. Sources: RFC 6890 (special-purpose addresses), RFC 6052 and 8215 (IPv4 inside IPv6).
  static let fixed: [(ProtectedKind, CIDR)] = [
    (.unspecified, CIDR(IPAddress(v4: 0), prefixLength: 8)), (.loopback, CIDR(IPAddress(v4: 0x7f00_0000), prefixLength: 8)),
    (.linkLocal, CIDR(IPAddress(v4: 0xa9fe_0000), prefixLength: 16)), (.multicast, CIDR(IPAddress(v4: 0xe000_0000), prefixLength: 3)),
    (.unspecified, CIDR(IPAddress(v6High: 0, low: 0), prefixLength: 128)), (.loopback, CIDR(IPAddress(v6High: 0, low: 1), prefixLength: 128)),
    (.linkLocal, CIDR(IPAddress(v6High: 0xfe80 << 48, low: 0), prefixLength: 10)),
    (.multicast, CIDR(IPAddress(v6High: 0xff00 << 48, low: 0), prefixLength: 8)),
    // Every IPv4 address seen through a translator: one such /64 would be half the world.
    (.translation, CIDR(IPAddress(v6High: 0x0064_ff9b << 32, low: 0), prefixLength: 96)),
    (.translation, CIDR(IPAddress(v6High: 0x0064_ff9b_0001 << 16, low: 0), prefixLength: 48)),
  ]

  private struct Entry {
    var network: CIDR
    var kind: ProtectedKind
  }
  private let allowlist: [CIDR]
  public private(set) var facts: Facts
  /// Sorted by base, then by length; one entry for each network, the first kind of its list.
  private var entries: [Entry] = []
  private var kinds: [CIDR: ProtectedKind] = [:]
  /// Prefix lengths that occur, shortest first.
  private var lengthsV4: [Int] = []
  private var lengthsV6: [Int] = []

  public init(allowlist: [CIDR] = [], facts: Facts = Facts()) {
    self.allowlist = allowlist
    self.facts = facts
    index()
  }

  /// Without the fixed ones.
  public var count: Int { kinds.count - ProtectedSet.fixed.count }

  /// Whether anything changed.
  public mutating func update(_ new: Facts) -> Bool {
    guard new != facts else { return false }
    facts = new
    index()
    return true
  }

  /// The protected network that blocking `network` would hit; nil: none.
  public func conflict(with network: CIDR) -> (kind: ProtectedKind, network: CIDR)? {
    for length in network.base.isV4 ? lengthsV4 : lengthsV6 {
      guard length <= network.prefixLength else { break }
      let wider = CIDR(network.base, prefixLength: length)
      if let kind = kinds[wider] { return (kind, wider) }
    }
    // Protected networks inside it lie side by side from its base on.
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].network.base < network.base { low = middle + 1 } else { high = middle }
    }
    guard low < entries.count, network.contains(entries[low].network.base) else { return nil }
    return (entries[low].kind, entries[low].network)
  }

  private mutating func index() {
    kinds = [:]
    entries = []
    func add(_ kind: ProtectedKind, _ network: CIDR) {
      guard kinds[network] == nil else { return }
      kinds[network] = kind
      entries.append(Entry(network: network, kind: kind))
    }
    for (kind, network) in ProtectedSet.fixed { add(kind, network) }
    for (kind, addresses) in facts.lists {
      for address in addresses.prefix(Limits.protectedAddresses) { add(kind, CIDR(address, prefixLength: address.isV4 ? 32 : 128)) }
    }
    for network in allowlist.prefix(Limits.allowlistEntries) { add(.allowlist, network) }
    entries.sort { ($0.network.base, $0.network.prefixLength) < ($1.network.base, $1.network.prefixLength) }
    lengthsV4 = Set(entries.lazy.filter { $0.network.base.isV4 }.map(\.network.prefixLength)).sorted()
    lengthsV6 = Set(entries.lazy.filter { !$0.network.base.isV4 }.map(\.network.prefixLength)).sorted()
  }
}
