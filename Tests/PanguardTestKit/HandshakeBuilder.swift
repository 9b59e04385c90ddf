// Handshakes of TLS and SSH made of lists of numbers and texts.

func u16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 255), UInt8(value & 255)] }
func u24(_ value: Int) -> [UInt8] { [UInt8(value >> 16 & 255)] + u16(value & 0xffff) }
func vector8(_ bytes: [UInt8]) -> [UInt8] { [UInt8(bytes.count)] + bytes }
func vector16(_ bytes: [UInt8]) -> [UInt8] { u16(bytes.count) + bytes }

struct HelloBuilder {
  var version = 0x0303
  var ciphers: [Int] = [0x1301, 0xc02f]
  /// Types in their order; the lists below are what is in them.
  var extensions: [Int] = [0, 10, 11, 13, 16, 43]
  var hasExtensions = true
  var serverName = "example.org"
  var groups = [29, 23]
  var pointFormats: [UInt8] = [0]
  var signatureAlgorithms = [0x0403, 0x0804]
  var protocols: [[UInt8]] = [Array("h2".utf8), Array("http/1.1".utf8)]
  var versions = [0x0304, 0x0303]

  private func numbers(_ list: [Int]) -> [UInt8] { list.flatMap(u16) }
  private func data(_ type: Int) -> [UInt8] {
    switch type {
    case 0: vector16([0] + vector16(Array(serverName.utf8)))
    case 10: vector16(numbers(groups))
    case 11: vector8(pointFormats)
    case 13: vector16(numbers(signatureAlgorithms))
    case 16: vector16(protocols.flatMap(vector8))
    case 43: vector8(numbers(versions))
    default: []
    }
  }
  /// The message without its header.
  var body: [UInt8] {
    let list = extensions.flatMap { u16($0) + vector16(data($0)) }
    return u16(version) + [UInt8](repeating: 7, count: 32) + vector8([]) + vector16(numbers(ciphers)) + [1, 0] + (hasExtensions ? vector16(list) : [])
  }
  var message: [UInt8] { [1] + u24(body.count) + body }
  /// In records of at most `size` bytes.
  func records(size: Int = 16_384) -> [UInt8] { tlsRecords(message, size: size) }
}

func tlsRecords(_ message: [UInt8], type: UInt8 = 22, size: Int = 16_384) -> [UInt8] {
  var out: [UInt8] = []
  var at = 0
  while at < message.count {
    let end = min(at + size, message.count)
    out += [type, 3, 1] + vector16(Array(message[at..<end]))
    at = end
  }
  return out
}
func serverHello(version: Int = 0x0303, cipher: Int, extensions: [(Int, [UInt8])], random: [UInt8] = [UInt8](repeating: 9, count: 32)) -> [UInt8] {
  let list = extensions.flatMap { u16($0.0) + vector16($0.1) }
  let body = u16(version) + random + vector8([]) + u16(cipher) + [0] + (extensions.isEmpty ? [] : vector16(list))
  return [2] + u24(body.count) + body
}

/// What a server of TLS 1.2 says: ServerHello, a certificate, ServerHelloDone, in records of 200 bytes.
struct CertificateFlight {
  var cipher = 0xc02f
  var version = 0x0303
  /// Distinguished names: the last number of the attribute's identifier (3 common name, 6 country, 10 organisation), and its text.
  var issuer: [(UInt8, String)] = [(6, "DE"), (3, "Test CA")]
  var subject: [(UInt8, String)] = [(3, "old.example"), (10, "Test")]
  /// GeneralizedTime
  var notAfter = "20510607080910Z"

  var bytes: [UInt8] {
    let validity = der(0x30, der(0x17, Array("200102030405Z".utf8)) + der(0x18, Array(notAfter.utf8)))
    let signed = der(
      0x30,
      der(0xa0, der(2, [2])) + der(2, [1]) + der(0x30, der(6, [0x2a])) + name(issuer) + validity + name(subject)
        + der(0x30, [UInt8](repeating: 0, count: 300)))
    let certificate = der(0x30, signed + der(0x30, []) + der(3, [0]))
    let list = u24(certificate.count) + certificate
    let body = u24(list.count) + list
    return tlsRecords(
      serverHello(version: version, cipher: cipher, extensions: [(65281, [0])]) + [11] + u24(body.count) + body + [14, 0, 0, 0], size: 200)
  }
  private func der(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
    [tag] + (content.count < 128 ? [UInt8(content.count)] : [0x82] + u16(content.count)) + content
  }
  private func name(_ parts: [(UInt8, String)]) -> [UInt8] {
    der(0x30, parts.flatMap { der(0x31, der(0x30, der(6, [0x55, 4, $0.0]) + der(0x0c, Array($0.1.utf8)))) })
  }
}

enum SSHBuilder {
  static let lists = ["kex1,kex2", "rsa", "aes-cs", "aes-sc", "mac-cs", "mac-sc", "none-cs", "none-sc", "", ""]
  static func keyExchange(_ lists: [String] = lists, padding: Int = 6) -> [UInt8] {
    let payload = [20] + [UInt8](repeating: 5, count: 16) + lists.flatMap { u16(0) + vector16(Array($0.utf8)) } + [0, 0, 0, 0, 0]
    return u16(0) + u16(payload.count + padding + 1) + [UInt8(padding)] + payload + [UInt8](repeating: 0, count: padding)
  }
}
