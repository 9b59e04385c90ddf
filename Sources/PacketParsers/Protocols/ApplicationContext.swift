// What all flows of one decoder share: the budget of buffered bytes, the counters, OpenSSL's digests, and scratch memory.
// What must stay true: it belongs to one thread; nothing in it outlives a message except counters and buffers that flows hold.
import COpenSSL
import Primitives

/// What the application layer met. Every limit has its count here.
public struct ApplicationCounters: Equatable, Sendable {
  /// Messages that were emitted, by protocol (`ApplicationProtocol.rawValue`).
  public var messages = [UInt64](repeating: 0, count: ApplicationProtocol.allCases.count)
  /// Messages that were no such message after all, by reason (`ParseReason.rawValue`).
  public var errors = [UInt64](repeating: 0, count: ParseReason.allCases.count)
  /// Flows whose protocol was recognised, and those that were given up as unknown.
  public var recognisedFlows: UInt64 = 0
  public var unknownFlows: UInt64 = 0
  /// Directions that were given up because `Limits.applicationHeldBytes` was used up.
  public var heldBytesExceeded: UInt64 = 0
  /// Gaps that a parser could not step over.
  public var gaps: UInt64 = 0
  /// Texts and lists in messages that were cut at their limit.
  public var cutTexts: UInt64 = 0
  public init() {}
}

public final class ApplicationContext {
  public var counters = ApplicationCounters()
  /// Bytes that the buffers of all flows hold now; at most `Limits.applicationHeldBytes`.
  public private(set) var heldBytes = 0
  let digests = Digests()
  let dns = DNSScratch()
  /// Text that a message is made of while it is emitted.
  var scratch: [UInt8] = []
  public init() { scratch.reserveCapacity(4096) }

  func reserve(_ count: Int) -> Bool {
    guard heldBytes + count <= Limits.applicationHeldBytes else {
      counters.heldBytesExceeded &+= 1
      return false
    }
    heldBytes += count
    return true
  }
  func release(_ count: Int) { heldBytes -= count }
  func count(_ failure: ParseFailure) { counters.errors[Int(failure.reason.rawValue)] &+= 1 }
  func count(_ reason: ParseReason) { counters.errors[Int(reason.rawValue)] &+= 1 }
}

/// MD5 and SHA-256 with what OpenSSL looks up only once.
final class Digests {
  private let md5: OpaquePointer?
  private let sha256: OpaquePointer?
  private let state: OpaquePointer?
  init() {
    md5 = EVP_MD_fetch(nil, "MD5", nil)
    sha256 = EVP_MD_fetch(nil, "SHA256", nil)
    state = EVP_MD_CTX_new()
  }
  deinit {
    EVP_MD_CTX_free(state)
    EVP_MD_free(md5)
    EVP_MD_free(sha256)
  }
  /// All zeros where the library refuses (MD5 under FIPS).
  func md5(_ text: Bytes) -> HexText { HexText(of: digest(md5, text), bytes: 16) }
  /// The first six bytes, as JA4 has them.
  func sha256Prefix(_ text: Bytes) -> HexText { HexText(of: digest(sha256, text), bytes: 6) }

  private func digest(_ algorithm: OpaquePointer?, _ text: Bytes) -> (UInt64, UInt64, UInt64, UInt64) {
    var out: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    withUnsafeMutableBytes(of: &out) { out in
      guard let algorithm, let state, EVP_DigestInit_ex2(state, algorithm, nil) == 1 else { return }
      EVP_DigestUpdate(state, text.baseAddress, text.count)
      EVP_DigestFinal_ex(state, out.baseAddress?.assumingMemoryBound(to: UInt8.self), nil)
    }
    return out
  }
}

/// Up to 48 bytes of text in place: hashes and fingerprints, which need no memory of their own.
public struct HexText: Equatable, Sendable {
  private var storage: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0)
  public private(set) var count = 0
  public init() {}
  init(of digest: (UInt64, UInt64, UInt64, UInt64), bytes: Int) {
    withUnsafeBytes(of: digest) { digest in
      for i in 0..<min(bytes, 24) {
        append(HexText.digit(digest[i] >> 4))
        append(HexText.digit(digest[i] & 15))
      }
    }
  }
  @inline(__always)
  static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }
  mutating func append(_ byte: UInt8) {
    guard count < 48 else { return }
    let at = count
    withUnsafeMutableBytes(of: &storage) { $0[at] = byte }
    count += 1
  }
  mutating func append(_ other: HexText) { other.withBytes { for byte in $0 { append(byte) } } }
  public func withBytes<Result>(_ body: (Bytes) -> Result) -> Result {
    withUnsafeBytes(of: storage) { body($0.upTo(count)) }
  }
  public static func == (a: HexText, b: HexText) -> Bool { a.withBytes { x in b.withBytes { x.equals($0) } } }
  public var string: String { withBytes(\.string) }
}
