// The names under which a match says what held (SPEC.md 7, `matched_selectors`): those that the author gave. A selector of several tests
// is several conditions here; it is named once, and only where all of them held.

/// One selector and the conditions that it is made of.
public struct NamedSelector: Codable, Hashable, Sendable {
  public var name: String
  /// Indices into the rule's conditions, ascending.
  public var conditions: [Int]
  public init(name: String, conditions: [Int]) {
    self.name = name
    self.conditions = conditions
  }
}

extension Rule {
  /// Indices of the conditions behind one of `selectorNames`, ascending; empty where it is none.
  public func conditions(named name: String) -> [Int] {
    guard case .pattern(let conditions, _) = detection else { return [] }
    return selectors.first { $0.name == name }?.conditions ?? conditions.firstIndex { $0.name == name }.map { [$0] } ?? []
  }

  /// Names of the conditions and selectors behind a match, in the rule's order. `held`: indices of conditions, ascending.
  public func selectorNames(of held: [Int]) -> [String] {
    guard case .pattern(let conditions, _) = detection else { return [] }
    guard !selectors.isEmpty else { return held.map { conditions[$0].name } }
    let inSelectors = Set(selectors.flatMap(\.conditions))  // this and the next are only asked for members
    let holding = Set(held)
    var named = held.filter { !inSelectors.contains($0) }.map { (place: $0, name: conditions[$0].name) }
    for selector in selectors where selector.conditions.allSatisfy(holding.contains) { named.append((selector.conditions.first ?? 0, selector.name)) }
    return named.sorted { $0.place < $1.place }.map(\.name)
  }
}
