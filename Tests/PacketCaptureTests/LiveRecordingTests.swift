// The capture as it runs, with a recording: it writes what it sees, holds nothing else open, goes on when it is started again, and a full disk
// costs frames of the recording, never an event.
import CLinux
import Glibc
import Primitives
import Testing

@testable import PacketCapture

@Suite(.serialized) struct LiveRecordingTests {
  private func configure(_ lab: CaptureLaboratory, _ ring: String) -> String {
    let path = lab.directory + "/capture.yaml"
    let file = pg_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    let bytes = Array(
      "interfaces: [cable, lo]\nrecording: true\nrecording_directory: \(ring)\nrecording_files: 2\nrecording_file_size: 1MiB\n".utf8)
    _ = write(file, bytes, bytes.count)
    close(file)
    return path
  }

  @Test func whatIsSeenIsRecordedAndARestartGoesOn() throws {
    guard let lab = try CaptureLaboratory.make() else { return }
    let ring = lab.directory + "/ring"
    let configuration = configure(lab, ring)
    for run in 0..<2 {
      let (reader, given) = Reader.pair()
      let capture = try lab.capture(["--config", configuration, "--fd", "13"], passing: given)
      close(given)
      try lab.talk(lab.outside, ["udp", lab.own, "9", "5", "0", "recorded\(run)x"])
      try lab.talk(lab.host, ["udp", "127.0.0.1", "9", "5", "0", "loopback\(run)x"])
      // Within the second in which it writes; both frames of each on lo are one.
      #expect(reader.until { reader.counters["frames_recorded"] ?? 0 >= 10 }, "\(reader.counters) \(capture.output)")
      #expect(reader.counters["frames_not_recorded"] == 0)
      // It holds the files, its connection, and what it listens with: nothing else of the disk.
      let held = try Command.run(["ls", "-l", "/proc/\(capture.process)/fd"])
      #expect(held.contains("recording.00.pcapng") && held.contains("recording.01.pcapng") && !held.contains(".yaml"), "\(held)")
      let facts = String(decoding: contents("/proc/\(capture.process)/status"), as: UTF8.self)
      #expect(facts.contains("CapEff:\t0000000000000000") && facts.contains("Seccomp:\t2"), "\(facts)")
      let second = try Command([
        "ip", "netns", "exec", lab.host, CaptureLaboratory.program, "--config", configuration, "--socket", lab.directory + "/s",
      ])
      // It listens all the same.
      #expect(second.waitFor("ready") && second.output.contains("another capture records into it"), "\(second.output)")
      second.signal(SIGTERM)
      #expect(second.wait(seconds: 120) == 0)
      // However it ends.
      capture.signal(run == 0 ? SIGKILL : SIGTERM)
      _ = capture.wait(seconds: 120)
    }
    let whole = contents(ring + "/recording.00.pcapng")
    for text in ["recorded0x000004", "loopback0x000000", "recorded1x000000", "loopback1x000004"] { #expect(whole.contains(text), "\(text)") }
    #expect(contents(ring + "/recording.01.pcapng").isEmpty)
    let cut = try Command(
      [
        CaptureLaboratory.program, "--cut", lab.directory + "/out", "--config", configuration, "--decision", "d0123456789abcdef", "--network",
        lab.peer,
      ]
        + ["--since", "0", "--until", "\(Int64.max)", "--packets", "1000", "--bytes", "1000000"])
    #expect(cut.wait() == 0, "\(cut.output)")
    let kept = contents(lab.directory + "/out")
    #expect(kept.contains("recorded1x000000") && kept.contains("recorded0x000004") && !kept.contains("loopback"))
  }

  /// A recording that cannot be opened costs the recording, not the detection: it is said, also to an engine that comes later, and counted.
  @Test func withoutItsRecordingItListensAndSaysSo() throws {
    guard let lab = try CaptureLaboratory.make() else { return }
    let ring = lab.directory + "/ring"
    let configuration = configure(lab, ring)
    mkdir(ring, 0o700)
    let file = pg_open(ring + "/recording.00.pcapng", O_WRONLY | O_CREAT, 0o600)
    close(file)
    // As a backup does that copies by links.
    #expect(link(ring + "/recording.00.pcapng", lab.directory + "/backup") == 0)
    let (reader, given) = Reader.pair()
    let capture = try lab.capture(["--config", configuration, "--fd", "13"], passing: given)
    close(given)
    try lab.talk(lab.outside, ["udp", lab.own, "9", "5", "0", "unrecorded"])
    #expect(reader.until { reader.counters["frames_not_recorded"] ?? 0 >= 5 }, "\(reader.counters) \(capture.output)")
    #expect(reader.counters["frames_recorded"] == 0 && reader.counters["frames:cable"] ?? 0 >= 5, "\(reader.counters)")
    #expect(
      reader.until { reader.notices.contains { $0.contains("recording.00.pcapng: has another name too; nothing is recorded") } }, "\(reader.notices)")
    #expect(contents(lab.directory + "/backup").isEmpty)
    capture.signal(SIGTERM)
    #expect(capture.wait(seconds: 120) == 0)
  }

  @Test func aFullDiskCostsNoEvent() throws {
    guard let lab = try CaptureLaboratory.make() else { return }
    let ring = lab.directory + "/small"
    mkdir(ring, 0o700)
    let configuration = configure(lab, ring)
    let (reader, given) = Reader.pair()
    // A disk of 300 KiB, for this process only.
    let script = "mount -t tmpfs -o size=300k,mode=0700 tmpfs \(ring) && exec \"$@\""
    let capture = try Command(
      [
        "ip", "netns", "exec", lab.host, "unshare", "-m", "sh", "-c", script, "sh", CaptureLaboratory.program, "--config", configuration, "--fd",
        "13",
      ],
      passing: given)
    close(given)
    guard capture.waitFor("ready") else { return skip("mounts are not allowed here: \(capture.output)") }
    for _ in 0..<20 { try lab.talk(lab.outside, ["udp", lab.own, "9", "400", "0", String(repeating: "full", count: 250)]) }
    #expect(reader.until { reader.counters["frames_not_recorded"] ?? 0 > 0 }, "\(reader.counters)")
    #expect(reader.until { reader.notices.contains { $0.contains("the recording cannot be written: No space left on device") } }, "\(reader.notices)")
    #expect(reader.until { reader.counters["frames:cable"] ?? 0 >= 8000 }, "\(reader.counters)")
    let (kept, lost) = (reader.counters["frames_recorded"] ?? 0, reader.counters["frames_not_recorded"] ?? 0)
    #expect(kept > 0 && lost > kept, "\(kept) \(lost)")
    // What is on the disk is whole.
    let file = "/proc/\(capture.process)/root\(ring)/recording.00.pcapng"
    let copy = lab.directory + "/copy"
    try Command.run(["cp", file, copy])
    let cut = try Command(
      [CaptureLaboratory.program, "--cut", lab.directory + "/out", "--from", copy, "--decision", "d0123456789abcdef", "--network", lab.peer]
        + ["--since", "0", "--until", "\(Int64.max)", "--packets", "100000", "--bytes", "100000000"])
    #expect(cut.wait() == 0 && !cut.output.contains("behind it is missing"), "\(cut.output)")
    capture.signal(SIGTERM)
    #expect(capture.wait(seconds: 120) == 0)
  }
}
