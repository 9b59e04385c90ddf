// How many of the clients inside talk to a peer: what half of them do is the house's custom, what one does is his own (RITA's prevalence).
// Memory: 64 bits for each of `Limits.prevalencePeers` peers; clients are told apart by a hash into 64 places, enough to tell few from half.
import Primitives

struct Prevalence: ~Copyable {
  enum Share { case unknown, rare, usual, common }
  private var peers = BoundedTable<IPAddress, UInt64>(capacity: Limits.prevalencePeers)
  private var clients: UInt64 = 0
  var evictions: UInt64 { peers.evictions }

  /// Fewer clients than this say nothing about custom: on a single host everything is.
  static let leastClients = 10

  mutating func note(_ client: IPAddress, _ peer: IPAddress) -> Share {
    let mixed = (client.high ^ client.low) &* 0x9e37_79b9_7f4a_7c15
    let bit: UInt64 = 1 << (mixed >> 58)
    clients |= bit
    let all = clients.nonzeroBitCount
    guard all >= Prevalence.leastClients else { return .unknown }
    let own = peers.update(
      peer, make: { bit },
      {
        $0 |= bit; return $0.nonzeroBitCount
      })
    return own * 2 >= all ? .common : own * 50 <= all ? .rare : .usual
  }
}
