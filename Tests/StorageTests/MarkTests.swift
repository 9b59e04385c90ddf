// What people say of decisions is kept beside them, all of it, the last word counting.
import Primitives
import Storage
import Testing

@Suite struct MarkTests {
  private func mark(_ id: String, _ verdict: DecisionMark.Verdict, _ reason: String, _ seconds: Int64) -> DecisionMark {
    DecisionMark(decisionID: id, verdict: verdict, reason: reason, actor: "uid 0", time: EventTime(seconds: seconds))
  }

  @Test func theLastOneCountsAndAllAreKept() throws {
    let directory = try TemporaryDirectory()
    var store = try DecisionStore(directory: directory.path)
    try store.commit(CommitBatch(decisions: [Sample.decision(1)]))
    let record = try #require(try store.decisions().decisions.first)
    let said = [
      mark(record.id, .falsePositive, "our scanner, \"really\"\u{0}", 1), mark("dother", .confirmed, "seen", 2),
      mark(record.id, .confirmed, "not ours", 3),
    ]
    for one in said { try store.mark(one) }
    store.close()
    store = try DecisionStore(directory: directory.path)
    #expect(try store.marks() == said)
    #expect(try store.marks(decisionID: record.id) == [said[0], said[2]])
    #expect(try store.latestMarks() == [record.id: said[2], "dother": said[1]])
    // The decision itself is what it was.
    #expect(try store.decisions().decisions == [record])
  }
}
