// What the capture keeps of all frames: a ring of files in which the oldest is written over (pcapng, all interfaces in one, nanoseconds), so that
// the packets of a decision can be cut out of it afterwards. All files are opened before privileges go; none is opened afterwards.
// What must stay true: no file grows beyond its limit; a frame is in one file whole; a restart goes on where the last run ended, because who can
// make the capture end must not thereby make it forget; a frame that could not be kept is counted, and detection goes on without.
import CLinux
import Glibc
import PacketParsers
import PacketSources
import Primitives

public struct RecordingSettings: Sendable, Equatable {
  public var directory = "/var/lib/panguard-capture"
  public var files = 16
  public var fileBytes: Int64 = 64 << 20
  /// Who may read it besides root and the capture's own user; empty: nobody.
  public var group = ""
  public init() {}
}

final class Recording {
  private let descriptors: [Int32]
  private let limit: Int
  private var interfaces: [(name: String, linkType: LinkType, snapLength: UInt32)] = []
  private var current = 0
  /// The number of the section that is written; 0 before the first.
  private var number: UInt64 = 0
  /// What the file holds, and what goes into it next, with its frames.
  private var size = 0
  private var buffer: [UInt8] = []
  private var bufferedFrames: UInt64 = 0
  private var needsSection = true
  private(set) var frames: UInt64 = 0
  private(set) var framesLost: UInt64 = 0
  /// Why the last writing failed; nil: it did not.
  private(set) var problem: String?

  /// `descriptors` as `RecordingFiles.open` gives them. To be made where privileges are gone: it reads what an earlier run wrote.
  init(_ descriptors: [Int32], limit: Int64) {
    self.descriptors = descriptors
    self.limit = Int(clamping: limit)
    for (i, descriptor) in descriptors.enumerated() {
      guard let begun = RecordingHeader.number(RecordingHeader.read(descriptor)), begun > number else { continue }
      (current, number) = (i, begun)
    }
    guard number > 0 else { return }
    size = Recording.soundEnd(descriptors[current])
    if ftruncate(descriptors[current], size) != 0 || lseek(descriptors[current], size, SEEK_SET) != size { size = self.limit }
  }

  /// Where the last whole block of a file ends: what stands behind it was being written when the process ended. Reads each mebibyte once, however
  /// small the blocks are.
  private static func soundEnd(_ descriptor: Int32) -> Int {
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { return 0 }
    var window = [UInt8](repeating: 0, count: 1 << 20)
    var (start, count, end) = (0, 0, 0)
    func integer(_ offset: Int) -> UInt32? {
      if offset < start || offset + 4 > start + count {
        repeat { count = pread(descriptor, &window, window.count, offset) } while count < 0 && errno == EINTR
        start = offset
        guard count >= 4 else { return nil }
      }
      return window.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset - start, as: UInt32.self) }
    }
    while facts.st_size - end >= 12, let length = integer(end + 4), length >= 12, length & 3 == 0, facts.st_size - end >= Int(length),
      integer(end + Int(length) - 4) == length
    { end += Int(length) }
    return end
  }

  /// The number to give with its frames.
  func addInterface(_ name: String, linkType: LinkType, snapLength: UInt32) -> UInt32 {
    interfaces.append((name, linkType, snapLength))
    return UInt32(interfaces.count - 1)
  }

  func append(_ frame: LiveFrame, interface: UInt32) {
    // A section's own blocks are below 4 KiB.
    if needsSection { if size + 4096 > limit { beginFile() } else { beginSection() } }
    let bytes = PacketBlocks.bytes(ofFrame: frame.bytes.count)
    if size + buffer.count + bytes > limit {
      beginFile()
      // A frame longer than a whole file: there is none, the limits see to it.
      guard size + buffer.count + bytes <= limit else { return framesLost &+= 1 }
    }
    PacketBlocks.appendFrame(
      frame.bytes, interface: interface, time: frame.time, wireBytes: UInt32(truncatingIfNeeded: frame.wireBytes), to: &buffer)
    bufferedFrames &+= 1
    if buffer.count >= Limits.recordingBufferBytes { flush() }
  }

  private func beginSection() {
    number &+= 1
    needsSection = false
    RecordingHeader.append(number, to: &buffer)
    for interface in interfaces {
      PacketBlocks.appendInterface(linkType: interface.linkType.rawValue, snapLength: interface.snapLength, name: interface.name, to: &buffer)
    }
  }

  /// The oldest file is emptied, and written from its beginning.
  private func beginFile() {
    flush()
    let next = (current + 1) % descriptors.count
    guard ftruncate(descriptors[next], 0) == 0, lseek(descriptors[next], 0, SEEK_SET) == 0 else { return fail() }
    (current, size) = (next, 0)
    buffer.removeAll(keepingCapacity: true)
    beginSection()
  }

  /// Writes what waits. Called at least each second, so that what has just been seen can be cut out.
  func flush() {
    guard writeWhole(buffer, to: descriptors[current]) else { return fail() }
    if !buffer.isEmpty { problem = nil }
    size += buffer.count
    frames &+= bufferedFrames
    bufferedFrames = 0
    buffer.removeAll(keepingCapacity: true)
  }

  /// What waited is lost; the file ends where it was sound, and goes on with a section of its own.
  private func fail() {
    problem = String(cString: strerror(errno))
    framesLost &+= bufferedFrames
    bufferedFrames = 0
    buffer.removeAll(keepingCapacity: true)
    needsSection = true
    _ = ftruncate(descriptors[current], size)
    _ = lseek(descriptors[current], size, SEEK_SET)
  }
}
