// What an operator says of a decision, as a request to the running agent. The reason is anybody's text, so it travels as hexadecimal. Pure.
import Export
import Primitives
import Storage

public struct MarkRequest: Equatable, Sendable {
  /// The decision's id, or the beginning of it.
  public var id: String
  public var verdict: DecisionMark.Verdict
  public var reason: String

  /// nil: the id is no id, or the reason is empty, too long (`Limits.markReasonBytes`), not one line, or not all of it can be seen.
  public init?(id: String, verdict: DecisionMark.Verdict, reason: String) {
    guard (1...64).contains(id.utf8.count), id.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) }),
      (1...Limits.markReasonBytes).contains(reason.utf8.count), reason == TerminalText.escaped(reason)
    else { return nil }
    (self.id, self.verdict, self.reason) = (id, verdict, reason)
  }

  var line: String { "mark \(id) \(verdict.rawValue) \(HexadecimalWord.of(Array(reason.utf8)))" }
  /// For people and for the audit log.
  public var text: String { "mark \(id) \(verdict.rawValue) (\(reason))" }
  init?(words: [String]) {
    guard words.count == 4, let verdict = DecisionMark.Verdict(rawValue: words[2]), let bytes = HexadecimalWord.bytes(words[3]),
      let reason = String(validating: bytes, as: UTF8.self)
    else { return nil }
    self.init(id: words[1], verdict: verdict, reason: reason)
  }

  /// Writes it into the store. `actor`: "uid 0".
  public func perform(on store: DecisionStore, actor: String, at time: EventTime) -> ControlOutcome {
    do {
      guard let decision = try store.decision(idPrefix: id) else { return .refused("there is no decision \(id)") }
      try store.mark(DecisionMark(decisionID: decision.id, verdict: verdict, reason: reason, actor: actor, time: time))
      return .done("\(decision.id) is marked \(verdict.rawValue); nothing else changes (`panguard rules tune` proposes what could)")
    } catch {
      return .refused("\(error)")
    }
  }
}

extension Responder {
  func mark(_ request: MarkRequest, _ peer: ControlPeer) -> ControlOutcome {
    request.perform(on: store, actor: "uid \(peer.uid)", at: clock.now)
  }
}
