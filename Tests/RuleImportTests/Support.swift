// Rules and archives that the tests make themselves; python3 packs them, as the wheels and archives of the world are packed.
import Foundation
import Primitives
import RuleImport
import RuleLanguage

/// A rule with one condition.
func ruleYAML(_ id: String, pattern: String = "evil", severity: String = "high", title: String = "A rule") -> String {
  """
  schema_version: "1.0"
  id: \(id)
  title: \(title)
  severity: \(severity)
  status: experimental
  agent_source: {type: llm_io}
  detection:
    conditions:
      - {field: user_input, operator: contains, value: '\(pattern)'}
    condition: any

  """
}

final class Scratch {
  let path: String
  init() {
    path = NSTemporaryDirectory() + "panguard-import-\(UUID().uuidString)"
    try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }
  func write(_ name: String, _ text: String) { write(name, Array(text.utf8)) }
  func write(_ name: String, _ bytes: [UInt8]) {
    let file = "\(path)/\(name)"
    try! FileManager.default.createDirectory(atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try! Data(bytes).write(to: URL(fileURLWithPath: file))
  }
  func read(_ name: String) -> [UInt8]? { FileManager.default.contents(atPath: "\(path)/\(name)").map { Array($0) } }
  func names(_ name: String = ".") -> [String] { ((try? FileManager.default.contentsOfDirectory(atPath: "\(path)/\(name)")) ?? []).sorted() }

  /// Runs a Python program here; false, and said, where there is no python3.
  func python(_ program: String) -> Bool {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
    process.arguments = ["-c", program]
    process.currentDirectoryURL = URL(fileURLWithPath: path)
    do { try process.run() } catch {
      print("skipped: there is no python3 to pack archives with")
      return false
    }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }
}

/// The corpora beside the repository; nil, and said, where they are not there.
func shared(_ name: String) -> String? {
  let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  let base = ProcessInfo.processInfo.environment["PANGUARD_SHARED"] ?? root.deletingLastPathComponent().appendingPathComponent("shared").path
  let path = "\(base)/\(name)"
  guard FileManager.default.fileExists(atPath: path) else {
    print("skipped: \(path) is not there")
    return nil
  }
  return path
}
