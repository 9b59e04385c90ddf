// Compares a text with the file that holds what it should be. UPDATE_GOLDEN=1 writes the file instead; look at the difference then.
import Glibc
import Testing

enum GoldenFile {
  static func check(_ actual: String, _ name: String, testFile: String = #filePath, sourceLocation: Testing.SourceLocation = #_sourceLocation) {
    let folder = testFile.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/Golden"
    let path = folder + "/" + name
    if getenv("UPDATE_GOLDEN") != nil {
      guard let file = fopen(path, "w") else {
        Issue.record("cannot write \(path)", sourceLocation: sourceLocation)
        return
      }
      fputs(actual, file)
      fclose(file)
      return
    }
    guard let expected = read(path) else {
      Issue.record("no golden file \(path): run with UPDATE_GOLDEN=1", sourceLocation: sourceLocation)
      return
    }
    // Scalars, not Characters: canonically equal is not the same.
    let a = Array(actual.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false))
    let b = Array(expected.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false))
    for i in 0..<max(a.count, b.count) {
      let left = i < a.count ? String(a[i]) : "(no line)"
      let right = i < b.count ? String(b[i]) : "(no line)"
      guard !left.utf8.elementsEqual(right.utf8) else { continue }
      Issue.record("\(name):\(i + 1): is      \(left)\nshould be \(right)", sourceLocation: sourceLocation)
      return
    }
  }

  private static func read(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while case let n = fread(&buffer, 1, buffer.count, file), n > 0 { bytes += buffer[..<n] }
    return String(decoding: bytes, as: UTF8.self)
  }
}
