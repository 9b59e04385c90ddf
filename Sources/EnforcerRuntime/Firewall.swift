// The kernel's side of the blocks: our table is made, changed in transactions, and read back. I/O; what is sent is made in NFTablesMessages.
// What must stay true: a change is one transaction, so that no packet sees half of it; nothing outside our table is named; a host on which
// nothing was ever blocked has no table of ours: it is made with the first block.
import CNetlink
import Enforcement
import Glibc
import Primitives

/// nftables is not usable here; the text says why and what to do.
struct FirewallUnavailable: Error, Hashable, Sendable { var reason: String }

final class Firewall {
  private let socket: NetlinkSocket
  /// Lengths whose set and rule exist, in a fixed order.
  private var sets: [BlockSet]
  /// The table is there.
  private var isInstalled = false
  /// Of the kernel's rules after our last change; every change of any rules, whoever makes it, adds one.
  private var generation: UInt32 = 0
  /// Somebody else changed something between two of our changes, or one of ours was left half done; our table is to be looked at.
  private var isDoubtful = false

  /// The name of this boot in our table; empty where it is not known.
  private let marker: String
  /// The table has been ours in this boot: something was blocked.
  private(set) var isOfThisBoot = false

  /// Takes over the table of an earlier run, with what is blocked in it. `boot`: what no other boot of this machine is called.
  init(boot: String = "") throws(FirewallUnavailable) {
    marker = boot.isEmpty ? "" : NFTables.markerPrefix + boot
    do throws(NetlinkError) {
      // Room for a whole table in one transaction, replaced (three messages of 40 bytes an element).
      socket = try NetlinkSocket(protocol: NETLINK_NETFILTER, sendBytes: 16 << 20)
      sets = BlockSet.always
      generation = try currentGeneration()
      let shape = try readShape()
      guard shape.isThere else { return }
      isOfThisBoot = !marker.isEmpty && shape.markers.contains(marker)
      try takeOver(shape)
    } catch {
      throw FirewallUnavailable(reason: Firewall.explain(error))
    }
  }

  private func takeOver(_ shape: NFTables.Shape) throws(NetlinkError) {
    let present = shape.sets
    if shape.isForeign { return try remake(keeping: present) }
    sets = present.union(BlockSet.always).sorted()
    try begin()
  }

  /// Makes the table, or takes over what is there.
  private func begin() throws(NetlinkError) {
    do {
      try install()
    } catch {
      guard [EEXIST, EBUSY, EOPNOTSUPP, EINVAL].contains(error.code) else { throw error }
      // A table of our name that is built otherwise (another version, another hand) cannot be changed into ours.
      try remake(keeping: [])
    }
  }

  /// Deletes the table, with what others made in it, and makes it anew, with what was blocked in those sets that were as ours are.
  private func remake(keeping present: Set<BlockSet>) throws(NetlinkError) {
    let kept = try elements(of: present.sorted()).filter { $0.remainingMilliseconds > 0 }
    try deleteTable()
    sets = BlockSet.always
    try install()
    try apply(
      KernelChange(additions: kept.map { .init(network: $0.network, milliseconds: $0.remainingMilliseconds, isRefresh: false) }))
  }

  private static func explain(_ error: NetlinkError) -> String {
    switch error.code {
    case EPERM, EACCES: "nftables may not be changed: the enforcer needs CAP_NET_ADMIN (run it as its own service, or as root)"
    case EPROTONOSUPPORT, EAFNOSUPPORT, EOPNOTSUPP, EINVAL, ENOENT:
      "the kernel offers no nftables (\(error)); load the module nf_tables"
    default: "nftables failed: \(error)"
    }
  }

  // MARK: Changes

  /// In one transaction, or in several where the socket cannot hold it (then more is blocked first and less later).
  func apply(_ change: KernelChange) throws(NetlinkError) {
    if change.isEmpty || (!isInstalled && change.additions.isEmpty) { return }
    if !isInstalled { try begin() }
    // 40 bytes an element, up to three times.
    let limit = max(1024, (socket.sendLimit - 64 * 1024) / 160)
    var rest = change
    var added = 0
    while added + limit < change.additions.count {
      try applyOnce(KernelChange(additions: Array(change.additions[added..<added + limit])))
      added += limit
    }
    rest.additions.removeFirst(added)
    while rest.removals.count > limit {
      try applyOnce(KernelChange(removals: Array(rest.removals.prefix(limit))))
      rest.removals.removeFirst(limit)
    }
    try applyOnce(rest)
  }

  private func applyOnce(_ change: KernelChange) throws(NetlinkError) {
    var batch = NFTables.Batch(sequence: socket.nextSequence())
    var known = sets
    if change.emptiesAll { for set in known { NFTables.empty(set, into: &batch) } }
    let removals = Dictionary(grouping: change.removals, by: BlockSet.init(of:))
    let additions = Dictionary(grouping: change.additions, by: { BlockSet(of: $0.network) })
    for set in BlockSet.all {
      if let list = removals[set], known.contains(set) {
        // An element that has just ended cannot be deleted; so each is there first.
        NFTables.add(list.map { KernelChange.Addition(network: $0, milliseconds: 1000, isRefresh: false) }, to: set, into: &batch)
        NFTables.remove(list, from: set, into: &batch)
      }
      guard let list = additions[set] else { continue }
      if !known.contains(set) {
        NFTables.addLength(set, into: &batch)
        known.append(set)
      }
      NFTables.add(list.filter { !$0.isRefresh }, to: set, into: &batch)
      NFTables.replace(list.filter(\.isRefresh), in: set, into: &batch)
    }
    try commit(&batch, "nftables transaction")
    sets = known.sorted()
  }

  /// Makes what is missing of the table, and writes its chain anew.
  func install() throws(NetlinkError) {
    var batch = NFTables.Batch(sequence: socket.nextSequence())
    NFTables.install(sets, marker: marker, into: &batch)
    try commit(&batch, "making table inet \(NFTables.table)")
    isInstalled = true
  }

  /// The table with all blocks goes; true if there was one.
  @discardableResult
  func deleteTable() throws(NetlinkError) -> Bool {
    let (bytes, acknowledged) = NFTables.deleteTable(sequence: socket.nextSequence())
    do {
      try socket.transact("deleting table inet \(NFTables.table)", bytes, acknowledged: acknowledged)
      return true
    } catch {
      if error.code == ENOENT { return false }
      throw error
    }
  }

  private func commit(_ batch: inout NFTables.Batch, _ during: String) throws(NetlinkError) {
    let (bytes, acknowledged) = batch.finished()
    let before = generation
    do throws(NetlinkError) {
      try socket.transact(during, bytes, acknowledged: acknowledged)
      generation = try currentGeneration()
    } catch {
      isDoubtful = true
      throw error
    }
    if generation != before &+ 1 { isDoubtful = true }
  }

  // MARK: Questions

  /// What is blocked in the kernel now.
  func elements() throws(NetlinkError) -> [ActiveBlock] { isInstalled ? try elements(of: sets) : [] }
  private func elements(of sets: [BlockSet]) throws(NetlinkError) -> [ActiveBlock] {
    var all: [ActiveBlock] = []
    for set in sets {
      var list: [ActiveBlock] = []
      try socket.ask("listing \(set.name)", { NFTables.question(.elements(set), sequence: $0) }, begin: { list.removeAll(keepingCapacity: true) }) {
        NFTables.elements($0, of: set, into: &list)
      }
      all += list
    }
    return all
  }

  /// What there is of our table, and whether it is as we make it.
  private func readShape() throws(NetlinkError) -> NFTables.Shape {
    var shape = NFTables.Shape()
    for question in [NFTables.Question.sets, .chains, .counters] {
      do {
        let before = shape
        try socket.ask("reading the table", { NFTables.question(question, sequence: $0) }, begin: { shape = before }) { shape.add($0) }
      } catch {
        guard error.code == ENOENT else { throw error }
      }
    }
    return shape
  }

  /// Packets and bytes that were dropped since the table was made.
  func dropped() throws(NetlinkError) -> (packets: UInt64, bytes: UInt64) {
    var (packets, bytes): (UInt64, UInt64) = (0, 0)
    guard isInstalled else { return (packets, bytes) }
    try socket.ask("reading counters", { NFTables.question(.counters, sequence: $0) }, begin: { (packets, bytes) = (0, 0) }) {
      guard let counter = NFTables.counter($0) else { return }
      packets &+= counter.packets
      bytes &+= counter.bytes
    }
    return (packets, bytes)
  }

  private func currentGeneration() throws(NetlinkError) -> UInt32 {
    var number: UInt32 = 0
    try socket.ask("reading the generation", { NFTables.question(.generation, sequence: $0) }) {
      if let value = NFTables.generation($0) { number = value }
    }
    return number
  }
  /// Whether anybody else changed any rules since we last looked.
  func wasChangedByOthers() throws(NetlinkError) -> Bool {
    guard isInstalled else { return false }
    if isDoubtful { return true }
    return try currentGeneration() != generation
  }

  /// The next look finds it changed: something could not be put right.
  func lookAgain() { isDoubtful = true }

  /// After a change by others: the table is whole again and as we make it, empty where it had been removed. True if something of it was
  /// missing or otherwise. `isNeeded`: something is to be blocked; a table that was removed while nothing is stays removed.
  func repair(isNeeded: Bool) throws(NetlinkError) -> Bool {
    // From here on a change by others is a new one.
    generation = try currentGeneration()
    isDoubtful = false
    do throws(NetlinkError) {
      let shape = try readShape()
      if !shape.isThere, !isNeeded {
        sets = BlockSet.always
        isInstalled = false
        return false
      }
      let isWhole = shape.isWhole(sets)
      if shape.isForeign {
        try remake(keeping: shape.sets)
      } else {
        sets = shape.sets.union(sets).sorted()
        try begin()
      }
      return !isWhole
    } catch {
      isDoubtful = true
      throw error
    }
  }
}
