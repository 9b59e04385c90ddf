// The keys of the addresses that events were about lately. An attack is many lines from few addresses, in turn: looking up the key costs less
// than writing the address out and hashing it.
// What must stay true: it changes no result. Memory: 256 addresses, 12 KiB.
import Primitives

struct SourceKeys {
  private static let count = 256
  private var known = [(address: IPAddress, key: Fingerprint)?](repeating: nil, count: SourceKeys.count)
  private var text: [UInt8] = []

  /// The same as of a subject that is the address.
  mutating func key(of address: IPAddress) -> Fingerprint {
    let index = Int(truncatingIfNeeded: ((address.high ^ address.low) &* 0x9e37_79b9_7f4a_7c15) >> 56)
    if let known = known[index], known.address == address { return known.key }
    text.removeAll(keepingCapacity: true)
    Detector.begin(&text, label: "source")
    address.append(to: &text)
    let key = text.withUnsafeBytes { Fingerprint(of: $0) }
    known[index] = (address, key)
    return key
  }
}
