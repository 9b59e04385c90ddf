// Logins that cross the wire in the clear, whatever the protocol: that a secret was sent and for whom, and how the server answered.
// What must stay true: the secret itself is never kept.
import Events
import Primitives

/// Borrowed.
public struct CredentialMessage {
  public enum Outcome: Sendable { case sent, accepted, refused }
  /// `sent`: the client's secret has passed; the others: the server's answer to it.
  public var outcome = Outcome.sent
  /// Empty where it is not known.
  public var user = Bytes.none
  /// "pass", "plain", "login", "apop", "cram", "auth"
  public var method: StaticString = "pass"
  /// The secret could be read; false for challenges and hashes.
  public var isCleartext = true

  func appendFields(to event: inout Event) {
    event.set(.eventCategory, "authentication" as StaticString)
    if user.count > 0 { event.set(.userName, user) }
    event.set(.authenticationMethod, method)
    if isCleartext { event.set(.isCleartextCredential, 1) }
    switch outcome {
    case .sent:
      event.set(.eventAction, "credential-sent" as StaticString)
      event.set(.eventOutcome, "unknown" as StaticString)
    case .accepted:
      event.set(.eventAction, "network-login" as StaticString)
      event.set(.eventOutcome, "success" as StaticString)
    case .refused:
      event.set(.eventAction, "network-login" as StaticString)
      event.set(.eventOutcome, "failure" as StaticString)
      event.set(.attemptCount, 1)
    }
  }
}

/// A login that is going on in one connection.
struct LoginAttempt {
  private(set) var user: [UInt8] = []
  private(set) var method: StaticString = "pass"
  private(set) var isCleartext = true
  /// A secret was sent and not yet answered.
  private(set) var isOpen = false

  mutating func setUser(_ name: Bytes) { user = Array(name.upTo(Limits.credentialUserBytes)) }
  mutating func sent(_ method: StaticString, isCleartext: Bool = true) {
    self.method = method
    self.isCleartext = isCleartext
    isOpen = true
  }
  func send(_ outcome: CredentialMessage.Outcome, _ body: (borrowing CredentialMessage) -> Void) {
    user.withUnsafeBytes { body(CredentialMessage(outcome: outcome, user: $0, method: method, isCleartext: isCleartext)) }
  }
  mutating func answered() { isOpen = false }
}
