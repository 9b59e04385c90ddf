// The units in which a rule's matches count, as numbers for people and for JSON.
import Primitives

extension BehavioralDetection {
  /// A value of the aggregate.
  public func observed(_ value: Int64) -> Measure { Measure(value, digits: digits) }
  /// The bound; with a baseline, deviations.
  public var bound: Measure { Measure(threshold, digits: boundDigits) }
  fileprivate var boundDigits: Int { baseline == nil ? digits : 3 }
}

extension Rule {
  /// A match compares a number with a bound, whatever the two are.
  public var isMeasured: Bool { if case .behavioral = detection { true } else { false } }
  /// What a match of this rule observed.
  public func observed(_ value: Int64) -> Measure {
    if case .behavioral(let behavior) = detection { behavior.observed(value) } else { Measure(value) }
  }
  /// What it was compared with.
  public func threshold(_ value: Int64) -> Measure {
    if case .behavioral(let behavior) = detection { Measure(value, digits: behavior.boundDigits) } else { Measure(value) }
  }
}
