// What the tests of this module share: a line in, its fields as text out.
import Events
import Foundation
import Primitives
import Testing

@testable import LogParsers

/// One parsed line, as text by field name. `#time`, `#repeat`, `#trust`, `#basis` and `#outcome` are the event's own properties.
typealias Fields = [String: String]

func fields(of event: borrowing Event, outcome: ParseOutcome? = nil) -> Fields {
  var result: Fields = [:]
  var text: [UInt8] = []
  for field in Field.allCases where event.has(field) {
    text.removeAll()
    _ = event.appendText(of: field, to: &text)
    result["\(field.name)"] = String(decoding: text, as: UTF8.self)
  }
  event.forEachExtra { result[$0.string] = $1.string }
  result["#time"] = event.time.description
  result["#repeat"] = "\(event.repeatCount)"
  result["#trust"] = "\(event.trust.name)"
  result["#basis"] = "\(event.timeBasis.name)"
  if let outcome { result["#outcome"] = "\(outcome)" }
  return result
}

let testInputTime = EventTime(rfc3339: "2026-06-15T12:00:00Z" as String)!

/// Parses lines with one parser.
func parse(
  lines: [String], format: LogFormat = .auto, inputTime: EventTime = testInputTime, program: String? = nil, utcOffsetSeconds: Int64 = 0
) -> [Fields] {
  var parser = LogParser(format: format, inputTime: inputTime, program: program, utcOffsetSeconds: utcOffsetSeconds)
  var event = Event()
  var result: [Fields] = []
  for (i, line) in lines.enumerated() {
    let bytes = Array(line.utf8)
    let outcome = bytes.withUnsafeBytes {
      parser.parse($0, origin: EventOrigin(source: 0, offset: UInt64(i), length: UInt32($0.count)), into: &event)
    }
    result.append(fields(of: event, outcome: outcome))
  }
  return result
}
func parse(line: String, program: String? = nil) -> Fields { parse(lines: [line], program: program)[0] }
/// A message of a program, under an ordinary header.
func parse(message: String, of program: String = "sshd") -> Fields {
  parse(line: "Jun 10 10:00:00 web01 \(program)[4242]: \(message)")
}

/// Where the data shared with other projects lies: `PANGUARD_SHARED`, or a folder `shared` beside this repository. nil: not here.
func sharedDirectory() -> String? {
  var candidates: [String] = []
  if let given = ProcessInfo.processInfo.environment["PANGUARD_SHARED"] { candidates.append(given) }
  var directory = URL(fileURLWithPath: #filePath)
  for _ in 0..<5 {
    directory.deleteLastPathComponent()
    candidates.append(directory.deletingLastPathComponent().appendingPathComponent("shared").path)
  }
  return candidates.first { FileManager.default.fileExists(atPath: $0 + "/tools/gen_logs.py") }
}

/// A generator of numbers that is the same in every run (SplitMix64).
struct FixedRandom {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
  mutating func below(_ n: Int) -> Int { n > 0 ? Int(next() % UInt64(n)) : 0 }
}
