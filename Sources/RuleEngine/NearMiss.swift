// How far a test got that failed: the longest beginning of a pattern (or of a text) that is somewhere in the value. For authors only;
// the engine never asks. A pattern's beginnings are cut where a person would cut it: between the parts of a sequence, also inside groups.
// What must stay true: the number of beginnings that are tried is bounded (`Limits.nearMissPrefixes`), and each trial by the match limits.
import CPCRE2
import Primitives
import RegularExpressions
import RuleLanguage

public struct NearMiss: Sendable, Equatable {
  /// The pattern, text or value of the condition that got farthest.
  public var alternative: String
  /// Its beginning that was found, as it was tried (groups closed), and how many bytes of `alternative` it spans.
  public var prefix: String
  public var reached: Int
  /// What had to follow there, without alternatives that were not taken; empty for a whole text that was found where it may not be.
  public var rest: String
  /// Where in the value, in bytes. Never empty.
  public var span: Range<Int>

  /// nil where nothing of the test is in the value, and for tests that have no beginning (comparisons, presence).
  public static func longest(of test: Condition.Test, in value: Bytes) -> NearMiss? {
    switch test {
    case .regex(let patterns, let sensitive): beginning(of: patterns, sensitive, value)
    case .contains(let texts, let sensitive): best(texts) { Self.contained($0, value, sensitive) }
    case .exact(let texts, let sensitive), .startsWith(let texts, let sensitive): best(texts) { Self.common($0, value, sensitive) }
    case .compare, .exists: nil
    }
  }

  // MARK: Texts

  private static func best(_ texts: [String], _ find: (String) -> Range<Int>?) -> NearMiss? {
    var best: NearMiss?
    for text in texts.prefix(Limits.nearMissPatterns) {
      guard let span = find(text), span.count > best?.span.count ?? 0 else { continue }
      let bytes = Array(text.utf8)
      best = NearMiss(
        alternative: text, prefix: String(decoding: bytes.prefix(span.count), as: UTF8.self), reached: span.count,
        rest: String(decoding: bytes.dropFirst(span.count), as: UTF8.self), span: span)
    }
    return best
  }
  private static func folded(_ byte: UInt8, _ sensitive: Bool) -> UInt8 { !sensitive && (0x41...0x5a).contains(byte) ? byte | 0x20 : byte }

  private static func common(_ text: String, _ value: Bytes, _ sensitive: Bool) -> Range<Int>? {
    let needle = Array(text.utf8)
    var n = 0
    while n < needle.count, n < value.count, folded(needle[n], sensitive) == folded(value[n], sensitive) { n += 1 }
    return n > 0 ? 0..<n : nil
  }

  /// The longest beginning of `text` anywhere in `value`, in linear time (Knuth, Morris and Pratt's automaton).
  private static func contained(_ text: String, _ value: Bytes, _ sensitive: Bool) -> Range<Int>? {
    let needle = text.utf8.map { folded($0, sensitive) }
    guard !needle.isEmpty else { return nil }
    var fallback = [Int](repeating: 0, count: needle.count)
    var k = 0
    for i in needle.indices.dropFirst() {
      while k > 0, needle[i] != needle[k] { k = fallback[k - 1] }
      if needle[i] == needle[k] { k += 1 }
      fallback[i] = k
    }
    var best: Range<Int>?
    k = 0
    for (i, raw) in value.enumerated() {
      let byte = folded(raw, sensitive)
      while k > 0, k == needle.count || byte != needle[k] { k = fallback[k - 1] }
      if byte == needle[k] { k += 1 }
      if k > best?.count ?? 0 { best = i + 1 - k..<i + 1 }
    }
    return best
  }

  // MARK: Patterns

  private static func beginning(of patterns: [String], _ sensitive: Bool, _ value: Bytes) -> NearMiss? {
    guard let trial = PatternTrial() else { return nil }
    var best: (miss: NearMiss, steps: Int)?
    for pattern in patterns.prefix(Limits.nearMissPatterns) {
      for beginning in PatternBeginnings.of(pattern) {
        if let best, beginning.steps <= best.steps { break }
        guard let span = trial.firstMatch(of: beginning.pattern, sensitive, in: value), !span.isEmpty else { continue }
        let miss = NearMiss(alternative: pattern, prefix: beginning.pattern, reached: beginning.end, rest: beginning.rest, span: span)
        best = (miss, beginning.steps)
        break
      }
    }
    return best?.miss
  }
}

/// Matching one pattern once, under the engine's limits.
private final class PatternTrial {
  private let data: OpaquePointer
  private let context: OpaquePointer

  init?() {
    guard let data = pcre2_match_data_create_8(1, nil), let context = pcre2_match_context_create_8(nil) else { return nil }
    self.data = data
    self.context = context
    pcre2_set_match_limit_8(context, Limits.regexMatchSteps)
    pcre2_set_heap_limit_8(context, Limits.regexHeapKiB)
  }
  deinit {
    pcre2_match_context_free_8(context)
    pcre2_match_data_free_8(data)
  }

  /// nil: no match, no pattern, or a limit was hit.
  func firstMatch(of source: String, _ sensitive: Bool, in value: Bytes) -> Range<Int>? {
    let translated = (try? RegularExpression(source, isCaseSensitive: sensitive))?.pcre2(for: .unicode)
    var pattern = translated ?? (sensitive ? source : "(?i)" + source)
    var (code, offset): (Int32, Int) = (0, 0)
    let options = UInt32(PCRE2_UTF) | UInt32(PCRE2_MATCH_INVALID_UTF) | UInt32(PCRE2_NEVER_BACKSLASH_C)
    guard let compiled = pattern.withUTF8({ pcre2_compile_8($0.baseAddress, $0.count, options, &code, &offset, nil) }) else { return nil }
    defer { pcre2_code_free_8(compiled) }
    guard let start = value.baseAddress?.assumingMemoryBound(to: UInt8.self), pcre2_match_8(compiled, start, value.count, 0, 0, data, context) >= 0,
      let offsets = pcre2_get_ovector_pointer_8(data), offsets[0] <= offsets[1], offsets[1] <= value.count
    else { return nil }
    return Int(offsets[0])..<Int(offsets[1])
  }
}

/// The beginnings of a pattern, the one with most parts first.
enum PatternBeginnings {
  struct Beginning: Equatable {
    /// A pattern of its own: open groups are closed.
    var pattern: String
    /// Where in the whole pattern it ends, in bytes.
    var end: Int
    /// What had to follow, without the alternatives that were not taken.
    var rest: String
    /// Parts on the way there; a group that was passed counts as its longest way.
    var steps: Int
  }

  static func of(_ pattern: String) -> [Beginning] {
    var scanner = Scanner(bytes: Array(pattern.utf8))
    let alternatives = scanner.alternatives(depth: 0)
    var found: [Beginning] = []
    _ = collect(alternatives, scanner.bytes, head: [], closers: [], after: [], steps: 0, into: &found)
    // Stable: of equally many parts the one that stands first.
    return found.enumerated().sorted { ($1.element.steps, $0.offset) < ($0.element.steps, $1.offset) }.map(\.element)
  }

  /// One part of a sequence with its quantifier.
  struct Part {
    var range: Range<Int>
    /// For a group without quantifier trouble: where its content begins, and the content.
    var contentStart: Int
    var content: [[Part]]?
    /// Only flags: `(?i)`. It takes part in what follows, and is not a step.
    var isFlags = false
  }

  /// Returns the parts of the longest way through.
  private static func collect(
    _ alternatives: [[Part]], _ bytes: [UInt8], head: [UInt8], closers: [UInt8], after: [UInt8], steps: Int, into found: inout [Beginning]
  ) -> Int {
    var flags: [UInt8] = []  // flags at the beginning of the first alternative hold in the others too
    var longest = steps
    for (i, sequence) in alternatives.enumerated() {
      var text = head + flags
      var steps = steps
      for part in sequence {
        guard found.count < Limits.nearMissPrefixes else { return max(longest, steps) }
        if part.isFlags, i == 0, text.count == head.count + flags.count { flags += bytes[part.range] }
        let rest = bytes[part.range.upperBound..<(sequence.last?.range.upperBound ?? part.range.upperBound)] + after
        if let content = part.content {
          let open = text + bytes[part.range.lowerBound..<part.contentStart]
          steps = collect(content, bytes, head: open, closers: [0x29] + closers, after: Array(rest), steps: steps, into: &found)
        }
        text += bytes[part.range]
        guard !part.isFlags else { continue }
        steps += 1
        found.append(
          Beginning(
            pattern: String(decoding: text + closers, as: UTF8.self), end: part.range.upperBound, rest: String(decoding: rest, as: UTF8.self),
            steps: steps))
      }
      longest = max(longest, steps)
    }
    return longest
  }

  /// Total and linear: what it does not understand is one part that ends where the pattern ends.
  struct Scanner {
    let bytes: [UInt8]
    private var at = 0
    init(bytes: [UInt8]) { self.bytes = bytes }
    private static let depthLimit = 32

    /// Up to the closing parenthesis of this level (not taken) or the end.
    mutating func alternatives(depth: Int) -> [[Part]] {
      var alternatives: [[Part]] = [[]]
      while at < bytes.count {
        if bytes[at] == 0x29, depth > 0 { break }
        if bytes[at] == 0x7c {
          at += 1
          alternatives.append([])
          continue
        }
        alternatives[alternatives.count - 1].append(part(depth: depth))
      }
      return alternatives
    }

    private mutating func part(depth: Int) -> Part {
      let start = at
      var part = Part(range: start..<start, contentStart: start, content: nil)
      switch bytes[at] {
      case 0x5c: escape()
      case 0x5b: characterClass()
      case 0x28: group(&part, depth: depth)
      default:
        at += 1
        while at < bytes.count, bytes[at] & 0xc0 == 0x80 { at += 1 }
      }
      quantifier()
      part.range = start..<at
      return part
    }

    /// `\n`, `\x{..}`, `\p{..}`, `\uXXXX`, `\Q...\E` is not in the dialect.
    private mutating func escape() {
      at += 1
      guard at < bytes.count else { return }
      let letter = bytes[at]
      at += 1
      while at < bytes.count, bytes[at] & 0xc0 == 0x80 { at += 1 }
      let hexDigits = letter == 0x78 ? 2 : letter == 0x75 ? 4 : 0
      if at < bytes.count, bytes[at] == 0x7b, [0x78, 0x75, 0x70, 0x50, 0x6b, 0x4e, 0x67].contains(letter) {
        skip(past: 0x7d)
      } else if letter == 0x6b, at < bytes.count, bytes[at] == 0x3c {
        skip(past: 0x3e)
      } else if hexDigits > 0 {
        at = min(bytes.count, at + hexDigits)
      } else if (0x30...0x39).contains(letter) {
        while at < bytes.count, (0x30...0x39).contains(bytes[at]) { at += 1 }
      }
    }
    private mutating func skip(past end: UInt8) {
      while at < bytes.count, bytes[at] != end { at += 1 }
      at = min(bytes.count, at + 1)
    }
    private mutating func characterClass() {
      at += 1
      if at < bytes.count, bytes[at] == 0x5e { at += 1 }
      if at < bytes.count, bytes[at] == 0x5d { at += 1 }
      while at < bytes.count, bytes[at] != 0x5d { at += bytes[at] == 0x5c ? 2 : 1 }
      at = min(bytes.count, at + 1)
    }
    private mutating func quantifier() {
      guard at < bytes.count else { return }
      switch bytes[at] {
      case 0x2a, 0x2b, 0x3f: at += 1
      case 0x7b:
        var end = at + 1
        while end < bytes.count, (0x30...0x39).contains(bytes[end]) || bytes[end] == 0x2c { end += 1 }
        guard end < bytes.count, bytes[end] == 0x7d, end > at + 1 else { return }
        at = end + 1
      default: return
      }
      if at < bytes.count, bytes[at] == 0x3f || bytes[at] == 0x2b { at += 1 }
    }

    private mutating func group(_ part: inout Part, depth: Int) {
      at += 1
      var isTransparent = true
      if at < bytes.count, bytes[at] == 0x3f {
        at += 1
        isTransparent = groupHead(&part)
      }
      part.contentStart = at
      if part.isFlags { return }
      if depth >= Self.depthLimit {
        at = bytes.count
        return
      }
      let content = alternatives(depth: depth + 1)
      at = min(bytes.count, at + 1)
      if isTransparent { part.content = content }
    }
    /// Behind `(?`. True where the content may be cut: not in look-around, atomic groups and conditionals.
    private mutating func groupHead(_ part: inout Part) -> Bool {
      guard at < bytes.count else { return false }
      switch bytes[at] {
      case 0x3a:  // (?:
        at += 1
        return true
      case 0x50, 0x3c:  // (?P<name>, (?<name>, (?<=, (?<!
        let isLook = bytes[at] == 0x3c && at + 1 < bytes.count && (bytes[at + 1] == 0x3d || bytes[at + 1] == 0x21)
        if isLook {
          at += 2
          return false
        }
        if bytes[at] == 0x50, at + 1 < bytes.count, bytes[at + 1] != 0x3c { return false }  // (?P=name)
        skip(past: 0x3e)
        return true
      default:
        var end = at
        while end < bytes.count, (0x61...0x7a).contains(bytes[end] | 0x20) || bytes[end] == 0x2d || bytes[end] == 0x5e { end += 1 }
        if end > at, end < bytes.count, bytes[end] == 0x29 {
          at = end + 1
          part.isFlags = true
          return false
        }
        if end > at, end < bytes.count, bytes[end] == 0x3a {
          at = end + 1
          return true
        }
        at += 1
        return false
      }
    }
  }
}
