// The engine's side of the uplink's protocol.
import FrameProtocol
import Primitives

public final class UplinkClient: FrameClient<UplinkRequest, UplinkAnswer> {
  public static let defaultPath = "/run/panguard/uplink.sock"
  public override class var program: String { "uplink" }

  /// nil: it is accepted; else why not.
  public func deliver(webhook: String, key: String, body: [UInt8]) throws(FrameClientError) -> DeliveryRefusal? {
    guard UplinkName.isValid(webhook.utf8), UplinkName.isValid(key.utf8) else { throw failure(.notSendable("a name that is none")) }
    guard body.count <= Limits.webhookBodyBytes else { throw failure(.notSendable("a body of \(body.count) bytes")) }
    let answer: DeliveryRefusal?? = try ask(.deliver(webhook: webhook, key: key, body: body)) {
      switch $0 {
      case .accepted: .some(.some(nil))
      case .refused(let refusal): .some(.some(refusal))
      default: nil
      }
    }
    return answer ?? nil
  }
  /// What came of deliveries, the oldest first; there may be more where it is full (`Limits.collectedOutcomes`).
  public func collect() throws(FrameClientError) -> [DeliveryOutcome] {
    try ask(.collect) { if case .outcomes(let outcomes) = $0 { outcomes } else { nil } }
  }
  public func status() throws(FrameClientError) -> UplinkStatus {
    try ask(.status) { if case .status(let status) = $0 { status } else { nil } }
  }
}
