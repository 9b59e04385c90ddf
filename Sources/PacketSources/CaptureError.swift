// Why a capture file was not read to its end.

/// Where and why reading stopped. The frames before it were handed out.
public struct CaptureError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What kind of failure. More may be added; compare with the ones you handle.
  public struct Code: Hashable, Sendable {
    private enum Value: Hashable { case notACapture, truncated, malformed, tooLarge, unreadable }
    private var value: Value
    private init(_ value: Value) { self.value = value }
    /// The first bytes are no capture format that is read here.
    public static let notACapture = Code(.notACapture)
    /// The file stops inside a header, a frame or a block: a capture that was cut off, or is still being written.
    public static let truncated = Code(.truncated)
    /// A length or a reference that contradicts the format.
    public static let malformed = Code(.malformed)
    /// A frame, a block or a number of interfaces beyond its limit.
    public static let tooLarge = Code(.tooLarge)
    /// The bytes behind it could not be read: a damaged archive, a failing disk.
    public static let unreadable = Code(.unreadable)
  }
  public let code: Code
  /// Offset in the unpacked file of the header, frame or block that is meant.
  public let offset: UInt64
  /// In one clause.
  public let reason: String
  public var description: String { "\(reason) (at byte \(offset))" }
}
