// What happened to the agent itself, beside its decisions: `audit.jsonl` in the state directory, one JSON object a line with time, actor,
// what and about whom. Wall-clock facts, never part of a decision.
import CLinux
import Events
import Glibc
import Primitives

final class AuditFile {
  private let path: String
  private(set) var failures: UInt64 = 0

  init(directory: String) { path = "\(directory)/audit.jsonl" }

  /// `event`: one of a few words, like `process_ended`. An entry that cannot be written is counted: nothing stops for it.
  func append(actor: String, event: String, process: String, detail: String) {
    var json = JSONWriter()
    json.beginObject()
    json.key("time")
    json.value("\(EventTime(seconds: Int64(time(nil))))")
    for (key, value) in [("actor", actor), ("event", event), ("process", process), ("detail", detail)] {
      json.key(text: key)
      json.value(value)
    }
    json.endObject()
    var line = json.out
    line.append(0x0a)
    var facts = stat()
    if lstat(path, &facts) == 0, Int64(facts.st_size) > Limits.auditFileBytes { _ = rename(path, path + ".1") }
    let descriptor = pg_open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else {
      failures += 1
      return
    }
    defer { close(descriptor) }
    if write(descriptor, line, line.count) != line.count { failures += 1 }
  }
}
