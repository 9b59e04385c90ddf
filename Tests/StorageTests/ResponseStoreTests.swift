// What was done about decisions is stored with them, or not at all.
import Detection
import Primitives
import Testing

@testable import Storage

@Suite struct ResponseStoreTests {
  private func time(_ seconds: Int64) -> EventTime { EventTime(seconds: 1_780_000_000 + seconds) }
  private func record(_ key: String, _ state: ResponseRecord.State = .planned, detail: String = "") -> ResponseRecord {
    ResponseRecord(
      key: key, decisionID: "d1", revision: 1, playbook: "p", step: 2, action: "block_ip 192.0.2.7/32 for 10m", time: time(0), state: state,
      detail: detail)
  }
  private func block(_ network: String, key: String = "k", until: Int64 = 600, isConfirmed: Bool = false) -> StoredBlock {
    StoredBlock(network: network, since: time(0), until: time(until), key: key, origin: "d1", isConfirmed: isConfirmed)
  }
  private func commit(_ store: DecisionStore, _ change: (inout ResponseBatch) -> Void) throws {
    var batch = CommitBatch()
    change(&batch.response)
    try store.commit(batch)
  }

  @Test func itSurvivesARestart() throws {
    let directory = try TemporaryDirectory()
    var store = try DecisionStore(directory: directory.path)
    try commit(store) {
      $0.records = [record("k"), record("l")]
      $0.blocks = [block("192.0.2.7/32"), block("192.0.2.8/32", key: "")]
      $0.lines = [KeptLine(decisionID: "d1", revision: 1, source: "/var/log/auth.log", offset: 7, line: "a line")]
      $0.state = [("mode", Array("armed".utf8)), ("planner", [0, 255, 10])]
    }
    try commit(store) {
      $0.records = [record("k", .done)]
      $0.blocks = [block("192.0.2.7/32", isConfirmed: true)]
      $0.removedBlocks = ["192.0.2.8/32"]
    }
    store.close()
    store = try DecisionStore(directory: directory.path)
    #expect(try store.blocks() == [block("192.0.2.7/32", isConfirmed: true)])
    #expect(try store.responses() == [record("l"), record("k", .done)])
    #expect(try store.responses(decisionID: "d1").count == 2 && store.responses(decisionID: "d2").isEmpty)
    #expect(try store.keptLines(decisionID: "d1").map(\.line) == ["a line"])
    #expect(try store.responseState("planner") == [0, 255, 10] && store.responseState("none") == nil)
    try commit(store) {
      $0.removesAllBlocks = true
      $0.blocks = [block("192.0.2.9/32")]
    }
    #expect(try store.blocks().map(\.network) == ["192.0.2.9/32"])
  }
}
