// One attempt is one count. A failed login leaves several lines (Invalid user, authentication failure, Failed password, Connection
// closed); this joins the lines of one process and puts `panguard.attempt.count` on the one event that decides the attempt, with the
// other lines as its evidence.
//
// A session is (host, process id). Rules:
// - Each "Failed ..." line is an attempt (not the method none, which only asks what is possible), times its repeat count.
// - What came before it (Invalid user, PAM's failure) belongs to it. If no "Failed ..." comes, the line that ends the session decides;
//   if none ends it, silence does (`nextExpired`).
// - "PAM N more authentication failures" counts what no line has counted.
// - A success takes back what was pending: a module that failed before another one succeeded is no failed login.
// - Silence is measured by the clock of the input that owns the session: clocks of inputs differ (a log without time zones beside one
//   in UTC), and another's must not cut an attempt in two.
// - The input that first speaks of a session owns it: the same lines from another input (journal and auth.log) count nothing.
// - What one line does not say (its address) is taken from what the same process said before, if that was never contradictory and was
//   at least as trustworthy.
// State is bounded (Limits.openSessions) and allocated as it is first used; a session that must go while an attempt is pending is
// decided then. All order comes from the order of the calls.
import Events
import Glibc
import Primitives

public struct SessionTracker: ~Copyable {
  /// Sessions that were not over and were pushed out because the table was full.
  public private(set) var evictions: UInt64 = 0
  /// Failed attempts that were counted.
  public private(set) var attempts: UInt64 = 0
  /// Attempts of pushed-out sessions that could not be reported because nobody asked (`nextExpired`) in between.
  public private(set) var lostAttempts: UInt64 = 0
  /// Sessions in the table.
  public private(set) var openSessions = 0

  private let slots: UnsafeMutablePointer<Session>
  private let notes: SessionNotes
  private let buckets: UnsafeMutablePointer<Int32>
  private let bucketMask: Int
  private let capacity: Int
  private var used = 0
  private var recent: Chain
  /// Sessions with an undecided attempt, by input.
  private var pendingChains: InputChains
  /// A pushed-out session with an undecided attempt: index of its slot, which lies behind the table.
  private var hasEvicted = false
  /// The host of the line before: most logs have one.
  private var host = HostKey()

  public init() { self.init(capacity: Limits.openSessions) }

  init(capacity: Int) {
    self.capacity = max(1, capacity)
    slots = .allocate(capacity: self.capacity + 1)
    notes = SessionNotes(capacity: self.capacity + 1)
    recent = Chain(capacity: self.capacity)
    pendingChains = InputChains(capacity: self.capacity)
    var size = 64
    while size < self.capacity * 2 { size *= 2 }
    buckets = .allocate(capacity: size)
    buckets.initialize(repeating: -1, count: size)
    bucketMask = size - 1
  }
  deinit {
    slots.deallocate()
    notes.deallocate()
    buckets.deallocate()
  }

  // MARK: Lines

  /// Reads one event and, where it decides an attempt or lacks what its process said before, completes it.
  @inline(__always)
  public mutating func observe(_ event: inout Event) {
    guard let provider = event.text(.eventProvider), provider.count <= 5, let role = Role(provider, event) else { return }
    join(role, &event)
  }

  private mutating func join(_ role: Role, _ event: inout Event) {
    let service = Service(event)
    guard let key = key(service, event) else {
      // Without a process id nothing can be joined: only the line that always decides counts.
      if role == .failed || role == .outcomeFailed { decide(declaredCount(role, event), &event, nil) }
      return
    }
    let now = event.time
    pendingChains.noteTime(now, of: event.origin.source)
    var at = find(key)
    if at < 0 {
      // Lines that open nothing leave no session behind.
      guard role.opens else { return }
      at = insert(key, service, event)
    }
    let session = slots + at
    if session.pointee.service != service || session.pointee.isStale(now, role, event.origin.source) {
      unlinkPending(at)  // from the chain of the input that owned it
      session.pointee.restart(service: service, source: event.origin.source, at: now)
    }
    touch(at)
    if session.pointee.source != event.origin.source {
      // Another input's copy of the same session.
      session.pointee.complete(&event)
      return
    }
    session.pointee.lastTime = now
    session.pointee.lastOrigin = event.origin
    if event.trust < session.pointee.trust { session.pointee.trust = event.trust }
    session.pointee.learn(from: event)
    session.pointee.complete(&event)
    apply(role, at, &event)
    if session.pointee.pending > 0 { linkPending(at) } else { unlinkPending(at) }
  }

  private mutating func apply(_ role: Role, _ at: Int, _ event: inout Event) {
    let session = slots + at
    switch role {
    case .context:
      session.pointee.remember(event)
    case .invalidUser:
      session.pointee.hasAuthenticated = true
      if session.pointee.pending == 0 { session.pointee.pending = 1 }
      session.pointee.remember(event)
    case .pamFailed:
      session.pointee.hasAuthenticated = true
      if session.pointee.hasOutcome {
        session.pointee.hasOutcome = false
        session.pointee.decided = 0
      }
      if session.pointee.service.hasOutcomeLine {
        if session.pointee.pending == 0 || session.pointee.pendingPAM == 0 {
          if session.pointee.pending == 0 { session.pointee.pending = 1 }
          session.pointee.pendingPAM = 1
        }
        session.pointee.remember(event)
      } else {
        decide(event.repeatCount, &event, session)
      }
    case .pamMore:
      guard let more = LeadingNumber.of(event.text(.eventReason)) else {
        session.pointee.remember(event)
        return
      }
      // The first failure is a line of its own, so N more make N + 1 in all.
      let missing = more &+ 1 &- session.pointee.decided
      if missing > 0 { decide(missing, &event, session) } else { session.pointee.pending = 0 }
    case .pamError:
      session.pointee.hasAuthenticated = true
      session.pointee.pamErrors &+= event.repeatCount
      absorbConversation(of: at, &event)
      decide(event.repeatCount, &event, session)
    case .failed:
      session.pointee.hasAuthenticated = true
      var count = event.repeatCount
      if event.text(.authenticationMethod)?.starts(with: "keyboard-interactive") == true {
        // "error: PAM: ... for u from a" has already counted it.
        let known = min(count, session.pointee.pamErrors)
        session.pointee.pamErrors -= known
        count -= known
        if count > 0 { absorbConversation(of: at, &event) }
      }
      // The session ended on paper before its last failure was written.
      let early = min(count, session.pointee.decidedAtEnd)
      session.pointee.decidedAtEnd -= early
      count -= early
      if count > 0 { decide(count, &event, session) } else { session.pointee.remember(event) }
    case .failedNone:
      session.pointee.hasAuthenticated = true
      session.pointee.remember(event)
    case .succeeded:
      session.pointee.hasAuthenticated = true
      session.pointee.pending = 0
      session.pointee.pendingPAM = 0
      session.pointee.evidenceCount = 0
      session.pointee.pamErrors = 0
    case .tooMany:
      session.pointee.hasAuthenticated = true
      if session.pointee.pending == 0, session.pointee.decided == 0 { session.pointee.pending = 1 }
      endPending(&event, session)
    case .ended:
      // An old version names no user in the line that ends an authentication.
      if session.pointee.hasAuthenticated, event.text(.eventAction)?.equals("ssh-preauth-close") == true {
        event.set(.eventAction, "ssh-disconnect")
      }
      endPending(&event, session)
      session.pointee.endTime = event.time
      session.pointee.isEnded = true
    case .outcomeFailed:
      let declared = declaredCount(role, event)
      let isTotal = session.pointee.service == .sudo
      // sudo often logs without its process id: one session then holds all of a user's conversations, each with a total of its own.
      if isTotal, session.pointee.hasOutcome { session.pointee.decided = 0 }
      session.pointee.hasOutcome = isTotal
      let count = isTotal ? declared &- session.pointee.decided : declared
      if count > 0 { decide(count, &event, session) } else { session.pointee.pending = 0 }
    case .outcomeSucceeded:
      session.pointee.pending = 0
      session.pointee.pendingPAM = 0
      session.pointee.evidenceCount = 0
      session.pointee.decided = 0
    }
  }

  /// `event` is where `count` attempts are counted.
  private mutating func decide(_ count: Int64, _ event: inout Event, _ session: UnsafeMutablePointer<Session>?) {
    event.set(.attemptCount, count)
    attempts &+= UInt64(clamping: count)
    guard let session else { return }
    session.pointee.giveEvidence(to: &event)
    session.pointee.decided &+= count
    session.pointee.pending = 0
    session.pointee.pendingPAM = 0
  }
  private mutating func endPending(_ event: inout Event, _ session: UnsafeMutablePointer<Session>) {
    guard session.pointee.pending > 0 else { return }
    let count = session.pointee.pending
    if !event.has(.userName), let user = session.pointee.user { event.set(.userName, user) }
    decide(count, &event, session)
    session.pointee.decidedAtEnd = count
  }

  /// sshd talks to PAM in a child process of its own for keyboard-interactive: PAM's failure line then has that child's id. It
  /// belongs to this attempt if nothing else has happened in that process, and host and address agree.
  private mutating func absorbConversation(of at: Int, _ event: inout Event) {
    guard let peer = slots[at].peer else { return }
    var other = pendingChains.newest(of: slots[at].source)
    var steps = 0
    while other >= 0, steps < 16 {
      let candidate = slots + Int(other)
      let next = pendingChains.older(than: other)
      let isNear = (slots[at].lastTime - candidate.pointee.lastTime) <= Limits.sessionSilence
      if Int(other) != at, isNear, candidate.pointee.onlyPAM, candidate.pointee.service == .sshd, candidate.pointee.source == slots[at].source,
        candidate.pointee.key.host == slots[at].key.host, candidate.pointee.peer == peer
      {
        candidate.pointee.giveEvidence(to: &event)
        candidate.pointee.pending = 0
        candidate.pointee.pendingPAM = 0
        unlinkPending(Int(other))
        return
      }
      other = next
      steps += 1
    }
  }

  private func declaredCount(_ role: Role, _ event: borrowing Event) -> Int64 {
    guard role == .outcomeFailed, let message = event.text(.message), let mark = message.index(of: " incorrect password attempt") else {
      return event.repeatCount
    }
    let start = (message.lastIndex(of: 0x20, before: mark) ?? -1) + 1
    guard let count = message.slice(start, mark).decimal, count > 0, count <= 1000 else { return event.repeatCount }
    return count.multipliedReportingOverflow(by: event.repeatCount).partialValue
  }

  // MARK: Silence

  /// The next attempt that silence has decided by `now`, the time of input `source`, as an event of its own (`ssh-attempt`;
  /// `login-attempt` for other services). False if there is none. To be called until it is, before that input's event of time `now` is
  /// observed: then the derived events' times (the session's last line plus `Limits.sessionSilence`) lie between the input's event before
  /// and that one.
  @inline(__always)
  public mutating func nextExpired(asOf now: EventTime, source: UInt32, into event: inout Event) -> Bool {
    if hasEvicted {
      takeEvicted(now, &event)
      return true
    }
    let oldest = pendingChains.oldest(of: source)
    guard oldest >= 0 else { return false }
    return expire(Int(oldest), now, &event)
  }
  /// The same for all inputs: where they share one clock.
  public mutating func nextExpired(asOf now: EventTime, into event: inout Event) -> Bool {
    if hasEvicted {
      takeEvicted(now, &event)
      return true
    }
    for input in 0..<pendingChains.inputs {
      let oldest = pendingChains.oldest(of: UInt32(truncatingIfNeeded: input))
      if oldest >= 0, expire(Int(oldest), now, &event) { return true }
    }
    return false
  }
  private mutating func takeEvicted(_ now: EventTime, _ event: inout Event) {
    hasEvicted = false
    // By the clock of the session's own input.
    derive(from: slots + capacity, isEvicted: true, pendingChains.time(of: slots[capacity].source) ?? now, &event)
  }
  private mutating func expire(_ at: Int, _ now: EventTime, _ event: inout Event) -> Bool {
    let last = slots[at].lastTime
    // A stamp from the future must not hold up the others behind it.
    guard last + Limits.sessionSilence <= now || last > now + Limits.sessionLifetime else { return false }
    derive(from: slots + at, isEvicted: false, now, &event)
    unlinkPending(at)
    return true
  }

  private mutating func derive(from session: UnsafeMutablePointer<Session>, isEvicted: Bool, _ now: EventTime, _ event: inout Event) {
    event.begin(raw: .none, origin: session.pointee.lastOrigin)
    let due = session.pointee.lastTime + Limits.sessionSilence
    event.time = due <= now ? due : now
    event.timeBasis = .inherited
    event.trust = session.pointee.trust
    event.set(.eventCategory, "authentication")
    event.set(.eventOutcome, "failure")
    event.set(.eventReason, isEvicted ? "session-evicted" : "no-outcome-logged")
    let isSshd = session.pointee.service == .sshd
    event.set(.eventAction, isSshd ? "ssh-attempt" : "login-attempt")
    event.set(.eventProvider, isSshd ? "sshd" : "pam")
    event.set(.eventDataset, isSshd ? "sshd" : "pam")
    if let name = session.pointee.service.name { event.set(.processName, name) }
    if session.pointee.key.pid >= 0 { event.set(.processPid, session.pointee.key.pid) }
    if session.pointee.hostCount > 0 { event.set(.hostName, session.pointee.hostName) }
    if let user = session.pointee.user { event.set(.userName, user) }
    if let peer = session.pointee.peer { event.set(.sourceIP, peer) }
    if session.pointee.peer != nil, session.pointee.port >= 0 { event.set(.sourcePort, session.pointee.port) }
    decide(session.pointee.pending, &event, session)
  }

  // MARK: Table

  private mutating func key(_ service: Service, _ event: borrowing Event) -> SessionKey? {
    let name = event.text(.hostName) ?? .none
    let hash = host.hash(of: name)
    if let pid = event.integer(.processPid), pid >= 0 { return SessionKey(host: hash, pid: pid) }
    // sudo logs without its process id: its user stands for it.
    guard service == .sudo || service == .su, let user = event.text(.userName) else { return nil }
    return SessionKey(host: hash, pid: -1 - Int64(truncatingIfNeeded: Fingerprint(of: user).low & 0x3fff_ffff_ffff_ffff))
  }

  @inline(__always)
  private func find(_ key: SessionKey) -> Int {
    var at = buckets[key.hash & bucketMask]
    while at >= 0 {
      if slots[Int(at)].key == key { return Int(at) }
      at = slots[Int(at)].nextInBucket
    }
    return -1
  }

  private func isOver(_ at: Int) -> Bool { pendingChains.time(of: slots[at].source).map { slots[at].isOver($0) } ?? false }

  private mutating func insert(_ key: SessionKey, _ service: Service, _ event: borrowing Event) -> Int {
    let at: Int
    // A session that is over makes room before the table grows, and is no eviction.
    if recent.oldest >= 0, isOver(Int(recent.oldest)) {
      at = Int(recent.oldest)
      remove(at)
    } else if used < capacity {
      at = used
      used += 1
      openSessions += 1
    } else {
      at = Int(recent.oldest)
      evictions &+= 1
      remove(at)
    }
    (slots + at).initialize(
      to: Session(
        key: key, service: service, source: event.origin.source, time: event.time, trust: event.trust, text: notes.text(of: at),
        evidence: notes.evidence(of: at)))
    slots[at].setHost(event.text(.hostName) ?? .none)
    let bucket = key.hash & bucketMask
    slots[at].nextInBucket = buckets[bucket]
    buckets[bucket] = Int32(truncatingIfNeeded: at)
    recent.append(Int32(truncatingIfNeeded: at))
    return at
  }

  private mutating func remove(_ at: Int) {
    if slots[at].pending > 0 {
      if hasEvicted { lostAttempts &+= UInt64(clamping: slots[capacity].pending) }
      notes.copy(at, to: capacity)
      (slots + capacity).initialize(to: slots[at])
      slots[capacity].text = notes.text(of: capacity)
      slots[capacity].evidence = notes.evidence(of: capacity)
      hasEvicted = true
    }
    unlinkPending(at)
    recent.remove(Int32(truncatingIfNeeded: at))
    let bucket = slots[at].key.hash & bucketMask
    var from = buckets[bucket]
    if from == Int32(truncatingIfNeeded: at) {
      buckets[bucket] = slots[at].nextInBucket
    } else {
      while from >= 0 {
        let next = slots[Int(from)].nextInBucket
        if next == Int32(truncatingIfNeeded: at) {
          slots[Int(from)].nextInBucket = slots[at].nextInBucket
          break
        }
        from = next
      }
    }
  }

  @inline(__always)
  private mutating func touch(_ at: Int) {
    let index = Int32(truncatingIfNeeded: at)
    guard recent.newest != index else { return }
    recent.remove(index)
    recent.append(index)
  }
  private mutating func linkPending(_ at: Int) {
    let index = Int32(truncatingIfNeeded: at)
    if slots[at].isLinkedPending {
      guard pendingChains.newest(of: slots[at].source) != index else { return }
      pendingChains.remove(index, of: slots[at].source)
    }
    slots[at].isLinkedPending = true
    pendingChains.append(index, of: slots[at].source)
  }
  private mutating func unlinkPending(_ at: Int) {
    guard slots[at].isLinkedPending else { return }
    slots[at].isLinkedPending = false
    pendingChains.remove(Int32(truncatingIfNeeded: at), of: slots[at].source)
  }
}

/// A doubly linked list of slot numbers, oldest first.
private struct Chain: ~Copyable {
  private(set) var oldest: Int32 = -1
  private(set) var newest: Int32 = -1
  private let links: UnsafeMutablePointer<(older: Int32, newer: Int32)>

  init(capacity: Int) { links = .allocate(capacity: capacity) }
  deinit { links.deallocate() }

  @inline(__always)
  mutating func append(_ at: Int32) {
    links[Int(at)] = (newest, -1)
    if newest >= 0 { links[Int(newest)].newer = at } else { oldest = at }
    newest = at
  }
  @inline(__always)
  mutating func remove(_ at: Int32) {
    let link = links[Int(at)]
    if link.older >= 0 { links[Int(link.older)].newer = link.newer } else { oldest = link.newer }
    if link.newer >= 0 { links[Int(link.newer)].older = link.older } else { newest = link.older }
  }
}

/// A list of slot numbers for each input, oldest first, and the time of each input's newest login line. Inputs beyond the limit of
/// followed files share the last list and its clock.
private struct InputChains: ~Copyable {
  private typealias Ends = (oldest: Int32, newest: Int32, time: EventTime)
  private static let count = Limits.followedFiles + 2
  private let ends: UnsafeMutablePointer<Ends>
  private let links: UnsafeMutablePointer<(older: Int32, newer: Int32)>
  /// Inputs that had a line so far: one more than the highest number.
  private(set) var inputs = 0

  init(capacity: Int) {
    ends = .allocate(capacity: InputChains.count)
    ends.initialize(repeating: (-1, -1, .distantPast), count: InputChains.count)
    links = .allocate(capacity: capacity)
  }
  deinit {
    ends.deallocate()
    links.deallocate()
  }

  @inline(__always)
  private func place(_ source: UInt32) -> Int { min(Int(source), InputChains.count - 1) }
  @inline(__always)
  mutating func noteTime(_ time: EventTime, of source: UInt32) {
    let at = place(source)
    if at >= inputs { inputs = at + 1 }
    ends[at].time = time
  }
  /// nil before the input's first line.
  func time(of source: UInt32) -> EventTime? {
    let time = ends[place(source)].time
    return time > .distantPast ? time : nil
  }
  @inline(__always)
  func oldest(of source: UInt32) -> Int32 { ends[place(source)].oldest }
  func newest(of source: UInt32) -> Int32 { ends[place(source)].newest }
  func older(than at: Int32) -> Int32 { links[Int(at)].older }
  mutating func append(_ at: Int32, of source: UInt32) {
    let input = place(source)
    links[Int(at)] = (ends[input].newest, -1)
    if ends[input].newest >= 0 { links[Int(ends[input].newest)].newer = at } else { ends[input].oldest = at }
    ends[input].newest = at
  }
  mutating func remove(_ at: Int32, of source: UInt32) {
    let input = place(source)
    let link = links[Int(at)]
    if link.older >= 0 { links[Int(link.older)].newer = link.newer } else { ends[input].oldest = link.newer }
    if link.newer >= 0 { links[Int(link.newer)].older = link.older } else { ends[input].newest = link.older }
  }
}

/// "5 more authentication failures" -> 5.
private enum LeadingNumber {
  static func of(_ text: Bytes?) -> Int64? {
    guard let text else { return nil }
    var cursor = ByteCursor(text)
    return cursor.takeDecimal(maxDigits: 6)
  }
}

/// Fingerprint of a host's name; that of the line before is kept.
private struct HostKey {
  private var memory: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
  private var count = -1
  private var value: UInt64 = 0

  @inline(__always)
  mutating func hash(of name: Bytes) -> UInt64 {
    if name.count == count, isKnown(name) { return value }
    value = Fingerprint(of: name).low
    count = name.count <= 32 ? name.count : -1
    if count > 0 { withUnsafeMutableBytes(of: &memory) { $0.copyMemory(from: name) } }
    return value
  }
  @inline(__always)
  private func isKnown(_ name: Bytes) -> Bool {
    guard name.count > 0 else { return true }
    return withUnsafeBytes(of: memory) { memcmp($0.baseAddress!, name.baseAddress!, name.count) == 0 }
  }
}

private struct SessionKey: Equatable {
  var host: UInt64
  /// Negative: no process id; made from the user's name.
  var pid: Int64
  var hash: Int {
    var x = host ^ UInt64(bitPattern: pid) &* 0x9e37_79b9_7f4a_7c15
    x ^= x >> 29
    x = x &* 0xbf58_476d_1ce4_e5b9
    return Int(truncatingIfNeeded: x >> 33)
  }
}

/// Whose lines a session holds.
private enum Service: UInt8 {
  case sshd, su, sudo, login, other

  init(_ event: borrowing Event) {
    let provider = event.text(.eventProvider) ?? .none
    let name = provider.equals("pam") ? event.text(.pamService) ?? event.text(.processName) ?? .none : provider
    if name.equals("sshd") {
      self = .sshd
    } else if name.equals("sudo") || name.equals("sudo-i") {
      self = .sudo
    } else if name.equals("su") || name.equals("su-l") {
      self = .su
    } else if name.equals("login") {
      self = .login
    } else {
      self = .other
    }
  }
  /// The service itself writes a line about a failed login, which follows PAM's.
  var hasOutcomeLine: Bool { self != .other }
  var name: StaticString? {
    switch self {
    case .sshd: "sshd"
    case .su: "su"
    case .sudo: "sudo"
    case .login: "login"
    case .other: nil
    }
  }
}

/// What a line means for its session.
private enum Role: UInt8 {
  case context, invalidUser, pamFailed, pamMore, pamError, failed, failedNone, succeeded, tooMany, ended, outcomeFailed, outcomeSucceeded

  /// Whether a session may begin with such a line. What ends or completes a session that is not known says nothing new.
  var opens: Bool {
    switch self {
    case .ended, .succeeded, .outcomeSucceeded: false
    default: true
    }
  }

  /// nil for events that no login program wrote.
  @inline(__always)
  init?(_ provider: Bytes, _ event: borrowing Event) {
    switch provider.count {
    case 4:
      if provider.equals("sshd") {
        self.init(sshd: event)
        return
      }
      guard provider.equals("sudo"), event.text(.eventAction)?.equals("sudo-failure") == true else { return nil }
      guard event.text(.eventReason)?.equals("incorrect-password") == true else { return nil }
      self = .outcomeFailed
    case 3:
      guard provider.equals("pam"), let action = event.text(.eventAction) else { return nil }
      if action.equals("pam-auth-failure") {
        self = .pamFailed
      } else if action.equals("pam-more-failures") {
        self = .pamMore
      } else if action.equals("pam-check-failed"), event.text(.pamService)?.equals("sshd") == true {
        self = .context
      } else {
        return nil
      }
    case 2:
      guard provider.equals("su"), event.text(.eventAction)?.equals("su-session") == true, let outcome = event.text(.eventOutcome) else { return nil }
      self = outcome.equals("failure") ? .outcomeFailed : .outcomeSucceeded
    case 5:
      guard provider.equals("login"), event.text(.eventAction)?.equals("console-login") == true, let outcome = event.text(.eventOutcome) else {
        return nil
      }
      self = outcome.equals("failure") ? .outcomeFailed : .outcomeSucceeded
    default:
      return nil
    }
  }

  private init?(sshd event: borrowing Event) {
    guard let action = event.text(.eventAction) else { return nil }
    if action.equals("ssh-login") {
      if event.text(.eventOutcome)?.equals("success") == true {
        self = .succeeded
      } else if event.text(.authenticationMethod)?.equals("none") == true {
        self = .failedNone
      } else if event.text(.message).map({ $0.starts(with: "error: PAM: ") || $0.starts(with: "PAM: ") }) == true {
        self = .pamError
      } else {
        self = .failed
      }
    } else if action.equals("ssh-disconnect") || action.equals("ssh-preauth-close") || action.equals("ssh-timeout") {
      self = .ended
    } else if action.equals("ssh-invalid-user") {
      self = .invalidUser
    } else if action.equals("ssh-user-not-allowed"), event.text(.message).map({ $0.index(of: " not allowed because ") != nil }) == true {
      // sshd treats such a user as one that does not exist: no password can be right.
      self = .invalidUser
    } else if action.equals("ssh-max-attempts") {
      self = .tooMany
    } else if action.equals("ssh-listening") || action.equals("ssh-config-error") {
      return nil
    } else {
      self = .context
    }
  }
}

/// What sessions remember in bytes: user, host, references. Apart from the sessions, so that opening one touches two cache lines,
/// not ten. Trivial: owned and freed by the tracker.
private struct SessionNotes {
  static let userBytes = 120
  static let hostBytes = 64
  static let references = 8
  private static let textBytes = userBytes + hostBytes
  private let texts: UnsafeMutableRawPointer
  private let evidence: UnsafeMutablePointer<EvidenceReference>

  init(capacity: Int) {
    texts = .allocate(byteCount: capacity * SessionNotes.textBytes, alignment: 8)
    evidence = .allocate(capacity: capacity * SessionNotes.references)
  }
  func deallocate() {
    texts.deallocate()
    evidence.deallocate()
  }
  func text(of at: Int) -> UnsafeMutableRawPointer { texts + at * SessionNotes.textBytes }
  func evidence(of at: Int) -> UnsafeMutablePointer<EvidenceReference> { evidence + at * SessionNotes.references }
  func copy(_ from: Int, to: Int) {
    memcpy(text(of: to), text(of: from), SessionNotes.textBytes)
    memcpy(evidence(of: to), evidence(of: from), SessionNotes.references * MemoryLayout<EvidenceReference>.stride)
  }
}

/// One process's lines so far. Trivial: it lives in raw memory and is copied as bytes.
private struct Session {
  var key: SessionKey
  var lastTime: EventTime
  var endTime = EventTime.distantPast
  var lastOrigin = EventOrigin(source: 0, offset: 0, length: 0)
  /// Attempts that were counted on some event.
  var decided: Int64 = 0
  /// Attempts that are known but not yet counted.
  var pending: Int64 = 0
  var pendingPAM: Int64 = 0
  /// Attempts that the end line counted and a late "Failed ..." would count again.
  var decidedAtEnd: Int64 = 0
  /// "error: PAM: ..." lines whose "Failed keyboard-interactive" has not come (it need not).
  var pamErrors: Int64 = 0
  private var peerHigh: UInt64 = 0
  private var peerLow: UInt64 = 0
  var port: Int64 = -1
  /// The input that owns the session.
  var source: UInt32
  var nextInBucket: Int32 = -1
  var service: Service
  /// The least of what has been said.
  var trust: Trust
  private var peerTrust = Trust.claimed
  private var peerState = PeerState.none
  var isEnded = false
  /// A user was named: what ends the session ends an authentication.
  var hasAuthenticated = false
  /// sudo has given its total: the next failure belongs to another conversation.
  var hasOutcome = false
  var onlyPAM = true
  var isLinkedPending = false
  private var userCount: Int8 = -1
  private(set) var hostCount: Int8 = 0
  var evidenceCount: Int8 = 0
  /// The session's place in `SessionNotes`.
  var text: UnsafeMutableRawPointer
  var evidence: UnsafeMutablePointer<EvidenceReference>

  private enum PeerState: UInt8 { case none, v4, v6, contradictory }

  init(
    key: SessionKey, service: Service, source: UInt32, time: EventTime, trust: Trust, text: UnsafeMutableRawPointer,
    evidence: UnsafeMutablePointer<EvidenceReference>
  ) {
    self.key = key
    self.service = service
    self.source = source
    self.trust = trust
    self.text = text
    self.evidence = evidence
    lastTime = time
  }

  /// Whether a line of time `now` cannot be this session's: the process id was given to another process.
  func isStale(_ now: EventTime, _ role: Role, _ from: UInt32) -> Bool {
    if now > lastTime + Limits.sessionLifetime { return true }
    guard isEnded, from == source else { return false }
    switch role {
    case .invalidUser, .context: return true
    case .pamFailed, .failed, .failedNone, .pamError: return now > endTime + Limits.sessionSilence
    default: return false
    }
  }

  /// Nothing more is expected: silent for long, or ended and nothing left to tell.
  func isOver(_ now: EventTime) -> Bool { now > (isEnded ? endTime + Limits.sessionSilence : lastTime + Limits.sessionLifetime) }

  /// Begins anew for another process with the same id.
  mutating func restart(service: Service, source: UInt32, at time: EventTime) {
    self.service = service
    self.source = source
    lastTime = time
    endTime = .distantPast
    decided = 0
    pending = 0
    pendingPAM = 0
    decidedAtEnd = 0
    pamErrors = 0
    port = -1
    peerState = .none
    isEnded = false
    hasAuthenticated = false
    hasOutcome = false
    onlyPAM = true
    userCount = -1
    evidenceCount = 0
    trust = .attested
  }

  /// The address that the process has named; nil if it has named none, or two.
  var peer: IPAddress? {
    switch peerState {
    case .v4: IPAddress(v4: UInt32(truncatingIfNeeded: peerLow))
    case .v6: IPAddress(v6High: peerHigh, low: peerLow)
    case .none, .contradictory: nil
    }
  }
  var user: Bytes? { userCount >= 0 ? Bytes(start: text, count: Int(userCount)) : nil }
  var hostName: Bytes { Bytes(start: text + SessionNotes.userBytes, count: Int(hostCount)) }
  /// Cut at 64 bytes: RFC 1035 allows 63 in a label, and the key is the whole name's.
  mutating func setHost(_ name: Bytes) {
    let count = min(SessionNotes.hostBytes, name.count)
    hostCount = Int8(truncatingIfNeeded: count)
    if count > 0 { memcpy(text + SessionNotes.userBytes, name.baseAddress!, count) }
  }

  /// Takes the address and the user that `event` names.
  mutating func learn(from event: borrowing Event) {
    if event.text(.eventProvider)?.equals("pam") != true { onlyPAM = false }
    guard !event.has(.isAmbiguous) else { return }
    if let ip = event.address(.sourceIP) {
      if peerState == .none {
        peerHigh = ip.high
        peerLow = ip.low
        peerState = ip.isV4 ? .v4 : .v6
        peerTrust = event.trust
      } else if peerState != .contradictory, peer != ip {
        peerState = .contradictory
      }
      if port < 0, let value = event.integer(.sourcePort) { port = value }
    }
    if userCount < 0, let name = event.text(.userName) {
      let count = min(SessionNotes.userBytes, name.count)
      userCount = Int8(truncatingIfNeeded: count)
      if count > 0 { memcpy(text, name.baseAddress!, count) }
    }
  }
  /// Gives `event` the address that its line lacks.
  func complete(_ event: inout Event) {
    guard !event.has(.sourceIP), !event.has(.sourceAddress), let peer, peerTrust >= event.trust else { return }
    event.set(.sourceIP, peer)
    if port >= 0, !event.has(.sourcePort) { event.set(.sourcePort, port) }
    if event.has(.isAmbiguous) { event.remove(.isAmbiguous) }
  }

  mutating func remember(_ event: borrowing Event) {
    guard evidenceCount < SessionNotes.references else { return }
    evidence[Int(evidenceCount)] = event.reference
    evidenceCount += 1
  }
  mutating func giveEvidence(to event: inout Event) {
    for i in 0..<Int(evidenceCount) { event.addEvidence(evidence[i]) }
    evidenceCount = 0
  }
}
