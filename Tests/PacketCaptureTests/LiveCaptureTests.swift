// The capture as it runs, on real packets: whole, without loss while it stalls, without a privilege, and what becomes of them on the other side.
import CPcap
import Glibc
import Primitives
import Testing

@Suite(.serialized) struct LiveCaptureTests {
  @Test func packetsAreWrittenWhole() throws {
    guard let lab = try CaptureLaboratory.make() else { return }
    let file = lab.directory + "/out.pcap"
    let capture = try lab.capture(["--interface", "cable", "--write", file])
    let server = try lab.server(lab.host, port: 7000)
    try lab.talk(lab.outside, ["udp", lab.own, "9", "20", "2", "datagram-"])
    try lab.talk(lab.outside, ["tcp", lab.own, "7000", "1000000"])
    usleep(300_000)
    capture.signal(SIGINT)
    #expect(capture.wait(seconds: 120) == 0, "\(capture.output)")
    #expect(capture.output.contains("frames written, 0 dropped by the kernel"), "\(capture.output)")
    let found = frames(contents(file))
    // Nobody listens there: the host's answers (ICMP) quote what they answer.
    let datagrams = found.filter { $0.count > 42 && $0[23] == 17 }
    for i in 0..<20 { #expect(datagrams.count { $0.contains("datagram-\(decimal(i))") } == 1, "\(i)") }
    // All of the stream, in frames of up to 64 KiB as the host's stack hands them over.
    #expect(found.reduce(0) { $0 + max(0, $1.count - 66) } >= 1_000_000, "\(found.map(\.count))")
    #expect(found.contains { $0.contains("thanks for all of it") })
    var facts = stat()
    #expect(stat(file, &facts) == 0 && facts.st_mode & 0o7777 == 0o600)
    _ = server
  }
  private func decimal(_ i: Int) -> String { String(repeating: "0", count: 6 - "\(i)".count) + "\(i)" }

  /// `/proc` of the running process: no capability, no new one to be had, a filter, nothing of its own open but what it needs.
  @Test func nothingIsLeftOfItsPrivileges() throws {
    guard let lab = try CaptureLaboratory.make() else { return }
    let (reader, given) = Reader.pair()
    let capture = try lab.capture(["--fd", "13", "--interface", "cable"], passing: given)
    close(given)
    #expect(reader.until { !reader.counters.isEmpty })
    let status = String(decoding: contents("/proc/\(capture.process)/status"), as: UTF8.self)
    for line in [
      "CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000",
      "NoNewPrivs:\t1", "Seccomp:\t2", "Threads:\t1",
    ] { #expect(status.contains(line), "\(line): \(status)") }
    let limits = String(decoding: contents("/proc/\(capture.process)/limits"), as: UTF8.self)
    #expect(limits.split(separator: "\n").contains { $0.hasPrefix("Max core file size") && $0.split(separator: " ").dropFirst(4).first == "0" })
  }

  /// What a process that was taken over would try first.
  @Test func aPacketSocketCanOnlyBeRead() throws {
    guard let lab = try CaptureLaboratory.make() else { return }
    let check = try Command(["ip", "netns", "exec", lab.host, CaptureLaboratory.program, "--check-confinement", "--interface", "cable"])
    #expect(check.wait() == 0, "\(check.output)")
    #expect(!check.output.contains("ALLOWED") && check.output.contains("reading: works"), "\(check.output)")
    for what in [
      "AF_PACKET raw socket", "another interface for the packet socket", "promiscuous mode", "no filter", "sending a frame by sendto",
      "sending a frame by write", "another number for the packet socket", "a copy of the packet socket", "CAP_NET_RAW", "reading /etc/passwd",
    ] { #expect(check.output.contains("refused: \(what)"), "\(what): \(check.output)") }
  }

  /// A reader that hangs for 5 s at 100 packets a second loses nothing with the shipped ring, and most with a small one: each time-out of a
  /// block that is not full uses it up.
  @Test func aStallLosesNothingWithTheShippedRing() throws {
    guard let lab = try CaptureLaboratory.make() else { return }
    func captured(_ options: [String], _ name: String) throws -> Int {
      let file = lab.directory + "/\(name).pcap"
      let capture = try lab.capture(["--interface", "cable", "--filter", "udp port 9", "--write", file] + options)
      capture.signal(SIGSTOP)
      try lab.talk(lab.outside, ["udp", lab.own, "9", "500", "10", "stall-"])
      capture.signal(SIGCONT)
      usleep(500_000)
      capture.signal(SIGINT)
      #expect(capture.wait(seconds: 120) == 0, "\(capture.output)")
      return frames(contents(file)).count
    }
    #expect(try captured([], "shipped") == 500)
    #expect(try captured(["--ring-size", "2097152"], "small") < 400)
  }

  @Test func flowsBecomeEvents() throws {
    guard let lab = try CaptureLaboratory.make() else { return }
    let (reader, given) = Reader.pair()
    let capture = try lab.capture(["--fd", "13", "--interface", "cable"], passing: given)
    close(given)
    let server = try lab.server(lab.host, port: 7000)
    try lab.talk(lab.outside, ["tcp", lab.own, "7000", "5000"])
    try lab.talk(lab.outside, ["udp", lab.own, "9", "3", "1", "x"])
    usleep(500_000)
    #expect(reader.until { reader.counters["frames:cable", default: 0] >= 10 }, "\(reader.counters)")
    capture.signal(SIGTERM)
    #expect(capture.wait(seconds: 120) == 0, "\(capture.output)")
    #expect(reader.until { reader.isAtEnd })
    #expect(reader.problem == nil)
    let tcp = reader.events.first { $0["event.action"] == "network_flow" && $0["destination.port"] == "7000" }
    #expect(tcp?["source.ip"] == lab.peer && tcp?["destination.ip"] == lab.own && tcp?["network.transport"] == "tcp", "\(reader.events)")
    #expect(tcp?["panguard.flow.state"] == "SF" && tcp?["trust"] == "attested" && tcp?["interface"] == "cable", "\(tcp ?? [:])")
    #expect(tcp?["network.community_id"]?.hasPrefix("1:") == true)
    // Nobody confirmed who sent it.
    let udp = reader.events.first { $0["network.transport"] == "udp" && $0["destination.port"] == "9" }
    #expect(udp?["source.packets"] == "3" && udp?["trust"] == "claimed", "\(reader.events)")
    #expect(reader.counters["kernel_drops:cable"] == 0 && reader.counters["events_dropped_engine_slow"] == 0, "\(reader.counters)")
    _ = server
  }

  @Test func loopbackIsCapturedOnce() throws {
    guard let lab = try CaptureLaboratory.make() else { return }
    for interface in ["lo", "any"] {
      let file = lab.directory + "/\(interface).pcap"
      let capture = try lab.capture(["--interface", interface, "--filter", "udp port 9", "--write", file])
      try lab.talk(lab.host, ["udp", "127.0.0.1", "9", "10", "1", "loop-"])
      usleep(300_000)
      capture.signal(SIGINT)
      #expect(capture.wait(seconds: 120) == 0, "\(capture.output)")
      let found = frames(contents(file))
      // `any` sees a frame of the loopback come, and not go.
      #expect(found.count == 10 && found.allSatisfy { $0.contains("loop-") }, "\(interface): \(found.count)")
    }
  }

  /// `any` follows interfaces that come up later; names of theirs stand in the events' notices and counters by the interface `any`.
  @Test func anyFollowsInterfacesThatComeLater() throws {
    guard let lab = try CaptureLaboratory.make() else { return }
    let (reader, given) = Reader.pair()
    let capture = try lab.capture(["--fd", "13", "--interface", "any"], passing: given)
    close(given)
    try lab.ip("link add late type veth peer name late-peer")
    try lab.ip("address add 10.80.0.1/24 dev late")
    try lab.ip("link set late-peer up")
    try lab.ip("link set late up")
    try lab.talk(lab.host, ["udp", "10.80.0.9", "9", "3", "1", "x"])
    try lab.ip("link delete late")
    try lab.talk(lab.outside, ["udp", lab.own, "9", "3", "1", "x"])
    // Longer than the kernel keeps a block that is not full.
    usleep(500_000)
    #expect(reader.until { reader.counters["frames:any", default: 0] >= 3 }, "\(reader.counters)")
    capture.signal(SIGTERM)
    #expect(capture.wait(seconds: 120) == 0, "\(capture.output)")
    #expect(reader.until { reader.isAtEnd })
    #expect(reader.events.contains { $0["source.ip"] == lab.peer && $0["destination.port"] == "9" }, "\(reader.events)")
    #expect(reader.problem == nil && reader.notices.isEmpty, "\(reader.notices)")
  }

  /// By name: the one that goes is reported; when the last is gone the capture ends, to be started again. One that was not there is opened by
  /// a new start when it comes.
  @Test func interfacesThatComeAndGoAreNoticed() throws {
    guard let lab = try CaptureLaboratory.make() else { return }
    try lab.ip("link add first type veth peer name first-peer")
    try lab.ip("link set first up")
    let capture = try lab.capture(["--socket", lab.directory + "/c.sock", "--interface", "first", "--interface", "second"])
    #expect(capture.output.contains("second"), "\(capture.output)")
    // Down and up again is nothing.
    try lab.ip("link set first down")
    usleep(1_200_000)
    try lab.ip("link set first up")
    usleep(300_000)
    #expect(capture.wait(seconds: 0) == nil, "\(capture.output)")
    try lab.ip("link add second type veth peer name second-peer")
    try lab.ip("link set second up")
    #expect(capture.wait(seconds: 120) == 3, "\(capture.output)")
    #expect(capture.output.contains("second is there now"), "\(capture.output)")
    let again = try lab.capture(["--socket", lab.directory + "/c.sock", "--interface", "first", "--interface", "second"])
    try lab.ip("link delete first")
    #expect(again.waitFor("first: "), "\(again.output)")
    #expect(again.wait(seconds: 0) == nil, "\(again.output)")
    try lab.ip("link delete second")
    #expect(again.wait(seconds: 120) == 3, "\(again.output)")
    #expect(again.output.contains("no interface is left"), "\(again.output)")
  }

  /// The socket: who is nobody is not answered; a reader that goes and comes again gets the names again; nobody reading is counted.
  @Test func theSocketServesOneReaderAtATime() throws {
    guard let lab = try CaptureLaboratory.make() else { return }
    let path = lab.directory + "/c.sock"
    let capture = try lab.capture(["--socket", path, "--interface", "cable"])
    func connection() -> Reader {
      let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
      #expect(withSocketAddress(path) { connect(descriptor, $0, $1) } == 0)
      return Reader(descriptor)
    }
    let first = connection()
    #expect(first.until { !first.counters.isEmpty })
    let second = connection()
    #expect(second.until { !second.counters.isEmpty } && second.problem == nil)
    #expect(first.until { first.isAtEnd })
    chmod(path, 0o666)
    chmod(lab.directory, 0o711)
    let stranger = try Command.run(
      [
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "python3", "-c",
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('\(path)'); print('got', len(s.recv(10)))",
      ], mayFail: true)
    #expect(stranger.contains("got 0"), "\(stranger)")
    #expect(second.until { second.counters["peers_refused"] == 1 }, "\(second.counters)")
    #expect(!second.isAtEnd)
    let other = try Command(["ip", "netns", "exec", lab.host, CaptureLaboratory.program, "--socket", path, "--interface", "cable"])
    #expect(other.wait() == 3 && other.output.contains("another capture is running"), "\(other.output)")
    capture.signal(SIGTERM)
    #expect(capture.wait(seconds: 120) == 0)
  }

  @Test func aRingOfFilesStaysWithinItsBound() throws {
    guard let lab = try CaptureLaboratory.make() else { return }
    let file = lab.directory + "/ring"
    let capture = try lab.capture(["--interface", "cable", "--write", file, "--ring-files", "3", "--ring-bytes", "1048576"])
    let server = try lab.server(lab.host, port: 7000)
    for _ in 0..<5 { try lab.talk(lab.outside, ["tcp", lab.own, "7000", "1000000"]) }
    usleep(300_000)
    capture.signal(SIGINT)
    #expect(capture.wait(seconds: 120) == 0, "\(capture.output)")
    let sizes = (0..<3).map { contents("\(file).\($0)").count }
    #expect(sizes.allSatisfy { $0 > 24 && $0 <= 1_048_576 }, "\(sizes)")
    // One file alone ends when it is full.
    let single = try lab.capture(["--interface", "cable", "--write", file, "--ring-bytes", "1048576"])
    for _ in 0..<2 { try lab.talk(lab.outside, ["tcp", lab.own, "7000", "1000000"]) }
    #expect(single.wait(seconds: 120) == 0 && single.output.contains("the file is full"), "\(single.output)")
    // Not through a link.
    symlink("/etc/hostname", lab.directory + "/link")
    let refused = try Command([
      "ip", "netns", "exec", lab.host, CaptureLaboratory.program, "--interface", "cable", "--write", lab.directory + "/link",
    ])
    #expect(refused.wait() == 3 && refused.output.contains("link"), "\(refused.output)")
    _ = server
  }

  @Test func whatCannotBeOpenedSaysWhy() throws {
    guard let lab = try CaptureLaboratory.make() else { return }
    func result(_ arguments: [String]) throws -> (Int32, String) {
      let command = try Command(["ip", "netns", "exec", lab.host, CaptureLaboratory.program, "--socket", lab.directory + "/s"] + arguments)
      return (command.wait(), command.output)
    }
    let (noFilter, filterText) = try result(["--interface", "cable", "--filter", "host and"])
    #expect(noFilter == 3 && filterText.contains("the filter 'host and' is not right"), "\(filterText)")
    let (noInterface, text) = try result(["--interface", "nowhere"])
    #expect(noInterface == 3 && text.contains("nowhere"), "\(text)")
    let unprivileged = try Command([
      "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", CaptureLaboratory.program, "--socket", "/tmp/pg-none-\(getpid())", "--interface",
      "lo",
    ])
    #expect(unprivileged.wait() == 3 && unprivileged.output.contains("CAP_NET_RAW"), "\(unprivileged.output)")
    unlink("/tmp/pg-none-\(getpid())")
  }
}
