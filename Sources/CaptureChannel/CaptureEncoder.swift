// Events and counters as messages, appended to a buffer of the caller's.
import Events
import Primitives

public enum CaptureEncoder {
  /// Begins a message; `finish` writes its length.
  private static func begin(_ kind: CaptureProtocol.Kind, _ out: inout [UInt8]) -> Int {
    let start = out.count
    out.append(contentsOf: [0, 0, 0, 0, CaptureProtocol.version, kind.rawValue, 0, 0])
    return start
  }
  private static func finish(_ start: Int, _ out: inout [UInt8]) {
    let length = UInt32(truncatingIfNeeded: out.count - start)
    for i in 0..<4 { out[start + i] = UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32(i))) }
  }
  private static func integer<Value: FixedWidthInteger>(_ value: Value, _ out: inout [UInt8]) {
    withUnsafeBytes(of: value.bigEndian) { out.append(contentsOf: $0) }
  }
  /// What is not printable ASCII becomes "?"; longer names are cut, an empty one is "?".
  private static func name(_ bytes: some Collection<UInt8>, _ out: inout [UInt8]) {
    let kept = bytes.isEmpty ? [0x3f] : bytes.prefix(255).map { (0x21..<0x7f).contains($0) ? $0 : 0x3f }
    out.append(UInt8(kept.count))
    out.append(contentsOf: kept)
  }
  private static func text(_ bytes: Bytes, _ out: inout [UInt8]) {
    integer(UInt32(truncatingIfNeeded: bytes.count), &out)
    out.append(bytes)
  }

  /// The names of this version's fields, in the order of the numbers that `event` uses.
  public static func fields(to out: inout [UInt8]) {
    let start = begin(.fields, &out)
    integer(UInt16(Field.allCases.count), &out)
    for field in Field.allCases { name(Bytes(field.name), &out) }
    finish(start, &out)
  }

  public static func interface(_ number: UInt16, _ text: String, to out: inout [UInt8]) {
    let start = begin(.interface, &out)
    integer(number, &out)
    name(text.utf8, &out)
    finish(start, &out)
  }

  /// `event` with its time and trust; `frame`: the number of the frame that completed it. False, and nothing appended: it is longer than
  /// `Limits.captureMessageBytes`.
  public static func event(_ event: borrowing Event, interface: UInt16, frame: UInt64, to out: inout [UInt8]) -> Bool {
    let start = begin(.event, &out)
    integer(event.time.nanoseconds, &out)
    integer(interface, &out)
    integer(frame, &out)
    out.append(event.trust.rawValue)
    out.append(event.isTruncated ? 1 : 0)
    let countAt = out.count
    out.append(0)
    var count = 0
    for field in Field.allCases where event.has(field) {
      count += 1
      integer(UInt16(field.rawValue), &out)
      if let value = event.text(field) {
        out.append(CaptureProtocol.Value.text.rawValue)
        text(value, &out)
      } else if let value = event.integer(field) {
        out.append(CaptureProtocol.Value.integer.rawValue)
        integer(value, &out)
      } else if let value = event.address(field) {
        out.append((value.isV4 ? CaptureProtocol.Value.v4 : .v6).rawValue)
        if value.isV4 {
          integer(UInt32(truncatingIfNeeded: value.low), &out)
        } else {
          integer(value.high, &out)
          integer(value.low, &out)
        }
      }
    }
    event.forEachExtra { key, value in
      count += 1
      integer(CaptureProtocol.extraField, &out)
      name(key, &out)
      text(value, &out)
    }
    guard count <= 255, out.count - start <= Limits.captureMessageBytes else {
      out.removeLast(out.count - start)
      return false
    }
    out[countAt] = UInt8(count)
    finish(start, &out)
    return true
  }

  public static func counters(_ counters: [(name: String, value: UInt64)], to out: inout [UInt8]) {
    let start = begin(.counters, &out)
    let kept = counters.prefix(Limits.captureCounters)
    integer(UInt16(kept.count), &out)
    for counter in kept {
      name(counter.name.utf8, &out)
      integer(counter.value, &out)
    }
    finish(start, &out)
  }

  public static func notice(_ text: String, to out: inout [UInt8]) {
    let start = begin(.notice, &out)
    var cut = text[...]
    while cut.utf8.count > Limits.captureNoticeBytes { cut.removeLast() }
    integer(UInt16(cut.utf8.count), &out)
    out.append(contentsOf: cut.utf8)
    finish(start, &out)
  }
}
