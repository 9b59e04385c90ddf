// One mapping of a document, read key by key: each accessor says which type it wants, reports what does not fit (where, what was
// found, what is allowed), and goes on, so that one reading finds every problem. No accessor throws or traps.
import Primitives

public struct Section {
  public let entries: [Node.Entry]
  public let location: SourceLocation
  /// How messages name it: "detection.behavioral"; empty for the document itself.
  public let path: String
  public let problems: Problems
  private let index: [String: Int]

  /// nil, and an error, if `node` is not a mapping.
  public init?(_ node: Node, path: String = "", problems: Problems) {
    guard case .mapping(let entries) = node.content else {
      let name = path.isEmpty ? "the document" : "'\(path)'"
      problems.error(node.location, "\(name) must be a mapping of keys, not \(node.kindName)")
      return nil
    }
    self.entries = entries
    location = node.location
    self.path = path
    self.problems = problems
    index = Dictionary(entries.enumerated().map { ($1.key, $0) }, uniquingKeysWith: { first, _ in first })
  }

  public func qualified(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
  public func entry(_ key: String) -> Node.Entry? { index[key].map { entries[$0] } }
  public func has(_ key: String) -> Bool { index[key] != nil }
  /// The value, if the key is there and is not null.
  public func node(_ key: String) -> Node? {
    guard let value = entry(key)?.value, !value.isNull else { return nil }
    return value
  }
  public func location(of key: String) -> SourceLocation { entry(key)?.value.location ?? location }

  /// Reports keys that are not in `known`, with the nearest one. Keys that begin with "_" or "x-" are the author's own.
  public func refuseUnknownKeys(_ known: [String], as severity: Diagnostic.Severity = .error) {
    let set = Set(known)
    for entry in entries where !set.contains(entry.key) {
      if severity != .error, entry.key.hasPrefix("_") || entry.key.hasPrefix("x-") { continue }
      let place = path.isEmpty ? "" : " in '\(path)'"
      problems.add(
        Diagnostic(
          severity, entry.keyLocation, "unknown key '\(shown(entry.key))'\(place)", hint: problems.suggestion(for: entry.key, in: known)))
    }
  }

  private func missing(_ key: String, _ isRequired: Bool) {
    if isRequired {
      problems.error(entry(key)?.keyLocation ?? location, has(key) ? "'\(qualified(key))' has no value" : "'\(qualified(key))' is missing")
    }
  }

  /// A text that is not null. Numbers and dates are texts, as they stand.
  public func text(_ key: String, isRequired: Bool = false) -> String? {
    guard let node = node(key) else {
      missing(key, isRequired)
      return nil
    }
    return read(text: node, qualified(key))
  }
  private func read(text node: Node, _ name: String) -> String? {
    guard let text = node.text else {
      problems.error(node.location, "'\(name)' must be a text, not \(node.kindName)")
      return nil
    }
    return text
  }

  /// A list of texts; one text stands for a list of one.
  public func texts(_ key: String, isRequired: Bool = false) -> [String] { textNodes(key, isRequired: isRequired).compactMap(\.text) }
  /// The same, with their places.
  public func textNodes(_ key: String, isRequired: Bool = false) -> [Node] {
    guard let node = node(key) else {
      missing(key, isRequired)
      return []
    }
    if node.text != nil { return [node] }
    guard let items = node.list else {
      problems.error(node.location, "'\(qualified(key))' must be a list of texts, not \(node.kindName)")
      return []
    }
    return items.enumerated().filter { read(text: $1, "\(qualified(key))[\($0 + 1)]") != nil }.map(\.element)
  }

  /// The items of a list.
  public func list(_ key: String, isRequired: Bool = false) -> [Node]? {
    guard let node = node(key) else {
      missing(key, isRequired)
      return nil
    }
    guard let items = node.list else {
      problems.error(node.location, "'\(qualified(key))' must be a list, not \(node.kindName)")
      return nil
    }
    return items
  }

  public func section(_ key: String, isRequired: Bool = false) -> Section? {
    guard let node = node(key) else {
      missing(key, isRequired)
      return nil
    }
    return Section(node, path: qualified(key), problems: problems)
  }

  public func integer(_ key: String, in range: ClosedRange<Int64>, isRequired: Bool = false) -> Int64? {
    decimal(key, digits: 0, in: range, isRequired: isRequired)
  }

  /// A decimal number times 10^digits: "0.9" with three digits is 900. `range` is in those units too.
  public func decimal(_ key: String, digits: Int, in range: ClosedRange<Int64>, isRequired: Bool = false) -> Int64? {
    guard let node = node(key) else {
      missing(key, isRequired)
      return nil
    }
    guard let text = read(text: node, qualified(key)) else { return nil }
    let kind = digits == 0 ? "an integer" : "a number with at most \(digits) decimal\(digits == 1 ? "" : "s")"
    guard let value = fixedPoint(text, digits: digits) else {
      problems.error(node.location, "'\(qualified(key))' must be \(kind), not '\(shown(text))'")
      return nil
    }
    guard range.contains(value) else {
      let low = fixedPointText(range.lowerBound, digits: digits)
      let high = fixedPointText(range.upperBound, digits: digits)
      let limits = range.upperBound == .max ? "at least \(low)" : "between \(low) and \(high)"
      problems.error(node.location, "'\(qualified(key))' is \(shown(text)), but must be \(limits)")
      return nil
    }
    return value
  }

  /// true or false. YAML 1.1's other words are refused: what `no` means differs from reader to reader.
  public func flag(_ key: String, isRequired: Bool = false) -> Bool? {
    guard let node = node(key) else {
      missing(key, isRequired)
      return nil
    }
    switch node.text {
    case "true", "True", "TRUE": return true
    case "false", "False", "FALSE": return false
    default:
      problems.error(node.location, "'\(qualified(key))' must be true or false, not \(node.text.map { "'\(shown($0))'" } ?? node.kindName)")
      return nil
    }
  }

  /// A span of time: "30s", "10m", "1h", "7d", "PT5M".
  public func duration(_ key: String, isRequired: Bool = false) -> Nanoseconds? {
    guard let node = node(key) else {
      missing(key, isRequired)
      return nil
    }
    guard let text = read(text: node, qualified(key)) else { return nil }
    guard let value = Nanoseconds(duration: text) else {
      problems.error(
        node.location, "'\(qualified(key))' must be a duration, not '\(shown(text))'",
        hint: "write a whole number and a unit (500ms, 30s, 10m, 1h, 7d, 2w), or ISO 8601 like PT5M")
      return nil
    }
    return value
  }

  /// A number of bytes: "65536", "64KiB", "4MiB", "1GiB".
  public func byteCount(_ key: String, in range: ClosedRange<Int64>, isRequired: Bool = false) -> Int64? {
    guard let node = node(key) else {
      missing(key, isRequired)
      return nil
    }
    guard let text = read(text: node, qualified(key)) else { return nil }
    let units: [(suffix: String, shift: Int64)] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("", 0)]
    let unit = units.first { text.hasSuffix($0.suffix) }
    let digits = text.dropLast(unit?.suffix.utf8.count ?? 0)
    guard let unit, let number = fixedPoint(String(digits), digits: 0),
      case let (value, overflow) = number.multipliedReportingOverflow(by: 1 << unit.shift),
      !overflow
    else {
      problems.error(node.location, "'\(qualified(key))' must be a number of bytes, not '\(shown(text))'", hint: "for example 65536, 64KiB, 4MiB")
      return nil
    }
    guard range.contains(value) else {
      problems.error(node.location, "'\(qualified(key))' is \(shown(text)), but must be between \(range.lowerBound) and \(range.upperBound) bytes")
      return nil
    }
    return value
  }

  /// One of the words of an enumeration. `severity: .warning` reports an unknown word and returns nil all the same.
  public func choice<Choice: RawRepresentable & CaseIterable>(
    _ key: String, _ type: Choice.Type, isRequired: Bool = false
  ) -> Choice? where Choice.RawValue == String {
    guard let node = node(key) else {
      missing(key, isRequired)
      return nil
    }
    guard let text = read(text: node, qualified(key)) else { return nil }
    if let choice = Choice(rawValue: text) { return choice }
    refuse(node, text, qualified(key), allowed: Choice.allCases.map(\.rawValue))
    return nil
  }
  /// One of `allowed`, or, with `severity` below error, any text.
  public func word(_ key: String, of allowed: [String], isRequired: Bool = false, as severity: Diagnostic.Severity = .error) -> String? {
    guard let text = text(key, isRequired: isRequired), let node = node(key) else { return nil }
    if allowed.contains(text) { return text }
    refuse(node, text, qualified(key), allowed: allowed, as: severity)
    return severity == .error ? nil : text
  }
  private func refuse(_ node: Node, _ text: String, _ name: String, allowed: [String], as severity: Diagnostic.Severity = .error) {
    let near = problems.isFull ? nil : nearest(text, in: allowed)
    let list = allowed.count <= 16 || near == nil ? "one of \(allowed.joined(separator: ", "))" : "one of the known ones"
    problems.add(
      Diagnostic(
        severity, node.location, "'\(name)' is '\(shown(text))', but must be \(list)", hint: near.map { "did you mean '\($0)'?" } ?? ""))
  }
}

/// A decimal number ("12", "-0.5") times 10^digits, exactly; nil if it is none, has more decimals, or does not fit.
public func fixedPoint(_ text: String, digits: Int) -> Int64? {
  var value: Int64 = 0
  var decimals = -1
  var count = 0
  var isNegative = false
  for (i, byte) in text.utf8.enumerated() {
    switch byte {
    case 0x2d where i == 0: isNegative = true
    case 0x2b where i == 0: break
    case 0x2e where decimals < 0 && count > 0 && digits > 0: decimals = 0
    case 0x30...0x39:
      count += 1
      if decimals >= 0 {
        // Zeros beyond the last decimal change nothing.
        if decimals == digits {
          guard byte == 0x30 else { return nil }
          continue
        }
        decimals += 1
      }
      let (product, o1) = value.multipliedReportingOverflow(by: 10)
      let (sum, o2) = product.addingReportingOverflow(Int64(byte - 0x30))
      guard !o1, !o2 else { return nil }
      value = sum
    default: return nil
    }
  }
  guard count > 0, decimals != 0 else { return nil }
  for _ in max(0, decimals)..<max(digits, 0) {
    let (product, overflow) = value.multipliedReportingOverflow(by: 10)
    guard !overflow else { return nil }
    value = product
  }
  return isNegative ? -value : value
}

/// The shortest decimal text of value / 10^digits.
public func fixedPointText(_ value: Int64, digits: Int) -> String {
  guard digits > 0 else { return "\(value)" }
  var scale: UInt64 = 1
  for _ in 0..<min(digits, 18) { scale *= 10 }
  let whole = value.magnitude / scale
  var fraction = String(value.magnitude % scale)
  fraction = String(repeating: "0", count: max(0, digits - fraction.utf8.count)) + fraction
  while fraction.utf8.last == 0x30 { fraction.removeLast() }
  return (value < 0 ? "-" : "") + "\(whole)" + (fraction.isEmpty ? "" : ".\(fraction)")
}
