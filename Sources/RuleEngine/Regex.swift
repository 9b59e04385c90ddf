// One PCRE2 pattern, compiled once, matched under limits. JIT first; where the JIT's own stack does not suffice, the interpreter.
// What must stay true: a match never costs more than the limits allow, and a limit is an answer of its own, never "no match".
// Patterns work on bytes. A pattern with bytes beyond ASCII, \p or \X runs in UTF mode, in which ill-formed text matches nothing
// but does not hide the text around it (PCRE2_MATCH_INVALID_UTF).
import CPCRE2
import Primitives
import RegularExpressions

/// What one bounded test can say.
enum Truth: UInt8 {
  case no, yes
  /// A limit was hit before the answer was known.
  case unknown
  var negated: Truth { self == .no ? .yes : self == .yes ? .no : .unknown }
}

struct RegexError: Error {
  var message: String
  /// Byte of the pattern.
  var offset: Int
}

/// Working memory of a match: match data, limits and the JIT's stack. One for each engine, not shared between threads.
final class RegexMemory {
  fileprivate let data: OpaquePointer
  fileprivate let context: OpaquePointer
  fileprivate let stack: OpaquePointer?
  init() {
    // One pair of offsets is enough: only the whole match's span is read.
    guard let data = pcre2_match_data_create_8(1, nil), let context = pcre2_match_context_create_8(nil) else {
      fatalError("out of memory")
    }
    self.data = data
    self.context = context
    pcre2_set_match_limit_8(context, Limits.regexMatchSteps)
    pcre2_set_heap_limit_8(context, Limits.regexHeapKiB)
    stack = pcre2_jit_stack_create_8(32 * 1024, Int(Limits.regexHeapKiB) * 1024, nil)
    if let stack { pcre2_jit_stack_assign_8(context, nil, UnsafeMutableRawPointer(stack)) }
  }
  deinit {
    if let stack { pcre2_jit_stack_free_8(stack) }
    pcre2_match_context_free_8(context)
    pcre2_match_data_free_8(data)
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
  let code: OpaquePointer
  let isUTF: Bool
  let hasJIT: Bool
  /// It may match the empty text (PCRE2 cannot exclude it).
  let mayMatchEmpty: Bool

  init(_ pattern: [UInt8], caseSensitive: Bool, useJIT: Bool = true) throws(RegexError) {
    let pattern = Regex.spelled(pattern, caseSensitive)
    guard let context = pcre2_compile_context_create_8(nil) else { throw RegexError(message: "out of memory", offset: 0) }
    defer { pcre2_compile_context_free_8(context) }
    pcre2_set_newline_8(context, UInt32(PCRE2_NEWLINE_LF))
    pcre2_set_bsr_8(context, UInt32(PCRE2_BSR_ANYCRLF))
    pcre2_set_parens_nest_limit_8(context, 100)
    let utf = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF
    let base = PCRE2_NEVER_BACKSLASH_C | (caseSensitive ? 0 : PCRE2_CASELESS)
    func compile(_ options: UInt32) throws(RegexError) -> OpaquePointer {
      var code: Int32 = 0
      var offset = 0
      let compiled = pattern.withUnsafeBufferPointer { pcre2_compile_8($0.baseAddress ?? Regex.nothing, $0.count, options, &code, &offset, context) }
      if let compiled { return compiled }
      throw RegexError(message: Regex.message(code), offset: offset)
    }
    let wantsUTF = pattern.contains { $0 >= 0x80 } || Regex.needsUnicode(pattern)
    var compiled: OpaquePointer
    do throws(RegexError) {
      compiled = try compile(wantsUTF ? base | utf : base)
    } catch {
      // \x{100} and the like are too large for bytes.
      guard !wantsUTF, let again = try? compile(base | utf) else { throw error }
      compiled = again
    }
    var options: UInt32 = 0
    pcre2_pattern_info_8(compiled, UInt32(PCRE2_INFO_ALLOPTIONS), &options)
    if options & PCRE2_UTF != 0, options & PCRE2_MATCH_INVALID_UTF == 0 {  // the pattern itself said (*UTF)
      pcre2_code_free_8(compiled)
      compiled = try compile(base | utf)
    }
    pcre2_pattern_info_8(compiled, UInt32(PCRE2_INFO_ALLOPTIONS), &options)
    var matchesEmpty: UInt32 = 1
    pcre2_pattern_info_8(compiled, UInt32(PCRE2_INFO_MATCHEMPTY), &matchesEmpty)
    code = compiled
    isUTF = options & PCRE2_UTF != 0
    mayMatchEmpty = matchesEmpty != 0
    hasJIT = useJIT && pcre2_jit_compile_8(compiled, PCRE2_JIT_COMPLETE) == 0
  }

  /// Code points by \u mean nothing to PCRE2, and look-behinds may be of variable length.
  private static func spelled(_ pattern: [UInt8], _ caseSensitive: Bool) -> [UInt8] {
    let source = String(decoding: pattern, as: UTF8.self)
    guard source.contains("\\u") || source.contains("(?<"),
      let expression = try? RegularExpression(source, isCaseSensitive: caseSensitive), let text = expression.pcre2(for: .unicode)
    else { return pattern }
    return Array("(*UTF)\(text)".utf8)
  }

  func free() { pcre2_code_free_8(code) }

  /// Does the pattern match anywhere in `text`? The span is in `memory` afterwards.
  @inline(__always)
  func matches(_ text: Bytes, _ memory: RegexMemory) -> Truth {
    let base = text.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? Regex.nothing
    if hasJIT {
      // The fast call checks nothing, so it must not see UTF patterns, whose text may be ill-formed.
      let result =
        isUTF
        ? pcre2_match_8(code, base, text.count, 0, 0, memory.data, memory.context)
        : pcre2_jit_match_8(code, base, text.count, 0, 0, memory.data, memory.context)
      if result >= 0 { return .yes }
      if result == PCRE2_ERROR_NOMATCH { return .no }
      if result != PCRE2_ERROR_JIT_STACKLIMIT { return .unknown }
    }
    let result = pcre2_match_8(code, base, text.count, 0, PCRE2_NO_JIT, memory.data, memory.context)
    return result >= 0 ? .yes : result == PCRE2_ERROR_NOMATCH ? .no : .unknown
  }

  private static func needsUnicode(_ pattern: [UInt8]) -> Bool {
    zip(pattern, pattern.dropFirst()).contains { $0 == 0x5c && ($1 == 0x70 || $1 == 0x50 || $1 == 0x58) }
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
