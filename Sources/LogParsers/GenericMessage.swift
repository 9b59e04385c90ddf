// The fall-back for messages of programs that nobody has written a parser for: a JSON object or key=value pairs.
// It never sets event.action or event.category: what such a message means is not known. It gives rules something to look at, and an address
// only where the text's form says which value is the address: in a JSON object, or in a message that is nothing but pairs. In
// running text with pairs in it ("login failed for bob src=192.0.2.1 from 198.51.100.2") a user name may contain pairs: there they
// become extra fields under their own names. Two different addresses in one message: ambiguous, and none is set.
import Events
import Primitives

public enum GenericMessage {
  /// Known spellings become ECS fields (source.ip, source.port, destination.ip, destination.port, user.name, log.level and, where the
  /// keys are an access log's, http.* and url.*); others become extra fields. ECS names that describe the event itself (event.*,
  /// host.*, process.*, panguard.*) are ignored: only parsers may say these. Header fields that are set already stay.
  /// True if there was at least one pair. The caller keeps `message`.
  public static func parse(_ message: Bytes, into event: inout Event) -> Bool {
    let text = message.trimmed
    guard text.count > 2 else { return false }
    if text[0] == 0x7b {
      var known = KnownValues()
      guard JSONFields.read(text, policy: .observations, known: &known, into: &event) else { return false }
      finish(known, into: &event)
      return true
    }
    guard text.index(of: 0x3d) != nil else { return false }
    let (count, isWhole) = KeyValue.forEachPair(text) { _, _ in }
    guard count > 0 else { return false }
    var known = KnownValues()
    KeyValue.forEachPair(text) { key, value in
      if isWhole {
        if let row = KnownKey.row(of: key) {
          known.note(row: row, event.keep(value), strict: true)
          return
        }
        if let field = Field(name: key) {
          if JSONFields.Policy.observations.allows(key), !event.has(field) { event.set(field, parsing: value) }
          return
        }
      }
      if Field(name: key) == nil, !key.starts(with: "panguard."), value.count > 0 { event.setExtra(key, value) }
    }
    finish(known, into: &event)
    return true
  }

  /// A whole line of key=value pairs (logfmt), at least two of them and nothing else: as `parse`, and the pair that holds a time gives the
  /// event's time. False, with nothing set, if the line is anything else.
  public static func parseLine(_ line: Bytes, into event: inout Event) -> Bool {
    guard line.index(of: 0x3d) != nil else { return false }
    var known = KnownValues()
    let (count, isWhole) = KeyValue.forEachPair(line) { key, value in
      if let row = KnownKey.row(of: key), KnownKey.table[row].key == .time { known.note(row: row, event.keep(value), strict: false) }
    }
    guard count > 1, isWhole, parse(line, into: &event) else { return false }
    if let time = known.eventTime {
      event.time = time
      event.timeBasis = .stamped
    }
    return true
  }

  private static func finish(_ known: KnownValues, into event: inout Event) {
    known.setCommon(into: &event)
    if known.isWeb {
      let hadCategory = event.has(.eventCategory)
      known.setWeb(logEscapes: false, into: &event)
      event.remove(.eventAction)
      event.remove(.eventReason)
      if !hadCategory { event.remove(.eventCategory) }
    }
    known.setRest(into: &event, except: [])
    if !event.has(.eventProvider) { event.set(.eventProvider, "generic") }
  }
}
