// The engine's one connection to the capture: where it comes from, when it is made anew, and what has come over it. It outlives a reload.
// Under `panguard run` the supervisor hands a new end over each time that the capture starts; as a service it connects to a path.
// Nothing is ever written to it. What comes is as hostile as the packets: the first wrong byte ends the connection.
// What must stay true: at most `Limits.captureMessageBytes` and one read are held; no call waits; whatever the capture says, it is a
// capture's event, never another source's.
import CaptureChannel
import Events
import Glibc
import Primitives

public final class CaptureLink {
  /// nil: only what `adopt` brings.
  private let path: String?
  /// -1: none.
  private(set) var descriptor: Int32 = -1
  /// Grows with each new connection: whoever waits for the descriptor has to begin anew.
  private(set) var generation: UInt64 = 0
  private var decoder = CaptureDecoder()
  private var bytes: [UInt8] = []
  /// Bytes of it that were decoded.
  private var done = 0
  private var room = [UInt8](repeating: 0, count: 64 * 1024)
  private var nextTry: Int64 = 0
  private var lastHeard = MonotonicTime.now()
  private var noticeMark: (time: Int64, count: Int) = (0, 0)
  /// Why there is none; empty while there is one.
  public private(set) var problem = "no capture has been started"
  /// As the capture said them last; of a connection before this one while it has said nothing.
  private(set) var counters: [CaptureCounter] = []
  private(set) var malformed: UInt64 = 0
  private(set) var unreportedNotices: UInt64 = 0
  /// More may be read at once.
  private(set) var hasMore = false

  public init(path: String?) {
    self.path = path
    if let path { problem = "\(path): not connected yet" }
  }
  deinit { if descriptor >= 0 { close(descriptor) } }

  public var isOpen: Bool { descriptor >= 0 }

  /// Our end of a channel to a capture that has just started; it is ours from here on.
  public func adopt(_ new: Int32) {
    disconnect("")
    descriptor = new
    _ = fcntl(new, F_SETFL, fcntl(new, F_GETFL) | O_NONBLOCK)
    generation += 1
    problem = ""
    lastHeard = MonotonicTime.now()
    hasMore = true
  }

  /// Something came since it was read last.
  func noteReadable() { hasMore = isOpen }

  /// There is no program to start.
  public func noteMissing() { if !isOpen { problem = "panguard-capture is not installed" } }

  private func disconnect(_ reason: String) {
    if descriptor >= 0 { close(descriptor) }
    descriptor = -1
    decoder = CaptureDecoder()
    bytes = []
    done = 0
    hasMore = false
    problem = reason
  }

  /// Once a second: connects where that is ours to do; a capture that says nothing at all does not work.
  func tick() {
    let now = MonotonicTime.now()
    if isOpen {
      guard now - lastHeard > Limits.captureSilence.count else { return }
      problem = "the capture has said nothing for \(Nanoseconds(now - lastHeard).wholeSeconds) s"
      return
    }
    guard let path, now >= nextTry, path.utf8.count < 108 else { return }
    nextTry = now + 2_000_000_000
    let new = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard new >= 0 else {
      problem = "\(path): \(String(cString: strerror(errno)))"
      return
    }
    guard withSocketAddress(path, { connect(new, $0, $1) }) == 0 else {
      problem = "\(path): \(String(cString: strerror(errno)))"
      close(new)
      return
    }
    adopt(new)
  }

  /// Reads once and hands on what is whole. `take` gets the name of the interface; `event` is filled anew for each. `say`: a sentence of the
  /// capture's, for the operator.
  func read(into event: inout Event, _ take: (inout Event, String) -> Void, say: (String) -> Void) {
    guard isOpen else { return }
    let count = recv(descriptor, &room, room.count, 0)
    if count < 0, errno == EAGAIN || errno == EINTR {
      hasMore = false
      return
    }
    guard count > 0 else { return disconnect("the capture closed the connection") }
    // Until the kernel says that there is no more: its end may have come with this, and will not be announced again.
    hasMore = true
    lastHeard = MonotonicTime.now()
    problem = ""
    bytes.append(contentsOf: room[..<count])
    while isOpen {
      let (decoded, consumed) = bytes.withUnsafeBytes { decoder.next($0.from(done), into: &event) }
      done += consumed
      switch decoded {
      case .event(let interface, _): take(&event, decoder.interfaces[interface])
      case .counters(let list): counters = list
      case .notice(let text): report(text, say)
      case .learned where decoder.interfaces.count > Limits.openInterfaces: giveUp("it names more interfaces than \(Limits.openInterfaces)")
      case .learned: break
      case .malformed(let error): giveUp("\(error)")
      case .incomplete:
        bytes.removeFirst(done)
        done = 0
        return
      }
    }
  }

  private func giveUp(_ reason: String) {
    malformed += 1
    disconnect("what the capture said is not right, and the connection was closed: \(reason)")
  }

  private func report(_ text: String, _ say: (String) -> Void) {
    let now = MonotonicTime.now()
    if now - noticeMark.time >= 60_000_000_000 { noticeMark = (now, 0) }
    guard noticeMark.count < Limits.captureNoticesPerMinute else { return unreportedNotices += 1 }
    noticeMark.count += 1
    say(text)
  }
}
