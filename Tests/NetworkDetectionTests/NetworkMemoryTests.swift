// What the detectors know after a restart, and what damaged memory does.
import Primitives
import Testing

@testable import NetworkDetection

@Suite struct NetworkMemoryTests {
  private static let day: Int64 = 86_400

  /// Two listeners and two ports outside, a day ago.
  private static func learned() -> [UInt8] {
    var trial = NetworkTrial()
    trial.flow(at: 0, from: "192.168.1.9", to: "10.0.0.5", port: 22)
    trial.flow(at: 1, from: "192.168.1.9", to: "fd00::5", port: 443)
    trial.flow(at: 2, to: "203.0.113.2", port: 443)
    trial.flow(at: 3, to: "203.0.113.2", port: 123, transport: "udp")
    return trial.detectors.memory()
  }

  @Test func itSurvives() throws {
    let memory = Self.learned()
    var trial = NetworkTrial()
    try trial.detectors.resume(memory: memory)
    #expect(trial.detectors.memory() == memory)
    // Nothing is learned anew: what was known is no news, what was not is told at once.
    trial.flow(at: Self.day + 1, from: "192.168.1.9", to: "10.0.0.5", port: 22)
    trial.flow(at: Self.day + 2, to: "203.0.113.7", port: 443)
    #expect(trial.findings.isEmpty)
    trial.flow(at: Self.day + 3, from: "192.168.1.9", to: "10.0.0.5", port: 4444)
    #expect(trial.of("new-listener").map(\.destinationPort) == [4444])
    trial.flow(at: Self.day + 4, to: "203.0.113.7", port: 3333)
    #expect(trial.of("new-destination").map(\.destinationPort) == [3333])
  }

  /// Without it everything is learned again, and nothing told.
  @Test func withoutItLearningBegins() {
    var trial = NetworkTrial()
    trial.flow(at: Self.day, from: "192.168.1.9", to: "10.0.0.5", port: 4444)
    trial.flow(at: Self.day + 1, to: "203.0.113.7", port: 3333)
    #expect(trial.findings.isEmpty)
  }

  @Test(arguments: [
    "", "panguard network memory 2\n", "panguard network memory 1\nhost 10.0.0.5 1", "panguard network memory 1\nhost 10.0.0 1\n",
    "panguard network memory 1\nlistener 10.0.0.5 0 1\n", "panguard network memory 1\nlistener 10.0.0.5 65536 1\n",
    "panguard network memory 1\nused 131072\n", "panguard network memory 1\nused -1\n", "panguard network memory 1\nhost 10.0.0.5 1 2 3 4 5\n",
    "panguard network memory 1\nhost 10.0.0.5 99999999999999999999\n", "panguard network memory 1\n\n",
  ])
  func damageIsAnError(_ text: String) {
    var trial = NetworkTrial()
    let before = trial.detectors.memory()
    #expect(throws: NetworkMemoryError.self) { try trial.detectors.resume(memory: Array(text.utf8)) }
    #expect(trial.detectors.memory() == before)
  }

  /// Each byte changed or left out: an error, or a memory within its limits.
  @Test func hostileBytes() {
    let memory = Self.learned()
    for at in memory.indices {
      for byte: UInt8 in [0, 0x0a, 0x20, 0x39, 0xff] {
        var trial = NetworkTrial()
        var changed = memory
        changed[at] = byte
        try? trial.detectors.resume(memory: changed)
        try? trial.detectors.resume(memory: Array(memory.prefix(at)))
        #expect(trial.detectors.memory().count <= 2 * memory.count)
      }
    }
  }

  @Test func itKeepsItsLimits() throws {
    var text = "panguard network memory 1\n"
    for n in 0..<(2 * Limits.listenerHosts) { text += "host 10.\(n >> 16).\(n >> 8 & 255).\(n & 255) 1\n" }
    var trial = NetworkTrial()
    try trial.detectors.resume(memory: Array(text.utf8))
    #expect(trial.detectors.memory().split(separator: 0x0a).count == 1 + Limits.listenerHosts)
  }
}
