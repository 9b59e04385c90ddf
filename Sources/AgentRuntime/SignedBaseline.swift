// A baseline in one signed file: whoever takes it up knows who made it and that nobody changed it since.
// The file: the line "panguard-signed-baseline 1", the signer's public key (32 bytes), an Ed25519 signature (64 bytes) of everything but itself,
// and the snapshot (Baseline). Keys are those of ATR events (SigningKey).
// What must stay true: nothing behind the signature is read before it is found valid; a valid signature says whose the file is, not whether
// he is to be trusted: that is for whoever asks.
import Primitives

public struct SignedBaseline: Sendable {
  public var signer: VerifyingKey
  public var snapshot: [UInt8]

  private static let magic = Array("panguard-signed-baseline 1\n".utf8)
  public static func isSigned(_ bytes: [UInt8]) -> Bool { bytes.starts(with: magic) }

  /// The file's bytes.
  public static func encode(_ snapshot: [UInt8], key: SigningKey) throws -> [UInt8] {
    let head = magic + key.verifyingKey.bytes
    return head + (try key.sign(head + snapshot)) + snapshot
  }
  /// Throws where the signature is not the signer's.
  public init(_ bytes: [UInt8]) throws {
    let (keyEnd, signatureEnd) = (SignedBaseline.magic.count + 32, SignedBaseline.magic.count + 96)
    guard SignedBaseline.isSigned(bytes), bytes.count >= signatureEnd,
      let key = VerifyingKey(bytes: Array(bytes[SignedBaseline.magic.count..<keyEnd]))
    else { throw SigningError("this is no signed baseline") }
    let snapshot = Array(bytes[signatureEnd...])
    guard key.isValid(Array(bytes[keyEnd..<signatureEnd]), of: Array(bytes[..<keyEnd]) + snapshot) else {
      throw SigningError("the signature is not that of \(key.id), or the file was changed since")
    }
    (signer, self.snapshot) = (key, snapshot)
  }
}
