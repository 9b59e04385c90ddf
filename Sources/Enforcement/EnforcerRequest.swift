// What may be asked of the enforcer, and what it answers: the closed table that engine, operator and enforcer share. Pure.
// What must stay true: a request can only name networks and spans of time. There is no request that widens what may be blocked, changes
// the protected set or the limits, reads a file, or reaches another firewall table; who speaks this protocol can do what is here, no more.
import Primitives

/// A network to block and for how long.
public struct Block: Hashable, Sendable {
  /// IPv4 with a prefix of 24...32, IPv6 with 48...64; others are refused one by one, not as a malformed request.
  public var network: CIDR
  /// From when the kernel takes it. 0 is refused: every block ends by itself.
  public var seconds: UInt32
  public init(_ network: CIDR, seconds: UInt32) {
    self.network = network
    self.seconds = seconds
  }
  /// One address: an IPv6 address stands for its /64, which is what one customer of a provider is given (RFC 6177).
  public init(address: IPAddress, seconds: UInt32) { self.init(Block.network(of: address), seconds: seconds) }
  public static func network(of address: IPAddress) -> CIDR { CIDR(address, prefixLength: address.isV4 ? 32 : 64) }
}

public enum EnforcerRequest: Equatable, Sendable {
  /// Blocks all of them in one transaction of the kernel, each for its time from now; who is blocked already is blocked for the new time.
  case block([Block])
  case unblock([CIDR])
  /// Empties the enforcer's own sets.
  case unblockAll
  case list
  /// What should be blocked, with the time that is left, as the engine's store has it. What is in the kernel and not here is removed and
  /// named; what is here and not in the kernel is blocked; where both differ in time, the request's time holds.
  case reconcile([Block])
  /// The engine lives. Answered with what happened since the last one.
  case heartbeat
  case status

  /// The number on the wire. Never reused.
  public enum Kind: UInt8, Sendable, CaseIterable {
    case block = 1
    case unblock, unblockAll, list, reconcile, heartbeat, status
  }
  public var kind: Kind {
    switch self {
    case .block: .block
    case .unblock: .unblock
    case .unblockAll: .unblockAll
    case .list: .list
    case .reconcile: .reconcile
    case .heartbeat: .heartbeat
    case .status: .status
    }
  }
}

/// Why an address may never be blocked.
public enum ProtectedKind: UInt8, Sendable, CaseIterable, CustomStringConvertible {
  case loopback = 1
  case linkLocal, multicast, unspecified, translation, ownAddress, gateway, resolver, adminSession, allowlist

  public var description: String {
    switch self {
    case .loopback: "a loopback address"
    case .linkLocal: "a link-local address"
    case .multicast: "a multicast or broadcast address"
    case .unspecified: "an unspecified address"
    case .translation: "an address that stands for IPv4 addresses"
    case .ownAddress: "an address of this host"
    case .gateway: "a default gateway"
    case .resolver: "a resolver"
    case .adminSession: "the peer of a live administration session"
    case .allowlist: "on the allowlist"
    }
  }
}

/// Why one network was not blocked.
public enum BlockRefusal: Hashable, Sendable, CustomStringConvertible {
  /// It is, contains, or lies in `by`.
  case protected(ProtectedKind, by: CIDR)
  case prefixTooWide, prefixTooNarrow
  case tooShort, tooLong
  case rateExceeded
  case tableFull
  /// What must be protected cannot be known (a list of the kernel failed, or is longer than can be held): nothing is blocked then.
  case protectionUnknown
  /// The kernel's answer, an errno.
  case kernel(Int32)

  /// For counters and logs.
  public var name: String {
    switch self {
    case .protected: "protected"
    case .prefixTooWide: "prefix-too-wide"
    case .prefixTooNarrow: "prefix-too-narrow"
    case .tooShort: "ttl-too-short"
    case .tooLong: "ttl-too-long"
    case .rateExceeded: "rate-exceeded"
    case .tableFull: "table-full"
    case .protectionUnknown: "protection-unknown"
    case .kernel: "kernel"
    }
  }
  public var description: String {
    switch self {
    case .protected(let kind, let network): "\(network) is \(kind)"
    case .prefixTooWide: "the network is wider than /24 (IPv4) or /48 (IPv6)"
    case .prefixTooNarrow: "an IPv6 network is blocked as /64 or wider"
    case .tooShort: "the time is below the configured minimum"
    case .tooLong: "the time is above the configured maximum"
    case .rateExceeded: "more blocks in this minute than configured"
    case .tableFull: "the table of blocks is full"
    case .protectionUnknown: "what must be protected is not known"
    case .kernel(let code): "the kernel refused (errno \(code))"
    }
  }
}

/// What became of one network of a `block` or `reconcile`, or of an `unblock`.
public enum BlockOutcome: Hashable, Sendable {
  case blocked
  /// Was blocked already; the new time holds.
  case refreshed
  case unblocked
  /// Was not blocked.
  case absent
  case refused(BlockRefusal)
}

/// A network that is blocked now, and for how much longer.
public struct ActiveBlock: Hashable, Sendable {
  public var network: CIDR
  public var remainingMilliseconds: UInt64
  public init(_ network: CIDR, remainingMilliseconds: UInt64) {
    self.network = network
    self.remainingMilliseconds = remainingMilliseconds
  }
}

/// What happened without being asked for.
public struct EnforcerNotice: Hashable, Sendable {
  public enum Kind: UInt8, Sendable, CaseIterable {
    /// A blocked network became protected, and was unblocked.
    case unblockedAsProtected = 1
    /// An element that nobody asked for was found in our sets, and removed.
    case strangerRemoved
    /// A block was missing from the kernel, or its time had been changed there; it was set again.
    case reasserted
    /// No heartbeat came for the configured time. `network` is 0.0.0.0/0.
    case heartbeatLost
    /// The table was missing or changed, and was made anew. `network` is 0.0.0.0/0.
    case tableRestored
  }
  public var kind: Kind
  public var network: CIDR
  /// For `unblockedAsProtected`.
  public var protected: ProtectedKind?
  public init(_ kind: Kind, _ network: CIDR = CIDR(IPAddress(v4: 0), prefixLength: 0), protected: ProtectedKind? = nil) {
    self.kind = kind
    self.network = network
    self.protected = protected
  }
}

public struct ReconcileReport: Equatable, Sendable {
  /// One for each entry of the request, in its order.
  public var outcomes: [BlockOutcome]
  /// What was blocked in the kernel and not in the request; it no longer is.
  public var strangers: [CIDR]
  public init(outcomes: [BlockOutcome] = [], strangers: [CIDR] = []) {
    self.outcomes = outcomes
    self.strangers = strangers
  }
}

/// Counters since the enforcer started; each is the wire's order too.
public struct EnforcerStatus: Equatable, Sendable {
  /// Blocks now.
  public var active: UInt64 = 0
  public var capacity: UInt64 = 0
  public var blocked: UInt64 = 0
  public var refreshed: UInt64 = 0
  public var unblocked: UInt64 = 0
  public var expired: UInt64 = 0
  public var refusedProtected: UInt64 = 0
  public var refusedPrefix: UInt64 = 0
  public var refusedTime: UInt64 = 0
  public var refusedRate: UInt64 = 0
  public var refusedFull: UInt64 = 0
  public var refusedProtectionUnknown: UInt64 = 0
  public var refusedByKernel: UInt64 = 0
  public var unblockedAsProtected: UInt64 = 0
  public var strangersRemoved: UInt64 = 0
  public var reasserted: UInt64 = 0
  public var tablesRestored: UInt64 = 0
  public var heartbeatsLost: UInt64 = 0
  public var noticesDropped: UInt64 = 0
  public var malformedFrames: UInt64 = 0
  public var peersRefused: UInt64 = 0
  public var connectionsRefused: UInt64 = 0
  public var peersTooSlow: UInt64 = 0
  /// What the kernel dropped for us.
  public var droppedPackets: UInt64 = 0
  public var droppedBytes: UInt64 = 0
  /// Protected addresses and networks now, the fixed ones not counted.
  public var protected: UInt64 = 0
  public var auditLinesDropped: UInt64 = 0
  /// Why nothing can be blocked; empty where it can.
  public var unavailable = ""
  /// What the operator should know, though it works; empty where there is nothing. On the wire only where it is not empty: without remarks a
  /// status is the same frame as before there were any.
  public var remarks = ""
  public init() {}

  /// Every counter with its name for people and metrics. The order is the wire's.
  static var counters: [(name: String, path: WritableKeyPath<EnforcerStatus, UInt64>)] {
    [
      ("active", \.active), ("capacity", \.capacity), ("blocked", \.blocked), ("refreshed", \.refreshed), ("unblocked", \.unblocked),
      ("expired", \.expired), ("refused_protected", \.refusedProtected), ("refused_prefix", \.refusedPrefix), ("refused_ttl", \.refusedTime),
      ("refused_rate", \.refusedRate), ("refused_full", \.refusedFull), ("refused_protection_unknown", \.refusedProtectionUnknown),
      ("refused_kernel", \.refusedByKernel), ("unblocked_as_protected", \.unblockedAsProtected), ("strangers_removed", \.strangersRemoved),
      ("reasserted", \.reasserted), ("tables_restored", \.tablesRestored), ("heartbeats_lost", \.heartbeatsLost),
      ("notices_dropped", \.noticesDropped), ("malformed_frames", \.malformedFrames), ("peers_refused", \.peersRefused),
      ("connections_refused", \.connectionsRefused), ("peers_too_slow", \.peersTooSlow), ("dropped_packets", \.droppedPackets),
      ("dropped_bytes", \.droppedBytes), ("protected", \.protected), ("audit_lines_dropped", \.auditLinesDropped),
    ]
  }
  public var named: [(name: String, value: UInt64)] { EnforcerStatus.counters.map { ($0.name, self[keyPath: $0.path]) } }
}

public enum EnforcerAnswer: Equatable, Sendable {
  /// One for each entry of a `block` or `unblock`, in its order.
  case outcomes([BlockOutcome])
  /// To `unblockAll`: how many were blocked.
  case unblockedAll(UInt64)
  /// To `list`: sorted by network.
  case blocks([ActiveBlock])
  case reconciled(ReconcileReport)
  /// To `heartbeat`: what happened since the last one, oldest first.
  case alive([EnforcerNotice])
  case status(EnforcerStatus)
  /// Nothing can be blocked here (no nftables, no capability), and why. The agent observes.
  case unavailable(String)

  /// The number on the wire; the highest bit tells answers from requests.
  public enum Kind: UInt8, Sendable, CaseIterable {
    case outcomes = 0x81
    case unblockedAll, blocks, reconciled, alive, status, unavailable
  }
  public var kind: Kind {
    switch self {
    case .outcomes: .outcomes
    case .unblockedAll: .unblockedAll
    case .blocks: .blocks
    case .reconciled: .reconciled
    case .alive: .alive
    case .status: .status
    case .unavailable: .unavailable
    }
  }
}
