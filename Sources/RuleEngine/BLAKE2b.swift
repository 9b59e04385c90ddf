// BLAKE2b with a digest of 32 bytes, unkeyed (RFC 7693). libcrypto 3.0 has only the 64-byte form. One pass, no allocation but the result.
import Primitives

enum BLAKE2b {
  private static let initial: [UInt64] = [
    0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1, 0x510e_527f_ade6_82d1, 0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b, 0x5be0_cd19_137e_2179,
  ]
  /// The message words of each round; rounds 10 and 11 repeat 0 and 1.
  private static let order: [[Int]] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4], [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13], [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11], [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5], [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
  ]

  static func digest32(_ bytes: Bytes) -> [UInt8] {
    var h = initial
    h[0] ^= 0x0101_0000 ^ 32
    var at = 0
    while bytes.count - at > 128 {
      compress(&h, bytes.slice(at, at + 128), counted: UInt64(at + 128), isLast: false)
      at += 128
    }
    compress(&h, bytes.from(at), counted: UInt64(bytes.count), isLast: true)
    var out: [UInt8] = []
    for word in h[..<4] { out.append(littleEndian: word) }
    return out
  }

  /// `block`: at most 128 bytes; zeros follow.
  private static func compress(_ h: inout [UInt64], _ block: Bytes, counted: UInt64, isLast: Bool) {
    var m = [UInt64](repeating: 0, count: 16)
    for i in 0..<block.count { m[i >> 3] |= UInt64(block[i]) << UInt64((i & 7) * 8) }
    var v = h + initial
    v[12] ^= counted
    if isLast { v[14] = ~v[14] }
    func mix(_ a: Int, _ b: Int, _ c: Int, _ d: Int, _ x: UInt64, _ y: UInt64) {
      v[a] = v[a] &+ v[b] &+ x
      v[d] = rotate(v[d] ^ v[a], 32)
      v[c] = v[c] &+ v[d]
      v[b] = rotate(v[b] ^ v[c], 24)
      v[a] = v[a] &+ v[b] &+ y
      v[d] = rotate(v[d] ^ v[a], 16)
      v[c] = v[c] &+ v[d]
      v[b] = rotate(v[b] ^ v[c], 63)
    }
    for round in 0..<12 {
      let s = order[round % 10]
      mix(0, 4, 8, 12, m[s[0]], m[s[1]])
      mix(1, 5, 9, 13, m[s[2]], m[s[3]])
      mix(2, 6, 10, 14, m[s[4]], m[s[5]])
      mix(3, 7, 11, 15, m[s[6]], m[s[7]])
      mix(0, 5, 10, 15, m[s[8]], m[s[9]])
      mix(1, 6, 11, 12, m[s[10]], m[s[11]])
      mix(2, 7, 8, 13, m[s[12]], m[s[13]])
      mix(3, 4, 9, 14, m[s[14]], m[s[15]])
    }
    for i in 0..<8 { h[i] ^= v[i] ^ v[i + 8] }
  }
  private static func rotate(_ x: UInt64, _ n: UInt64) -> UInt64 { x >> n | x << (64 - n) }
}
