// DNS messages (RFC 1035, 6891; mDNS RFC 6762; LLMNR RFC 4795): queries and answers, as text.
// What must stay true: total and linear: a name is at most 255 bytes and each of its pointers goes to before all that was read of it; lists
// are cut at their limits, the counts are not.
import Events
import Primitives

/// One question of one message; a message with several questions is emitted once for each, its answers with the first. Borrowed.
public struct DNSMessage {
  public var id: UInt16 = 0
  /// The second word of the header.
  public var flags: UInt16 = 0
  /// Lower case, without the last dot, empty for the root; label bytes that are no text as `\DDD`, dots in labels as `\.` (RFC 4343). nil: no
  /// question.
  public var questionName: Bytes?
  /// Where in `questionName` the registered domain begins; nil: it has none.
  public var registeredDomainStart: Int?
  public var questionType: UInt16 = 0
  public var questionClass: UInt16 = 0
  /// As the header counts them.
  public var answerCount: UInt16 = 0
  /// A JSON array of objects (name, type, class, ttl, data); empty where there are none.
  public var answers = Bytes.none
  /// A JSON array of the addresses in A and AAAA answers; empty where there are none.
  public var resolvedAddresses = Bytes.none
  /// What EDNS offers to take; nil without EDNS.
  public var udpPayloadBytes: UInt16?
  /// The message ends before its counts are fulfilled.
  public var isCut = false

  public var isResponse: Bool { flags & 0x8000 != 0 }
  public var opCode: UInt8 { UInt8(flags >> 11 & 15) }
  /// Of the header: without the upper bits that EDNS adds.
  public var responseCode: UInt8 { UInt8(flags & 15) }

  func appendFields(to event: inout Event) {
    event.set(.eventAction, isResponse ? "dns-answer" as StaticString : "dns-query")
    event.set(.dnsType, isResponse ? "answer" as StaticString : "query")
    event.set(.dnsID, Int64(id))
    DNSNames.withOpCode(opCode) { event.set(.dnsOpCode, $0) }
    setFlags(&event)
    if let name = questionName {
      event.set(.dnsQuestionName, name)
      setRegisteredDomain(&event)
      DNSNames.withType(questionType) { event.set(.dnsQuestionType, $0) }
      DNSNames.withClass(questionClass) { event.set(.dnsQuestionClass, $0) }
    }
    if let udpPayloadBytes { event.set(.dnsEDNSPayloadBytes, Int64(udpPayloadBytes)) }
    guard isResponse else { return }
    DNSNames.withResponseCode(responseCode) { event.set(.dnsResponseCode, $0) }
    event.set(.eventOutcome, responseCode == 0 ? "success" as StaticString : "failure")
    event.set(.dnsAnswersCount, Int64(answerCount))
    if answers.count > 0 { event.set(.dnsAnswers, answers) }
    if resolvedAddresses.count > 0 { event.set(.dnsResolvedIP, resolvedAddresses) }
  }

  private func setRegisteredDomain(_ event: inout Event) {
    // The event's own copy of the name, so that its parts need none.
    guard let start = registeredDomainStart, let name = event.text(.dnsQuestionName), start < name.count else { return }
    event.set(.dnsQuestionRegisteredDomain, name.from(start))
    if start > 1 { event.set(.dnsQuestionSubdomain, name.upTo(start - 1)) }
  }

  private func setFlags(_ event: inout Event) {
    // The four that matter in practice make sixteen lists, so that no text is built for them.
    let index = Int(flags >> 10 & 1) << 3 | Int(flags >> 9 & 1) << 2 | Int(flags >> 8 & 1) << 1 | Int(flags >> 7 & 1)
    event.set(.dnsHeaderFlags, DNSNames.flagLists[index])
  }
}

/// Memory that a message is read into; it is reused by the next one.
final class DNSScratch {
  var name: [UInt8] = []
  var data: [UInt8] = []
  var answers: [UInt8] = []
  var addresses: [UInt8] = []
  let suffixes = PublicSuffixes()
  init() {
    name.reserveCapacity(1024)
    data.reserveCapacity(1024)
    answers.reserveCapacity(4096)
    addresses.reserveCapacity(1024)
  }
}

/// Reads one message.
struct DNSReader {
  let message: Bytes
  let scratch: DNSScratch
  private(set) var answersAreCut = false

  init(_ message: Bytes, _ scratch: DNSScratch) {
    self.message = message
    self.scratch = scratch
  }

  /// Whether the header of what is known to be DNS can be read.
  static func mayBegin(_ bytes: Bytes) -> Bool {
    guard bytes.count >= 12 else { return false }
    let flags = bytes.u16(at: 2)
    let questions = Int(bytes.u16(at: 4))
    let records = Int(bytes.u16(at: 6)) + Int(bytes.u16(at: 8)) + Int(bytes.u16(at: 10))
    guard questions > 0 || (records > 0 && flags & 0x8000 != 0), questions <= Limits.dnsQuestions else { return false }
    return true
  }

  /// Whether the header can be one: a cheap test that nearly all other datagrams fail.
  static func isLikely(_ bytes: Bytes) -> Bool {
    mayBegin(bytes) && areLikely(flags: bytes.u16(at: 2))
  }
  static func areLikely(flags: UInt16) -> Bool {
    let opCode = flags >> 11 & 15
    return opCode <= 6 && opCode != 3 && flags & 0x40 == 0
  }

  /// Calls `emit` for each question. `isCertain`: it is known to be DNS, so that a message which is cut counts for what is there.
  mutating func read(isCertain: Bool, _ emit: (borrowing DNSMessage) -> Void) -> ParseFailure? {
    guard isCertain ? DNSReader.mayBegin(message) : DNSReader.isLikely(message) else { return ParseFailure(2, .value) }
    var result = DNSMessage()
    result.id = message.u16(at: 0)
    result.flags = message.u16(at: 2)
    result.answerCount = message.u16(at: 6)
    let questionCount = Int(message.u16(at: 4))
    if !isCertain, questionCount * 5 + Int(result.answerCount) * 11 > message.count - 12 { return ParseFailure(4, .length) }
    var at = 12
    for number in 0..<questionCount {
      let start = at
      guard let end = name(at: at, nil), end + 4 <= message.count else {
        // Where the first question cannot be read, nothing can be said.
        if !isCertain || number == 0 { return ParseFailure(start, .name) }
        result.isCut = true
        break
      }
      if !isCertain, !DNSReader.isPlausibleClass(message.u16(at: end + 2)) { return ParseFailure(end + 2, .value) }
      if number == 0, isNetBIOS(start, message.u16(at: end)) { return ParseFailure(start, .value) }
      at = end + 4
    }
    if !result.isCut, let failure = records(&result, from: at, isCertain: isCertain) {
      guard isCertain else { return failure }
      result.isCut = true
    }
    emitAll(&result, questionCount, emit)
    return nil
  }

  private static func isPlausibleClass(_ word: UInt16) -> Bool {
    let value = word & 0x7fff
    return value == 1 || value == 3 || value == 4 || value == 254 || value == 255
  }
  /// NetBIOS names (RFC 1002) have DNS's form: one label of 32 letters from A to P.
  private func isNetBIOS(_ at: Int, _ type: UInt16) -> Bool {
    guard type == 32 || type == 33, message[at] == 32, message.count > at + 33 else { return false }
    return message.slice(at + 1, at + 33).allSatisfy { $0 >= 0x41 && $0 <= 0x50 }
  }

  private func emitAll(_ result: inout DNSMessage, _ questionCount: Int, _ emit: (borrowing DNSMessage) -> Void) {
    scratch.answers.withUnsafeBytes { answers in
      scratch.addresses.withUnsafeBytes { addresses in
        result.answers = answers
        result.resolvedAddresses = addresses
        if questionCount == 0 { return emit(result) }
        var at = 12
        for number in 0..<questionCount {
          scratch.name.removeAll(keepingCapacity: true)
          guard let end = name(at: at, scratch), end + 4 <= message.count else { return }
          result.questionType = message.u16(at: end)
          result.questionClass = message.u16(at: end + 2) & 0x7fff
          at = end + 4
          scratch.name.withUnsafeBytes {
            result.questionName = $0
            result.registeredDomainStart = scratch.suffixes.registeredDomain(in: $0)
            emit(result)
          }
          if number == 0 {
            result.answers = .none
            result.resolvedAddresses = .none
          }
        }
      }
    }
  }

  // MARK: Names

  /// The name at `start`: appended to `out.name` where that is given. Returns the offset behind it; nil if it is none.
  func name(at start: Int, _ out: DNSScratch?) -> Int? {
    var at = start
    var lowest = start
    var end = -1
    var wireBytes = 1
    var pointers = 0
    while at < message.count {
      let length = Int(message[at])
      if length == 0 { return end >= 0 ? end : at + 1 }
      if length >= 0xc0 {
        guard at + 1 < message.count else { return nil }
        let target = (length & 0x3f) << 8 | Int(message[at + 1])
        pointers += 1
        guard target < lowest, pointers <= Limits.dnsNamePointers else { return nil }
        if end < 0 { end = at + 2 }
        lowest = target
        at = target
        continue
      }
      wireBytes += length + 1
      guard length < 0x40, wireBytes <= 255, at + 1 + length <= message.count else { return nil }
      if let out { DNSReader.append(label: message.slice(at + 1, at + 1 + length), isFirst: wireBytes == length + 2, to: &out.name) }
      at += 1 + length
    }
    return nil
  }

  private static func append(label: Bytes, isFirst: Bool, to out: inout [UInt8]) {
    if !isFirst { out.append(0x2e) }
    var i = 0
    while i < label.count {
      let byte = label[i]
      switch byte {
      case 0x41...0x5a: out.append(byte | 0x20)
      case 0x2e, 0x5c:
        out.append(0x5c)
        out.append(byte)
      case 0x20...0x7e: out.append(byte)
      default:
        let length = byte >= 0x80 ? utf8SequenceLength(label, at: i) : -1
        if length > 0 {
          out.append(label.slice(i, i + length))
          i += length
          continue
        }
        out.append(0x5c)
        out.append(decimal: UInt64(byte), minimumDigits: 3)
      }
      i += 1
    }
  }

  // MARK: Records

  private mutating func records(_ result: inout DNSMessage, from start: Int, isCertain: Bool) -> ParseFailure? {
    scratch.answers.removeAll(keepingCapacity: true)
    scratch.addresses.removeAll(keepingCapacity: true)
    defer {
      if !scratch.answers.isEmpty { scratch.answers.append(0x5d) }
      if !scratch.addresses.isEmpty { scratch.addresses.append(0x5d) }
    }
    let answers = Int(result.answerCount)
    let total = answers + Int(message.u16(at: 8)) + Int(message.u16(at: 10))
    var at = start
    for number in 0..<total {
      guard let fixed = name(at: at, nil), fixed + 10 <= message.count else { return ParseFailure(at, .name) }
      let type = message.u16(at: fixed)
      let length = Int(message.u16(at: fixed + 8))
      let data = fixed + 10
      guard data + length <= message.count else { return ParseFailure(fixed + 8, .length) }
      if type == 41 { result.udpPayloadBytes = message.u16(at: fixed + 2) }
      if number < answers { append(answer: at, type, fixed, data, length, number) }
      at = data + length
    }
    // What follows is not DNS's; a message that is recognised by its content alone has nothing there.
    return at < message.count && !isCertain ? ParseFailure(at, .length) : nil
  }

  private mutating func append(answer at: Int, _ type: UInt16, _ fixed: Int, _ data: Int, _ length: Int, _ number: Int) {
    guard number < Limits.dnsAnswers, scratch.answers.count < Limits.dnsAnswerBytes else {
      answersAreCut = true
      return
    }
    scratch.data.removeAll(keepingCapacity: true)
    DNSRecordData.append(self, type, data, length, to: scratch)
    if (type == 1 && length == 4) || (type == 28 && length == 16) {
      scratch.addresses.append(scratch.addresses.isEmpty ? 0x5b : 0x2c)
      scratch.data.withUnsafeBytes { JSONWriter.appendQuoted($0, to: &scratch.addresses) }
    }
    scratch.name.removeAll(keepingCapacity: true)
    _ = name(at: at, scratch)
    scratch.answers.append(scratch.answers.isEmpty ? 0x5b : 0x2c)
    scratch.answers.append("{\"name\":" as StaticString)
    scratch.name.withUnsafeBytes { JSONWriter.appendQuoted($0, to: &scratch.answers) }
    scratch.answers.append(",\"type\":\"" as StaticString)
    DNSNames.withType(type) { scratch.answers.append($0) }
    scratch.answers.append("\",\"class\":\"" as StaticString)
    DNSNames.withClass(message.u16(at: fixed + 2) & 0x7fff) { scratch.answers.append($0) }
    scratch.answers.append("\",\"ttl\":" as StaticString)
    scratch.answers.append(decimal: UInt64(message.u32(at: fixed + 4)), minimumDigits: 1)
    scratch.answers.append(",\"data\":" as StaticString)
    scratch.data.withUnsafeBytes { JSONWriter.appendQuoted($0, to: &scratch.answers) }
    scratch.answers.append(0x7d)
  }
}
