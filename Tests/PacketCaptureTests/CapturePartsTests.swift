// The parts of the capture that need no network: configuration, options, the kernel's news about interfaces, the queue to a slow reader.
import CPcap
import CaptureChannel
import Events
import Glibc
import Primitives
import Testing

@testable import PacketCapture

@Suite struct CapturePartsTests {
  private func load(_ text: String) -> (CaptureConfiguration?, String) {
    let (configuration, diagnostics) = Array(text.utf8).withUnsafeBytes { CaptureConfiguration.load($0, file: "capture.yaml") }
    return (configuration, diagnostics.map { "\($0)" }.joined(separator: "\n"))
  }

  @Test func theReferenceMeansTheSameAsAnEmptyFile() {
    let (read, problems) = load(CaptureConfiguration.reference)
    #expect(read == CaptureConfiguration(), "\(problems)")
    #expect(CaptureConfiguration().options.ringBytes == 64 << 20 && CaptureConfiguration().interfaces == ["any"])
    #expect(!CaptureConfiguration().options.isPromiscuous && CaptureConfiguration().recording == nil)
  }

  @Test func whatIsWrongIsSaidWithItsLine() {
    for (text, message) in [
      ("interfaces: [any, eth0]", "'any' is all of them"), ("interfaces: []", "at least one"), ("interfaces: [eth0, eth0]", "twice"),
      ("interfaces: [\"a b\"]", "is not the name of an interface"), ("interfaces: [an-interface-too-long]", "is not the name"),
      ("promiscuous: true", "needs interfaces by name"), ("ring_size: 10", "ring_size"), ("snap_length: 1", "snap_length"),
      ("filters: tcp", "filters"), ("interfaces: [a, b, c, d, e, f, g, h, i]", "more than 8"), ("recording: maybe", "recording"),
      ("recording_files: 1", "recording_files"),
      ("recording_files: 33", "recording_files"), ("recording_file_size: 1KiB", "recording_file_size"), ("recording_directory: here", "absolute"),
    ] {
      let (read, problems) = load(text)
      #expect(read == nil && problems.contains(message) && problems.contains("capture.yaml:1:"), "\(text): \(problems)")
    }
    let (read, problems) = load("interfaces: [eth0, wg-0]\nfilter: not port 22\nsnap_length: 1500\nring_size: 8MiB\npromiscuous: true\n")
    #expect(read?.interfaces == ["eth0", "wg-0"] && read?.options.filter == "not port 22" && read?.options.ringBytes == 8 << 20, "\(problems)")
  }

  @Test func optionsAreReadOrRefused() {
    let (options, _) = CaptureProgram.Options.parse([
      "--interface", "a", "--interface", "b", "--fd", "13", "--filter", "tcp", "--ring-size", "1048576",
    ])
    #expect(options?.interfaces == ["a", "b"] && options?.descriptor == 13 && options?.filter == "tcp" && options?.ringBytes == 1 << 20)
    for wrong in [
      ["--fd", "2"], ["--fd", "128"], ["--fd"], ["--interface", ""], ["--interface", "sixteen-letters-"], ["--ring-files", "0"],
      ["--ring-files", "65"],
      ["--count", "0"], ["--snap-length", "63"], ["--ring-bytes", "100"], ["--nothing"], ["--ring-size", "x"],
    ] { #expect(CaptureProgram.Options.parse(wrong).0 == nil, "\(wrong)") }
  }

  /// One message of the kernel's, and what is left when it is cut anywhere or filled with anything.
  @Test func newsAboutInterfacesIsReadWithCare() {
    func little<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }
    func message(_ type: UInt16, _ flags: UInt32, _ name: String) -> [UInt8] {
      let text = Array(name.utf8) + [0]
      let attribute = little(UInt16(4 + text.count)) + little(UInt16(3)) + text + [UInt8](repeating: 0, count: (4 - text.count % 4) % 4)
      let other = little(UInt16(8)) + little(UInt16(4)) + little(UInt32(1500))
      let body = [0, 0] + little(UInt16(1)) + little(Int32(7)) + little(flags) + little(UInt32(0)) + other + attribute
      return little(UInt32(16 + body.count)) + little(type) + [UInt8](repeating: 0, count: 10) + body
    }
    let bytes = message(16, 1, "eth7") + message(17, 1, "gone")
    let changes = bytes.withUnsafeBytes { LinkWatch.parse($0) }
    #expect(changes == [LinkChange(index: 7, name: "eth7", isUp: true), LinkChange(index: 7, name: "gone", isUp: false)])
    #expect(message(16, 0, "down").withUnsafeBytes { LinkWatch.parse($0) } == [LinkChange(index: 7, name: "down", isUp: false)])
    for count in 0..<bytes.count { _ = bytes[..<count].withUnsafeBytes { LinkWatch.parse($0) } }
    for at in bytes.indices {
      for value: UInt8 in [0, 1, 3, 0x7f, 0xff] {
        var changed = bytes
        changed[at] = value
        _ = changed.withUnsafeBytes { LinkWatch.parse($0) }
      }
    }
  }

  /// The newest go, whole, and are counted by cause; what was taken before arrives.
  @Test func aSlowReaderLosesTheNewest() {
    let (reader, given) = Reader.pair()
    let output = EventOutput(limit: 64 * 1024)
    let interface = output.addInterface("eth0")
    var event = Event()
    func offer(_ i: Int) {
      event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
      event.set(.sourcePort, Int64(i))
      let filler = [UInt8](repeating: 0x61, count: 900)
      filler.withUnsafeBytes { event.set(.message, $0) }
      output.take(event, interface: interface, frame: UInt64(i))
    }
    offer(0)
    #expect(output.counters.unwanted == 1)
    output.open(given)
    for i in 1...2000 {
      offer(i)
      if i % 10 == 0 { #expect(output.flush()) }
    }
    #expect(output.counters.dropped > 0 && output.counters.sent + output.counters.dropped == 2000, "\(output.counters)")
    let before = output.counters.sent
    #expect(reader.until { output.flush() && !output.hasMore && reader.events.count == Int(before) })
    #expect(reader.problem == nil && reader.events.first?["source.port"] == "1" && reader.events.first?["interface"] == "eth0")
    offer(3000)
    #expect(output.flush() && reader.until { reader.events.last?["source.port"] == "3000" })
    var event2 = Event()
    event2.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    event2.allowLargeTexts()
    let long = [UInt8](repeating: 0x61, count: Limits.captureMessageBytes)
    long.withUnsafeBytes { event2.set(.message, $0) }
    output.take(event2, interface: interface, frame: 1)
    #expect(output.counters.tooLong == 1)
  }

  @Test func aReaderThatIsGoneIsNoticed() {
    signal(SIGPIPE, SIG_IGN)
    let output = EventOutput()
    do {
      let (reader, given) = Reader.pair()
      output.open(given)
      _ = reader
    }
    var ended = false
    for _ in 0..<10 where !ended {
      output.send([("a", 1)])
      ended = !output.flush()
    }
    #expect(ended && !output.isOpen)
  }
}
