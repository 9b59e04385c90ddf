// What the agent learned and keeps in its store beside the decisions: the baseline, what it knows of the network.
// What must stay true: it is stored in the transaction of the places up to which was read, every `Limits.baselineStoreInterval` while it
// changes, and at the end; what a failed transaction held counts as not stored.
import Primitives

struct StoredMemory {
  /// Of the state in the store.
  let key: String
  /// Another one whenever there is something to store.
  private let mark: () -> Int64
  let bytes: () -> [UInt8]
  private var storedMark: Int64
  private var storedAt = MonotonicTime.now()

  /// As it is now, it is in the store.
  init(key: String, mark: @escaping () -> Int64, bytes: @escaping () -> [UInt8]) {
    (self.key, self.mark, self.bytes) = (key, mark, bytes)
    storedMark = mark()
  }
  var isDirty: Bool { mark() != storedMark }
  var isDue: Bool { isDirty && MonotonicTime.now() - storedAt >= Limits.baselineStoreInterval.count }
  mutating func didStore() { (storedMark, storedAt) = (mark(), MonotonicTime.now()) }
}
