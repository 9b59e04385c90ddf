import Primitives
import Testing

@testable import RegularExpressions

@Suite struct ScanFormTests {
  private func form(_ text: String) -> (text: String, shifts: [ScanShift]) {
    let bytes = Array(text.utf8)
    var shifts: [ScanShift] = []
    let made = [UInt8](unsafeUninitializedCapacity: bytes.count) { out, count in
      count = bytes.withUnsafeBytes { text in out.baseAddress.map { ScanForm.write(text, to: $0, &shifts).count } ?? 0 }
    }
    return (String(decoding: made, as: UTF8.self), shifts)
  }

  @Test func runsOfWhiteSpaceAreOneSpace() {
    let table: [(String, String)] = [
      ("", ""), ("abc", "abc"), ("a b", "a b"), ("a  b", "a b"), ("\ta\r\n\r\nb ", " a b "), ("a\u{1c}\u{1f}b", "a b"), ("a\u{a0}\u{3000} b", "a b"),
      ("\u{85}", " "), ("a\u{200b}b", "a\u{200b}b"), ("\u{212a}\u{130}\u{131}\u{17f}", "kiis"), ("Ab", "Ab"), ("é \u{1680}é", "é é"),
    ]
    for (text, expected) in table {
      #expect(form(text).text == expected, "\(text.debugDescription)")
      #expect(ScanForm.of(Array(text.utf8)) == Array(expected.utf8))
    }
  }

  /// What `\s` matches, and nothing else.
  @Test func whiteSpaceIsWhatTheShorthandMatches() {
    for point in UInt32(0)...0x3100 {
      guard let scalar = Unicode.Scalar(point) else { continue }
      let isBlank = form(String(Character(scalar))).text == " "
      #expect(isBlank == CodePointSet.space.contains(point), "U+\(String(point, radix: 16))")
      #expect(isBlank == ScanForm.isBlank(point))
    }
  }

  /// Cut anywhere, and with bytes that are no characters.
  @Test func anyBytesHaveAForm() {
    let bytes: [UInt8] = [0x20, 0x09, 0xc2, 0xa0, 0xe2, 0x80, 0x83, 0xe2, 0x84, 0xaa, 0xe3, 0x80, 0x80, 0xc5, 0xbf, 0xff, 0xf0, 0x61]
    for from in bytes.indices {
      for end in from...bytes.count {
        let part = Array(bytes[from..<end])
        #expect(ScanForm.of(part).count <= part.count)
        #expect(!zip(ScanForm.of(part), ScanForm.of(part).dropFirst()).contains { $0 == 0x20 && $1 == 0x20 })
      }
    }
  }

  @Test func shiftsSayWhereTheTextIs() {
    let shifts = form("a  b\tc \n\n d  ").shifts
    #expect(form("a  b\tc \n\n d  ").text == "a b c d ")
    // Behind each run that is longer than one, and behind the last.
    #expect(shifts == [ScanShift(place: 2, origin: 3), ScanShift(place: 6, origin: 10), ScanShift(place: 8, origin: 13)])
    #expect(form("a b\nc").shifts.isEmpty)
  }

  @Test func plainTextIsItsOwnForm() {
    let table: [(String, Bool)] = [
      ("", false), ("a", false), (" a b c ", false), ("a  b", true), ("a\tb", true), ("0123456 8", false), ("0123456  9", true),
      ("01234567\n", true), ("a b c d e f g h i j k l m n o p q r s t", false), ("a b c d e f g h i j k l m n o p q r s  t", true),
    ]
    for (text, differs) in table {
      let bytes = Array(text.utf8)
      #expect(bytes.withUnsafeBytes { ScanForm.mayDiffer($0) } == differs, "\(text.debugDescription)")
    }
    // Never "no" where the form is another.
    for length in 0..<40 {
      for at in 0..<max(0, length - 1) {
        var bytes = [UInt8](repeating: 0x61, count: length)
        (bytes[at], bytes[at + 1]) = (0x20, 0x20)
        #expect(bytes.withUnsafeBytes { ScanForm.mayDiffer($0) })
        bytes[at + 1] = 0x61
        #expect(!bytes.withUnsafeBytes { ScanForm.mayDiffer($0) })
        bytes[at] = 0x0a
        #expect(bytes.withUnsafeBytes { ScanForm.mayDiffer($0) })
      }
    }
  }
}
