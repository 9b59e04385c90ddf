import Detection
import GRDB
import Glibc
import Primitives
import RuleLanguage
import Testing

@testable import Storage

private func ids(_ answer: StoredDecisions) -> [String] { answer.decisions.map(\.id) }

@Suite struct DecisionStoreTests {
  let directory: TemporaryDirectory
  init() throws { directory = try TemporaryDirectory() }

  @Test func keepsWhatWasCommitted() throws {
    let decisions = [Sample.decision(1), Sample.decision(2, user: "root"), Sample.decision(1, revision: 2, at: 3)]
    let store = try DecisionStore(directory: directory.path)
    #expect(!store.wasUnclean)
    let result = try store.commit(CommitBatch(decisions: decisions, checkpoints: [CheckpointUpdate(source: "a", value: "1", lines: 10)]))
    #expect(result.inserted == 3 && result.repeated == 0 && result.recovery == nil)
    store.close()

    let reopened = try DecisionStore(directory: directory.path)
    #expect(!reopened.wasUnclean)
    #expect(try reopened.decisions().decisions == [decisions[2], decisions[1]])
    #expect(try reopened.decisions(matching: DecisionQuery(allRevisions: true)).decisions == [decisions[2], decisions[1], decisions[0]])
    #expect(try reopened.revisions(id: decisions[0].id).decisions == [decisions[0], decisions[2]])
    #expect(try reopened.checkpoints() == [Checkpoint(source: "a", value: "1", lines: 10)])
  }

  @Test func committingAgainChangesNothing() throws {
    let store = try DecisionStore(directory: directory.path)
    let batch = CommitBatch(decisions: [Sample.decision(1), Sample.decision(1, revision: 2, at: 5)])
    try store.commit(batch)
    let before = try store.follow(after: 0)
    let again = try store.commit(batch)
    #expect(again.inserted == 0 && again.repeated == 2)
    #expect(try store.follow(after: 0).decisions == before.decisions)
    #expect(try store.follow(after: before.lastSequence).decisions.isEmpty)
    #expect(try store.decisions().decisions == [batch.decisions[1]])
  }

  @Test func aDifferentRecordOfTheSameRevisionReplaces() throws {
    let store = try DecisionStore(directory: directory.path)
    try store.commit(CommitBatch(decisions: [Sample.decision(1, user: "a")]))
    let other = Sample.decision(1, user: "b", confidence: 500)
    try store.commit(CommitBatch(decisions: [other]))
    #expect(try store.decisions(matching: DecisionQuery(user: "b", allRevisions: true)).decisions == [other])
    #expect(try store.decisions(matching: DecisionQuery(user: "a", allRevisions: true)).decisions.isEmpty)
  }

  /// The latest record of an incident is the one with the highest revision, in whatever order they came.
  @Test(arguments: [[1, 2, 3], [3, 2, 1], [2, 3, 1], [1, 3, 2], [2, 2, 1]])
  func knowsTheLatestRevision(_ order: [Int]) throws {
    let store = try DecisionStore(directory: directory.path)
    for revision in order { try store.commit(CommitBatch(decisions: [Sample.decision(7, revision: revision)])) }
    #expect(try store.decisions().decisions.map(\.revision) == [order.max()])
  }

  @Test func checkpointsAddUp() throws {
    let store = try DecisionStore(directory: directory.path)
    try store.commit(
      CommitBatch(checkpoints: [CheckpointUpdate(source: "b", value: "1", lines: 3), CheckpointUpdate(source: "a", value: "x", lines: 1)]))
    try store.commit(CommitBatch(checkpoints: [CheckpointUpdate(source: "b", value: "2\u{0}é", lines: 4)]))
    #expect(try store.checkpoints() == [Checkpoint(source: "a", value: "x", lines: 1), Checkpoint(source: "b", value: "2\u{0}é", lines: 7)])
    try store.commit(CommitBatch(forgottenSources: ["a", "never there"]))
    #expect(try store.checkpoints().map(\.source) == ["b"])
    #expect(try store.statistics().lines == 7)
  }

  @Test func continuesIncidents() throws {
    let store = try DecisionStore(directory: directory.path)
    let nasty = "a\u{0}\"b\u{1b}"
    try store.commit(
      CommitBatch(decisions: [
        Sample.decision(1, at: 10), Sample.decision(2, at: 20, source: nil, user: nasty, session: "s"), Sample.decision(1, revision: 2, at: 30),
        Sample.decision(3, at: 25, source: nil, host: "h"),
      ]))
    let open = try store.openIncidents(after: Sample.decision(0, at: 20).time)
    #expect(
      open.map(\.subject) == [Subject(user: nasty, session: "s", host: "web1"), Subject(host: "h"), Subject(source: "192.0.2.7", host: "web1")])
    let last = Sample.decision(1, revision: 2, at: 30)
    #expect(
      open.last
        == OpenIncident(
          id: last.id, ruleID: last.ruleID, subject: last.subject, revision: 2, matchCount: 2, firstTime: last.firstTime, lastTime: last.lastTime,
          action: last.action))
    #expect(try store.openIncidents(after: .distantPast, limit: 1) == open.suffix(1))
    #expect(try store.openIncidents(after: .distantFuture).isEmpty)
  }

  @Test func followsWithoutGapsOrRepeats() throws {
    let store = try DecisionStore(directory: directory.path)
    let reader = try { () throws in
      try store.commit(CommitBatch(decisions: [Sample.decision(1)]))
      return try DecisionStore(directory: directory.path, readOnly: true)
    }()
    var seen: [String] = []
    var at: Int64 = 0
    for n in 2...40 {
      try store.commit(CommitBatch(decisions: [Sample.decision(n), Sample.decision(n * 1000)]))
      if n % 3 == 0 { _ = try store.retain(maximumRows: 10) }
      let answer = try reader.follow(after: at, limit: 1000)
      at = answer.lastSequence
      seen += ids(answer)
    }
    #expect(seen == [Sample.decision(1).id] + (2...40).flatMap { [Sample.decision($0).id, Sample.decision($0 * 1000).id] })
    #expect(try reader.follow(after: at).lastSequence == at)
    #expect(try reader.lastSequence() == at)
  }

  @Test func findsByTheBeginningOfAnID() throws {
    let store = try DecisionStore(directory: directory.path)
    let decisions = (1...50).map { Sample.decision($0) } + [Sample.decision(1, revision: 2)]
    try store.commit(CommitBatch(decisions: decisions))
    #expect(try store.decision(idPrefix: decisions[0].id)?.revision == 2)
    #expect(try store.decision(idPrefix: decisions[0].id, revision: 1) == decisions[0])
    #expect(try store.decision(idPrefix: decisions[0].id, revision: 9) == nil)
    #expect(try store.decision(idPrefix: String(decisions[7].id.prefix(9))) == decisions[7])
    for prefix in ["", "dxyz", "'; DROP TABLE decisions", "d%", "é", "~"] { #expect(try store.decision(idPrefix: prefix) == nil) }
    let error = #expect(throws: StorageError.self) { try store.decision(idPrefix: "d") }
    #expect(error?.code == .ambiguousID)
  }

  @Test func forgetsByAgeWholeIncidents() throws {
    let store = try DecisionStore(directory: directory.path)
    let living = [Sample.decision(1, at: 10), Sample.decision(1, revision: 2, at: 1000)]
    try store.commit(
      CommitBatch(decisions: living + [Sample.decision(2, at: 20), Sample.decision(2, revision: 2, at: 30), Sample.decision(3, at: 2000)]))
    let result = try store.retain(notBefore: Sample.decision(0, at: 500).time)
    #expect(result == RetentionResult(deleted: 2, isComplete: true))
    #expect(try store.decisions(matching: DecisionQuery(allRevisions: true)).decisions.map(\.time.nanoseconds).count == 3)
    #expect(try store.retain(maximumRows: 1) == RetentionResult(deleted: 2, isComplete: true))
    #expect(try ids(store.decisions()) == [Sample.decision(3).id])
    #expect(try store.retain(maximumRows: 0).deleted == 1)
    #expect(try store.statistics().decisions == 0)
  }

  @Test func givesPagesBack() throws {
    let store = try DecisionStore(directory: directory.path)
    for chunk in 0..<11 { try store.commit(CommitBatch(decisions: (0..<1000).map { Sample.decision(chunk * 1000 + $0) })) }
    #expect(try store.retain(maximumRows: 0) == RetentionResult(deleted: Limits.retentionStepRows, isComplete: false))
    #expect(try store.retain(maximumRows: 0) == RetentionResult(deleted: 1000, isComplete: true))
    store.close()
    let reopened = try DecisionStore(directory: directory.path)
    for _ in 0..<5 {
      try reopened.commit(CommitBatch(decisions: [Sample.decision(1)]))
      _ = try reopened.retain(maximumRows: 0)
    }
    reopened.close()
    var status = stat()
    #expect(lstat(directory / "panguard.db", &status) == 0)
    #expect(status.st_size < 2_000_000)
  }

  @Test func answersAreBounded() throws {
    let store = try DecisionStore(directory: directory.path)
    try store.commit(CommitBatch(decisions: (1...30).map { Sample.decision($0) }))
    let answer = try store.decisions(limit: 7)
    #expect(answer.decisions.map(\.time) == (24...30).reversed().map { Sample.decision($0).time })
    #expect(answer.isCut)
    #expect(try !store.decisions(limit: 30).isCut)
    #expect(try store.decisions(limit: -5).decisions.count == 1)
  }

  @Test func aClosedStoreSaysSo() throws {
    let store = try DecisionStore(directory: directory.path)
    store.close()
    store.close()
    #expect(#expect(throws: StorageError.self) { try store.decisions() }?.code == .closed)
  }

  @Test func writesThroughTheDiskAtEachCommit() throws {
    let store = try DecisionStore(directory: directory.path)
    let settings = try store.run { db in
      try ["synchronous", "journal_mode", "auto_vacuum", "cell_size_check"].map { try String.fetchOne(db, sql: "PRAGMA \($0)") ?? "" }
    }
    #expect(settings == ["2", "wal", "2", "1"])
  }
}
