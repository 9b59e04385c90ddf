// Who holds which address of the link, and who asks for whom: the few ARP packets that say something, of the many that repeat.
// Told are: a question with what became of it (the first time, and again ten minutes later), an address that another card holds now, and
// answers of the new holder that nobody asked for. Not told: everything else.
// What must stay true: bounded; one step for a packet; what is told depends on packets and their time only.
import Primitives

/// What an ARP packet, or the silence behind one, tells.
public struct ARPNews: Equatable, Sendable {
  public enum Kind: Equatable, Sendable {
    /// `address` asked for `target`, and got an answer, or none within `ARPTable.patience`.
    case asked(target: UInt32, isAnswered: Bool)
    /// `address` is held by `mac` now, before by `previous`.
    case changed(previous: UInt64, isUnsolicited: Bool)
    /// The new holder tells it again, unasked.
    case insisted
  }
  public var kind: Kind
  /// IPv4.
  public var address: UInt32
  /// 48 bits.
  public var mac: UInt64
  public var time: EventTime
}

struct ARPTable: ~Copyable {
  static let patience = Nanoseconds.seconds(2)
  static let memory = Nanoseconds.minutes(10)

  private struct Binding {
    var mac: UInt64
    var changedAt: EventTime
  }
  private struct Request {
    var mac: UInt64
    var time: EventTime
    var isTold: Bool
  }
  private struct Question: TableKey {
    var sender: UInt32
    var target: UInt32
  }
  private var bindings = BoundedTable<UInt32, Binding>(capacity: Limits.arpBindings)
  private var requests = BoundedTable<Question, Request>(capacity: Limits.arpRequests)
  /// Questions that are not told yet, in the order of their time. At most one for each entry of `requests`.
  private var waiting: [Question] = []
  private var nextWaiting = 0
  var news: [ARPNews] = []
  var evicted: UInt64 { bindings.evictions + requests.evictions }

  mutating func observe(_ packet: ARPPacket, at time: EventTime) {
    expire(time)
    // Probes (RFC 5227) come from nobody.
    guard packet.senderAddress != 0, packet.senderMAC != 0 else { return }
    let isAnswer = packet.operation == 2
    var isAsked = false
    if isAnswer { isAsked = answer(packet, time) }
    learn(packet, isUnsolicited: isAnswer && !isAsked, time)
    if packet.operation == 1, packet.targetAddress != packet.senderAddress { ask(packet, time) }
  }

  private mutating func ask(_ packet: ARPPacket, _ time: EventTime) {
    let question = Question(sender: packet.senderAddress, target: packet.targetAddress)
    if let known = requests.peek(question), time - known.time < ARPTable.memory, known.time <= time {
      // An answer to a repeated question was asked for.
      _ = requests.updateExisting(question) { if $0.isTold { $0.time = time } }
      return
    }
    requests.update(question, make: { Request(mac: packet.senderMAC, time: time, isTold: false) }) {
      $0 = Request(mac: packet.senderMAC, time: time, isTold: false)
    }
    waiting.append(question)
  }

  /// False: nobody asked for it lately.
  private mutating func answer(_ packet: ARPPacket, _ time: EventTime) -> Bool {
    let question = Question(sender: packet.targetAddress, target: packet.senderAddress)
    guard let request = requests.peek(question), time - request.time < .seconds(10) else { return false }
    if !request.isTold { tell(question, request, isAnswered: true, time) }
    return true
  }

  private mutating func tell(_ question: Question, _ request: Request, isAnswered: Bool, _ time: EventTime) {
    _ = requests.modify(question) { $0.isTold = true }
    news.append(
      ARPNews(kind: .asked(target: question.target, isAnswered: isAnswered), address: question.sender, mac: request.mac, time: time))
  }

  private mutating func expire(_ time: EventTime) {
    while nextWaiting < waiting.count {
      let question = waiting[nextWaiting]
      if let request = requests.peek(question), !request.isTold {
        let age = time - request.time
        if age < ARPTable.patience, age.count >= 0 { break }
        tell(question, request, isAnswered: false, time)
      }
      nextWaiting += 1
    }
    if nextWaiting == waiting.count || nextWaiting > Limits.arpRequests {
      waiting.removeFirst(nextWaiting)
      nextWaiting = 0
    }
  }

  private mutating func learn(_ packet: ARPPacket, isUnsolicited: Bool, _ time: EventTime) {
    let (address, mac) = (packet.senderAddress, packet.senderMAC)
    bindings.update(address, make: { Binding(mac: mac, changedAt: .distantPast) }) { binding in
      if binding.mac != mac {
        news.append(ARPNews(kind: .changed(previous: binding.mac, isUnsolicited: isUnsolicited), address: address, mac: mac, time: time))
        binding = Binding(mac: mac, changedAt: time)
      } else if isUnsolicited, binding.changedAt != .distantPast, time - binding.changedAt <= ARPTable.memory {
        news.append(ARPNews(kind: .insisted, address: address, mac: mac, time: time))
      }
    }
  }
}
