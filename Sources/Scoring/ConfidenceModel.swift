// From signals to one confidence that a person can check with a pencil (DESIGN 9):
// prior, then within each family the strongest signal plus a quarter of the rest, summed over families, mapped by a fixed table.
// Everything is integer milli-nats; every addend is returned as a term, and the terms add up exactly to the total.
import Primitives

/// One piece of evidence about a subject.
public struct Signal: Hashable, Sendable {
  /// What says so: a rule id, or the name of a built-in term.
  public var name: String
  public var family: String
  /// Positive speaks for an attack, negative for innocence.
  public var weight: MilliNats
  /// Whether the kernel or journald vouched for what it rests on.
  public var isAttested: Bool
  /// For people: what was seen.
  public var detail: String
  public init(name: String, family: String, weight: MilliNats, isAttested: Bool, detail: String) {
    self.name = name
    self.family = family
    self.weight = weight
    self.isAttested = isAttested
    self.detail = detail
  }
}

/// One addend of a confidence.
public struct ConfidenceTerm: Hashable, Sendable {
  public var signal: Signal
  /// What it adds: the whole weight for the strongest of its family, a quarter (rounded towards zero) for the others.
  public var contribution: MilliNats
  public init(signal: Signal, contribution: MilliNats) {
    self.signal = signal
    self.contribution = contribution
  }
}

public enum ConfidenceModel {
  /// What we believe of a subject about which nothing has been said: 0.100.
  public static let prior = Confidence(thousandths: 100)

  /// The family of rules that only know that something is unusual. It alone never leads to a block.
  public static let anomalyFamily = "anomaly"

  /// The evidence that lifts the prior to exactly `confidence`: a rule that stands alone yields its own stated confidence.
  public static func weight(of confidence: Confidence) -> MilliNats {
    MilliNats(logit(confidence).value - logit(prior).value)
  }
  /// The evidence of an exculpatory rule that is `confidence` sure of innocence: its log-odds, negated, never positive.
  public static func exculpatoryWeight(of confidence: Confidence) -> MilliNats { MilliNats(min(0, -logit(confidence).value)) }

  /// Log-odds.
  public static func logit(_ confidence: Confidence) -> MilliNats { MilliNats(LogitTable.milliNats[confidence.thousandths - 1]) }

  /// The greatest tabled confidence whose log-odds are at most `total`.
  public static func confidence(atLogOdds total: MilliNats) -> Confidence {
    var low = 0
    var high = LogitTable.milliNats.count  // invariant: entries below `low` are <= total, entries from `high` on are > total
    while low < high {
      let middle = (low + high) / 2
      if LogitTable.milliNats[middle] <= total.value { low = middle + 1 } else { high = middle }
    }
    return Confidence(thousandths: low)
  }

  /// The confidence in an attack, given `signals`, and its terms: the prior first, then families in the order of their first
  /// signal, the strongest of each first. For and against are separate: within a family, each side has its own strongest signal.
  public static func score(_ signals: [Signal]) -> (confidence: Confidence, terms: [ConfidenceTerm]) {
    let start = Signal(name: "prior", family: "prior", weight: logit(prior), isAttested: true, detail: "nothing known")
    var terms: [ConfidenceTerm] = []
    terms.reserveCapacity(signals.count + 1)
    terms.append(ConfidenceTerm(signal: start, contribution: start.weight))
    // By signal: the first signal of its family, until it has become a term.
    var open: [Int] = []
    open.reserveCapacity(signals.count)
    for i in signals.indices { open.append(signals.firstIndex { $0.family == signals[i].family } ?? i) }
    var total = Int64(start.weight.value)
    for family in signals.indices {
      for sign in [1, -1] as [Int32] {
        // Strongest first; of equal weights the earlier one, so that the result depends on nothing else.
        var isFirst = true
        while let next = strongest(of: signals, family: family, sign: sign, open) {
          open[next] = -1
          let weight = signals[next].weight
          let contribution = isFirst ? weight : MilliNats(weight.value / 4)
          terms.append(ConfidenceTerm(signal: signals[next], contribution: contribution))
          total += Int64(contribution.value)
          isFirst = false
        }
      }
    }
    return (confidence(atLogOdds: MilliNats(Int32(clamping: total))), terms)
  }

  /// Few signals (`Limits.signalsPerSubject`): a plain search needs no memory.
  private static func strongest(of signals: [Signal], family: Int, sign: Int32, _ open: [Int]) -> Int? {
    var best: Int?
    for i in signals.indices where open[i] == family && signals[i].weight.value.signum() == sign {
      if let current = best, signals[i].weight.value.magnitude <= signals[current].weight.value.magnitude { continue }
      best = i
    }
    return best
  }
}
