// What a small program writes down as it happens: lines on standard error, which the journal keeps. Bounded by the minute, so that a hostile
// engine cannot fill a disk; what is left out is counted. One line stays one line whatever text of others is in it.
import FrameProtocol
import Glibc
import Primitives

public struct AuditLines {
  private let name: String
  private let perMinute: Int
  private var minute: UInt64 = 0
  private var lines = 0
  private var left: UInt64 = 0
  public private(set) var dropped: UInt64 = 0

  /// `name` stands before each line.
  public init(name: String, perMinute: Int = Limits.auditLinesPerMinute) { (self.name, self.perMinute) = (name, perMinute) }

  public mutating func add(_ text: String) {
    let now = monotonicNow() / 60_000_000_000
    if now != minute {
      (minute, lines) = (now, 0)
      if left > 0 { write("\(left) lines were left out in an earlier minute") }
      left = 0
    }
    guard lines < perMinute else {
      left += 1
      dropped += 1
      return
    }
    lines += 1
    write(AuditLines.escaped(text))
  }

  private func write(_ text: String) {
    let line = Array("\(name): \(text)\n".utf8)
    _ = Glibc.write(2, line, line.count)
  }

  /// Control characters, also those that turn a line's direction, as \u{...}.
  public static func escaped(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0..<0x20, 0x7f..<0xa0, 0x2028, 0x2029, 0x200e, 0x200f, 0x202a...0x202e, 0x2066...0x2069:
        out += "\\u{\(String(scalar.value, radix: 16))}"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}
