// A real rsyslogd on a socket of its own reads what we write, and tells us what it understood.
import Detection
import Glibc
import Primitives
import SyslogOutput
import Testing

@testable import Export

/// rsyslogd as a child process, listening on `socketPath`, writing one JSON object for each message to `outputPath`.
private final class Rsyslog {
  let directory: TemporaryDirectory
  var socketPath: String { directory.path + "/log" }
  private var outputPath: String { directory.path + "/out.jsonl" }
  private var process: pid_t = 0

  static let binary: String? = (["/usr/sbin/rsyslogd", "/sbin/rsyslogd"] as [String]).first { access($0, X_OK) == 0 }

  /// nil if it does not come up.
  init?() throws {
    directory = try TemporaryDirectory()
    let configuration = """
      global(workDirectory="\(directory.path)" maxMessageSize="8k")
      module(load="imuxsock" SysSock.Use="off")
      module(load="mmpstrucdata")
      input(type="imuxsock" Socket="\(socketPath)"
        UseSpecialParser="off" ParseHostname="on" UseSysTimeStamp="off" IgnoreTimestamp="off" RateLimit.Interval="0")
      template(name="json" type="list" option.jsonf="on") {
        property(outname="pri" name="pri" format="jsonf")
        property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
        property(outname="host" name="hostname" format="jsonf")
        property(outname="app" name="app-name" format="jsonf")
        property(outname="procid" name="procid" format="jsonf")
        property(outname="msgid" name="msgid" format="jsonf")
        property(outname="msg" name="msg" format="jsonf")
        property(outname="raw-sd" name="structured-data" format="jsonf")
        property(outname="sd" name="$!rfc5424-sd" format="jsonf")
      }
      action(type="mmpstrucdata")
      action(type="omfile" file="\(outputPath)" template="json" asyncWriting="off" flushOnTXEnd="on")
      """
    guard let file = fopen(directory.path + "/rsyslog.conf", "w") else { return nil }
    fputs(configuration + "\n", file)
    fclose(file)
    guard let binary = Rsyslog.binary else { return nil }
    let arguments = [binary, "-n", "-C", "-f", directory.path + "/rsyslog.conf", "-i", directory.path + "/pid"]
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    for fd in [1, 2] as [Int32] { posix_spawn_file_actions_addopen(&actions, fd, directory.path + "/errors", O_WRONLY | O_CREAT | O_APPEND, 0o600) }
    // The test's threads may block signals, and a child inherits that: it would not hear SIGTERM.
    var attributes = posix_spawnattr_t()
    var noSignals = sigset_t()
    sigemptyset(&noSignals)
    posix_spawnattr_init(&attributes)
    posix_spawnattr_setsigmask(&attributes, &noSignals)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    defer { posix_spawnattr_destroy(&attributes) }
    let list = arguments.map { strdup($0) } + [nil]
    defer { for argument in list { free(argument) } }
    guard posix_spawn(&process, binary, &actions, &attributes, list, environ) == 0 else { return nil }
    posix_spawn_file_actions_destroy(&actions)
    for _ in 0..<500 {
      if access(socketPath, F_OK) == 0 { return }
      usleep(20_000)
    }
    stop()
    return nil
  }
  deinit { stop() }

  private func stop() {
    guard process > 0 else { return }
    kill(process, SIGTERM)
    var status: Int32 = 0
    for _ in 0..<250 {
      if waitpid(process, &status, WNOHANG) == process {
        process = 0
        return
      }
      usleep(20_000)
    }
    kill(process, SIGKILL)
    waitpid(process, &status, 0)
    process = 0
  }

  var errors: String { String(decoding: contents(directory.path + "/errors"), as: UTF8.self) }

  /// What it wrote, once there are `count` lines.
  func lines(_ count: Int) throws -> [JSONObject] {
    for _ in 0..<500 {
      let lines = contents(outputPath).split(separator: 0x0a)
      if lines.count >= count { return try lines.map { line in try Array(line).withUnsafeBytes { try JSONObject(document: $0) } } }
      usleep(20_000)
    }
    return []
  }
  private func contents(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while case let n = fread(&buffer, 1, buffer.count, file), n > 0 { bytes += buffer[..<n] }
    return bytes
  }
}

@Suite struct RsyslogTests {
  static let users = [
    "root", "\"", "\\", "]", "a\"b\\c]d", "] forged [x@1 y=\"z\"] <0>1 - - - - - -", "two\nlines\r\n<13>forged", "\u{1b}[2J\u{7}\u{0}", "é漢字😀",
    "tab\there",
    "\u{202e}gpj.exe", "=,:; {}", String(repeating: "u", count: 4096), String(repeating: "\"]\\", count: 1400),
    String(repeating: "漢", count: 1400), "trailing\\",
  ]

  @Test func aRealRsyslogUnderstandsEveryMessage() throws {
    guard Rsyslog.binary != nil else {
      print("skipped: rsyslogd is not installed")
      return
    }
    let daemon = try #require(try Rsyslog())
    let socket = SyslogSocket(path: daemon.socketPath)
    for user in Self.users {
      let message = RFC5424.message(Sample.decision(user: user, summary: "user \(user)"), hostname: "web1.example", procid: "4711")
      let isTaken = socket.send(message)
      #expect(isTaken)
    }
    for _ in 0..<500 where socket.backlogCount > 0 {
      usleep(20_000)
      socket.flush()
    }
    let lines = try daemon.lines(Self.users.count)
    try #require(lines.count == Self.users.count, "rsyslogd wrote \(lines.count) of \(Self.users.count) lines: \(daemon.errors)")
    for (user, line) in zip(Self.users, lines) {
      #expect(try line.text("pri") == "83")
      #expect(try line.text("time") == "2026-01-05T00:00:19.123456+00:00" || line.text("time") == "2026-01-05T00:00:19.123456Z")
      #expect(try line.text("host") == "web1.example")
      #expect(try line.text("app") == "panguard")
      #expect(try line.text("procid") == "4711")
      #expect(try line.text("msgid") == "decision")
      let data = try Array(line.text("sd").utf8).withUnsafeBytes { try JSONObject(document: $0) }
      let values = try data.object("panguard@32473")
      #expect(try values.text("rule") == "ATR-2026-90001")
      #expect(try values.text("confidence") == "0.956")
      #expect(try values.text("action") == "notify")
      #expect(try values.text("subject") == "192.0.2.7")
      #expect(try values.text("technique") == "T1110.001,T1021.004")
      #expect(try values.text("severity") == "high")
      #expect(try values.text("trust") == "claimed")
      let shown = TerminalText.escaped(user)
      let (got, text) = (try values.text("user"), try line.text("msg"))
      if try values.optionalText("cut") == nil {
        #expect(got == shown)
        #expect(text.hasSuffix("SSH brute force: user " + shown))
      } else {
        #expect(got.hasSuffix("…") && shown.hasPrefix(got.dropLast()) && shown.utf8.count > 1000)
        #expect(text.hasPrefix("SSH brute force: user " + shown.prefix(1000)) || text.hasPrefix(" SSH brute force: user " + shown.prefix(1000)))
      }
    }
  }
}
