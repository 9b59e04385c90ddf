// The running agent and what happens to logs: every line that could be read is read once, and what was destroyed is reported.
import Glibc
import Primitives
import Testing

@Suite struct RotationTests {
  private func lines(_ from: Int, _ count: Int) -> String { Workload.harmless(from..<(from + count)) }

  @Test func aRenameRightBehindABurstLosesNothing() {
    let d = TemporaryDirectory()
    d.append("", to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.isUp())
    d.append(lines(0, 700), to: "auth.log")
    d.rename("auth.log", "auth.log.1")
    d.append(lines(700, 300), to: "auth.log")
    #expect(agent.acknowledges(1000), "\(agent.acknowledgedLines())")
    #expect(agent.stop() == 0)
    #expect(!agent.errors.contains("warning"), "\(agent.errors)")
  }

  /// A quiet log is followed through its rotation while another log is never quiet.
  @Test func aBusyLogDoesNotHoldUpTheRotationOfAnother() {
    let d = TemporaryDirectory()
    d.append(lines(0, 10), to: "auth.log")
    d.append("", to: "busy.log")
    let agent = RunningAgent(d, sources: ["auth.log", "busy.log"])
    #expect(agent.acknowledges(10))
    d.append(lines(10, 10), to: "auth.log")
    d.rename("auth.log", "auth.log.1")
    d.append(lines(20, 10), to: "auth.log")
    var written = 30
    let isRead = eventually(seconds: 60) {
      d.append(lines(written, 1), to: "busy.log")
      written += 1
      return agent.status()?.sources.first?.lines == 30
    }
    #expect(isRead, "\(agent.status()?.sources.first?.lines ?? 0)")
    #expect(agent.acknowledges(written))
    #expect(agent.stop() == 0)
  }

  @Test func linesWrittenWhileItIsDownAreRead() {
    let d = TemporaryDirectory()
    d.append(lines(0, 50), to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.acknowledges(50))
    #expect(agent.stop() == 0)
    d.append(lines(50, 200), to: "auth.log")
    agent.start()
    #expect(agent.acknowledges(250), "\(agent.acknowledgedLines())")
    #expect(agent.stop() == 0)
    #expect(!agent.errors.contains("warning"), "\(agent.errors)")
  }

  @Test(arguments: [false, true]) func linesWrittenWhileItIsDownAndTheLogRotatesAreRead(packed: Bool) {
    let d = TemporaryDirectory()
    d.append(lines(0, 50), to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.acknowledges(50))
    agent.killAtOnce()
    d.append(lines(50, 150), to: "auth.log")
    d.rename("auth.log", "auth.log.1")
    if packed { #expect(run(["/bin/gzip", d["auth.log.1"]]).status == 0) }
    d.append(lines(200, 150), to: "auth.log")
    agent.start()
    #expect(agent.acknowledges(350), "\(agent.acknowledgedLines())")
    #expect(agent.stop() == 0)
    #expect(!agent.errors.contains("warning"), "\(agent.errors)")
  }

  /// Rotated while nobody ran, and the new file comes only later: a pattern finds nothing at the start.
  @Test func aLogThatIsAwayAtTheStartGoesOnWhereItWas() {
    let d = TemporaryDirectory()
    d.append(lines(0, 50), to: "site-access.log")
    let agent = RunningAgent(d, sources: ["*-access.log"])
    #expect(agent.acknowledges(50))
    #expect(agent.stop() == 0)
    d.append(lines(50, 100), to: "site-access.log")
    d.rename("site-access.log", "site-access.log.1")
    agent.start()
    #expect(agent.isUp(), "\(agent.errors)")
    d.append(lines(150, 100), to: "site-access.log")
    #expect(agent.acknowledges(250), "\(agent.acknowledgedLines()); \(agent.errors)")
    #expect(agent.stop() == 0)
  }

  @Test func aLogThatIsMadeLaterIsReadFromItsFirstLine() {
    let d = TemporaryDirectory()
    let agent = RunningAgent(d, sources: ["auth.log", "web-*.log"])
    #expect(agent.isUp(), "\(agent.errors)")
    #expect(agent.status()?.sources.first?.state == "waiting")
    d.append(lines(0, 20), to: "auth.log")
    d.append(lines(0, 30), to: "web-a.log")
    #expect(agent.acknowledges(50), "\(agent.acknowledgedLines())")
    #expect(agent.stop() == 0)
  }

  /// logrotate's copytruncate: the copy holds what was not read yet.
  @Test func copytruncateIsReadFromTheCopy() {
    let d = TemporaryDirectory()
    d.append(lines(0, 100), to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.acknowledges(100))
    agent.signalEngine(SIGSTOP)
    d.append(lines(100, 50), to: "auth.log")
    d.append(d.contents("auth.log"), to: "auth.log.1")
    truncate(d["auth.log"], 0)
    d.append(lines(150, 50), to: "auth.log")
    agent.resumeEngine()
    #expect(agent.acknowledges(200), "\(agent.acknowledgedLines())")
    #expect(agent.drop("files truncated") == 1)
    #expect(agent.drop("truncations that destroyed unread lines") == 0)
    #expect(agent.errors.contains("truncated"))
    #expect(agent.stop() == 0)
  }

  /// No copy: lines are destroyed before anybody could read them. Nobody can read them, but it is said.
  @Test func aTruncationThatDestroysLinesIsReported() {
    let d = TemporaryDirectory()
    d.append(lines(0, 100), to: "auth.log")
    let agent = RunningAgent(d)
    #expect(agent.acknowledges(100))
    agent.signalEngine(SIGSTOP)
    d.append(lines(100, 700), to: "auth.log")
    truncate(d["auth.log"], 0)
    d.append(lines(800, 30), to: "auth.log")
    agent.resumeEngine()
    #expect(agent.acknowledges(130), "\(agent.acknowledgedLines())")
    #expect(agent.drop("files truncated") == 1)
    #expect(agent.drop("truncations that destroyed unread lines") == 1)
    #expect(agent.errors.contains("warning: ") && agent.errors.contains("no copy of the lines behind our place was found"), "\(agent.errors)")
    let shown = panguard("status", "--state", agent.state)
    #expect(shown.text.contains("truncations that destroyed unread lines: 1"), "\(shown.text)")
    #expect(agent.stop() == 0)
  }

  /// A log of a pattern that was rotated away while the agent was down is found again, before and after its successor appears.
  @Test func aLogThatIsAwayAtTheStart() {
    let d = TemporaryDirectory()
    let agent = RunningAgent(d, sources: ["*.log"])
    #expect(agent.isUp(), "\(agent.errors)")
    d.append(Workload.harmless(0..<10), to: "auth.log")
    #expect(agent.acknowledges(10), "\(agent.errors)")
    #expect(agent.stop() == 0)
    d.append(Workload.harmless(10..<30), to: "auth.log")
    d.rename("auth.log", "auth.log.1")
    agent.start()
    #expect(agent.acknowledges(30), "\(agent.errors)")
    d.append(Workload.harmless(30..<35), to: "auth.log")
    #expect(agent.acknowledges(35), "\(agent.errors)")
    #expect(agent.stop() == 0)
  }
}
