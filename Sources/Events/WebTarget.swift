// The target of an HTTP request and the host it names, into the URL fields: for logs and for packets alike.
// Decoded forms go to url.path and url.query; url.original, which the caller sets, keeps what was written.
import Primitives

public enum WebTarget {
  /// url.path, url.query (decoded; see PercentDecoding) and, for "http://host/path" and "host:port", url.domain.
  public static func set(_ target: Bytes, logEscapes: Bool, into event: inout Event) {
    var path = target
    if target.count > 0, target[0] != 0x2f {
      if let scheme = target.index(of: "://"), scheme > 0, scheme <= 8 {
        let authority = target.from(scheme + 3)
        let end = endOfAuthority(authority)
        setDomain(authority.upTo(end), into: &event)
        path = authority.from(end)
        if path.count == 0 { path = Bytes("/") }
      } else if event.text(.httpRequestMethod)?.equals("CONNECT") == true {
        setDomain(target, into: &event)
        return
      }
    }
    if let mark = path.index(of: 0x3f) {
      setDecoded(.urlQuery, path.from(mark + 1), plusIsSpace: true, logEscapes: logEscapes, into: &event)
      path = path.upTo(mark)
    }
    setDecoded(.urlPath, path, plusIsSpace: false, logEscapes: logEscapes, into: &event)
  }

  public static func setDecoded(_ field: Field, _ bytes: Bytes, plusIsSpace: Bool, logEscapes: Bool, into event: inout Event) {
    guard bytes.count > 0 else { return }
    guard PercentDecoding.isNeeded(bytes, plusIsSpace: plusIsSpace, logEscapes: logEscapes) else {
      event.set(field, bytes)
      return
    }
    PercentDecoding.decode(bytes, plusIsSpace: plusIsSpace, logEscapes: logEscapes) { event.set(field, $0) }
  }

  /// Host of "user@host:port" or "[v6]:port"; nothing if it is empty.
  public static func setDomain(_ authority: Bytes, into event: inout Event) {
    var host = authority
    if let at = host.lastIndex(of: 0x40) { host = host.from(at + 1) }
    if host.starts(with: "["), let close = host.index(of: 0x5d) {
      host = host.slice(1, close)
    } else if let colon = host.index(of: 0x3a) {
      host = host.upTo(colon)
    }
    if host.count > 0 { event.set(.urlDomain, host) }
  }
  private static func endOfAuthority(_ text: Bytes) -> Int {
    var at = 0
    while at < text.count, text[at] != 0x2f, text[at] != 0x3f, text[at] != 0x23 { at += 1 }
    return at
  }
}
