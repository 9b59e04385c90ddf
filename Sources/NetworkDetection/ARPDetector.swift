// ARP: an address that is suddenly somebody else's, and who asks for many hosts that are not there (the scan detector's walk).
// An address may change hands once: a lease, a failover, a new card. It is spoofed where the new holder answers what nobody asked, three times
// within five minutes, or where two holders fight for it: two changes within ten minutes.
// Memory: `Limits.arpClaims` addresses.
import Events
import Primitives

struct ARPDetector: ~Copyable {
  static let unsolicitedAnswers = 3
  static let changes = 2

  struct Claim {
    var holder: [UInt8] = []
    var firstTime: EventTime
    var unsolicited = 0
    var changes = 0
    var changedAt: EventTime
    var reportedAt = EventTime.distantPast
  }
  private var claims = BoundedTable<IPAddress, Claim>(capacity: Limits.arpClaims)

  var drops: [(cause: String, count: UInt64)] { [("addresses evicted from the ARP detector", claims.evictions)] }

  /// `event`: the capture's word that an address has another holder, or that the new one insists.
  mutating func observe(claim event: borrowing Event, at time: EventTime, into findings: inout [NetworkFinding]) {
    guard let address = event.address(.sourceIP), let action = event.text(.eventAction), let holder = event.text(.sourceMac) else { return }
    let isChange = action.equals("arp-binding-changed")
    let isUnsolicited = event.text(.eventReason)?.equals("unsolicited") ?? false
    claims.update(address, make: { Claim(firstTime: time, changedAt: time) }) { claim in
      if time - claim.changedAt > .minutes(10) { claim = Claim(firstTime: time, changedAt: time) }
      if isChange {
        claim.changes += 1
        claim.changedAt = time
        claim.unsolicited = 0
        claim.holder = Array(holder.slice(0, 17))
      }
      if isUnsolicited { claim.unsolicited += 1 }
      guard claim.unsolicited >= ARPDetector.unsolicitedAnswers || claim.changes >= ARPDetector.changes,
        time - claim.reportedAt > .hours(1) || claim.reportedAt > time
      else { return }
      claim.reportedAt = time
      var finding = NetworkFinding("arp-spoofing", trust: .claimed, firstTime: claim.firstTime, lastTime: time)
      // The address is the victim's: who took it has only a MAC.
      finding.destination = address
      finding.numbers = [("unsolicited", Int64(claim.unsolicited)), ("changes", Int64(claim.changes))]
      finding.texts = [("new_mac", claim.holder)]
      if let old = event.extra(Bytes("panguard.arp.previous_mac")) { finding.texts.append(("previous_mac", Array(old.slice(0, 17)))) }
      findings.append(finding)
    }
  }

  /// A question and what became of it, for the scan detector.
  static func attempt(_ event: borrowing Event) -> (source: IPAddress, attempt: ScanDetector.Attempt)? {
    guard let source = event.address(.sourceIP), let target = event.address(.destinationIP), let outcome = event.text(.eventOutcome)
    else { return nil }
    return (
      source,
      ScanDetector.Attempt(
        lane: .arp, contact: ScanDetector.Contact(host: target, port: 0, hasFailed: outcome.equals("failure")), kind: "arp", trust: event.trust,
        firstTime: event.time)
    )
  }
}
