// Addresses as login programs write them into messages: "192.0.2.1 port 22", "2001:db8::1", "UNKNOWN", "host.example".
import Events
import Primitives

/// A peer inside a message. `address` is one word.
struct PeerText {
  var address: Bytes
  var ip: IPAddress?
  /// -1: not written (old versions).
  var port: Int64
  /// Where `address` begins in the text that was read.
  var start: Int
  /// Behind the last byte that belongs to the peer.
  var end: Int

  /// The peer that ends `text`: "<anything><address> port <n>" or "<anything><address>".
  @inline(__always)
  static func trailing(_ text: Bytes) -> PeerText? {
    let count = text.count
    var i = count
    while i > 0, count - i < 6, text[i - 1] &- 0x30 <= 9 { i -= 1 }
    if i < count, i > 6, text.slice(i - 6, i).equals(" port ") {
      guard let port = text.from(i).decimal, port <= 65_535 else { return nil }
      let start = (text.lastIndex(of: 0x20, before: i - 6) ?? -1) + 1
      return make(text, start, i - 6, port: port, end: count)
    }
    let start = (text.lastIndex(of: 0x20) ?? -1) + 1
    return make(text, start, count, port: -1, end: count)
  }

  /// The peer that begins `text`: "<address>", "<address> port <n>" or "<address>:", followed by anything.
  static func leading(_ text: Bytes) -> PeerText? {
    var end = text.index(of: 0x20) ?? text.count
    let word = end
    while end > 0, text[end - 1] == 0x3a || text[end - 1] == 0x2c { end -= 1 }
    guard var peer = make(text, 0, end, port: -1, end: end) else { return nil }
    if end == word, text.from(end).starts(with: " port ") {
      var cursor = ByteCursor(text, at: end + 6)
      if let port = cursor.takeDecimal(maxDigits: 5), port <= 65_535 {
        peer.port = port
        peer.end = cursor.position
      }
    }
    return peer
  }

  /// "[address]:port" at the beginning of `text`.
  static func bracketed(_ text: Bytes) -> PeerText? {
    guard text.starts(with: "["), let close = text.index(of: 0x5d), close > 1,
      var peer = make(text, 1, close, port: -1, end: close + 1)
    else { return nil }
    if text.from(close + 1).starts(with: ":") {
      var cursor = ByteCursor(text, at: close + 2)
      if let port = cursor.takeDecimal(maxDigits: 5), port <= 65_535 {
        peer.port = port
        peer.end = cursor.position
      }
    }
    return peer
  }

  /// One word as an address: a literal (a zone as in fe80::1%eth0 is left out), or what can be a host's name.
  @inline(__always)
  static func make(_ text: Bytes, _ start: Int, _ end: Int, port: Int64, end last: Int) -> PeerText? {
    let word = text.slice(start, end)
    guard word.count > 0, word.count <= 255 else { return nil }
    if let ip = IPAddress(word) { return PeerText(address: word, ip: ip, port: port, start: start, end: last) }
    if let zone = word.index(of: 0x25), let ip = IPAddress(word.upTo(zone)) {
      return PeerText(address: word, ip: ip, port: port, start: start, end: last)
    }
    for byte in word {
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2e, 0x2d, 0x5f, 0x3a: continue
      default: return nil
      }
    }
    return PeerText(address: word, ip: nil, port: port, start: start, end: last)
  }

  /// Sets source.ip and source.port, or source.address where only a name is known.
  @inline(__always)
  func put(into event: inout Event) {
    if let ip {
      event.set(.sourceIP, ip)
    } else if !address.equals("UNKNOWN") {
      event.set(.sourceAddress, address)
    } else {
      return
    }
    if port >= 0 { event.set(.sourcePort, port) }
  }
}

/// The last occurrence of `needle` in `text` before `end` (its first byte lies before `end - needle.count + 1`).
func lastIndex(of needle: StaticString, in text: Bytes, before end: Int) -> Int? { text.upTo(end).lastIndex(of: needle) }

extension Event {
  /// Two readings remain: say so, and blame nobody.
  mutating func markAmbiguous() {
    set(.isAmbiguous, 1)
    remove(.sourceIP)
    remove(.sourcePort)
    remove(.sourceAddress)
  }
}
