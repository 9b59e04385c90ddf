// SSH's banners and first key exchange message of each side (RFC 4253 4.2, 6, 7.1), and HASSH (salesforce/hassh) of its lists.
// What must stay true: after the key exchange lists a direction is given up; the rest is sealed.
import Events
import Primitives

/// "SSH-2.0-OpenSSH_9.2p1 Debian-2", without its line end. Borrowed.
public struct SSHBanner {
  public var text = Bytes.none
  public var isFromClient = false

  func appendFields(to event: inout Event) {
    event.set(.eventAction, "ssh-banner" as StaticString)
    event.set(isFromClient ? .sshClientBanner : .sshServerBanner, text)
  }
}

/// The name lists of SSH_MSG_KEXINIT. Borrowed.
public struct SSHKeyExchange {
  public var keyExchange = Bytes.none
  public var hostKey = Bytes.none
  public var encryptionToServer = Bytes.none
  public var encryptionToClient = Bytes.none
  public var authenticationToServer = Bytes.none
  public var authenticationToClient = Bytes.none
  public var compressionToServer = Bytes.none
  public var compressionToClient = Bytes.none
  /// HASSH of a client, hasshServer of a server.
  public var hassh = HexText()
  public var isFromClient = false

  func appendFields(to event: inout Event) {
    event.set(.eventAction, "ssh-key-exchange" as StaticString)
    hassh.withBytes { event.set(isFromClient ? .sshClientHASSH : .sshServerHASSH, $0) }
  }

  /// `payload`: of a binary packet whose message number is 20.
  static func read(_ payload: Bytes, isFromClient: Bool, _ context: ApplicationContext) -> ParseResult<SSHKeyExchange> {
    var lists = SSHKeyExchange()
    var reader = ByteReader(payload, at: 17)  // number, cookie
    func next() -> Bytes? {
      guard let length = reader.u32(), length <= UInt32(payload.count) else { return nil }
      return reader.take(Int(length))
    }
    guard let keyExchange = next(), let hostKey = next(), let encryptionToServer = next(), let encryptionToClient = next(),
      let authenticationToServer = next(), let authenticationToClient = next(), let compressionToServer = next(), let compressionToClient = next()
    else { return .failure(ParseFailure(reader.at, .length)) }
    lists.isFromClient = isFromClient
    lists.keyExchange = keyExchange
    lists.hostKey = hostKey
    lists.encryptionToServer = encryptionToServer
    lists.encryptionToClient = encryptionToClient
    lists.authenticationToServer = authenticationToServer
    lists.authenticationToClient = authenticationToClient
    lists.compressionToServer = compressionToServer
    lists.compressionToClient = compressionToClient
    context.scratch.removeAll(keepingCapacity: true)
    context.scratch.append(keyExchange)
    context.scratch.append(0x3b)
    context.scratch.append(isFromClient ? encryptionToServer : encryptionToClient)
    context.scratch.append(0x3b)
    context.scratch.append(isFromClient ? authenticationToServer : authenticationToClient)
    context.scratch.append(0x3b)
    context.scratch.append(isFromClient ? compressionToServer : compressionToClient)
    lists.hassh = context.scratch.withUnsafeBytes { context.digests.md5($0) }
    return .value(lists)
  }
}

final class SSHParser: StreamParser {
  private let client: FlowDirection
  private var sawBanner = ByDirection(false)
  private var lines = ByDirection(0)

  /// `client`: the way the client's bytes go.
  init(_ context: ApplicationContext, client: FlowDirection) {
    self.client = client
    super.init(.ssh, context)
  }

  static func recognise(_ bytes: Bytes) -> Bool? {
    let start = Bytes("SSH-")
    let shown = min(bytes.count, start.count)
    guard bytes.upTo(shown).equals(start.upTo(shown)) else { return false }
    return bytes.count >= start.count ? true : nil
  }

  /// RFC 4253 4.2 allows 255 bytes; servers may send other lines before.
  private static let longestLine = 1024

  override func parse(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    sawBanner[direction] ? packet(bytes, direction, frame, emit) : line(bytes, direction, frame, emit)
  }
  private func line(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    guard let end = bytes.upTo(SSHParser.longestLine).index(of: 0x0a) else {
      return bytes.count >= SSHParser.longestLine ? .failed(ParseFailure(0, .tooLong)) : .needs(bytes.count + 1)
    }
    let text = bytes.upTo(end).trimmed
    guard text.starts(with: "SSH-") else {
      lines[direction] += 1
      return lines[direction] > 50 ? .failed(ParseFailure(0, .value)) : .took(end + 1)
    }
    sawBanner[direction] = true
    emit(message(.sshBanner(SSHBanner(text: text, isFromClient: direction == client)), direction, frame, isFromClient: direction == client))
    // Version 1 has other packets.
    return text.starts(with: "SSH-2.") || text.starts(with: "SSH-1.99") ? .took(end + 1) : .done
  }
  private func packet(_ bytes: Bytes, _ direction: FlowDirection, _ frame: UInt64, _ emit: MessageReceiver) -> ParseStep {
    guard bytes.count >= 6 else { return .needs(6) }
    let length = Int(bytes.u32(at: 0))
    let padding = Int(bytes[4])
    guard length >= 2, length <= Limits.applicationMessageBytes - 4, padding < length else { return .failed(ParseFailure(0, .length)) }
    guard bytes[5] == 20 else {  // some say something before (RFC 4253 11)
      lines[direction] += 1
      return lines[direction] > 50 ? .done : .took(4 + length)
    }
    guard bytes.count >= 4 + length else { return .needs(4 + length) }
    switch SSHKeyExchange.read(bytes.slice(5, 4 + length - padding), isFromClient: direction == client, context) {
    case .value(let lists): emit(message(.sshKeyExchange(lists), direction, frame, isFromClient: direction == client))
    case .failure(let failure): return .failed(failure)
    case .incomplete: break
    }
    return .done
  }
}
