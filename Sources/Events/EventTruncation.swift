// What another process cut counts as cut here.

extension Event {
  /// The event came cut from where it was made.
  public mutating func noteTruncation() { markTruncated() }
}
