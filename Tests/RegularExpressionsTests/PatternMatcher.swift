// Runs a translation in PCRE2 as the engine does, JIT and interpreter, and checks what the analysis says against what it matches.
import CPCRE2
import Primitives
import RegularExpressions

final class PatternMatcher {
  private let code: OpaquePointer
  private let data: OpaquePointer
  private let context: OpaquePointer

  /// nil: PCRE2 does not compile it; `message` says why.
  init?(_ pattern: String, _ kind: RegularExpression.TextKind, message: inout String) {
    let common = PCRE2_NEVER_BACKSLASH_C | UInt32(PCRE2_USE_OFFSET_LIMIT)
    let options = kind == .ascii ? common : common | UInt32(PCRE2_UTF) | UInt32(PCRE2_MATCH_INVALID_UTF)
    var error: Int32 = 0
    var offset = 0
    var copy = pattern
    let made = copy.withUTF8 { pcre2_compile_8($0.baseAddress, $0.count, options, &error, &offset, nil) }
    guard let made, let data = pcre2_match_data_create_8(1, nil), let context = pcre2_match_context_create_8(nil) else {
      var buffer = [UInt8](repeating: 0, count: 256)
      let length = pcre2_get_error_message_8(error, &buffer, buffer.count)
      message = String(decoding: buffer.prefix(max(0, Int(length))), as: UTF8.self)
      return nil
    }
    pcre2_jit_compile_8(made, PCRE2_JIT_COMPLETE)
    pcre2_set_match_limit_8(context, 200_000)
    pcre2_set_heap_limit_8(context, 20_000)
    code = made
    self.data = data
    self.context = context
  }
  deinit {
    pcre2_match_context_free_8(context)
    pcre2_match_data_free_8(data)
    pcre2_code_free_8(code)
  }

  /// The first match; nil also where a limit was hit.
  func firstMatch(in text: [UInt8], usesJIT: Bool) -> (span: Range<Int>?, isKnown: Bool) {
    var copy = text
    copy.append(0)
    let result = copy.withUnsafeBufferPointer {
      pcre2_match_8(code, $0.baseAddress, text.count, 0, usesJIT ? 0 : UInt32(PCRE2_NO_JIT), data, context)
    }
    guard result >= 0, let offsets = pcre2_get_ovector_pointer_8(data), offsets[0] <= offsets[1] else { return (nil, result == PCRE2_ERROR_NOMATCH) }
    return (offsets[0]..<offsets[1], true)
  }

  /// All matches, one behind the other; those of no length are left out.
  func allMatches(in text: [UInt8]) -> [Range<Int>] {
    var result: [Range<Int>] = []
    var start = 0
    text.withUnsafeBufferPointer { text in
      while pcre2_match_8(code, text.baseAddress, text.count, start, 0, data, context) >= 0, let offsets = pcre2_get_ovector_pointer_8(data),
        offsets[0] < offsets[1]
      {
        result.append(offsets[0]..<offsets[1])
        start = offsets[1]
      }
    }
    return result
  }

  /// What is wrong with what the package makes of a pattern, as far as these texts show it.
  static func problem(_ pattern: String, isCaseSensitive: Bool, texts: [[UInt8]]) -> String? {
    guard let expression = try? RegularExpression(pattern, isCaseSensitive: isCaseSensitive) else { return nil }
    let facts = expression.matchFacts()
    var spans: [[Range<Int>?]] = []
    for kind in [RegularExpression.TextKind.unicode, .ascii] {
      guard let translated = expression.pcre2(for: kind) else {
        spans.append(texts.map { _ in nil })
        continue
      }
      var message = ""
      guard let matcher = PatternMatcher(translated, kind, message: &message) else {
        // Size is PCRE2's to know, and so are the names of properties.
        return message.contains("too large") || message.contains("too long") || message.contains("too complicated") || message.contains("\\p") || message.contains("\\P")
          ? nil : "does not compile: \(message): \(translated)"
      }
      var found: [Range<Int>?] = []
      for text in texts {
        guard kind == .unicode || text.allSatisfy({ $0 < 0x80 }) else {
          found.append(nil)
          continue
        }
        let (span, isKnown) = matcher.firstMatch(in: text, usesJIT: true)
        let (slow, isSlowKnown) = matcher.firstMatch(in: text, usesJIT: false)
        if isKnown, isSlowKnown, span != slow { return "JIT and interpreter differ on \(text): \(translated)" }
        found.append(span)
        guard let span else { continue }
        if span.count < facts.shortest || facts.longest.map({ span.count > $0 }) ?? false {
          return "length \(span.count) is not between \(facts.shortest) and \(facts.longest ?? -1)"
        }
        let rest = text[span.lowerBound...]
        if let requirement = facts.requirement, !holds(requirement, Array(rest)) { return "a match without a literal: \(requirement.literals)" }
        if let start = facts.start {
          if span.lowerBound > 0, !translated.contains("\\K") { return "a match that does not begin with the text" }
          if let bytes = start.bytes, text.isEmpty || !bytes.contains(text[0]) { return "a text that does not begin as matches do" }
        }
        if !facts.ways.isEmpty, !facts.ways.contains(where: { holds($0, Array(rest), fold(Array(rest))) }) { return "a match that goes no way" }
        if text.allSatisfy({ $0 < 0x80 }) {
          guard let narrower = facts.inASCII else { return "a match in ASCII, where there can be none" }
          if narrower.longest.map({ span.count > $0 }) ?? false { return "length \(span.count) is above \(narrower.longest ?? -1) in ASCII" }
          if let requirement = narrower.requirement, !holds(requirement, Array(rest)) {
            return "a match in ASCII without a literal: \(requirement.literals)"
          }
        }
        if !facts.byteSets.allSatisfy({ set in rest.contains { set.contains($0) } }) { return "a match without a required byte" }
        for run in facts.runs where !holds(run, rest) { return "a match without a required run of \(run.count)" }
      }
      spans.append(found)
    }
    if !pattern.contains("\\p"), !pattern.contains("\\P"), !expression.pcre2(for: .unicode)!.contains("\\K") {
      for (index, text) in texts.enumerated() where text.allSatisfy({ $0 < 0x80 }) {
        if (spans[0][index] == nil) != (spans[1][index] == nil) { return "the two kinds of text differ on \(text)" }
      }
    }
    return nil
  }

  private static func holds(_ run: RegularExpression.RequiredRun, _ text: ArraySlice<UInt8>) -> Bool {
    var now = 0
    for byte in text {
      now = run.set.contains(byte) ? now + 1 : 0
      if now >= run.count { return true }
    }
    return run.count == 0
  }

  private static func longestBlank(_ text: [UInt8]) -> Int {
    text.split { !Reach.blankBytes.contains($0) }.map(\.count).max() ?? 0
  }
  private static func holds(_ clause: Requirement.Clause, _ text: [UInt8], _ folded: [UInt8]) -> Bool {
    func holds(_ set: [[UInt8]]) -> Bool {
      set.contains { other in (0...max(0, folded.count - other.count)).contains { folded[$0...].starts(with: other) } }
    }
    return (clause.literals.isEmpty || holds(clause.literals)) && clause.others.allSatisfy(holds)
      && clause.bytes.allSatisfy { set in text.contains(where: set.contains) }
  }
  private static func holds(_ requirement: Requirement, _ text: [UInt8]) -> Bool {
    let folded = fold(text)
    return requirement.clauses.contains { !$0.literals.isEmpty && holds($0, text, folded) }
      && requirement.clauses.allSatisfy { clause in clause.literals.allSatisfy { one in requirement.literals.contains { $0.bytes == one } } }
      && requirement.literals.contains { literal in
        guard literal.bytes.count <= folded.count else { return false }
        let reach = literal.longestBefore.map { $0.bytes + $0.blanks * longestBlank(text) }
        let last = min(folded.count - literal.bytes.count, reach ?? Int.max)
        return (0...last).contains { folded[$0..<$0 + literal.bytes.count].elementsEqual(literal.bytes) }
      }
  }
  /// The scan form: white space runs together, ASCII letters and those beyond ASCII that are one of them in another case are small.
  static func fold(_ text: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    var at = 0
    while at < text.count {
      // Of well-formed UTF-8 alone; elsewhere a byte is a character, which is as well here.
      let width = text[at] < 0xc2 ? 1 : text[at] < 0xe0 ? 2 : text[at] < 0xf0 ? 3 : 4
      if let one = String(validating: text[at..<min(text.count, at + width)], as: UTF8.self)?.unicodeScalars.first,
        one.properties.isWhitespace || (0x1c...0x1f).contains(one.value)
      {
        if result.last != 0x20 { result.append(0x20) }
        at += width
        continue
      }
      switch (text[at], at + 1 < text.count ? text[at + 1] : 0, at + 2 < text.count ? text[at + 2] : 0) {
      case (0xc4, 0xb0, _), (0xc4, 0xb1, _):
        result.append(0x69)
        at += 2
      case (0xc5, 0xbf, _):
        result.append(0x73)
        at += 2
      case (0xe2, 0x84, 0xaa):
        result.append(0x6b)
        at += 3
      case (let byte, _, _):
        result.append(byte &- 0x41 < 26 ? byte | 0x20 : byte)
        at += 1
      }
    }
    return result
  }
}
