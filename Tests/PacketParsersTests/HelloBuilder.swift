// TLS hellos and records made of lists of numbers.
@testable import PacketParsers

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

  func read(isQUIC: Bool = false) -> (ja3: String, ja4: String)? {
    let context = ApplicationContext()
    return body.withUnsafeBytes {
      guard case .value(let hello) = TLSClientHello.read($0, isQUIC: isQUIC, context) else { return nil }
      return (hello.ja3.string, hello.ja4.string)
    }
  }
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
