// The network as a source of the agent: a lane for each interface of the capture, whose events go straight to the detector.
// What must stay true: an event of the network has the source `network:INTERFACE` and the provider `panguard-capture`, whatever it says.
import CaptureChannel
import Detection
import Events
import Primitives

final class CaptureFeed {
  let link: CaptureLink
  private let pipeline: Pipeline
  private var event = Event()
  private(set) var lanes: [Lane] = []
  /// The connection that the loop waits for.
  var watched: UInt64 = 0

  init(_ link: CaptureLink, _ pipeline: Pipeline) {
    self.link = link
    self.pipeline = pipeline
  }

  /// One read of the connection.
  func read(_ emit: (Decision) -> Void, say: (String) -> Void) {
    link.read(
      into: &event,
      { event, interface in
        guard let lane = lane(interface) else { return }
        swap(&event, &lane.event)
        pipeline.process(captured: lane, emit)
        swap(&event, &lane.event)
      }, say: say)
  }

  private func lane(_ interface: String) -> Lane? {
    let name = SourceName.network(interface)
    if let lane = lanes.first(where: { $0.name == name }) { return lane }
    // A capture that was started again may name others; the detector's table of sources is not for it to fill.
    guard lanes.count < 2 * Limits.openInterfaces else { return nil }
    lanes.append(pipeline.addLane(name, format: .plain, inputTime: .zero))
    return lanes[lanes.count - 1]
  }

  /// Lines of the status.
  var sources: [SourceStatus] {
    var rows = lanes.map { lane in
      var row = SourceStatus(name: lane.name, kind: "network", state: link.isOpen ? "reading" : "waiting", reason: link.problem)
      row.lines = lane.lines
      row.parsed = lane.outcomes.parsed
      if lane.newest > .distantPast { row.newestEvent = "\(lane.newest)" }
      return row
    }
    if rows.isEmpty {
      rows.append(SourceStatus(name: "network", kind: "network", state: link.isOpen ? "reading" : "waiting", reason: link.problem))
    }
    return rows
  }

  /// What the capture counts that is no loss.
  private static let amounts = ["packets:", "frames:", "flows:", "messages:", "events_sent", "frames_recorded"]
  private func isAmount(_ counter: CaptureCounter) -> Bool { CaptureFeed.amounts.contains { counter.name.hasPrefix($0) } }
  var counters: [(name: String, value: UInt64)] { link.counters.filter(isAmount).map { ("capture \($0.name)", $0.value) } }
  var drops: [(cause: String, count: UInt64)] {
    link.counters.filter { !isAmount($0) }.map { ("capture \($0.name)", $0.value) } + [
      ("connections to the capture given up", link.malformed), ("sentences of the capture not reported", link.unreportedNotices),
    ]
  }
}

extension Pipeline {
  /// Takes the lane's event, which the capture made. It is no line of a log: logins are not joined from it.
  func process(captured lane: Lane, _ emit: (Decision) -> Void) {
    lane.lines &+= 1
    lane.outcomes.add(.parsed)
    lane.event.origin.source = lane.source
    lane.event.set(.eventProvider, "panguard-capture" as StaticString)
    if lane.event.time > lane.newest { lane.newest = lane.event.time }
    recorder?.append(at: lane.event.time) { $0.event(lane: Int(lane.source), lane.event) }
    for decision in detector.process(judging: &lane.event) { emit(decision) }
    if let sees { sees(lane.event) }
  }
}

extension SourceName {
  static func network(_ interface: String) -> String { "network:\(interface)" }
}
