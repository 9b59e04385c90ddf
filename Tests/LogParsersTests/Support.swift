// What the tests of this module share: a line in, its fields as text out.
import Events
import Foundation
import Glibc
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

/// A child process by posix_spawn, with a deadline for its end. (Foundation's Process needs a run loop, which a test's thread has not.)
final class Child {
  let pid: pid_t
  private var status: Int32?

  /// `errorPath`: where standard error goes; nil, and always for input and output: /dev/null. nil if it cannot be started.
  init?(_ path: String, _ arguments: [String], environment: [String: String] = ["PATH": "/usr/bin:/bin"], errorPath: String? = nil) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 2, errorPath ?? "/dev/null", O_WRONLY | O_CREAT, 0o600)
    let argv = ([path] + arguments).map { strdup($0) } + [nil]
    let envp = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in argv + envp { free(pointer) } }
    var pid: pid_t = 0
    guard posix_spawn(&pid, path, &actions, nil, argv, envp) == 0 else { return nil }
    self.pid = pid
  }
  deinit { _ = end(within: 0) }

  var isRunning: Bool {
    if status != nil { return false }
    var value: Int32 = 0
    guard waitpid(pid, &value, WNOHANG) == pid else { return true }
    status = value
    return false
  }
  /// Whether it ended by itself in time; it is killed if not.
  func end(within seconds: Double) -> Bool {
    for _ in 0...Int(seconds * 50) {
      if !isRunning { return true }
      usleep(20_000)
    }
    kill(pid, SIGKILL)
    var value: Int32 = 0
    waitpid(pid, &value, 0)
    status = value
    return false
  }
  var succeeded: Bool { status == 0 }
  func stop() {
    if isRunning { kill(pid, SIGTERM) }
    _ = end(within: 5)
  }
}
