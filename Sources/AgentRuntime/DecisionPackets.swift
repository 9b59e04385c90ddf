// Which packets belong to a decision: those of its address, and of the flows of the frames that it rests on, around the time of its evidence.
// The same for a playbook's step and for the command line.
import Detection
import HostActions
import Primitives

extension Decision {
  /// nil where it names neither an address nor a frame. Bounds outside `PacketSelection`'s limits give nil too.
  public func packets(before: Nanoseconds, after: Nanoseconds, packets: UInt64, bytes: UInt64) -> PacketSelection? {
    // What the last match rests on, not the whole incident: that may have begun days ago.
    let times = evidence.map(\.time) + [time]
    let first = times.min() ?? time
    let last = times.max() ?? time
    let frames = evidence.filter { SourceName.holdsFrames($0.source) }.map { max(0, $0.time.nanoseconds) }
    return PacketSelection(
      decision: id, networks: [subject.network].compactMap { $0 }, moments: Array(frames.suffix(Limits.cutMoments)),
      since: max(0, (first - before).nanoseconds), until: max(0, (last + after).nanoseconds), packets: packets, bytes: bytes)
  }
}

extension SourceName {
  /// The time of what comes from it is the stamp of a frame.
  static func holdsFrames(_ source: String) -> Bool {
    source.hasPrefix("network:")
      || [".pcap", ".pcapng", ".cap", ".pcap.gz", ".pcapng.gz", ".pcap.xz", ".pcapng.xz"].contains { source.hasSuffix($0) }
  }
}
