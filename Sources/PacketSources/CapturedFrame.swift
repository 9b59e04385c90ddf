// One frame as a capture file holds it.
import Primitives

/// A frame and what the capture says about it. Borrowed: valid until the next frame is asked for.
public struct CapturedFrame {
  /// 1 is the first frame of the file.
  public var number: UInt64
  /// When it was captured. Frames of a pcapng "simple packet" have no stamp: they get the time of the frame before them.
  public var time: EventTime
  /// What was kept of it, from its first byte on.
  public var bytes: Bytes
  /// Bytes it had on the wire; at least `bytes.count` in a sound file.
  public var wireBytes: UInt32
  /// The registered number of its link layer (https://www.tcpdump.org/linktypes.html): 1 is Ethernet.
  public var linkType: UInt32
  /// Which interface of the file's list saw it, counted over all sections; 0 in pcap files.
  public var interface: UInt32
  /// The first comment of the frame (pcapng), else empty.
  public var comment: Bytes
}

/// The forms of capture files that are told apart.
public enum CaptureFormat: Sendable, Equatable {
  /// tcpdump's own, with microseconds or nanoseconds, in either byte order.
  case pcap(nanoseconds: Bool, bigEndian: Bool)
  case pcapng
}
