// Does 0.9 mean nine in ten? Labelled decisions in, a reliability table, a Brier score and a fitted table out.
// The fit is isotonic regression by pool-adjacent-violators (Ayer, Brunk, Ewing, Reid, Silverman 1955, Ann. Math. Stat. 26:641) on the sums,
// over what was labelled and, so that few labels move little, pseudo-observations that say what the table said before. How frequent attacks
// are among the labels says more about who labelled than about a host, so labels are weighed by class until their share of attacks is the
// one that the table expects (Elkan 2001, "The foundations of cost-sensitive learning"): what is learned is how sums tell them apart.
// Invariants: integers only, so that every machine fits the same; the fitted table never falls; the sums at which a threshold is
// crossed stay where they are, so that a fit changes what a confidence says and never what is done.
import Primitives

/// One labelled decision.
public struct CalibrationSample: Hashable, Sendable {
  /// What its terms add up to.
  public var total: MilliNats
  public var isAttack: Bool
  public init(total: MilliNats, isAttack: Bool) {
    self.total = total
    self.isAttack = isAttack
  }
}

/// How far a table's confidences are from what was labelled.
public struct Reliability: Hashable, Sendable {
  public struct Bin: Hashable, Sendable {
    /// Thousandths, from and below.
    public var range: Range<Int>
    public var count: Int64 = 0
    public var attacks: Int64 = 0
    /// Sum of the confidences in thousandths.
    public var predicted: Int64 = 0
    /// Thousandths; nil where nothing fell into it.
    public var meanPredicted: Int64? { count > 0 ? rounded(predicted, count) : nil }
    public var observed: Int64? { count > 0 ? rounded(attacks * 1000, count) : nil }
  }
  public var bins: [Bin]
  public var count: Int64 = 0
  public var attacks: Int64 = 0
  /// Mean squared distance between confidence and label (Brier 1950), in millionths; 0 is perfect, 250,000 is a coin. 0 of no samples.
  public var brier: Int64 = 0
  /// Mean distance between predicted and observed over the bins, weighted by their counts, in thousandths.
  public var error: Int64 = 0

  public init(_ samples: [CalibrationSample], _ model: ConfidenceModel) {
    bins = (0..<10).map { Bin(range: $0 * 100..<($0 + 1) * 100) }
    var squares: Int64 = 0
    for sample in samples {
      let confidence = Int64(model.confidence(atLogOdds: sample.total).thousandths)
      let distance = (sample.isAttack ? 1000 : 0) - confidence
      squares += distance * distance
      let bin = Int(confidence) / 100
      bins[bin].count += 1
      bins[bin].attacks += sample.isAttack ? 1 : 0
      bins[bin].predicted += confidence
    }
    count = Int64(samples.count)
    attacks = bins.reduce(0) { $0 + $1.attacks }
    guard count > 0 else { return }
    brier = rounded(squares, count)
    error = rounded(bins.reduce(0) { $0 + abs($1.predicted - $1.attacks * 1000) }, count)
  }
}

public enum Calibration {
  /// Places of pseudo-observations: every 25 thousandths.
  private static let pseudoStep = 25

  /// `base` with a table that fits `samples` (at most `Limits.calibrationSamples`). `priorWeight`: pseudo-observations at each place, 0 to
  /// 10,000. `thresholds`: confidences whose sums stay; the prior's stays as well. `keepsShare`: attacks are as frequent as among the labels.
  public static func fit(
    _ samples: [CalibrationSample], base: ConfidenceModel, priorWeight: Int64, thresholds: [Confidence], keepsShare: Bool = false
  ) -> ConfidenceModel {
    var fixed = ([base.prior] + thresholds).map(\.thousandths).filter { (2...998).contains($0) }.sorted()
    for i in fixed.indices.dropFirst().reversed() where fixed[i] == fixed[i - 1] { fixed.remove(at: i) }
    let ends = [1] + fixed + [999]
    var knots: [Knot] = []
    let weights = keepsShare ? (attack: 1000, benign: 1000) : classWeights(samples, base)
    let points = points(samples, base, weights, min(max(0, priorWeight), 10_000))
    for (low, high) in zip(ends, ends.dropFirst()) {
      let (from, to) = (Int64(base.table[low - 1]), Int64(base.table[high - 1]))
      knots.append(Knot(total: from, value: Int64(low)))
      guard from < to else { continue }
      for block in pooled(points.filter { $0.total >= from && $0.total < to }) {
        let total = block.weightedTotal / block.count
        let value = min(max(rounded(block.attacks * 1000, block.count), Int64(low)), Int64(high) - 1)
        if total > from { knots.append(Knot(total: total, value: value)) }
      }
    }
    knots.append(Knot(total: Int64(base.table[998]), value: 999))
    var model = base
    model.table = table(through: knots)
    return model
  }

  /// Observations with one sum; counts in thousandths of an observation.
  private struct Point {
    var total: Int64
    var count: Int64
    var attacks: Int64
    var weightedTotal: Int64
    init(total: Int64, count: Int64, attacks: Int64) {
      (self.total, self.count, self.attacks) = (total, count, attacks)
      weightedTotal = total * count
    }
  }
  private struct Knot {
    var total: Int64
    var value: Int64
  }

  /// Thousandths of an observation that each label of a class counts for, at most a hundred observations.
  private static func classWeights(_ samples: [CalibrationSample], _ base: ConfidenceModel) -> (attack: Int64, benign: Int64) {
    let predicted = samples.reduce(Int64(0)) { $0 + Int64(base.confidence(atLogOdds: $1.total).thousandths) }
    let attacks = samples.reduce(Int64(0)) { $0 + ($1.isAttack ? 1 : 0) }
    let benign = Int64(samples.count) - attacks
    guard attacks > 0, benign > 0 else { return (1000, 1000) }
    return (min(max(1, predicted / attacks), 100_000), min(max(1, (Int64(samples.count) * 1000 - predicted) / benign), 100_000))
  }
  private static func points(
    _ samples: [CalibrationSample], _ base: ConfidenceModel, _ weights: (attack: Int64, benign: Int64), _ priorWeight: Int64
  ) -> [Point] {
    var points = samples.map { sample in
      let weight = sample.isAttack ? weights.attack : weights.benign
      return Point(total: Int64(sample.total.value), count: weight, attacks: sample.isAttack ? weight : 0)
    }
    if priorWeight > 0 {
      for k in stride(from: pseudoStep, to: 1000, by: pseudoStep) {
        points.append(Point(total: Int64(base.table[k - 1]), count: priorWeight * 1000, attacks: priorWeight * Int64(k)))
      }
    }
    points.sort { $0.total < $1.total }
    var merged: [Point] = []
    for point in points {
      if let last = merged.last, last.total == point.total { absorb(point, into: &merged[merged.count - 1]) } else { merged.append(point) }
    }
    return merged
  }
  private static func absorb(_ point: Point, into block: inout Point) {
    block.count += point.count
    block.attacks += point.attacks
    block.weightedTotal += point.weightedTotal
  }

  /// Pools neighbours until the share of attacks never falls.
  private static func pooled(_ points: [Point]) -> [Point] {
    var blocks: [Point] = []
    for point in points {
      blocks.append(point)
      while blocks.count > 1 {
        let (a, b) = (blocks[blocks.count - 2], blocks[blocks.count - 1])
        let (left, right) = (a.attacks.multipliedFullWidth(by: b.count), b.attacks.multipliedFullWidth(by: a.count))
        guard (left.high, left.low) > (right.high, right.low) else { break }
        blocks.removeLast()
        absorb(b, into: &blocks[blocks.count - 1])
      }
    }
    return blocks
  }

  /// The least sum for each thousandth, on straight lines between the knots.
  private static func table(through knots: [Knot]) -> [Int32] {
    var table: [Int32] = []
    table.reserveCapacity(999)
    var i = 0
    for k in Int64(1)...999 {
      while i + 1 < knots.count, knots[i + 1].value < k || knots[i + 1].value == knots[i].value { i += 1 }
      let (a, b) = (knots[i], knots[min(i + 1, knots.count - 1)])
      let total = k <= a.value ? a.total : a.total + ((b.total - a.total) * (k - a.value) + (b.value - a.value) - 1) / (b.value - a.value)
      table.append(max(Int32(clamping: total), table.last ?? .min))
    }
    return table
  }
}

/// To the nearest; `b` above zero, `a` not below.
private func rounded(_ a: Int64, _ b: Int64) -> Int64 { (a + b / 2) / b }
