// Signature rules: which indicators an event has, whatever the spelling on either side.
import Events
import Primitives
import RuleLanguage
import Testing

@testable import RuleEngine

private func indicator(_ type: SignatureDetection.IndicatorType, _ value: String, _ field: String) -> SignatureDetection.Indicator {
  SignatureDetection.Indicator(type: type, value: value, target: FieldReference(name: field), location: here)
}
private func signature(_ id: String, _ logic: SignatureDetection.MatchLogic, _ indicators: SignatureDetection.Indicator...) -> Rule {
  rule(id, .signature(SignatureDetection(indicators: indicators, matchLogic: logic)))
}

@Suite struct SignatureTests {
  // Digests of "abc": RFC 7693 appendix A gives the 64-byte form; these were computed with two other implementations.
  static let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
  static let sha512 =
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
  static let blake2b = "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"

  @Test func digestsOfBytes() {
    #expect("abc".withBytes { Digests.hexadecimal(.sha256, of: $0) } == Array(Self.sha256.utf8))
    #expect("abc".withBytes { Digests.hexadecimal(.sha512, of: $0) } == Array(Self.sha512.utf8))
    #expect("abc".withBytes { Digests.hexadecimal(.blake2b256, of: $0) } == Array(Self.blake2b.utf8))
    #expect(Digests.hexadecimal(.blake2b256, of: .none) == Array("0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8".utf8))
  }

  /// Lengths around the block size: where a last block is full, it must not be taken for one of many.
  @Test(arguments: [127, 128, 129, 256, 257])
  func blakeBlocks(_ count: Int) {
    let bytes = [UInt8](repeating: 0x61, count: count)
    let digest = bytes.withUnsafeBytes { Digests.hexadecimal(.blake2b256, of: $0) }
    #expect(digest.map { String(decoding: $0, as: UTF8.self) } == Self.blakeOfA[count])
  }
  static let blakeOfA: [Int: String] = [
    127: "59e2f1aba240f20aa591016f5ef429990bc9c2131dcd0d30f0ffd75ed18f317d",
    128: "ae2aa48507885c4c950fb809b2076f959cde9f8ea6da260d9a3587df33dac450",
    129: "2f64744a6de0d2c0b56e64cf6e29a5aaa255010d415d51c75ccc82f73dccd865",
    256: "eae4d3a7627549b383179dc18049964f91a6fed14c9f3fb26705eda3eeda5558",
    257: "496943de3c8b1458635ee30c15bb26cede6957abdd28f0a860cdaf967116c747",
  ]

  @Test func anyAndAll() {
    var engine = RuleEngine(
      ruleSet(
        signature("A", .any, indicator(.sha256, Self.sha256, "skill.content"), indicator(.packageName, "@bad/pack", "skill.manifest.name")),
        signature("B", .all, indicator(.sha512, Self.sha512, "skill.content"), indicator(.skillID, "s-1", "skill.id")),
        signature("C", .all, indicator(.blake2b256, Self.blake2b, "skill.content")),
        pattern("D", any: isExactly("skill.id", "s-1"))))
    var event = Event()
    let table: [(fields: [(String, String)], ids: [String])] = [
      ([("skill.content", "abc")], ["A", "C"]),
      ([("skill.content", "abc"), ("skill.id", "s-1")], ["A", "B", "C", "D"]),
      ([("skill.content", "abc "), ("skill.id", "S-1")], []),
      ([("skill.manifest.name", "@bad/pack")], ["A"]),
      ([("skill.manifest.name", "@Bad/pack")], []),
      ([("skill.id", "s-1")], ["D"]),
      ([], []),
    ]
    for row in table {
      fill(&event, row.fields)
      #expect(engine.ids(event) == row.ids, "\(row.fields)")
    }
  }

  @Test func theMatchNamesItsIndicators() {
    var engine = RuleEngine(
      ruleSet(signature("A", .any, indicator(.packageName, "x", "a"), indicator(.packageName, "y", "b"), indicator(.packageName, "z", "c"))))
    var event = Event()
    fill(&event, [("a", "x"), ("c", "z")])
    let match = engine.matches(event).first
    guard case .indicators([0, 2])? = match?.details else { return #expect(Bool(false), "\(String(describing: match))") }
    #expect(match?.evidence.count == 1)
  }

  @Test(arguments: ["0xBA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD", sha256, "ba:" + sha256.dropFirst(2)])
  func fieldsThatAreDigests(_ spelling: String) {
    var engine = RuleEngine(ruleSet(signature("A", .any, indicator(.sha256, Self.sha256, "file.hash.sha256"))))
    var event = Event()
    fill(&event, [("file.hash.sha256", spelling)])
    #expect(engine.ids(event) == ["A"])
    fill(&event, [("file.hash.sha256", "abc")])
    #expect(engine.ids(event) == [])
  }

  @Test func addresses() {
    var engine = RuleEngine(ruleSet(signature("A", .any, indicator(.registryURL, "https://reg.example/evil/pack", "mcp.tool.source_url"))))
    var event = Event()
    for spelling in ["https://reg.example/evil/pack", "HTTPS://REG.example:443/evil/./x/../pack/#top", "https://reg.example/%65vil/p%61ck//"] {
      fill(&event, [("mcp.tool.source_url", spelling)])
      #expect(engine.ids(event) == ["A"], "\(spelling)")
    }
    for other in ["http://reg.example/evil/pack", "https://reg.example/Evil/pack", "https://reg.example/evil/pack?x", "reg.example/evil/pack", ""] {
      fill(&event, [("mcp.tool.source_url", other)])
      #expect(engine.ids(event) == [], "\(other)")
    }
  }
}

extension String {
  func withBytes<Result>(_ body: (Bytes) -> Result) -> Result { Array(utf8).withUnsafeBytes { body($0) } }
}
