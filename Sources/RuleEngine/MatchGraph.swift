// Matches that name each other in `evidence.upstream_chain`. A reference is one hop, wherever it stands in its list; it leads only to a
// match that came before, so there are no circles, whatever the events say.
// What must stay true: every question costs at most matches x references x places, all of which have limits (see Limits); of several
// answers the one over the fewest hops is given, then the newest, so the answer depends on the order of matches alone.
import Primitives

struct MatchGraph {
  struct Node {
    var contribution: Contribution
    /// Places of the correlation's logic that it can take.
    var places: [Int]
  }
  /// In the order of arrival; questions are about the last one.
  var nodes: [Node] = []

  /// By node the nodes that it refers to, newest first.
  private func references() -> [[Int]] {
    var latest: [Fingerprint: Int] = [:]  // only looked up
    return nodes.enumerated().map { index, node in
      let found = node.contribution.upstream.compactMap { latest[$0] }
      for name in node.contribution.names { latest[name] = index }
      return found.isEmpty ? [] : Array(Set(found)).sorted(by: >)
    }
  }

  /// The last match and all that it leads back to within `hops`, nearest first.
  private func ancestors(hops: Int) -> [Int] {
    let references = references()
    guard let last = nodes.indices.last else { return [] }
    var isSeen = [Bool](repeating: false, count: nodes.count)
    isSeen[last] = true
    var found = [last]
    var front = [last]
    var distance = 0
    while !front.isEmpty, distance < hops {
      distance += 1
      var next: [Int] = []
      for node in front {
        for target in references[node] where !isSeen[target] {
          isSeen[target] = true
          next.append(target)
        }
      }
      next.sort(by: >)
      found += next
      front = next
    }
    return found
  }

  /// `count` matches of those that the last one leads back to, in the order of arrival.
  func first(_ count: Int, hops: Int) -> [Int]? {
    let found = ancestors(hops: hops)
    return found.count >= count ? found.prefix(count).sorted() : nil
  }

  /// Different matches on `needed` of the places, the last match on one of them. Places are taken by what is nearest.
  func places(_ width: Int, needed: Int, hops: Int) -> [(place: Int, node: Int)]? {
    var holder = [Int?](repeating: nil, count: width)
    for node in ancestors(hops: hops) {
      // Moves earlier holders to other places where that makes room.
      var isTried = [Bool](repeating: false, count: width)
      func seat(_ node: Int) -> Bool {
        for place in nodes[node].places where !isTried[place] {
          isTried[place] = true
          if holder[place].map(seat) ?? true {
            holder[place] = node
            return true
          }
        }
        return false
      }
      _ = seat(node)
    }
    let taken = holder.indices.compactMap { place in holder[place].map { (place: place, node: $0) } }
    return taken.count >= needed ? taken : nil
  }

  /// `count` matches of which each refers to the one before, ending with the last.
  func path(_ count: Int, hops: Int) -> [Int]? {
    guard count - 1 <= hops, let last = nodes.indices.last else { return nil }
    let references = references()
    var length = [Int](repeating: 1, count: nodes.count)
    var before = [Int?](repeating: nil, count: nodes.count)
    for node in nodes.indices {
      for target in references[node] where length[target] + 1 > length[node] {
        length[node] = length[target] + 1
        before[node] = target
      }
    }
    guard length[last] >= count else { return nil }
    var path = [last]
    while path.count < count, let next = before[path[path.count - 1]] { path.append(next) }
    return path.reversed()
  }

  /// Matches on the places 0 ..< width in this order along references, the last match on the last place, at most `hops` from first to last.
  func sequence(_ width: Int, hops: Int) -> [Int]? {
    guard let last = nodes.indices.last, nodes[last].places.contains(width - 1) else { return nil }
    if width == 1 { return [last] }
    let references = references()
    let far = Int.max
    // steps[r][n]: fewest hops from the last match back to n with the places 0 ..< r still open. from[r][n]: where from; a node that
    // takes place r on arrival came with r + 1 open.
    var steps = [[Int]](repeating: [Int](repeating: far, count: nodes.count), count: width)
    var from = [[(node: Int, open: Int)?]](repeating: [(node: Int, open: Int)?](repeating: nil, count: nodes.count), count: width)
    steps[width - 1][last] = 0
    for node in nodes.indices.reversed() {
      for open in 0..<width where steps[open][node] < hops {
        for target in references[node] {
          let distance = steps[open][node] + 1
          func reach(_ left: Int) {
            guard distance < steps[left][target] else { return }
            steps[left][target] = distance
            from[left][target] = (node, open)
          }
          reach(open)
          if open > 0, nodes[target].places.contains(open - 1) { reach(open - 1) }
        }
      }
    }
    guard let start = nodes.indices.filter({ steps[0][$0] <= hops }).min(by: { (steps[0][$0], -$0) < (steps[0][$1], -$1) }) else { return nil }
    var taken: [Int] = []
    var (node, open) = (start, 0)
    while let step = from[open][node] {
      if step.open > open { taken.append(node) }
      (node, open) = step
    }
    return taken + [last]
  }
}
