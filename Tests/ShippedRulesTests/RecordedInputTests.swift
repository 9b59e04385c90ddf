// What is recorded of the network is what was decided on: captures that every rule fires on, recorded on their way into the pipeline and given
// to another one from the recording, lead to the same decisions, byte for byte.
import CaptureReplay
import Detection
import Events
import Export
import Glibc
import InputJournal
import PacketSources
import Primitives
import Testing

@testable import AgentRuntime
@testable import PanguardTestKit

@Suite struct RecordedInputTests {
  private static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
  private static let loaded = RuleStore.load(yaml: ["\(root)/rules/network"])
  private static func pipeline() -> Pipeline {
    Pipeline(
      detector: Detector(
        ruleSet: loaded.set, ruleSetHash: loaded.hash, configuration: DetectorConfiguration(), engineVersion: "test"))
  }

  @Test func everyCaptureIsDecidedAgainFromItsRecording() throws {
    var template = Array("/tmp/panguard-recorded-XXXXXX".utf8CString)
    let directory = String(cString: try #require(mkdtemp(&template)))
    let segment = try SegmentWriter(
      directory: directory,
      header: SegmentHeader(
        number: 1, engineVersion: "test", ruleSetHash: Self.loaded.hash, configurationHash: "", sequence: 0, recordedAt: .zero,
        fields: Field.allNames))
    defer {
      unlink(segment.path)
      rmdir(directory)
    }
    var capture = CaptureBuilder()
    for rule in networkRuleCases { rule.fires(&capture) }
    let first = Self.pipeline()
    first.recorder = segment
    let replay = Replay(pipeline: first)
    replay.add(CaptureReplay(path: "test.pcap", modificationTime: .zero, reader: CaptureReader(bytes: capture.pcap)))
    var made: [[UInt8]] = []
    _ = replay.run { made.append(DecisionJSON.line($0)) }
    segment.finish()
    #expect(segment.problem == nil && made.count >= 50)
    let again = try InputReplay(path: segment.path, pipeline: Self.pipeline())
    var remade: [[UInt8]] = []
    while try again.step({ if case .decision(let decision) = $0 { remade.append(DecisionJSON.line(decision)) } }) {}
    #expect(remade == made && again.isWhole)
  }
}
