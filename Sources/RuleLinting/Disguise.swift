// Cheap disguises of a text, as attackers use them. Each keeps the text readable for a person or a model.
// What must stay true: deterministic, linear, and a text that a disguise does not change is given back as it was.

enum Disguise: String, CaseIterable {
  case upperCase = "upper case"
  case zeroWidth = "zero-width characters in words"
  case fullWidth = "full-width letters"
  case homoglyphs = "Cyrillic look-alikes"
  case doubledSpaces = "doubled spaces"
  case newlines = "line breaks for spaces"
  case tabs = "tabs for spaces"

  /// Taken away by the normalisation that the standard asks of an engine; that it gets through shows a rule (or an engine) without it.
  var isNormalised: Bool { self == .zeroWidth }

  func applied(to text: String) -> String {
    var out = ""
    var wasLetter = false
    for scalar in text.unicodeScalars {
      let isLetter = scalar.properties.isAlphabetic
      switch self {
      case .upperCase: out += scalar.isASCII ? scalar.properties.uppercaseMapping : String(scalar)
      case .zeroWidth:
        if wasLetter, isLetter { out.unicodeScalars.append("\u{200b}") }
        out.unicodeScalars.append(scalar)
      case .fullWidth: out.unicodeScalars.append(Disguise.fullWidth(scalar))
      case .homoglyphs: out.unicodeScalars.append(Disguise.lookAlikes[scalar] ?? scalar)
      case .doubledSpaces: out += scalar == " " ? "  " : String(scalar)
      case .newlines: out.unicodeScalars.append(scalar == " " ? "\n" : scalar)
      case .tabs: out.unicodeScalars.append(scalar == " " ? "\t" : scalar)
      }
      wasLetter = isLetter
    }
    return out
  }

  private static func fullWidth(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
    let isLetter = (0x41...0x5a).contains(scalar.value) || (0x61...0x7a).contains(scalar.value)
    return isLetter ? Unicode.Scalar(scalar.value + 0xfee0) ?? scalar : scalar
  }
  private static let lookAlikes: [Unicode.Scalar: Unicode.Scalar] = [
    "a": "\u{430}", "c": "\u{441}", "e": "\u{435}", "i": "\u{456}", "o": "\u{43e}", "p": "\u{440}", "x": "\u{445}", "y": "\u{443}",
    "A": "\u{410}", "E": "\u{415}", "O": "\u{41e}", "I": "\u{406}",
  ]
}
