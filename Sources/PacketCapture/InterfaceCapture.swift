// One interface, opened with libpcap: a ring that the kernel fills (TPACKET_V3) and this process reads. I/O.
// What must stay true: the filter is locked before the first frame is read, so that who takes this process over sees no more than it did; the
// ring is really TPACKET_V3, or it is said (libpcap falls back silently, at ten times the cost); the kernel's counters are read here only,
// because it forgets them when it is asked.
import CPcap
import Glibc
import PacketParsers
import Primitives

public struct CaptureFailure: Error, CustomStringConvertible, Sendable {
  public var description: String
  init(_ description: String) { self.description = description }
}

/// How an interface is opened.
public struct CaptureOptions: Sendable, Equatable {
  /// pcap-filter(7); empty: everything.
  public var filter = ""
  /// Bytes of a frame that are kept.
  public var snapLength: Int32 = Int32(Limits.frameBytes)
  public var ringBytes: Int32 = Int32(Limits.captureRingBytes)
  /// Also frames that are for others. Not possible on `any`.
  public var isPromiscuous = false
  public init() {}
}

/// What one interface lost, since it was opened.
public struct InterfaceCounters: Sendable, Equatable {
  /// Frames that passed the filter, as the kernel counts them; with those that were dropped.
  public var packets: UInt64 = 0
  /// Of them, those that found no room in the ring.
  public var kernelDrops: UInt64 = 0
  /// How often the whole ring was full, and the kernel waited for us.
  public var ringFreezes: UInt64 = 0
  public var read: UInt64 = 0
  public init() {}
}

/// A frame in the ring. Borrowed: valid inside the call only.
public struct LiveFrame {
  public var time: EventTime
  public var bytes: Bytes
  /// Bytes it had on the wire.
  public var wireBytes: Int
}

public final class InterfaceCapture {
  /// The pseudo-interface of all that are up, also those that come up later.
  public static let all = "any"

  public let name: String
  public let linkType: LinkType
  /// Readable when frames wait.
  public let descriptor: Int32
  /// Not empty: the ring is not what was asked for.
  public private(set) var warning = ""
  public private(set) var counters = InterfaceCounters()
  private var handle: OpaquePointer?

  /// Opens, filters and locks. Throws with what the administrator can do about it.
  public init(_ name: String, _ options: CaptureOptions) throws(CaptureFailure) {
    self.name = name
    var text = [CChar](repeating: 0, count: Int(PCAP_ERRBUF_SIZE))
    guard let handle = pcap_create(name, &text) else { throw CaptureFailure("\(name): \(InterfaceCapture.string(text))") }
    do throws(CaptureFailure) {
      (linkType, warning) = try InterfaceCapture.activate(handle, name, options)
      try InterfaceCapture.filter(handle, name, options.filter)
      descriptor = pcap_get_selectable_fd(handle)
      guard descriptor >= 0, pg_lock_filter(descriptor) == 0, pg_try_detach_filter(descriptor) != 0 else {
        throw CaptureFailure("\(name): the filter cannot be locked: \(String(cString: strerror(errno)))")
      }
      guard pcap_setnonblock(handle, 1, &text) == 0 else { throw CaptureFailure("\(name): \(InterfaceCapture.string(text))") }
    } catch {
      pcap_close(handle)
      throw error
    }
    self.handle = handle
    let version = pg_packet_version(descriptor)
    if version != 2 { warning = "the kernel gave a ring of version \(version + 1) instead of 3: it costs more and loses sooner" }
  }
  deinit { close() }

  public func close() {
    if let handle { pcap_close(handle) }
    handle = nil
  }
  public var isOpen: Bool { handle != nil }

  private static func activate(
    _ handle: OpaquePointer, _ name: String, _ options: CaptureOptions
  ) throws(CaptureFailure) -> (LinkType, String) {
    pcap_set_snaplen(handle, options.snapLength)
    pcap_set_promisc(handle, options.isPromiscuous ? 1 : 0)
    // A block that is not full is handed over after this time, and is then used up: the shorter, the sooner a small ring is full of air.
    pcap_set_timeout(handle, 100)
    pcap_set_buffer_size(handle, options.ringBytes)
    // Immediate mode would be TPACKET_V2.
    pcap_set_immediate_mode(handle, 0)
    pcap_set_tstamp_precision(handle, PCAP_TSTAMP_PRECISION_NANO)
    let status = pcap_activate(handle)
    let detail = String(cString: pcap_geterr(handle))
    guard status >= 0 else {
      let reason = detail.isEmpty ? String(cString: pcap_statustostr(status)) : detail
      let isForbidden = status == PCAP_ERROR_PERM_DENIED || status == PCAP_ERROR_PROMISC_PERM_DENIED
      throw CaptureFailure("\(name): \(reason)" + (isForbidden ? "; capturing needs CAP_NET_RAW: run it as root, or as the service" : ""))
    }
    // The second version says for each frame which interface it came by.
    if name == all { pcap_set_datalink(handle, DLT_LINUX_SLL2) }
    guard pcap_get_tstamp_precision(handle) == PCAP_TSTAMP_PRECISION_NANO else { throw CaptureFailure("\(name): no stamps in nanoseconds") }
    let type = pcap_datalink(handle)
    return (type == DLT_RAW ? .raw : LinkType(rawValue: UInt32(bitPattern: type)), status > 0 ? detail : "")
  }

  private static func filter(_ handle: OpaquePointer, _ name: String, _ text: String) throws(CaptureFailure) {
    guard !text.isEmpty else { return }
    var program = bpf_program()
    guard pcap_compile(handle, &program, text, 1, UInt32.max) == 0 else {
      throw CaptureFailure("\(name): the filter '\(text)' is not right: \(String(cString: pcap_geterr(handle))); see pcap-filter(7)")
    }
    defer { pcap_freecode(&program) }
    guard pcap_setfilter(handle, &program) == 0 else { throw CaptureFailure("\(name): filter: \(String(cString: pcap_geterr(handle)))") }
  }

  /// Hands on at most `limit` frames that wait. How many there were; it throws where the interface is gone.
  public func read(limit: Int, _ body: (LiveFrame) -> Void) throws(CaptureFailure) -> Int {
    guard let handle else { return 0 }
    var header: UnsafeMutablePointer<pcap_pkthdr>?
    var data: UnsafePointer<UInt8>?
    var count = 0
    while count < limit {
      let status = pcap_next_ex(handle, &header, &data)
      if status == 0 { break }
      guard status > 0, let header, let data else {
        throw CaptureFailure("\(name): \(String(cString: pcap_geterr(handle)))")
      }
      count += 1
      counters.read &+= 1
      let facts = header.pointee
      // The stamp is in nanoseconds: tv_usec holds them.
      let time = EventTime(nanoseconds: Int64(facts.ts.tv_sec) &* 1_000_000_000 &+ Int64(facts.ts.tv_usec))
      body(LiveFrame(time: time, bytes: Bytes(start: data, count: Int(facts.caplen)), wireBytes: Int(facts.len)))
    }
    return count
  }

  /// Asks the kernel what it lost since it was asked last.
  public func refreshCounters() {
    guard handle != nil else { return }
    var (packets, drops, freezes): (UInt64, UInt64, UInt64) = (0, 0, 0)
    guard pg_packet_statistics(descriptor, &packets, &drops, &freezes) == 0 else { return }
    counters.packets &+= packets
    counters.kernelDrops &+= drops
    counters.ringFreezes &+= freezes
  }

  private static func string(_ text: [CChar]) -> String { String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) }
}
