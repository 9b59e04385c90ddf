// What rules of the methods signature, trace and semantic look for (spec/atr-method-v1.1.md, sections 5, 6 and 8). Pure data.
// Invariants: indicator values are canonical; an expression names only primitives that exist; a placeholder names a path of the same span.
import Events
import Primitives

/// `detection.method: signature`: exact matches of stable identifiers.
public struct SignatureDetection: Codable, Sendable {
  public enum IndicatorType: String, Codable, Sendable, CaseIterable {
    case sha256, sha512
    case blake2b256 = "blake2b-256"
    case packageName = "package_name"
    case registryURL = "registry_url"
    case skillID = "skill_id"
    /// Hexadecimal digits of a digest; nil for texts.
    public var digestDigits: Int? {
      switch self {
      case .sha256, .blake2b256: 64
      case .sha512: 128
      case .packageName, .registryURL, .skillID: nil
      }
    }
  }
  public enum MatchLogic: String, Codable, Sendable, CaseIterable { case any, all }
  /// Where an indicator comes from. Texts of the rule; empty where it does not say.
  public struct Provenance: Codable, Sendable, Equatable {
    public var firstObserved: String
    public var source: String
    public var attribution: String
    public init(firstObserved: String, source: String, attribution: String) {
      self.firstObserved = firstObserved
      self.source = source
      self.attribution = attribution
    }
  }
  public struct Indicator: Codable, Sendable {
    public var type: IndicatorType
    /// Digests in lower case without prefix and separators; URLs canonical (CanonicalURL); names as they are.
    public var value: String
    public var target: FieldReference
    public var provenance: Provenance?
    public var location: SourceLocation
    public init(type: IndicatorType, value: String, target: FieldReference, provenance: Provenance? = nil, location: SourceLocation) {
      self.type = type
      self.value = value
      self.target = target
      self.provenance = provenance
      self.location = location
    }
  }
  public var indicators: [Indicator]
  public var matchLogic: MatchLogic
  public init(indicators: [Indicator], matchLogic: MatchLogic) {
    self.indicators = indicators
    self.matchLogic = matchLogic
  }

  /// A digest as rules and events write it ("0xAB:CD..", "ab-cd..") in lower-case hexadecimal digits; nil if it is not one of `digits` digits.
  public static func canonicalDigest(_ text: some Sequence<UInt8>, digits: Int) -> [UInt8]? {
    var out: [UInt8] = []
    var isFirst = true
    for byte in text {
      if byte == 0x3a || byte == 0x2d || byte == 0x20 || byte == 0x5f { continue }  // ":", "-", " ", "_"
      if isFirst, out == [0x30], byte | 0x20 == 0x78 {  // "0x"
        out.removeAll()
        isFirst = false
        continue
      }
      let lower = byte | 0x20
      guard (0x30...0x39).contains(byte) || (0x61...0x66).contains(lower), out.count < digits else { return nil }
      out.append((0x30...0x39).contains(byte) ? byte : lower)
    }
    return out.count == digits ? out : nil
  }
}

/// `detection.method: trace`: assertions over the spans of one execution of an agent.
public struct TraceDetection: Codable, Sendable {
  public enum IngestFormat: String, Codable, Sendable, CaseIterable {
    case openinference
    case otelGenAI = "otel_gen_ai"
  }
  /// A value as YAML or JSON types it. Numbers are in the canonical form of `canonicalNumber`, so that 1 and 1.0 are equal.
  public enum Literal: Codable, Hashable, Sendable {
    case null
    case bool(Bool)
    case number(String)
    case text(String)
    /// Texts are equal where their code points are: `String` also takes canonically equivalent ones as equal.
    public static func == (a: Literal, b: Literal) -> Bool {
      switch (a, b) {
      case (.null, .null): true
      case (.bool(let a), .bool(let b)): a == b
      case (.number(let a), .number(let b)), (.text(let a), .text(let b)): a.utf8.elementsEqual(b.utf8)
      default: false
      }
    }
  }
  public enum Operand: Codable, Hashable, Sendable {
    case literal(Literal)
    /// `${span.attributes.<path>}`: an attribute of the span that is being looked at.
    case attribute(String)
    /// Text with placeholders in it; a text.
    case template([TemplatePart])
  }
  public enum Predicate: Codable, Sendable {
    case equals(Operand)
    case notEquals(Operand)
    case isIn([Operand])
    case isNotIn([Operand])
    /// PCRE2 syntax, case-sensitive, unanchored, over the value as text.
    case regex(String)
    /// The same with placeholders, each of which stands for the text of an attribute, literally.
    case regexTemplate([TemplatePart])
    case exists(Bool)
  }
  /// All predicates of one attribute; all must hold.
  public struct AttributeTest: Codable, Sendable {
    public var path: String
    public var predicates: [Predicate]
    public init(path: String, predicates: [Predicate]) {
      self.path = path
      self.predicates = predicates
    }
  }
  public struct Shape: Codable, Sendable {
    /// nil: any kind.
    public var kind: String?
    public var attributes: [AttributeTest]
    public init(kind: String?, attributes: [AttributeTest]) {
      self.kind = kind
      self.attributes = attributes
    }
  }
  public enum Domain: String, Codable, Sendable, CaseIterable {
    case trace
    case delegationChain = "agent.delegation_chain"
    case session, conversation
  }
  public enum Assertion: Codable, Sendable {
    /// Violated by a span of this shape; with `precededBy`, only behind a span of one of those.
    case forbid(Shape, precededBy: [Shape])
    /// Violated by a span of this shape that no span of one of the others precedes.
    case require(Shape, precededBy: [Shape])
    /// Violated by two spans of one domain with different values.
    case invariant(attribute: String, across: Domain)
    public var kindName: String {
      switch self {
      case .forbid: "forbid"
      case .require: "require"
      case .invariant: "invariant"
      }
    }
  }
  public struct Primitive: Codable, Sendable {
    /// The author's `name`, else "<kind>_<n>", counted from 1 within its kind.
    public var name: String
    public var assertion: Assertion
    public var description: String
    public var location: SourceLocation
    public init(name: String, assertion: Assertion, description: String, location: SourceLocation) {
      self.name = name
      self.assertion = assertion
      self.description = description
      self.location = location
    }
  }
  public var ingestFormat: IngestFormat
  public var primitives: [Primitive]
  /// Over the primitives; a primitive is true where it is violated.
  public var expression: Expression
  public init(ingestFormat: IngestFormat, primitives: [Primitive], expression: Expression) {
    self.ingestFormat = ingestFormat
    self.primitives = primitives
    self.expression = expression
  }
}

/// A decimal number in one form for each value: sign, digits without leading and trailing zeros, power of ten ("15e-1"); "0" for zero.
/// nil if it is not a JSON number. Exponents beyond 9 digits saturate: such numbers are equal only to one another.
public func canonicalNumber(_ bytes: some Collection<UInt8>) -> String? {
  var digits: [UInt8] = []
  var power = 0
  var isNegative = false
  var state = 0  // 0 sign, 1 whole, 2 fraction, 3 exponent's sign, 4 exponent
  var wholeDigits = 0
  var fractionDigits = 0
  var exponent = 0
  var exponentDigits = 0
  var isExponentNegative = false
  for byte in bytes {
    switch (state, byte) {
    case (0, 0x2d):
      isNegative = true
      state = 1
    case (0, 0x30...0x39), (1, 0x30...0x39):
      state = 1
      wholeDigits += 1
      if !digits.isEmpty || byte != 0x30 { digits.append(byte) }
    case (1, 0x2e) where wholeDigits > 0: state = 2
    case (2, 0x30...0x39):
      fractionDigits += 1
      power -= 1
      if !digits.isEmpty || byte != 0x30 { digits.append(byte) }
    case (1, 0x65), (1, 0x45), (2, 0x65), (2, 0x45):
      guard wholeDigits > 0, state == 1 || fractionDigits > 0 else { return nil }
      state = 3
    case (3, 0x2b): state = 4
    case (3, 0x2d):
      isExponentNegative = true
      state = 4
    case (3, 0x30...0x39), (4, 0x30...0x39):
      state = 4
      exponentDigits += 1
      exponent = min(999_999_999, exponent * 10 + Int(byte - 0x30))
    default: return nil
    }
  }
  guard wholeDigits > 0, state != 2 || fractionDigits > 0, state < 3 || exponentDigits > 0 else { return nil }
  power += isExponentNegative ? -exponent : exponent
  while digits.last == 0x30 {
    digits.removeLast()
    power += 1
  }
  if digits.isEmpty { return "0" }
  return (isNegative ? "-" : "") + String(decoding: digits, as: UTF8.self) + (power == 0 ? "" : "e\(power)")
}
