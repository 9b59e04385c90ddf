// The engine's one connection to the uplink: where it comes from, and when it is made anew. It outlives a reload. Under `panguard run` the
// supervisor hands a new end over each time that the uplink starts; as a service it connects to a path.
// Invariant: an uplink that hangs or is gone costs at most `Limits.uplinkCall` now and then, never the reading of logs.
import Glibc
import Primitives
import UplinkProtocol

public final class UplinkLink {
  public static let defaultPath = "/run/panguard/uplink.sock"
  /// nil: only what `adopt` brings.
  private let path: String?
  private var client: UplinkClient?
  private var nextTry: Int64 = 0
  private var patience: Int64 = UplinkLink.firstPause
  private static let firstPause: Int64 = 1_000_000_000
  private static let longestPause: Int64 = 30_000_000_000
  /// Why there is none; empty while there is one.
  public private(set) var problem = "the uplink has not been started yet"
  /// Nobody has set one up: what is not there need not be waited for.
  public private(set) var isAbsent = false
  /// Grows with each new connection: whoever has not seen it does not know what was asked before.
  public private(set) var generation: UInt64 = 0

  public init(path: String?) { self.path = path }

  /// Our end of a channel to an uplink that has just started; it is ours from here on.
  public func adopt(_ descriptor: Int32) { take(UplinkClient(descriptor: descriptor)) }

  /// There is none to start: no configuration, or no program.
  public func noteMissing() {
    guard client == nil else { return }
    (problem, isAbsent) = (UplinkLink.absence, true)
  }
  private static let absence = "none is set up"

  private func take(_ new: UplinkClient) {
    client?.close()
    client = new
    generation += 1
    (problem, isAbsent) = ("", false)
  }

  public var isOpen: Bool { client?.isOpen == true }

  /// Connects where that is ours to do and it is time. True if there is a connection.
  public func connect(now: Int64) -> Bool {
    if isOpen { return true }
    if client != nil {
      client = nil
      problem = problem.isEmpty ? "the uplink closed the connection" : problem
    }
    guard let path, now >= nextTry else { return false }
    do throws(UplinkClientError) {
      take(try UplinkClient(path: path))
      return true
    } catch {
      if case .cannotConnect(_, ENOENT) = error {
        (problem, isAbsent) = (UplinkLink.absence, true)
      } else {
        (problem, isAbsent) = ("\(error)", false)
      }
      pause(now)
      return false
    }
  }
  private func pause(_ now: Int64) {
    nextTry = now + patience
    patience = min(patience * 2, UplinkLink.longestPause)
  }

  /// One request. nil: there is no connection, or it failed and is gone; `problem` says why.
  public func ask<Value>(_ request: (UplinkClient) throws(UplinkClientError) -> Value) -> Value? {
    guard let client, client.isOpen else { return nil }
    do throws(UplinkClientError) {
      let value = try request(client)
      patience = UplinkLink.firstPause
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
