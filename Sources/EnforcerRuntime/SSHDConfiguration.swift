// On which ports sshd listens and how long it lets anybody stay without authentication, as its files, its socket unit and its command line
// say. The text is read purely; the reader opens the files that it names.
// What must stay true: what is there and cannot be read or understood is said in `unclear`, never taken for "nothing is said"; more ports than
// sshd has do no harm; any text ends in bounded time and memory.
import Enforcement
import Glibc
import Primitives
import TypedYAML

struct SSHDFacts: Equatable, Sendable {
  /// 22 is always among them: a session outlives the configuration that it began under.
  var ports: Set<UInt16> = [22]
  /// LoginGraceTime in seconds, the longest that is named; 0: without end. nil: none is named (sshd's default is 120).
  var loginGrace: UInt32?
  /// Why there may be other ports; nil: there are none.
  var unclear: String?

  mutating func add(grace seconds: UInt32) {
    if loginGrace == 0 { return }
    loginGrace = seconds == 0 ? 0 : max(loginGrace ?? 0, seconds)
  }
}

/// The words of sshd's texts.
enum SSHDText {
  /// What one text says, and the patterns of files that it includes.
  struct Said: Equatable {
    var ports: [UInt16] = []
    var graces: [UInt32] = []
    var includes: [String] = []
    /// A port that is none of ours to understand, for example the name of a service.
    var unclear: String?
  }

  /// sshd_config(5): `Port`, `ListenAddress`, `LoginGraceTime`, `Include`.
  static func configuration(_ text: Bytes) -> Said {
    var said = Said()
    for line in text.string.split(whereSeparator: \.isNewline) {
      let trimmed = line.drop { $0 == " " || $0 == "\t" }
      let key = trimmed.prefix { $0 != " " && $0 != "\t" && $0 != "=" }
      guard !key.isEmpty, key.first != "#" else { continue }
      add(key.lowercased(), words(trimmed.dropFirst(key.count).drop { $0 == " " || $0 == "\t" || $0 == "=" }), to: &said)
    }
    return said
  }

  private static func add(_ key: String, _ values: [String], to said: inout Said) {
    guard let value = values.first else { return }
    switch key {
    case "port":
      if let port = UInt16(value), port > 0 { said.ports.append(port) } else { said.unclear = "port '\(value.prefix(32))'" }
    case "listenaddress": if let port = port(ofAddress: value) { said.ports.append(port) }
    case "logingracetime": if let seconds = seconds(value) { said.graces.append(seconds) }
    case "include": said.includes += values.prefix(Limits.sshdFiles)
    default: break
    }
  }

  /// Words as sshd splits them: quotes hold one together, # begins a comment.
  private static func words(_ text: Substring) -> [String] {
    var words: [String] = []
    var word: String?
    var quote: Character?
    for character in text {
      if let open = quote {
        if character == open { quote = nil } else { word?.append(character) }
      } else if character == "\"" || character == "'" {
        quote = character
        word = word ?? ""
      } else if character == " " || character == "\t" {
        if let done = word { words.append(done) }
        word = nil
      } else if character == "#", word == nil {
        break
      } else {
        word = (word ?? "") + String(character)
      }
    }
    return words + [word].compactMap { $0 }
  }

  /// The ports of `ListenStream=` in systemd.socket(5).
  static func socketUnit(_ text: Bytes) -> Said {
    var said = Said()
    for line in text.string.split(whereSeparator: \.isNewline) {
      let parts = line.split(separator: "=", maxSplits: 1).map { $0.drop { $0 == " " || $0 == "\t" } }
      guard parts.count == 2, parts[0].prefix(while: { $0 != " " && $0 != "\t" }).lowercased() == "listenstream" else { continue }
      let value = String(parts[1].prefix { $0 != " " && $0 != "\t" })
      if let port = UInt16(value) ?? port(ofAddress: value) { said.ports.append(port) }
    }
    return said
  }

  /// Options of sshd(8), in a service unit or in a file that sets variables of the shell: -p, -g, -f, and -o with the keys above.
  static func commandLine(_ text: Bytes) -> Said {
    var said = Said()
    for line in text.string.split(whereSeparator: \.isNewline) where line.first(where: { $0 != " " && $0 != "\t" }) != "#" {
      let words = line.split { " \t\"'=".contains($0) }.map(String.init)
      let isOfSSHD = line.contains("sshd") || line.lowercased().contains("opt")
      for (i, word) in words.enumerated() {
        let next = i + 1 < words.count ? words[i + 1] : ""
        let value = word.utf8.count > 2 ? String(word.dropFirst(2)) : next
        if word.hasPrefix("-p"), let port = UInt16(value) { said.ports.append(port) }
        if word.hasPrefix("-g"), let seconds = seconds(value) { said.graces.append(seconds) }
        if isOfSSHD, word.hasPrefix("-f"), value.hasPrefix("/") { said.includes.append(value) }
        let key = (word.hasPrefix("-o") ? String(word.dropFirst(2)) : word).lowercased()
        if key == "port", let port = UInt16(next) { said.ports.append(port) }
        if key == "listenaddress" || key == "logingracetime" { add(key, [next], to: &said) }
      }
    }
    return said
  }

  /// host:port or [address]:port; a bare IPv6 address has no port.
  private static func port(ofAddress text: String) -> UInt16? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2 || text.hasPrefix("["), let last = parts.last, !last.hasSuffix("]") else { return nil }
    return UInt16(last)
  }
  /// Numbers with an optional unit, added up ("1h30m"); nil: not such a text.
  static func seconds(_ text: String) -> UInt32? {
    let units: [Character: UInt64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800]
    var total: UInt64 = 0
    var number: UInt64?
    for character in text.lowercased() {
      if let digit = character.wholeNumberValue, character.isASCII {
        number = min((number ?? 0) * 10 + UInt64(digit), UInt64(UInt32.max))
      } else {
        guard let unit = units[character], let value = number else { return nil }
        total = min(total + value * unit, UInt64(UInt32.max))
        number = nil
      }
    }
    guard !text.isEmpty else { return nil }
    return UInt32(min(total + (number ?? 0), UInt64(UInt32.max)))
  }
}

/// Reads the files, with those that they include.
struct SSHDReader {
  private(set) var facts = SSHDFacts()
  /// Where relative names in `Include` lie.
  private let directory: String
  private var seen: Set<String> = []

  init(directory: String) { self.directory = directory }

  /// A file, and the `.conf` files of its directory `.d`, which may be there without it.
  mutating func readWithDropIns(_ path: String, _ parse: (Bytes) -> SSHDText.Said) {
    read(path, parse)
    switch FileState.of(path + ".d") {
    case .absent: break
    case .unreadable(let reason): note("\(path).d: \(reason)")
    case .there:
      guard let names = directoryNames(path + ".d") else { return note("\(path).d cannot be listed: \(errorText(errno))") }
      for name in names where name.hasSuffix(".conf") { read("\(path).d/\(name)", parse) }
    }
  }

  /// Each file once, so that files which include each other end.
  mutating func read(_ path: String, _ parse: (Bytes) -> SSHDText.Said) {
    guard seen.insert(path).inserted else { return }
    guard seen.count <= Limits.sshdFiles else { return note("sshd's configuration has more than \(Limits.sshdFiles) files") }
    guard case .there(let isDevice) = FileState.of(path), !isDevice else {
      if case .unreadable(let reason) = FileState.of(path) { note("\(path): \(reason)") }
      return
    }
    switch readDocumentFile(path, limit: Limits.watchedFileBytes) {
    case .failure(let error): if case .there = FileState.of(path) { note("\(path): \(error.diagnostic.message)") }
    case .success(let bytes):
      let said = bytes.withUnsafeBytes(parse)
      facts.ports.formUnion(said.ports)
      for grace in said.graces { facts.add(grace: grace) }
      if let unclear = said.unclear { note("\(path): \(unclear)") }
      for pattern in said.includes { include(pattern.hasPrefix("/") ? pattern : "\(directory)/\(pattern)") }
    }
  }

  private mutating func include(_ pattern: String) {
    var found = glob_t()
    defer { globfree(&found) }
    let code = glob(pattern, GLOB_ERR, nil, &found)
    if code == GLOB_NOMATCH { return }
    guard code == 0 else {
      // A directory that is not there holds nothing.
      let parent = pattern.lastIndex(of: "/").map { String(pattern[..<$0]) } ?? "/"
      if case .absent = FileState.of(parent) { return }
      return note("\(pattern) cannot be listed")
    }
    for i in 0..<min(Int(found.gl_pathc), Limits.sshdFiles + 1) {
      guard let path = found.gl_pathv[i] else { continue }
      read(String(cString: path), SSHDText.configuration)
    }
  }

  private mutating func note(_ reason: String) { facts.unclear = facts.unclear ?? reason }
}

/// Whether a file is there: absent is an answer, anything else that fails is not.
enum FileState {
  case absent
  /// A device is no text: systemd masks a unit by linking it to /dev/null.
  case there(isDevice: Bool)
  case unreadable(String)

  static func of(_ path: String) -> FileState {
    var status = stat()
    if stat(path, &status) == 0 { return .there(isDevice: status.st_mode & S_IFMT == S_IFCHR) }
    return errno == ENOENT || errno == ENOTDIR ? .absent : .unreadable(errorText(errno))
  }
}
