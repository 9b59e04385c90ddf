// One segment of a journal through a pipeline that has seen nothing yet: what the agent was given, in the same order and by the same methods.
import Baseline
import Detection
import Events
import InputJournal
import LogParsers
import Playbooks
import Primitives

/// Which input the pipeline was given last.
public struct InputPlace: Equatable, Sendable, CustomStringConvertible {
  /// Name of the source; "" before the first input.
  public var source = ""
  public var offset: UInt64 = 0
  /// The line, the entry's message, or what else it was.
  public var text = ""
  public var description: String {
    let cut = text.unicodeScalars.count > 160 ? String(text.unicodeScalars.prefix(160)) + "…" : text
    return source.isEmpty ? cut : "\(source) at byte \(offset): \(cut)"
  }
}

public final class InputReplay {
  public let header: SegmentHeader
  public let pipeline: Pipeline
  private let reader: SegmentReader
  private var lanes: [Lane] = []
  private var event = Event()
  private var last: (source: Int, offset: UInt64, bytes: [UInt8])?
  /// Records that were given to the pipeline.
  public private(set) var records: UInt64 = 0
  /// The recording ended in order; false until the last record was read.
  public private(set) var isWhole = false
  public var fileBytes: UInt64 { reader.fileBytes }
  /// How much of the file's bytes was given.
  public var position: UInt64 { reader.progress }
  /// Bytes behind the last whole block.
  public var cutBytes: UInt64 { reader.cutBytes }

  public enum Outcome {
    /// The decision is of the pipeline, or is borrowed for the call.
    case decision(Decision)
    /// What came before is stored, up to this number of the log.
    case stored(sequence: Int64)
  }

  /// `pipeline`: a new one. Throws where the file is no segment that this version reads.
  public init(path: String, pipeline: Pipeline) throws(InputJournalError) {
    reader = try SegmentReader(path: path)
    header = reader.header
    self.pipeline = pipeline
  }

  /// Where the pipeline is; for people.
  public var place: InputPlace {
    guard let last else { return InputPlace() }
    let name = last.source < lanes.count ? lanes[last.source].name : ""
    return InputPlace(source: name, offset: last.offset, text: String(decoding: last.bytes, as: UTF8.self))
  }

  /// Gives the pipeline the next record. False at the end.
  public func step(_ emit: (Outcome) -> Void) throws(InputJournalError) -> Bool {
    guard let record = try reader.next(into: &event) else { return false }
    records += 1
    isWhole = false
    func told(_ decision: Decision) { emit(.decision(decision)) }
    switch record {
    case .lane(let lane):
      lanes.append(
        pipeline.addLane(
          lane.name, format: lane.format, inputTime: lane.inputTime, utcOffsetSeconds: lane.utcOffsetSeconds, trust: lane.trust))
    case .baseline(let snapshot):
      do { try pipeline.resume(baseline: Array(snapshot)) } catch {
        throw InputJournalError(path: reader.path, reason: "the baseline in it cannot be taken up: \(error)")
      }
    case .networkMemory(let memory):
      do { try pipeline.resume(networkMemory: Array(memory)) } catch {
        throw InputJournalError(path: reader.path, reason: "what it knows of the network cannot be taken up: \(error)")
      }
    case .incident(let incident): resume(incident)
    case .inputTime(let lane, let time): pipeline.noteInputTime(time, lanes[lane])
    case .line(let lane, let offset, let line, let isWarmUp):
      note(lane, offset, line)
      pipeline.process(line, offset: offset, lanes[lane], isWarmUp: isWarmUp) { if !isWarmUp { told($0) } }
    case .entry(let lane, let ordinal, let entry, let isWarmUp):
      note(lane, ordinal, entry.message ?? .none)
      pipeline.process(journal: entry, ordinal: ordinal, lanes[lane], isWarmUp: isWarmUp) { if !isWarmUp { told($0) } }
    case .event(let lane):
      note(lane, event.origin.offset, Bytes("an event of the network"))
      swap(&event, &lanes[lane].event)
      pipeline.process(captured: lanes[lane], told)
      swap(&event, &lanes[lane].event)
    case .expire(let lane, let time, let isWarmUp):
      last = (lane, 0, Array("silence until \(time)".utf8))
      pipeline.expire(lanes[lane], asOf: time, isWarmUp: isWarmUp) { if !isWarmUp { told($0) } }
    case .change(let line):
      guard let request = ControlRequest(line), case .baseline(let change) = request else {
        throw InputJournalError(path: reader.path, reason: "it has a change of the baseline that cannot be read")
      }
      _ = pipeline.perform(change)
    case .mark(let sequence): emit(.stored(sequence: sequence))
    case .end: isWhole = true
    }
    return true
  }

  private func note(_ lane: Int, _ offset: UInt64, _ bytes: Bytes) { last = (lane, offset, Array(bytes.upTo(1024))) }

  private func resume(_ record: IncidentRecord) {
    func part(_ index: Int) -> String? { record.subject[index].isEmpty ? nil : record.subject[index] }
    pipeline.resume(
      Incident(
        id: record.id, revision: Int(clamping: record.revision), matchCount: record.matchCount, firstTime: record.firstTime,
        lastTime: record.lastTime, action: ProposedAction(rawValue: record.action) ?? .logOnly),
      ruleID: record.ruleID, subject: Subject(source: part(0), user: part(1), session: part(2), host: part(3)))
  }
}
