// The guarded form of every pattern of the public corpus, on its rules' own test cases: it compiles, and says what the pattern as it is says.
import Glibc
import Primitives
import RegularExpressions
import RuleLanguage
import Testing

@testable import RuleEngine

@Suite struct ChargedPatternTests {
  private var corpus: String? {
    if let value = getenv("PANGUARD_SHARED") { return RuleLoader.corpusFolder(below: String(cString: value)) }
    var folders = #filePath.split(separator: "/").dropLast()
    while !folders.isEmpty {
      folders.removeLast()
      if let found = RuleLoader.corpusFolder(below: "/" + (folders + ["shared"]).joined(separator: "/")) { return found }
    }
    return nil
  }

  /// What a look-behind walks over is charged: a wide one, and one that is taken apart and tried in many ways.
  @Test(arguments: [
    (#"(?<=[a-zZ]{20000})[ZY](?![ZYa-z])"#, String(repeating: "Z", count: 50_000)),
    (#"(?<=[a-z]{500}[a-zZ]{500}|[a-zZ]{1000})[ZY](?![ZYa-z])"#, String(repeating: "Z", count: 50_000)),
    (
      #"(?<=x[ab]{1,9}[ab]{1,9}[ab]{1,9}[ab]{1,9})Z(?!Z)"#,
      String(repeating: String(repeating: "ab", count: 20) + "Z", count: 1000)
    ),
  ])
  func lookBehindsAreCharged(_ pattern: String, _ text: String) throws {
    let expression = try RegularExpression(pattern, isCaseSensitive: true)
    for kind in [RegularExpression.TextKind.ascii, .unicode] {
      let charged = try #require(expression.chargedPCRE2(for: kind))
      for useJIT in [true, false] {
        let guarded = try Regex(Array(charged.utf8), kind: kind, form: .guarded, scan: expression.matchFacts().scan, useJIT: useJIT)
        defer { guarded.free() }
        var charge = 1 << 22
        #expect(Array(text.utf8).withUnsafeBytes { guarded.matches($0, charge: &charge, RegexMemory()) } == .unknown)
      }
    }
  }

  @Test func theGuardedFormSaysTheSame() throws {
    guard let corpus else {
      print("skipped: no shared data (set PANGUARD_SHARED)")
      return
    }
    let memory = RegexMemory()
    var compared = 0
    var matched = 0
    for rule in RuleLoader.load(paths: [corpus]).rules {
      guard case .pattern(let conditions, _) = rule.detection else { continue }
      let texts = rule.tests.prefix(8).compactMap { test -> [UInt8]? in
        switch test.input {
        case .lines(let text), .event(let text): Array(text.utf8)
        default: nil
        }
      }
      for condition in conditions {
        guard case .regex(let patterns, let isCaseSensitive) = condition.test else { continue }
        for pattern in patterns {
          let expression = try RegularExpression(pattern, isCaseSensitive: isCaseSensitive)
          for kind in [RegularExpression.TextKind.ascii, .unicode] {
            guard let plain = expression.pcre2(for: kind), let charged = expression.chargedPCRE2(for: kind) else { continue }
            let fast = try Regex(Array(plain.utf8), kind: kind)
            let guarded = try Regex(Array(charged.utf8), kind: kind, form: .guarded, scan: expression.matchFacts().scan)
            defer {
              fast.free()
              guarded.free()
            }
            for text in texts where kind == .unicode || text.allSatisfy({ $0 < 0x80 }) {
              var charge = 1 << 22
              let (a, b) = text.withUnsafeBytes { (fast.matches($0, memory), guarded.matches($0, charge: &charge, memory)) }
              #expect(a == .unknown || b == .unknown || a == b, "\(rule.id): \(pattern)")
              compared += 1
              matched += b == .yes ? 1 : 0
            }
          }
        }
      }
    }
    #expect(compared > 20_000 && matched > 3_000, "\(compared), \(matched)")
  }
}

extension RuleLoader {
  fileprivate static func corpusFolder(below shared: String) -> String? {
    var status = stat()
    let path = shared + "/corpora/atr/rules-642"
    return stat(path, &status) == 0 ? path : nil
  }
}
