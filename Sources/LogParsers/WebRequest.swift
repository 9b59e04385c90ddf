// The request line of HTTP/1 as web servers log it, into method, version and URL. Shared by access logs, error logs and JSON logs.
// The client writes every byte of it: nothing here decides about an address.
import Events
import Primitives

/// Whose log it is. The combined format is the same for all: the configuration or the file's path tells.
public enum WebServer: Sendable {
  case nginx, apache, unknown
  var provider: StaticString { self == .nginx ? "nginx" : self == .apache ? "apache" : "generic" }
  var accessDataset: StaticString { self == .nginx ? "nginx.access" : self == .apache ? "apache.access" : "web.access" }
  var errorDataset: StaticString { self == .nginx ? "nginx.error" : self == .apache ? "apache.error" : "web.error" }
}

enum WebRequest {
  /// "METHOD target HTTP/1.1" into http.request.method, http.version, url.*. False if it has another form; then url.original is the
  /// whole of it, and method and path are set as far as "METHOD target" can be seen, so that rules still find what was asked for.
  static func setLine(_ line: Bytes, logEscapes: Bool, into event: inout Event) -> Bool {
    guard let space = line.index(of: 0x20), isMethod(line.upTo(space)) else {
      if line.count > 0, !line.equals("-") { event.set(.urlOriginal, line) }
      return false
    }
    event.set(.httpRequestMethod, line.upTo(space))
    // " HTTP/1.1": the version is at most "1.1" long, so its space is among the last ten bytes.
    if let last = line.lastIndex(of: 0x20), last > space, let version = version(line.from(last + 1)) {
      let target = line.slice(space + 1, last)
      event.set(.httpVersion, version)
      event.set(.urlOriginal, target)
      WebTarget.set(target, logEscapes: logEscapes, into: &event)
      return target.count > 0
    }
    event.set(.urlOriginal, line)
    WebTarget.set(line.from(space + 1), logEscapes: logEscapes, into: &event)
    return false
  }

  /// A header's value: absent where the log has "-" or nothing.
  @inline(__always)
  static func setHeader(_ field: Field, _ value: Bytes, logEscapes: Bool, into event: inout Event) {
    guard value.count > 0, !(value.count == 1 && value[0] == 0x2d) else { return }
    guard logEscapes, value.index(of: 0x5c) != nil else {
      event.set(field, value)
      return
    }
    PercentDecoding.unescapeLog(value) { event.set(field, $0) }
  }

  /// RFC 9110 allows any token; what servers know is letters, "-" and "_". At most 32 of them.
  @inline(__always)
  static func isMethod(_ text: Bytes) -> Bool {
    guard text.count > 0, text.count <= 32 else { return false }
    for byte in text {
      let letter = byte | 0x20
      guard (letter >= 0x61 && letter <= 0x7a) || byte == 0x2d || byte == 0x5f else { return false }
    }
    return true
  }
  /// "1.1" of "HTTP/1.1", "2" of "HTTP/2".
  @inline(__always)
  static func version(_ text: Bytes) -> Bytes? {
    guard text.count >= 6, text.count <= 8, text.starts(with: "HTTP/"), text[5] &- 0x30 <= 9 else { return nil }
    if text.count > 6 { guard text.count == 8, text[6] == 0x2e, text[7] &- 0x30 <= 9 else { return nil } }
    return text.from(5)
  }
}

/// Time stamps of web servers.
enum WebTime {
  /// "05/Jan/2026:00:00:00 +0000": exactly 26 bytes.
  static func accessStamp(_ s: Bytes) -> EventTime? {
    guard s.count == 26, s[2] == 0x2f, s[6] == 0x2f, s[11] == 0x3a, s[14] == 0x3a, s[17] == 0x3a, s[20] == 0x20, s[21] == 0x2b || s[21] == 0x2d,
      let day = two(s, 0), let month = month(s, 3), let century = two(s, 7), let year = two(s, 9), let hour = two(s, 12), let minute = two(s, 15),
      let second = two(s, 18), let zoneHours = two(s, 22), let zoneMinutes = two(s, 24), zoneMinutes <= 59
    else { return nil }
    let offset = (zoneHours * 3600 + zoneMinutes * 60) * (s[21] == 0x2d ? -1 : 1)
    return EventTime(
      year: century * 100 + year, month: month, day: day, hour: hour, minute: minute, second: second, offsetSeconds: offset)
  }
  @inline(__always)
  static func two(_ s: Bytes, _ i: Int) -> Int64? {
    let tens = s[i] &- 0x30
    let ones = s[i + 1] &- 0x30
    guard tens <= 9, ones <= 9 else { return nil }
    return Int64(tens) * 10 + Int64(ones)
  }
  /// "Jan" ... "Dec" at `i`.
  @inline(__always)
  static func month(_ s: Bytes, _ i: Int) -> Int64? {
    switch (UInt32(s[i]) << 16) | (UInt32(s[i + 1]) << 8) | UInt32(s[i + 2]) {
    case 0x4a616e: 1
    case 0x466562: 2
    case 0x4d6172: 3
    case 0x417072: 4
    case 0x4d6179: 5
    case 0x4a756e: 6
    case 0x4a756c: 7
    case 0x417567: 8
    case 0x536570: 9
    case 0x4f6374: 10
    case 0x4e6f76: 11
    case 0x446563: 12
    default: nil
    }
  }
}
