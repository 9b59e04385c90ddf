// One decision whose texts the tests replace, and a directory that goes away again.
import Detection
import Events
import Glibc
import Primitives
import RuleLanguage
import Scoring
import Testing

enum Sample {
  static func decision(user: String? = nil, source: String? = "192.0.2.7", summary: String = "12 failed attempts in 10m (threshold 5)") -> Decision {
    let time = EventTime(rfc3339: "2026-01-05T00:00:19.123456789Z") ?? .zero
    return Decision(
      id: "d3f9a1c2b4e5d607f", revision: 2, time: time, subject: Subject(source: source, user: user, host: "web1"), ruleID: "ATR-2026-90001",
      ruleTitle: "SSH brute force", severity: .high, category: "credential-access", techniques: ["T1110.001", "T1021.004"],
      confidence: Confidence(thousandths: 956), terms: [], trust: .claimed, action: .notify, actionReason: "", matchCount: 12, observed: 12,
      threshold: 5, firstTime: time, lastTime: time, summary: summary, evidence: [], evidenceTotal: 0,
      provenance: Provenance(engineVersion: "0.1.0", ruleSetHash: "a", configurationHash: "b", baselineHash: "none"))
  }
}

final class TemporaryDirectory {
  let path: String
  init() throws {
    var template = Array("/tmp/panguard-syslog-XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) }
    path = String(cString: try #require(made))
  }
  deinit {
    guard let directory = opendir(path) else { return }
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
      unlink(path + "/" + name)
    }
    closedir(directory)
    rmdir(path)
  }
}

/// A datagram socket bound to `path`, as a syslog daemon has it. -1 on failure.
func listen(at path: String, receiveBytes: Int32? = nil) -> Int32 {
  let fd = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
  unlink(path)
  let status = withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
  }
  return status == 0 ? fd : -1
}
func receive(_ fd: Int32) -> [UInt8]? {
  var buffer = [UInt8](repeating: 0, count: 65536)
  let n = recv(fd, &buffer, buffer.count, Int32(MSG_DONTWAIT))
  return n >= 0 ? Array(buffer[..<n]) : nil
}
