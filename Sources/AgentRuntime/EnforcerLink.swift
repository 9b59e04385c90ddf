// The engine's one connection to the enforcer: where it comes from, when it is made anew, and how long a call may take. It outlives a
// reload. Under `panguard run` the supervisor hands a new end over each time that the enforcer starts; as a service it connects to a path.
// Invariant: an enforcer that hangs or is gone costs at most `Limits.enforcerCall` now and then, never the reading of logs.
import Enforcement
import Primitives

public final class EnforcerLink {
  /// nil: only what `adopt` brings.
  private let path: String?
  private var client: EnforcerClient?
  private var nextTry: Int64 = 0
  private var patience: Int64 = EnforcerLink.firstPause
  private static let firstPause: Int64 = 1_000_000_000
  private static let longestPause: Int64 = 30_000_000_000
  /// Why there is none; empty while there is one.
  public private(set) var problem = "no enforcer has been started"
  /// Grows with each new connection: whoever has not seen it has to reconcile.
  public private(set) var generation: UInt64 = 0

  public init(path: String?) {
    self.path = path
    if let path { problem = "\(path): not connected yet" }
  }

  /// Our end of a channel to an enforcer that has just started; it is ours from here on.
  public func adopt(_ descriptor: Int32) { take(EnforcerClient(descriptor: descriptor, timeout: Limits.enforcerCall)) }

  /// There is no program to start.
  public func noteMissing() { if client == nil { problem = "panguard-enforcer is not installed" } }

  private func take(_ new: EnforcerClient) {
    client?.close()
    client = new
    generation += 1
    problem = ""
  }

  public var isOpen: Bool { client?.isOpen == true }

  /// Connects where that is ours to do and it is time. True if there is a connection.
  public func connect(now: Int64) -> Bool {
    if isOpen { return true }
    if client != nil {
      client = nil
      problem = problem.isEmpty ? "the enforcer closed the connection" : problem
    }
    guard let path, now >= nextTry else { return false }
    do throws(EnforcerClientError) {
      take(try EnforcerClient(path: path, timeout: Limits.enforcerCall))
      return true
    } catch {
      problem = "\(error)"
      pause(now)
      return false
    }
  }
  private func pause(_ now: Int64) {
    nextTry = now + patience
    patience = min(patience * 2, EnforcerLink.longestPause)
  }

  /// One request. nil: there is no connection, or it failed and is gone; `problem` says why.
  public func ask<Value>(_ request: (EnforcerClient) throws(EnforcerClientError) -> Value) -> Value? {
    guard let client, client.isOpen else { return nil }
    do throws(EnforcerClientError) {
      let value = try request(client)
      patience = EnforcerLink.firstPause
      return value
    } catch {
      problem = "\(error)"
      client.close()
      self.client = nil
      pause(MonotonicTime.now())
      return nil
    }
  }
}
