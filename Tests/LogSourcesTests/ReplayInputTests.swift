// Recorded inputs: what is read, in which packing, and what is refused with which words.
import CLinux
import Glibc
import LogSources
import Primitives
import Testing

@Suite struct ReplayInputTests {
  let directory = TemporaryDirectory()
  static let text = numbered(0..<5000).map { $0 + "\n" }.joined() + "without newline"
  static let lines = numbered(0..<5000) + ["without newline"]

  func readAll(_ name: String, maxLines: Int = .max) throws -> (lines: [String], offsets: [UInt64], error: SourceError?) {
    let input = try ReplayInput(path: directory[name])
    var lines: [String] = []
    var offsets: [UInt64] = []
    do {
      while !input.isAtEnd {
        _ = try input.read(maxLines: maxLines) { line, offset in
          lines.append(line.string)
          offsets.append(offset)
          return true
        }
      }
    } catch { return (lines, offsets, error) }
    return (lines, offsets, nil)
  }

  @Test(arguments: ["plain", "gzip", "gzip in members", "xz", "xz in streams", "misnamed"])
  func readsEveryPacking(_ form: String) throws {
    let bytes = Array(ReplayInputTests.text.utf8)
    let half = bytes.count / 2
    switch form {
    case "plain", "misnamed": directory.append(bytes, to: form == "plain" ? "log" : "log.gz")
    case "gzip": directory.writeGzip(bytes, to: "log")
    case "gzip in members":
      directory.writeGzip(Array(bytes[..<half]), to: "log")
      directory.writeGzip([], to: "log", mode: "ab")
      directory.writeGzip(Array(bytes[half...]), to: "log", mode: "ab")
    default:
      directory.append(form == "xz" ? bytes : Array(bytes[..<half]), to: "a")
      try #require(run(["/usr/bin/xz", "-k", directory["a"]]) == 0)
      directory.append(directory.contents("a.xz"), to: "log")
      if form != "xz" {
        directory.append(Array(bytes[half...]), to: "b")
        run(["/usr/bin/xz", "-k", directory["b"]])
        directory.append(directory.contents("b.xz"), to: "log")
      }
    }
    let (lines, offsets, error) = try readAll(form == "misnamed" ? "log.gz" : "log")
    #expect(error == nil)
    #expect(lines == ReplayInputTests.lines)
    var offset: UInt64 = 0
    for (i, line) in lines.enumerated() {
      #expect(offsets[i] == offset)
      offset += UInt64(line.utf8.count) + 1
    }
    #expect(try readAll(form == "misnamed" ? "log.gz" : "log", maxLines: 3).lines == lines)
  }

  @Test(arguments: ["gz", "xz"]) func aTruncatedFileIsReadAsFarAsItGoes(_ packing: String) throws {
    directory.append(Array(ReplayInputTests.text.utf8), to: "log")
    if packing == "gz" { directory.gzip("log") } else { run(["/usr/bin/xz", directory["log"]]) }
    let whole = directory.contents("log.\(packing)")
    directory.append(Array(whole.prefix(whole.count - 20)), to: "cut")
    let (lines, _, error) = try readAll("cut")
    #expect(error?.code == .truncated)
    #expect(lines.count > 100 && Array(lines.dropLast()) == Array(ReplayInputTests.lines.prefix(lines.count - 1)))
  }

  @Test func damageNeverTrapsAndNeverHangs() throws {
    directory.append(Array(ReplayInputTests.text.utf8), to: "log")
    run(["/usr/bin/xz", "-k", directory["log"]])
    directory.gzip("log")
    var random = Random(state: 5)
    for name in ["log.gz", "log.xz"] {
      let good = directory.contents(name)
      for _ in 0..<150 {
        var bytes = good
        for _ in 0...random.next(3) { bytes[6 + random.next(bytes.count - 6)] = UInt8(random.next(256)) }
        directory.remove("damaged")
        directory.append(bytes, to: "damaged")
        let (lines, _, _) = try readAll("damaged")
        #expect(lines.count <= 200_000)
      }
    }
    directory.remove("damaged")
    directory.append(good(), to: "damaged")
    directory.append("trailing garbage", to: "damaged")
    let (lines, _, error) = try readAll("damaged")
    #expect(lines == ReplayInputTests.lines && error?.code == .corrupt)
  }
  private func good() -> [UInt8] { directory.contents("log.gz") }

  @Test func anEmptyFileHasNoLines() throws {
    directory.append("", to: "log")
    let input = try ReplayInput(path: directory["log"])
    #expect(try input.read { _, _ in true } == 0)
    #expect(input.isAtEnd && input.containerSize == 0)
  }

  @Test(arguments: ["missing", "directory", "fifo", "device", "zstd", "bzip2"])
  func refusesWithAReason(_ what: String) {
    switch what {
    case "directory": mkdir(directory["log"], 0o755)
    case "fifo": mkfifo(directory["log"], 0o644)
    case "device": symlink("/dev/zero", directory["log"])
    case "zstd": directory.append([0x28, 0xb5, 0x2f, 0xfd, 0, 0], to: "log")
    case "bzip2": directory.append("BZh91AY", to: "log")
    default: break
    }
    #expect(throws: SourceError.self) {
      let input = try ReplayInput(path: directory["log"])
      _ = try input.read { _, _ in true }
    }
    do {
      let input = try ReplayInput(path: directory["log"])
      _ = try input.read { _, _ in true }
    } catch {
      #expect(error.path == directory["log"] && !error.reason.isEmpty && !error.hint.isEmpty)
    }
  }

  @Test func saysWhenItWasWritten() throws {
    directory.append("a\n", to: "log")
    run(["/usr/bin/touch", "-d", "2026-01-05T00:00:01Z", directory["log"]])
    #expect(try ReplayInput(path: directory["log"]).modificationTime == EventTime(rfc3339: "2026-01-05T00:00:01Z"))
  }
}
