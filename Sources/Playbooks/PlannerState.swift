// The planner's memory as bytes, so that a restart forgets nothing: who was blocked until when, what waits for approval, what was handed out
// and never answered. The same state is the same bytes. Bytes that are not of this form are an error, never a trap, and change nothing.
// Form: a line that names the form and its version, 32 hexadecimal digits that name the rest, a newline, the rest (see CompactCoding).
import Primitives
import RuleLanguage

public enum PlannerStateError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Not ours, or of a version that this program does not know.
  case unknownForm
  case damaged(String)
  public var description: String {
    switch self {
    case .unknownForm: "not a planner's state, or one of another version"
    case .damaged(let reason): "the planner's state is damaged: \(reason)"
    }
  }
}

private struct KeptState: Codable {
  var mode: ResponseMode
  var observed: PlannerMemory.Kept
  var armed: PlannerMemory.Kept
  var pending: [PendingApproval]
  var unanswered: [UnansweredAction]
  var counters: PlannerCounters
}

extension Planner {
  private static let form: StaticString = "panguard planner state 1\n"

  /// Everything but the playbooks and the configuration.
  public func snapshot() -> [UInt8] {
    let state = KeptState(
      mode: configuration.mode, observed: observed.kept, armed: armed.kept, pending: pendingApprovals, unanswered: unanswered, counters: counters)
    // It throws only where an optional has no type, and there is none in it.
    let body = (try? CompactCoding.encode(state)) ?? []
    var out: [UInt8] = []
    out.reserveCapacity(body.count + 64)
    out.append(Planner.form)
    body.withUnsafeBytes { Fingerprint(of: $0) }.append(to: &out)
    out.append(0x0a)
    out += body
    return out
  }

  /// Takes up a state. The mode is not in it for the planner to take: whoever owns it says that, and a planner that observes takes up no
  /// questions. Throws, and leaves the planner as it was, where the bytes are no state.
  public mutating func restore(_ bytes: Bytes) throws(PlannerStateError) {
    guard bytes.count <= Limits.plannerStateBytes else { throw .damaged("larger than \(Limits.plannerStateBytes) bytes") }
    guard bytes.starts(with: Planner.form) else { throw .unknownForm }
    let head = Planner.form.utf8CodeUnitCount
    let body = bytes.from(head + 33)
    guard bytes.slice(head, head + 32).string == Fingerprint(of: body).description else {
      throw .damaged("its bytes are not those that were written")
    }
    let state: KeptState
    do { state = try CompactCoding.decode(KeptState.self, from: body) } catch { throw .damaged("\(error)") }
    guard let observed = PlannerMemory(state.observed), let armed = PlannerMemory(state.armed), state.pending.count <= Limits.pendingApprovals,
      state.unanswered.count <= Limits.unansweredActions
    else { throw .damaged("it holds more than the limits allow") }
    self.observed = state.mode == configuration.mode ? observed : PlannerMemory()
    self.armed = armed
    pendingApprovals = configuration.mode == .armed ? state.pending : []
    handedOut = BoundedTable(capacity: Limits.unansweredActions)
    for action in state.unanswered { handedOut.update(action.idempotencyKey, make: { action }) { $0 = action } }
    counted = state.counters
    self.observed.keepMeters(of: playbooks.playbooks)
    self.armed.keepMeters(of: playbooks.playbooks)
  }
  public mutating func restore(_ bytes: [UInt8]) throws(PlannerStateError) {
    do { try bytes.withUnsafeBytes { try restore($0) } } catch let error as PlannerStateError { throw error } catch { throw .unknownForm }
  }
}
