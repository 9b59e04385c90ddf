// Bytes of one direction that wait for the rest of their message.
// What must stay true: a parser is asked again only when as many bytes are there as it wanted, so that byte by byte costs no more than the
// bytes; memory is counted against the context's budget.
import Glibc
import Primitives

/// What a parser did with the bytes it was shown.
enum ParseStep: Equatable {
  /// So many bytes are done with; at least 1, and possibly more than were shown (the rest is passed over as it comes).
  case took(Int)
  /// It wants to be shown at least so many, from the same first byte.
  case needs(Int)
  /// Nothing more is wanted of this direction.
  case done
  case failed(ParseFailure)
  /// Another protocol begins here.
  case handsOver
}

struct StreamBuffer {
  private var base: UnsafeMutableRawPointer?
  private var capacity = 0
  private(set) var count = 0
  /// Shown again from so many bytes on.
  private(set) var needed = 0
  /// Bytes that are passed over before anything is looked at.
  private(set) var skip = 0
  /// Nothing is wanted any more.
  private(set) var isDone = false
  var bytes: Bytes { Bytes(start: base, count: count) }

  mutating func free(_ context: ApplicationContext) {
    guard let memory = base else { return }
    memory.deallocate()
    context.release(capacity)
    base = nil
    capacity = 0
    count = 0
  }
  mutating func finish(_ context: ApplicationContext) {
    free(context)
    isDone = true
  }
  /// `count` bytes are missing. True if they were to be passed over anyway.
  mutating func gap(_ missing: Int) -> Bool {
    guard count == 0, missing <= skip else { return false }
    skip -= missing
    return true
  }
  /// Starts anew, behind a gap.
  mutating func forget(_ context: ApplicationContext) {
    free(context)
    needed = 0
    skip = 0
  }
  /// A copy of all of `bytes`. False where there is no budget.
  mutating func append(_ bytes: Bytes, _ context: ApplicationContext) -> Bool {
    guard bytes.count > 0 else { return true }
    if count + bytes.count > capacity {
      let size = max(256, count + bytes.count, min(2 * capacity, 1 << 20))
      guard context.reserve(size) else { return false }
      let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 8)
      if let old = base {
        memcpy(memory, old, count)
        old.deallocate()
        context.release(capacity)
      }
      base = memory
      capacity = size
    }
    memcpy(base! + count, bytes.baseAddress!, bytes.count)
    count += bytes.count
    return true
  }

  /// Shows `parse` what there is, again and again, until it needs more than that. Returns what another protocol is to read, if it says so:
  /// valid until this buffer changes.
  /// - Parameter limit: a parser that needs more bytes than this at once has failed.
  mutating func feed(_ input: Bytes, limit: Int, _ context: ApplicationContext, _ parse: (Bytes) -> ParseStep) -> Bytes? {
    var fresh = input
    if skip > 0 {
      let passed = min(skip, fresh.count)
      skip -= passed
      fresh = fresh.from(passed)
    }
    guard !isDone, fresh.count > 0 else { return nil }
    if count > 0 {
      guard append(fresh, context) else {
        finish(context)
        return nil
      }
      guard count >= needed else { return nil }
      fresh = bytes
    }
    var at = 0
    while at < fresh.count {
      switch parse(fresh.from(at)) {
      case .took(let done):
        at += max(1, done)
      case .needs(let wanted):
        if wanted > limit {
          context.count(.tooLong)
          finish(context)
        } else {
          keep(fresh.from(at), max(wanted, fresh.count - at + 1), context)
        }
        return nil
      case .handsOver: return fresh.from(at)
      case .failed(let failure):
        context.count(failure)
        fallthrough
      case .done:
        finish(context)
        return nil
      }
    }
    skip = at - fresh.count
    free(context)
    needed = 0
    return nil
  }

  private mutating func keep(_ rest: Bytes, _ wanted: Int, _ context: ApplicationContext) {
    needed = wanted
    if count > 0 {  // `rest` lies in this buffer
      if rest.count < count { memmove(base!, rest.baseAddress!, rest.count) }
      count = rest.count
    } else if !append(rest, context) {
      finish(context)
    }
  }
}
