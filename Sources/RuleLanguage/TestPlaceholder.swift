// A test that nobody has written yet: what a new rule begins with. It fails until its input is filled in, whichever result it expects,
// so that a rule cannot pass on tests that say nothing.

public enum TestPlaceholder {
  /// An input that contains this is not an input.
  public static let mark = "<fill in:"
  /// What the person who runs the tests is told.
  public static let reason = "the input is a placeholder: replace '\(mark) ...>' by what the rule should see"

  /// The input of a placeholder; `what` says what belongs there.
  public static func input(_ what: String) -> String { "\(mark) \(what)>" }
}

extension TestCase {
  public var isPlaceholder: Bool {
    switch input {
    case .lines(let text), .event(let text), .stream(let text): text.contains(TestPlaceholder.mark)
    }
  }
}
