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
  /// What it adds: the whole weight for the strongest of its family, a quarter (rounded towards zero) for the others, as far as the
  /// family's cap leaves room.
  public var contribution: MilliNats
  public init(signal: Signal, contribution: MilliNats) {
    self.signal = signal
    self.contribution = contribution
  }
}

/// A rule that must not speak about a subject on this host, because a person found that it errs there.
public struct ConfidenceExclusion: Hashable, Sendable {
  public var rule: String
  /// As decisions name it: an address, a user, ...; a network stands for every address inside.
  public var subject: String
  /// For people; not empty.
  public var reason: String
  public init(rule: String, subject: String, reason: String) {
    (self.rule, self.subject, self.reason) = (rule, subject, reason)
  }
}

/// How much a signal counts, and what a sum means: plain data, read from a file (ConfidenceFile) or as it is built in.
/// A decision names it by its hash. Invariants that the reader checks and the arithmetic relies on: caps are not negative, attested
/// evidence counts no less than claimed, the table never falls.
public struct ConfidenceModel: Hashable, Sendable {
  /// What we believe of a subject about which nothing has been said.
  public var prior = Confidence(thousandths: 100)
  /// Within a family the strongest signal counts whole, each other one this part of it: 4 is a quarter.
  public var restDivisor: Int32 = 4
  /// What one family adds at most, for and against, each: what a single rule could say that is sure to 0.999.
  public var familyCap = MilliNats(9104)
  /// Families with another one, by name.
  public var familyCaps: [FamilyCap] = []
  /// What the severity of the deciding rule adds, `informational` first; never falling.
  public var severity = [MilliNats](repeating: .zero, count: ConfidenceModel.severityNames.count)
  /// What the trust of the events behind the decision adds.
  public var claimed = MilliNats.zero
  public var attested = MilliNats.zero
  /// Rules whose stated confidence this host corrects, by id.
  public var rules: [RuleConfidence] = []
  public var exclusions: [ConfidenceExclusion] = []
  /// Entry k - 1 is the least sum that means k thousandths.
  public var table = LogitTable.milliNats
  /// Names the values above in decisions; set by whoever has a digest.
  public var hash = "default"

  public struct FamilyCap: Hashable, Sendable {
    public var family: String
    public var cap: MilliNats
    public init(_ family: String, _ cap: MilliNats) { (self.family, self.cap) = (family, cap) }
  }
  public struct RuleConfidence: Hashable, Sendable {
    public var rule: String
    public var confidence: Confidence
    public init(_ rule: String, _ confidence: Confidence) { (self.rule, self.confidence) = (rule, confidence) }
  }

  /// The values of DESIGN 9 with nothing fitted: a rule that stands alone yields its own stated confidence.
  public init() {}

  /// The family of rules that only know that something is unusual. It alone never leads to a block.
  public static let anomalyFamily = "anomaly"
  /// Families of terms that no rule speaks for. Nothing feeds the last one yet: it is where what others say of an address will stand.
  public static let priorFamily = "prior"
  public static let severityFamily = "severity"
  public static let trustFamily = "trust"
  public static let reputationFamily = "reputation"
  /// In the order of their rank.
  public static let severityNames = ["informational", "low", "medium", "high", "critical"]

  // MARK: Evidence

  /// The evidence that lifts the prior to exactly `confidence`.
  public func weight(of confidence: Confidence) -> MilliNats {
    MilliNats(ConfidenceModel.logit(confidence).value - ConfidenceModel.logit(prior).value)
  }
  /// What a match of the rule says: the confidence it states (or that is stated for it here) above the prior, and nothing where that is below
  /// it: an accusation, however weak, must not clear anybody. Of an exculpatory rule, which is so sure of innocence, its log-odds, negated,
  /// never positive.
  public func weight(ofRule id: String, stating confidence: Confidence, isExculpatory: Bool) -> MilliNats {
    let stated = rules.first { $0.rule == id }?.confidence ?? confidence
    return isExculpatory ? MilliNats(min(0, -ConfidenceModel.logit(stated).value)) : max(.zero, weight(of: stated))
  }

  /// What is known of the decision itself, for those terms that this model gives a weight. `severityRank`: 0 (informational) to 4.
  public func context(severityRank: Int, isAttested: Bool) -> [Signal] {
    var signals: [Signal] = []
    let severity = severity[severityRank]
    if severity != .zero {
      let name = ConfidenceModel.severityNames[severityRank]
      signals.append(Signal(name: "severity", family: ConfidenceModel.severityFamily, weight: severity, isAttested: true, detail: name))
    }
    let trust = isAttested ? attested : claimed
    if trust != .zero {
      let name = isAttested ? "attested" : "claimed"
      signals.append(Signal(name: "trust", family: ConfidenceModel.trustFamily, weight: trust, isAttested: isAttested, detail: name))
    }
    return signals
  }

  /// Log-odds.
  public static func logit(_ confidence: Confidence) -> MilliNats { MilliNats(LogitTable.milliNats[confidence.thousandths - 1]) }

  /// The greatest tabled confidence whose sum is at most `total`.
  public func confidence(atLogOdds total: MilliNats) -> Confidence {
    var low = 0
    var high = table.count  // invariant: entries below `low` are <= total, entries from `high` on are > total
    while low < high {
      let middle = (low + high) / 2
      if table[middle] <= total.value { low = middle + 1 } else { high = middle }
    }
    return Confidence(thousandths: low)
  }

  // MARK: Sum

  func cap(of family: String) -> Int64 { Int64((familyCaps.first { $0.family == family }?.cap ?? familyCap).value) }

  /// The confidence in an attack, given `signals`, and its terms: the prior first, then families in the order of their first
  /// signal, the strongest of each first. For and against are separate: within a family, each side has its own strongest signal and its
  /// own cap. What weighs nothing is a term as well.
  public func score(_ signals: [Signal]) -> (confidence: Confidence, terms: [ConfidenceTerm]) {
    let start = Signal(
      name: "prior", family: ConfidenceModel.priorFamily, weight: ConfidenceModel.logit(prior), isAttested: true, detail: "nothing known")
    var terms: [ConfidenceTerm] = []
    terms.reserveCapacity(signals.count + 1)
    terms.append(ConfidenceTerm(signal: start, contribution: start.weight))
    // By signal: the first signal of its family, until it has become a term.
    var open: [Int] = []
    open.reserveCapacity(signals.count)
    for i in signals.indices { open.append(signals.firstIndex { $0.family == signals[i].family } ?? i) }
    var total = Int64(start.weight.value)
    for family in signals.indices where open[family] == family {
      for sign in [1, -1, 0] as [Int32] {
        var left = cap(of: signals[family].family)
        // Strongest first; of equal weights the earlier one, so that the result depends on nothing else.
        var isFirst = true
        while let next = strongest(of: signals, family: family, sign: sign, open) {
          open[next] = -1
          let weight = signals[next].weight.value
          let contribution = max(-left, min(left, Int64(isFirst ? weight : weight / restDivisor)))
          left -= abs(contribution)
          terms.append(ConfidenceTerm(signal: signals[next], contribution: MilliNats(Int32(contribution))))
          total += contribution
          isFirst = false
        }
      }
    }
    return (confidence(atLogOdds: MilliNats(Int32(clamping: total))), terms)
  }

  /// Few signals (`Limits.signalsPerSubject`): a plain search needs no memory.
  private func strongest(of signals: [Signal], family: Int, sign: Int32, _ open: [Int]) -> Int? {
    var best: Int?
    for i in signals.indices where open[i] == family && signals[i].weight.value.signum() == sign {
      if let current = best, signals[i].weight.value.magnitude <= signals[current].weight.value.magnitude { continue }
      best = i
    }
    return best
  }
}
