// What lies between two baselines: pairs by their number (no names of them are kept), and by name what waits, what has a rate and what is measured.
// What must stay true: an order that depends on the two states alone.
import Primitives

public struct BaselineDifference: Sendable {
  public struct Pairs: Hashable, Sendable {
    public var row: PairClass
    public var added: Int
    public var gone: Int
    /// Whether the class is learned, before and after.
    public var wasLearned: Bool
    public var isLearned: Bool
  }
  /// nil: it is not in that one.
  public struct Change: Hashable, Sendable {
    public var what: String
    public var name: [UInt8]
    public var before: Int64?
    public var after: Int64?
  }
  /// Classes in which anything differs.
  public var pairs: [Pairs] = []
  /// Daily amounts (14 days) and measures that came, went, or moved by a quarter and ten at least.
  public var changes: [Change] = []
  /// "alice 192.0.2.0/24"
  public struct Waiting: Hashable, Sendable {
    public var row: PairClass
    public var label: [UInt8]
  }
  public var waitsNow: [Waiting] = []
  public var waitsNoMore: [Waiting] = []
  public var isEmpty: Bool { pairs.isEmpty && changes.isEmpty && waitsNow.isEmpty && waitsNoMore.isEmpty }

  private struct Named: Hashable {
    var what: String
    var name: [UInt8]
  }

  public init(from before: borrowing Baseline, to after: borrowing Baseline) {
    for row in PairClass.allCases {
      let change = Pairs(
        row: row, added: after.pairs(row, notIn: before), gone: before.pairs(row, notIn: after),
        wasLearned: before.state(of: row).learning.isLearned, isLearned: after.state(of: row).learning.isLearned)
      if change.added > 0 || change.gone > 0 || change.wasLearned != change.isLearned { pairs.append(change) }
    }
    let (old, new) = (BaselineDifference.pending(before), BaselineDifference.pending(after))
    let (oldSet, newSet) = (Set(old), Set(new))
    waitsNow = new.filter { !oldSet.contains($0) }
    waitsNoMore = old.filter { !newSet.contains($0) }
    let (was, isNow) = (BaselineDifference.named(before), BaselineDifference.named(after))
    let wasBy = Dictionary(was, uniquingKeysWith: { first, _ in first })
    let isBy = Dictionary(isNow, uniquingKeysWith: { first, _ in first })
    for (key, value) in isNow {
      let old = wasBy[key]
      let distance = old.map { abs($0 - value) }
      if let old, let distance, distance < 10 || distance * 4 < old { continue }
      changes.append(Change(what: key.what, name: key.name, before: old, after: value))
    }
    for (key, value) in was where isBy[key] == nil { changes.append(Change(what: key.what, name: key.name, before: value, after: nil)) }
  }

  private static func pending(_ baseline: borrowing Baseline) -> [Waiting] {
    var out: [Waiting] = []
    for row in PairClass.allCases { for pair in baseline.state(of: row).pending { out.append(Waiting(row: row, label: pair.label)) } }
    return out
  }
  /// Rates by their daily amount; measures that last: not what was counted today.
  private static func named(_ baseline: borrowing Baseline) -> [(Named, Int64)] {
    var out: [(Named, Int64)] = []
    baseline.forEachRate { rate, subject, hours in out.append((Named(what: rate.name, name: subject), hours.fast)) }
    baseline.forEachMeasure { measure in
      switch measure.kind {
      case .triedUsers: break
      case .sent: out.append((Named(what: measure.kind.rawValue, name: measure.name), measure.observed))
      case .destinations, .uploads, .durations, .responses:
        if let usual = measure.usual { out.append((Named(what: measure.kind.rawValue, name: measure.name), usual)) }
      }
    }
    return out
  }
}
