// What was asked for and what came of it, by key: in memory, and as lines of JSON in a file that survives this process.
// What must stay true: an action is on the disk before it is begun, and begun once: what a crash has left without an end is an end of its
// own ("it was begun, and nobody knows"), never a reason to begin again.
import CLinux
import Glibc
import HostActions
import Primitives
import TypedYAML

struct LedgerEntry: Equatable {
  var key: String
  /// ns since 1970.
  var time: Int64
  var text: String
  var outcome: HostActionOutcome
  /// What taking it back needs, in words of the action's own; empty: it cannot be taken back.
  var undo: [String] = []
  var record: HostActionRecord {
    HostActionRecord(key: key, time: time, text: text, outcome: outcome, canUndo: outcome.state == .done && !undo.isEmpty)
  }

  var json: [UInt8] {
    var json = JSONWriter()
    json.beginObject()
    json.key("key")
    json.value(key)
    json.key("time")
    json.value(time)
    json.key("state")
    json.value(outcome.state.word)
    for (name, value) in [("text", text), ("code", outcome.code), ("detail", outcome.detail)] {
      json.key(text: name)
      json.value(value)
    }
    json.key("undo")
    json.beginArray()
    for word in undo { json.value(word) }
    json.endArray()
    json.endObject()
    return json.out
  }

  init(key: String, time: Int64, text: String, outcome: HostActionOutcome, undo: [String] = []) {
    (self.key, self.time, self.text, self.outcome, self.undo) = (key, time, text, outcome, undo)
  }
  /// nil: the line is not one of ours.
  init?(line: Bytes) {
    var texts: [String: String] = [:]
    var undo: [String] = []
    func text(_ value: Bytes) -> String {
      var out = value.string
      var reader = JSONReader(value)
      _ = try? reader.next { if case .string(let bytes) = $0 { out = bytes.string } }
      return out
    }
    do {
      try JSONMembers.forEach(of: line) { key, value in
        if key.equals("undo") { undo = try JSONMembers.elements(of: value).map(text) } else { texts[key.string] = text(value) }
      }
    } catch { return nil }
    guard let key = texts["key"], HostActionRequest.isValid(key: key), let time = texts["time"].flatMap({ Int64($0) }),
      let state = texts["state"].flatMap({ HostActionOutcome.State(word: $0) })
    else { return nil }
    self.init(
      key: key, time: time, text: texts["text"] ?? "", outcome: HostActionOutcome(state, texts["code"] ?? "", texts["detail"] ?? ""), undo: undo)
  }
}

struct LedgerError: Error, CustomStringConvertible { var description: String }

final class ActionLedger {
  private let path: String
  private var descriptor: Int32
  private var entries: [String: LedgerEntry] = [:]
  /// Keys, the oldest first.
  private var order: [String] = []
  private var lines = 0
  private(set) var forgotten: UInt64 = 0
  private(set) var unreadable = 0

  /// Opens or makes `actions.jsonl` in `directory`.
  init(directory: String) throws(LedgerError) {
    path = directory + "/actions.jsonl"
    descriptor = -1
    if case .success(let bytes) = readDocumentFile(path, limit: 64 * 1024 * 1024) {
      bytes.withUnsafeBytes { all in
        var from = 0
        // A last line without its end was being written when the process died.
        while let end = all.index(of: 0x0a, from: from) {
          if let entry = LedgerEntry(line: all.slice(from, end)) { remember(entry) } else { unreadable += 1 }
          from = end + 1
        }
      }
    } else if access(path, F_OK) == 0 {
      throw LedgerError(description: "\(path): cannot be read; what was done is not known, so nothing is done")
    }
    for key in order where entries[key]?.outcome.state == .pending {
      entries[key]?.outcome = HostActionOutcome(
        .failed, "interrupted", "the responder ended while it was done: whether it was is not known, and it is not done again")
    }
    try rewrite()
  }
  deinit { if descriptor >= 0 { close(descriptor) } }

  var count: Int { entries.count }
  subscript(key: String) -> LedgerEntry? { entries[key] }
  /// The newest first.
  func newest(_ limit: Int) -> [LedgerEntry] { order.suffix(limit).reversed().compactMap { entries[$0] } }

  /// Keeps it, on the disk when this returns. Throws where that cannot be: then it must not be done.
  func put(_ entry: LedgerEntry) throws(LedgerError) {
    if entries[entry.key] == nil, entries.count >= Limits.rememberedHostActions {
      guard let oldest = order.firstIndex(where: { entries[$0]?.record.canUndo != true && entries[$0]?.outcome.state != .pending }) else {
        throw LedgerError(description: "\(Limits.rememberedHostActions) actions are remembered that can all be taken back; take some back")
      }
      entries[order.remove(at: oldest)] = nil
      forgotten += 1
    }
    let before = entries[entry.key]
    do throws(LedgerError) {
      if lines >= 4 * Limits.rememberedHostActions { try rewrite() }
      try append(entry.json + [0x0a], to: descriptor)
      guard fdatasync(descriptor) == 0 else { throw failure("cannot be written") }
    } catch {
      // Half a line may be there: the next one must not continue it.
      lines = .max
      if before == nil { entries[entry.key] = nil }
      throw error
    }
    lines += 1
    remember(entry)
  }

  private func remember(_ entry: LedgerEntry) {
    if entries.updateValue(entry, forKey: entry.key) == nil { order.append(entry.key) }
  }
  private func failure(_ what: String) -> LedgerError { LedgerError(description: "\(path): \(what): \(errorText(errno))") }

  private func append(_ bytes: [UInt8], to descriptor: Int32) throws(LedgerError) {
    guard write(descriptor, bytes, bytes.count) == bytes.count else { throw failure("cannot be written") }
  }

  /// The file anew, one line for each action.
  private func rewrite() throws(LedgerError) {
    let temporary = path + ".new"
    unlink(temporary)
    let new = pg_open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_APPEND, 0o600)
    guard new >= 0 else { throw failure("cannot be made") }
    do throws(LedgerError) {
      for key in order { if let entry = entries[key] { try append(entry.json + [0x0a], to: new) } }
      guard fsync(new) == 0, rename(temporary, path) == 0 else { throw failure("cannot be replaced") }
    } catch {
      close(new)
      throw error
    }
    if descriptor >= 0 { close(descriptor) }
    descriptor = new
    lines = order.count
  }
}
