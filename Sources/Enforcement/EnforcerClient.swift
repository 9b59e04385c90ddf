// The engine's and the operator's side of the enforcer's protocol.
import FrameProtocol
import Primitives

public final class EnforcerClient: FrameClient<EnforcerRequest, EnforcerAnswer> {
  /// Where the enforcer listens by default (its configuration's `socket`).
  public static let defaultPath = "/run/panguard/enforcer.sock"
  public override class var program: String { "enforcer" }

  /// One outcome for each block, in their order.
  public func block(_ blocks: [Block]) throws(FrameClientError) -> Reply<[BlockOutcome]> {
    try outcomes(.block(blocks), count: blocks.count)
  }
  public func unblock(_ networks: [CIDR]) throws(FrameClientError) -> Reply<[BlockOutcome]> {
    try outcomes(.unblock(networks), count: networks.count)
  }
  public func unblockAll() throws(FrameClientError) -> Reply<UInt64> {
    try reply(.unblockAll) { if case .unblockedAll(let count) = $0 { count } else { nil } }
  }
  public func list() throws(FrameClientError) -> Reply<[ActiveBlock]> {
    try reply(.list) { if case .blocks(let blocks) = $0 { blocks } else { nil } }
  }
  public func reconcile(_ blocks: [Block]) throws(FrameClientError) -> Reply<ReconcileReport> {
    guard blocks.count <= Limits.enforcedBlocks else { throw tooMany(blocks.count) }
    return try reply(.reconcile(blocks)) {
      if case .reconciled(let report) = $0, report.outcomes.count == blocks.count { report } else { nil }
    }
  }
  public func heartbeat() throws(FrameClientError) -> Reply<[EnforcerNotice]> {
    try reply(.heartbeat) { if case .alive(let notices) = $0 { notices } else { nil } }
  }
  public func status() throws(FrameClientError) -> EnforcerStatus {
    switch try reply(.status, { if case .status(let status) = $0 { status } else { nil } }) {
    case .done(let status): return status
    case .unavailable(let reason):
      var status = EnforcerStatus()
      status.unavailable = reason
      return status
    }
  }

  /// What was asked for, or why the enforcer can do nothing here.
  public enum Reply<Value: Sendable>: Sendable {
    case done(Value)
    case unavailable(String)
    public var value: Value? { if case .done(let value) = self { value } else { nil } }
  }

  private func outcomes(_ request: EnforcerRequest, count: Int) throws(FrameClientError) -> Reply<[BlockOutcome]> {
    guard count <= Limits.enforcedBlocks else { throw tooMany(count) }
    return try reply(request) { if case .outcomes(let list) = $0, list.count == count { list } else { nil } }
  }

  private func reply<Value>(_ request: EnforcerRequest, _ take: (EnforcerAnswer) -> Value?) throws(FrameClientError) -> Reply<Value> {
    try ask(request) { answer in
      if case .unavailable(let reason) = answer { return .unavailable(reason) }
      return take(answer).map { .done($0) }
    }
  }
  private func tooMany(_ count: Int) -> FrameClientError {
    failure(.notSendable("\(count) entries are more than the \(Limits.enforcedBlocks) of one request"))
  }
}
