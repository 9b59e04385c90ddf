// Messages of the form "fixed text, value, fixed text, value, ...", as tables.
// Values are written by others: a name may contain the fixed text that should end it. So a message is read twice, with each value
// as short as possible from the left and from the right. Where both readings agree there is only one; a value on which they
// disagree is left out, and the caller learns that the message is ambiguous.
// Invariant: total and linear; nothing is set unless the whole message fits.
import Events
import Primitives

/// One part of a template. A string literal stands for itself.
enum TemplatePiece: ExpressibleByStringLiteral, Sendable {
  case literal(StaticString)
  /// A value that becomes this field.
  case hole(Field)
  /// A value that nobody needs; at the end of a template it takes whatever follows.
  case ignored
  init(stringLiteral value: StaticString) { self = .literal(value) }
}

struct MessageTemplate: Sendable {
  /// `literals[i]` stands before `holes[i]`; there is one literal more than holes, and it ends the message. Literals may be empty
  /// only at the end.
  let literals: [StaticString]
  let holes: [Field?]
  let category: StaticString
  let action: StaticString
  let outcome: StaticString?
  let reason: StaticString?

  static let maxHoles = 8

  init(_ pieces: [TemplatePiece], _ category: StaticString, _ action: StaticString, _ outcome: StaticString? = nil, reason: StaticString? = nil) {
    var literals: [StaticString] = []
    var holes: [Field?] = []
    for piece in pieces {
      switch piece {
      case .literal(let text): literals.append(text)
      case .hole(let field): holes.append(field)
      case .ignored: holes.append(nil)
      }
    }
    if literals.count == holes.count { literals.append("") }
    precondition(literals.count == holes.count + 1 && holes.count <= MessageTemplate.maxHoles, "a template alternates text and values")
    self.literals = literals
    self.holes = holes
    self.category = category
    self.action = action
    self.outcome = outcome
    self.reason = reason
  }

  /// Where the values lie in both readings; offsets fit 32 bits because lines are bounded.
  struct Match {
    var leftStart = SIMD8<Int32>(repeating: 0)
    var leftEnd = SIMD8<Int32>(repeating: 0)
    var rightStart = SIMD8<Int32>(repeating: 0)
    var rightEnd = SIMD8<Int32>(repeating: 0)
    var isAmbiguous: Bool { leftStart != rightStart || leftEnd != rightEnd }
    /// The value of hole `i` if both readings agree on it.
    func value(_ i: Int, of message: Bytes) -> Bytes? {
      guard leftStart[i] == rightStart[i], leftEnd[i] == rightEnd[i] else { return nil }
      return message.slice(Int(leftStart[i]), Int(leftEnd[i]))
    }
  }

  func match(_ message: Bytes) -> Match? {
    guard message.starts(with: literals[0]), message.count <= Int(Int32.max) else { return nil }
    let count = holes.count
    guard count > 0 else { return message.count == literals[0].utf8CodeUnitCount ? Match() : nil }
    let last = literals[count]
    let end = message.count - last.utf8CodeUnitCount
    guard message.ends(with: last) else { return nil }
    var match = Match()
    var at = literals[0].utf8CodeUnitCount
    for i in 0..<count {
      match.leftStart[i] = Int32(at)
      var stop = end
      if i < count - 1 {
        guard let hit = message.index(of: literals[i + 1], from: at) else { return nil }
        stop = hit
        at = hit + literals[i + 1].utf8CodeUnitCount
      }
      guard stop >= Int(match.leftStart[i]), stop <= end else { return nil }
      match.leftEnd[i] = Int32(stop)
    }
    // Numbers at the front can be read in one way only: no digit is part of the text behind them.
    var fixed = 0
    while fixed < count - 1, holes[fixed]?.kind == .integer {
      guard message.slice(Int(match.leftStart[fixed]), Int(match.leftEnd[fixed])).decimal != nil else { return nil }
      match.rightStart[fixed] = match.leftStart[fixed]
      match.rightEnd[fixed] = match.leftEnd[fixed]
      fixed += 1
    }
    // A reading exists, so the one from the right does too.
    var stop = end
    for i in stride(from: count - 1, through: fixed, by: -1) {
      match.rightEnd[i] = Int32(stop)
      if i == fixed {
        match.rightStart[i] = match.leftStart[i]
      } else {
        guard let hit = message.upTo(stop).lastIndex(of: literals[i]) else { return nil }
        match.rightStart[i] = Int32(hit + literals[i].utf8CodeUnitCount)
        stop = hit
      }
    }
    guard match.rightEnd[fixed] >= match.rightStart[fixed] else { return nil }
    return match
  }

  /// Sets category, action, outcome, reason and the values on which both readings agree.
  func apply(_ match: Match, to event: inout Event, message: Bytes) {
    event.set(.eventCategory, category)
    event.set(.eventAction, action)
    if let outcome { event.set(.eventOutcome, outcome) }
    if let reason { event.set(.eventReason, reason) }
    for i in 0..<holes.count {
      guard let field = holes[i], let value = match.value(i, of: message), value.count > 0 else { continue }
      event.set(field, parsing: value)
    }
  }
}

extension Array where Element == MessageTemplate {
  /// The first template that fits is applied; `panguard.ambiguous` is set where its values have two readings. False if none fits.
  func parse(_ message: Bytes, provider: StaticString, into event: inout Event) -> Bool {
    for template in self {
      guard let match = template.match(message) else { continue }
      template.apply(match, to: &event, message: message)
      event.set(.eventProvider, provider)
      if match.isAmbiguous { event.set(.isAmbiguous, 1) }
      return true
    }
    return false
  }
}
