// Points and spans of event time, in integer nanoseconds. The decision path knows no other clock.
// Civil dates are proleptic Gregorian, UTC (algorithm: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").

/// Nanoseconds since 1970-01-01T00:00:00Z. Covers 1678 to 2262; parsers refuse years outside 1970...2199.
@frozen
public struct EventTime: Hashable, Comparable, Sendable, CustomStringConvertible {
  public var nanoseconds: Int64
  @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
  public init(seconds: Int64) { nanoseconds = seconds.multipliedReportingOverflow(by: 1_000_000_000).partialValue }

  public static let zero = EventTime(nanoseconds: 0)
  public static let distantPast = EventTime(nanoseconds: .min)
  public static let distantFuture = EventTime(nanoseconds: .max)

  /// A civil time. nil if a part is out of range. Second 60 (a leap second) is the first of the next minute.
  /// `offsetSeconds`: east of UTC is positive.
  public init?(
    year: Int64, month: Int64, day: Int64, hour: Int64, minute: Int64, second: Int64, nanosecond: Int64 = 0, offsetSeconds: Int64 = 0
  ) {
    guard (1970...2199).contains(year), (1...12).contains(month), day >= 1, day <= EventTime.days(inMonth: month, year: year),
      (0...23).contains(hour), (0...59).contains(minute), (0...60).contains(second), (0...999_999_999).contains(nanosecond),
      abs(offsetSeconds) <= 86_400
    else { return nil }
    let days = EventTime.daysFromCivil(year: year, month: month, day: day)
    let total = days * 86_400 + hour * 3600 + minute * 60 + second - offsetSeconds
    nanoseconds = total * 1_000_000_000 + nanosecond
  }

  public static func isLeap(_ year: Int64) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }
  public static func days(inMonth month: Int64, year: Int64) -> Int64 {
    switch month {
    case 2: isLeap(year) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }
  @inline(__always)
  public static func daysFromCivil(year: Int64, month: Int64, day: Int64) -> Int64 {
    let y = month <= 2 ? year - 1 : year
    let era = (y >= 0 ? y : y - 399) / 400
    let yearOfEra = y - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }

  /// Year, month, day, hour, minute, second, nanosecond in UTC.
  public var civil: (year: Int64, month: Int64, day: Int64, hour: Int64, minute: Int64, second: Int64, nanosecond: Int64) {
    func floorDivide(_ a: Int64, _ b: Int64) -> (Int64, Int64) {
      let q = a / b
      let r = a % b
      return r < 0 ? (q - 1, r + b) : (q, r)
    }
    let (seconds, nanosecond) = floorDivide(nanoseconds, 1_000_000_000)
    let (days, inDay) = floorDivide(seconds, 86_400)
    let z = days + 719_468
    let era = (z >= 0 ? z : z - 146_096) / 146_097
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let mp = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * mp + 2) / 5 + 1
    let month = mp < 10 ? mp + 3 : mp - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (year, month, day, inDay / 3600, inDay / 60 % 60, inDay % 60, nanosecond)
  }

  @inlinable public static func < (a: EventTime, b: EventTime) -> Bool { a.nanoseconds < b.nanoseconds }
  /// Saturates at the ends of the range.
  @inlinable public static func + (a: EventTime, b: Nanoseconds) -> EventTime {
    let (value, overflow) = a.nanoseconds.addingReportingOverflow(b.count)
    return EventTime(nanoseconds: overflow ? (b.count > 0 ? .max : .min) : value)
  }
  @inlinable public static func - (a: EventTime, b: Nanoseconds) -> EventTime {
    let (value, overflow) = a.nanoseconds.subtractingReportingOverflow(b.count)
    return EventTime(nanoseconds: overflow ? (b.count > 0 ? .min : .max) : value)
  }
  @inlinable public static func - (a: EventTime, b: EventTime) -> Nanoseconds {
    let (value, overflow) = a.nanoseconds.subtractingReportingOverflow(b.nanoseconds)
    return Nanoseconds(overflow ? (a > b ? .max : .min) : value)
  }

  /// RFC 3339 in UTC; a fraction of 3, 6 or 9 digits only where there is one.
  public var description: String {
    var out: [UInt8] = []
    append(to: &out)
    return String(decoding: out, as: UTF8.self)
  }
  public func append(to out: inout [UInt8]) {
    out.append(atMost: EventTime.textBytes, write)
  }
  @usableFromInline static let textBytes = 30
  /// The same into memory for `textBytes`. Returns how many bytes it took.
  @usableFromInline
  func write(_ text: UnsafeMutablePointer<UInt8>) -> Int {
    let c = civil
    var at = 0
    func put(_ value: Int64, digits: Int) {
      var rest = UInt64(truncatingIfNeeded: value)
      var place = at + digits
      while place > at {
        place -= 1
        text[place] = UInt8(truncatingIfNeeded: 0x30 + rest % 10)
        rest /= 10
      }
      at += digits
    }
    func two(_ separator: UInt8, _ value: Int64) {
      text[at] = separator
      text[at + 1] = UInt8(truncatingIfNeeded: 0x30 + value / 10)
      text[at + 2] = UInt8(truncatingIfNeeded: 0x30 + value % 10)
      at += 3
    }
    put(Swift.max(0, c.year), digits: 4)  // an Int64 of nanoseconds ends in 2262
    two(0x2d, c.month)
    two(0x2d, c.day)
    two(0x54, c.hour)
    two(0x3a, c.minute)
    two(0x3a, c.second)
    if c.nanosecond != 0 {
      text[at] = 0x2e
      at += 1
      if c.nanosecond % 1_000_000 == 0 {
        put(c.nanosecond / 1_000_000, digits: 3)
      } else if c.nanosecond % 1000 == 0 {
        put(c.nanosecond / 1000, digits: 6)
      } else {
        put(c.nanosecond, digits: 9)
      }
    }
    text[at] = 0x5a
    return at + 1
  }

  /// RFC 3339 / ISO 8601 "2026-01-05T00:00:01[.fraction][Z|+hh:mm|+hhmm]"; a space may stand for the T. A stamp without a
  /// zone is read as UTC. The whole of `text` must be the stamp.
  public init?(rfc3339 text: Bytes) {
    var cursor = ByteCursor(text)
    guard let time = EventTime(rfc3339At: &cursor), cursor.isAtEnd else { return nil }
    self = time
  }
  public init?(rfc3339 text: String) {
    var copy = text
    guard let value = copy.withUTF8({ EventTime(rfc3339: Bytes($0)) }) else { return nil }
    self = value
  }
  /// The same, reading from a cursor, which stops behind the stamp; nil leaves it where it was.
  public init?(rfc3339At cursor: inout ByteCursor) {
    let start = cursor.position
    func digits(_ n: Int) -> Int64? {
      guard cursor.position + n <= cursor.bytes.count else { return nil }
      let before = cursor.position
      guard let value = cursor.takeDecimal(maxDigits: n), cursor.position == before + n else { return nil }
      return value
    }
    let parsed: EventTime? = {
      guard let year = digits(4), cursor.skip(byte: 0x2d), let month = digits(2), cursor.skip(byte: 0x2d), let day = digits(2),
        cursor.skip(byte: 0x54) || cursor.skip(byte: 0x20) || cursor.skip(byte: 0x74),
        let hour = digits(2), cursor.skip(byte: 0x3a), let minute = digits(2), cursor.skip(byte: 0x3a), let second = digits(2)
      else { return nil }
      var nanosecond: Int64 = 0
      if cursor.peek == 0x2e || cursor.peek == 0x2c {
        cursor.position += 1
        var digitCount = 0
        while let byte = cursor.peek, byte >= 0x30, byte <= 0x39 {
          if digitCount < 9 {
            nanosecond = nanosecond * 10 + Int64(byte - 0x30)
            digitCount += 1
          }
          cursor.position += 1
        }
        guard digitCount > 0 else { return nil }
        while digitCount < 9 {
          nanosecond *= 10
          digitCount += 1
        }
      }
      var offset: Int64 = 0
      if cursor.peek == 0x5a || cursor.peek == 0x7a {
        cursor.position += 1
      } else if let sign = cursor.peek, sign == 0x2b || sign == 0x2d {
        cursor.position += 1
        guard let hours = digits(2) else { return nil }
        _ = cursor.skip(byte: 0x3a)
        let minutes = digits(2) ?? 0
        offset = (hours * 3600 + minutes * 60) * (sign == 0x2d ? -1 : 1)
      }
      return EventTime(
        year: year, month: month, day: day, hour: hour, minute: minute, second: second, nanosecond: nanosecond, offsetSeconds: offset)
    }()
    guard let parsed else {
      cursor.position = start
      return nil
    }
    self = parsed
  }
}

/// A span of event time.
@frozen
public struct Nanoseconds: Codable, Hashable, Comparable, Sendable, CustomStringConvertible {
  public var count: Int64
  @inlinable public init(_ count: Int64) { self.count = count }
  public static func seconds(_ n: Int64) -> Nanoseconds { Nanoseconds(n.multipliedReportingOverflow(by: 1_000_000_000).partialValue) }
  public static func milliseconds(_ n: Int64) -> Nanoseconds { Nanoseconds(n * 1_000_000) }
  public static func minutes(_ n: Int64) -> Nanoseconds { .seconds(n * 60) }
  public static func hours(_ n: Int64) -> Nanoseconds { .seconds(n * 3600) }
  public static func days(_ n: Int64) -> Nanoseconds { .seconds(n * 86_400) }
  public static func < (a: Nanoseconds, b: Nanoseconds) -> Bool { a.count < b.count }
  public var wholeSeconds: Int64 { count / 1_000_000_000 }

  /// ISO 8601 durations of fixed length ("PT5M", "P7D", "P1DT12H", "P2W") and the shorthand "30s", "5m", "1h", "7d", "2w", "500ms".
  /// Months and years have no fixed length and are refused. nil on anything else, on overflow, and on zero.
  public init?(duration text: String) {
    let bytes = Array(text.utf8)
    func unit(_ symbol: UInt8, inTime: Bool) -> Int64? {
      switch (symbol, inTime) {
      case (0x57, false): 604_800
      case (0x44, false): 86_400
      case (0x48, true): 3600
      case (0x4d, true): 60
      case (0x53, true): 1
      default: nil
      }
    }
    var total: Int64 = 0
    func add(_ value: Int64, _ seconds: Int64) -> Bool {
      let (product, o1) = value.multipliedReportingOverflow(by: seconds)
      let (ns, o2) = product.multipliedReportingOverflow(by: 1_000_000_000)
      let (sum, o3) = total.addingReportingOverflow(ns)
      total = sum
      return !(o1 || o2 || o3)
    }
    var at = 0
    func number() -> Int64? {
      var value: Int64 = 0
      let start = at
      while at < bytes.count, bytes[at] >= 0x30, bytes[at] <= 0x39, at - start < 12 {
        value = value * 10 + Int64(bytes[at] - 0x30)
        at += 1
      }
      return at > start ? value : nil
    }
    if bytes.first == 0x50 {
      at = 1
      var inTime = false
      while at < bytes.count {
        if bytes[at] == 0x54, !inTime {
          inTime = true
          at += 1
          continue
        }
        guard let value = number(), at < bytes.count, let seconds = unit(bytes[at], inTime: inTime), add(value, seconds) else { return nil }
        at += 1
      }
    } else {
      guard let value = number() else { return nil }
      switch String(decoding: bytes[at...], as: UTF8.self) {
      case "ms":
        let (ns, overflow) = value.multipliedReportingOverflow(by: 1_000_000)
        guard !overflow else { return nil }
        total = ns
      case "s": guard add(value, 1) else { return nil }
      case "m", "min": guard add(value, 60) else { return nil }
      case "h": guard add(value, 3600) else { return nil }
      case "d": guard add(value, 86_400) else { return nil }
      case "w": guard add(value, 604_800) else { return nil }
      default: return nil
      }
    }
    guard total > 0 else { return nil }
    count = total
  }

  /// Shorthand with the largest units that divide it: "10m", "1d12h", "1500ms".
  public var description: String {
    if count % 1_000_000_000 != 0 { return "\(count / 1_000_000)ms" }
    var rest = count / 1_000_000_000
    if rest == 0 { return "0s" }
    var out = rest < 0 ? "-" : ""
    rest = abs(rest)
    for (symbol, size) in [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] as [(String, Int64)] where rest >= size {
      out += "\(rest / size)\(symbol)"
      rest %= size
    }
    return out
  }
}
