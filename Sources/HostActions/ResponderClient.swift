// The engine's and the operator's side of the responder's protocol.
import FrameProtocol
import Primitives

public final class ResponderClient: FrameClient<HostActionRequest, HostActionAnswer> {
  public static let defaultPath = "/run/panguard/responder.sock"
  public override class var program: String { "responder" }

  public func perform(_ key: String, _ action: HostAction) throws(FrameClientError) -> HostActionOutcome {
    try ask(.perform(key: key, action)) { if case .outcome(let outcome) = $0 { outcome } else { nil } }
  }
  public func undo(_ key: String) throws(FrameClientError) -> HostActionOutcome {
    try ask(.undo(key: key)) { if case .outcome(let outcome) = $0 { outcome } else { nil } }
  }
  /// One for each key, at most `Limits.askedHostActions`.
  public func outcomes(_ keys: [String]) throws(FrameClientError) -> [HostActionOutcome] {
    try ask(.outcomes(keys)) { if case .outcomes(let list) = $0, list.count == keys.count { list } else { nil } }
  }
  public func list() throws(FrameClientError) -> [HostActionRecord] {
    try ask(.list) { if case .records(let records) = $0 { records } else { nil } }
  }
  public func status() throws(FrameClientError) -> ResponderStatus {
    try ask(.status) { if case .status(let status) = $0 { status } else { nil } }
  }
}
