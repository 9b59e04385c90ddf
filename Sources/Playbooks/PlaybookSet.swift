// The playbooks that stand together, in the order in which they are asked. The result depends on the documents' bytes and names only.
import Primitives
import TypedYAML

public struct PlaybookSet: Sendable {
  /// Highest priority first, of equals by id. Those that are switched off too: they say so when asked why they did not match.
  public private(set) var playbooks: [Playbook] = []
  public private(set) var diagnostics: [Diagnostic] = []
  public var hasErrors: Bool { diagnostics.contains { $0.severity == .error } }
  public init() {}

  /// `files`: what names them in locations, and their bytes. Documents without the key `playbook` are refused.
  /// With an error in any of them the set must not run: what is missing from it may be the playbook that was to ask first.
  public init(reading files: [(name: String, bytes: [UInt8])]) {
    var seen: [String: SourceLocation] = [:]  // only looked up
    for file in files {
      let problems = Problems()
      let reader = PlaybookReader(problems: problems)
      file.bytes.withUnsafeBytes { bytes in
        let parsed = YAMLParser.parse(bytes, file: file.name)
        diagnostics += parsed.problems
        for document in parsed.documents {
          let own = bytes.slice(document.range.lowerBound, document.range.upperBound)
          guard let playbook = reader.read(document, fingerprint: Fingerprint(of: own)) else { continue }
          if let first = seen[playbook.id] {
            problems.error(playbook.location, "playbook \(playbook.id) is taken: it is first defined at \(first)")
            continue
          }
          seen[playbook.id] = playbook.location
          guard playbooks.count < Limits.playbooks else {
            problems.error(playbook.location, "more than \(Limits.playbooks) playbooks")
            continue
          }
          playbooks.append(playbook)
        }
      }
      diagnostics += problems.finished(file: file.name)
    }
    playbooks.sort { $0.priority != $1.priority ? $0.priority > $1.priority : $0.id.utf8.lexicographicallyPrecedes($1.id.utf8) }
    noteShadowed()
  }
  public init(reading text: String, file: String) { self.init(reading: [(file, Array(text.utf8))]) }

  public func playbook(_ id: String) -> Playbook? { playbooks.first { $0.id == id } }

  /// One value for the whole set.
  public var fingerprint: Fingerprint {
    var bytes: [UInt8] = []
    for playbook in playbooks {
      bytes.append(playbook.id)
      bytes.append(0x20)
      playbook.fingerprint.append(to: &bytes)
      bytes.append(0x0a)
    }
    return bytes.withUnsafeBytes { Fingerprint(of: $0) }
  }

  public mutating func add(_ more: [Diagnostic]) { diagnostics += more }

  /// A playbook whose trigger an earlier one has too is never asked.
  private mutating func noteShadowed() {
    let active = playbooks.filter(\.isEnabled)
    var first: [Trigger: String] = [:]  // only looked up
    for playbook in active {
      if let earlier = first[playbook.trigger] {
        diagnostics.append(
          Diagnostic(.warning, playbook.location, "playbook \(playbook.id) is never asked: \(earlier) has the same trigger and comes first"))
      } else {
        first[playbook.trigger] = playbook.id
      }
    }
  }
}
