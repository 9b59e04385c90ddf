// Fitting the table: against a plain isotonic regression, and what must hold whatever was labelled.
import PanguardTestKit
import Primitives
import Scoring
import Testing

private func samples(_ list: [(Int32, Bool)]) -> [CalibrationSample] { list.map { CalibrationSample(total: MilliNats($0.0), isAttack: $0.1) } }
private let thresholds = [Confidence(thousandths: 700), Confidence(thousandths: 900)]

/// Labels that are right with a probability of their own for each sum.
private func world(_ random: inout SplitMix64, count: Int, chance: (Int32) -> Int) -> [CalibrationSample] {
  (0..<count).map { _ in
    let total = Int32(random.below(9000) - 4000)
    return CalibrationSample(total: MilliNats(total), isAttack: random.below(1000) < chance(total))
  }
}

@Suite struct CalibrationTests {
  @Test func theBrierScoreIsTheMeanSquare() {
    // 0.900 and an attack: 0.01; 0.900 and none: 0.81; 0.500: 0.25.
    let reliability = Reliability(samples([(2197, true), (2197, false), (0, true)]), ConfidenceModel())
    #expect(reliability.brier == 356_667)  // (0.01 + 0.81 + 0.25) / 3
    #expect(reliability.count == 3 && reliability.attacks == 2)
    #expect(reliability.bins[9].observed == 500 && reliability.bins[9].meanPredicted == 900)
    #expect(reliability.bins[0].observed == nil)
    #expect(Reliability([], ConfidenceModel()).brier == 0)
  }

  @Test func nothingLabelledChangesNothingMuch() {
    let fitted = Calibration.fit([], base: ConfidenceModel(), priorWeight: 100, thresholds: thresholds)
    for total in stride(from: Int32(-7000), through: 7000, by: 50) {
      let (a, b) = (fitted.confidence(atLogOdds: MilliNats(total)), ConfidenceModel().confidence(atLogOdds: MilliNats(total)))
      // Straight lines between places 25 thousandths apart.
      #expect(abs(a.thousandths - b.thousandths) <= 12, "\(total): \(b) became \(a)")
    }
  }

  /// What must hold whatever was labelled: the table never falls, and the sums of the thresholds and of the prior stay.
  @Test func aFitNeverMovesAThreshold() {
    var random = SplitMix64(seed: 3)
    for round in 0..<60 {
      let count = random.below(400)
      let chance = random.below(1001)
      let list = world(&random, count: count) { _ in chance }
      let base = ConfidenceModel()
      let fitted = Calibration.fit(list, base: base, priorWeight: Int64(random.below(30)), thresholds: thresholds, keepsShare: round % 2 == 0)
      #expect(zip(fitted.table, fitted.table.dropFirst()).allSatisfy { $0 <= $1 }, "round \(round)")
      #expect(fitted.table.count == 999)
      for total in stride(from: Int32(-7500), through: 7500, by: 7) {
        let (a, b) = (fitted.confidence(atLogOdds: MilliNats(total)), base.confidence(atLogOdds: MilliNats(total)))
        for threshold in thresholds + [base.prior] { #expect((a >= threshold) == (b >= threshold), "round \(round), sum \(total): \(b) became \(a)") }
      }
    }
  }

  @Test func moreLabelsBringItNearerToTheTruth() {
    var random = SplitMix64(seed: 4)
    // Between the prior and the threshold to notify, what the table calls 0.1 to 0.7 is an attack one time in three, more with the sum.
    func truth(_ total: Int32) -> Int { max(0, min(1000, 200 + Int(total + 2197) * 300 / 3044)) }
    let learned = world(&random, count: 6000, chance: truth)
    let held = world(&random, count: 6000, chance: truth)
    let fitted = Calibration.fit(learned, base: ConfidenceModel(), priorWeight: 10, thresholds: thresholds, keepsShare: true)
    #expect(Reliability(held, fitted).brier < Reliability(held, ConfidenceModel()).brier)
    #expect(Reliability(held, fitted).error < Reliability(held, ConfidenceModel()).error)
  }

  /// Without pseudo-observations and thresholds the values at the pooled blocks are those of a plain isotonic regression.
  @Test func agreesWithAPlainIsotonicRegression() {
    var random = SplitMix64(seed: 6)
    for _ in 0..<40 {
      let list = (0..<(20 + random.below(60))).map { i in CalibrationSample(total: MilliNats(Int32(i * 20) - 800), isAttack: random.below(2) == 1) }
      let fitted = Calibration.fit(list, base: ConfidenceModel(), priorWeight: 0, thresholds: [], keepsShare: true)
      for block in plainBlocks(list.filter { $0.total.value >= -2197 }) {
        let value = block.attacks * 1000 / block.count
        guard (101...998).contains(value) else { continue }
        let centre = block.total / block.count
        let reached = fitted.confidence(atLogOdds: MilliNats(Int32(centre))).thousandths
        #expect(abs(reached - value) <= 2, "sum \(centre): \(reached), expected \(value)")
      }
    }
  }
  /// min-max form: at each sample the greatest over starts of the least over ends of the mean between.
  private func plainBlocks(_ list: [CalibrationSample]) -> [(count: Int, attacks: Int, total: Int)] {
    let labels = list.map { $0.isAttack ? 1 : 0 }
    var values: [(Int, Int)] = []
    for i in labels.indices {
      var best: (Int, Int)?
      for start in 0...i {
        var least: (Int, Int)?
        var (sum, n) = (labels[start..<i].reduce(0, +), i - start)
        for end in i..<labels.count {
          (sum, n) = (sum + labels[end], n + 1)
          if least.map({ sum * $0.1 < $0.0 * n }) ?? true { least = (sum, n) }
        }
        if let least, best.map({ least.0 * $0.1 > $0.0 * least.1 }) ?? true { best = least }
      }
      values.append(best ?? (0, 1))
    }
    var blocks: [(count: Int, attacks: Int, total: Int, value: (Int, Int))] = []
    for (i, value) in values.enumerated() {
      if let last = blocks.last, last.value.0 * value.1 == value.0 * last.value.1 {
        blocks[blocks.count - 1].count += 1
        blocks[blocks.count - 1].attacks += labels[i]
        blocks[blocks.count - 1].total += Int(list[i].total.value)
      } else {
        blocks.append((1, labels[i], Int(list[i].total.value), value))
      }
    }
    return blocks.map { ($0.count, $0.attacks, $0.total) }
  }
}
