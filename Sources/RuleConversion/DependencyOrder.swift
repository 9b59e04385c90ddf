// Rules that name rules: an order in which each comes behind all that it names, so that it is known of them whether they were written.
// What must stay true: linear in the names; the order depends on the input alone; what leads back to itself is in no order.

/// `needs`: for each item the items that it names. Items of a circle, and those that need one, are missing from the result.
func dependencyOrder(_ needs: [[Int]]) -> [Int] {
  var waitingFor = needs.map { Set($0).count }
  var dependents = [[Int]](repeating: [], count: needs.count)
  for (i, named) in needs.enumerated() { for other in Set(named).sorted() { dependents[other].append(i) } }
  var order = needs.indices.filter { waitingFor[$0] == 0 }
  var at = 0
  while at < order.count {
    for dependent in dependents[order[at]] {
      waitingFor[dependent] -= 1
      if waitingFor[dependent] == 0 { order.append(dependent) }
    }
    at += 1
  }
  return order
}
