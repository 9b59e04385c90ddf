// The application layer of one flow: recognises the protocol by content, buffers what a message needs, parses, emits messages.
// What must stay true: total (no input traps), linear in the bytes given, at most `Limits.applicationMessageBytes` and one segment held for each
// direction; the same bytes give the same messages however they are split; ports are only a hint.
import Events
import Primitives

/// The IANA protocol numbers of the transports that carry streams or datagrams.
public enum TransportProtocol: UInt8, Sendable { case tcp = 6, udp = 17 }

/// Which way bytes go. The originator sent the first packet of the flow that was seen (for TCP: it is the SYN's sender).
public enum FlowDirection: UInt8, Sendable, CaseIterable {
  case toResponder, toOriginator
  public var opposite: FlowDirection { self == .toResponder ? .toOriginator : .toResponder }
}

/// What a direction still wants. After `.enough` the bytes of that direction need not be reassembled any more; giving them is harmless.
public enum StreamDemand: UInt8, Sendable { case more, enough }

/// What a flow speaks, as its content says.
public enum ApplicationProtocol: UInt8, Sendable, CaseIterable {
  case dns, mdns, llmnr, tls, quic, http, ssh, smtp, ftp, pop3, imap, telnet, redis, jsonRPC
  /// The value of `network.protocol`.
  public var name: StaticString { ApplicationProtocol.names[Int(rawValue)].0 }
  /// The value of `event.dataset`.
  var dataset: StaticString { ApplicationProtocol.names[Int(rawValue)].1 }
  private static let names: [(StaticString, StaticString)] = [
    ("dns", "network_traffic.dns"), ("mdns", "network_traffic.dns"), ("llmnr", "network_traffic.dns"), ("tls", "network_traffic.tls"),
    ("quic", "network_traffic.tls"), ("http", "network_traffic.http"), ("ssh", "network_traffic.ssh"), ("smtp", "network_traffic.smtp"),
    ("ftp", "network_traffic.ftp"), ("pop3", "network_traffic.pop3"), ("imap", "network_traffic.imap"), ("telnet", "network_traffic.telnet"),
    ("redis", "network_traffic.redis"), ("json-rpc", "network_traffic.rpc"),
  ]
}

/// A value to be moved: copies share what they buffer.
public struct ApplicationLayer {
  private enum Machine {
    case undecided(Undecided?)
    case stream(StreamParser)
    case datagrams
    case quic(QUICParser)
    case unknown
  }
  public private(set) var protocolName: ApplicationProtocol?
  private let context: ApplicationContext
  private var machine = Machine.undecided(nil)
  private let ports: (originator: UInt16, responder: UInt16)
  private let transport: TransportProtocol
  /// Datagrams, or beginnings of segments, that were nothing known.
  private var strangers: (UInt8, UInt8) = (0, 0)
  /// The flow's start was not seen, so that a message may begin with any segment.
  private var isMidstream = false

  /// - Parameters:
  ///   - originatorPort: ports decide the order of trial and what content cannot tell (mDNS and LLMNR have DNS's form; who of two is an SSH
  ///     server in a flow whose start was not seen). 0: not known.
  ///   - context: what all flows of a decoder share.
  public init(transport: TransportProtocol, originatorPort: UInt16 = 0, responderPort: UInt16 = 0, context: ApplicationContext) {
    self.transport = transport
    self.context = context
    ports = (originatorPort, responderPort)
  }

  /// - Parameters:
  ///   - bytes: contiguous new stream bytes of one direction (TCP), or one datagram (UDP).
  ///   - frame: number of the frame that completed them.
  public mutating func consume(
    _ bytes: UnsafeRawBufferPointer, _ direction: FlowDirection, frame: UInt64, emit: (borrowing ApplicationMessage) -> Void
  ) -> StreamDemand {
    switch machine {
    case .stream(let parser): return bytes.count == 0 ? .more : parser.consume(bytes, direction, frame, emit)
    case .quic(let parser): return parser.consume(bytes, direction, frame, emit)
    case .datagrams: return datagram(bytes, direction, frame, emit)
    case .unknown: return .enough
    case .undecided(let prefix):
      if transport == .udp { return firstDatagram(bytes, direction, frame, emit) }
      return bytes.count == 0 ? .more : firstBytes(prefix, bytes, direction, frame, emit)
    }
  }

  /// `count` bytes of a TCP stream are missing (lost, or beyond reassembly limits); before all others, if the flow's start was not seen.
  public mutating func gap(_ count: Int, _ direction: FlowDirection) -> StreamDemand {
    switch machine {
    case .stream(let parser): return parser.gap(count, direction)
    case .quic, .datagrams: return .more
    case .unknown: return .enough
    case .undecided(let prefix):
      isMidstream = true
      prefix?.forget(direction)
      return .more
    }
  }

  /// No more bytes will come in this direction (FIN, RST, timeout, end of the capture).
  public mutating func finish(_ direction: FlowDirection, frame: UInt64, emit: (borrowing ApplicationMessage) -> Void) {
    switch machine {
    case .stream(let parser): parser.finish(direction, frame, emit)
    case .undecided(let prefix): prefix?.forget(direction)
    case .quic, .datagrams, .unknown: break
    }
  }

  private mutating func countStranger(_ direction: FlowDirection) -> UInt8 {
    if direction == .toResponder {
      strangers.0 &+= 1
      return strangers.0
    }
    strangers.1 &+= 1
    return strangers.1
  }

  // MARK: Datagrams

  private var datagramProtocol: ApplicationProtocol? {
    for port in [ports.responder, ports.originator] {
      switch port {
      case 53: return .dns
      case 5353: return .mdns
      case 5355: return .llmnr
      default: continue
      }
    }
    return nil
  }
  private mutating func firstDatagram(
    _ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: (borrowing ApplicationMessage) -> Void
  ) -> StreamDemand {
    let hint = datagramProtocol
    if hint != nil || DNSReader.isLikely(bytes), readDNS(bytes, direction, frame, hint ?? .dns, isCertain: hint != nil, emit) {
      protocolName = hint ?? .dns
      machine = .datagrams
      context.counters.recognisedFlows &+= 1
      return .more
    }
    if QUICParser.recognise(bytes) {
      let parser = QUICParser(context)
      protocolName = .quic
      machine = .quic(parser)
      context.counters.recognisedFlows &+= 1
      return parser.consume(bytes, direction, frame, emit)
    }
    guard countStranger(direction) >= Limits.unknownDatagrams else { return .more }
    machine = .unknown
    context.counters.unknownFlows &+= 1
    return .enough
  }
  private mutating func datagram(
    _ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: (borrowing ApplicationMessage) -> Void
  ) -> StreamDemand {
    _ = readDNS(bytes, direction, frame, protocolName ?? .dns, isCertain: true, emit)
    return .more
  }
  private func readDNS(
    _ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ name: ApplicationProtocol, isCertain: Bool,
    _ emit: (borrowing ApplicationMessage) -> Void
  ) -> Bool {
    var reader = DNSReader(bytes, context.dns)
    let failure = reader.read(isCertain: isCertain) {
      context.counters.messages[Int(name.rawValue)] &+= 1
      emit(ApplicationMessage(frame: frame, protocol: name, direction: direction, isFromClient: !$0.isResponse, content: .dns($0)))
    }
    if reader.answersAreCut { context.counters.cutTexts &+= 1 }
    if let failure, isCertain { context.count(failure) }
    return failure == nil
  }

  // MARK: The first bytes of a stream

  private mutating func firstBytes(
    _ prefix: Undecided?, _ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: (borrowing ApplicationMessage) -> Void
  ) -> StreamDemand {
    if (direction == .toResponder ? strangers.0 : strangers.1) == UInt8.max { return .enough }
    guard let prefix, prefix.has(direction) else { return decide(prefix, bytes, direction, frame, emit) }
    guard prefix.append(bytes, direction, frame) else { return giveUp(direction) }
    return decide(prefix, prefix.bytes(direction), direction, frame, emit)
  }
  private mutating func decide(
    _ prefix: Undecided?, _ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: (borrowing ApplicationMessage) -> Void
  ) -> StreamDemand {
    let recogniser = Recogniser(context: context, ports: ports, direction: direction, isMidstream: isMidstream)
    switch recogniser.recognise(bytes) {
    case .found(let parser):
      protocolName = parser.name
      machine = .stream(parser)
      context.counters.recognisedFlows &+= 1
      let other = direction.opposite
      if let prefix, prefix.has(other) {
        _ = parser.consume(prefix.bytes(other), other, prefix.frame(other), emit)
      } else if (other == .toResponder ? strangers.0 : strangers.1) > 0 {
        _ = parser.gap(1, other)
      }
      // `bytes` may lie in `prefix`, which lives until here.
      return withExtendedLifetime(prefix) { parser.consume(bytes, direction, frame, emit) }
    case .more:
      guard bytes.count < Limits.recognitionBytes else { return stranger(prefix, direction) }
      let holder = prefix ?? Undecided(context)
      machine = .undecided(holder)
      if !holder.has(direction), !holder.append(bytes, direction, frame) { return giveUp(direction) }
      return .more
    case .none: return stranger(prefix, direction)
    }
  }
  /// What was seen begins nothing known. Another segment may: behind a preamble, or where the flow's start was not seen.
  private mutating func stranger(_ prefix: Undecided?, _ direction: FlowDirection) -> StreamDemand {
    prefix?.forget(direction)
    return countStranger(direction) < (isMidstream ? Limits.unknownMidstreamSegments : Limits.unknownSegments) ? .more : giveUp(direction)
  }
  private mutating func giveUp(_ direction: FlowDirection) -> StreamDemand {
    if direction == .toResponder { strangers.0 = .max } else { strangers.1 = .max }
    if strangers == (.max, .max) {
      machine = .unknown
      context.counters.unknownFlows &+= 1
    }
    return .enough
  }
}

/// First bytes of a flow that do not yet say what it speaks.
final class Undecided {
  private let context: ApplicationContext
  private var buffers = ByDirection(StreamBuffer())
  private var frames = ByDirection(UInt64(0))
  init(_ context: ApplicationContext) { self.context = context }
  deinit { for direction in FlowDirection.allCases { buffers[direction].free(context) } }
  func has(_ direction: FlowDirection) -> Bool { buffers[direction].count > 0 }
  func bytes(_ direction: FlowDirection) -> Bytes { buffers[direction].bytes }
  func frame(_ direction: FlowDirection) -> UInt64 { frames[direction] }
  func forget(_ direction: FlowDirection) { buffers[direction].free(context) }
  func append(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64) -> Bool {
    frames[direction] = frame
    return buffers[direction].append(bytes, context)
  }
}

/// Tells a stream's protocol by its first bytes.
struct Recogniser {
  let context: ApplicationContext
  let ports: (originator: UInt16, responder: UInt16)
  let direction: FlowDirection
  let isMidstream: Bool

  enum Answer {
    case found(StreamParser)
    case more
    case none
  }

  /// Protocols in which both sides may speak first: the client is the originator, unless the ports say that the flow's start was not seen.
  private var likelyClient: FlowDirection {
    ports.originator < 1024 && ports.originator > 0 && ports.responder >= 1024 ? .toOriginator : .toResponder
  }

  func recognise(_ bytes: Bytes) -> Answer {
    var mayBeMore = false
    func ask(_ answer: Bool?, _ make: () -> StreamParser) -> StreamParser? {
      guard let answer else {
        mayBeMore = true
        return nil
      }
      return answer ? make() : nil
    }
    let (context, client) = (context, likelyClient)
    switch bytes[0] {
    case 0x16:
      if let parser = ask(TLSParser.recognise(bytes), { TLSParser(context) }) { return .found(parser) }
      if isMidstream, let parser = ask(TLSParser.recogniseLater(bytes), { TLSParser(context) }) { return .found(parser) }
    case 0x14, 0x15, 0x17: if isMidstream, let parser = ask(TLSParser.recogniseLater(bytes), { TLSParser(context) }) { return .found(parser) }
    case 0x7b: if let parser = ask(JSONLinesParser.recognise(bytes), { JSONLinesParser(context) }) { return .found(parser) }
    case 0xff: if let parser = ask(TelnetParser.recognise(bytes), { TelnetParser(context, client: client) }) { return .found(parser) }
    case 0x2a:
      if let parser = ask(RedisParser.recognise(bytes), { RedisParser(context, client: direction) }) { return .found(parser) }
      fallthrough
    case 0x20...0x7e:
      if let parser = ask(SSHParser.recognise(bytes), { SSHParser(context, client: client) }) { return .found(parser) }
      if let parser = ask(HTTPHead.mayStart(bytes), { HTTPParser(context) }) { return .found(parser) }
      switch CommandParser.recognise(bytes) {
      case nil: mayBeMore = true
      case .some(nil): break
      case .some(let (name, isClient)?): return .found(CommandParser(name, context, client: isClient ? direction : direction.opposite))
      }
    default: break
    }
    if let parser = ask(TLSParser.recognisePreamble(bytes), { TLSParser(context, preambles: direction) }) { return .found(parser) }
    // What begins with text is none: its first message would have 8 KiB.
    if bytes[0] < 0x20, let parser = ask(DNSStreamParser.recognise(bytes), { DNSStreamParser(context) }) { return .found(parser) }
    return mayBeMore ? .more : .none
  }
}
