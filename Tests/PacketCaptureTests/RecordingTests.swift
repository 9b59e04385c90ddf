// What the capture keeps, and what is cut out of it: the ring wraps, restarts, is damaged, is somebody else's, is written over while it is read.
// Needs no network and no privilege, but where it says so.
import CLinux
import Glibc
import HostActions
import PacketParsers
import PacketSources
import PanguardTestKit
import Primitives
import Testing

@testable import PacketCapture

/// A directory of the test's own with a recording in it.
private final class Room {
  let path: String
  var settings = RecordingSettings()
  init(files: Int = 3, fileBytes: Int64 = 1 << 20) {
    var template = Array("/tmp/panguard-recording-XXXXXX".utf8CString)
    mkdtemp(&template)
    path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    settings.directory = path + "/ring"
    settings.files = files
    settings.fileBytes = fileBytes
  }
  deinit { _ = try? Command.run(["rm", "-rf", path], mayFail: true) }

  func recording() throws -> Recording {
    let recording = Recording(try RecordingFiles.open(settings, account: nil).files, limit: settings.fileBytes)
    _ = recording.addInterface("eth0", linkType: .ethernet, snapLength: 65_535)
    _ = recording.addInterface("eth1", linkType: .ethernet, snapLength: 65_535)
    return recording
  }
  func file(_ i: Int) -> String { "\(settings.directory)/\(RecordingFiles.name(i))" }

  /// Other tests start programs meanwhile: for the moment before such a child is another program it holds our locks too.
  func openFiles() throws -> RecordingFiles.Opened {
    for _ in 0..<200 {
      do throws(CaptureFailure) { return try RecordingFiles.open(settings, account: nil) } catch {
        guard error.description.contains("another capture") else { throw error }
        usleep(20_000)
      }
    }
    return try RecordingFiles.open(settings, account: nil)
  }

  /// Who wrote it is done: another may lock it.
  func record(_ body: (Recording) throws -> Void) throws {
    let opened = try openFiles()
    let recording = Recording(opened.files, limit: settings.fileBytes)
    _ = recording.addInterface("eth0", linkType: .ethernet, snapLength: 65_535)
    _ = recording.addInterface("eth1", linkType: .ethernet, snapLength: 65_535)
    try body(recording)
    recording.flush()
    opened.closeAll()
  }

  /// Everything that is meant, as it lies in the file that was made: what it is, its time, its interface.
  func cut(_ selection: PacketSelection, problems: inout [String]) throws -> (
    report: CutReport, frames: [(bytes: [UInt8], time: Int64, name: String)]
  ) {
    let (files, left) = try RecordingFiles.openAll(in: settings.directory)
    problems = left
    return cut(selection, files)
  }
  func cut(_ selection: PacketSelection) throws -> (report: CutReport, frames: [(bytes: [UInt8], time: Int64, name: String)]) {
    var problems: [String] = []
    let result = try cut(selection, problems: &problems)
    #expect(problems.isEmpty, "\(problems)")
    return result
  }
  func cut(
    _ selection: PacketSelection, _ files: [RecordedFile], meanwhile: () -> Void = {}
  ) -> (report: CutReport, frames: [(bytes: [UInt8], time: Int64, name: String)]) {
    var out: [UInt8] = []
    withoutActuallyEscaping(meanwhile) { meanwhile in
      let cut = PacketCut(selection, files) {
        out += $0
        meanwhile()
        return true
      }
      cut.run()
      report = cut.report
    }
    let reader = CaptureReader(bytes: out)
    var frames: [(bytes: [UInt8], time: Int64, name: String)] = []
    while let frame = reader.next() { frames.append((Array(frame.bytes), frame.time.nanoseconds, reader.interfaceName(frame.interface))) }
    #expect(reader.failure == nil && UInt64(frames.count) == report.packets && UInt64(out.count) == report.bytes, "\(report)")
    return (report, frames)
  }
  private var report = CutReport()
}

private let start: Int64 = 1_700_000_000_000_000_000
private func second(_ i: Int) -> Int64 { start + Int64(i) * 1_000_000_000 }

/// UDP over Ethernet from 192.0.2.`from` to 198.51.100.1, `size` bytes of payload.
private func datagram(from: UInt8, port: UInt16 = 4000, size: Int = 10, fill: UInt8 = 0) -> [UInt8] {
  let (udp, ip) = (UInt16(8 + size), UInt16(28 + size))
  return [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]
    + [0x45, 0, UInt8(ip >> 8), UInt8(ip & 255), 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, from, 198, 51, 100, 1]
    + [UInt8(port >> 8), UInt8(port & 255), 0, 53, UInt8(udp >> 8), UInt8(udp & 255), 0, 0] + [UInt8](repeating: fill, count: size)
}
/// ARP: who has 192.0.2.`target`, says 192.0.2.`from`.
private func question(from: UInt8, target: UInt8) -> [UInt8] {
  [
    255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 192, 0, 2, from, 0, 0, 0, 0, 0, 0, 192, 0, 2,
    target,
  ]
}
extension Recording {
  fileprivate func add(_ frame: [UInt8], at time: Int64, interface: UInt32 = 0) {
    frame.withUnsafeBytes { append(LiveFrame(time: EventTime(nanoseconds: time), bytes: $0, wireBytes: $0.count), interface: interface) }
  }
}
private func selection(
  _ networks: [String] = ["192.0.2.7"], moments: [Int64] = [], since: Int64 = 0, until: Int64 = .max, packets: UInt64 = 1_000_000,
  bytes: UInt64 = 1 << 30
) -> PacketSelection {
  PacketSelection(
    decision: "d0123456789abcdef", networks: networks.map { CIDR($0)! }, moments: moments, since: since, until: until, packets: packets, bytes: bytes)!
}

@Suite struct RecordingTests {
  @Test func exactlyThePacketsOfTheAddressAreCutOut() throws {
    let room = Room()
    try room.record { recording in
      for i in 0..<30 { recording.add(datagram(from: UInt8(i % 3 + 6), fill: UInt8(i)), at: second(i), interface: UInt32(i % 2)) }
      recording.add(question(from: 9, target: 7), at: second(30))
      recording.add(question(from: 7, target: 9), at: second(31))
      recording.add(question(from: 9, target: 8), at: second(32))
      recording.add([1, 2, 3], at: second(33))
    }
    let (report, frames) = try room.cut(selection())
    #expect(frames.count == 12 && report.notes == ["nothing is left of the time before 2023-11-14T22:13:20Z: the recording began then"], "\(report)")
    #expect(frames.prefix(10).map(\.bytes) == stride(from: 1, to: 30, by: 3).map { datagram(from: 7, fill: UInt8($0)) })
    #expect(frames.prefix(2).map(\.name) == ["eth1", "eth0"] && frames[0].time == second(1) && report.firstTime?.nanoseconds == second(1))
    #expect(report.lastTime?.nanoseconds == second(31) && report.newest?.nanoseconds == second(33))
    // The time: both ends are in it.
    #expect(try room.cut(selection(since: second(4), until: second(10))).frames.map(\.time) == [second(4), second(7), second(10)])
    #expect(try room.cut(selection(["192.0.2.0/29"])).frames.count == 22)
    let nobody = try room.cut(selection(["203.0.113.1"]))
    #expect(nobody.report.packets == 0 && nobody.frames.isEmpty)
  }

  /// A decision about no address: by the frames that it names, with all of their flows.
  @Test func framesLeadToTheirFlows() throws {
    let room = Room()
    try room.record { recording in
      for i in 0..<20 { recording.add(datagram(from: 7, port: UInt16(4000 + i % 4)), at: second(i)) }
    }
    let (report, frames) = try room.cut(selection([], moments: [second(6), second(7), second(99)], since: second(2)))
    #expect(frames.map(\.time) == [2, 3, 6, 7, 10, 11, 14, 15, 18, 19].map(second) && report.momentsFound == 2)
    #expect(
      report.notes.first?.hasPrefix("the newest frame is of 2023-11-14T22:13:39Z") == true
        && report.notes.last?.hasPrefix("1 of 3 frames that the decision names are not among what was read") == true, "\(report.notes)")
  }

  @Test func whatIsAskedForIsBounded() throws {
    let room = Room()
    try room.record { recording in for i in 0..<100 { recording.add(datagram(from: 7, size: 200), at: second(i)) } }
    let few = try room.cut(selection(packets: 3))
    #expect(few.frames.map(\.time) == [second(0), second(1), second(2)] && few.report.leftOut == 97)
    let small = try room.cut(selection(bytes: 4096))
    #expect(small.report.bytes <= 4096 && small.report.bytes > 3000 && small.report.leftOut + small.report.packets == 100, "\(small.report)")
    #expect(small.report.notes.last?.contains("further packets are left out") == true)
  }

  /// More interfaces than the file that is made describes: that is the reason then, and not what was asked for.
  @Test func packetsOfTooManyInterfacesAreLeftOutForThat() throws {
    let room = Room()
    let most = Limits.openInterfaces * 8
    var bytes: [UInt8] = []
    PacketBlocks.appendSection(application: "somebody", to: &bytes)
    for i in 0..<most + 6 { PacketBlocks.appendInterface(linkType: 1, snapLength: 65_535, name: "eth\(i)", to: &bytes) }
    for i in 0..<most + 6 {
      datagram(from: 7).withUnsafeBytes {
        PacketBlocks.appendFrame($0, interface: UInt32(i), time: EventTime(nanoseconds: second(i)), wireBytes: UInt32($0.count), to: &bytes)
      }
    }
    let file = pg_open(room.path + "/many.pcapng", O_WRONLY | O_CREAT, 0o600)
    _ = write(file, bytes, bytes.count)
    close(file)
    let (report, frames) = room.cut(selection(since: second(0)), [try RecordingFiles.openPlain(room.path + "/many.pcapng")])
    #expect(frames.count == most && report.leftOut == 6)
    #expect(report.notes == ["6 further packets are left out: they are of more than \(most) interfaces"], "\(report.notes)")
  }

  @Test func theOldestIsWrittenOverAndThatIsSaid() throws {
    let room = Room()
    try room.record { recording in
      for i in 0..<5000 { recording.add(datagram(from: 7, size: 1000, fill: UInt8(i & 255)), at: second(i)) }
      #expect(recording.framesLost == 0)
    }
    let sizes = (0..<3).map { contents(room.file($0)).count }
    #expect(sizes.allSatisfy { $0 > 0 && $0 <= 1 << 20 } && sizes.reduce(0, +) > 2 << 20, "\(sizes)")
    let (report, frames) = try room.cut(selection(since: start))
    let first = frames.first?.time ?? 0
    #expect(frames.map(\.time) == stride(from: first, through: second(4999), by: 1_000_000_000).map { $0 } && frames.count > 2000)
    #expect(
      report.notes == ["nothing is left of the time before \(EventTime(nanoseconds: first)): the recording has been written over since"],
      "\(report.notes)")
    // Files whose time is another are not read: the same answer.
    #expect(try room.cut(selection(since: second(4990), until: second(4992))).frames.map(\.time) == [second(4990), second(4991), second(4992)])
  }

  /// A restart takes nothing away, also where the last run ended in the middle of a block.
  @Test func aRestartGoesOn() throws {
    let room = Room()
    for run in 0..<20 {
      try room.record { recording in for i in 0..<10 { recording.add(datagram(from: 7), at: second(run * 10 + i)) } }
      let file = pg_open(room.file(0), O_WRONLY | O_APPEND, 0)
      let torn: [UInt8] = run % 2 == 0 ? [6, 0, 0, 0, 200, 0, 0, 0, 1, 2, 3] : [6, 0, 0]
      _ = write(file, torn, torn.count)
      close(file)
      #expect(try room.cut(selection(since: start)).frames.count == run * 10 + 10)
    }
    #expect(contents(room.file(1)).isEmpty)
    let report = try room.cut(selection(since: start)).report
    #expect(report.notes.isEmpty, "\(report.notes)")
  }

  @Test func fewerFilesThanBeforeLeaveNoOldOnes() throws {
    let room = Room(files: 5)
    try room.record { recording in for i in 0..<5000 { recording.add(datagram(from: 7, size: 1000), at: second(i)) } }
    #expect(access(room.file(4), F_OK) == 0)
    room.settings.files = 2
    try room.record { recording in for i in 5000..<9000 { recording.add(datagram(from: 7, size: 1000), at: second(i)) } }
    #expect(access(room.file(2), F_OK) != 0 && access(room.file(4), F_OK) != 0)
    #expect(try room.cut(selection()).frames.last?.time == second(8999))
  }

  @Test func oneCaptureAtATime() throws {
    let room = Room()
    let recording = try room.recording()
    #expect(throws: CaptureFailure.self) { try RecordingFiles.open(room.settings, account: nil) }
    recording.flush()
  }

  /// Who may read the recording can lock what he reads: that must not keep the capture from writing it. What it locks itself is its own.
  @Test func aReadersLockKeepsNobodyOut() throws {
    let room = Room()
    if geteuid() == 0 { room.settings.group = "nogroup" }
    try room.record { recording in recording.add(datagram(from: 7), at: second(1)) }
    let reader = pg_open(room.file(0), O_RDONLY, 0)
    defer { close(reader) }
    #expect(flock(reader, LOCK_EX | LOCK_NB) == 0)
    try RecordingFiles.open(room.settings, account: nil).closeAll()
    var facts = stat()
    #expect(stat(room.settings.directory + "/recording.lock", &facts) == 0 && facts.st_mode & 0o7777 == 0o600)
  }

  /// A restart reads what an earlier run wrote by the mebibyte, not by the block, and finds the same end.
  @Test func theEndIsFoundInFewReads() throws {
    func reads() -> Int {
      let text = String(decoding: contents("/proc/thread-self/io"), as: UTF8.self)
      return text.split(separator: "\n").first { $0.hasPrefix("syscr: ") }.flatMap { Int($0.dropFirst(7)) } ?? 0
    }
    for torn in [[], [6, 0, 0, 0, 44, 0, 0, 0, 1], [6, 0, 0, 0, 0xfc, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5], [6, 0, 0]] as [[UInt8]] {
      let room = Room(files: 2, fileBytes: 8 << 20)
      let count = 40_000
      try room.record { recording in for i in 0..<count { recording.add(datagram(from: 7, size: i % 50), at: second(i)) } }
      let whole = contents(room.file(0))
      #expect(whole.count > 3 << 20)
      let file = pg_open(room.file(0), O_WRONLY | O_APPEND, 0)
      _ = write(file, torn, torn.count)
      close(file)
      let opened = try room.openFiles()
      defer { opened.closeAll() }
      let before = reads()
      let recording = Recording(opened.files, limit: room.settings.fileBytes)
      #expect(reads() - before < 100, "\(reads() - before)")
      withExtendedLifetime(recording) { #expect(contents(room.file(0)) == whole) }
    }
  }

  // MARK: While it is written

  /// The writer comes round while the reader is in the middle: nothing torn is kept, and what is missing is said.
  @Test func whatIsWrittenOverWhileItIsReadIsNoticed() throws {
    let room = Room(files: 2, fileBytes: 8 << 20)
    let recording = try room.recording()
    for i in 0..<7000 { recording.add(datagram(from: 7, size: 1000, fill: 1), at: second(i)) }
    recording.flush()
    let (files, _) = try RecordingFiles.openAll(in: room.settings.directory)
    var isDone = false
    let (report, frames) = room.cut(selection(since: start), files) {
      guard !isDone else { return }
      isDone = true
      // Other frames, of another length, over the whole of both files.
      for i in 7000..<30_000 { recording.add(datagram(from: 7, size: 777, fill: 2), at: second(i)) }
      recording.flush()
    }
    #expect(isDone && frames.count > 200 && frames.count < 7000, "\(frames.count)")
    #expect(frames.enumerated().allSatisfy { $1.bytes == datagram(from: 7, size: 1000, fill: 1) && $1.time == second($0) })
    #expect(report.notes.contains { $0.hasSuffix("was written over while it was read: what it held later is missing") }, "\(report.notes)")
  }

  /// The writer appends while the reader is at the end: whole frames only.
  @Test func theEndOfWhatIsBeingWrittenIsNoDamage() throws {
    let room = Room()
    try room.record { recording in for i in 0..<10 { recording.add(datagram(from: 7), at: second(i)) } }
    let whole = contents(room.file(0)).count
    for cut in [1, 3, 11, 30, 60] {
      #expect(truncate(room.file(0), off_t(whole - cut)) == 0)
      let (report, frames) = try room.cut(selection(since: start))
      #expect(frames.count == 9 && report.notes.isEmpty, "\(cut) \(report)")
      let file = pg_open(room.file(0), O_WRONLY | O_APPEND, 0)
      _ = [UInt8](repeating: 0, count: cut).withUnsafeBytes { write(file, $0.baseAddress, cut) }
      close(file)
    }
  }

  /// Any byte of a file is another one: no trap, and what is kept is whole.
  @Test func damagedFilesAreReadAsFarAsTheyAreSound() throws {
    let room = Room()
    try room.record { recording in for i in 0..<50 { recording.add(datagram(from: 7), at: second(i)) } }
    let sound = contents(room.file(0))
    var generator = SystemRandomNumberGenerator()
    for round in 0..<300 {
      var damaged = sound
      for _ in 0..<3 { damaged[Int.random(in: 0..<sound.count, using: &generator)] = .random(in: 0...255, using: &generator) }
      let file = pg_open(room.file(0), O_WRONLY | O_TRUNC, 0)
      _ = write(file, damaged, damaged.count)
      close(file)
      var problems: [String] = []
      let (_, frames) = try room.cut(selection(["0.0.0.0/0"], moments: [second(round % 50)]), problems: &problems)
      #expect(frames.count <= 50)
    }
  }

  // MARK: Somebody else's

  @Test func whatIsNotOursIsNotRead() throws {
    let room = Room(files: 6)
    try room.record { recording in recording.add(datagram(from: 7), at: second(1)) }
    let secret = room.path + "/secret"
    #expect(rename(room.file(0), secret) == 0)
    #expect(symlink(secret, room.file(0)) == 0)
    #expect(unlink(room.file(1)) == 0 && link(secret, room.file(1)) == 0)
    #expect(unlink(room.file(2)) == 0 && mkfifo(room.file(2), 0o600) == 0)
    #expect(unlink(room.file(3)) == 0 && mkdir(room.file(3), 0o700) == 0)
    let foreign = pg_open(room.file(4), O_WRONLY, 0)
    _ = write(foreign, Array("not a recording, and longer than its header would be, so that all of it is read".utf8), 79)
    close(foreign)
    #expect(chmod(room.file(5), 0o666) == 0)
    var problems: [String] = []
    let (report, frames) = try room.cut(selection(), problems: &problems)
    #expect(frames.isEmpty && report.notes == ["nothing has been recorded yet"], "\(report)")
    for (i, text) in ["symbolic link", "another name", "not a regular file", "not a regular file", "is no recording", "others may write it"]
      .enumerated()
    {
      #expect(problems.contains { $0.hasPrefix(room.file(i)) && $0.contains(text) }, "\(i) \(text): \(problems)")
    }
    // Nor is it written.
    let before = contents(secret)
    #expect(throws: CaptureFailure.self) { try RecordingFiles.open(room.settings, account: nil) }
    #expect(contents(secret) == before)
  }

  @Test func aDirectoryOfOthersIsRefused() throws {
    let room = Room()
    try room.record { recording in recording.add(datagram(from: 7), at: second(1)) }
    #expect(chmod(room.settings.directory, 0o770) == 0)
    #expect(throws: CaptureFailure.self) { try RecordingFiles.openAll(in: room.settings.directory) }
    #expect(throws: CaptureFailure.self) { try RecordingFiles.open(room.settings, account: nil) }
    #expect(chmod(room.settings.directory, 0o700) == 0)
    #expect(symlink(room.settings.directory, room.path + "/link") == 0)
    #expect(throws: CaptureFailure.self) { try RecordingFiles.openAll(in: room.path + "/link") }
    guard geteuid() == 0 else { return skip("giving files to others needs root") }
    #expect(chown(room.file(0), 65534, 65534) == 0)
    var problems: [String] = []
    #expect(try room.cut(selection(), problems: &problems).frames.isEmpty && problems.first?.contains("belongs to user 65534") == true, "\(problems)")
    #expect(chown(room.settings.directory, 65534, 65534) == 0)
    #expect(throws: CaptureFailure.self) { try RecordingFiles.openAll(in: room.settings.directory) }
  }

  @Test func modesAreTheDocumentedOnes() throws {
    let room = Room()
    let old = umask(0)
    defer { umask(old) }
    try room.record { recording in recording.add(datagram(from: 7), at: second(1)) }
    func mode(_ path: String) -> mode_t {
      var facts = stat()
      return lstat(path, &facts) == 0 ? facts.st_mode & 0o7777 : 0
    }
    #expect(mode(room.file(0)) == 0o600 && mode(room.settings.directory) == 0o700)
    guard geteuid() == 0, let group = getgrnam("nogroup") else { return skip("giving files to a group needs root") }
    room.settings.group = "nogroup"
    try room.record { _ in }
    var facts = stat()
    #expect(stat(room.file(0), &facts) == 0 && facts.st_mode & 0o7777 == 0o640 && facts.st_gid == group.pointee.gr_gid)
    room.settings.group = "no-such-group"
    #expect(throws: CaptureFailure.self) { try RecordingFiles.open(room.settings, account: nil) }
  }

  // MARK: The program

  @Test func argumentsAreReadOrRefused() {
    let sound = ["out.pcapng"] + selection().arguments
    #expect(CutOptions.parse(sound[...]).0?.output == "out.pcapng")
    let more = sound + ["--from", "a", "--from", "b", "--json", "--recording", "/r", "--config", "/c"]
    let options = CutOptions.parse(more[...]).0
    #expect(options?.inputs == ["a", "b"] && options?.writesJSON == true && options?.recording == "/r" && options?.configPath == "/c")
    for wrong in [
      [], ["--decision"], [""], ["out"], sound + ["--from"], sound + ["--recording", ""], sound + ["--nothing", "x"], sound + ["more"],
      Array(sound.dropLast()), sound + ["--decision", "d0123456789abcdef"],
    ] { #expect(CutOptions.parse(wrong[...]).0 == nil, "\(wrong)") }
  }

  private func run(_ room: Room, _ output: String, _ more: [String] = [], prefix: [String] = []) throws -> (status: Int32, text: String) {
    let command = try Command(
      prefix + [CaptureLaboratory.program, "--cut", output] + selection(since: start).arguments + ["--recording", room.settings.directory] + more)
    return (command.wait(), command.output)
  }

  @Test func theFileIsMadeAndNeverWrittenOver() throws {
    let room = Room()
    let recording = try room.recording()
    for i in 0..<10 { recording.add(datagram(from: 7), at: second(i)) }
    recording.flush()
    let out = room.path + "/out.pcapng"
    let (status, text) = try run(room, out)
    #expect(status == 0 && text.hasPrefix("10 packets, "), "\(text)")
    var facts = stat()
    #expect(stat(out, &facts) == 0 && facts.st_mode & 0o7777 == 0o600)
    let made = contents(out)
    let again = try run(room, out)
    #expect(again.status == 3 && again.text.contains("is there already") && contents(out) == made, "\(again)")
    symlink(room.path + "/elsewhere", room.path + "/link")
    #expect(try run(room, room.path + "/link").status == 3 && access(room.path + "/elsewhere", F_OK) != 0)
    // By name, a file of the ring is a capture like any other.
    let plain = try run(room, room.path + "/plain", ["--from", room.file(0), "--json"])
    #expect(plain.status == 0 && plain.text.contains("\"packets\":10"), "\(plain)")
    let missing = try run(room, room.path + "/none", ["--from", "/nonexistent"])
    #expect(missing.status == 3 && access(room.path + "/none", F_OK) != 0, "\(missing)")
    // Two at once do not disturb each other.
    let both = try (0..<2).map {
      try Command(
        [CaptureLaboratory.program, "--cut", "\(room.path)/both\($0)"] + selection(since: start).arguments + ["--recording", room.settings.directory])
    }
    for command in both { #expect(command.wait() == 0, "\(command.output)") }
    #expect(contents(room.path + "/both0") == made && contents(room.path + "/both1") == made)
    // The same file twice at once: one makes it.
    let race = try (0..<2).map { _ in
      try Command(
        [CaptureLaboratory.program, "--cut", "\(room.path)/race"] + selection(since: start).arguments + ["--recording", room.settings.directory])
    }
    #expect(race.map { $0.wait() }.sorted() == [0, 3] && contents(room.path + "/race") == made)
  }

  @Test func nothingFoundAndNothingRecordedAreSaid() throws {
    let room = Room()
    try room.record { recording in recording.add(datagram(from: 9), at: second(0)) }
    let nobody = try run(room, room.path + "/out")
    #expect(nobody.status == 1 && nobody.text.hasPrefix("no packet of it was found") && contents(room.path + "/out").isEmpty, "\(nobody)")
    let configuration = room.path + "/capture.yaml"
    let file = pg_open(configuration, O_WRONLY | O_CREAT, 0o600)
    close(file)
    let off = try Command([CaptureLaboratory.program, "--cut", room.path + "/off"] + selection().arguments + ["--config", configuration])
    #expect(off.wait() == 3 && off.output.contains("set `recording: true`"), "\(off.output)")
    let wrong = try Command([CaptureLaboratory.program, "--cut", room.path + "/x", "--decision", "d\u{1b}[31m"])
    #expect(wrong.wait() == 2 && access(room.path + "/x", F_OK) != 0, "\(wrong.output)")
  }

  @Test func aFullDiskLeavesNoHalfOfIt() throws {
    guard geteuid() == 0 else { return skip("a small file system needs root") }
    let room = Room(fileBytes: 4 << 20)
    try room.record { recording in for i in 0..<3000 { recording.add(datagram(from: 7, size: 1000), at: second(i)) } }
    mkdir(room.path + "/small", 0o700)
    let script = """
      mount -t tmpfs -o size=1m tmpfs "$1/small" || exit 77
      shift; "$@"; status=$?; stat -c 'size %s' "$small"; exit $status
      """
    let command = try Command(
      [
        "unshare", "-m", "env", "small=\(room.path)/small/out", "sh", "-c", script, "sh", room.path, CaptureLaboratory.program, "--cut",
        room.path + "/small/out",
      ]
        + selection(since: start).arguments + ["--recording", room.settings.directory])
    let status = command.wait()
    guard status != 77 else { return skip("mounts are not allowed here") }
    #expect(
      status == 3 && command.output.contains("No space left on device; nothing is kept") && command.output.contains("size 0"), "\(command.output)")
  }
}
