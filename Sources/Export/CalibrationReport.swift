// A reliability diagram for people: as text for a terminal, and as SVG (1.1) for a page. Integers only, so that the same labels draw the
// same bytes on every machine.
import Primitives
import Scoring

public enum CalibrationReport {
  /// Several lines, each ended by a newline. `after`: what the fitted table makes of the same samples.
  public static func text(_ before: Reliability, after: Reliability?) -> String {
    var out = "\(before.count) labelled decisions, \(before.attacks) of them attacks\n\n"
    out += table(before, title: after == nil ? "" : "The table in use")
    if let after { out += "\n" + table(after, title: "The fitted table, on the same labels") }
    return out
  }

  private static func table(_ reliability: Reliability, title: String) -> String {
    var out = title.isEmpty ? "" : title + "\n"
    out += "confidence      decisions    attacks  predicted  observed   0.0 ............... 1.0\n"
    for bin in reliability.bins {
      let name = "\(decimal(Int64(bin.range.lowerBound))) - \(decimal(Int64(bin.range.upperBound - 1)))"
      out += TerminalText.padded(name, to: 14) + right("\(bin.count)", 11) + right("\(bin.attacks)", 11)
      out += right(bin.meanPredicted.map(decimal) ?? "-", 11) + right(bin.observed.map(decimal) ?? "-", 10)
      if let observed = bin.observed, let predicted = bin.meanPredicted { out += "   " + bar(observed: observed, predicted: predicted) }
      out += "\n"
    }
    return out + "Brier score \(millionths(reliability.brier)), mean distance from the diagonal \(decimal(reliability.error))\n"
  }

  /// Twenty cells: what was observed, and a bar where it should have ended.
  private static func bar(observed: Int64, predicted: Int64) -> String {
    var cells = (0..<20).map { Int64($0) * 50 + 25 <= observed ? "█" : "░" }
    cells[min(19, Int(predicted / 50))] = "│"
    return cells.joined()
  }

  /// "0.953"; 1000 is "1.000".
  public static func decimal(_ thousandths: Int64) -> String { fixed(thousandths, digits: 3, unit: 1000) }
  public static func millionths(_ value: Int64) -> String { fixed(value, digits: 6, unit: 1_000_000) }
  private static func fixed(_ value: Int64, digits: Int, unit: Int64) -> String {
    var out: [UInt8] = []
    out.append(decimal: UInt64(value / unit), minimumDigits: 1)
    out.append(0x2e)
    out.append(decimal: UInt64(value % unit), minimumDigits: digits)
    return String(decoding: out, as: UTF8.self)
  }
  private static func right(_ text: String, _ width: Int) -> String { TerminalText.padded(text, to: width, onTheLeft: true) }

  // MARK: SVG

  /// Pixels: the square of the diagram and its margins.
  private static let (side, left, top): (Int64, Int64, Int64) = (400, 60, 50)

  public static func svg(_ before: Reliability, after: Reliability?) -> String {
    var out = """
      <svg xmlns="http://www.w3.org/2000/svg" width="640" height="540" viewBox="0 0 640 540" font-family="sans-serif" font-size="13">
      <rect width="640" height="540" fill="#ffffff"/>
      <text x="\(left)" y="28" font-size="16">Reliability: \(before.count) labelled decisions, \(before.attacks) attacks</text>

      """
    for tick in Int64(0)...10 {
      let (x, y) = (left + tick * side / 10, top + side - tick * side / 10)
      out += "<path d=\"M\(x) \(top)V\(top + side)M\(left) \(y)H\(left + side)\" stroke=\"#dddddd\"/>\n"
      out += "<text x=\"\(x)\" y=\"\(top + side + 20)\" text-anchor=\"middle\">\(tick == 10 ? "1.0" : "0.\(tick)")</text>\n"
      out += "<text x=\"\(left - 8)\" y=\"\(y + 4)\" text-anchor=\"end\">\(tick == 10 ? "1.0" : "0.\(tick)")</text>\n"
    }
    out += "<path d=\"M\(left) \(top + side)L\(left + side) \(top)\" stroke=\"#888888\" stroke-dasharray=\"6 4\"/>\n"
    out += "<text x=\"\(left + side / 2)\" y=\"\(top + side + 45)\" text-anchor=\"middle\">confidence</text>\n"
    out += "<text transform=\"translate(18 \(top + side / 2)) rotate(-90)\" text-anchor=\"middle\">share of attacks</text>\n"
    out += curve(before, color: "#b35900", name: after == nil ? "the table" : "the table in use", row: 0)
    if let after { out += curve(after, color: "#00509e", name: "fitted", row: 1) }
    return out + "</svg>\n"
  }

  private static func curve(_ reliability: Reliability, color: String, name: String, row: Int64) -> String {
    var points: [(x: Int64, y: Int64, count: Int64)] = []
    for bin in reliability.bins {
      guard let predicted = bin.meanPredicted, let observed = bin.observed else { continue }
      points.append((left + predicted * side / 1000, top + side - observed * side / 1000, bin.count))
    }
    let path = points.enumerated().map { "\($0 == 0 ? "M" : "L")\($1.x) \($1.y)" }.joined()
    var out = "<path d=\"\(path)\" fill=\"none\" stroke=\"\(color)\" stroke-width=\"2\"/>\n"
    for point in points {
      // The area grows with the number of digits, so that a bin of ten is seen beside one of ten thousand.
      let radius = 3 + Int64("\(point.count)".utf8.count)
      out += "<circle cx=\"\(point.x)\" cy=\"\(point.y)\" r=\"\(radius)\" fill=\"\(color)\"><title>\(point.count) decisions</title></circle>\n"
    }
    let y = top + 20 + row * 44
    out += "<text x=\"\(left + side + 16)\" y=\"\(y)\" fill=\"\(color)\">\(name)</text>\n"
    return out + "<text x=\"\(left + side + 16)\" y=\"\(y + 17)\" fill=\"\(color)\">Brier \(millionths(reliability.brier))</text>\n"
  }
}
