// Steps taken for patterns, counted in debug builds only: a test doubles patterns and sees that the steps no more than double.
// A step is a look at one node, or one code point read.

enum PatternWork {
  #if DEBUG
    final class Counter: @unchecked Sendable {
      fileprivate(set) var steps = 0
    }
    @TaskLocal static var counter: Counter?

    static func step() { counter?.steps += 1 }
    /// How many steps `body` took.
    static func steps<Failure: Error>(of body: () throws(Failure) -> Void) throws(Failure) -> Int {
      let counter = Counter()
      var failure: Failure?
      $counter.withValue(counter) {
        do throws(Failure) { try body() } catch { failure = error }
      }
      if let failure { throw failure }
      return counter.steps
    }
  #else
    @inline(__always) static func step() {}
  #endif
}
