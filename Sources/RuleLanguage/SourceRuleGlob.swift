// Which rules a correlation means by the id or glob of a source.

extension CorrelationDetection.SourceRule {
  /// Whether `id` is meant: equality, or the glob (`*` any text, `?` one byte). Linear in practice, quadratic at worst, on short texts.
  public func matches(_ id: String) -> Bool {
    let pattern = Array(ruleIDPattern.utf8)
    let text = Array(id.utf8)
    var p = 0
    var t = 0
    var star: (p: Int, t: Int)?
    while t < text.count {
      if p < pattern.count, pattern[p] == 0x2a {
        star = (p, t)
        p += 1
      } else if p < pattern.count, pattern[p] == text[t] || pattern[p] == 0x3f {
        p += 1
        t += 1
      } else if let back = star {
        p = back.p + 1
        t = back.t + 1
        star = (back.p, back.t + 1)
      } else {
        return false
      }
    }
    return pattern[p...].allSatisfy { $0 == 0x2a }
  }
}
