// Networks and times in records that are kept: a network as its text, a time as its nanoseconds. Anything else is an error of the decoder.

extension CIDR: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let network = CIDR(text), network.description == text else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a network")
    }
    self = network
  }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension EventTime: Codable {
  public init(from decoder: any Decoder) throws { self.init(nanoseconds: try decoder.singleValueContainer().decode(Int64.self)) }
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(nanoseconds)
  }
}
