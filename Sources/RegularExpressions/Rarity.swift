// How often a literal stands in text by chance: a fixed table, rough on purpose, of English text and code. It only ranks the sets of
// literals that a pattern offers; nothing is decided by it.

enum Rarity {
  /// A literal costs 2^(ceiling - bits): as often as it is expected in 2^ceiling bytes.
  static let ceiling = 44

  /// Sixteenths of a bit per byte: letters by their frequency in English, the rest by guess from source code.
  private static let letters: [Int] = [
    // a   b   c   d   e   f   g   h   i   j    k   l   m
    62, 100, 84, 78, 54, 92, 94, 72, 64, 150, 116, 76, 88,
    // n  o   p   q    r   s   t   u   v    w   x    y   z
    62, 62, 90, 160, 66, 64, 58, 86, 112, 98, 144, 96, 168,
  ]
  private static func weight(_ byte: UInt8) -> Int {
    switch byte {
    case 0x61...0x7a: letters[Int(byte - 0x61)] * 5 / 6  // neighbours in a word tell of each other
    case 0x20: 40
    case 0x0a: 80
    case 0x2e, 0x2c, 0x2d, 0x5f, 0x2f, 0x22, 0x27, 0x3a, 0x28, 0x29, 0x3d: 92
    case 0x30...0x39: 96
    case 0x80...0xff: 76
    default: 116
    }
  }
  /// Words that stand in ordinary documents, prompts and code so often that their letters do not tell it.
  private static let words: [String] = [
    "the", "and", "you", "your", "for", "with", "this", "that", "from", "are", "not", "all", "any", "can", "will", "must", "have", "has",
    "use", "user", "users", "file", "files", "data", "code", "tool", "tools", "http", "https", "://", "http://", "https://", "system", "agent",
    "agents", "message", "messages", "content", "function", "return", "string", "name", "type", "value", "true", "false", "null", "key", "api",
    "url", "id", "get", "set", "new", "run", "execute", "command", "input", "output", "text", "prompt", "model", "server", "request", "response",
    "access", "password", "token", "secret", "admin", "config", "path", "import", "instruction", "instructions", "ignore", "previous", "before",
    "after", "when", "then", "should", "would", "please", "error", "test", "link", "list", "read", "write", "send", "show", "print", "make",
    "let", "var", "const", "json", "class", "self", "com", "www", "org", ".com", "html", "script", "time", "first", "following", "about",
    "other", "only", "they", "them", "what", "which", "there", "their", "into", "than", "also", "just", "like", "know", "need", "over", "more",
    "information", "security", "provide", "include", "process", "memory", "action", "task", "step", "context", "training", "assistant", "role",
    "ing", "tion", "ion", "ent", "ate", "ers", "est", "pre", "pro", "con", "per", "out", "rule", "rules", "without", "override", "project",
  ]
  private static let sortedWords: [[UInt8]] = words.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }

  /// Expected occurrences in 2^ceiling bytes, at least 1.
  static func cost(_ literal: [UInt8]) -> UInt64 {
    var sixteenths = literal.reduce(0) { $0 + weight($1) }
    if isCommon(literal) { sixteenths = min(sixteenths, 12 * 16) }
    let bits = min(sixteenths / 16, ceiling - 1)
    let rest = UInt64(sixteenths % 16)
    let whole = UInt64(1) << UInt64(ceiling - bits)
    return max(1, whole - whole * rest / 32)
  }
  private static func isCommon(_ literal: [UInt8]) -> Bool {
    var word = literal[...]
    while word.first == 0x20 { word = word.dropFirst() }
    while word.last == 0x20 { word = word.dropLast() }
    var low = 0
    var high = sortedWords.count
    while low < high {
      let middle = (low + high) / 2
      if sortedWords[middle].lexicographicallyPrecedes(word) { low = middle + 1 } else { high = middle }
    }
    return low < sortedWords.count && sortedWords[low].elementsEqual(word)
  }

  /// Of 1000 bytes of text, about how many are `byte`.
  static func perMille(_ byte: UInt8) -> Int {
    let bits = weight(byte) / 16
    return byte >= 0x80 ? 1 : byte < 0x20 && byte != 0x0a && byte != 0x09 ? 0 : byte == 0x20 ? 160 : max(1, 1000 >> (bits + 1))
  }
}
