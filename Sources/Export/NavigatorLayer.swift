// The techniques of a rule set as a layer of the ATT&CK Navigator (layer format 4.5, layers/spec/v4.5/layerformat.md of
// mitre-attack/attack-navigator). A technique's score is its number of rules; the comment names them.
import Primitives

public enum NavigatorLayer {
  /// Rules that a comment names; the others are counted.
  private static let rulesNamed = 20

  /// - Parameter name: of the layer's tab.
  public static func encode(_ coverage: RuleCoverage, name: String) -> [UInt8] {
    let items = coverage.frameworks.first { $0.key == "mitre_attack" }?.items ?? []
    var json = JSONWriter()
    json.beginObject()
    text("name", name, &json)
    json.key("versions")
    json.beginObject()
    text("attack", "15", &json)
    text("navigator", "5.0.0", &json)
    text("layer", "4.5", &json)
    json.endObject()
    text("domain", "enterprise-attack", &json)
    text("description", "Techniques that \(coverage.ruleCount) rules refer to. The score is the number of rules.", &json)
    json.key("sorting")
    json.value(3)  // by score, highest first
    json.key("layout")
    json.beginObject()
    text("layout", "side", &json)
    json.key("showID")
    json.value(true)
    json.key("showName")
    json.value(true)
    text("expandedSubtechniques", "annotated", &json)
    json.endObject()
    json.key("hideDisabled")
    json.value(false)
    json.key("techniques")
    json.beginArray()
    for item in items { technique(item, &json) }
    json.endArray()
    json.key("gradient")
    json.beginObject()
    json.key("colors")
    json.beginArray()
    for color in ["#e8f0fe", "#1a56b0"] { json.value(color) }
    json.endArray()
    json.key("minValue")
    json.value(0)
    json.key("maxValue")
    json.value(max(1, items.map(\.rules.count).max() ?? 1))
    json.endObject()
    json.key("legendItems")
    json.beginArray()
    json.endArray()
    json.key("showTacticRowBackground")
    json.value(false)
    json.key("selectTechniquesAcrossTactics")
    json.value(true)
    json.key("selectSubtechniquesWithParent")
    json.value(false)
    json.endObject()
    return json.out
  }

  private static func technique(_ item: RuleCoverage.Item, _ json: inout JSONWriter) {
    let more = item.rules.count - rulesNamed
    json.beginObject()
    text("techniqueID", item.id, &json)
    json.key("score")
    json.value(item.rules.count)
    text("comment", item.rules.prefix(rulesNamed).joined(separator: ", ") + (more > 0 ? " and \(more) more" : ""), &json)
    json.key("enabled")
    json.value(true)
    json.endObject()
  }
  private static func text(_ key: StaticString, _ value: String, _ json: inout JSONWriter) {
    json.key(key)
    json.value(value)
  }
}
