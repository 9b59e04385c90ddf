// Trace rules: forbid, require and invariant over the spans of a trace (spec/atr-method-v1.1.md, section 8).
// What must stay true: linear in spans for each primitive; the same trace gives the same findings in the same order; findings name
// spans and primitives, never values, because traces hold people's data (10.2).
import Primitives
import RegularExpressions
import RuleLanguage

/// One violation: which primitive, which span, and the span that makes it one. Ids are cut and hold plain characters only.
public struct TraceFinding: Sendable, Equatable {
  /// Index into the rule's primitives.
  public var primitive: Int
  public var span: String
  /// forbid with a predecessor: that one. invariant: the first span of the domain. Else nil.
  public var other: String?
}

struct TraceEvaluator {
  struct Result {
    var truth: Truth
    var findings: [TraceFinding]
    /// With those that found no room.
    var total: Int
  }
  private let detection: TraceDetection
  private let patterns: TracePatterns

  /// Throws where PCRE2 refuses a pattern.
  init(_ detection: TraceDetection) throws(RegexError) {
    self.detection = detection
    patterns = try TracePatterns(TraceEvaluator.patterns(detection))
  }

  private static func patterns(_ detection: TraceDetection) -> [String] {
    detection.primitives.flatMap { primitive -> [TraceDetection.Shape] in
      switch primitive.assertion {
      case .forbid(let shape, let before), .require(let shape, let before): [shape] + before
      case .invariant: []
      }
    }.flatMap(\.attributes).flatMap(\.predicates).compactMap { if case .regex(let pattern) = $0 { pattern } else { nil } }
  }

  // MARK: Rules

  /// The rule matches if its expression holds for one of the traces.
  func evaluate(_ traces: [[TraceSpan]], _ memory: RegexMemory) -> Result {
    var result = Result(truth: .no, findings: [], total: 0)
    patterns.begin()
    for spans in traces {
      var truths: [Truth] = []
      var findings: [TraceFinding] = []
      var total = 0
      for (i, primitive) in detection.primitives.enumerated() {
        var found = Findings(primitive: i)
        truths.append(violates(primitive.assertion, spans, memory, &found))
        findings += found.list
        total += found.total
      }
      let truth = Program.evaluate(detection.expression) { truths[$0] }
      if truth == .yes {
        result.truth = .yes
        result.findings = Array((result.findings + findings).prefix(Limits.traceFindings))
        result.total += total
      } else if truth == .unknown, result.truth == .no {
        result.truth = .unknown
      }
    }
    return result
  }

  private struct Findings {
    let primitive: Int
    var list: [TraceFinding] = []
    var total = 0
    mutating func add(_ span: TraceSpan, _ other: TraceSpan?) {
      total += 1
      if list.count < Limits.traceFindings { list.append(TraceFinding(primitive: primitive, span: span.id, other: other?.id)) }
    }
  }

  private func violates(
    _ assertion: TraceDetection.Assertion, _ spans: [TraceSpan], _ memory: RegexMemory, _ findings: inout Findings
  ) -> Truth {
    switch assertion {
    case .forbid(let shape, let before):
      return sequence(shape, before, spans, memory, &findings) { before.isEmpty || $0 != nil ? .violation($0) : .fine }
    case .require(let shape, let before):
      return sequence(shape, before, spans, memory, &findings) { $0 == nil ? .violation(nil) : .fine }
    case .invariant(let attribute, let domain):
      return invariant(attribute, domain, spans, &findings)
    }
  }

  private enum Verdict { case violation(TraceSpan?), fine }

  /// Each span of `shape`, judged by the first span before it that has one of the shapes `before`.
  private func sequence(
    _ shape: TraceDetection.Shape, _ before: [TraceDetection.Shape], _ spans: [TraceSpan], _ memory: RegexMemory, _ findings: inout Findings,
    _ judge: (TraceSpan?) -> Verdict
  ) -> Truth {
    var predecessor: TraceSpan?
    var isOpen = false
    for span in spans {
      switch matches(span, shape, memory) {
      case .yes: if case .violation(let other) = judge(predecessor) { findings.add(span, other) }
      case .unknown: isOpen = true
      case .no: break
      }
      guard predecessor == nil, !before.isEmpty else { continue }
      for candidate in before where predecessor == nil {
        switch matches(span, candidate, memory) {
        case .yes: predecessor = span
        case .unknown: isOpen = true
        case .no: break
        }
      }
    }
    return findings.total > 0 ? .yes : isOpen ? .unknown : .no
  }

  /// Spans that lack the attribute say nothing about it.
  private func invariant(_ attribute: String, _ domain: TraceDetection.Domain, _ spans: [TraceSpan], _ findings: inout Findings) -> Truth {
    // Values are compared by number: in a list of many members each meets the same values again.
    var numbers: [[UInt8]: Int] = [:]
    var first: [[UInt8]: (span: TraceSpan, value: Int, isViolated: Bool)] = [:]
    for span in spans {
      guard let value = span.attributes.attribute(attribute)?.identity else { continue }
      let number = numbers[value] ?? numbers.count
      numbers[value] = number
      for key in TraceEvaluator.keys(span, domain) {
        guard let known = first[key] else {
          first[key] = (span, number, false)
          continue
        }
        if known.isViolated || known.value == number { continue }
        first[key]?.isViolated = true  // one finding for a domain is enough
        findings.add(span, known.span)
      }
    }
    return findings.total > 0 ? .yes : .no
  }

  /// The domains that a span belongs to. A chain that is a list links the span with each of its members; one that is an object stands for
  /// its agent, whatever else is said about it.
  private static func keys(_ span: TraceSpan, _ domain: TraceDetection.Domain) -> [[UInt8]] {
    func text(_ value: TraceValue) -> [[UInt8]] {
      if case .scalar(.null, _) = value { return [] }
      return [Array((value["agent_id"] ?? value).stringified.utf8)]
    }
    func texts(_ value: TraceValue?) -> [[UInt8]] {
      guard let value else { return [] }
      if case .list(let items) = value { return items.flatMap { text($0) } }
      return text(value)
    }
    switch domain {
    case .trace: return [[]]
    case .delegationChain: return texts(span.attributes.attribute("agent.delegation_chain"))
    case .session: return texts(span.attributes.attribute("session.id"))
    case .conversation: return texts(span.attributes.attribute("gen_ai.conversation.id") ?? span.attributes.attribute("conversation.id"))
    }
  }

  // MARK: Shapes

  private func matches(_ span: TraceSpan, _ shape: TraceDetection.Shape, _ memory: RegexMemory) -> Truth {
    if let kind = shape.kind, !(span.kind?.hasSameBytes(as: kind) ?? false) { return .no }
    var result = Truth.yes
    for test in shape.attributes {
      let value = span.attributes.attribute(test.path)
      for predicate in test.predicates {
        switch holds(predicate, value, span, memory) {
        case .no: return .no
        case .unknown: result = .unknown
        case .yes: break
        }
      }
    }
    return result
  }

  private func holds(_ predicate: TraceDetection.Predicate, _ value: TraceValue?, _ span: TraceSpan, _ memory: RegexMemory) -> Truth {
    func isEqual(_ operand: TraceDetection.Operand) -> Bool {
      switch operand {
      case .literal(let literal):
        guard case .scalar(let own, _)? = value else { return false }
        return own == literal
      case .attribute(let path):
        guard let other = span.attributes.attribute(path) else { return value == nil }
        return value.map { $0.equals(other) } ?? false
      case .template(let parts):
        guard case .scalar(.text(let own), _)? = value else { return false }
        let resolved = parts.resolved(limit: own.utf8.count) { span.attributes.attribute($0)?.stringified }
        return resolved?.hasSameBytes(as: own) ?? false
      }
    }
    /// What is absent is in no list, also not in one that names another absent attribute.
    func isMember(_ operand: TraceDetection.Operand) -> Bool { value != nil && isEqual(operand) }
    switch predicate {
    case .equals(let operand): return isEqual(operand) ? .yes : .no
    case .notEquals(let operand): return isEqual(operand) ? .no : .yes
    case .isIn(let operands): return operands.contains(where: isMember) ? .yes : .no
    case .isNotIn(let operands): return operands.contains(where: isMember) ? .no : .yes
    case .exists(let wanted): return (value != nil) == wanted ? .yes : .no
    case .regex(let pattern):
      guard let value else { return .no }
      return patterns.matches(pattern, value, memory)
    case .regexTemplate(let parts):
      guard let value else { return .no }
      return patterns.matches(parts, span, value, memory)
    }
  }
}

/// The patterns of one rule, all in the guarded form, and what they may still cost on one event's traces: the sum over all spans is linear in
/// their texts. Patterns with placeholders are compiled for the texts that the traces have for them. What one event left is forgotten before
/// the next, so that the answer is the same whatever came before.
private final class TracePatterns {
  private var codes: [[UInt8]: Regex] = [:]
  private var resolved: [[UInt8]: Regex] = [:]
  private var allowance = 0

  /// Throws where PCRE2 refuses one.
  init(_ patterns: [String]) throws(RegexError) {
    for pattern in patterns where codes[Array(pattern.utf8)] == nil { codes[Array(pattern.utf8)] = try TracePatterns.compiled(pattern) }
  }
  deinit {
    begin()
    for regex in codes.values { regex.free() }  // in any order: nothing but memory
  }
  func begin() {
    for regex in resolved.values { regex.free() }  // in any order: nothing but memory
    resolved.removeAll()
    allowance = Limits.regexGuardedWork
  }
  /// Attributes are Swift strings, so always well-formed.
  private static func compiled(_ pattern: String) throws(RegexError) -> Regex {
    let expression: RegularExpression
    do throws(RegularExpressionError) {
      expression = try RegularExpression(pattern, isCaseSensitive: true)
    } catch {
      throw RegexError(message: error.message, offset: error.offset)
    }
    let text = expression.chargedPCRE2(for: .unicode) ?? "(?!)"
    return try Regex(Array(text.utf8), kind: .unicode, form: .guarded, scan: expression.matchFacts().scan)
  }

  func matches(_ pattern: String, _ value: TraceValue, _ memory: RegexMemory) -> Truth {
    codes[Array(pattern.utf8)].map { matches($0, value, memory) } ?? .no
  }
  /// No where an attribute is absent. Unknown beyond the limits.
  func matches(_ parts: [TemplatePart], _ span: TraceSpan, _ value: TraceValue, _ memory: RegexMemory) -> Truth {
    var isAbsent = false
    let pattern = parts.resolved(limit: Limits.traceResolvedBytes) { path in
      guard let text = span.attributes.attribute(path)?.stringified else {
        isAbsent = true
        return nil
      }
      return [TemplatePart].literal(text)
    }
    if isAbsent { return .no }
    guard let pattern else { return .unknown }
    let key = Array(pattern.utf8)
    if resolved[key] == nil, resolved.count < Limits.traceResolvedPatterns, let made = try? TracePatterns.compiled(pattern) { resolved[key] = made }
    return resolved[key].map { matches($0, value, memory) } ?? .unknown
  }
  private func matches(_ regex: Regex, _ value: TraceValue, _ memory: RegexMemory) -> Truth {
    let text = Array(value.stringified.utf8)
    allowance = max(allowance, Limits.traceTextWork) + Limits.regexGuardedWorkPerByte * text.count
    return text.withUnsafeBytes { regex.matches($0, charge: &allowance, memory) }
  }
}
