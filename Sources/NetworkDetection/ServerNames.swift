// Which name a client called its server by (TLS and QUIC server name, HTTP Host), until the flow's own event comes, which has none.
// Memory: `Limits.pendingServerNames` conversations, about 150 bytes each; the one that was silent longest goes, and is counted: its flow
// then counts for its address.
import Events
import Primitives

/// A name of at most 63 bytes in place; longer ones are cut, their hash is not.
struct ServerName {
  private var text = InlineArray<63, UInt8>(repeating: 0)
  private var count: UInt8 = 0
  private(set) var hash: UInt64 = 0

  init() {}
  init(_ name: Bytes) {
    count = UInt8(min(name.count, 63))
    for i in 0..<Int(count) { text[i] = name[i] }
    hash = Fingerprint(of: name).low
  }
  var isEmpty: Bool { count == 0 }
  var bytes: [UInt8] { (0..<Int(count)).map { text[$0] } }
}

struct ServerNames: ~Copyable {
  private struct Conversation: TableKey {
    var source: IPAddress
    var destination: IPAddress
    var ports: UInt32
  }
  private var pending = BoundedTable<Conversation, ServerName>(capacity: Limits.pendingServerNames)
  var evictions: UInt64 { pending.evictions }

  /// Keeps the name of a hello or a request.
  mutating func observe(_ event: borrowing Event) {
    guard let name = event.text(.tlsClientServerName) ?? event.text(.urlDomain), name.count > 0, IPAddress(name) == nil,
      let source = event.address(.sourceIP), let destination = event.address(.destinationIP)
    else { return }
    let ports = UInt32(UInt16(clamping: event.integer(.sourcePort) ?? 0)) << 16 | UInt32(UInt16(clamping: event.integer(.destinationPort) ?? 0))
    pending.update(Conversation(source: source, destination: destination, ports: ports), make: { ServerName(name) }, { _ in })
  }

  /// The name that was kept for the flow, which is forgotten if the flow is over.
  mutating func name(of flow: FlowFacts) -> ServerName {
    let ports = UInt32(flow.sourcePort) << 16 | UInt32(flow.destinationPort)
    let key = Conversation(source: flow.source, destination: flow.destination, ports: ports)
    return (flow.isOngoing ? pending.peek(key) : pending.removeValue(for: key)) ?? ServerName()
  }
}

/// Whom a client talks to: the name where one is known, so that a server behind many addresses is one; else address and port.
struct PeerKey: TableKey {
  var source: IPAddress
  var peer: IPAddress
  init(_ flow: FlowFacts, _ name: ServerName) {
    source = flow.source
    peer =
      name.isEmpty
      ? IPAddress(v6High: flow.destination.high ^ UInt64(flow.destinationPort) << 48, low: flow.destination.low)
      : IPAddress(v6High: .max, low: name.hash)
  }
}
