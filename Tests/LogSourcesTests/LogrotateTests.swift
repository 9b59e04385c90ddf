// The real logrotate, where it is installed, with a writer that keeps its file open until the rotation is done.
import CLinux
import Glibc
import LogSources
import Primitives
import Testing

@Suite struct LogrotateTests {
  static let program = "/usr/sbin/logrotate"

  struct Case: Sendable, CustomTestStringConvertible {
    var options: String
    var mayLose = false
    var testDescription: String { options }
  }
  static let cases = [
    Case(options: "create"), Case(options: "create compress"), Case(options: "create compress delaycompress"), Case(options: "create dateext"),
    Case(options: "create dateext compress"), Case(options: "nocreate"), Case(options: "create compress compresscmd=/usr/bin/xz"),
    Case(options: "copytruncate"), Case(options: "copytruncate compress"), Case(options: "create extension=.log"),
  ]

  @Test(arguments: cases) func everyLineOnce(_ configuration: Case) {
    guard access(LogrotateTests.program, X_OK) == 0 else {
      print("skipped: \(LogrotateTests.program) is not installed")
      return
    }
    let directory = TemporaryDirectory()
    let options = configuration.options.split(separator: " ").map { option in String(option.map { $0 == "=" ? " " : $0 }) }
    let xz = configuration.options.contains("xz") ? ["compressext .xz"] : []
    directory.append(
      (["\"\(directory["app.log"])\" {", "rotate 9", "missingok", "nomail"] + options + xz + ["}", ""]).joined(separator: "\n"), to: "conf")
    chmod(directory["conf"], 0o644)
    chmod(directory.path, 0o755)
    func rotate() {
      #expect(run([LogrotateTests.program, "-f", "-s", directory["state"], directory["conf"]]) == 0)
    }
    let follower = Follower(directory["app.log"])
    // 1,000 lines around a rotation, renamed right behind a burst.
    directory.appendLines(0..<400, to: "app.log")
    follower.readAll()
    follower.keep()
    let writer = pg_open(directory["app.log"], O_WRONLY | O_APPEND, 0)
    directory.appendLines(400..<700, to: "app.log")
    rotate()
    if configuration.options.contains("delaycompress") || !configuration.options.contains("compress") {
      writeAll(Array("line 700 of this log\n".utf8), to: writer)
    } else {
      // Its file is gone when the packing is done: only its new file can be read.
      directory.appendLines(700..<701, to: "app.log")
    }
    close(writer)
    directory.appendLines(701..<1000, to: "app.log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<1000))
    #expect(follower.tail.counters.knownLostBytes == 0)
    guard !configuration.options.contains("dateext") else { return }  // a second rotation on one day is refused by logrotate
    // 300 lines while stopped, and the file rotates twice.
    follower.stop()
    directory.appendLines(1000..<1100, to: "app.log")
    rotate()
    directory.appendLines(1100..<1200, to: "app.log")
    rotate()
    directory.appendLines(1200..<1300, to: "app.log")
    follower.readAll()
    #expect(follower.lines == numbered(0..<1300))
    #expect(follower.tail.counters.placesLost == 0)
  }
}
