// Signatures: RFC 8032's own vectors, every way to tamper, and key files that must be refused.
import AgentRuntime
import Detection
import Events
import Export
import Glibc
import Primitives
import RuleLanguage
import Testing

private func bytes(_ hexadecimal: String) -> [UInt8] {
  let digits = Array(hexadecimal)
  return stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0...$0 + 1]), radix: 16) }
}
private func withDirectory(_ body: (String) throws -> Void) throws {
  var template = Array("/tmp/panguard-keys-XXXXXX".utf8CString)
  guard let made = mkdtemp(&template) else { return }
  let directory = String(cString: made)
  defer {
    for name in ["key", "key.pub", "other", "link"] { unlink("\(directory)/\(name)") }
    rmdir(directory)
  }
  try body(directory)
}

@Suite struct SigningTests {
  /// RFC 8032, 7.1, tests 1 to 3.
  @Test(arguments: [
    (
      "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    ),
    (
      "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    ),
    (
      "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    ),
  ])
  func rfc8032(_ seed: String, _ publicKey: String, _ message: String, _ signature: String) throws {
    let key = try SigningKey(seed: bytes(seed))
    #expect(key.verifyingKey.bytes == bytes(publicKey))
    #expect(try key.sign(bytes(message)) == bytes(signature))
    #expect(key.verifyingKey.isValid(bytes(signature), of: bytes(message)))
    #expect(!key.verifyingKey.isValid(bytes(signature), of: bytes(message) + [0]))
    #expect(!key.verifyingKey.isValid(Array(bytes(signature).dropLast()), of: bytes(message)))
  }

  @Test func keyFiles() throws {
    try withDirectory { directory in
      let key = try SigningKey.make()
      try key.write(to: "\(directory)/key")
      #expect(try SigningKey(file: "\(directory)/key").verifyingKey == key.verifyingKey)
      #expect(try VerifyingKey(file: "\(directory)/key.pub") == key.verifyingKey)
      #expect(throws: SigningError.self) { try key.write(to: "\(directory)/key") }
      #expect(throws: SigningError.self) { try VerifyingKey(file: "\(directory)/key") }
      #expect(throws: SigningError.self) { try SigningKey(file: "\(directory)/key.pub") }
      symlink("\(directory)/key", "\(directory)/link")
      #expect(throws: SigningError.self) { try SigningKey(file: "\(directory)/link") }
      chmod("\(directory)/key", 0o640)
      #expect(throws: SigningError.self) { try SigningKey(file: "\(directory)/key") }
      #expect(throws: SigningError.self) { try SigningKey(file: "\(directory)/none") }
    }
  }

  @Test(arguments: [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy")])
  func base64(_ text: String, _ encoded: String) {
    #expect(Base64.encode(Array(text.utf8)) == encoded)
    #expect(Base64.decode(encoded) == Array(text.utf8))
  }
  @Test(arguments: ["Z", "Zg=", "Zg", "Zh==", "====", "Zm9v\n", "Z===", "Zm=v", "Zm9_"]) func notBase64(_ text: String) {
    #expect(Base64.decode(text) == nil)
  }

  private static func decision() -> Decision {
    var decision = Decision(
      id: "d0123456789abcde", revision: 1, time: EventTime(seconds: 1_767_571_200), subject: Subject(source: "192.0.2.7", user: "root"),
      ruleID: "ATR-2026-90001",
      ruleTitle: "T", severity: .high, category: "credential-access", techniques: [], confidence: Confidence(thousandths: 950), terms: [],
      trust: .claimed,
      action: .notify, actionReason: "r", matchCount: 1, observed: 1, threshold: 1, firstTime: EventTime(seconds: 1_767_571_200),
      lastTime: EventTime(seconds: 1_767_571_200), summary: "secret \"hunter2\"",
      evidence: [
        EvidenceRecord(
          source: "/var/log/auth.log", offset: 7, length: 80, time: EventTime(seconds: 1_767_571_200), fingerprint: Fingerprint(high: 1, low: 2))
      ],
      evidenceTotal: 1, provenance: Provenance(engineVersion: "1", ruleSetHash: "aa", configurationHash: "bb", baselineHash: "none"))
    decision.profiles = ["p@1.0.0"]
    return decision
  }

  @Test func anEventVerifiesUntilItIsChanged() throws {
    let key = try SigningKey(seed: (0..<32).map { UInt8($0) })
    let writer = ATREventWriter(rules: RuleSet(rules: [], diagnostics: [], refusedCount: 0), key: key, redacts: true)
    let line = try writer.line(Self.decision())
    #expect(try writer.line(Self.decision()) == line)
    func verify(_ text: [UInt8], _ key: VerifyingKey) -> ATREventVerification { text.withUnsafeBytes { ATREventVerification($0, key: key) } }
    #expect(verify(line, key.verifyingKey) == .valid)
    let text = String(decoding: line, as: UTF8.self)
    for secret in ["192.0.2.7", "root", "hunter2", "auth.log"] { #expect(!text.contains(secret)) }
    // Another order and other white space are the same event.
    let moved = "{ \"evidence.upstream_chain\" : null ," + text.dropFirst().replacing("\"evidence.upstream_chain\":null,", with: "")
    #expect(verify(Array(moved.utf8), key.verifyingKey) == .valid)
    // Every byte counts: whatever is flipped, the event is no longer valid.
    for place in stride(from: 0, to: line.count, by: 3) {
      var changed = line
      changed[place] ^= 1
      #expect(verify(changed, key.verifyingKey) != .valid, "byte \(place)")
    }
    let other = try SigningKey(seed: [UInt8](repeating: 9, count: 32)).verifyingKey
    #expect(verify(line, other) == .otherKey(key.verifyingKey.id))
    #expect(verify(Array(text.replacing(key.verifyingKey.id, with: other.id).utf8), other) == .tampered)
    #expect(verify(Array("{\"a\":1}".utf8), other) == .unsigned)
    if case .unreadable = verify(Array("{".utf8), other) {} else { Issue.record("must be unreadable") }
  }
}
