// What a followed file delivers through everything that happens to logs: each line once, in order, or counted as lost.
import CLinux
import Glibc
import LogSources
import Primitives
import Testing

@Suite struct FileTailTests {
  let directory = TemporaryDirectory()

  @Test func followsAppends() {
    directory.appendLines(0..<10, to: "log")
    let follower = Follower(directory["log"])
    follower.readAll()
    directory.appendLines(10..<20, to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<20))
    #expect(follower.offsets[0] == 0 && follower.offsets[1] == 19)
    #expect(follower.tail.lagBytes == 0)
  }

  @Test func startsAtTheEndOfWhatIsOld() {
    directory.append("old 1\nold 2\nbeing wri", to: "log")
    let follower = Follower(directory["log"], start: .end)
    #expect(follower.readAll() == 0)
    directory.append("tten\nnew\n", to: "log")
    follower.readAll()
    #expect(follower.lines == ["being written", "new"])
  }

  @Test func aPartialLineWaitsForItsNewline() {
    let follower = Follower(directory["log"])
    for part in ["par", "t", "ial", " li"] {
      directory.append(part, to: "log")
      #expect(follower.readAll() == 0)
    }
    follower.stop()
    directory.append("ne\nnext", to: "log")
    follower.readAll()
    #expect(follower.lines == ["partial line"])
  }

  @Test func aFileThatComesLaterIsAllNew() {
    let follower = Follower(directory["deep/er/log"], start: .end)
    #expect(follower.readAll() == 0)
    #expect(follower.tail.problem?.code == .missing)
    follower.stop()
    #expect(follower.readAll() == 0)
    mkdir(directory["deep"], 0o755)
    mkdir(directory["deep/er"], 0o755)
    directory.appendLines(0..<5, to: "deep/er/log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<5))
    #expect(follower.tail.problem == nil)
    #expect(follower.notices.contains(.recovered(path: directory["deep/er/log"])))
  }

  /// 1,000 lines around a rename, the last ones written to the old file after it was renamed.
  @Test func losesNothingWhenRenamedRightAfterABurst() {
    let follower = Follower(directory["log"])
    directory.appendLines(0..<300, to: "log")
    follower.readAll()
    directory.appendLines(300..<700, to: "log")
    directory.rename("log", "log.1")
    directory.appendLines(700..<800, to: "log.1")
    directory.appendLines(800..<1000, to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<1000))
    #expect(follower.tail.counters.rotations == 1)
  }

  @Test func staysOnTheRenamedFileUntilItsSuccessorHasLines() {
    let follower = Follower(directory["log"])
    directory.appendLines(0..<3, to: "log")
    follower.readAll()
    directory.rename("log", "log.1")
    directory.append("", to: "log")
    follower.readAll()
    directory.appendLines(3..<6, to: "log.1")
    follower.readAll()
    directory.appendLines(6..<9, to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<9))
    #expect(follower.tail.counters.lateLines == 0)
  }

  @Test func linesThatComeLateIntoTheOldFileAreRead() {
    let follower = Follower(directory["log"])
    directory.appendLines(0..<3, to: "log")
    follower.readAll()
    directory.rename("log", "log.1")
    directory.appendLines(3..<6, to: "log")
    follower.readAll()
    directory.append("late 1\n", to: "log.1")
    follower.readAll()
    #expect(follower.lines == numbered(0..<6) + ["late 1"])
    follower.stop()
    directory.append("late 2\n", to: "log.1")
    directory.appendLines(6..<7, to: "log")
    follower.readAll()
    #expect(follower.lines.sorted() == (numbered(0..<7) + ["late 1", "late 2"]).sorted())
    #expect(follower.tail.counters.lateLines == 1)
  }

  @Test func waitsOutTheGraceOfARenamedFile() {
    let follower = Follower(directory["log"], grace: .seconds(3600))
    directory.appendLines(0..<3, to: "log")
    follower.readAll()
    directory.rename("log", "log.1")
    directory.appendLines(3..<6, to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<3))
    // Silent for long: its service has left it.
    run(["/usr/bin/touch", "-d", "2 days ago", directory["log.1"]])
    follower.readAll()
    #expect(follower.lines == numbered(0..<6))
  }

  @Test func losesNothingWhileStopped() {
    let follower = Follower(directory["log"])
    directory.appendLines(0..<100, to: "log")
    follower.readAll()
    follower.stop()
    directory.appendLines(100..<300, to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<300))
  }

  enum Rotation: CaseIterable { case renamed, packed, dated, datedPacked, xz, twice, thrice, extensionKept, deepGap, otherName }
  @Test(arguments: Rotation.allCases)
  func losesNothingWhenRotatedWhileStopped(_ rotation: Rotation) {
    let name = rotation == .extensionKept ? "app.log" : "log"
    let follower = Follower(directory[name])
    directory.appendLines(0..<100, to: name)
    follower.readAll()
    follower.stop()
    directory.appendLines(100..<200, to: name)
    switch rotation {
    case .renamed: directory.rename(name, "log.1")
    case .packed:
      directory.rename(name, "log.1")
      directory.gzip("log.1")
    case .dated: directory.rename(name, "log-20260105")
    case .datedPacked:
      directory.rename(name, "log-20260105")
      directory.gzip("log-20260105")
    case .xz:
      directory.rename(name, "log.1")
      #expect(run(["/usr/bin/xz", directory["log.1"]]) == 0)
    case .extensionKept: directory.rename(name, "app-20260105.log")
    case .otherName: directory.rename(name, "elsewhere")
    case .twice, .thrice, .deepGap:
      directory.rename(name, "log.1")
      directory.appendLines(200..<220, to: name)
      directory.rename("log.1", "log.2")
      directory.gzip("log.2")
      directory.rename(name, "log.1")
      if rotation == .thrice {
        directory.appendLines(220..<240, to: name)
        directory.rename("log.2.gz", "log.3.gz")
        directory.rename("log.1", "log.2")
        directory.gzip("log.2")
        directory.rename(name, "log.1")
      }
    }
    let next = rotation == .twice || rotation == .deepGap ? 220 : rotation == .thrice ? 240 : 200
    if rotation != .deepGap { directory.appendLines(next..<300, to: name) }
    follower.readAll()
    if rotation == .deepGap {
      directory.appendLines(next..<300, to: name)
      follower.readAll()
    }
    #expect(follower.lines == numbered(0..<300))
    #expect(follower.tail.counters.placesLost == 0)
    // And once more across the next rotation.
    follower.stop()
    directory.appendLines(300..<310, to: name)
    follower.readAll()
    #expect(follower.lines == numbered(0..<310))
  }

  @Test func aPackedAndAPlainCopyAreOneVersion() {
    let follower = Follower(directory["log"])
    directory.appendLines(0..<10, to: "log")
    follower.readAll()
    follower.stop()
    directory.appendLines(10..<20, to: "log")
    directory.rename("log", "log.1")
    directory.writeGzip(Array(directory.contents("log.1").prefix(40)), to: "log.1.gz")
    directory.appendLines(20..<30, to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<30))
  }

  @Test func oldRotatedFilesAreNotNew() {
    directory.appendLines(0..<10, to: "log.2", prefix: "old")
    directory.appendLines(10..<20, to: "log.1", prefix: "old")
    directory.appendLines(0..<10, to: "log")
    let follower = Follower(directory["log"])
    follower.readAll()
    run(["/usr/bin/touch", directory["log.2"], directory["log.1"]])
    follower.stop()
    follower.readAll()
    directory.appendLines(10..<20, to: "log")
    directory.rename("log.1", "log.2")
    directory.rename("log", "log.1")
    directory.appendLines(20..<30, to: "log")
    follower.stop()
    follower.readAll()
    #expect(follower.lines == numbered(0..<30))
  }

  @Test func emptyAtTheCheckpointThenRotatedAndPacked() {
    directory.appendLines(0..<10, to: "log.1", prefix: "old")
    directory.append("", to: "log")
    let follower = Follower(directory["log"])
    follower.readAll()
    follower.stop()
    directory.appendLines(0..<10, to: "log")
    directory.rename("log.1", "log.2")
    directory.gzip("log.2")
    directory.rename("log", "log.1")
    directory.gzip("log.1")
    directory.appendLines(10..<20, to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<20))
  }

  @Test func deletedAndMadeAnew() {
    let follower = Follower(directory["log"])
    directory.appendLines(0..<10, to: "log")
    follower.readAll()
    directory.appendLines(10..<20, to: "log")
    directory.remove("log")
    follower.readAll()
    directory.appendLines(20..<30, to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<30))
    #expect(follower.tail.counters.placesLost == 0)
    // While stopped, what was in the deleted file is lost, and that is said.
    follower.stop()
    directory.remove("log")
    directory.appendLines(30..<40, to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<40))
    #expect(follower.tail.counters.placesLost == 1)
  }

  @Test func aSwitchedSymbolicLink() {
    directory.appendLines(0..<10, to: "a")
    symlink("a", directory["log"])
    let follower = Follower(directory["log"])
    follower.readAll()
    directory.appendLines(10..<20, to: "a")
    directory.appendLines(20..<30, to: "b")
    directory.remove("log")
    symlink("b", directory["log"])
    follower.readAll()
    #expect(follower.lines == numbered(0..<30))
    follower.stop()
    directory.appendLines(30..<40, to: "b")
    directory.appendLines(40..<50, to: "c")
    directory.remove("log")
    symlink("c", directory["log"])
    follower.readAll()
    #expect(follower.lines == numbered(0..<50))
  }

  @Test func copyAndTruncateReadsTheRestFromTheCopy() {
    let follower = Follower(directory["log"])
    directory.appendLines(0..<500, to: "log")
    follower.readAll()
    directory.appendLines(500..<800, to: "log")
    directory.copy("log", "log.1")
    directory.truncate("log")
    directory.appendLines(800..<1000, to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<1000))
    #expect(follower.tail.counters.truncations == 1)
    #expect(follower.tail.counters.truncationsWithoutCopy == 0)
    #expect(follower.tail.counters.knownLostBytes == 0)
    follower.stop()
    directory.appendLines(1000..<1010, to: "log")
    directory.copy("log", "log.1")
    directory.gzip("log.1")
    directory.truncate("log")
    directory.appendLines(1010..<1020, to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<1020))
  }

  @Test func theCopyMayBeShorterThanWhatWasRead() {
    let follower = Follower(directory["log"])
    directory.appendLines(0..<500, to: "log")
    directory.copy("log", "log.1")
    directory.appendLines(500..<600, to: "log")
    follower.readAll()
    directory.truncate("log")
    directory.appendLines(600..<700, to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<700))
  }

  @Test func linesDestroyedByATruncationAreCounted() {
    let follower = Follower(directory["log"])
    directory.appendLines(0..<1000, to: "log")
    let size = UInt64(directory.contents("log").count)
    _ = follower.readOnce(maxBytes: 4096)
    let got = follower.lines.count
    directory.truncate("log")
    directory.append("after\n", to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<got) + ["after"])
    let counters = follower.tail.counters
    #expect(counters.truncations == 1 && counters.truncationsWithoutCopy == 1)
    let readBytes = numbered(0..<got).reduce(0) { $0 + $1.utf8.count + 1 }
    #expect(counters.knownLostBytes == size - UInt64(readBytes))
    #expect(follower.notices.contains(.truncated(path: directory["log"], knownLostBytes: counters.knownLostBytes, copy: nil)))
  }

  @Test func truncatedAndGrownBeyondTheOldSizeIsNoticed() {
    let follower = Follower(directory["log"])
    directory.appendLines(0..<10, to: "log")
    follower.readAll()
    directory.truncate("log")
    directory.appendLines(100..<200, to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<10) + numbered(100..<200))
    #expect(follower.tail.counters.truncations == 1)
  }

  /// A service without O_APPEND goes on at its old place after a truncation: the hole says exactly how much was destroyed.
  @Test(arguments: [100, 20_000]) func aHoleIsSkippedAndSaysWhatWasLost(lines: Int) {
    let file = pg_open(directory["log"], O_WRONLY | O_CREAT, 0o644)
    defer { close(file) }
    func write(_ range: Range<Int>) { writeAll(Array(numbered(range).map { $0 + "\n" }.joined().utf8), to: file) }
    write(0..<lines)
    let follower = Follower(directory["log"])
    follower.readAll()
    write(lines..<lines + 50)
    directory.truncate("log")
    write(lines + 50..<lines + 60)
    follower.readAll()
    #expect(follower.lines == numbered(0..<lines) + numbered(lines + 50..<lines + 60))
    let destroyed = numbered(lines..<lines + 50).reduce(0) { $0 + $1.utf8.count + 1 }
    #expect(follower.tail.counters.knownLostBytes == UInt64(destroyed))
  }

  @Test func aCopyPutBackIsNotNew() {
    let follower = Follower(directory["log"])
    directory.appendLines(0..<20, to: "log")
    directory.copy("log", "backup")
    directory.appendLines(20..<30, to: "log")
    directory.copy("log", "whole")
    follower.readAll()
    // The whole file comes back under a new inode: reading goes on at its end.
    directory.remove("log")
    directory.rename("whole", "log")
    directory.appendLines(30..<40, to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<40))
    // An older, shorter copy comes back: all of it is old.
    follower.stop()
    directory.remove("log")
    directory.rename("backup", "log")
    follower.readAll()
    directory.appendLines(40..<50, to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<50))
  }

  @Test(arguments: [false, true]) func anEditedFileIsNotNew(whileStopped: Bool) {
    let follower = Follower(directory["log"])
    directory.appendLines(0..<3000, to: "log")
    follower.readAll()
    if whileStopped { follower.stop() }
    let edited = numbered(0..<3000).filter { !$0.hasPrefix("line 1 ") && !$0.contains("77") }.map { $0 + "\n" }.joined()
    directory.append(edited, to: "temporary")
    directory.rename("temporary", "log")
    directory.appendLines(3000..<3100, to: "log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<3100))
    #expect(follower.notices.contains { if case .rewritten = $0 { true } else { false } })
  }

  @Test func filesWithTheSameFirstBytesAreToldApart() {
    let header = String(repeating: "#Fields: date time c-ip cs-method cs-uri-stem sc-status ", count: 6) + "\n"
    let follower = Follower(directory["log"])
    directory.append(header, to: "log")
    directory.appendLines(0..<10, to: "log")
    follower.readAll()
    follower.stop()
    directory.appendLines(10..<20, to: "log")
    directory.rename("log", "log.2")
    directory.append(header, to: "log.1")
    directory.appendLines(20..<60, to: "log.1")
    directory.append(header, to: "log")
    directory.appendLines(60..<90, to: "log")
    follower.readAll()
    #expect(follower.lines.filter { !$0.hasPrefix("#") } == numbered(0..<90))
  }

  @Test func longLinesNULsAndCarriageReturns() {
    let long = [UInt8](repeating: 0x61, count: 10 * 1024 * 1024)
    directory.append(long + [0x0a] + Array("after\r\nnul\0nul\n\n".utf8), to: "log")
    let follower = Follower(directory["log"])
    follower.readAll(maxBytes: 50_000)
    #expect(follower.lines.count == 4)
    #expect(follower.lines[0].utf8.count == Limits.lineBytes)
    #expect(Array(follower.lines[1...]) == ["after", "nul\0nul", ""])
    #expect(follower.offsets[1] == UInt64(long.count + 1))
    #expect(follower.tail.counters.cutLines == 1)
    #expect(follower.tail.counters.cutBytes == UInt64(long.count - Limits.lineBytes))
  }

  /// The rest of a line that is being cut must not become a line of its own after a restart: its writer may have planned that.
  @Test func aRestartInsideALongLineBeginsItAgain() {
    let follower = Follower(directory["log"])
    directory.append("first\n" + String(repeating: "x", count: 300_000), to: "log")
    follower.readAll()
    follower.stop()
    directory.append("Jan  1 00:00:00 host sshd[1]: Failed password for root from 192.0.2.1\nlast\n", to: "log")
    follower.readAll()
    #expect(follower.lines.count == 3)
    #expect(follower.lines[1].utf8.allSatisfy { $0 == 0x78 } && follower.lines[2] == "last")
  }

  enum Odd: CaseIterable { case directory, dangling, circle, fifo, device }
  @Test(arguments: Odd.allCases)
  func whatIsNoFileIsNamedAndNeverOpened(_ odd: Odd) {
    switch odd {
    case .directory: mkdir(directory["log"], 0o755)
    case .dangling: symlink("nowhere", directory["log"])
    case .circle: symlink("log", directory["log"])
    case .fifo: mkfifo(directory["log"], 0o644)
    case .device: symlink("/dev/zero", directory["log"])
    }
    let follower = Follower(directory["log"], start: .end)
    #expect(follower.readAll() == 0)
    #expect(follower.tail.problem?.code == (odd == .dangling ? .missing : .notRegularFile))
    #expect(follower.readAll() == 0)
    #expect(follower.notices.count == 1)  // said once, not at each poll
    run(["/bin/rm", "-rf", directory["log"]])
    directory.append("now it is a file\n", to: "log")
    follower.readAll()
    #expect(follower.lines == ["now it is a file"])
    #expect(follower.tail.problem == nil)
  }

  @Test func aDamagedRotatedFileIsReadAsFarAsItGoes() {
    let follower = Follower(directory["log"])
    directory.appendLines(0..<10, to: "log")
    follower.readAll()
    follower.stop()
    directory.appendLines(10..<10_000, to: "log")
    directory.rename("log", "log.1")
    directory.gzip("log.1")
    let whole = directory.contents("log.1.gz")
    directory.remove("log.1.gz")
    directory.append(Array(whole.prefix(whole.count / 2)), to: "log.1.gz")
    directory.append("new\n", to: "log")
    follower.readAll()
    #expect(follower.tail.counters.damagedFiles == 1)
    #expect(follower.lines.count > 1000 && follower.lines.last == "new")
    let whole2 = follower.lines.count - 2
    #expect(Array(follower.lines[..<whole2]) == numbered(0..<whole2))
  }
}
