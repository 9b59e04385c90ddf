// Decisions as signed ATR events: what `output.atr_events` of the configuration, `replay --format atr` and `decisions --format atr` write.
import Detection
import Export
import Primitives
import RuleLanguage

/// Makes the lines. The same decisions, rules and key give the same bytes.
public struct ATREventWriter: Sendable {
  private let options: ATREvent.Options
  private let key: SigningKey?
  private let rules: [String: Rule]  // only looked up

  public init(rules: RuleSet, key: SigningKey?, redacts: Bool) {
    var options = ATREvent.Options(version: Version.text)
    options.redacts = redacts
    options.keyID = key?.verifyingKey.id
    self.options = options
    self.key = key
    self.rules = Dictionary(rules.rules.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// One line without its newline.
  public func line(_ decision: Decision) throws -> [UInt8] {
    let event = ATREvent(decision, rule: rules[decision.ruleID], options: options)
    return event.line(signature: try key.map { Base64.encode(try $0.sign(event.signedBytes)) })
  }
}

/// Whether a line is what its signer wrote.
public enum ATREventVerification: Hashable, Sendable, CustomStringConvertible {
  case valid
  case unsigned
  case otherKey(String)
  case tampered
  case unreadable(String)

  public init(_ line: Bytes, key: VerifyingKey) {
    do {
      let event = try ATREvent.read(line)
      guard let signature = event.signature else {
        self = .unsigned
        return
      }
      if let id = event.keyID, id != key.id {
        self = .otherKey(id)
        return
      }
      self = Base64.decode(signature).map { key.isValid($0, of: event.signedBytes) } == true ? .valid : .tampered
    } catch {
      self = .unreadable("\(error)")
    }
  }
  public var description: String {
    switch self {
    case .valid: "the signature is valid"
    case .unsigned: "is not signed"
    case .otherKey(let id): "is signed with another key (\(id))"
    case .tampered: "the signature does not fit: the event was changed"
    case .unreadable(let why): "cannot be read: \(why)"
    }
  }
}
