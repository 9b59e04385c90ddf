// Any bytes as a baseline's snapshot, taken up and lived with. Fuzzing (Tests/Fuzz) and the bounded mutation tests share it.
// What must hold: nothing traps, not while it is read and not later; what was taken up is written as it was read, or with more classes.
import Events
import Primitives

@testable import Baseline

enum SnapshotTrial {
  private static let magic = Array("panguard-baseline 2\n".utf8)

  /// `body` between the magic words and a fingerprint that fits. What is wrong with the answer, nil: nothing; and whether it was taken.
  static func run(_ body: [UInt8]) -> (problem: String?, isTaken: Bool) {
    var bytes = magic + body
    var check = SnapshotWriter()
    check.put(bytes.withUnsafeBytes { Fingerprint(of: $0) })
    bytes += check.bytes
    guard var baseline = try? Baseline(snapshot: bytes) else { return (nil, false) }
    // One of a version that had fewer classes is written with all of them, and then as it is read.
    let written = baseline.snapshot()
    guard written == bytes || written.count > bytes.count, (try? Baseline(snapshot: written).snapshot()) == written else {
      return ("it is written differently", true)
    }
    look(baseline)
    live(&baseline)
    look(baseline)
    guard let copy = try? Baseline(snapshot: baseline.snapshot()) else { return ("what became of it cannot be taken up", true) }
    return (copy.hash == baseline.hash ? nil : "what became of it is taken up as another", true)
  }
  static func body(_ baseline: borrowing Baseline) -> [UInt8] { Array(baseline.snapshot().dropFirst(magic.count).dropLast(16)) }

  /// Everything that people can ask.
  private static func look(_ baseline: borrowing Baseline) {
    var length = baseline.hash.utf8.count
    for row in PairClass.allCases {
      let state = baseline.state(of: row)
      length += Int(state.learning.coverageThousandths) + state.pending.count + Int(clamping: state.droppedPending)
      for pair in state.pending { for day in [pair.firstDay, pair.lastDay] { length &+= "\(EventTime(seconds: day * 86_400))".utf8.count } }
      if let days = baseline.days(row, subject: Array("alice".utf8)) { length &+= Int(days.last - days.first) }
    }
    baseline.forEachRate { _, _, hours in length &+= Int(truncatingIfNeeded: hours.observed) }
    baseline.forEachMeasure { length &+= Int(truncatingIfNeeded: $0.observed) }
    let difference = BaselineDifference(from: baseline, to: Baseline())
    precondition(length != .min && baseline.refusedProfiles &+ baseline.evictions < .max && difference.pairs.count <= PairClass.allCases.count)
  }
  /// A few days, with events of every kind, from the time on that it says to be at.
  private static func live(_ baseline: inout Baseline) {
    var event = Event()
    let first = min(max(baseline.newest, .zero), EventTime(seconds: 1 << 32))
    for step in 0..<6 as Range<Int64> {
      for action in ["ssh-login", "sudo-command", "network_flow", "dns-query", "http-request"] as [StaticString] {
        fill(&event, action, at: first + .hours(step * 17))
        _ = baseline.advance(to: event.time)
        let classes = baseline.judge(&event)
        baseline.learn(event, classes, at: event.time, isClean: step != 3)
      }
    }
    baseline.promote(.loginNetwork, subject: Array("alice".utf8), object: Array("192.0.2.0/24".utf8))
    _ = baseline.forget(subject: Array("alice".utf8))
  }
  private static func fill(_ event: inout Event, _ action: StaticString, at time: EventTime) {
    event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
    event.time = time
    event.set(.eventAction, action)
    event.set(.eventOutcome, "success")
    event.set(.eventProvider, "sshd")
    event.set(.hostName, "web01")
    event.set(.userName, "alice")
    event.set(.userEffectiveName, "root")
    event.set(.authenticationMethod, "publickey")
    event.set(.processExecutable, "/usr/bin/apt")
    event.set(.processParentName, "bash")
    event.set(.sourceIP, IPAddress(v4: 0xc000_020a))
    event.set(.destinationIP, IPAddress(v4: 0xcb00_7109))
    event.set(.destinationPort, 443)
    event.set(.networkTransport, "tcp")
    event.set(.sourceBytes, .max)
    event.set(.eventDuration, .max)
    event.set(.attemptCount, .max)
    event.set(.httpResponseBodyBytes, .max)
    event.set(.dnsQuestionRegisteredDomain, "example.org")
    event.set(.tlsClientJA4, "t13d1516h2_8daaf6152771_02713d6af862")
  }

  /// Where mutations begin: a small one that has something in each of its tables.
  static func seed() -> [UInt8] {
    var baseline = Baseline()
    live(&baseline)
    var event = Event()
    fill(&event, "ssh-login", at: EventTime(seconds: 1_767_571_200))
    for isClean in [true, false] {
      _ = baseline.advance(to: event.time)
      baseline.learn(event, baseline.judge(&event), at: event.time, isClean: isClean)
      event.set(.sourceIP, IPAddress(v4: 0xc633_6407))
    }
    return body(baseline)
  }
}
