// Identifiers that come from outside and go into records that must not hold names, addresses or secrets (spec/atr-event-v1.0.md, "Forbidden
// fields"). What is plainly an identifier stays readable; everything else becomes a hash, equal for equal texts, so that records can still be
// joined. What must stay true: bounded, linear, no state.
import Primitives

enum PlainIdentifier {
  private static let limit = 64
  /// Beginnings of keys and tokens of well-known services, in lower case.
  private static let secretPrefixes = [
    "sk-", "sk_", "pk_", "rk_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xoxa-", "xoxb-", "xoxp-", "xoxr-", "xoxs-", "akia",
    "asia", "aiza", "ya29.", "eyj", "hf_", "npm_", "pypi-",
  ]
  /// Letters and digits in one run that look drawn at random: longer than words, with both cases and digits; in one case longer than the 32
  /// digits of a UUID.
  private static let randomRun = 20
  private static let uuidRun = 32

  /// `text` itself, or "hash:" and 16 hexadecimal digits.
  static func of(_ text: String) -> String {
    if isPlain(text) { return text }
    var name: [UInt8] = []
    Array(text.utf8).withUnsafeBytes { Fingerprint(of: $0) }.append(to: &name)
    return "hash:" + String(decoding: name.prefix(16), as: UTF8.self)
  }

  private static func isPlain(_ text: String) -> Bool {
    guard (1...limit).contains(text.utf8.count) else { return false }
    guard text.utf8.allSatisfy({ isLetter($0) || isDigit($0) || "-_.:".utf8.contains($0) }) else { return false }
    // Digits with separators: numbers of telephones and cards.
    if text.utf8.count(where: isDigit) >= 7, !text.utf8.contains(where: isLetter) { return false }
    return !hasAddress(text) && !hasSecretPrefix(text) && !hasRandomRun(text)
  }

  /// Whether something in it could be an IP address of either family or a hardware address, whatever stands around it.
  private static func hasAddress(_ text: String) -> Bool {
    let isDotted = text.utf8.split { !isDigit($0) && $0 != 0x2e && $0 != 0x2d }.contains { run in
      let numbers = run.split(omittingEmptySubsequences: false) { !isDigit($0) }.map { (1...3).contains($0.count) }
      return numbers.indices.dropLast(3).contains { numbers[$0..<$0 + 4].allSatisfy { $0 } }
    }
    return isDotted
      || text.utf8.split { !isHexDigit($0) && $0 != 0x3a }.contains { run in
        let groups = run.split(omittingEmptySubsequences: false) { $0 == 0x3a }
        let isShortened = groups.contains { !$0.isEmpty } && zip(run, run.dropFirst()).contains { $0 == 0x3a && $1 == 0x3a }
        return isShortened || groups.count > 5
      }
  }
  /// At its beginning, or behind a colon.
  private static func hasSecretPrefix(_ text: String) -> Bool {
    text.lowercased().split(separator: ":").contains { part in secretPrefixes.contains { part.hasPrefix($0) } }
  }

  private static func hasRandomRun(_ text: String) -> Bool {
    text.utf8.split { !isLetter($0) && !isDigit($0) }.contains { run in
      guard run.count >= randomRun, run.contains(where: isDigit) else { return false }
      return run.count > uuidRun || run.contains { (0x41...0x5a).contains($0) } && run.contains { (0x61...0x7a).contains($0) }
    }
  }
  private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte | 0x20) }
  private static func isHexDigit(_ byte: UInt8) -> Bool { isDigit(byte) || (0x61...0x66).contains(byte | 0x20) }
  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
}
