// One open version of a followed log, plain or packed, and how far it was read.
// Invariant: for a plain file bytes are read by position, so the descriptor's own offset plays no part; a packed one is a stream.
import CLinux
import Glibc
import Primitives

final class OpenLog {
  let path: String
  let device: UInt64
  let inode: UInt64
  let isPacked: Bool
  var reader: LineReader
  private let descriptor: Int32
  private var stream: ByteStream?

  private(set) var head = Fingerprint(of: .none)
  private(set) var headLength = 0
  private var anchor = Fingerprint(of: .none)
  private var anchorLength = 0
  private var anchorOffset: UInt64 = 0
  /// Bytes of the file itself when it was last looked at.
  private(set) var knownSize: UInt64 = 0
  private var checkedSize: UInt64?
  private var checkedTime: (Int, Int) = (0, 0)
  private(set) var modified = EventTime.zero
  private(set) var links: UInt64 = 1

  /// Opens a regular file for reading, never anything else. `expecting`: fails as missing if another file has taken the name.
  /// `mayBePacked`: look for gzip and xz; a log that is being written is always read as it is.
  init(path: String, expecting: LogVersion? = nil, mayBePacked: Bool) throws(SourceError) {
    var facts = stat()
    guard stat(path, &facts) == 0 else { throw SourceError.system(errno, path: path, doing: "look at") }
    if let refusal = SourceError.refusal(ofMode: facts.st_mode, path: path) { throw refusal }
    // O_NONBLOCK: should the name have become a FIFO in between, opening it must not wait for a writer.
    let opened = pg_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0)
    guard opened >= 0 else { throw SourceError.system(errno, path: path, doing: "open") }
    guard fstat(opened, &facts) == 0 else {
      let number = errno
      close(opened)
      throw SourceError.system(number, path: path, doing: "look at")
    }
    if let refusal = SourceError.refusal(ofMode: facts.st_mode, path: path) {
      close(opened)
      throw refusal
    }
    let (foundDevice, foundInode) = (UInt64(facts.st_dev), UInt64(facts.st_ino))
    if let expecting, (expecting.device, expecting.inode) != (foundDevice, foundInode) {
      close(opened)
      throw SourceError.system(ENOENT, path: path, doing: "open")
    }
    self.path = path
    descriptor = opened
    device = foundDevice
    inode = foundInode
    var magic: (UInt8, UInt8, UInt8, UInt8) = (0, 0, 0, 0)
    let got = pread(opened, &magic, 4, 0)
    let looksPacked =
      got >= 2 && magic.0 == 0x1f && magic.1 == 0x8b
      || got >= 4 && (magic == (0xfd, 0x37, 0x7a, 0x58) || magic == (0x28, 0xb5, 0x2f, 0xfd) || magic.0 == 0x42 && magic.1 == 0x5a && magic.2 == 0x68)
    isPacked = mayBePacked && looksPacked
    reader = LineReader(capacity: Limits.tailBufferBytes)
    knownSize = UInt64(max(0, facts.st_size))
  }
  deinit { close(descriptor) }

  private func restartStream() -> ByteStream {
    lseek(descriptor, 0, SEEK_SET)
    let made = ByteStream(descriptor: descriptor, path: path, ownsDescriptor: false)
    stream = made
    return made
  }

  // MARK: Identity and place

  var identity: FileIdentity { FileIdentity(device: device, inode: inode, head: head, headLength: headLength) }
  var position: FilePosition {
    let offset = reader.consumedOffset
    let isKnown = anchorOffset == offset
    return FilePosition(
      identity: identity, offset: offset, anchor: isKnown ? anchor : Fingerprint(of: .none), anchorLength: isKnown ? anchorLength : 0)
  }

  func isSame(as version: LogVersion) -> Bool { version.device == device && version.inode == inode }

  enum Match {
    case no
    /// It begins like the file that is looked for but ends before its place: a copy that was made before the last lines came.
    case shorter
    case yes
  }

  /// Is this the file of `position`, and does it reach to its offset? On `yes` reading goes on there.
  func seek(to position: FilePosition) -> Match {
    let identity = position.identity
    let isWhole = position.offset == .max
    if isPacked {
      guard let headBytes = packedHead(), matches(headBytes, identity) else { return .no }
      setHead(headBytes)
      if isWhole { return .yes }
      let stream = restartStream()
      var tail: [UInt8] = []
      do throws(SourceError) {
        guard try stream.skip(to: position.offset, tail: &tail, keeping: FilePosition.anchorBytes) else { return .shorter }
      } catch { return .no }
      let isAnchored =
        position.anchorLength <= tail.count
        && tail.suffix(position.anchorLength).withUnsafeBytes { Fingerprint(of: $0) } == position.anchor
      guard position.anchorLength == 0 || isAnchored else { return .no }
    } else {
      look()
      if identity.headLength > 0 {
        guard knownSize >= UInt64(identity.headLength), fingerprint(at: 0, count: identity.headLength) == identity.head else { return .no }
      }
      readHead()
      if isWhole { return .yes }
      guard knownSize >= position.offset else { return .shorter }
      if position.anchorLength > 0 {
        guard fingerprint(at: position.offset - UInt64(position.anchorLength), count: position.anchorLength) == position.anchor else {
          return .no
        }
      }
    }
    reader.restart(at: position.offset)
    (anchor, anchorLength, anchorOffset) = (position.anchor, position.anchorLength, position.offset)
    return .yes
  }

  /// Reading begins at `offset` of a plain file, without a check, or at 0 of any.
  func begin(at offset: UInt64) {
    if isPacked {
      if let bytes = packedHead() { setHead(bytes) }
      _ = restartStream()
      reader.restart(at: 0)
      return
    }
    look()
    readHead()
    reader.restart(at: offset)
    anchorOffset = offset
    anchorLength = Int(min(offset, UInt64(FilePosition.anchorBytes)))
    if let found = fingerprint(at: offset - UInt64(anchorLength), count: anchorLength) { anchor = found } else { anchorLength = 0 }
  }

  private func packedHead() -> [UInt8]? {
    let stream = restartStream()
    var bytes = [UInt8](repeating: 0, count: FileIdentity.headBytes)
    var have = 0
    while have < bytes.count {
      let count = bytes.withUnsafeMutableBytes { target in
        (try? stream.read(into: UnsafeMutableRawBufferPointer(rebasing: target[have...]))) ?? 0
      }
      if count == ByteStream.interrupted { continue }
      guard count > 0 else { break }
      have += count
    }
    return have > 0 ? Array(bytes[..<have]) : nil
  }
  private func matches(_ bytes: [UInt8], _ identity: FileIdentity) -> Bool {
    identity.headLength <= bytes.count && bytes[..<identity.headLength].withUnsafeBytes { Fingerprint(of: $0) } == identity.head
  }
  private func setHead(_ bytes: [UInt8]) {
    headLength = bytes.count
    head = bytes.withUnsafeBytes { Fingerprint(of: $0) }
  }
  private func readHead() {
    let count = Int(min(knownSize, UInt64(FileIdentity.headBytes)))
    guard let found = fingerprint(at: 0, count: count) else { return }
    (head, headLength) = (found, count)
  }

  /// Fingerprint of `count` (at most 256) bytes at `offset` of the file itself; nil if it does not have them.
  private func fingerprint(at offset: UInt64, count: Int) -> Fingerprint? {
    withUnsafeTemporaryAllocation(byteCount: FileIdentity.headBytes, alignment: 8) { scratch -> Fingerprint? in
      let want = min(count, scratch.count)
      var have = 0
      while have < want {
        let got = readBytes(UnsafeMutableRawBufferPointer(rebasing: scratch[have..<want]), at: offset + UInt64(have))
        guard got > 0 else { return nil }
        have += got
      }
      return Fingerprint(of: Bytes(rebasing: scratch[0..<want]))
    }
  }

  /// pread(2) of the file itself; 0 at its end, -1 on an error (errno).
  func readBytes(_ target: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
    guard let base = target.baseAddress, offset <= UInt64(Int64.max) else { return 0 }
    while true {
      let got = pread(descriptor, base, target.count, off_t(offset))
      if got >= 0 || errno != EINTR { return got }
    }
  }

  // MARK: Reading

  /// Looks at the file's size and time.
  func look() {
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { return }
    knownSize = UInt64(max(0, facts.st_size))
    links = UInt64(facts.st_nlink)
    modified = EventTime(nanoseconds: Int64(facts.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(facts.st_mtim.tv_nsec))
  }

  /// Looks at a plain file. False: it was truncated or rewritten, and what was read is no longer before `reader.filledOffset`.
  /// `knownSize` is then still the one before.
  func isUnchangedBeforeOffset() -> Bool {
    guard !isPacked else { return true }
    let before = knownSize
    look()
    let time = (Int(modified.nanoseconds / 1_000_000_000), Int(modified.nanoseconds % 1_000_000_000))
    guard knownSize >= reader.filledOffset else {
      knownSize = before
      return false
    }
    if checkedSize == knownSize, checkedTime == time { return true }
    let isSame =
      (headLength == 0 || fingerprint(at: 0, count: headLength) == head)
      && (anchorLength == 0 || anchorOffset < UInt64(anchorLength)
        || fingerprint(at: anchorOffset - UInt64(anchorLength), count: anchorLength) == anchor)
    guard isSame else {
      knownSize = before
      return false
    }
    (checkedSize, checkedTime) = (knownSize, time)
    if headLength < FileIdentity.headBytes { readHead() }
    return true
  }

  /// Fills the reader. 0: nothing more for now.
  func fill(atMost limit: Int) throws(SourceError) -> Int {
    if isPacked {
      let stream = self.stream ?? restartStream()
      return try reader.fill(atMost: limit) { target throws(SourceError) in try stream.read(into: target) }
    }
    let offset = reader.filledOffset
    var number: Int32 = 0
    let count = reader.fill(atMost: limit) { target -> Int in
      let got = readBytes(target, at: offset)
      if got < 0 { number = errno }
      return max(0, got)
    }
    if number != 0 { throw SourceError.system(number, path: path, doing: "read") }
    return count
  }

  /// Call behind handing out lines: notes the bytes before the new place.
  func noteConsumed() {
    let offset = reader.consumedOffset
    guard offset != anchorOffset else { return }
    let want = Int(min(offset, UInt64(FilePosition.anchorBytes)))
    let (found, length) = reader.withConsumedTail(atMost: FilePosition.anchorBytes) { (Fingerprint(of: $0), $0.count) }
    (anchor, anchorLength, anchorOffset) = (found, length, offset)
    if length < want, !isPacked, let whole = fingerprint(at: offset - UInt64(want), count: want) { (anchor, anchorLength) = (whole, want) }
    if headLength < FileIdentity.headBytes, !isPacked {
      look()
      readHead()
    }
  }

  /// `count` bytes at `offset` of the unpacked file; nil if it does not have them. A packed file must be read anew behind this.
  func bytes(at offset: UInt64, count: Int) -> [UInt8]? {
    var out = [UInt8](repeating: 0, count: count)
    var have = 0
    let packed = isPacked ? restartStream() : nil
    if let packed {
      var tail: [UInt8] = []
      guard (try? packed.skip(to: offset, tail: &tail, keeping: 0)) == true else { return nil }
    }
    while have < count {
      let got = out.withUnsafeMutableBytes { target -> Int in
        let rest = UnsafeMutableRawBufferPointer(rebasing: target[have...])
        return packed.map { (try? $0.read(into: rest)) ?? 0 } ?? readBytes(rest, at: offset &+ UInt64(have))
      }
      if packed != nil, got == ByteStream.interrupted { continue }
      guard got > 0 else { return nil }
      have += got
    }
    return out
  }

  /// First byte that is not NUL, of a file that begins with NULs: a service that does not append goes on at its old place after a
  /// truncation, and leaves a hole before it.
  func endOfLeadingHole() -> UInt64 {
    guard !isPacked else { return 0 }
    var offset: UInt64 = 0
    let data = lseek(descriptor, 0, Int32(3))  // SEEK_DATA (linux/fs.h)
    if data > 0 { offset = UInt64(data) }
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
    defer { scratch.deallocate() }
    while true {
      let got = readBytes(scratch, at: offset)
      guard got > 0 else { return offset }
      if let first = scratch[0..<got].firstIndex(where: { $0 != 0 }) { return offset + UInt64(first) }
      offset += UInt64(got)
    }
  }
}
