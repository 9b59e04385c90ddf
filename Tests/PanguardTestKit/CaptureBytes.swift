import PacketSources

extension CaptureReader {
  /// A capture in memory. `step`: bytes of one read at most.
  package convenience init(bytes: [UInt8], step: Int = .max) {
    var at = 0
    self.init { room in
      let count = min(step, room.count, bytes.count - at)
      bytes.withUnsafeBytes { room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[at..<at + count])) }
      at += count
      return count
    }
  }
}
