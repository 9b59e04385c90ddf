// The connection to whoever takes the events, and what waits for it. Bounded: a reader that is slow loses the newest events, counted; a
// reader that is not there loses all, counted too. Nothing is ever read from it.
// What must stay true: a message goes whole or not at all; control messages (names, counters, notices) are small and never dropped.
import CLinux
import CaptureChannel
import Events
import Glibc
import NetworkEvents
import Primitives

final class EventOutput: EventTaker {
  struct Counters: Equatable {
    var sent: UInt64 = 0
    /// The reader was too slow.
    var dropped: UInt64 = 0
    /// There was no reader.
    var unwanted: UInt64 = 0
    /// Longer than `Limits.captureMessageBytes`.
    var tooLong: UInt64 = 0
  }
  private(set) var counters = Counters()
  /// -1: nobody.
  private(set) var descriptor: Int32 = -1
  private var waiting: [UInt8] = []
  /// Bytes of `waiting` that are gone already.
  private var sent = 0
  private var interfaces: [String] = []
  private let limit: Int

  init(limit: Int = Limits.captureQueueBytes) { self.limit = limit }
  deinit { if descriptor >= 0 { close(descriptor) } }

  var isOpen: Bool { descriptor >= 0 }
  var hasMore: Bool { sent < waiting.count }

  /// The number of a new interface. To be called before events of it come.
  func addInterface(_ name: String) -> UInt16 {
    interfaces.append(name)
    return UInt16(interfaces.count - 1)
  }

  /// Takes a connected socket over; one before it is closed.
  func open(_ new: Int32) {
    closeConnection()
    descriptor = new
    _ = fcntl(new, F_SETFL, fcntl(new, F_GETFL) | O_NONBLOCK)
    CaptureEncoder.fields(to: &waiting)
    for (number, name) in interfaces.enumerated() { CaptureEncoder.interface(UInt16(number), name, to: &waiting) }
  }
  func closeConnection() {
    if descriptor >= 0 { close(descriptor) }
    descriptor = -1
    waiting.removeAll()
    sent = 0
  }

  func take(_ event: borrowing Event, interface: UInt16, frame: UInt64) {
    guard isOpen else { return counters.unwanted &+= 1 }
    guard waiting.count - sent < limit else { return counters.dropped &+= 1 }
    if CaptureEncoder.event(event, interface: interface, frame: frame, to: &waiting) {
      counters.sent &+= 1
    } else {
      counters.tooLong &+= 1
    }
  }
  /// Only while there is room: they come again.
  func send(_ list: [(name: String, value: UInt64)]) {
    if isOpen, waiting.count - sent < limit { CaptureEncoder.counters(list, to: &waiting) }
  }
  func send(notice: String) { if isOpen, waiting.count - sent < limit + 64 * 1024 { CaptureEncoder.notice(notice, to: &waiting) } }

  /// Writes what can be written now. False: the reader is gone, and the connection is closed.
  func flush() -> Bool {
    while isOpen, hasMore {
      // write(2), not send(2): the filter of system calls bounds it to these descriptors. SIGPIPE is ignored.
      let count = waiting.withUnsafeBytes { write(descriptor, $0.baseAddress! + sent, min($0.count - sent, 256 * 1024)) }
      if count > 0 {
        sent += count
      } else if count < 0, errno == EINTR {
        continue
      } else if count < 0, errno == EAGAIN {
        break
      } else {
        closeConnection()
        return false
      }
    }
    if sent == waiting.count {
      waiting.removeAll(keepingCapacity: waiting.capacity <= 1024 * 1024)
      sent = 0
    } else if sent > 1024 * 1024 {
      waiting.removeFirst(sent)
      sent = 0
    }
    return true
  }
}
