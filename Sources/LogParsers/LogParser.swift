// One line in, one event out: header, then the message by its program. One parser for each input, because the year of a stamp and
// the form of headerless lines are the input's.
// Invariants: total (any bytes give an event that holds at least the message), linear, and no allocation in the steady state.
import Events
import Primitives

public struct LogParser: ~Copyable {
  public private(set) var counters = LogParserCounters()

  private let format: LogFormat
  private let utcOffsetSeconds: Int64
  private var reader: SyslogHeaderReader
  private let forcedProgram: [UInt8]
  private let forcedService: Int?
  private let programs = ProgramTable.shared
  private let sshdService: Int
  /// Headerless form that fitted last: tried first.
  private var lastHeaderless = 0
  private var lastTime: EventTime
  /// Program, pid and message of the last line with a header, for "last message repeated N times".
  private var previous = PreviousMessage()
  private let rsyslog = RsyslogEntry()
  private let vouched = VouchedProcesses()

  /// - inputTime: the input's modification time. Stamps without a year get theirs from it, lines without a stamp get it whole.
  /// - program: read messages as this program's; lines need no header then. Where a line has a header of another program and its message
  ///   is not known to `program`, the header's program is tried.
  /// - utcOffsetSeconds: of stamps without a zone, east of UTC is positive.
  public init(format: LogFormat, inputTime: EventTime, program: String? = nil, utcOffsetSeconds: Int64 = 0) {
    self.format = format
    self.utcOffsetSeconds = utcOffsetSeconds
    reader = SyslogHeaderReader(inputTime: inputTime, utcOffsetSeconds: max(-86_400, min(86_400, utcOffsetSeconds)))
    let forced = Array((program ?? "").utf8)
    forcedProgram = forced
    forcedService = forced.withUnsafeBytes { ProgramTable.shared.service(of: $0) }
    sshdService = programs.service(of: Bytes("sshd")) ?? -1
    lastTime = inputTime
  }

  /// The input was seen to be modified at `time`: a followed log outlives the time at which it was opened.
  public mutating func noteInputTime(_ time: EventTime) { reader.noteInputTime(time) }

  // MARK: Lines

  /// Reads one line (without its newline) into `event`, which is begun anew.
  public mutating func parse(_ line: Bytes, origin: EventOrigin, into event: inout Event) -> ParseOutcome {
    counters.lines &+= 1
    var text = event.begin(raw: line, origin: origin)
    if text.count < line.count { counters.truncated &+= 1 }
    if text.count > 0, text[text.count - 1] == 0x0d { text = text.upTo(text.count - 1) }
    let outcome = parseText(text, &event)
    lastTime = event.time
    switch outcome {
    case .parsed: counters.parsed &+= 1
    case .headerOnly: counters.headerOnly &+= 1
    case .unparsed: counters.unparsed &+= 1
    }
    if event.repeatCount > 1 { counters.repeated &+= 1 }
    if event.has(.isAmbiguous) { counters.ambiguous &+= 1 }
    return outcome
  }

  private mutating func parseText(_ text: Bytes, _ event: inout Event) -> ParseOutcome {
    if format == .rsyslog { return parseRsyslog(text, &event) }
    var header = SyslogHeader()
    if format == .auto || format == .syslog, reader.read(text, into: &header) {
      put(header, &event)
      return parseMessage(header.message, program: header.program, &event)
    }
    event.time = lastTime
    event.timeBasis = .inherited
    if format == .auto || format == .syslog, let line = LogParser.kernelLine(text) {
      if line.priority >= 0 {
        event.set(.logSyslogPriority, line.priority)
        event.set(.logSyslogFacility, line.priority >> 3)
        event.set(.logSyslogSeverity, line.priority & 7)
      }
      event.set(.processName, "kernel")
      event.set(.message, line.message)
      return parseMessage(line.message, program: Bytes("kernel"), &event)
    }
    if !forcedProgram.isEmpty {
      event.set(.message, text)
      forcedProgram.withUnsafeBytes { event.set(.processName, $0) }
      return parseMessage(text, program: .none, &event)
    }
    if format != .syslog, format != .plain, parseHeaderless(text, &event) {
      if !event.has(.message) { event.set(.message, text) }
      return .parsed
    }
    event.set(.message, text)
    if format == .auto, GenericMessage.parseLine(text, into: &event) { return .parsed }
    if format == .plain, let fallback = ServiceParser.fallback, fallback(text, &event) { return .parsed }
    return .unparsed
  }

  private mutating func parseHeaderless(_ text: Bytes, _ event: inout Event) -> Bool {
    let forms = ServiceParser.headerless
    guard !forms.isEmpty else { return false }
    for i in 0..<forms.count {
      let at = (lastHeaderless + i) % forms.count
      guard format == .auto || format == forms[at].format else { continue }
      if forms[at].parse(text, utcOffsetSeconds, &event) {
        lastHeaderless = at
        return true
      }
    }
    return false
  }

  @inline(__always)
  private mutating func put(_ header: SyslogHeader, _ event: inout Event) {
    switch header.basis {
    case .stamped:
      event.time = header.time
      event.timeBasis = .stamped
    case .yearInferred:
      event.time = header.time
      event.timeBasis = .yearInferred
    case .impossible:
      event.time = lastTime
      event.timeBasis = .inherited
      counters.badTime &+= 1
    }
    if header.host.count > 0 { event.set(.hostName, header.host) }
    if header.priority >= 0 {
      event.set(.logSyslogPriority, header.priority)
      event.set(.logSyslogFacility, header.priority >> 3)
      event.set(.logSyslogSeverity, header.priority & 7)
    }
    if header.program.count > 0 { putProgram(header.program, &event) }
    if header.pid >= 0 { event.set(.processPid, header.pid) }
    if header.messageID.count > 0 { event.set(.logSyslogMsgid, header.messageID) }
    if header.structuredData.count > 0 { LogParser.putStructuredData(header.structuredData, &event) }
    event.set(.message, header.message)
  }
  @inline(__always)
  private func putProgram(_ program: Bytes, _ event: inout Event) {
    if program[0] == 0x2f, let slash = program.lastIndex(of: 0x2f), slash + 1 < program.count {
      event.set(.processExecutable, program)
      event.set(.processName, program.from(slash + 1))
    } else {
      event.set(.processName, program)
    }
  }

  /// RFC 5424 parameters as `log.syslog.structured_data.<id>.<name>`, unescaped.
  private static func putStructuredData(_ data: Bytes, _ event: inout Event) {
    var name: [UInt8] = []
    var value: [UInt8] = []
    SyslogHeaderReader.forEachParameter(of: data) { id, parameter, raw in
      name.removeAll(keepingCapacity: true)
      name.append("log.syslog.structured_data.")
      name.append(id)
      name.append(0x2e)
      name.append(parameter)
      value.removeAll(keepingCapacity: true)
      var i = 0
      while i < raw.count {
        if raw[i] == 0x5c, i + 1 < raw.count, raw[i + 1] == 0x22 || raw[i + 1] == 0x5c || raw[i + 1] == 0x5d { i += 1 }
        value.append(raw[i])
        i += 1
      }
      name.withUnsafeBytes { n in value.withUnsafeBytes { v in event.setExtra(n, v) } }
    }
  }

  // MARK: Messages

  /// The message by its program. `event.message` and the header's fields are set.
  private mutating func parseMessage(_ whole: Bytes, program: Bytes, _ event: inout Event) -> ParseOutcome {
    var message = whole
    var program = program
    if message.count > 0 {
      let first = message[0]
      if first == 0x5b, program.equals("kernel") {
        message = LogParser.withoutUptime(message)
        event.set(.message, message)
      } else if first == 0x6d, let inner = LogParser.repeated(message) {
        event.repeatCount = inner.count
        message = inner.message
        event.set(.message, message)
      } else if first == 0x6c, program.count == 0, let count = LogParser.lastRepeated(message) {
        guard previous.restore(into: &event, count: count) else { return .headerOnly }
        message = event.text(.message) ?? .none
        program = event.text(.processName) ?? .none
        return dispatch(message, program: program, &event) ? .parsed : .headerOnly
      }
    }
    previous.note(program: program, pid: event.integer(.processPid) ?? -1, message: message)
    return dispatch(message, program: program, &event) ? .parsed : .headerOnly
  }

  @inline(__always)
  private func dispatch(_ message: Bytes, program: Bytes, _ event: inout Event) -> Bool {
    if PamUnix.begins(message), LogParser.maySpeakFor(message, program), PamUnix.parse(message, &event) { return true }
    if let forced = forcedService, run(forced, message, &event) { return true }
    if let service = service(of: program) { return run(service, message, &event) || fallback(message, &event) }
    if program.ends(with: "(pam_unix)") {
      return PamUnix.parseBody(message, service: program.upTo(program.count - 10), &event)
    }
    return fallback(message, &event)
  }
  /// PAM modules log under the name of the program that loaded them. What says "pam_unix(sshd:auth)" under another name is some
  /// program's output, perhaps in a stranger's words.
  private static func maySpeakFor(_ message: Bytes, _ program: Bytes) -> Bool {
    guard let open = message.upTo(48).index(of: 0x28), message.from(open + 1).starts(with: "sshd:"), program.count > 0 else { return true }
    let name = program.lastIndex(of: 0x2f).map { program.from($0 + 1) } ?? program
    return name.starts(with: "sshd")
  }
  @inline(__always)
  private func service(of program: Bytes) -> Int? {
    if program.count > 0, program[0] == 0x2f, let slash = program.lastIndex(of: 0x2f) { return programs.service(of: program.from(slash + 1)) }
    return programs.service(of: program)
  }
  @inline(__always)
  private func run(_ service: Int, _ message: Bytes, _ event: inout Event) -> Bool {
    // The busiest service by a direct call: no closure, no reference count.
    if service == sshdService { return Sshd.parse(message, &event) }
    return ServiceParser.all[service].parse(message, &event)
  }
  private func fallback(_ message: Bytes, _ event: inout Event) -> Bool {
    guard let fallback = ServiceParser.fallback else { return false }
    return fallback(message, &event)
  }

  /// Without the kernel's "[ 1234.567890] ".
  private static func withoutUptime(_ message: Bytes) -> Bytes {
    guard let close = message.upTo(24).index(of: 0x5d) else { return message }
    for byte in message.slice(1, close) {
      switch byte {
      case 0x20, 0x2e, 0x30...0x39: continue
      default: return message
      }
    }
    let at = close + 1
    return message.from(at < message.count && message[at] == 0x20 ? at + 1 : at)
  }

  /// "[ 1234.567890] message" and "<4>[ 1234.567890] message", as dmesg writes the kernel's buffer: no host, no program, no date. The
  /// kernel always writes six decimals, which other programs that put a number in brackets do not.
  private static func kernelLine(_ text: Bytes) -> (priority: Int64, message: Bytes)? {
    var cursor = ByteCursor(text)
    var priority: Int64 = -1
    if cursor.skip(byte: 0x3c) {
      guard let value = cursor.takeDecimal(maxDigits: 3), value <= 191, cursor.skip(byte: 0x3e) else { return nil }
      priority = value
    }
    guard cursor.skip(byte: 0x5b) else { return nil }
    while cursor.position < 16, cursor.skip(byte: 0x20) {}
    guard cursor.takeDecimal(maxDigits: 10) != nil, cursor.skip(byte: 0x2e) else { return nil }
    let fraction = cursor.position
    guard cursor.takeDecimal(maxDigits: 6) != nil, cursor.position - fraction == 6, cursor.skip(byte: 0x5d), cursor.skip(byte: 0x20) else {
      return nil
    }
    return (priority, cursor.rest)
  }

  /// rsyslog's "message repeated N times: [ <message>]".
  private static func repeated(_ message: Bytes) -> (count: Int64, message: Bytes)? {
    var cursor = ByteCursor(message)
    guard cursor.skip("message repeated "), let count = cursor.takeDecimal(maxDigits: 9), count > 0,
      cursor.skip(" times: [") || cursor.skip(" time: [")
    else { return nil }
    _ = cursor.skip(byte: 0x20)
    let inner = cursor.rest
    return (count, inner.ends(with: "]") ? inner.upTo(inner.count - 1) : inner)
  }

  /// The older "last message repeated N times", which stands for the line before it.
  private static func lastRepeated(_ message: Bytes) -> Int64? {
    var cursor = ByteCursor(message)
    guard cursor.skip("last message repeated "), let count = cursor.takeDecimal(maxDigits: 9), count > 0,
      cursor.skip(" times") || cursor.skip(" time")
    else { return nil }
    return count
  }

  // MARK: Journal

  /// Reads one journal entry. The event is attested where the kernel's facts about the writer agree with the program that it says it is.
  public mutating func parse(journal entry: JournalEntry, origin: EventOrigin, into event: inout Event) -> ParseOutcome {
    counters.lines &+= 1
    let given = entry.message ?? .none
    let text = event.begin(raw: given, origin: origin)
    if text.count < given.count { counters.truncated &+= 1 }
    if let microseconds = entry.realtimeMicroseconds, microseconds >= 0, microseconds <= 7_258_118_400_000_000 {
      event.time = EventTime(nanoseconds: microseconds * 1000)
    } else {
      event.time = lastTime
      event.timeBasis = .inherited
      counters.badTime &+= 1
    }
    lastTime = event.time
    let outcome = parse(entry, text, &event)
    switch outcome {
    case .parsed: counters.parsed &+= 1
    case .headerOnly: counters.headerOnly &+= 1
    case .unparsed: counters.unparsed &+= 1
    }
    if event.has(.isAmbiguous) { counters.ambiguous &+= 1 }
    return outcome
  }

  /// The fields of an entry and its message, whose time is known.
  private mutating func parse(_ entry: JournalEntry, _ text: Bytes, _ event: inout Event) -> ParseOutcome {
    if Voucher.vouches(entry) {
      event.trust = .attested
      vouched.note(entry, at: event.time)
    } else if vouched.remembers(entry, at: event.time) {
      event.trust = .attested
    }
    counters.vouchersEvicted = vouched.evictions
    if let host = entry.hostname, host.count > 0 { event.set(.hostName, host) }
    if let exe = entry.exe, exe.count > 0 { event.set(.processExecutable, exe) }
    if let cmdline = entry.cmdline, cmdline.count > 0 { event.set(.processCommandLine, cmdline) }
    if let unit = entry.unit, unit.count > 0 { event.set(.systemdUnit, unit) }
    if let pid = entry.pid?.decimal { event.set(.processPid, pid) }
    if let uid = entry.uid, uid.count > 0 { event.setExtra(Bytes("journald.uid"), uid) }
    if let severity = entry.priority?.decimal, severity <= 7 { event.set(.logSyslogSeverity, severity) }
    if let facility = entry.facility?.decimal, facility <= 23 { event.set(.logSyslogFacility, facility) }
    event.set(.message, text)
    let identifier = entry.syslogIdentifier ?? entry.comm ?? .none
    if identifier.count > 0 { event.set(.processName, identifier) }
    return dispatch(text, program: identifier, &event) ? .parsed : identifier.count > 0 ? .headerOnly : .unparsed
  }

  /// A line of rsyslog's own (see RsyslogEntry), as a journal entry. Any other line is a message that nobody vouches for.
  private mutating func parseRsyslog(_ line: Bytes, _ event: inout Event) -> ParseOutcome {
    let reader = rsyslog
    event.time = lastTime
    event.timeBasis = .inherited
    guard reader.read(line) else {
      event.set(.message, line)
      return .unparsed
    }
    return reader.withEntry { entry, time, claimedPid in
      if let time {
        event.time = time
        event.timeBasis = .stamped
      } else {
        counters.badTime &+= 1
      }
      var text = event.keep(entry.message ?? .none)
      if text.first == 0x6d, let inner = LogParser.repeated(text) {
        event.repeatCount = inner.count
        text = inner.message
      } else if text.first == 0x5b, entry.transport != nil {
        text = LogParser.withoutUptime(text)
      }
      let outcome = parse(entry, text, &event)
      if entry.pid == nil, let pid = claimedPid?.decimal { event.set(.processPid, pid) }
      return outcome
    }
  }
}

/// The line before, for "last message repeated". One buffer, reused.
private struct PreviousMessage: ~Copyable {
  private let memory: UnsafeMutableRawPointer
  private var programCount = 0
  private var messageCount = 0
  private var pid: Int64 = -1
  /// A longer message is not remembered: syslog daemons that write "last message repeated" cut lines at 1 KiB.
  private static let capacity = 2048

  init() { memory = .allocate(byteCount: PreviousMessage.capacity, alignment: 16) }
  deinit { memory.deallocate() }

  @inline(__always)
  mutating func note(program: Bytes, pid: Int64, message: Bytes) {
    guard message.count > 0, program.count + message.count <= PreviousMessage.capacity else {
      messageCount = 0
      return
    }
    var target = UnsafeMutableRawBufferPointer(start: memory, count: program.count)
    target.copyMemory(from: program)
    target = UnsafeMutableRawBufferPointer(start: memory + program.count, count: message.count)
    target.copyMemory(from: message)
    programCount = program.count
    messageCount = message.count
    self.pid = pid
  }

  /// Gives `event` the remembered program, pid and message. False if there is none.
  func restore(into event: inout Event, count: Int64) -> Bool {
    guard messageCount > 0 else { return false }
    event.repeatCount = count
    if programCount > 0 { event.set(.processName, Bytes(start: memory, count: programCount)) }
    if pid >= 0 { event.set(.processPid, pid) }
    event.set(.message, Bytes(start: memory + programCount, count: messageCount))
    return true
  }
}
