// Probability and evidence as integers: the decision path has no floating point.

/// Evidence in thousandths of a nat: 1000 x the natural logarithm of a likelihood ratio. Positive speaks for an attack.
public struct MilliNats: Hashable, Comparable, Sendable {
  public var value: Int32
  public init(_ value: Int32) { self.value = value }
  public static func < (a: MilliNats, b: MilliNats) -> Bool { a.value < b.value }
  public static let zero = MilliNats(0)
}

/// A probability in thousandths, 0...1000. 0 and 1000 are never reached: no evidence is certain.
public struct Confidence: Codable, Hashable, Comparable, Sendable, CustomStringConvertible {
  public let thousandths: Int
  public init(thousandths: Int) { self.thousandths = Swift.max(1, Swift.min(999, thousandths)) }
  public static func < (a: Confidence, b: Confidence) -> Bool { a.thousandths < b.thousandths }
  /// "0.953"
  public var description: String {
    var out: [UInt8] = []
    out.append("0." as StaticString)
    out.append(decimal: UInt64(thousandths), minimumDigits: 3)
    return String(decoding: out, as: UTF8.self)
  }
}
