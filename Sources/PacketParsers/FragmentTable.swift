// Puts IPv4 and IPv6 datagrams together that came in pieces.
// Overlap policy, Linux's own since 4.19 (and RFC 5722 for IPv6): a datagram whose pieces overlap is given up whole, because every choice of
// bytes is wrong for some receiver; a piece that comes twice with the same bounds is taken once, the first time.
// What must stay true: at most `Limits.fragmentedDatagrams` datagrams and `Limits.fragmentBytes` bytes, the oldest goes first; which one goes
// depends on the order of the frames only.
import Primitives

public struct FragmentTable: ~Copyable {
  /// What became of datagrams that never became whole, and of those that did.
  public struct Counters: Sendable, Equatable {
    public var completed: UInt64 = 0
    /// Given up: pieces that overlap.
    public var overlapping: UInt64 = 0
    /// Given up: a length that cannot be, more than 65,535 bytes, too many pieces.
    public var invalid: UInt64 = 0
    /// Given up: a piece did not come in time, or before the end.
    public var expired: UInt64 = 0
    /// Given up: the table was full.
    public var evicted: UInt64 = 0
  }
  public private(set) var counters = Counters()
  public private(set) var bytes = 0
  public var count: Int { table.count }

  struct Key: TableKey {
    var a: UInt64
    var b: UInt64
    var c: UInt64
    var d: UInt64
    /// Identification, and the protocol for IPv4 (RFC 791); VLANs are separate networks.
    var rest: UInt64
  }
  struct Datagram {
    var first: Int64
    var data: [UInt8] = []
    /// Disjoint and in order.
    var pieces: [(start: Int, end: Int)] = []
    /// Known once the last piece is there.
    var total: Int?
    var isWhole: Bool { pieces.count == 1 && pieces[0].start == 0 && pieces[0].end == total }
  }
  private var table = BoundedTable<Key, Datagram>(capacity: Limits.fragmentedDatagrams)
  /// The last datagram that became whole: its bytes are handed out.
  private var whole: [UInt8] = []

  public init() {}

  /// Takes the piece that `packet` is. If it was the last that was missing, `body` sees the whole datagram, from behind the IP header on.
  public mutating func add(_ packet: Packet, at time: EventTime, _ body: (Bytes) -> Void) {
    guard let place = packet.fragment else { return }
    let now = time.nanoseconds
    expire(now)
    let key = Key(
      a: packet.source.high, b: packet.source.low, c: packet.destination.high, d: packet.destination.low,
      rest: UInt64(place.identification) | UInt64(packet.isIPv6 ? 0 : packet.ipProtocol) << 32 | UInt64(packet.vlan) << 40
        | (packet.isIPv6 ? 1 << 63 : 0))
    let piece = packet.payload
    // What was not captured cannot be put together.
    let isSound =
      place.offset + packet.payloadBytes <= 65_535 && (place.isLast || packet.payloadBytes & 7 == 0) && packet.payloadBytes == piece.count
      && !piece.isEmpty
    if !table.contains(key) {
      while let oldest = table.oldestEntry, table.count >= table.capacity || bytes + 65_536 > Limits.fragmentBytes {
        counters.evicted &+= 1
        remove(oldest.key)
      }
      table.update(key, make: { Datagram(first: now) }) { _ in }
    }
    let outcome = table.modify(key) { datagram -> Outcome in
      guard isSound else { return .invalid }
      return FragmentTable.insert(piece, place, into: &datagram)
    }
    switch outcome {
    case nil, .duplicate: break
    case .added(let grown):
      bytes += grown
      while bytes > Limits.fragmentBytes, let oldest = table.oldestEntry, oldest.key != key {
        counters.evicted &+= 1
        remove(oldest.key)
      }
      guard table.modify(key, { $0.isWhole }) == true else { return }
      counters.completed &+= 1
      if let datagram = table.removeValue(for: key) {
        bytes -= datagram.data.count
        whole = datagram.data
        whole.withUnsafeBytes { body($0) }
      }
    case .overlap:
      counters.overlapping &+= 1
      remove(key)
    case .invalid:
      counters.invalid &+= 1
      remove(key)
    }
  }

  /// Nothing more will come.
  public mutating func finish() {
    counters.expired &+= UInt64(table.count)
    while let oldest = table.oldestEntry { remove(oldest.key) }
  }

  private mutating func remove(_ key: Key) {
    if let gone = table.removeValue(for: key) { bytes -= gone.data.count }
  }

  private mutating func expire(_ now: Int64) {
    while let oldest = table.oldestEntry, now &- oldest.value.first > Limits.fragmentLifetime.count {
      counters.expired &+= 1
      remove(oldest.key)
    }
  }

  private enum Outcome {
    case added(grown: Int)
    case duplicate, overlap, invalid
  }

  private static func insert(_ piece: Bytes, _ place: FragmentPlace, into datagram: inout Datagram) -> Outcome {
    let (start, end) = (place.offset, place.offset + piece.count)
    if let total = datagram.total, end > total || (place.isLast && end != total) { return .invalid }
    if place.isLast {
      if let last = datagram.pieces.last, last.end > end { return .invalid }
      datagram.total = end
    }
    // Adjacent runs are joined, so that a datagram in order is one run; a duplicate is then told by lying inside what is there.
    var at = 0
    while at < datagram.pieces.count, datagram.pieces[at].end < start { at += 1 }
    if at < datagram.pieces.count {
      let run = datagram.pieces[at]
      if start >= run.start, end <= run.end { return isSame(piece, at: start, in: datagram) ? .duplicate : .overlap }
      if run.start < end, start < run.end { return .overlap }
    }
    let before = datagram.data.count
    if datagram.data.count < end { datagram.data += [UInt8](repeating: 0, count: end - datagram.data.count) }
    datagram.data.withUnsafeMutableBytes { $0.baseAddress?.advanced(by: start).copyMemory(from: piece.baseAddress!, byteCount: piece.count) }
    var run = (start: start, end: end)
    if at < datagram.pieces.count, datagram.pieces[at].end == start {
      run.start = datagram.pieces[at].start
      datagram.pieces.remove(at: at)
    }
    if at < datagram.pieces.count {
      if datagram.pieces[at].start < run.end { return .overlap }
      if datagram.pieces[at].start == run.end {
        run.end = datagram.pieces[at].end
        datagram.pieces.remove(at: at)
      }
    }
    guard datagram.pieces.count < Limits.fragmentPieces else { return .invalid }
    datagram.pieces.insert(run, at: at)
    return .added(grown: datagram.data.count - before)
  }

  private static func isSame(_ piece: Bytes, at start: Int, in datagram: Datagram) -> Bool {
    datagram.data.withUnsafeBytes { $0.slice(start, start + piece.count).equals(piece) }
  }
}
