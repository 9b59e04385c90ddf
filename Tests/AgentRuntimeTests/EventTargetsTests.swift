// Which process and file an event names for steps that act on one; and that only the event behind a decision does.
import Events
import Playbooks
import Primitives
import Testing

@testable import AgentRuntime

@Suite struct EventTargetsTests {
  private func targets(_ change: (inout Event) -> Void) -> ResponseTargets {
    var event = Event()
    event.time = EventTime(seconds: 1_800_000_000)
    event.timeBasis = .stamped
    change(&event)
    return ResponseTargets(of: event)
  }

  @Test func aProcessIsNamedWithTheTimeAtWhichItWasSeen() {
    let expected = ProcessReference(pid: 4711, startTicks: 0, seenAt: EventTime(seconds: 1_800_000_000))
    #expect(targets { $0.set(.processPid, 4711) } == ResponseTargets(process: expected))
  }
  @Test(arguments: [-1, 0, 1, Int64(Int32.max) + 1, .max]) func whatIsNoProcessIsNone(_ number: Int64) {
    #expect(targets { $0.set(.processPid, number) } == ResponseTargets())
  }
  /// A stamp whose year or zone was guessed, or that is another line's, says nothing about when a number was whose.
  @Test(arguments: [TimeBasis.yearInferred, .inherited]) func aGuessedTimeNamesNoProcess(_ basis: TimeBasis) {
    let found = targets {
      $0.timeBasis = basis
      $0.set(.processPid, 4711)
    }
    #expect(found == ResponseTargets())
  }
  @Test(arguments: [("/tmp/x y", true), ("tmp/x", false), ("", false), ("/tmp/\0", false)]) func aFileIsNamedByAnAbsolutePath(_ entry: (String, Bool))
  {
    let bytes = Array(entry.0.utf8)
    let found = targets { event in bytes.withUnsafeBytes { event.set(.filePath, $0) } }
    #expect(found.file == (entry.1 ? entry.0 : nil))
  }
}
