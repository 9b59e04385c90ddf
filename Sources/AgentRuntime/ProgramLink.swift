// The engine's one connection to another program of ours: where it comes from, when it is made anew, and how long a call may take. It outlives
// a reload. Under `panguard run` the supervisor hands a new end over each time that the program starts; as a service it connects to a path.
// Invariant: a program that hangs or is gone costs at most `Limits.enforcerCall` now and then, never the reading of logs.
import Enforcement
import HostActions
import Primitives

/// The asking side of one of our protocols.
public protocol LinkedClient: AnyObject {
  associatedtype Failure: Error & CustomStringConvertible
  init(descriptor: Int32, timeout: Nanoseconds)
  init(path: String, timeout: Nanoseconds) throws(Failure)
  var isOpen: Bool { get }
  func close()
  /// "enforcer"
  static var program: String { get }
  /// Why there is none to connect to, where the failure says that nobody has set one up; nil: there is one, and it does not answer.
  static func absence(_ failure: Failure) -> String?
}

public final class ProgramLink<Client: LinkedClient> {
  /// nil: only what `adopt` brings.
  private let path: String?
  private var client: Client?
  private var nextTry: Int64 = 0
  private var patience: Int64
  private static var firstPause: Int64 { 1_000_000_000 }
  private static var longestPause: Int64 { 30_000_000_000 }
  /// Why there is none; empty while there is one.
  public private(set) var problem: String
  /// Nobody has set one up: what is not there need not be waited for.
  public private(set) var isAbsent = false
  /// Grows with each new connection: whoever has not seen it does not know what was asked before.
  public private(set) var generation: UInt64 = 0

  public init(path: String?) {
    self.path = path
    patience = Self.firstPause
    problem = path.map { "\($0): not connected yet" } ?? "no \(Client.program) has been started"
  }

  /// Our end of a channel to a program that has just started; it is ours from here on.
  public func adopt(_ descriptor: Int32) { take(Client(descriptor: descriptor, timeout: Limits.enforcerCall)) }

  /// There is none to start. `reason`: nobody has set one up; nil: the program is not installed.
  public func noteMissing(_ reason: String? = nil) {
    guard client == nil else { return }
    isAbsent = reason != nil
    problem = reason ?? "panguard-\(Client.program) is not installed"
  }

  private func take(_ new: Client) {
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
      problem = problem.isEmpty ? "the \(Client.program) closed the connection" : problem
    }
    guard let path, now >= nextTry else { return false }
    do throws(Client.Failure) {
      take(try Client(path: path, timeout: Limits.enforcerCall))
      return true
    } catch {
      let absence = Client.absence(error)
      (problem, isAbsent) = (absence ?? "\(error)", absence != nil)
      pause(now)
      return false
    }
  }
  private func pause(_ now: Int64) {
    nextTry = now + patience
    patience = min(patience * 2, Self.longestPause)
  }

  /// One request. nil: there is no connection, or it failed and is gone; `problem` says why.
  public func ask<Value>(_ request: (Client) throws(Client.Failure) -> Value) -> Value? {
    guard let client, client.isOpen else { return nil }
    do throws(Client.Failure) {
      let value = try request(client)
      patience = Self.firstPause
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

public typealias EnforcerLink = ProgramLink<EnforcerClient>
public typealias ResponderLink = ProgramLink<ResponderClient>

extension EnforcerClient: LinkedClient {
  public static var program: String { "enforcer" }
  public static func absence(_ failure: EnforcerClientError) -> String? { nil }
}
extension ResponderClient: LinkedClient {
  public static var program: String { "responder" }
  /// Its socket is made only where its configuration is there.
  public static func absence(_ failure: ResponderClientError) -> String? { failure.isAbsence ? noneIsSetUp : nil }
  public static var noneIsSetUp: String { "none is set up (/etc/panguard/responder.yaml)" }
  public static var defaultPath: String { "/run/panguard/responder.sock" }
}
