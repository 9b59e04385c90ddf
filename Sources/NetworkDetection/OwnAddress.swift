// Which address is this host's own, where it has no private one and nobody configured it: the one that is an end of most flows, by majority vote
// (Boyer and Moore 1981), for each family. A host's own capture has it in nearly every flow, whoever sends what.
import Primitives

struct OwnAddress {
  private struct Vote {
    var candidate: IPAddress?
    var count: Int64 = 0
    var last: (IPAddress, IPAddress)?
    mutating func take(_ a: IPAddress, _ b: IPAddress) {
      defer { last = (a, b) }
      if count > 0, let candidate {
        count = candidate == a || candidate == b ? min(count + 1, OwnAddress.most) : count - 1
        return
      }
      // The end that this flow shares with the one before.
      guard let last else { return }
      if a == last.0 || a == last.1 { (candidate, count) = (a, 1) } else if b == last.0 || b == last.1 { (candidate, count) = (b, 1) }
    }
  }
  private var votes = (Vote(), Vote())
  /// Votes ahead from which on the candidate counts as elected, and beyond which more say nothing: it may change.
  private static let least: Int64 = 32
  private static let most: Int64 = 4096

  mutating func note(_ flow: FlowFacts) {
    if flow.source.isV4 { votes.0.take(flow.source, flow.destination) } else { votes.1.take(flow.source, flow.destination) }
  }
  func isElected(_ address: IPAddress) -> Bool {
    let vote = address.isV4 ? votes.0 : votes.1
    return vote.count >= OwnAddress.least && vote.candidate == address
  }
}
