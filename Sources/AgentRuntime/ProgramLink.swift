// The engine's one connection to another program of ours: where it comes from, when it is made anew, and how long a call may take. It outlives
// a reload. Under `panguard run` the supervisor hands a new end over each time that the program starts; as a service it connects to a path.
// Invariant: a program that hangs or is gone costs at most `Limits.frameCall` now and then, never the reading of logs.
import Enforcement
import FrameProtocol
import HostActions
import Primitives
import UplinkProtocol

/// The asking side of one of our protocols.
public protocol LinkedClient: AnyObject {
  init(descriptor: Int32, timeout: Nanoseconds)
  init(path: String, timeout: Nanoseconds) throws(FrameClientError)
  var isOpen: Bool { get }
  func close()
  /// "enforcer"
  static var program: String { get }
  /// Where it listens as a service.
  static var defaultPath: String { get }
  /// What is said where nobody has set one up; nil: there always is one.
  static var noneIsSetUp: String? { get }
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
  public func adopt(_ descriptor: Int32) { take(Client(descriptor: descriptor, timeout: Limits.frameCall)) }

  public static var defaultPath: String { Client.defaultPath }

  /// There is none to start: nobody has set one up, or the program is not installed.
  public func noteMissing() {
    guard client == nil else { return }
    isAbsent = Client.noneIsSetUp != nil
    problem = Client.noneIsSetUp ?? "panguard-\(Client.program) is not installed"
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
    do throws(FrameClientError) {
      take(try Client(path: path, timeout: Limits.frameCall))
      return true
    } catch {
      let absence = error.isAbsence ? Client.noneIsSetUp : nil
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
  public func ask<Value>(_ request: (Client) throws(FrameClientError) -> Value) -> Value? {
    guard let client, client.isOpen else { return nil }
    do throws(FrameClientError) {
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
public typealias UplinkLink = ProgramLink<UplinkClient>

extension EnforcerClient: LinkedClient {
  public static var noneIsSetUp: String? { nil }
}
/// The sockets of these are made only where their configurations are there.
extension ResponderClient: LinkedClient {
  public static var noneIsSetUp: String? { "none is set up (/etc/panguard/responder.yaml)" }
}
extension UplinkClient: LinkedClient {
  public static var noneIsSetUp: String? { "none is set up (/etc/panguard/uplink.yaml)" }
}
