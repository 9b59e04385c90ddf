// Redis' protocol (RESP2 and RESP3), as far as AUTH and HELLO go.
// What must stay true: values are passed over, not held; after the login, or `Limits.redisCommands` commands without one, it is given up.
import Primitives

final class RedisParser: StreamParser {
  private let client: FlowDirection
  private var login = LoginAttempt()
  private var commands = 0
  private var isOver = false

  init(_ context: ApplicationContext, client: FlowDirection) {
    self.client = client
    super.init(.redis, context)
  }
  override var messageLimit: Int { Limits.commandLineBytes }

  /// A command as an array of bulk strings: "*2\r\n$4\r\nAUTH\r\n".
  static func recognise(_ bytes: Bytes) -> Bool? {
    guard let first = bytes.first else { return nil }
    guard first == 0x2a else { return false }
    guard let end = bytes.upTo(16).index(of: 0x0a) else { return bytes.count < 16 && bytes.from(1).allSatisfy { $0 < 0x3a } ? nil : false }
    guard bytes.slice(1, end).trimmed.decimal != nil, end >= 3, bytes[end - 1] == 0x0d else { return false }
    return end + 1 < bytes.count ? bytes[end + 1] == 0x24 : nil
  }

  override func parse(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    if isOver { return .done }
    return direction == client ? command(bytes, frame, emit) : answer(bytes, frame, emit)
  }

  private func command(_ bytes: Bytes, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    guard bytes[0] == 0x2a else { return .failed(ParseFailure(0, .value)) }
    var at = 0
    guard let count = number(bytes, 0x2a, &at) else { return more(bytes) }
    guard count > 0, count <= 1 << 20 else { return .failed(ParseFailure(1, .value)) }
    var words: (Bytes, Bytes, Bytes, Bytes) = (.none, .none, .none, .none)
    for i in 0..<count {
      // The words that say what it is are short; what follows is passed over with the last length.
      guard at < bytes.count else { return more(bytes) }
      guard bytes[at] == 0x24 else { return .failed(ParseFailure(at, .value)) }
      guard let length = number(bytes, 0x24, &at) else { return more(bytes) }
      guard length >= 0, length <= 512 << 20 else { return .failed(ParseFailure(at, .length)) }
      guard bytes.count >= at + length + 2 else {
        let isLogin = words.0.equalsIgnoringCase("auth") || words.0.equalsIgnoringCase("hello") || i == 0
        if isLogin, length < 1024 { return .needs(at + length + 2) }
        // Nothing of interest: the connection has its data.
        isOver = true
        return .done
      }
      let word = bytes.slice(at, at + length)
      switch i {
      case 0: words.0 = word
      case 1: words.1 = word
      case 2: words.2 = word
      case 3: words.3 = word
      default: break
      }
      at += length + 2
    }
    note(words, count, frame, emit)
    return isOver ? .done : .took(at)
  }
  private func more(_ bytes: Bytes) -> ParseStep { .needs(bytes.count + 1) }
  /// "<type><number>\r\n" at `at`, which is moved behind it.
  private func number(_ bytes: Bytes, _ type: UInt8, _ at: inout Int) -> Int? {
    guard at < bytes.count, bytes[at] == type, let end = bytes.upTo(at + 24).index(of: 0x0a, from: at) else { return nil }
    let text = bytes.slice(at + 1, end).trimmed
    at = end + 1
    return text.decimal.map { Int($0) } ?? -1
  }

  private func note(_ words: (Bytes, Bytes, Bytes, Bytes), _ count: Int, _ frame: UInt64, _ emit: MessageReceiver) {
    commands += 1
    if words.0.equalsIgnoringCase("auth"), count >= 2 {
      login.setUser(count >= 3 ? words.1 : Bytes("default"))
      sent(frame, emit)
    } else if words.0.equalsIgnoringCase("hello"), count >= 5, words.2.equalsIgnoringCase("auth") {
      login.setUser(words.3)
      sent(frame, emit)
    } else if commands > Limits.redisCommands {
      isOver = true
    }
  }
  private func sent(_ frame: UInt64, _ emit: MessageReceiver) {
    login.sent("auth")
    login.send(.sent) { emit(message(.credential($0), client, frame, isFromClient: true)) }
  }

  private func answer(_ bytes: Bytes, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    // Only lines are looked at: what is nested in an answer begins with a type of its own, on a line of its own.
    guard let end = bytes.upTo(Limits.commandLineBytes).index(of: 0x0a) else {
      return bytes.count >= Limits.commandLineBytes ? .took(bytes.count) : .needs(bytes.count + 1)
    }
    let line = bytes.upTo(end).trimmed
    if login.isOpen, line.starts(with: "+OK") || line.starts(with: "%") || line.starts(with: "-") {
      let isAccepted = !line.starts(with: "-")
      login.answered()
      login.send(isAccepted ? .accepted : .refused) { emit(message(.credential($0), client.opposite, frame, isFromClient: false)) }
      isOver = isAccepted
    } else if line.starts(with: "$"), let length = line.from(1).decimal {
      return .took(end + 1 + Int(length) + 2)
    }
    return isOver ? .done : .took(end + 1)
  }
}
