// What the network detectors must still know after a restart, because they learned it for long: where the owner's own hosts answer, since when
// they are known, and which ports outside are in use. As lines of text:
//
//   panguard network memory 1
//   host ADDRESS SINCE            SINCE: nanoseconds of Unix time; from the one that was silent longest to the newest
//   listener ADDRESS PORT SINCE
//   used PLACE                    a port of TCP, or 65536 and a port of UDP
//
// What is learned within minutes or hours (peers, domains, volumes) is learned again. Reading is total: bytes that are no such text are an error,
// and nothing of them is taken; tables keep their limits.
import Primitives

/// Why bytes are no memory of the network.
public struct NetworkMemoryError: Error, Hashable, Sendable, CustomStringConvertible {
  public var line: Int
  public var description: String { "line \(line) of what was learned about the network is damaged" }
}

enum NetworkMemoryEntry: Equatable {
  case host(IPAddress, since: EventTime)
  case listener(ListenerDetector.Listener, since: EventTime)
  case used(place: Int)

  func append(to out: inout [UInt8]) {
    switch self {
    case .host(let address, let since):
      out.append("host " as StaticString)
      address.append(to: &out)
      NetworkMemoryEntry.append(since, to: &out)
    case .listener(let listener, let since):
      out.append("listener " as StaticString)
      listener.host.append(to: &out)
      out.append(0x20)
      out.append(decimal: Int64(listener.port))
      NetworkMemoryEntry.append(since, to: &out)
    case .used(let place):
      out.append("used " as StaticString)
      out.append(decimal: Int64(place))
    }
    out.append(0x0a)
  }
  private static func append(_ since: EventTime, to out: inout [UInt8]) {
    out.append(0x20)
    out.append(decimal: max(0, since.nanoseconds))
  }

  init?(_ line: Bytes) {
    var words: [Bytes] = []
    var rest = line
    while let space = rest.index(of: 0x20), words.count < 4 {
      words.append(rest.upTo(space))
      rest = rest.from(space + 1)
    }
    words.append(rest)
    if words.count == 3, words[0].equals("host"), let host = IPAddress(words[1]), let since = words[2].decimal {
      self = .host(host, since: EventTime(nanoseconds: since))
    } else if words.count == 4, words[0].equals("listener"), let host = IPAddress(words[1]), let port = words[2].decimal, 1...65_535 ~= port,
      let since = words[3].decimal
    {
      self = .listener(ListenerDetector.Listener(host: host, port: UInt16(port)), since: EventTime(nanoseconds: since))
    } else if words.count == 2, words[0].equals("used"), let place = words[1].decimal, 0..<Int64(NewService.places) ~= place {
      self = .used(place: Int(place))
    } else {
      return nil
    }
  }
}

extension NetworkDetectors {
  private static let heading: StaticString = "panguard network memory 1\n"

  /// What must be known after a restart: a few hundred bytes, at most about 1.5 MB. The same for the same state.
  public func memory() -> [UInt8] {
    var out: [UInt8] = []
    out.append(NetworkDetectors.heading)
    forEachMemory { $0.append(to: &out) }
    return out
  }

  /// Takes up what an earlier run remembered. Nothing is taken of what is damaged.
  public mutating func resume(memory: [UInt8]) throws(NetworkMemoryError) {
    var entries: [NetworkMemoryEntry] = []
    var damaged: Int?
    memory.withUnsafeBytes { raw in
      var rest = Bytes(raw)
      guard rest.starts(with: NetworkDetectors.heading), rest.last == 0x0a else {
        damaged = 1
        return
      }
      rest = rest.from(NetworkDetectors.heading.utf8CodeUnitCount)
      while let end = rest.index(of: 0x0a) {
        guard let entry = NetworkMemoryEntry(rest.upTo(end)) else {
          damaged = entries.count + 2
          return
        }
        entries.append(entry)
        rest = rest.from(end + 1)
      }
    }
    if let damaged { throw NetworkMemoryError(line: damaged) }
    for entry in entries { take(entry) }
  }
}
