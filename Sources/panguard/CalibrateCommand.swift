// `panguard calibrate`: labelled decisions in; how far confidences can be believed, and a table that fits them, out. Changes nothing: what it
// writes is a file that a person reads and names in the configuration.
import AgentRuntime
import ArgumentParser
import Detection
import Export
import Glibc
import Primitives
import Scoring
import Storage

struct CalibrateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "calibrate", abstract: "Compare confidences with labelled decisions, and fit the table to them.",
    discussion: """
      A file of labels has one JSON object a line: {"label": "attack", "subject": "192.0.2.7"} speaks of every decision about the subject,
      {"label": "benign", "decision": "d0123456789abcdef"} of one; a line of a decision log with a "label" in it is its own decision.
      The decisions come from the logs named with --log (`panguard replay --output`), the first log belonging to the first file of labels
      and so on, or without --log from the agent's store. --marks takes what `panguard decisions mark` said there. Of each incident the last
      record counts; what nobody labelled is left out and counted.

      It prints a reliability diagram and the Brier score, and with -o writes a confidence file with a fitted table (docs/confidence.md). The
      sums at which thresholds are crossed stay where they are: a fit changes what a confidence says, not what is done.
      """)
  @OptionGroup var selection: StateSelection
  @Option(name: .long, parsing: .upToNextOption, help: "Files of labels (JSON lines).", completion: .file()) var labels: [String] = []
  @Option(name: .long, parsing: .upToNextOption, help: "Decision logs, one for each file of labels.", completion: .file()) var log: [String] = []
  @Flag(name: .long, help: "Take what was marked in the store as labels: confirmed is an attack, false-positive is none.") var marks = false
  @Option(name: .long, help: "The confidence file to judge. Default: the one in use.", completion: .file()) var confidence: String?
  @Option(name: .long, help: "How many decisions the old table counts for at each 0.025: few labels then move little.") var priorWeight = 400
  @Flag(name: .long, help: "Attacks are as frequent here as among the labels. Without it the labels only say how sums tell them apart.")
  var keepShare = false
  @Option(name: .long, help: "At most this many decisions of one rule from one log with one label: a flood of one kind is not many witnesses.")
  var perRule = 100
  @Option(name: .long, help: "Write the diagram as SVG.", completion: .file()) var svg: String?
  @Option(name: [.short, .long], help: "Write a confidence file with the fitted table.", completion: .file()) var output: String?

  func validate() throws {
    if labels.isEmpty, !marks { throw ValidationError("name a file of labels with --labels, or take the store's own with --marks") }
    if !log.isEmpty, log.count != labels.count { throw ValidationError("\(labels.count) files of labels, but \(log.count) logs: each needs its own") }
    if perRule < 1 { throw ValidationError("--per-rule wants a number above 0") }
    if !(0...10_000).contains(priorWeight) { throw ValidationError("--prior-weight wants a number from 0 to 10000") }
  }

  func run() throws {
    let settings = try selection.configuration()
    var model = settings.confidence
    if let confidence {
      let (read, problems) = Configuration.readConfidence(path: confidence)
      report(problems, atLeast: .warning)
      guard let read else { throw CommandFailure.usage("\(confidence) is no confidence file") }
      model = read
    }
    var collected = LabelledDecisions(perRule: perRule)
    do {
      for (i, file) in labels.enumerated() {
        var labels = try DecisionLabels(file: file)
        if !log.isEmpty {
          try collected.add(log: log[i], &labels)
        } else if labels.isSelfContained {
          collected.add(labels)
        } else {
          try collected.add(store: openStore(selection), &labels)
        }
      }
      if marks { try collected.add(marksOf: openStore(selection)) }
    } catch let error as StorageError {
      throw CommandFailure.environment("\(error)")
    }
    guard !collected.samples.isEmpty else {
      throw CommandFailure(status: .findings, message: "no decision has a label (\(collected.unlabelled) have none)\(collected.unmatchedText)")
    }
    let thresholds = [settings.notifyThreshold, settings.actThreshold].map { Confidence(thousandths: $0) }
    let before = Reliability(collected.samples, model)
    let fitted =
      output == nil
      ? nil
      : Calibration.fit(collected.samples, base: model, priorWeight: Int64(priorWeight), thresholds: thresholds, keepsShare: keepShare)
    let after = fitted.map { Reliability(collected.samples, $0) }
    var page = Output()
    page.line(
      CalibrationReport.text(before, after: after)
        + "left out: \(collected.unlabelled) decisions without a label, \(collected.repeated) beyond \(perRule) of one rule, log and label"
        + collected.unmatchedText)
    page.flush()
    if let svg { try BaselineFile.write(Array(CalibrationReport.svg(before, after: after).utf8), svg) }
    if let fitted, let output {
      let comment = [
        "Fitted by `panguard calibrate --prior-weight \(priorWeight)` to \(before.count) labelled decisions, \(before.attacks) of them attacks.",
        "Brier score \(CalibrationReport.millionths(before.brier)) before, \(CalibrationReport.millionths(after?.brier ?? 0)) after, on these labels.",
      ]
      try BaselineFile.write(Array(ConfidenceFile.text(fitted, comment: comment).utf8), output)
    }
  }
}

/// What a file of labels says: which decisions and whose were attacks.
struct DecisionLabels {
  private struct Label {
    var isAttack: Bool
    /// Where it stands.
    var line: Int
    /// A decision was met that it speaks of.
    var isMatched = false
  }
  private let file: String
  private var subjects: [String: Label] = [:]  // only looked up
  private var decisions: [String: Label] = [:]
  /// Decisions that carry their label.
  var own: [(decision: Decision, isAttack: Bool)] = []

  init(file: String) throws {
    self.file = file
    var number = 0
    try forEachLine(of: file) { line in
      number += 1
      guard !line.isEmpty else { return }
      func refuse(_ message: String) -> CommandFailure { .usage("\(file):\(number): \(message)") }
      guard number <= Limits.calibrationLabels else { throw refuse("more than \(Limits.calibrationLabels) labels") }
      var (label, subject, decision): (String?, String?, String?)
      do {
        try line.withUnsafeBytes { bytes in
          try JSONMembers.forEach(of: bytes) { key, value in
            switch key.string {
            case "label": label = DecisionLabels.text(value)
            case "subject": subject = DecisionLabels.text(value)
            case "decision": decision = DecisionLabels.text(value)
            default: break
            }
          }
        }
      } catch { throw refuse("\(error)") }
      guard let label, label == "attack" || label == "benign" else { throw refuse("\"label\" must be \"attack\" or \"benign\"") }
      let isAttack = label == "attack"
      /// The same twice is once; both is a mistake, and which one only its author knows.
      func put(_ key: String, _ labels: inout [String: Label]) throws {
        if let other = labels[key], other.isAttack != isAttack { throw refuse("says otherwise than line \(other.line)") }
        labels[key] = labels[key] ?? Label(isAttack: isAttack, line: number)
      }
      switch (subject, decision) {
      case (let subject?, nil): try put(DecisionLabels.canonical(subject), &subjects)
      case (nil, let id?): try put(id, &decisions)
      case (nil, nil):
        do { own.append((try DecisionJSON.decode(line), isAttack)) } catch {
          throw refuse("names neither \"subject\" nor \"decision\", and is no decision itself: \(error)")
        }
      default: throw refuse("names a \"subject\" and a \"decision\"; one is enough")
      }
    }
  }
  private static func text(_ value: Bytes) -> String? {
    var reader = JSONReader(value)
    return try? reader.next { token in if case .string(let text) = token { text.string } else { nil } } ?? nil
  }
  /// As decisions name it: of an address or a network the one way to write it.
  private static func canonical(_ subject: String) -> String {
    guard let network = CIDR(subject) else { return subject }
    return subject.utf8.contains(0x2f) ? "\(network)" : "\(network.base)"
  }
  /// Whether it speaks of nothing but decisions that it brings along.
  var isSelfContained: Bool { subjects.isEmpty && decisions.isEmpty }
  /// nil: nobody labelled it. What is said of the decision itself comes before what is said of whom it is about.
  mutating func isAttack(_ decision: Decision) -> Bool? {
    let names = [decision.subject.source, decision.subject.user, decision.subject.session, decision.subject.host].compactMap(\.self)
    decisions[decision.id]?.isMatched = true
    for name in names { subjects[name]?.isMatched = true }
    return decisions[decision.id]?.isAttack ?? names.compactMap { subjects[$0]?.isAttack }.first
  }
  /// Labels that speak of no decision that was met, and where the first of them stands.
  var unmatched: (count: Int, first: String) {
    let lines = [subjects, decisions].flatMap { $0.values.filter { !$0.isMatched }.map(\.line) }
    return (lines.count, lines.min().map { "\(file):\($0)" } ?? "")
  }
}

/// What was labelled, of each incident its last record.
struct LabelledDecisions {
  let perRule: Int
  private(set) var samples: [CalibrationSample] = []
  private(set) var unlabelled = 0
  private(set) var repeated = 0
  /// Labels that speak of no decision, and the first of them.
  private var unmatched = (count: 0, first: "")
  /// Behind what else was left out; empty where every label speaks of a decision.
  var unmatchedText: String {
    unmatched.count == 0 ? "" : ", \(unmatched.count) labels that no decision matches (the first: \(TerminalText.escaped(unmatched.first)))"
  }
  private mutating func note(_ labels: (count: Int, first: String)) {
    unmatched = (unmatched.count + labels.count, unmatched.count == 0 ? labels.first : unmatched.first)
  }
  init(perRule: Int) { self.perRule = perRule }

  private struct Entry {
    var rule: String
    var total: MilliNats
    var isAttack: Bool?
    init(_ decision: Decision, _ isAttack: Bool?) {
      rule = decision.ruleID
      total = MilliNats(Int32(clamping: decision.terms.reduce(0) { $0 + Int64($1.contribution.value) }))
      self.isAttack = isAttack
    }
  }

  mutating func add(log path: String, _ labels: inout DecisionLabels) throws {
    var latest: [String: Int] = [:]
    var found: [Entry] = []
    var number = 0
    try forEachLine(of: path) { line in
      number += 1
      guard !line.isEmpty else { return }
      do {
        let decision = try DecisionJSON.decode(line)
        let entry = Entry(decision, labels.isAttack(decision))
        if let i = latest[decision.id] {
          found[i] = entry
        } else {
          latest[decision.id] = found.count
          found.append(entry)
        }
      } catch let error as DecisionJSONError where error.key == "event.kind" {
        // What is no decision: detections that a correlation lost.
      } catch { throw CommandFailure.environment("\(path):\(number): \(error)") }
    }
    take(found + labels.own.map { Entry($0.decision, $0.isAttack) })
    note(labels.unmatched)
  }
  mutating func add(store: DecisionStore, _ labels: inout DecisionLabels) throws {
    var found: [Entry] = []
    for decision in try latest(in: store) { found.append(Entry(decision, labels.isAttack(decision))) }
    take(found + labels.own.map { Entry($0.decision, $0.isAttack) })
    note(labels.unmatched)
  }
  mutating func add(marksOf store: DecisionStore) throws {
    let marks = try store.latestMarks()
    let decisions = try latest(in: store)
    take(decisions.map { Entry($0, marks[$0.id].map { $0.verdict == .confirmed }) })
    let missing = Set(marks.keys).subtracting(decisions.map(\.id))
    note((missing.count, missing.min().map { "the mark of \($0)" } ?? ""))
  }
  mutating func add(_ labels: DecisionLabels) { take(labels.own.map { Entry($0.decision, $0.isAttack) }) }
  private func latest(in store: DecisionStore) throws -> [Decision] {
    let answer = try store.decisions(limit: Limits.queryRows)
    reportUnreadable(answer)
    if answer.isCut { printError("panguard: warning: only the newest \(Limits.queryRows) decisions of the store are looked at") }
    return answer.decisions
  }

  /// Each call is one log: `perRule` counts anew.
  private mutating func take(_ found: [Entry]) {
    var counts: [String: Int] = [:]  // only looked up
    for entry in found {
      guard let isAttack = entry.isAttack else {
        unlabelled += 1
        continue
      }
      let kind = entry.rule + (isAttack ? " attack" : " benign")
      let count = counts[kind, default: 0] + 1
      counts[kind] = count
      guard count <= perRule, samples.count < Limits.calibrationLabels else {
        repeated += 1
        continue
      }
      samples.append(CalibrationSample(total: entry.total, isAttack: isAttack))
    }
  }
}
