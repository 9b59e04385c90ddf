// Decisions and directories for the store's tests.
import Detection
import Events
import Glibc
import Primitives
import RuleLanguage
import Scoring
import Storage
import Testing

enum Sample {
  static func decision(
    _ number: Int, revision: Int = 1, at seconds: Int64? = nil, source: String? = "192.0.2.7", user: String? = nil, session: String? = nil,
    host: String? = "web1", rule: String = "ATR-2026-90001", severity: Severity = .high, confidence: Int = 920, action: ProposedAction = .notify,
    evidence: Int = 8
  ) -> Decision {
    let time = EventTime(seconds: 1_767_571_200 + (seconds ?? Int64(number)))
    let weight = ConfidenceModel().weight(of: Confidence(thousandths: confidence))
    let signal = Signal(
      name: rule, family: "ssh-authentication", weight: weight, isAttested: false, detail: "12 failed attempts in 10m (threshold 5)")
    let digits = String(UInt64(truncatingIfNeeded: number) &* 0x9e37_79b9_7f4a_7c15, radix: 16)
    return Decision(
      id: "d" + String(repeating: "0", count: 16 - digits.utf8.count) + digits, revision: revision, time: time,
      subject: Subject(source: source, user: user, session: session, host: host), ruleID: rule, ruleTitle: "SSH brute force from one address",
      severity: severity, category: "credential-access", techniques: ["T1110.001"], confidence: Confidence(thousandths: confidence),
      terms: ConfidenceModel().score([signal]).terms, trust: .claimed, action: action, actionReason: "the lines are claimed",
      matchCount: UInt64(revision), observed: 12, threshold: 5, firstTime: time - .seconds(60), lastTime: time,
      summary: "12 failed attempts in 10m (threshold 5)",
      evidence: (0..<evidence).map {
        EvidenceRecord(
          source: "/var/log/auth.log", offset: UInt64($0) * 100, length: 99, time: time, fingerprint: Fingerprint(high: UInt64($0), low: 7))
      },
      evidenceTotal: UInt64(evidence),
      provenance: Provenance(
        engineVersion: "0.1.0", ruleSetHash: "6c1f0c6f9a2a4e0db37f4d0f3c2b1a99", configurationHash: "0a4f5e6d7c8b9a00112233445566778f",
        baselineHash: "none"))
  }
}

/// A new empty directory, 0700, removed with everything in it at the end of the test.
final class TemporaryDirectory {
  let path: String
  init() throws {
    var template = Array("/tmp/panguard-storage-XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) }
    path = String(cString: try #require(made))
  }
  deinit { removeTree(path) }

  static func / (directory: TemporaryDirectory, name: String) -> String { directory.path + "/" + name }
}

func removeTree(_ path: String) {
  if let directory = opendir(path) {
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
      if name != ".", name != ".." { removeTree(path + "/" + name) }
    }
    closedir(directory)
    rmdir(path)
  } else {
    unlink(path)
  }
}

func read(_ path: String) -> [UInt8]? {
  guard let file = fopen(path, "r") else { return nil }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 20)
  while case let n = fread(&buffer, 1, buffer.count, file), n > 0 { bytes += buffer[..<n] }
  return bytes
}
/// Writes `bytes` with mode 0600 at `offset` of what is there, or as the whole file.
func write(_ bytes: [UInt8], to path: String, at offset: Int? = nil) {
  guard let file = fopen(path, offset == nil ? "w" : "r+") else { return }
  if let offset { fseek(file, offset, SEEK_SET) }
  fwrite(bytes, 1, bytes.count, file)
  fclose(file)
  chmod(path, 0o600)
}
func names(in path: String) -> [String] {
  var out: [String] = []
  guard let directory = opendir(path) else { return [] }
  while let entry = readdir(directory) {
    out.append(withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } })
  }
  closedir(directory)
  return out.filter { $0 != "." && $0 != ".." }.sorted()
}
func mode(_ path: String) -> String {
  var status = stat()
  return lstat(path, &status) == 0 ? String(status.st_mode & 0o7777, radix: 8) : "none"
}
