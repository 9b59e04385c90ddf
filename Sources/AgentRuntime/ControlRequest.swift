// What may be asked of the running agent over its control socket, and what it answers. One request is one line of words; anything that is
// not in this table is refused. Pure.
import Primitives

public enum ControlRequest: Equatable, Sendable {
  case status
  /// `confirmWithin`: seconds in which `confirm` must come from another session, or everything is rolled back. nil: for good.
  case arm(confirmWithin: Int64?, session: String)
  /// `began`: when the session began, in milliseconds since this host was started.
  case confirm(session: String, began: Int64)
  case disarm
  /// Read configuration, rules and playbooks again.
  case reload
  case approve(String)
  case deny(String)
  case block(CIDR, seconds: Int64)
  case unblock(CIDR)
  case unblockAll
  case blocks
  case pending
  /// What the responder remembers of what it did on this host.
  case actions
  /// By an action's key, or the beginning of it.
  case undo(String)
  case baseline(BaselineRequest)
  /// Record the input from now on, or no longer.
  case record(Bool)
  /// What a person says of a decision.
  case mark(MarkRequest)

  /// Whether the agent is another one afterwards.
  public var changes: Bool {
    switch self {
    case .status, .blocks, .pending, .actions: false
    default: true
    }
  }

  /// How long to wait for the answer: rules and playbooks are read and checked for it, all others are answered at once.
  public var patienceSeconds: Int { self == .reload ? 60 : 5 }

  public var line: String {
    switch self {
    case .status: "status"
    case .arm(nil, _): "arm"
    case .arm(let seconds?, let session): "arm \(seconds) \(session)"
    case .confirm(let session, let began): "confirm \(session) \(began)"
    case .disarm: "disarm"
    case .reload: "reload"
    case .approve(let id): "approve \(id)"
    case .deny(let id): "deny \(id)"
    case .block(let network, let seconds): "block \(network) \(seconds)"
    case .unblock(let network): "unblock \(network)"
    case .unblockAll: "unblock-all"
    case .blocks: "blocks"
    case .pending: "pending"
    case .actions: "actions"
    case .undo(let key): "undo \(key)"
    case .baseline(let request): request.line
    case .record(let isWanted): isWanted ? "record on" : "record off"
    case .mark(let request): request.line
    }
  }

  /// nil: none of these.
  public init?(_ line: String) {
    guard line.utf8.count <= Limits.controlRequestBytes, line.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) else { return nil }
    let words = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    func session(_ word: String) -> String? { SessionIdentity.isValid(word) ? word : nil }
    func id(_ word: String) -> String? { (1...64).contains(word.utf8.count) && word.utf8.allSatisfy(\.isAlphanumeric) ? word : nil }
    switch (words.first, words.count) {
    case ("status", 1): self = .status
    case ("arm", 1): self = .arm(confirmWithin: nil, session: "")
    case ("arm", 3):
      guard let seconds = Int64(words[1]), Limits.confirmationSeconds.contains(seconds), let session = session(words[2]) else { return nil }
      self = .arm(confirmWithin: seconds, session: session)
    case ("confirm", 3):
      guard let session = session(words[1]), let began = Int64(words[2]), began >= 0 else { return nil }
      self = .confirm(session: session, began: began)
    case ("disarm", 1): self = .disarm
    case ("reload", 1): self = .reload
    case ("approve", 2), ("deny", 2):
      guard let id = id(words[1]) else { return nil }
      self = words[0] == "approve" ? .approve(id) : .deny(id)
    case ("block", 3):
      guard let network = CIDR(words[1]), let seconds = Int64(words[2]), Limits.operatorBlockSeconds.contains(seconds) else { return nil }
      self = .block(network, seconds: seconds)
    case ("unblock", 2):
      guard let network = CIDR(words[1]) else { return nil }
      self = .unblock(network)
    case ("unblock-all", 1): self = .unblockAll
    case ("blocks", 1): self = .blocks
    case ("pending", 1): self = .pending
    case ("actions", 1): self = .actions
    case ("undo", 2):
      guard let key = id(words[1]) else { return nil }
      self = .undo(key)
    case ("baseline", _):
      guard let request = BaselineRequest(words: words) else { return nil }
      self = .baseline(request)
    case ("record", 2):
      guard words[1] == "on" || words[1] == "off" else { return nil }
      self = .record(words[1] == "on")
    case ("mark", _):
      guard let request = MarkRequest(words: words) else { return nil }
      self = .mark(request)
    default: return nil
    }
  }
}

extension UInt8 {
  fileprivate var isAlphanumeric: Bool { (0x30...0x39).contains(self) || (0x61...0x7a).contains(self) || (0x41...0x5a).contains(self) }
}

/// Who asks, by the kernel's word (SO_PEERCRED).
public struct ControlPeer: Sendable, CustomStringConvertible {
  public var uid: UInt32
  public var pid: Int32
  public init(uid: UInt32, pid: Int32) {
    self.uid = uid
    self.pid = pid
  }
  public var description: String { "uid \(uid), pid \(pid)" }
}

/// The answer to a request that changes something.
public struct ControlOutcome: Sendable, Equatable {
  public var isDone: Bool
  /// A sentence for people; it may hold text from logs.
  public var message: String
  public init(isDone: Bool, message: String) {
    self.isDone = isDone
    self.message = message
  }
  /// For the audit log.
  public var told: String { (isDone ? "done: " : "refused: ") + message }
  public static func done(_ message: String) -> ControlOutcome { ControlOutcome(isDone: true, message: message) }
  public static func refused(_ message: String) -> ControlOutcome { ControlOutcome(isDone: false, message: message) }

  public var json: [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    json.key("done")
    json.value(isDone)
    json.key("message")
    json.value(message)
    json.endObject()
    return json.out
  }
  /// Throws where the bytes are no such answer.
  public init(json bytes: Bytes) throws {
    (isDone, message) = (false, "")
    try JSONMembers.forEach(of: bytes) { key, value in
      switch key.string {
      case "done": isDone = value.string == "true"
      case "message": message = AgentStatus.text(value)
      default: break
      }
    }
  }
}

/// Anybody's text as a word of a request.
enum HexadecimalWord {
  static func of(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
  /// nil: not an even number of digits, or none.
  static func bytes(_ text: String) -> [UInt8]? {
    let digits = text.utf8.map { hexDigit($0) }
    guard !digits.isEmpty, digits.count % 2 == 0, !digits.contains(where: { $0 == nil }) else { return nil }
    return stride(from: 0, to: digits.count, by: 2).map { (digits[$0] ?? 0) << 4 | (digits[$0 + 1] ?? 0) }
  }
}
