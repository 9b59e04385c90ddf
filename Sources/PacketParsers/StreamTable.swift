// The contents of flows: TCP segments in order, as far as their parser asks for them.
// Overlap policy: what came first stays. Bytes that were handed on are never replaced, and of bytes that wait the first copy is kept; a
// retransmission with other bytes changes nothing.
// Gaps: what is missing counts as lost when the receiver acknowledged bytes behind it (the capture lost it), when too much waits behind it, or
// when the flow ends.
// What must stay true: at most `Limits.inspectedFlows` flows and `Limits.segmentBlocks` blocks, memory that is taken once; each byte is copied
// at most once, and those in order not at all.
import Primitives

/// Of one direction of a TCP connection.
struct StreamDirection {
  /// The next byte that its parser has not seen.
  var next: UInt32 = 0
  /// Where the stream ends; valid if `isEnding`.
  var endSequence: UInt32 = 0
  var isStarted = false
  var isEnding = false
  /// The parser wants more.
  var wants = true
  var isFinished = false
  var blocks: UInt16 = 0
  /// The first block that waits; -1 without one.
  var pending: Int32 = -1
}

struct FlowContent {
  var layer: ApplicationLayer
  var flow: Int32
  var toResponder = StreamDirection()
  var toOriginator = StreamDirection()
  var older: Int32 = -1
  var newer: Int32 = -1
  var touched: Int64
}

public struct StreamTable: ~Copyable {
  public struct Counters: Sendable, Equatable {
    /// Segments that waited for an earlier one.
    public var early: UInt64 = 0
    /// Segments (or parts) that had been seen before.
    public var repeated: UInt64 = 0
    /// Bytes that count as lost.
    public var lostBytes: UInt64 = 0
    public var gaps: UInt64 = 0
    /// Flows whose content was given up because too many others were looked at.
    public var evicted: UInt64 = 0
    public var mostContents: UInt64 = 0
    public var mostBlocks: UInt64 = 0
  }
  public internal(set) var counters = Counters()
  private(set) var count = 0

  private struct Block {
    var sequence: UInt32
    var count: Int32
    var next: Int32
  }
  let contents: UnsafeMutablePointer<FlowContent>
  private var used = 0
  private var freeContents: [Int32] = []
  private(set) var oldest: Int32 = -1
  private var newest: Int32 = -1
  private let capacity: Int
  private let blocks: UnsafeMutablePointer<Block>
  private let data: UnsafeMutablePointer<UInt8>
  private var blocksUsed = 0
  private var blocksInUse = 0
  private var freeBlock: Int32 = -1

  init(capacity: Int = Limits.inspectedFlows) {
    self.capacity = capacity
    contents = .allocate(capacity: capacity)
    blocks = .allocate(capacity: Limits.segmentBlocks)
    data = .allocate(capacity: Limits.segmentBlocks * Limits.segmentBlockBytes)
  }
  deinit {
    var at = oldest
    while at >= 0 {
      let newer = contents[Int(at)].newer
      (contents + Int(at)).deinitialize(count: 1)
      at = newer
    }
    contents.deallocate()
    blocks.deallocate()
    data.deallocate()
  }

  var isFull: Bool { count >= capacity }

  /// There is room.
  mutating func add(_ layer: consuming ApplicationLayer, flow: Int32, now: Int64) -> Int32 {
    let slot: Int32
    if let free = freeContents.popLast() {
      slot = free
    } else {
      slot = Int32(used)
      used += 1
    }
    (contents + Int(slot)).initialize(to: FlowContent(layer: layer, flow: flow, touched: now))
    append(slot)
    count += 1
    counters.mostContents = max(counters.mostContents, UInt64(count))
    return slot
  }

  mutating func remove(_ slot: Int32) {
    let content = contents + Int(slot)
    dropPending(&content.pointee.toResponder)
    dropPending(&content.pointee.toOriginator)
    unlink(slot)
    (contents + Int(slot)).deinitialize(count: 1)
    freeContents.append(slot)
    count -= 1
  }

  @inline(__always)
  mutating func touch(_ slot: Int32, _ now: Int64) {
    if now &- contents[Int(slot)].touched >= 1_000_000_000 {
      unlink(slot)
      contents[Int(slot)].touched = now
      append(slot)
    }
  }
  private mutating func append(_ slot: Int32) {
    contents[Int(slot)].older = newest
    contents[Int(slot)].newer = -1
    if newest >= 0 { contents[Int(newest)].newer = slot } else { oldest = slot }
    newest = slot
  }
  private mutating func unlink(_ slot: Int32) {
    let (older, newer) = (contents[Int(slot)].older, contents[Int(slot)].newer)
    if older >= 0 { contents[Int(older)].newer = newer } else { oldest = newer }
    if newer >= 0 { contents[Int(newer)].older = older } else { newest = older }
  }

  // MARK: Segments that came early

  /// Where the first block that waits begins.
  func pendingStart(_ direction: StreamDirection) -> UInt32? {
    direction.pending >= 0 ? blocks[Int(direction.pending)].sequence : nil
  }

  /// Keeps the parts of a segment that do not wait yet. False: there was no room for all of it.
  mutating func store(_ bytes: Bytes, at sequence: UInt32, in direction: inout StreamDirection) -> Bool {
    counters.early &+= 1
    var sequence = sequence
    var bytes = bytes
    var before: Int32 = -1
    var at = direction.pending
    while !bytes.isEmpty {
      // Pass what ends at or before the place.
      while at >= 0, Int32(bitPattern: blocks[Int(at)].sequence &+ UInt32(blocks[Int(at)].count) &- sequence) <= 0 {
        before = at
        at = blocks[Int(at)].next
      }
      var room = min(bytes.count, Limits.segmentBlockBytes)
      if at >= 0 {
        let distance = Int(Int32(bitPattern: blocks[Int(at)].sequence &- sequence))
        if distance <= 0 {
          // Begins inside a block that is there: that copy stays.
          let skip = min(bytes.count, Int(blocks[Int(at)].count) + distance)
          counters.repeated &+= 1
          bytes = bytes.from(skip)
          sequence &+= UInt32(skip)
          continue
        }
        room = min(room, distance)
      }
      guard Int(direction.blocks) < Limits.segmentBlocksPerDirection, let made = takeBlock() else { return false }
      blocks[Int(made)] = Block(sequence: sequence, count: Int32(room), next: at)
      (data + Int(made) * Limits.segmentBlockBytes).update(from: bytes.baseAddress!.assumingMemoryBound(to: UInt8.self), count: room)
      if before >= 0 { blocks[Int(before)].next = made } else { direction.pending = made }
      direction.blocks += 1
      before = made
      bytes = bytes.from(room)
      sequence &+= UInt32(room)
    }
    return true
  }

  /// The bytes that continue the stream at `direction.next`, if the first block has them. The block is free again with the next `store`.
  mutating func takeNext(_ direction: inout StreamDirection) -> Bytes? {
    while direction.pending >= 0 {
      let slot = direction.pending
      let block = blocks[Int(slot)]
      let skip = Int(Int32(bitPattern: direction.next &- block.sequence))
      if skip < 0 { return nil }
      direction.pending = block.next
      direction.blocks -= 1
      give(slot)
      if skip < Int(block.count) {
        return Bytes(start: data + Int(slot) * Limits.segmentBlockBytes + skip, count: Int(block.count) - skip)
      }
    }
    return nil
  }

  mutating func dropPending(_ direction: inout StreamDirection) {
    while direction.pending >= 0 {
      let slot = direction.pending
      direction.pending = blocks[Int(slot)].next
      give(slot)
    }
    direction.blocks = 0
  }

  private mutating func takeBlock() -> Int32? {
    let slot: Int32
    if freeBlock >= 0 {
      slot = freeBlock
      freeBlock = blocks[Int(slot)].next
    } else {
      guard blocksUsed < Limits.segmentBlocks else { return nil }
      slot = Int32(blocksUsed)
      blocksUsed += 1
    }
    blocksInUse += 1
    counters.mostBlocks = max(counters.mostBlocks, UInt64(blocksInUse))
    return slot
  }
  private mutating func give(_ slot: Int32) {
    blocks[Int(slot)].next = freeBlock
    freeBlock = slot
    blocksInUse -= 1
  }
}
