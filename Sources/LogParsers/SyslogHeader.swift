// The head of a log line: who said it and when. RFC 3164 in the forms that daemons really write, rsyslog's ISO form, RFC 5424.
// Written by hand, from left to right, without backtracking beyond one token. A header is only ever read at the start of a line:
// what looks like one inside a message stays message. Total and linear.
import Primitives

/// A line's header. The slices are of the line.
struct SyslogHeader {
  var time: EventTime = .zero
  var basis: TimeBasisKind = .stamped
  var priority: Int64 = -1
  var host = Bytes.none
  var program = Bytes.none
  var pid: Int64 = -1
  var messageID = Bytes.none
  /// RFC 5424 structured data with its brackets; empty if there is none.
  var structuredData = Bytes.none
  var message = Bytes.none

  enum TimeBasisKind { case stamped, yearInferred, impossible }
}

/// Reads headers. Holds the caches of the last stamp and the year of stamps that have none.
struct SyslogHeaderReader {
  private var classic = ClassicStampCache()
  private var iso = ISOStampCache()
  private(set) var years: YearInference
  private let utcOffsetSeconds: Int64

  init(inputTime: EventTime, utcOffsetSeconds: Int64) {
    years = YearInference(inputTime: inputTime)
    self.utcOffsetSeconds = utcOffsetSeconds
  }

  mutating func noteInputTime(_ time: EventTime) { years.noteInputTime(time) }

  /// Reads the header of `line` into `header`. False if it has none.
  @inline(__always)
  mutating func read(_ line: Bytes, into header: inout SyslogHeader) -> Bool {
    guard line.count >= 16 else { return false }
    let first = line[0]
    if first >= 0x41, first <= 0x5a { return readClassic(line, at: 0, into: &header) }  // a month's name
    if first == 0x3c { return readWithPriority(line, into: &header) }
    if first >= 0x30, first <= 0x39 { return readISO(line, at: 0, into: &header) }
    return false
  }

  private mutating func readWithPriority(_ line: Bytes, into header: inout SyslogHeader) -> Bool {
    var at = 1
    var priority: Int64 = 0
    while at < line.count, at <= 3, line[at] >= 0x30, line[at] <= 0x39 {
      priority = priority * 10 + Int64(line[at] - 0x30)
      at += 1
    }
    guard at > 1, at < line.count, line[at] == 0x3e, priority <= 191 else { return false }
    at += 1
    while at < line.count, line[at] == 0x20 { at += 1 }
    guard at + 2 < line.count else { return false }
    header.priority = priority
    if line[at] == 0x31, line[at + 1] == 0x20 { return read5424(line, at: at + 2, into: &header) }
    if line[at] >= 0x41, line[at] <= 0x5a { return readClassic(line, at: at, into: &header) }
    return readISO(line, at: at, into: &header)
  }

  // MARK: RFC 3164

  private mutating func readClassic(_ line: Bytes, at start: Int, into header: inout SyslogHeader) -> Bool {
    guard let stamp = classic.read(line, at: start, years: &years, offset: utcOffsetSeconds) else { return false }
    header.time = stamp.time
    header.basis = stamp.isPossible ? (stamp.hasYear ? .stamped : .yearInferred) : .impossible
    return readTagged(line, at: stamp.end, into: &header)
  }

  /// "host tag message" behind a stamp.
  @inline(__always)
  private func readTagged(_ line: Bytes, at start: Int, into header: inout SyslogHeader) -> Bool {
    var at = start
    guard at < line.count, line[at] == 0x20 else { return false }
    while at < line.count, line[at] == 0x20 { at += 1 }
    let hostStart = at
    guard let hostEnd = line.index(of: 0x20, from: at) else {
      // One word: a message without host or tag.
      header.message = line.from(hostStart)
      readTag(line.from(hostStart), into: &header)
      return true
    }
    let host = line.slice(hostStart, hostEnd)
    if looksLikeTag(host) {
      readTag(line.from(hostStart), into: &header)
      return true
    }
    if line.from(hostStart).starts(with: "last message repeated ") {
      header.message = line.from(hostStart)
      return true
    }
    header.host = host
    at = hostEnd
    while at < line.count, line[at] == 0x20 { at += 1 }
    readTag(line.from(at), into: &header)
    return true
  }

  /// Whether the word where the host belongs is a program: "sshd[12]:" or "kernel:". A host's name has neither bracket nor final colon.
  @inline(__always)
  private func looksLikeTag(_ word: Bytes) -> Bool {
    guard word.count > 1 else { return false }
    let last = word[word.count - 1]
    if last == 0x3a { return word[word.count - 2] != 0x3a }  // not the address "fe80::"
    return last == 0x5d && word[0] != 0x5b
  }

  /// "prog: message", "prog[pid]: message", "/path/prog[pid]: message"; anything else is all message.
  @inline(__always)
  private func readTag(_ text: Bytes, into header: inout SyslogHeader) {
    header.message = text
    var at = 0
    let end = min(text.count, 65)
    while at < end {
      let byte = text[at]
      if byte == 0x3a || byte == 0x5b || byte <= 0x20 { break }
      at += 1
    }
    guard at > 0, at < end else { return }
    var pid: Int64 = -1
    var next = at
    if text[at] == 0x5b {
      var close = at + 1
      var value: Int64 = 0
      while close < text.count, text[close] >= 0x30, text[close] <= 0x39, close - at <= 10 {
        value = value * 10 + Int64(text[close] - 0x30)
        close += 1
      }
      if close < text.count, text[close] == 0x5d, close > at + 1 {
        pid = value
        next = close + 1
      } else {
        // A bracket that holds no number: "prog[worker]:" is a tag, "prog[some text" is not.
        guard let bracket = text.upTo(at + 34).index(of: 0x5d, from: at), text.slice(at, bracket).index(of: 0x20) == nil,
          bracket + 1 < text.count, text[bracket + 1] == 0x3a
        else { return }
        next = bracket + 1
      }
      if next < text.count, text[next] == 0x3a {
        next += 1
      } else if next < text.count, text[next] != 0x20 {
        return
      }
    } else if text[at] == 0x3a {
      guard at + 1 == text.count || text[at + 1] == 0x20 || text[at + 1] == 0x09 else { return }
      next = at + 1
    } else {
      return
    }
    header.program = text.upTo(at)
    header.pid = pid
    if next < text.count, text[next] == 0x20 { next += 1 }
    header.message = text.from(next)
  }

  // MARK: ISO

  private mutating func readISO(_ line: Bytes, at start: Int, into header: inout SyslogHeader) -> Bool {
    guard start + 19 < line.count else { return false }
    if line[start] == 0x31, line[start + 1] == 0x20 { return read5424(line, at: start + 2, into: &header) }
    if line[start + 4] == 0x20, line[start + 5] >= 0x41 { return readClassic(line, at: start, into: &header) }  // "2026 Jan  5 ..."
    guard let stamp = iso.read(line, at: start, offset: utcOffsetSeconds), stamp.end < line.count, line[stamp.end] == 0x20 else { return false }
    header.time = stamp.time
    header.basis = stamp.isPossible ? .stamped : .impossible
    return readTagged(line, at: stamp.end, into: &header)
  }

  // MARK: RFC 5424

  /// Behind "<PRI>1 ".
  private mutating func read5424(_ line: Bytes, at start: Int, into header: inout SyslogHeader) -> Bool {
    var cursor = ByteCursor(line, at: start)
    if cursor.skip(byte: 0x2d) {
      header.basis = .impossible
      header.time = .zero
    } else {
      guard let stamp = iso.read(line, at: start, offset: utcOffsetSeconds) else { return false }
      header.time = stamp.time
      header.basis = stamp.isPossible ? .stamped : .impossible
      cursor.position = stamp.end
    }
    guard cursor.skip(byte: 0x20), let host = cursor.take(until: 0x20), let program = cursor.take(until: 0x20),
      let process = cursor.take(until: 0x20), let messageID = cursor.take(until: 0x20)
    else { return false }
    if !host.equals("-") { header.host = host }
    if !program.equals("-") { header.program = program }
    if let pid = process.decimal, process.count <= 10 { header.pid = pid }
    if !messageID.equals("-") { header.messageID = messageID }
    if !cursor.skip(byte: 0x2d) {
      let from = cursor.position
      guard cursor.peek == 0x5b else { return false }
      while cursor.peek == 0x5b {
        guard SyslogHeaderReader.skipElement(&cursor) else { return false }
      }
      header.structuredData = line.slice(from, cursor.position)
    }
    guard cursor.isAtEnd || cursor.skip(byte: 0x20) else { return false }
    if cursor.rest.starts(with: "\u{feff}") { cursor.position += 3 }
    header.message = cursor.rest
    return true
  }

  /// One "[id name="value" ...]"; a quote inside a value is escaped.
  private static func skipElement(_ cursor: inout ByteCursor) -> Bool {
    var isQuoted = false
    while let byte = cursor.peek {
      cursor.position += 1
      if isQuoted {
        if byte == 0x5c { cursor.position += 1 } else if byte == 0x22 { isQuoted = false }
      } else if byte == 0x22 {
        isQuoted = true
      } else if byte == 0x5d {
        return true
      }
    }
    return false
  }

  /// Calls `body` with each element's id, name and raw (still escaped) value.
  static func forEachParameter(of structuredData: Bytes, _ body: (_ id: Bytes, _ name: Bytes, _ value: Bytes) -> Void) {
    var cursor = ByteCursor(structuredData)
    while cursor.skip(byte: 0x5b) {
      let idStart = cursor.position
      while let byte = cursor.peek, byte != 0x20, byte != 0x5d { cursor.position += 1 }
      let id = structuredData.slice(idStart, cursor.position)
      while cursor.skip(byte: 0x20) {
        guard let name = cursor.take(until: 0x3d), cursor.skip(byte: 0x22) else { return }
        let valueStart = cursor.position
        while let byte = cursor.peek, byte != 0x22 { cursor.position += byte == 0x5c ? 2 : 1 }
        body(id, name, structuredData.slice(valueStart, cursor.position))
        cursor.position += 1
      }
      guard cursor.skip(byte: 0x5d) else { return }
    }
  }
}

/// A stamp that was read: where it ends, and whether such a moment exists.
struct Stamp {
  var time: EventTime
  var end: Int
  var hasYear = true
  var isPossible = true
}

/// "Jan  5 00:00:01", also "2026 Jan  5 00:00:01", "Jan  5 2026 00:00:01" and fractions of a second. The last one is remembered: most
/// lines share their second with the line before.
struct ClassicStampCache {
  private var last: (UInt64, UInt64) = (0, 0)
  private var lastTime = EventTime.zero
  private var lastMidnight = EventTime.zero

  mutating func read(_ line: Bytes, at start: Int, years: inout YearInference, offset: Int64) -> Stamp? {
    guard start + 15 < line.count else { return nil }
    // The 15 bytes of the stamp as two overlapping words: "Jan  5 0" and "00:00:01".
    let a = line.loadUnaligned(fromByteOffset: start, as: UInt64.self)
    let b = line.loadUnaligned(fromByteOffset: start + 7, as: UInt64.self)
    if line[start + 15] == 0x20 {
      if a == last.0, b == last.1 { return Stamp(time: lastTime, end: start + 15, hasYear: false) }
      // The same day as before.
      if (a ^ last.0) << 8 == 0, let second = ClassicStampCache.secondOfDay(line, at: start + 7) {
        last = (a, b)
        lastTime = lastMidnight + .seconds(second)
        years.note(lastTime)
        return Stamp(time: lastTime, end: start + 15, hasYear: false)
      }
    }
    return readSlowly(line, at: start, words: (a, b), years: &years, offset: offset)
  }

  /// "HH:MM:SS" as seconds; nil if it is not exactly that, or a leap second.
  @inline(__always)
  private static func secondOfDay(_ line: Bytes, at start: Int) -> Int64? {
    @inline(__always) func two(_ i: Int) -> Int64 {
      let tens = line[start + i] &- 0x30
      let ones = line[start + i + 1] &- 0x30
      return tens <= 9 && ones <= 9 ? Int64(tens) * 10 + Int64(ones) : 99
    }
    let (hour, minute, second) = (two(0), two(3), two(6))
    guard hour <= 23, minute <= 59, second <= 59, line[start + 2] == 0x3a, line[start + 5] == 0x3a else { return nil }
    return hour * 3600 + minute * 60 + second
  }

  private mutating func readSlowly(
    _ line: Bytes, at start: Int, words: (UInt64, UInt64), years: inout YearInference, offset: Int64
  ) -> Stamp? {
    var cursor = ByteCursor(line, at: start)
    var year: Int64? = nil
    if let byte = cursor.peek, byte >= 0x30, byte <= 0x39 {
      year = cursor.takeDecimal(maxDigits: 4)
      guard cursor.skip(byte: 0x20) else { return nil }
    }
    guard let month = ClassicStampCache.month(line, at: cursor.position) else { return nil }
    cursor.position += 3
    guard cursor.skip(byte: 0x20) else { return nil }
    cursor.skipSpaces()
    guard let day = cursor.takeDecimal(maxDigits: 2), cursor.skip(byte: 0x20) else { return nil }
    if year == nil, cursor.position + 4 < line.count, line[cursor.position + 4] == 0x20 {  // Cisco: "Jan  5 2026 00:00:01"
      guard let value = cursor.takeDecimal(maxDigits: 4), cursor.skip(byte: 0x20) else { return nil }
      year = value
    }
    guard let hour = cursor.takeDecimal(maxDigits: 2), cursor.skip(byte: 0x3a), let minute = cursor.takeDecimal(maxDigits: 2),
      cursor.skip(byte: 0x3a), let second = cursor.takeDecimal(maxDigits: 2)
    else { return nil }
    var nanosecond: Int64 = 0
    if cursor.peek == 0x2e, let value = fraction(&cursor) { nanosecond = value }
    if cursor.peek == 0x3a { cursor.position += 1 }  // "00:00:01:" of some network devices
    let end = cursor.position
    if let year {
      guard
        let time = EventTime(
          year: year, month: month, day: day, hour: hour, minute: minute, second: second, nanosecond: nanosecond, offsetSeconds: offset)
      else { return Stamp(time: .zero, end: end, hasYear: true, isPossible: false) }
      return Stamp(time: time, end: end)
    }
    guard
      let time = years.time(
        month: month, day: day, hour: hour, minute: minute, second: second, nanosecond: nanosecond, offsetSeconds: offset)
    else { return Stamp(time: .zero, end: end, hasYear: false, isPossible: false) }
    if end == start + 15, nanosecond == 0, let inDay = ClassicStampCache.secondOfDay(line, at: start + 7) {
      last = words
      lastTime = time
      lastMidnight = time - .seconds(inDay)
    }
    return Stamp(time: time, end: end, hasYear: false)
  }

  /// 1...12 for an English month abbreviation.
  static func month(_ line: Bytes, at start: Int) -> Int64? {
    guard start + 3 <= line.count else { return nil }
    let key = UInt32(line[start]) << 16 | UInt32(line[start + 1]) << 8 | UInt32(line[start + 2])
    switch key {
    case 0x4a616e: return 1
    case 0x466562: return 2
    case 0x4d6172: return 3
    case 0x417072: return 4
    case 0x4d6179: return 5
    case 0x4a756e: return 6
    case 0x4a756c: return 7
    case 0x417567: return 8
    case 0x536570: return 9
    case 0x4f6374: return 10
    case 0x4e6f76: return 11
    case 0x446563: return 12
    default: return nil
    }
  }
}

/// ".123456" as nanoseconds; digits beyond nine are read and dropped. nil (and no move) if there is no digit.
func fraction(_ cursor: inout ByteCursor) -> Int64? {
  var at = cursor.position + 1
  var value: Int64 = 0
  var digits = 0
  while at < cursor.bytes.count {
    let digit = cursor.bytes[at] &- 0x30
    guard digit <= 9 else { break }
    if digits < 9 {
      value = value * 10 + Int64(digit)
      digits += 1
    }
    at += 1
  }
  guard digits > 0 else { return nil }
  while digits < 9 {
    value *= 10
    digits += 1
  }
  cursor.position = at
  return value
}

/// "2026-01-05T00:00:01.123456+00:00". The date and time up to the second are remembered.
struct ISOStampCache {
  private var last: (UInt64, UInt64, UInt64) = (0, 0, 0)
  private var lastSecond = EventTime.zero

  mutating func read(_ line: Bytes, at start: Int, offset: Int64) -> Stamp? {
    guard start + 19 <= line.count, line[start + 4] == 0x2d, line[start + 7] == 0x2d, line[start + 13] == 0x3a else { return nil }
    let a = line.loadUnaligned(fromByteOffset: start, as: UInt64.self)
    let b = line.loadUnaligned(fromByteOffset: start + 8, as: UInt64.self)
    let c = line.loadUnaligned(fromByteOffset: start + 11, as: UInt64.self)
    var isPossible = true
    if a != last.0 || b != last.1 || c != last.2 {
      var cursor = ByteCursor(line, at: start)
      guard let year = cursor.takeDecimal(maxDigits: 4), cursor.skip(byte: 0x2d), let month = cursor.takeDecimal(maxDigits: 2),
        cursor.skip(byte: 0x2d), let day = cursor.takeDecimal(maxDigits: 2),
        cursor.skip(byte: 0x54) || cursor.skip(byte: 0x20) || cursor.skip(byte: 0x74), let hour = cursor.takeDecimal(maxDigits: 2),
        cursor.skip(byte: 0x3a), let minute = cursor.takeDecimal(maxDigits: 2), cursor.skip(byte: 0x3a),
        let second = cursor.takeDecimal(maxDigits: 2), cursor.position == start + 19
      else { return nil }
      if let time = EventTime(year: year, month: month, day: day, hour: hour, minute: minute, second: second) {
        last = (a, b, c)
        lastSecond = time
      } else {
        isPossible = false
      }
    }
    var cursor = ByteCursor(line, at: start + 19)
    var time = isPossible ? lastSecond : .zero
    if cursor.peek == 0x2e || cursor.peek == 0x2c, let value = fraction(&cursor) { time = time + Nanoseconds(value) }
    var east = offset
    if let zone = cursor.peek {
      if zone == 0x5a || zone == 0x7a {
        cursor.position += 1
        east = 0
      } else if zone == 0x2b || zone == 0x2d, let value = ISOStampCache.zone(&cursor) {
        east = value
      }
    }
    if east != 0, isPossible { time = time - Nanoseconds.seconds(east) }
    return Stamp(time: time, end: cursor.position, hasYear: true, isPossible: isPossible)
  }

  /// "+01:00", "+0100" or "+01" as seconds east of UTC; nil (and no move) otherwise.
  private static func zone(_ cursor: inout ByteCursor) -> Int64? {
    let sign: Int64 = cursor.peek == 0x2d ? -1 : 1
    var probe = ByteCursor(cursor.bytes, at: cursor.position + 1)
    guard let hours = probe.takeDecimal(maxDigits: 2), probe.position == cursor.position + 3 else { return nil }
    _ = probe.skip(byte: 0x3a)
    let before = probe.position
    var minutes: Int64 = 0
    if let value = probe.takeDecimal(maxDigits: 2), probe.position == before + 2 { minutes = value } else { probe.position = cursor.position + 3 }
    guard hours <= 23, minutes <= 59 else { return nil }
    cursor.position = probe.position
    return sign * (hours * 3600 + minutes * 60)
  }
}

/// The year of stamps that have none. The first stamp gets the latest year in which it is not more than a day after the input's
/// modification time; every further one the year that puts it nearest to the line before, so that a file grows over New Year and
/// small steps back stay small. Where that would be a step back of more than a month, and the input's time shows that a step forward
/// is possible (a log that was silent for half a year), it is a step forward.
struct YearInference {
  private var inputTime: EventTime
  private var previous: EventTime?

  private static let day = Nanoseconds.days(1)
  private static let month = Nanoseconds.days(31)

  init(inputTime: EventTime) { self.inputTime = inputTime }

  mutating func noteInputTime(_ time: EventTime) { if time > inputTime { inputTime = time } }
  /// A stamp whose year was clear: of the same day as the one before.
  @inline(__always)
  mutating func note(_ time: EventTime) { previous = time }

  /// nil if no such date exists in any year near.
  mutating func time(
    month: Int64, day: Int64, hour: Int64, minute: Int64, second: Int64, nanosecond: Int64, offsetSeconds: Int64
  ) -> EventTime? {
    func at(_ year: Int64) -> EventTime? {
      EventTime(
        year: year, month: month, day: day, hour: hour, minute: minute, second: second, nanosecond: nanosecond, offsetSeconds: offsetSeconds)
    }
    guard let previous else {
      let limit = inputTime + YearInference.day
      let last = limit.civil.year
      // 29 February comes once in four years, in eight around 2100.
      for back in 0...8 as ClosedRange<Int64> {
        if let candidate = at(last - back), candidate <= limit {
          self.previous = candidate
          return candidate
        }
      }
      return at(1972)  // an input time before 1970: any year in which the date exists
    }
    let around = previous.civil.year
    var best: EventTime?
    var bestDistance = Int64.max
    for year in (around - 4)...(around + 4) {
      guard let candidate = at(year) else { continue }
      let distance = abs((candidate - previous).count)
      if distance < bestDistance {
        best = candidate
        bestDistance = distance
      }
    }
    guard var chosen = best else { return nil }
    if chosen < previous - YearInference.month, let later = at(chosen.civil.year + 1), later <= inputTime + YearInference.day { chosen = later }
    self.previous = chosen
    return chosen
  }
}
