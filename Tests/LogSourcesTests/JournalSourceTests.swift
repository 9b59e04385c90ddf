// A journal that the test writes itself, with systemd-journal-remote where that is installed.
import Glibc
import LogSources
import Primitives
import Testing

@Suite struct JournalSourceTests {
  static let writer = "/lib/systemd/systemd-journal-remote"
  let directory = TemporaryDirectory()

  /// Writes entries in the journal's export format, one for each number, into a new journal file. False: not possible here.
  func write(_ range: Range<Int>, to name: String = "system", message: (Int) -> [UInt8] = { Array("message \($0)".utf8) }) -> Bool {
    guard access(JournalSourceTests.writer, X_OK) == 0 else {
      print("skipped: \(JournalSourceTests.writer) is not installed (package systemd-journal-remote)")
      return false
    }
    var text: [UInt8] = []
    for i in range {
      let time = 1_767_571_200_000_000 + i * 1_000_000
      text += Array(
        """
        __REALTIME_TIMESTAMP=\(time)
        __MONOTONIC_TIMESTAMP=\(1_000_000 + i)
        _BOOT_ID=0123456789abcdef0123456789abcdef
        _MACHINE_ID=fedcba9876543210fedcba9876543210
        _HOSTNAME=host
        _UID=0
        _PID=\(1000 + i)
        _COMM=sshd
        _EXE=/usr/sbin/sshd
        _CMDLINE=sshd: root [priv]
        _SYSTEMD_UNIT=ssh.service
        _TRANSPORT=syslog
        SYSLOG_IDENTIFIER=sshd
        SYSLOG_PID=\(2000 + i)
        PRIORITY=6
        SYSLOG_FACILITY=10
        UNKNOWN=x

        """.utf8)
      let bytes = message(i)
      // Binary form of a field: name, newline, length, bytes.
      text += Array("MESSAGE\n".utf8)
      for shift in stride(from: 0, to: 64, by: 8) { text.append(UInt8(truncatingIfNeeded: bytes.count >> shift)) }
      text += bytes + [0x0a, 0x0a]
    }
    directory.remove("export")
    directory.append(text, to: "export")
    mkdir(directory["journal"], 0o755)
    let status = run([JournalSourceTests.writer, "-o", directory["journal/\(name).journal"], "-"], input: directory["export"])
    #expect(status == 0)
    return status == 0
  }

  func readAll(_ source: JournalSource, by step: Int = 1000) throws -> [String] {
    var out: [String] = []
    while try !source.read(maxEntries: step, { out.append($0.message.string) }).reachedEnd {}
    return out
  }

  @Test func readsEveryField() throws {
    guard write(7..<8) else { return }
    let source = try JournalSource(directory: directory["journal"], start: .beginning)
    var seen = 0
    _ = try source.read(maxEntries: 10) { record in
      seen += 1
      #expect(record.message.string == "message 7")
      #expect(record.comm.string == "sshd" && record.exe.string == "/usr/sbin/sshd" && record.uid.string == "0")
      #expect(record.pid.string == "1007" && record.syslogPID.string == "2007" && record.commandLine.string == "sshd: root [priv]")
      #expect(record.systemdUnit.string == "ssh.service" && record.transport.string == "syslog" && record.hostname.string == "host")
      #expect(record.syslogIdentifier.string == "sshd" && record.priority.string == "6" && record.syslogFacility.string == "10")
      #expect(record.time == EventTime(rfc3339: "2026-01-05T00:00:07Z"))
      #expect(!record.isCut)
    }
    #expect(seen == 1 && source.descriptor >= 0)
  }

  @Test func goesOnBehindItsCursor() throws {
    guard write(0..<100) else { return }
    let all = (0..<100).map { "message \($0)" }
    let source = try JournalSource(directory: directory["journal"], start: .beginning)
    #expect(source.cursor == nil)
    var got: [String] = []
    _ = try source.read(maxEntries: 40) { got.append($0.message.string) }
    let cursor = try #require(source.cursor)
    let again = try JournalSource(directory: directory["journal"], start: .after(cursor: cursor))
    #expect(again.cursor == cursor)
    #expect(got + (try readAll(again, by: 7)) == all)
    let last = try #require(again.cursor)
    let behind = try JournalSource(directory: directory["journal"], start: .after(cursor: last))
    #expect(try readAll(behind) == [])
    let end = try JournalSource(directory: directory["journal"], start: .end)
    #expect(end.cursor == last)
    #expect(try readAll(end) == [])
    #expect(write(100..<110, to: "system2"))
    #expect(end.process() && behind.process())
    #expect(try readAll(end) == (100..<110).map { "message \($0)" })
    #expect(try readAll(behind) == (100..<110).map { "message \($0)" })
  }

  @Test func readsBeforeItsCursorWithoutMoving() throws {
    guard write(0..<100) else { return }
    let source = try JournalSource(directory: directory["journal"], start: .beginning)
    _ = try source.read(maxEntries: 60) { _ in }
    var got: [String] = []
    let from = try #require(EventTime(rfc3339: "2026-01-05T00:00:50Z"))
    #expect(try source.readBefore(from: from, maxEntries: 1000) { got.append($0.message.string) } == 10)
    #expect(got == (50..<60).map { "message \($0)" })
    got = []
    _ = try source.readBefore(from: .zero, maxEntries: 5) { got.append($0.message.string) }
    #expect(got == (55..<60).map { "message \($0)" })
    let cursor = try #require(source.cursor)
    var text = ""
    #expect(try source.fetch(cursor: cursor) { text = $0.message.string })
    #expect(text == "message 59")
    #expect(try readAll(source) == (60..<100).map { "message \($0)" })
  }

  @Test func longAndBinaryMessages() throws {
    let long = [UInt8](repeating: 0x61, count: 300_000)
    let texts: [[UInt8]] = [long, Array("a\nb\0c".utf8) + [0xff], []]
    guard write(0..<3, message: { texts[$0] }) else { return }
    let source = try JournalSource(directory: directory["journal"], start: .beginning)
    var got: [[UInt8]] = []
    var cut: [Bool] = []
    while try !source.read(
      maxEntries: 1,
      { record in
        got.append(Array(record.message))
        cut.append(record.isCut)
        #expect(record.comm.string == "sshd")
      }
    ).reachedEnd {}
    #expect(got == [Array(long.prefix(Limits.lineBytes)), texts[1], []])
    #expect(cut == [true, false, false])
    #expect(source.counters.cutEntries == 1)
  }

  @Test func aCursorThatIsGoneIsCounted() throws {
    guard write(0..<10) else { return }
    let source = try JournalSource(directory: directory["journal"], start: .beginning)
    _ = try source.read(maxEntries: 5) { _ in }
    let cursor = try #require(source.cursor)
    directory.remove("journal/system.journal")
    #expect(write(20..<30))
    let again = try JournalSource(directory: directory["journal"], start: .after(cursor: cursor))
    #expect(again.counters.cursorsLost == 1)
    #expect(try readAll(again) == (20..<30).map { "message \($0)" })
  }

  @Test func saysWhatToDoWithoutAJournal() throws {
    #expect(throws: SourceError.self) { try JournalSource(directory: directory["nowhere"]) }
    do { _ = try JournalSource(directory: directory["nowhere"]) } catch { #expect(error.code == .missing && !error.hint.isEmpty) }
    #expect(throws: SourceError.self) { try JournalSource(directory: directory.path, start: .after(cursor: "no cursor")) }
    guard access("/var/log/journal", F_OK) != 0, access("/run/log/journal", F_OK) != 0 else { return }
    do { _ = try JournalSource() } catch { #expect(error.code == .unavailable && !error.hint.isEmpty) }
  }
}
