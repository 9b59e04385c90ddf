// JSON Schema (draft 2020-12) of the configuration, for editors: made from the table of keys, with its descriptions and defaults.
import Primitives
import RuleLanguage

extension Configuration {
  public static var schema: SchemaValue {
    var root: [(String, SchemaValue)] = []
    var sections: [(name: String, keys: [(String, SchemaValue)])] = []
    for key in ConfigurationKey.all {
      if key.section.isEmpty {
        root.append((key.name, schema(of: key)))
      } else if let i = sections.firstIndex(where: { $0.name == key.section }) {
        sections[i].keys.append((key.name, schema(of: key)))
      } else {
        sections.append((key.section, [(key.name, schema(of: key))]))
      }
    }
    // A section whose keys are all commented out is there, and empty.
    let orEmpty = ("type", SchemaValue.array([.text("object"), .text("null")]))
    root += sections.map { section in
      guard case .object(let members) = Schema.object(section.keys) else { return (section.name, Schema.anything) }
      return (section.name, .object(members.map { $0.0 == "type" ? orEmpty : $0 }))
    }
    // An empty file is a configuration.
    return Schema.document(
      "Configuration of Panguard",
      [("type", .array([.text("object"), .text("null")])), ("properties", .object(root)), ("additionalProperties", .flag(false))])
  }

  private static func schema(of key: ConfigurationKey) -> SchemaValue {
    var text = key.description.joined(separator: " ")
    if let given = key.defaultText { text += " Default: \(given)." }
    let path = Schema.pattern("^/")
    let body: SchemaValue =
      switch key.type {
      case "list of sources": Schema.list(source)
      case "list of paths": Schema.anyOf(path, Schema.list(path))
      case "path": path
      case "true or false": Schema.flag()
      case "duration": Schema.duration
      case "auto, always or never": Schema.oneOf(["auto", "always", "never"])
      case "true, false or the path of a socket": Schema.anyOf(Schema.flag(), path)
      case "bytes": Schema.anyOf(Schema.integer(0...(1 << 30)), Schema.pattern("^[0-9]+([KMG]iB)?$"))
      case "bytes, 16MiB to 1TiB": Schema.anyOf(Schema.integer(Configuration.recordBytesRange), Schema.pattern("^[0-9]+([KMG]iB)?$"))
      case "confidence, 0.001 to 0.999": Schema.number()
      case "number of bytes": Schema.anyOf(Schema.integer(0...(1 << 50)), Schema.pattern("^[0-9]+([KMG]iB)?$"))
      case let type where type.hasPrefix("list of "): Schema.anyOf(Schema.scalar(), Schema.list(Schema.scalar()))
      default: Schema.anything  // a type that this table does not know: the reader still does
      }
    if key.defaultText == "~" { return .object([("description", .text(text)), ("anyOf", .array([.object([("type", .text("null"))]), body]))]) }
    guard case .object(let members) = body else { return .object([("description", .text(text))]) }
    return .object([("description", .text(text))] + members.filter { $0.0 != "description" })
  }
  private static let source = Schema.object([
    ("path", Schema.pattern("^/", "A file, or a pattern such as /var/log/nginx/*access.log.")), ("journal", Schema.flag("The systemd journal.")),
    ("format", Schema.oneOf(Configuration.Source.Format.allCases.map(\.rawValue))),
    ("from_start", Schema.flag("Read a file that was never seen from its first line.")),
    ("trust", Schema.oneOf(Configuration.Source.Trust.allCases.map(\.rawValue))),
  ])
}
