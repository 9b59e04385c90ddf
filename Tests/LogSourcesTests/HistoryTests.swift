// Lines behind a checkpoint, and lines of evidence, are found again wherever rotation has put them.
import Glibc
import LogSources
import Primitives
import Testing

@Suite struct HistoryTests {
  let directory = TemporaryDirectory()

  func before(_ checkpoint: FileCheckpoint?, _ maxBytes: UInt64) -> [String] {
    var lines: [String] = []
    guard let checkpoint else { return [] }
    let done = FileTail.readBefore(checkpoint, path: directory["log"], maxBytes: maxBytes) { line, _, _ in lines.append(line.string) }
    #expect(done.lines == lines.count && done.bytes <= maxBytes)
    return lines
  }

  @Test(arguments: [false, true]) func linesBeforeACheckpoint(packed: Bool) {
    directory.appendLines(0..<100, to: "log")
    let follower = Follower(directory["log"])
    follower.readAll()
    directory.rename("log", "log.1")
    directory.appendLines(100..<120, to: "log")
    follower.readAll()
    if packed { directory.gzip("log.1") }
    directory.appendLines(120..<130, to: "log")
    let checkpoint = follower.tail.checkpoint
    let lineBytes: UInt64 = 21  // "line 105 of this log\n"
    #expect(before(checkpoint, lineBytes * 5) == numbered(115..<120))
    #expect(before(checkpoint, lineBytes * 5 + 20) == numbered(115..<120))
    #expect(before(checkpoint, lineBytes * 5 - 1) == numbered(116..<120))
    #expect(before(checkpoint, lineBytes * 20) == numbered(100..<120))
    #expect(before(checkpoint, lineBytes * 20 + 20 * 3) == numbered(97..<120))
    #expect(before(checkpoint, 1_000_000) == numbered(0..<120))
    #expect(before(checkpoint, 0) == [])
    // It did not move anything.
    follower.readAll()
    #expect(follower.lines == numbered(0..<130))
    // The checkpoint's own file has been rotated.
    directory.rename("log", "log.0")
    if packed { directory.gzip("log.0") }
    #expect(before(checkpoint, lineBytes * 5) == numbered(115..<120))
  }

  /// While names move, what is read is without holes, or nothing.
  @Test func aRotationUnderWayMakesNoHoles() {
    for n in (1...3).reversed() { directory.appendLines((3 - n) * 100..<(4 - n) * 100, to: "log.\(n)") }
    directory.appendLines(300..<400, to: "log")
    let follower = Follower(directory["log"])
    follower.readAll()
    let checkpoint = follower.tail.checkpoint
    let path = directory["log"]
    let up = "for n in 3 2 1; do mv \(path).$n \(path).$((n + 1)); done"
    let down = "for n in 1 2 3; do mv \(path).$((n + 1)) \(path).$n; done"
    let loop = "for i in 1 2 3 4 5 6 7 8 9 10; do \(up); \(down); done"
    let mover = start(["/bin/sh", "-c", "\(loop); \(loop); \(loop)"])
    var answers: Set<Int> = []
    while kill(mover, 0) == 0, waitpid(mover, nil, WNOHANG) == 0 {
      let lines = before(checkpoint, 1_000_000)
      answers.insert(lines.count)
      if lines != numbered(400 - lines.count..<400) { Issue.record("a hole: \(lines.count) lines, from \(lines.first ?? "")") }
    }
    #expect(answers.isSubset(of: [0, 100, 200, 300, 400]), "\(answers)")
    #expect(before(checkpoint, 1_000_000) == numbered(100..<400))
  }

  @Test func evidenceIsFoundAgain() {
    directory.appendLines(0..<5000, to: "log")
    var wanted: [(UInt64, FileIdentity, Fingerprint, String)] = []
    let tail = FileTail(path: directory["log"], start: .beginning)
    _ = tail.read(maxBytes: 10_000_000) { line, offset, identity in wanted.append((offset, identity, Fingerprint(of: line), line.string)) }
    #expect(wanted.count == 5000)
    func check(_ place: String) {
      for (offset, identity, fingerprint, text) in [wanted[0], wanted[1234], wanted[4999]] {
        for known in [identity, nil] {
          let found = LineFetcher.fetch(
            path: directory["log"], identity: known, offset: offset, length: text.utf8.count, expected: fingerprint)
          #expect(found?.bytes == Array(text.utf8))
          #expect(found?.path == directory[place])
        }
      }
    }
    check("log")
    directory.rename("log", "log.1")
    directory.appendLines(7000..<12_000, to: "log")
    check("log.1")
    directory.gzip("log.1")
    check("log.1.gz")
    directory.remove("log.1.gz")
    #expect(LineFetcher.fetch(path: directory["log"], offset: wanted[7].0, length: 18, expected: wanted[7].2) == nil)
  }
}
