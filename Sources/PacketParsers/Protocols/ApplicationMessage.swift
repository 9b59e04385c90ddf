// What the application layer emits, and the fields that an event gets of it.
// What must stay true: everything a message refers to is borrowed; it is valid only inside `emit`.
import Events
import Primitives

public enum ApplicationContent {
  case dns(DNSMessage)
  case tlsClientHello(TLSClientHello)
  case tlsServerHello(TLSServerHello)
  case tlsCertificate(TLSCertificate)
  case httpRequest(HTTPRequest)
  case httpResponse(HTTPResponse)
  case jsonRPC(JSONRPCMessage)
  case sshBanner(SSHBanner)
  case sshKeyExchange(SSHKeyExchange)
  case credential(CredentialMessage)
}

public struct ApplicationMessage {
  /// Number of the frame that completed it.
  public var frame: UInt64
  public var `protocol`: ApplicationProtocol
  /// The way it went.
  public var direction: FlowDirection
  /// Its sender is the protocol's client, which is the originator unless the flow's start was not seen.
  public var isFromClient: Bool
  public var content: ApplicationContent

  /// The way that the client's messages go: where it is `.toOriginator`, the flow's originator is the protocol's server.
  public var clientDirection: FlowDirection { isFromClient ? direction : direction.opposite }

  /// Sets the fields of the message (ECS names; `event.*`, `network.protocol` and `frame.number` among them). Addresses, ports,
  /// `network.transport` and the time are the caller's: `source` is the client (see `clientDirection`), so that both sides' messages of one
  /// conversation have the same source.
  public func appendFields(to event: inout Event) {
    event.set(.eventCategory, "network" as StaticString)
    event.set(.eventDataset, `protocol`.dataset)
    event.set(.networkProtocol, `protocol`.name)
    event.set(.frameNumber, Int64(clamping: frame))
    switch content {
    case .dns(let message): message.appendFields(to: &event)
    case .tlsClientHello(let message): message.appendFields(to: &event)
    case .tlsServerHello(let message): message.appendFields(to: &event)
    case .tlsCertificate(let message): message.appendFields(to: &event)
    case .httpRequest(let message): message.appendFields(to: &event)
    case .httpResponse(let message): message.appendFields(to: &event)
    case .jsonRPC(let message): message.appendFields(to: &event)
    case .sshBanner(let message): message.appendFields(to: &event)
    case .sshKeyExchange(let message): message.appendFields(to: &event)
    case .credential(let message): message.appendFields(to: &event)
    }
  }
}
