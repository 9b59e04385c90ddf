// Which packets belong to a decision: whose, of which time, how many at most. One value for whoever asks (a playbook's step, the command line)
// and for the program that cuts them out of a recording (`panguard-capture --cut`), and the arguments that carry it there. Pure.
// What must stay true: whatever was asked, the answer is bounded; arguments that are not exactly a selection are none.
import Primitives

public struct PacketSelection: Hashable, Sendable {
  /// The decision's id: "d" and 16 hexadecimal digits. It stands in the file that is made, and is no part of a path.
  public var decision: String
  /// A packet to or from any of them is meant.
  public var networks: [CIDR]
  /// Stamps (ns since 1970) of frames that the decision names: the flows of these frames are meant too, with all their packets.
  public var moments: [Int64]
  /// Nothing before or after is meant; ns since 1970, both included.
  public var since: Int64
  public var until: Int64
  /// The first so many are kept.
  public var packets: UInt64
  /// Of the file that is made.
  public var bytes: UInt64

  /// nil where it is not one: no name, nobody to look for, more than the limits, a time that ends before it begins.
  public init?(decision: String, networks: [CIDR], moments: [Int64], since: Int64, until: Int64, packets: UInt64, bytes: UInt64) {
    guard PacketSelection.isValid(decision: decision), !networks.isEmpty || !moments.isEmpty, networks.count <= Limits.cutNetworks,
      moments.count <= Limits.cutMoments, moments.allSatisfy({ $0 >= 0 }), 0 <= since, since <= until, Limits.cutPackets.contains(packets),
      Limits.cutBytes.contains(bytes)
    else { return nil }
    (self.decision, self.networks, self.moments) = (decision, networks, moments)
    (self.since, self.until, self.packets, self.bytes) = (since, until, packets, bytes)
  }

  public static func isValid(decision: String) -> Bool {
    let text = decision.utf8
    return text.count == 17 && text.first == 0x64 && text.dropFirst().allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }

  /// "packets of 192.0.2.7/32 from ... to ..., at most 65536 bytes"
  public var text: String {
    let whom = networks.isEmpty ? "\(moments.count) frames' flows" : networks.map(\.description).joined(separator: ", ")
    return "packets of \(whom) from \(EventTime(nanoseconds: since)) to \(EventTime(nanoseconds: until)), at most \(bytes) bytes"
  }

  // MARK: Arguments

  public static let optionNames = ["--decision", "--network", "--moment", "--since", "--until", "--packets", "--bytes"]

  public var arguments: [String] {
    ["--decision", decision] + networks.flatMap { ["--network", "\($0)"] } + moments.flatMap { ["--moment", "\($0)"] }
      + ["--since", "\(since)", "--until", "\(until)", "--packets", "\(packets)", "--bytes", "\(bytes)"]
  }

  /// nil: these options are not a selection. Each but `--network` and `--moment` stands there once.
  public init?(options: [(name: String, value: String)]) {
    var single: [String: String] = [:]  // only looked up
    var networks: [CIDR] = []
    var moments: [Int64] = []
    for (name, value) in options {
      switch name {
      case "--network":
        guard let network = CIDR(value), networks.count < Limits.cutNetworks else { return nil }
        networks.append(network)
      case "--moment":
        guard let moment = Int64(value), moments.count < Limits.cutMoments else { return nil }
        moments.append(moment)
      default: guard single.updateValue(value, forKey: name) == nil else { return nil }
      }
    }
    guard let decision = single["--decision"], let since = single["--since"].flatMap({ Int64($0) }),
      let until = single["--until"].flatMap({ Int64($0) }), let packets = single["--packets"].flatMap({ UInt64($0) }),
      let bytes = single["--bytes"].flatMap({ UInt64($0) })
    else { return nil }
    self.init(decision: decision, networks: networks, moments: moments, since: since, until: until, packets: packets, bytes: bytes)
  }
}
