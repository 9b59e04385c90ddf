// The enumerations that a rule set has thousands of, as lists that begin with a number: what Swift writes for them by itself names each case
// and asks for a container for each, which was half of what a start with the cache took.
// What must stay true: what is read back equals what was written, and what is not of this form is an error.
import Events

private func unknownCase(_ number: Int) -> CompactCodingError { CompactCodingError(message: "no case has the number \(number)") }

extension FieldReference {
  public init(from decoder: any Decoder) throws {
    var list = try decoder.unkeyedContainer()
    switch try list.decode(Int.self) {
    case 0:
      let number = try list.decode(Int.self)
      guard let field = UInt8(exactly: number).flatMap(Field.init(rawValue:)) else {
        throw CompactCodingError(message: "no field has the number \(number)")
      }
      self = .known(field)
    case 1: self = .extra(try list.decode(String.self))
    case let number: throw unknownCase(number)
    }
  }
  public func encode(to encoder: any Encoder) throws {
    var list = encoder.unkeyedContainer()
    switch self {
    case .known(let field):
      try list.encode(0)
      try list.encode(Int(field.rawValue))
    case .extra(let name):
      try list.encode(1)
      try list.encode(name)
    }
  }
}

extension Condition.Test {
  public init(from decoder: any Decoder) throws {
    var list = try decoder.unkeyedContainer()
    let number = try list.decode(Int.self)
    switch number {
    case 0...3:
      let isCaseSensitive = try list.decode(Bool.self)
      var texts: [String] = []
      while !list.isAtEnd { texts.append(try list.decode(String.self)) }
      switch number {
      case 0: self = .regex(texts, caseSensitive: isCaseSensitive)
      case 1: self = .contains(texts, caseSensitive: isCaseSensitive)
      case 2: self = .exact(texts, caseSensitive: isCaseSensitive)
      default: self = .startsWith(texts, caseSensitive: isCaseSensitive)
      }
    case 4: self = .compare(try list.decode(Comparison.self), try list.decode(Int64.self))
    case 5: self = .exists(try list.decode(Bool.self))
    default: throw unknownCase(number)
    }
  }
  public func encode(to encoder: any Encoder) throws {
    var list = encoder.unkeyedContainer()
    func put(_ number: Int, _ texts: [String], _ isCaseSensitive: Bool) throws {
      try list.encode(number)
      try list.encode(isCaseSensitive)
      for text in texts { try list.encode(text) }
    }
    switch self {
    case .regex(let texts, let isCaseSensitive): try put(0, texts, isCaseSensitive)
    case .contains(let texts, let isCaseSensitive): try put(1, texts, isCaseSensitive)
    case .exact(let texts, let isCaseSensitive): try put(2, texts, isCaseSensitive)
    case .startsWith(let texts, let isCaseSensitive): try put(3, texts, isCaseSensitive)
    case .compare(let comparison, let bound):
      try list.encode(4)
      try list.encode(comparison)
      try list.encode(bound)
    case .exists(let isPresent):
      try list.encode(5)
      try list.encode(isPresent)
    }
  }
}

extension Expression {
  public init(from decoder: any Decoder) throws {
    var list = try decoder.unkeyedContainer()
    let number = try list.decode(Int.self)
    switch number {
    case 0: self = .condition(try list.decode(Int.self))
    case 1: self = .not(try list.decode(Expression.self))
    case 2, 3:
      var parts: [Expression] = []
      while !list.isAtEnd { parts.append(try list.decode(Expression.self)) }
      self = number == 2 ? .all(parts) : .any(parts)
    default: throw unknownCase(number)
    }
  }
  public func encode(to encoder: any Encoder) throws {
    var list = encoder.unkeyedContainer()
    switch self {
    case .condition(let index):
      try list.encode(0)
      try list.encode(index)
    case .not(let inner):
      try list.encode(1)
      try list.encode(inner)
    case .all(let parts):
      try list.encode(2)
      for part in parts { try list.encode(part) }
    case .any(let parts):
      try list.encode(3)
      for part in parts { try list.encode(part) }
    }
  }
}

extension TestCase.Input {
  public init(from decoder: any Decoder) throws {
    var list = try decoder.unkeyedContainer()
    let number = try list.decode(Int.self)
    let text = try list.decode(String.self)
    switch number {
    case 0: self = .lines(text)
    case 1: self = .event(text)
    case 2: self = .stream(text)
    default: throw unknownCase(number)
    }
  }
  public func encode(to encoder: any Encoder) throws {
    var list = encoder.unkeyedContainer()
    switch self {
    case .lines(let text):
      try list.encode(0)
      try list.encode(text)
    case .event(let text):
      try list.encode(1)
      try list.encode(text)
    case .stream(let text):
      try list.encode(2)
      try list.encode(text)
    }
  }
}
