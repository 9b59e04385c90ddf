// The wire form of requests and answers (frames: `FrameProtocol`). Pure, total, linear.
//   text     count u16 | UTF-8          data     count u32 | bytes          key      text, see `HostActionRequest.isValid`
//   perform  key | action u8 | run:        name text | count u32, that many texts | data
//                            | kill:       pid u32 | ticks u64 | ns u64 | signal u8
//                            | quarantine: path text | device u64 | inode u64 | data (0 or 32 bytes)
//                            | disable:    account text
//                            | cut:        decision text | networks: count u32, that many texts | moments: count u32, that many u64 (ns)
//                                          | since u64 | until u64 (ns) | packets u64 | bytes u64
//   outcome  state u8 | code text | detail text
//   record   key text | ns u64 | text | outcome | can be undone u8 (0, 1)
import FrameProtocol
import Primitives

extension HostActionRequest: FrameRequest {
  public static func decode(_ bytes: Bytes) -> DecodedFrame<HostActionRequest> {
    decodeFrame(bytes, kind: Kind.init(rawValue:), limit: bodyLimit) { (kind, body) throws(FrameError) -> HostActionRequest in
      switch kind {
      case .perform: try .perform(key: body.key(), body.action())
      case .outcomes: try .outcomes(body.list(atMost: Limits.askedHostActions) { (reader) throws(FrameError) in try reader.key() })
      case .undo: try .undo(key: body.key())
      case .list: .list
      case .status: .status
      }
    }
  }

  public func encoded(id: UInt32) -> [UInt8] {
    var out = FrameWriter(kind: kind.rawValue, id: id)
    switch self {
    case .perform(let key, let action):
      out.text(key)
      out.action(action)
    case .outcomes(let keys): out.list(keys) { $0.text($1) }
    case .undo(let key): out.text(key)
    case .list, .status: break
    }
    return out.finished()
  }

  private static func bodyLimit(_ kind: Kind) -> Int {
    switch kind {
    case .perform: Limits.hostActionFrameBytes - Frame.headerBytes
    case .outcomes: 4 + Limits.askedHostActions * 66
    case .undo: 66
    case .list, .status: 0
    }
  }
}

extension HostActionAnswer: FrameAnswer {
  public static func decode(_ bytes: Bytes) -> DecodedFrame<HostActionAnswer> {
    decodeFrame(bytes, kind: Kind.init(rawValue:), limit: { _ in Limits.hostActionFrameBytes - Frame.headerBytes }) {
      (kind, body) throws(FrameError) -> HostActionAnswer in
      switch kind {
      case .outcome: try .outcome(body.outcome())
      case .outcomes: try .outcomes(body.list(atMost: Limits.askedHostActions) { (reader) throws(FrameError) in try reader.outcome() })
      case .records: try .records(body.list(atMost: Limits.listedHostActions) { (reader) throws(FrameError) in try reader.record() })
      case .status: try .status(body.responderStatus())
      }
    }
  }

  public func encoded(id: UInt32) -> [UInt8] {
    var out = FrameWriter(kind: kind.rawValue, id: id)
    switch self {
    case .outcome(let outcome): out.outcome(outcome)
    case .outcomes(let outcomes): out.list(outcomes) { $0.outcome($1) }
    case .records(let records): out.list(records) { $0.record($1) }
    case .status(let status): for counter in ResponderStatus.counters { out.integer(status[keyPath: counter.path]) }
    }
    return out.finished()
  }
}

extension FrameReader {
  fileprivate mutating func key() throws(FrameError) -> String {
    let failure = failure
    let key = try text(atMost: 64)
    guard HostActionRequest.isValid(key: key) else { throw failure }
    return key
  }

  fileprivate mutating func action() throws(FrameError) -> HostAction {
    let failure = failure
    guard let kind = HostAction.Kind(rawValue: try integer(UInt8.self)) else { throw failure }
    switch kind {
    case .run:
      let name = try text(atMost: 64)
      let arguments = try list(atMost: Limits.notificationArguments) { (reader) throws(FrameError) in
        try reader.text(atMost: Limits.notificationArgumentBytes)
      }
      // An argument ends at a NUL: what stands behind one would be lost.
      guard arguments.allSatisfy({ !$0.utf8.contains(0) }) else { throw failure }
      return .run(ExecutableRun(name: name, arguments: arguments, input: try data(atMost: Limits.hostActionInputBytes)))
    case .kill:
      guard let pid = Int32(exactly: try integer(UInt32.self)), pid > 0 else { throw failure }
      let ticks = try u64()
      guard let seenAt = Int64(exactly: try u64()), let signal = HostSignal(rawValue: try integer(UInt8.self)) else { throw failure }
      return .kill(ProcessTarget(pid: pid, startTicks: ticks, seenAt: seenAt, signal: signal))
    case .quarantine:
      let path = try text(atMost: Limits.hostPathBytes)
      guard path.utf8.first == 0x2f, !path.utf8.contains(0) else { throw failure }
      let (device, inode, hash) = (try u64(), try u64(), try data(atMost: 32))
      guard hash.isEmpty || hash.count == 32 else { throw failure }
      return .quarantine(FileTarget(path: path, device: device, inode: inode, sha256: hash))
    case .disable:
      let account = try text(atMost: 256)
      guard !account.isEmpty, !account.utf8.contains(0) else { throw failure }
      return .disable(account: account)
    case .cut:
      let decision = try text(atMost: 17)
      let networks = try list(atMost: Limits.cutNetworks) { (reader) throws(FrameError) in
        let text = try reader.text(atMost: 64)
        // As it is written by us: what is read is written back to the same bytes.
        guard let network = CIDR(text), "\(network)" == text else { throw failure }
        return network
      }
      let moments = try list(atMost: Limits.cutMoments) { (reader) throws(FrameError) in try reader.nanoseconds() }
      let selection = PacketSelection(
        decision: decision, networks: networks, moments: moments, since: try nanoseconds(), until: try nanoseconds(), packets: try u64(),
        bytes: try u64())
      guard let selection else { throw failure }
      return .cut(selection)
    }
  }

  private mutating func nanoseconds() throws(FrameError) -> Int64 {
    let failure = failure
    guard let value = Int64(exactly: try u64()) else { throw failure }
    return value
  }
  fileprivate mutating func outcome() throws(FrameError) -> HostActionOutcome {
    let failure = failure
    guard let state = HostActionOutcome.State(rawValue: try integer(UInt8.self)) else { throw failure }
    return HostActionOutcome(state, try text(), try text(atMost: Limits.hostActionDetailBytes))
  }
  fileprivate mutating func record() throws(FrameError) -> HostActionRecord {
    let failure = failure
    let key = try key()
    guard let time = Int64(exactly: try u64()) else { throw failure }
    let (text, outcome, canUndo) = (try text(), try outcome(), try integer(UInt8.self))
    guard canUndo <= 1 else { throw failure }
    return HostActionRecord(key: key, time: time, text: text, outcome: outcome, canUndo: canUndo == 1)
  }
  fileprivate mutating func responderStatus() throws(FrameError) -> ResponderStatus {
    var status = ResponderStatus()
    for counter in ResponderStatus.counters { status[keyPath: counter.path] = try u64() }
    return status
  }
}

extension FrameWriter {
  fileprivate mutating func action(_ action: HostAction) {
    integer(action.kind.rawValue)
    switch action {
    case .run(let run):
      text(run.name, atMost: 64)
      list(run.arguments) { $0.text($1, atMost: Limits.notificationArgumentBytes) }
      data(run.input)
    case .kill(let target):
      integer(UInt32(bitPattern: target.pid))
      integer(target.startTicks)
      integer(UInt64(clamping: target.seenAt))
      integer(target.signal.rawValue)
    case .quarantine(let target):
      text(target.path, atMost: Limits.hostPathBytes)
      integer(target.device)
      integer(target.inode)
      data(target.sha256)
    case .disable(let account): text(account, atMost: 256)
    case .cut(let selection):
      text(selection.decision, atMost: 17)
      list(selection.networks) { $0.text("\($1)", atMost: 64) }
      list(selection.moments) { $0.integer(UInt64(clamping: $1)) }
      for time in [selection.since, selection.until] { integer(UInt64(clamping: time)) }
      integer(selection.packets)
      integer(selection.bytes)
    }
  }
  fileprivate mutating func outcome(_ outcome: HostActionOutcome) {
    integer(outcome.state.rawValue)
    text(outcome.code)
    text(outcome.detail, atMost: Limits.hostActionDetailBytes)
  }
  fileprivate mutating func record(_ record: HostActionRecord) {
    text(record.key, atMost: 64)
    integer(UInt64(clamping: record.time))
    text(record.text)
    outcome(record.outcome)
    integer(UInt8(record.canUndo ? 1 : 0))
  }
}
