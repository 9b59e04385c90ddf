// The packets of a decision, out of capture files into one: first the flows of the frames that the decision names by their stamps, then every
// frame of its time that is to or from one of its addresses, or of one of these flows, in the order in which they were recorded.
// What must stay true: linear in what is read, twice at most; bounded in what is held and written; what was not found, and what could not be
// looked at, is said, with the reason.
import Glibc
import HostActions
import PacketParsers
import PacketSources
import Primitives

/// What came of a cut.
struct CutReport: Equatable {
  var packets: UInt64 = 0
  /// Of the file that was made.
  var bytes: UInt64 = 0
  /// Packets that belong to it too, and for which there was no room.
  var leftOut: UInt64 = 0
  /// Of those that were kept.
  var firstTime: EventTime?
  var lastTime: EventTime?
  /// Of all that was recorded.
  var oldest: EventTime?
  var newest: EventTime?
  /// Of the frames that the decision names, those that were found.
  var momentsFound = 0
  /// Sentences: what is missing, and why.
  var notes: [String] = []
}

final class PacketCut {
  private let selection: PacketSelection
  private let files: [RecordedFile]
  /// Takes what is to be written; false: there is no room, `problem` says why.
  private let write: ([UInt8]) -> Bool
  private(set) var report = CutReport()
  private(set) var isWritten = true
  private var firstTimes: [EventTime?] = []
  private var flows: [FlowKey] = []
  private var found: Set<Int64> = []  // only looked up and counted
  private var buffer: [UInt8] = []
  /// Interfaces of the file that is made, by link layer and name.
  private var interfaces: [(linkType: UInt32, name: String)] = []
  /// Of those that were left out, those whose interface there was no room for.
  private var ofFurtherInterfaces: UInt64 = 0
  private var packet = Packet()

  init(_ selection: PacketSelection, _ files: [RecordedFile], write: @escaping ([UInt8]) -> Bool) {
    (self.selection, self.files, self.write) = (selection, files, write)
  }

  func run() {
    firstTimes = files.map { $0.reader().next()?.time }
    report.oldest = firstTimes.compactMap { $0 }.min()
    let due = files.indices.filter(mayHold)
    let moments = Set(selection.moments)
    if !moments.isEmpty {
      for i in due { forEachFrame(files[i]) { frame, _ in if moments.contains(frame.time.nanoseconds) { learn(frame) } } }
    }
    PacketBlocks.appendSection(application: "panguard", comment: "decision \(selection.decision): \(selection.text)", to: &buffer)
    for i in due {
      let failure = forEachFrame(files[i]) { frame, reader in take(frame, reader) }
      note(failure, files[i])
    }
    flush()
    explain()
  }

  /// Whether frames of its time may be in a file: they lie between its first one and that of the next file.
  private func mayHold(_ i: Int) -> Bool {
    guard let first = firstTimes[i] else { return true }
    let known = firstTimes.compactMap { $0 }
    // A clock that was set back, or files that are no ring: all are read.
    guard files.allSatisfy({ $0.number != nil }), known.count == files.count, zip(known, known.dropFirst()).allSatisfy({ $0 <= $1 }) else {
      return true
    }
    let slack = Limits.recordingDisorder
    if first - slack > EventTime(nanoseconds: selection.until) { return false }
    return i + 1 >= files.count || known[i + 1] + slack >= EventTime(nanoseconds: selection.since)
  }

  /// Why reading ended before the file's end; nil: it did not.
  @discardableResult
  private func forEachFrame(_ file: RecordedFile, _ body: (CapturedFrame, CaptureReader) -> Void) -> CaptureError? {
    let reader = file.reader()
    while isWritten, let frame = reader.next() { body(frame, reader) }
    return reader.failure
  }

  private func learn(_ frame: CapturedFrame) {
    found.insert(frame.time.nanoseconds)
    PacketDecoder.decode(frame.bytes, linkType: LinkType(rawValue: frame.linkType), into: &packet)
    guard packet.isIP, packet.fragment == nil else { return }
    let key = FlowKey.of(packet).key
    if !flows.contains(key), flows.count < Limits.cutFlows { flows.append(key) }
  }

  // MARK: Taking

  private func take(_ frame: CapturedFrame, _ reader: CaptureReader) {
    if frame.time > report.newest ?? .distantPast { report.newest = frame.time }
    guard selection.since <= frame.time.nanoseconds, frame.time.nanoseconds <= selection.until else { return }
    PacketDecoder.decode(frame.bytes, linkType: LinkType(rawValue: frame.linkType), into: &packet)
    guard isMeant else { return }
    let room = Int(clamping: selection.bytes) - Int(clamping: report.bytes) - buffer.count
    // A block for its interface may come before it: at most 128 bytes.
    guard report.packets < selection.packets, PacketBlocks.bytes(ofFrame: frame.bytes.count) + 128 <= room else { return report.leftOut &+= 1 }
    guard let interface = interface(frame, reader) else {
      ofFurtherInterfaces &+= 1
      return report.leftOut &+= 1
    }
    PacketBlocks.appendFrame(frame.bytes, interface: interface, time: frame.time, wireBytes: frame.wireBytes, to: &buffer)
    report.packets &+= 1
    if frame.time < report.firstTime ?? .distantFuture { report.firstTime = frame.time }
    if frame.time > report.lastTime ?? .distantPast { report.lastTime = frame.time }
    if buffer.count >= Limits.recordingBufferBytes { flush() }
  }

  private var isMeant: Bool {
    if packet.isARP { return isOfNetwork(IPAddress(v4: packet.arp.senderAddress)) || isOfNetwork(IPAddress(v4: packet.arp.targetAddress)) }
    guard packet.isIP else { return false }
    if isOfNetwork(packet.source.address(isIPv6: packet.isIPv6)) || isOfNetwork(packet.destination.address(isIPv6: packet.isIPv6)) { return true }
    return !flows.isEmpty && packet.fragment == nil && flows.contains(FlowKey.of(packet).key)
  }
  private func isOfNetwork(_ address: IPAddress) -> Bool { selection.networks.contains { $0.contains(address) } }

  private static let mostInterfaces = Limits.openInterfaces * 8

  private func interface(_ frame: CapturedFrame, _ reader: CaptureReader) -> UInt32? {
    let name = reader.interfaceName(frame.interface)
    if let known = interfaces.firstIndex(where: { $0.linkType == frame.linkType && $0.name == name }) { return UInt32(known) }
    guard interfaces.count < PacketCut.mostInterfaces else { return nil }
    interfaces.append((frame.linkType, name))
    PacketBlocks.appendInterface(linkType: frame.linkType, snapLength: UInt32(Limits.frameBytes), name: name, to: &buffer)
    return UInt32(interfaces.count - 1)
  }

  private func flush() {
    guard isWritten, !buffer.isEmpty else { return }
    isWritten = write(buffer)
    report.bytes &+= UInt64(buffer.count)
    buffer.removeAll(keepingCapacity: true)
  }

  // MARK: What is missing

  private func note(_ failure: CaptureError?, _ file: RecordedFile) {
    if file.isOverwritten {
      report.notes.append("\(file.path) was written over while it was read: what it held later is missing")
    } else if let failure, failure.code != .truncated || file.number == nil {
      // A recording that ends inside a block is being written.
      report.notes.append("\(file.path): \(failure): what stands behind it is missing")
    }
  }

  private func explain() {
    report.momentsFound = found.count
    let (since, until) = (EventTime(nanoseconds: selection.since), EventTime(nanoseconds: selection.until))
    let isRing = files.contains { $0.number != nil }
    if let oldest = report.oldest, oldest > since {
      let first = files.compactMap(\.number).min() ?? 1
      report.notes.append(
        "nothing is left of the time before \(oldest)"
          + (isRing ? first > 1 ? ": the recording has been written over since" : ": the recording began then" : ""))
    } else if report.oldest == nil {
      report.notes.append(isRing || files.isEmpty ? "nothing has been recorded yet" : "there is no frame in what was read")
    }
    if let newest = report.newest, newest < until, newest < EventTime(nanoseconds: selection.moments.max() ?? selection.since) {
      report.notes.append("the newest frame is of \(newest)")
    }
    let missing = Set(selection.moments).count - found.count
    if missing > 0 {
      report.notes.append(
        "\(missing) of \(Set(selection.moments).count) frames that the decision names are not among what was read (written over, not recorded, or dropped)"
      )
    }
    if ofFurtherInterfaces > 0 {
      report.notes.append("\(ofFurtherInterfaces) further packets are left out: they are of more than \(PacketCut.mostInterfaces) interfaces")
    }
    if report.leftOut > ofFurtherInterfaces {
      report.notes.append(
        "\(report.leftOut - ofFurtherInterfaces) further packets are left out: at most \(selection.packets) packets and \(selection.bytes) bytes were asked for"
      )
    }
  }
}
