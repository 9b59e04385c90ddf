// What an operator may change about the baseline of a running agent. Names come from logs, so they travel as hexadecimal. Pure.
import Baseline
import Primitives

public enum BaselineRequest: Equatable, Sendable {
  /// Learn nothing more, or go on; judging goes on either way.
  case freeze
  case thaw
  /// A pair is normal from now on.
  case promote(PairClass, subject: [UInt8], object: [UInt8])
  /// Everything about a user, host or address.
  case forget(subject: [UInt8])

  var line: String {
    switch self {
    case .freeze: "baseline freeze"
    case .thaw: "baseline thaw"
    case .promote(let row, let subject, let object): "baseline promote \(row.name) \(HexadecimalWord.of(subject)) \(HexadecimalWord.of(object))"
    case .forget(let subject): "baseline forget \(HexadecimalWord.of(subject))"
    }
  }
  /// For people and for the audit log; it may hold text from logs.
  var text: String {
    func shown(_ text: [UInt8]) -> String { String(decoding: text, as: UTF8.self) }
    return switch self {
    case .freeze, .thaw: line
    case .promote(let row, let subject, let object): "baseline promote \(row.name) \(shown(subject)) \(shown(object))"
    case .forget(let subject): "baseline forget \(shown(subject))"
    }
  }
  init?(words: [String]) {
    switch (words.count > 1 ? words[1] : "", words.count) {
    case ("freeze", 2): self = .freeze
    case ("thaw", 2): self = .thaw
    case ("promote", 5):
      guard let row = PairClass(name: words[2]), let subject = HexadecimalWord.bytes(words[3]), let object = HexadecimalWord.bytes(words[4]) else {
        return nil
      }
      self = .promote(row, subject: subject, object: object)
    case ("forget", 3):
      guard let subject = HexadecimalWord.bytes(words[2]) else { return nil }
      self = .forget(subject: subject)
    default: return nil
    }
  }

  func perform(on baseline: inout Baseline) -> ControlOutcome {
    switch self {
    case .freeze, .thaw:
      let isFreezing = self == .freeze
      guard baseline.isFrozen != isFreezing else { return .refused(isFreezing ? "it is frozen already" : "it is learning already") }
      baseline.isFrozen = isFreezing
      return .done(isFreezing ? "nothing more is learned until `panguard baseline thaw`" : "learning goes on")
    case .promote(let row, let subject, let object):
      baseline.promote(row, subject: subject, object: object)
      return .done("\(row.name): this is normal from now on")
    case .forget(let subject):
      let count = baseline.forget(subject: subject)
      return count > 0 ? .done("forgot it in \(count) of its tables") : .refused("nothing is known about it")
    }
  }
}
