// What happened to the agent itself, beside its decisions: `audit.jsonl` in the state directory, one JSON object a line with time, actor,
// what and about whom. Wall-clock facts, never part of a decision.
import CLinux
import Events
import Glibc
import Primitives

public final class AuditFile {
  private let directory: String
  private let path: String
  public private(set) var failures: UInt64 = 0

  public init(directory: String) {
    self.directory = directory
    path = "\(directory)/audit.jsonl"
  }

  /// `event`: one of a few words, like `process_ended`. An entry that cannot be written is counted: nothing stops for it.
  public func append(actor: String, event: String, process: String, detail: String) {
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
    // It belongs to whom the directory belongs: a command that root runs may be the first to write.
    var owner = stat()
    if geteuid() == 0, stat(directory, &owner) == 0 { _ = fchown(descriptor, owner.st_uid, owner.st_gid) }
    if write(descriptor, line, line.count) != line.count { failures += 1 }
  }
}
