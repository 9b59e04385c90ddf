// SARIF 2.1.0 (OASIS Standard, 27 March 2020): the form in which code hosts and editors take findings. One log with one run.
// What must stay true: the same report gives the same bytes; every result names a rule of the driver by id and by its place in the table;
// locations are relative to a root that the reader knows; fingerprints survive the moving of lines.
import Primitives

public struct SARIFReport: Sendable {
  /// A kind of finding (`reportingDescriptor`).
  public struct Rule: Sendable {
    public var id: String
    /// One sentence.
    public var summary: String
    public var help: String
    public var level: Level
    public init(id: String, summary: String, help: String, level: Level) {
      self.id = id
      self.summary = summary
      self.help = help
      self.level = level
    }
  }
  /// 3.27.10; `none` is not used: a finding without severity is not a finding.
  public enum Level: String, Sendable { case note, warning, error }

  public struct Result: Sendable {
    /// Of a rule in `rules`.
    public var ruleID: String
    public var level: Level
    public var message: String
    public var location: SourceLocation
    /// What the finding is about, and stays the same when lines move: it goes into the fingerprint.
    public var subject: String
    public var related: [(location: SourceLocation, message: String)]
    public init(
      ruleID: String, level: Level, message: String, location: SourceLocation, subject: String,
      related: [(location: SourceLocation, message: String)] = []
    ) {
      self.ruleID = ruleID
      self.level = level
      self.message = message
      self.location = location
      self.subject = subject
      self.related = related
    }
  }

  public var toolName: String
  public var toolVersion: String
  /// Unique ids; the order is the order of the table.
  public var rules: [Rule]
  public var results: [Result]
  public init(toolName: String, toolVersion: String, rules: [Rule], results: [Result]) {
    self.toolName = toolName
    self.toolVersion = toolVersion
    self.rules = rules
    self.results = results
  }

  /// One JSON document without a newline at its end.
  public func json() -> [UInt8] {
    var json = JSONWriter(reserving: 4096 + 512 * results.count)
    json.beginObject()
    json.key("$schema")
    json.value("https://json.schemastore.org/sarif-2.1.0.json")
    json.key("version")
    json.value("2.1.0")
    json.key("runs")
    json.beginArray()
    json.beginObject()
    writeTool(&json)
    json.key("columnKind")
    json.value("unicodeCodePoints")
    json.key("results")
    json.beginArray()
    var seen: [String: Int] = [:]  // only looked up
    for result in results {
      let subject = "\(result.ruleID)\n\(result.location.file)\n\(result.subject)"
      let number = seen[subject, default: 0]
      seen[subject] = number + 1
      write(result, fingerprintOf: "\(subject)\n\(number)", to: &json)
    }
    json.endArray()
    json.endObject()
    json.endArray()
    json.endObject()
    return json.out
  }

  private func writeTool(_ json: inout JSONWriter) {
    json.key("tool")
    json.beginObject()
    json.key("driver")
    json.beginObject()
    json.key("name")
    json.value(toolName)
    json.key("version")
    json.value(toolVersion)
    json.key("rules")
    json.beginArray()
    for rule in rules {
      json.beginObject()
      json.key("id")
      json.value(rule.id)
      json.key("name")
      json.value(SARIFReport.pascalCase(rule.id))
      json.key("shortDescription")
      SARIFReport.text(rule.summary, &json)
      json.key("help")
      SARIFReport.text(rule.help, &json)
      json.key("defaultConfiguration")
      json.beginObject()
      json.key("level")
      json.value(rule.level.rawValue)
      json.endObject()
      json.endObject()
    }
    json.endArray()
    json.endObject()
    json.endObject()
  }

  private func write(_ result: Result, fingerprintOf subject: String, to json: inout JSONWriter) {
    json.beginObject()
    json.key("ruleId")
    json.value(result.ruleID)
    if let index = rules.firstIndex(where: { $0.id == result.ruleID }) {
      json.key("ruleIndex")
      json.value(index)
    }
    json.key("level")
    json.value(result.level.rawValue)
    json.key("message")
    SARIFReport.text(result.message, &json)
    json.key("locations")
    json.beginArray()
    SARIFReport.write(result.location, message: nil, to: &json)
    json.endArray()
    if !result.related.isEmpty {
      json.key("relatedLocations")
      json.beginArray()
      for (location, message) in result.related { SARIFReport.write(location, message: message, to: &json) }
      json.endArray()
    }
    json.key("partialFingerprints")
    json.beginObject()
    json.key("findingSubject/v1")
    json.value(Array(subject.utf8).withUnsafeBytes { "\(Fingerprint(of: $0))" })
    json.endObject()
    json.endObject()
  }

  private static func write(_ location: SourceLocation, message: String?, to json: inout JSONWriter) {
    json.beginObject()
    json.key("physicalLocation")
    json.beginObject()
    json.key("artifactLocation")
    json.beginObject()
    json.key("uri")
    json.value(uri(location.file))
    json.endObject()
    if location.line > 0 {
      json.key("region")
      json.beginObject()
      json.key("startLine")
      json.value(location.line)
      if location.column > 0 {
        json.key("startColumn")
        json.value(location.column)
      }
      json.endObject()
    }
    json.endObject()
    if let message {
      json.key("message")
      text(message, &json)
    }
    json.endObject()
  }

  private static func text(_ text: String, _ json: inout JSONWriter) {
    json.beginObject()
    json.key("text")
    json.value(text)
    json.endObject()
  }

  /// RFC 3986: a relative reference for a relative path, a `file` URI for an absolute one; "-" is standard input.
  static func uri(_ path: String) -> String {
    var out = path.hasPrefix("/") ? "file://" : ""
    for byte in path.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x2f, 0x5f, 0x7e: out.unicodeScalars.append(Unicode.Scalar(byte))
      // A colon in the first part would read as a scheme: encoded everywhere.
      default: out += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
      }
    }
    return out
  }

  /// "over-broad-pattern" is OverBroadPattern: the form that 3.49.7 asks of names.
  private static func pascalCase(_ id: String) -> String {
    id.split(separator: "-").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
  }
}
