// Registered domains: which part of a name somebody has registered, by the public suffix list (publicsuffix.org) as libpsl has it compiled in,
// with the private section, so that each customer of a hosting or delivery network is a domain of its own.
// What must stay true: no file is read and nothing is allocated; a name costs at most `Limits.publicSuffixLabels` questions to the list, and
// what was asked lately is remembered: the list takes 100 to 400 ns for an answer.
import CPSL
import Primitives

final class PublicSuffixes {
  private let list = psl_builtin()
  /// By hash: 63 bits of the hash of a tail of labels, and whether it is a public suffix. 0: nothing.
  private var known = [UInt64](repeating: 0, count: PublicSuffixes.knownTails)
  /// So that nobody can choose names that push each other out, or that are taken for each other.
  private let seed = UInt64.random(in: 0 ... .max)
  private static let knownTails = 4096

  /// Where in `name` its registered domain begins. nil: it has none, because it is a public suffix itself, a single label, or an address.
  /// - Parameter name: as `DNSMessage.questionName`: lower case, no last dot, dots in labels escaped.
  func registeredDomain(in name: Bytes) -> Int? {
    guard list != nil, name.count > 2, !(0x30...0x39).contains(name[name.count - 1]) else { return nil }
    var hash = seed
    var at = name.count
    var labels = 0
    /// Behind the dot before the longest suffix so far: what registered domains lie before.
    var isBehindSuffix = false
    var registered: Int?
    while at > 0, labels <= Limits.publicSuffixLabels {
      // One more label to the left.
      var start = at
      while start > 0, !PublicSuffixes.isDot(name, start - 1) {
        start -= 1
        hash = (hash ^ UInt64(name[start])) &* 0x9e37_79b9_7f4a_7c15
        hash ^= hash >> 32
      }
      labels += 1
      if isBehindSuffix { registered = start }
      isBehindSuffix = labels <= Limits.publicSuffixLabels && isSuffix(name.from(start), hash)
      if isBehindSuffix { registered = nil }
      hash = (hash ^ 0x2e) &* 0x9e37_79b9_7f4a_7c15
      at = start - 1
    }
    return registered
  }

  private static func isDot(_ name: Bytes, _ at: Int) -> Bool {
    guard name[at] == 0x2e else { return false }
    var before = at
    while before > 0, name[before - 1] == 0x5c { before -= 1 }
    return (at - before) & 1 == 0
  }

  private func isSuffix(_ tail: Bytes, _ hash: UInt64) -> Bool {
    let place = Int(truncatingIfNeeded: hash >> 40) & (PublicSuffixes.knownTails - 1)
    let tag = hash & ~1 | 2
    if known[place] & ~1 == tag { return known[place] & 1 == 1 }
    let isSuffix = ask(tail)
    known[place] = tag | (isSuffix ? 1 : 0)
    return isSuffix
  }

  private func ask(_ tail: Bytes) -> Bool {
    guard tail.count <= Limits.publicSuffixBytes else { return false }
    return withUnsafeTemporaryAllocation(byteCount: tail.count + 1, alignment: 1) { text in
      text.copyMemory(from: tail)
      text[tail.count] = 0
      return psl_is_public_suffix(list, text.baseAddress?.assumingMemoryBound(to: CChar.self)) != 0
    }
  }
}
