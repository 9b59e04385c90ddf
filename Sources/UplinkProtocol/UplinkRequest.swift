// What the engine may ask of the uplink, and what it gets for an answer: a closed table. It can name a webhook that the uplink's own
// configuration has; it can name no address, no header, no method and no file.
import Primitives

public enum UplinkRequest: Hashable, Sendable {
  /// Send `body` to the webhook of this name, once for each key. Both are names (`UplinkName`); the body has at most
  /// `Limits.webhookBodyBytes` and means nothing to the uplink.
  case deliver(webhook: String, key: String, body: [UInt8])
  /// What came of deliveries since it was last asked. What was told once is not told again, unless the delivery is asked for again.
  case collect
  case status

  enum Kind: UInt8 { case deliver = 1, collect, status }
  var kind: Kind {
    switch self {
    case .deliver: .deliver
    case .collect: .collect
    case .status: .status
    }
  }
}

/// Names of webhooks, and idempotency keys: 1 to 64 letters, digits, '-', '_' or '.'. They go into headers and messages as they are.
public enum UplinkName {
  public static let longest = 64
  public static func isValid<Name: Collection>(_ name: Name) -> Bool where Name.Element == UInt8 {
    (1...longest).contains(name.count)
      && name.allSatisfy {
        (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x2d || $0 == 0x2e || $0 == 0x5f
      }
  }
}

public enum UplinkAnswer: Hashable, Sendable {
  /// It will be sent, or has been: `collect` tells.
  case accepted
  case refused(DeliveryRefusal)
  case outcomes([DeliveryOutcome])
  case status(UplinkStatus)

  enum Kind: UInt8 { case accepted = 1, refused, outcomes, status }
  var kind: Kind {
    switch self {
    case .accepted: .accepted
    case .refused: .refused
    case .outcomes: .outcomes
    case .status: .status
    }
  }
}

/// Why a delivery is not taken.
public enum DeliveryRefusal: UInt8, Hashable, Sendable, CaseIterable, CustomStringConvertible {
  case unknownWebhook = 1
  case queueFull

  /// One word, for counters.
  public var name: String {
    switch self {
    case .unknownWebhook: "unknown-webhook"
    case .queueFull: "queue-full"
    }
  }
  public var description: String {
    switch self {
    case .unknownWebhook: "the uplink's configuration has no webhook of this name"
    case .queueFull: "too much waits for this webhook already"
    }
  }
}

/// How a delivery ended.
public struct DeliveryOutcome: Hashable, Sendable {
  public var key: String
  /// Requests that were made for it.
  public var attempts: UInt32
  /// Empty: the other side has it (HTTP 2xx). Else why it was given up, at most `Limits.uplinkTextBytes`.
  public var failure: String
  public init(key: String, attempts: UInt32, failure: String = "") {
    (self.key, self.attempts, self.failure) = (key, attempts, failure)
  }
  public var isDelivered: Bool { failure.isEmpty }
}

/// One webhook as it stands. Never its address: that may hold a secret.
public struct WebhookStatus: Hashable, Sendable {
  public var name: String
  public var waiting: UInt32
  /// Why the last attempt failed; empty: it did not, or there was none.
  public var problem: String
  public init(name: String, waiting: UInt32, problem: String) { (self.name, self.waiting, self.problem) = (name, waiting, problem) }
}

public struct UplinkStatus: Hashable, Sendable {
  public var accepted: UInt64 = 0
  public var refused: UInt64 = 0
  public var delivered: UInt64 = 0
  public var failed: UInt64 = 0
  public var attempts: UInt64 = 0
  /// Asked for again while it waited or after it was done; sent once all the same.
  public var repeated: UInt64 = 0
  /// Outcomes that nobody collected in time.
  public var outcomesForgotten: UInt64 = 0
  public var peersRefused: UInt64 = 0
  public var malformedFrames: UInt64 = 0
  public var connectionsClosed: UInt64 = 0
  public var auditLinesDropped: UInt64 = 0
  /// In the order of their names; at most `Limits.webhooks`.
  public var webhooks: [WebhookStatus] = []
  public init() {}

  /// In the order of the wire, with the words that status shows.
  public static let counters: [(name: String, path: WritableKeyPath<UplinkStatus, UInt64> & Sendable)] = [
    ("webhook deliveries accepted", \.accepted), ("webhook deliveries refused", \.refused), ("webhook deliveries done", \.delivered),
    ("webhook deliveries given up", \.failed), ("webhook requests made", \.attempts), ("webhook deliveries asked for again", \.repeated),
    ("webhook outcomes forgotten", \.outcomesForgotten), ("uplink peers refused", \.peersRefused), ("uplink frames malformed", \.malformedFrames),
    ("uplink connections closed", \.connectionsClosed), ("uplink audit lines dropped", \.auditLinesDropped),
  ]
}
