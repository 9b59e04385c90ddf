// PCRE2 behind one small door: a pattern is compiled when it is first needed, in the form that its text wants, and matched under limits.
// Two kinds of text (all ASCII; UTF-8) and two forms:
//   fast     the pattern as it is, under PCRE2's match limit. The limit holds for each place that a match could begin at, and a step may
//            walk over as many characters as a repeat takes: whoever calls must know how many places and how long a walk.
//   guarded  the pattern with callouts (`RegularExpression.chargedPCRE2`). Each is charged, and so is every byte between one and the next: a
//            limit on that charge (`RegexCharge`) holds for all places together, and is a bound of time. Slower where there are many.
// What must stay true: a match never costs more than the limits allow, and a limit is an answer of its own, never "no match". Where the
// JIT's own stack does not suffice, the interpreter answers.
import CPCRE2
import Primitives
import RegularExpressions

/// What one bounded test can say.
enum Truth: UInt8 {
  case no, yes
  /// A limit was hit before the answer was known.
  case unknown
  var negated: Truth { self == .no ? .yes : self == .yes ? .no : .unknown }
  func or(_ other: Truth) -> Truth { self == .yes || other == .yes ? .yes : self == .unknown || other == .unknown ? .unknown : .no }
}

struct RegexError: Error {
  var message: String
  /// Byte of the pattern.
  var offset: Int
}

/// What a guarded match may still cost. A unit is about a nanosecond: a byte walked over is one, a callout `item`.
struct RegexCharge {
  /// Negative: the limit was hit.
  var left = 0
  fileprivate var item = 0
  fileprivate var countsGroups = false
  fileprivate var last = 0
  fileprivate static let callout = 16

  /// By address: the block is too large to be copied for each callout.
  @inline(__always)
  fileprivate mutating func take(_ block: UnsafePointer<pcre2_callout_block_8>) -> CInt {
    let at = Int(block.pointee.current_position)
    // What a back-reference compares lies between the start of the match and here.
    left -= item + abs(at - last) + (countsGroups ? abs(at - Int(block.pointee.start_match)) : 0)
    last = at
    return left < 0 ? PCRE2_ERROR_MATCHLIMIT : 0
  }
}

/// Working memory of a match: match data, limits and the JIT's stack. One for each engine, not shared between threads.
final class RegexMemory {
  fileprivate let data: OpaquePointer
  fileprivate let context: OpaquePointer
  fileprivate let stack: OpaquePointer?
  private var limit: UInt32 = 0
  fileprivate let charge: UnsafeMutablePointer<RegexCharge>
  init() {
    charge = .allocate(capacity: 1)
    charge.initialize(to: RegexCharge())
    // One pair of offsets is enough: only the whole match's span is read.
    guard let data = pcre2_match_data_create_8(1, nil), let context = pcre2_match_context_create_8(nil) else {
      fatalError("out of memory")
    }
    self.data = data
    self.context = context
    pcre2_set_heap_limit_8(context, Limits.regexHeapKiB)
    stack = pcre2_jit_stack_create_8(32 * 1024, Int(Limits.regexHeapKiB) * 1024, nil)
    if let stack { pcre2_jit_stack_assign_8(context, nil, UnsafeMutableRawPointer(stack)) }
    pcre2_set_callout_8(
      context, { block, charge in charge.unsafelyUnwrapped.assumingMemoryBound(to: RegexCharge.self).pointee.take(block.unsafelyUnwrapped) },
      charge)
  }
  deinit {
    if let stack { pcre2_jit_stack_free_8(stack) }
    pcre2_match_context_free_8(context)
    pcre2_match_data_free_8(data)
    charge.deallocate()
  }
  @inline(__always)
  fileprivate func set(steps: UInt32, lastStart: Int) {
    if steps != limit {
      pcre2_set_match_limit_8(context, steps)
      limit = steps
    }
    pcre2_set_offset_limit_8(context, lastStart)
  }
  /// Span of the last match.
  var span: Range<Int> {
    let offsets = pcre2_get_ovector_pointer_8(data)
    guard let offsets, offsets[0] <= offsets[1], offsets[1] <= Int.max else { return 0..<0 }
    return Int(offsets[0])..<Int(offsets[1])
  }
}

/// A compiled pattern. The owner frees it.
struct Regex {
  enum Form { case fast, guarded }
  let code: OpaquePointer
  let isUTF: Bool
  let hasJIT: Bool
  /// It may match the empty text (PCRE2 cannot exclude it).
  let mayMatchEmpty: Bool
  let form: Form
  /// What a callout of the guarded form costs, and whether it has back-references.
  private let itemCharge: Int
  private let countsGroups: Bool

  /// `pattern` in PCRE2's spelling.
  init(_ pattern: [UInt8], kind: RegularExpression.TextKind, form: Form = .fast, scan: ScanFacts = ScanFacts(), useJIT: Bool = true)
    throws(RegexError)
  {
    guard let context = pcre2_compile_context_create_8(nil) else { throw RegexError(message: "out of memory", offset: 0) }
    defer { pcre2_compile_context_free_8(context) }
    pcre2_set_newline_8(context, UInt32(PCRE2_NEWLINE_LF))
    pcre2_set_bsr_8(context, UInt32(PCRE2_BSR_ANYCRLF))
    pcre2_set_parens_nest_limit_8(context, Regex.nesting)
    var options = PCRE2_NEVER_BACKSLASH_C
    if kind == .unicode { options |= PCRE2_UTF | PCRE2_MATCH_INVALID_UTF }
    options |= PCRE2_USE_OFFSET_LIMIT
    var code: Int32 = 0
    var offset = 0
    let compiled = pattern.withUnsafeBufferPointer { pcre2_compile_8($0.baseAddress ?? Regex.nothing, $0.count, options, &code, &offset, context) }
    guard let compiled else { throw RegexError(message: Regex.message(code), offset: offset) }
    var matchesEmpty: UInt32 = 1
    pcre2_pattern_info_8(compiled, UInt32(PCRE2_INFO_MATCHEMPTY), &matchesEmpty)
    self.code = compiled
    self.form = form
    itemCharge = RegexCharge.callout + scan.longestFixed
    countsGroups = scan.hasBackReferences
    isUTF = kind == .unicode
    mayMatchEmpty = matchesEmpty != 0
    hasJIT = useJIT && pcre2_jit_compile_8(compiled, PCRE2_JIT_COMPLETE) == 0
  }
  private static let nesting: UInt32 = 250
  /// PCRE2_UNSET
  private static let noLimit = -1

  func free() { pcre2_code_free_8(code) }

  /// Does the pattern match anywhere in `text`, beginning at a byte in `start...lastStart`? `steps`: the match limit. The span is in
  /// `memory` afterwards. A text for the UTF kind is well-formed, and `start` the first byte of a character.
  @inline(__always)
  func matches(_ text: Bytes, from start: Int = 0, to lastStart: Int = .max, steps: UInt32 = Limits.regexMatchSteps, _ memory: RegexMemory) -> Truth {
    let base = text.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? Regex.nothing
    memory.set(steps: steps, lastStart: lastStart < text.count ? lastStart : Regex.noLimit)
    if hasJIT {
      // The fast call checks nothing, so it does not see UTF patterns.
      let result =
        isUTF
        ? pcre2_match_8(code, base, text.count, start, 0, memory.data, memory.context)
        : pcre2_jit_match_8(code, base, text.count, start, 0, memory.data, memory.context)
      if result >= 0 { return .yes }
      if result == PCRE2_ERROR_NOMATCH { return .no }
      if result != PCRE2_ERROR_JIT_STACKLIMIT { return .unknown }
    }
    let result = pcre2_match_8(code, base, text.count, start, PCRE2_NO_JIT, memory.data, memory.context)
    return result >= 0 ? .yes : result == PCRE2_ERROR_NOMATCH ? .no : .unknown
  }
  /// The same for the guarded form: `charge` is what it may cost, and afterwards what is left of that.
  func matches(_ text: Bytes, from start: Int = 0, to lastStart: Int = .max, charge: inout Int, _ memory: RegexMemory) -> Truth {
    memory.charge.pointee = RegexCharge(left: charge, item: itemCharge, countsGroups: countsGroups, last: start)
    defer { charge = memory.charge.pointee.left }
    return matches(text, from: start, to: lastStart, steps: .max, memory)
  }

  private static func message(_ code: Int32) -> String {
    var buffer = [UInt8](repeating: 0, count: 256)
    let length = pcre2_get_error_message_8(code, &buffer, buffer.count)
    return length > 0 ? String(decoding: buffer.prefix(Int(length)), as: UTF8.self) : "error \(code)"
  }
  /// PCRE2 10.42 refuses a null pointer with length zero in some calls.
  nonisolated(unsafe) private static let nothing: UnsafePointer<UInt8> = {
    let byte = UnsafeMutablePointer<UInt8>.allocate(capacity: 1)
    byte.pointee = 0
    return UnsafePointer(byte)
  }()
}
