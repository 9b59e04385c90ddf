// A capture file as an input of replay: the frames go through the same analyzer, and what it tells through the same encoding, as those of a
// live capture on their way to the engine. So the events are those of the live capture, down to the bytes that their evidence is a hash of.
// What must stay true: the result does not depend on how the file is cut into reads; one frame and one event are held at a time.
import AgentRuntime
import CaptureChannel
import Events
import LogSources
import NetworkEvents
import PacketParsers
import PacketSources
import Primitives

public final class CaptureReplay: ReplayCapture, EventTaker {
  public let path: String
  public let modificationTime: EventTime
  public let containerSize: UInt64?
  public var containerBytesRead: UInt64 { containerBytes() }
  public var frames: UInt64 { reader.frames }

  private let reader: CaptureReader
  private let containerBytes: () -> UInt64
  private var analyzer: PacketAnalyzer
  private lazy var events = NetworkEvents(interface: 0, name: "", taker: self)
  private var frame: CapturedFrame?
  private var newest = EventTime.distantPast
  private var hasFinished = false
  private var decoder = CaptureDecoder()
  private var message: [UInt8] = []
  private var event = Event()
  private var take: ((inout Event) -> Void)?
  private var tooLong: UInt64 = 0

  /// Opens a capture file: pcap or pcapng, plain or packed; "-" is standard input. `share`: one of so many captures, which share the limits of
  /// flows as the interfaces of a live capture do.
  public convenience init(path: String, standardInputTime: EventTime, share: Int = 1) throws(SourceError) {
    let input = try InputFile(path: path, standardInputTime: standardInputTime)
    self.init(
      path: path, modificationTime: input.modificationTime, containerSize: input.containerSize, share: share,
      reader: CaptureReader { try input.read(into: $0) }
    ) { input.containerBytesRead }
  }

  /// `path`: names it in decisions.
  public init(
    path: String, modificationTime: EventTime, containerSize: UInt64? = nil, share: Int = 1, reader: CaptureReader,
    containerBytes: @escaping () -> UInt64 = { 0 }
  ) {
    analyzer = NetworkEvents.analyzer(share: share)
    self.path = path
    self.modificationTime = modificationTime
    self.containerSize = containerSize
    self.reader = reader
    self.containerBytes = containerBytes
    CaptureEncoder.fields(to: &message)
    learn()
    CaptureEncoder.interface(0, "file", to: &message)
    learn()
  }

  /// nil after a sound capture, and after one that only stops inside a frame: that is said in `drops`.
  public var failure: SourceError? {
    guard let failure = reader.failure, failure.code != .truncated else { return nil }
    let isOther = failure.code == .notACapture
    return SourceError(
      isOther ? .unsupportedFormat : .corrupt, path: path, reason: "\(failure)", hint: isOther ? "name logs before --pcap" : "")
  }

  public var drops: [(cause: String, count: UInt64)] {
    let (flows, streams, counters) = (analyzer.flowCounters, analyzer.streamCounters, analyzer.counters)
    return [
      ("frames behind which the capture is cut off", reader.failure?.code == .truncated ? 1 : 0),
      ("frames of which only a part was kept", counters.cut),
      ("frames that could not be decoded further", counters.errors.reduce(0, &+)), ("flows pushed out of their table", flows.evicted),
      ("half-open flows pushed out of their table", flows.evictedHalfOpen), ("contents pushed out of their table", streams.evicted),
      ("hosts under pressure and addresses of ARP pushed out of their tables", analyzer.linkEvictions), ("holes in streams", streams.gaps),
      ("network events longer than \(Limits.captureMessageBytes) bytes", tooLong),
    ]
  }

  public func advance() -> EventTime? {
    if hasFinished { return nil }
    frame = reader.next()
    if let frame { newest = max(newest, frame.time) }
    return newest
  }

  /// The flows that the capture's end leaves open are told at its end.
  public func tell(_ take: (inout Event) -> Void) {
    withoutActuallyEscaping(take) { take in
      self.take = take
      defer { self.take = nil }
      guard let frame else {
        hasFinished = true
        return analyzer.finish(sink: events)
      }
      analyzer.process(
        frame.bytes, linkType: LinkType(rawValue: frame.linkType), time: frame.time, number: frame.number, wireBytes: Int(frame.wireBytes),
        sink: events)
    }
  }

  public func take(_ event: borrowing Event, interface: UInt16, frame: UInt64) {
    message.removeAll(keepingCapacity: true)
    guard CaptureEncoder.event(event, interface: interface, frame: frame, to: &message) else { return tooLong &+= 1 }
    if case .event = message.withUnsafeBytes({ decoder.next($0, into: &self.event).0 }) { take?(&self.event) }
  }

  private func learn() {
    _ = message.withUnsafeBytes { decoder.next($0, into: &event) }
    message.removeAll(keepingCapacity: true)
  }
}
