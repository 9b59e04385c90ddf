// Packets that are kept for a playbook: asked for, cut by another process, bounded together, taken back.
import CLinux
import Glibc
import HostActions
import PacketSources
import PanguardTestKit
import Primitives
import Testing

@testable import ResponderRuntime

@Suite(.serialized) struct EvidenceTests {
  /// A recording of `count` datagrams of 192.0.2.7, a millisecond apart, that ends now.
  private func record(_ d: Directory, count: Int, size: Int = 100) -> (since: Int64, until: Int64) {
    var bytes: [UInt8] = []
    PacketBlocks.appendSection(application: "panguard recording 0000000000000001", to: &bytes)
    PacketBlocks.appendInterface(linkType: 1, snapLength: 65_535, name: "eth0", to: &bytes)
    let until = now()
    for i in 0..<count {
      let ip = UInt16(28 + size)
      let frame: [UInt8] =
        [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, UInt8(ip >> 8), UInt8(ip & 255), 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 7, 198, 51, 100, 1]
        + [16, 0, 0, 53, UInt8((size + 8) >> 8), UInt8((size + 8) & 255), 0, 0] + [UInt8](repeating: 1, count: size)
      frame.withUnsafeBytes {
        PacketBlocks.appendFrame(
          $0, interface: 0, time: EventTime(nanoseconds: until - Int64(count - i) * 1_000_000), wireBytes: UInt32($0.count), to: &bytes)
      }
    }
    mkdir(d["ring"], 0o700)
    let file = open(d["ring"] + "/recording.00.pcapng", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    _ = write(file, bytes, bytes.count)
    close(file)
    return (until - Int64(count) * 1_000_000, until)
  }
  private func make(_ more: String = "") -> Workshop? {
    let d = Directory()
    mkdir(d["ring"], 0o700)
    return Workshop.make("capture_packets: true\nactions_per_minute: 1000\nrecording_directory: \(d["ring"])\n" + more, in: d)
  }
  private func cut(_ span: (since: Int64, until: Int64), bytes: UInt64 = 1 << 20, network: String = "192.0.2.7") -> HostAction {
    .cut(
      PacketSelection(
        decision: "d0123456789abcdef", networks: [CIDR(network)!], moments: [], since: span.since, until: span.until, packets: 1000, bytes: bytes)!)
  }
  private func frames(_ path: String) -> Int {
    let reader = CaptureReader(bytes: rawContents(path))
    var count = 0
    while reader.next() != nil { count += 1 }
    return count
  }
  private func rawContents(_ path: String) -> [UInt8] {
    let file = open(path, O_RDONLY)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while case let count = read(file, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
    return bytes
  }

  @Test func packetsAreKeptAndTakenBack() {
    guard let w = make() else { return }
    let span = record(w.directory, count: 50)
    let outcome = w.perform("k1", cut(span))
    let path = w.directory["state/evidence/k1.pcapng"]
    #expect(outcome.state == .done && outcome.detail.hasPrefix("\(path): 50 packets, "), "\(outcome) \(w.audit)")
    var facts = stat()
    #expect(stat(path, &facts) == 0 && facts.st_mode & 0o7777 == 0o600 && frames(path) == 50)
    // Once: asked for again, it is not made again.
    unlink(path)
    #expect(w.perform("k1", cut(span)) == outcome && access(path, F_OK) != 0)
    let second = w.perform("k2", cut(span))
    #expect(second.state == .done && access(w.directory["state/evidence/k2.pcapng"], F_OK) == 0)
    w.restart()
    #expect(w.perform("k2", cut(span)) == second)
    #expect(w.undo("k2").state == .undone && access(w.directory["state/evidence/k2.pcapng"], F_OK) != 0, "\(w.audit)")
    #expect(w.perform("k3", cut(span, network: "203.0.113.1")).code == "no_packets")
    #expect(w.audit.contains("asked by") && w.audit.contains("capture_evidence packets of 192.0.2.7/32"), "\(w.audit)")
    #expect(Program.run(["/bin/ls", w.directory["state/evidence"]]).text == "")
  }

  @Test func withoutTheKeyNothingIsCut() {
    guard let w = Workshop.make("kill_processes: true\n") else { return }
    let outcome = w.perform("k", cut((0, 1)))
    #expect(outcome.state == .refused && outcome.code == "not_enabled" && outcome.detail.contains("capture_packets: true"), "\(outcome)")
  }

  @Test func whatIsWrongIsSaid() {
    guard let w = make() else { return }
    let none = w.perform("k1", cut((0, now())))
    #expect(none.state == .failed && none.code == "no_packets" && none.detail.contains("nothing has been recorded yet"), "\(none) \(w.audit)")
    chmod(w.directory["ring"], 0o777)
    let open = w.perform("k2", cut((0, now())))
    #expect(open.state == .failed && open.code == "recording" && open.detail.contains("others may write it"), "\(open)")
    let large = w.perform("k3", cut((0, now()), bytes: 2 << 30))
    #expect(large.state == .refused && large.code == "too_large", "\(large)")
    #expect(Program.run(["/bin/ls", w.directory["state/evidence"]]).text == "")
  }

  /// It waits for the end of its time, and not for ever.
  @Test func itWaitsForItsTime() {
    guard let w = make() else { return }
    let span = record(w.directory, count: 10)
    let begin = now()
    #expect(w.perform("k1", cut((span.since, begin + 3_000_000_000))).state == .done, "\(w.audit)")
    #expect(now() - begin >= 3_000_000_000)
    _ = try? w.client.perform("k2", cut((span.since, .max)))
    #expect((try? w.client.status().waiting) == 1)
  }

  @Test func theOldestGoForNewerOnes() {
    guard let w = make("evidence_files: 3\nevidence_size: 1MiB\n") else { return }
    let span = record(w.directory, count: 400, size: 1000)
    for i in 0..<5 { #expect(w.perform("k\(i)", cut(span, bytes: 200_000)).state == .done, "\(w.audit)") }
    let left = Program.run(["/bin/ls", w.directory["state/evidence"]]).text
    #expect(left == "k2.pcapng\nk3.pcapng\nk4.pcapng\n", "\(left)")
    let gone = w.perform("k0", cut(span))
    #expect(gone.state == .undone && gone.detail == "removed for newer ones", "\(gone)")
    // By size: the whole is one MiB.
    for i in 5..<8 { #expect(w.perform("k\(i)", cut(span, bytes: 900_000)).state == .done, "\(w.audit)") }
    #expect(Program.run(["/bin/ls", w.directory["state/evidence"]]).text == "k6.pcapng\nk7.pcapng\n")
  }

  /// What is asked for at most is no reason to remove anything: only what was made is.
  @Test func aCutThatFindsLittleRemovesLittle() {
    guard let w = make("evidence_files: 3\nevidence_size: 1MiB\n") else { return }
    let span = record(w.directory, count: 100, size: 1000)
    for i in 0..<2 { #expect(w.perform("k\(i)", cut(span, bytes: 200_000)).state == .done, "\(w.audit)") }
    #expect(w.perform("none", cut(span, network: "203.0.113.1")).code == "no_packets")
    #expect(w.perform("k2", cut(span)).state == .done, "\(w.audit)")
    #expect(w.perform("none2", cut(span, network: "203.0.113.1")).code == "no_packets")
    #expect(Program.run(["/bin/ls", w.directory["state/evidence"]]).text == "k0.pcapng\nk1.pcapng\nk2.pcapng\n", "\(w.audit)")
  }

  /// Who makes cheap decisions must not thereby keep a process alive.
  @Test func cutsTakeNothingFromTheRateOfOtherActions() {
    let d = Directory()
    mkdir(d["ring"], 0o700)
    guard let w = Workshop.make("capture_packets: true\nkill_processes: true\nactions_per_minute: 2\nrecording_directory: \(d["ring"])\n", in: d)
    else { return }
    let later = (since: Int64(0), until: Int64.max)
    // Two minutes' worth of them and more: wherever the minute ends, one is too many.
    let codes = (0..<2 * Limits.cutsPerMinute + 1).map { try? w.client.perform("c\($0)", cut(later)).code }
    #expect(codes[0] == "" && codes.contains("rate"), "\(codes)")
    let killed = w.perform("k", .kill(ProcessTarget(pid: .max, seenAt: now(), signal: .kill)))
    #expect(killed.code != "rate", "\(killed)")
  }

  /// An operator who moves a file away has taken it over: its action is no longer one that can be taken back.
  @Test func whatWasMovedAwayIsNoLongerThere() {
    guard let w = make() else { return }
    let span = record(w.directory, count: 10)
    #expect(w.perform("moved", cut(span)).state == .done && w.perform("kept", cut(span)).state == .done)
    rename(w.directory["state/evidence/moved.pcapng"], w.directory["mine.pcapng"])
    w.restart()
    #expect(eventually { w.perform("moved", cut(span)).state == .undone }, "\(w.audit)")
    #expect(w.perform("moved", cut(span)).detail.contains("is no longer there") && w.perform("kept", cut(span)).state == .done, "\(w.audit)")
  }

  /// What cannot be removed is not said to be.
  @Test func whatCannotBeRemovedIsSaid() {
    let d = Directory()
    var configuration = ResponderConfiguration()
    configuration.stateDirectory = d.path
    configuration.evidenceFiles = 2
    mkdir(d["evidence"], 0o700)
    // No file: unlink(2) refuses it.
    mkdir(d["evidence/a.pcapng"], 0o700)
    for name in ["b", "c"] { d.write("x", "evidence/\(name).pcapng") }
    for name in ["a", "b"] { _ = Program.run(["/bin/touch", "-d", "2 days ago", d["evidence/\(name).pcapng"]]) }
    let cuts = EvidenceCuts(configuration)
    let room = cuts.makeRoom(for: 1, now: now())
    #expect(room.removed.map(\.key) == ["b", "c"] && room.failures.count == 1 && room.failures[0].contains("a.pcapng: Is a directory"), "\(room)")
    #expect(room.isEnough)
    configuration.evidenceFiles = 1
    #expect(!EvidenceCuts(configuration).makeRoom(for: 1, now: now()).isEnough)
  }

  @Test func whatIsOldGoesAndWhatIsUnfinishedToo() {
    guard let w = make("evidence_keep: 1d\n") else { return }
    let span = record(w.directory, count: 10)
    #expect(w.perform("old", cut(span)).state == .done && w.perform("new", cut(span)).state == .done)
    _ = Program.run(["/bin/touch", "-d", "2 days ago", w.directory["state/evidence/old.pcapng"]])
    w.directory.write("half", "state/evidence/torn.part")
    w.restart()
    #expect(eventually { w.perform("old", cut(span)).state == .undone }, "\(w.audit)")
    #expect(Program.run(["/bin/ls", w.directory["state/evidence"]]).text == "new.pcapng\n")
  }

  /// Who looks at packets holds nothing: no capability, no other file, no socket, in a process of its own.
  @Test func theResponderNeverReadsAPacket() {
    guard let w = make("kill_processes: true\n") else { return }
    let span = record(w.directory, count: 10)
    #expect(w.perform("k1", cut(span)).state == .done, "\(w.audit)")
    let opened = Program.run(["/bin/sh", "-c", "ls -l /proc/\(w.responder.pid)/fd"]).text
    #expect(!opened.contains("recording"), "\(opened)")
  }
}
