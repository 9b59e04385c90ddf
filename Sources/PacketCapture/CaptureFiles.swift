// Frames as pcap files (nanoseconds, this host's byte order; https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html): one, or a ring
// of them in which the oldest is written over. All are opened before privileges go; none is opened afterwards.
// What must stay true: nobody else can read them (0600); no file grows beyond its limit; a frame is in one file whole.
import CLinux
import Glibc
import PacketParsers
import Primitives

final class CaptureFiles {
  private let descriptors: [Int32]
  private let limit: Int64
  private var current = 0
  private var size: Int64 = 0
  private var buffer: [UInt8] = []
  private let linkType: LinkType
  private let snapLength: UInt32
  private(set) var frames: UInt64 = 0
  private(set) var problem: String?
  /// The only file is full: there is nowhere to go on.
  private(set) var isFull = false

  static func paths(_ path: String, count: Int) -> [String] { count == 1 ? [path] : (0..<count).map { "\(path).\($0)" } }

  /// Opens all of `paths`, makes them empty, and 0600. `limit`: bytes of each.
  static func open(_ paths: [String]) throws(CaptureFailure) -> [Int32] {
    var opened: [Int32] = []
    for path in paths {
      // Not through a link, and not emptied before it is known to be a file.
      let descriptor = pg_open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600)
      var facts = stat()
      guard descriptor >= 0, fstat(descriptor, &facts) == 0 else { throw CaptureFailure("\(path): \(String(cString: strerror(errno)))") }
      guard facts.st_mode & S_IFMT == S_IFREG, facts.st_nlink == 1 else {
        throw CaptureFailure("\(path): is there, and is not a file of one name")
      }
      guard fchmod(descriptor, 0o600) == 0, ftruncate(descriptor, 0) == 0 else {
        throw CaptureFailure("\(path): \(String(cString: strerror(errno)))")
      }
      opened.append(descriptor)
    }
    return opened
  }

  init(_ descriptors: [Int32], limit: Int64, linkType: LinkType, snapLength: UInt32) {
    self.descriptors = descriptors
    self.limit = limit
    self.linkType = linkType
    self.snapLength = snapLength
    begin()
  }

  private func begin() {
    integer(UInt32(0xa1b2_3c4d))
    integer(UInt16(2))
    integer(UInt16(4))
    integer(UInt64(0))
    integer(snapLength)
    integer(linkType.rawValue)
    size = Int64(buffer.count)
  }
  private func integer<Value: FixedWidthInteger>(_ value: Value) { withUnsafeBytes(of: value) { buffer.append(contentsOf: $0) } }

  func append(_ frame: LiveFrame) {
    guard !isFull, problem == nil else { return }
    let bytes = Int64(16 + frame.bytes.count)
    if size + bytes > limit, size > 24 { next() }
    guard !isFull, problem == nil else { return }
    let time = frame.time.nanoseconds
    integer(UInt32(truncatingIfNeeded: time / 1_000_000_000))
    integer(UInt32(truncatingIfNeeded: time % 1_000_000_000))
    integer(UInt32(frame.bytes.count))
    integer(UInt32(truncatingIfNeeded: frame.wireBytes))
    buffer.append(frame.bytes)
    size += bytes
    frames &+= 1
    if buffer.count >= 256 * 1024 { flush() }
  }

  private func next() {
    flush()
    guard descriptors.count > 1 else {
      isFull = true
      return
    }
    current = (current + 1) % descriptors.count
    guard ftruncate(descriptors[current], 0) == 0, lseek(descriptors[current], 0, SEEK_SET) == 0 else {
      problem = String(cString: strerror(errno))
      return
    }
    begin()
  }

  func flush() {
    if !writeWhole(buffer, to: descriptors[current]) { problem = String(cString: strerror(errno)) }
    buffer.removeAll(keepingCapacity: true)
  }
}

/// False: not all of it could be written; `errno` says why.
func writeWhole(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
  var done = 0
  while done < bytes.count {
    let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + done, $0.count - done) }
    if count < 0, errno == EINTR { continue }
    guard count > 0 else { return false }
    done += count
  }
  return true
}
