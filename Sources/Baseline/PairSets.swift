// One first-seen set for each class of pairs, found by its class: sets cannot be copied, so no array holds them.
import Primitives

struct PairSets: ~Copyable {
  private let sets: UnsafeMutablePointer<FirstSeenSet>
  private static let count = PairClass.allCases.count

  init() {
    sets = .allocate(capacity: PairSets.count)
    for row in PairClass.allCases { (sets + Int(row.rawValue)).initialize(to: FirstSeenSet(capacity: row.capacity)) }
  }
  /// The first `count` classes as they were written.
  init(count: Int, from reader: inout SnapshotReader) throws(BaselineSnapshotError) {
    self.init()
    for row in PairClass.allCases.prefix(count) { sets[Int(row.rawValue)] = try FirstSeenSet(capacity: row.capacity, from: &reader) }
  }
  deinit {
    sets.deinitialize(count: PairSets.count)
    sets.deallocate()
  }
  private func at(_ row: PairClass) -> UnsafeMutablePointer<FirstSeenSet> { sets + Int(row.rawValue) }

  func judge(_ row: PairClass, _ keys: PairKeys, day: Int64) -> Novelty { at(row).pointee.judge(subject: keys.subject, pair: keys.pair, day: day) }
  mutating func learn(_ row: PairClass, _ keys: PairKeys, hour: Int64, isClean: Bool, label: () -> [UInt8]) -> Bool {
    at(row).pointee.learn(subject: keys.subject, pair: keys.pair, hour: hour, isClean: isClean, label: label)
  }
  mutating func promote(_ row: PairClass, _ keys: PairKeys, day: Int64) {
    at(row).pointee.promote(subject: keys.subject, pair: keys.pair, day: day)
  }
  mutating func forget(_ row: PairClass, _ key: Fingerprint) -> Bool { at(row).pointee.forget(key) }
  mutating func goBack(to hour: Int64) { for row in PairClass.allCases { at(row).pointee.goBack(to: hour) } }
  func days(_ row: PairClass, _ key: Fingerprint) -> (first: Int64, last: Int64)? { at(row).pointee.days(of: key) }
  func state(of row: PairClass) -> (learning: LearningState, entries: Int, pending: [PendingPair], droppedPending: UInt64, evictions: UInt64) {
    let set = at(row)
    return (set.pointee.state, set.pointee.count, set.pointee.pending, set.pointee.droppedPending, set.pointee.evictions)
  }
  func forEachPair(_ row: PairClass, _ body: (Fingerprint) -> Void) { at(row).pointee.forEachPair(body) }
  var evictions: UInt64 { PairClass.allCases.reduce(0) { $0 + at($1).pointee.evictions } }
  func write(_ row: PairClass, to out: inout SnapshotWriter) { at(row).pointee.write(to: &out) }
}
