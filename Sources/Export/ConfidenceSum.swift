// The part of `panguard explain` that shows how the confidence adds up: each addend with its kind, the running sum and what it maps to.
// Invariants: every addend of the record is shown; a sum is only called a confidence by the table that the decision was made with.
import Detection
import Primitives
import Scoring

/// What a term of a confidence is, for people. Every kind is named on the page, also one that adds nothing.
enum TermKind: String, CaseIterable {
  case prior
  case rule = "rule confidence"
  case correlation
  case baseline = "baseline deviation"
  case exculpatory = "speaks for the subject"
  case severity
  case trust = "trust of the source"
  case reputation

  init(_ signal: Signal) {
    switch signal.family {
    case ConfidenceModel.priorFamily: self = .prior
    case ConfidenceModel.severityFamily: self = .severity
    case ConfidenceModel.trustFamily: self = .trust
    case ConfidenceModel.reputationFamily: self = .reputation
    case _ where signal.weight < .zero: self = .exculpatory
    case ConfidenceModel.anomalyFamily: self = .baseline
    default: self = signal.name.hasPrefix("ATR-COR-") ? .correlation : .rule
    }
  }
}

enum ConfidenceSum {
  static func write(_ d: Decision, _ current: ConfidenceModel, _ page: inout DecisionPage.Page) {
    page.heading("How the confidence adds up")
    let model = model(of: d, current)
    let rows: [(text: String, tone: Style.Tone?)] = d.terms.map { term in
      let isPrior = term.signal.family == ConfidenceModel.priorFamily
      let source = isPrior ? "" : " [\(term.signal.family), \(term.signal.isAttested ? "attested" : "claimed")]"
      return (TerminalText.cut(TerminalText.escaped(term.signal.name + source), to: 44), term.contribution < .zero ? .cyan : nil)
    }
    let width = max(8, rows.reduce(0) { max($0, TerminalText.columns($1.text)) })
    page.line(TerminalText.padded("evidence", to: width) + "     adds    total  confidence", .dim)
    var total: Int64 = 0
    for (row, term) in zip(rows, d.terms) {
      total += Int64(term.contribution.value)
      page.out += "  " + page.style.paint(TerminalText.padded(row.text, to: width), row.tone) + "  "
      page.out += TerminalText.padded(nats(Int64(term.contribution.value)), to: 7, onTheLeft: true) + "  "
      page.out += TerminalText.padded(nats(total), to: 7, onTheLeft: true)
      if let reached = model?.confidence(atLogOdds: MilliNats(Int32(clamping: total))) {
        page.out += "       " + reached.description + "  " + page.style.paint(bar(reached), row.tone)
      }
      page.out += "\n"
      if let note = note(term) { page.line("  (\(note))", .dim) }
      if !term.signal.detail.isEmpty { page.paragraph(term.signal.detail, indent: 4) }
    }
    writeKinds(d, &page)
    page.paragraph(
      "Evidence is in nats: the natural logarithm of how much likelier it is in an attack than without one. "
        + "The total maps to the confidence by the table of the confidence file.")
    guard let model else {
      page.paragraph(
        "The decision was made with another confidence file (\(d.provenance.confidenceHash.prefix(16))) than the one in use now "
          + "(\(current.hash.prefix(16))): the sums stand, and the record says what they meant: \(d.confidence).")
      return
    }
    let reached = model.confidence(atLogOdds: MilliNats(Int32(clamping: total)))
    if reached != d.confidence {
      page.line("The terms add up to \(reached), but the record says \(d.confidence): it was made by another engine or altered.", .loud)
    }
  }

  /// The table that the decision was made with; nil: it is not at hand. Records that name none are older than the file.
  private static func model(of d: Decision, _ current: ConfidenceModel) -> ConfidenceModel? {
    let hash = d.provenance.confidenceHash
    return hash.isEmpty ? ConfidenceModel() : hash == current.hash ? current : nil
  }

  /// Why a term does not add its whole weight; nil where it does.
  private static func note(_ term: ConfidenceTerm) -> String? {
    let (weight, part) = (term.signal.weight.value, term.contribution.value)
    if weight == part { return nil }
    if part == weight / 4 { return "a quarter of \(nats(Int64(weight))): stronger evidence of its family counts in full" }
    return "of \(nats(Int64(weight))): stronger evidence of its family counts in full, and the family has a cap"
  }

  /// One line of what each kind adds, so that also what counted for nothing is seen.
  private static func writeKinds(_ d: Decision, _ page: inout DecisionPage.Page) {
    let sums = TermKind.allCases.map { kind in
      "\(kind.rawValue) " + nats(d.terms.reduce(0) { TermKind($1.signal) == kind ? $0 + Int64($1.contribution.value) : $0 })
    }
    page.paragraph("By kind: " + sums.joined(separator: ", ") + ".")
  }

  /// "+2.197": thousandths of a nat as nats.
  static func nats(_ millinats: Int64) -> String {
    var out: [UInt8] = [millinats < 0 ? 0x2d : 0x2b]
    out.append(decimal: millinats.magnitude / 1000, minimumDigits: 1)
    out.append(0x2e)
    out.append(decimal: millinats.magnitude % 1000, minimumDigits: 3)
    return String(decoding: out, as: UTF8.self)
  }
  /// Twenty cells for 0 to 1.
  private static func bar(_ confidence: Confidence) -> String {
    let full = (confidence.thousandths + 25) / 50
    return String(repeating: "█", count: full) + String(repeating: "░", count: 20 - full)
  }
}
