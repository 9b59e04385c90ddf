// A random walk through what can happen to a log, against the model "every line exactly once, in order".
import Glibc
import LogSources
import Primitives
import Testing

struct Random {
  var state: UInt64
  mutating func next(_ bound: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int((state >> 33) % UInt64(bound))
  }
}

@Suite struct FileTailModelTests {
  enum Packing: CaseIterable { case never, atOnce, delayed }

  /// Four walks for each packing; more with PANGUARD_MODEL_SEEDS, to search.
  static let seeds: [UInt64] = Array(1...(getenv("PANGUARD_MODEL_SEEDS").flatMap { UInt64(String(cString: $0)) } ?? 4))

  @Test(arguments: Packing.allCases, seeds)
  func everyLineOnceInOrder(_ packing: Packing, seed: UInt64) {
    var random = Random(state: seed)
    let directory = TemporaryDirectory()
    let follower = Follower(directory["log"])
    var written: [String] = []
    var partial: String?
    var history: [String] = []

    func line() -> String {
      let text = "\(written.count) " + String(repeating: "abcdefgh", count: random.next(12)) + (random.next(20) == 0 ? "\0" : "")
      return text
    }
    func rotate() {
      for age in stride(from: 8, through: 1, by: -1) {
        directory.rename("log.\(age)", "log.\(age + 1)")
        directory.rename("log.\(age).gz", "log.\(age + 1).gz")
      }
      directory.remove("log.9")
      directory.remove("log.9.gz")
      directory.rename("log", "log.1")
      switch packing {
      case .never: break
      case .atOnce: if !directory.contents("log.1").isEmpty { directory.gzip("log.1") }
      case .delayed: if !directory.contents("log.2").isEmpty { directory.gzip("log.2") }
      }
    }
    // Rotation keeps eight files: what is unread at a restart must not be older, or it is lost by right.
    var rotationsUnread = 0
    follower.readAll()
    follower.keep()

    for step in 0..<1500 {
      let choice = random.next(100)
      let name: String
      switch choice {
      case 0..<45:
        name = "append"
        if random.next(6) == 0, partial == nil {
          let text = line()
          partial = text
          directory.append(String(text.prefix(text.count / 2)), to: "log")
        } else if let text = partial {
          directory.append(String(text.dropFirst(text.count / 2)) + "\n", to: "log")
          written.append(text)
          partial = nil
        } else {
          for _ in 0...random.next(20) {
            let text = line()
            directory.append(text + "\n", to: "log")
            written.append(text)
          }
        }
      case 45..<65:
        name = "read some"
        _ = follower.readOnce(maxBytes: 1 + random.next(3000))
      case 65..<75:
        name = "read all"
        follower.readAll(maxBytes: 1 + random.next(5000))
      case 75..<82:
        name = "keep"
        follower.keep()
      case 82..<88:
        name = "kill and restart"
        follower.restart()
      case 88..<90:
        name = "delete and make anew"
        guard partial == nil else { continue }
        // Unread lines of a deleted file are lost unless it is still open.
        follower.readAll()
        follower.keep()
        directory.remove("log")
        if random.next(2) == 0 { follower.restart() }
      case 90..<92:
        name = "put a copy back"
        guard partial == nil, !directory.contents("log").isEmpty else { continue }
        directory.copy("log", "copy")
        if random.next(2) == 0 { follower.readAll() }
        if random.next(2) == 0 { follower.restart() }
        // While a tail still reads a file under another inode, the copy must not come as new; unread lines must.
        directory.rename("copy", "log")
      case 92..<97:
        name = "rotate"
        guard partial == nil else { continue }
        if rotationsUnread > 4 {
          follower.readAll()
          follower.keep()
          rotationsUnread = 0
        }
        rotate()
        rotationsUnread += 1
        if random.next(3) > 0 { directory.append("", to: "log") }
      default:
        name = "copy and truncate"
        guard partial == nil else { continue }
        if rotationsUnread > 4 {
          follower.readAll()
          follower.keep()
          rotationsUnread = 0
        }
        if !directory.contents("log").isEmpty {
          directory.copy("log", "copy")
          let before = directory.contents("log")
          // The shift of the names, with the log itself left where it is.
          directory.rename("log", "kept")
          rotate()
          directory.rename("kept", "log")
          directory.rename("copy", "log.1")
          if packing == .atOnce { directory.gzip("log.1") }
          if packing == .delayed, !directory.contents("log.2").isEmpty { directory.gzip("log.2") }
          #expect(directory.contents("log") == before)
          directory.truncate("log")
          rotationsUnread += 1
        }
      }
      history.append(name)
      let delivered = follower.lines
      if delivered.count > written.count || delivered != Array(written.prefix(delivered.count)) {
        let at = zip(delivered, written).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? written.count
        Issue.record(
          """
          step \(step) (\(history.suffix(12))): line \(at) of \(delivered.count) is not the next one of \(written.count): \
          \(at < delivered.count ? delivered[at] : "none") instead of \(at < written.count ? written[at] : "none"); \
          \(follower.notices.suffix(6).map(\.description))
          """)
        return
      }
    }
    if let text = partial {
      directory.append(String(text.dropFirst(text.count / 2)) + "\n", to: "log")
      written.append(text)
    }
    follower.readAll()
    #expect(follower.lines.count == written.count, "\(follower.notices.suffix(6).map(\.description))")
    #expect(follower.lines == written)
  }

  /// A real writer and real renames at the same time as the reading, with kills and restarts.
  @Test func everyLineOnceWhileAnotherProcessRotates() {
    let directory = TemporaryDirectory()
    let follower = Follower(directory["log"], grace: .milliseconds(50))
    directory.append(
      """
      cd "$1" || exit 1
      i=0
      for round in $(seq 30); do
        for n in $(seq 40); do echo "line $i of this log" >> log; i=$((i + 1)); done
        for age in $(seq 40 -1 1); do
          [ -e log.$age ] && mv log.$age log.$((age + 1))
          [ -e log.$age.gz ] && mv log.$age.gz log.$((age + 1)).gz
        done
        [ -e log.2 ] && gzip log.2
        mv log log.1
      done
      echo "line $i of this log" >> log
      : > done

      """, to: "script")
    follower.readAll()
    follower.keep()
    let child = start(["/bin/sh", directory["script"], directory.path])
    var random = Random(state: 11)
    while directory.contents("log").isEmpty || !exists(directory["done"]) {
      _ = follower.readOnce(maxBytes: 1 + random.next(4000))
      switch random.next(60) {
      case 0...20: follower.keep()
      case 21: follower.restart()
      default: break
      }
    }
    wait(for: child)
    for _ in 0..<2000 where follower.lines.count < 1201 {
      follower.readAll()
      usleep(1000)
    }
    #expect(follower.lines == numbered(0..<1201), "\(follower.notices.suffix(20).map(\.description))")
    #expect(follower.tail.counters.placesLost == 0)
  }
}
