// The application layer of one flow: recognises the protocol by content, buffers what a message needs, parses, emits messages.
// What must stay true: total (no input traps), linear in the bytes given, at most `Limits.applicationBuffer*` bytes held for each direction;
// the same bytes give the same messages however they are split; ports are only a hint.
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
  case dns, mdns, llmnr, tls, quic, http, ssh, smtp, ftp, pop3, imap, telnet, redis
  /// The value of `network.protocol`.
  public var name: StaticString {
    switch self {
    case .dns: "dns"
    case .mdns: "mdns"
    case .llmnr: "llmnr"
    case .tls: "tls"
    case .quic: "quic"
    case .http: "http"
    case .ssh: "ssh"
    case .smtp: "smtp"
    case .ftp: "ftp"
    case .pop3: "pop3"
    case .imap: "imap"
    case .telnet: "telnet"
    case .redis: "redis"
    }
  }
}

/// One message. What it refers to is borrowed: valid only inside `emit`.
public struct ApplicationMessage {
  /// Number of the frame that completed it.
  public var frame: UInt64
  public var `protocol`: ApplicationProtocol
  /// The way it went. `isFromClient`: its sender is the protocol's client, which is the originator unless the flow's start was not seen.
  public var direction: FlowDirection
  public var isFromClient: Bool

  /// Sets the fields of the message (ECS names, `network.protocol` and `frame.number` among them). Addresses, ports, transport and time are the
  /// caller's: `source` is the client's side, which is the sender if `isFromClient`, else the receiver.
  public func appendFields(to event: inout Event) {}
}

/// A value to be moved: copies share what they buffer.
public struct ApplicationLayer {
  public private(set) var protocolName: ApplicationProtocol?

  /// Ports decide the order of trial and what content cannot tell (mDNS and LLMNR have DNS's form). 0: not known.
  public init(transport: TransportProtocol, originatorPort: UInt16 = 0, responderPort: UInt16 = 0) {}

  /// `bytes`: contiguous new stream bytes of one direction (TCP), or one datagram (UDP). `frame`: number of the frame that completed them.
  public mutating func consume(
    _ bytes: UnsafeRawBufferPointer, _ direction: FlowDirection, frame: UInt64, emit: (borrowing ApplicationMessage) -> Void
  ) -> StreamDemand { .enough }

  /// `count` bytes of a TCP stream are missing (lost, or beyond reassembly limits).
  public mutating func gap(_ count: Int, _ direction: FlowDirection) -> StreamDemand { .enough }

  /// No more bytes will come in this direction (FIN, RST, timeout, end of the capture).
  public mutating func finish(_ direction: FlowDirection, frame: UInt64, emit: (borrowing ApplicationMessage) -> Void) {}
}
