// What the control socket understands: every request is read back as it was written, and nothing else is a request.
import Primitives
import Testing

@testable import AgentRuntime

@Suite struct ControlRequestTests {
  @Test(
    arguments: [
      .status, .arm(confirmWithin: nil, session: ""), .arm(confirmWithin: 300, session: "audit:4"),
      .confirm(session: "terminal:77:123456", began: 123_456),
      .reload, .disarm, .approve("a0123456789abcdef"), .deny("a01"), .block(CIDR("192.0.2.7")!, seconds: 600),
      .block(CIDR("2001:db8::/64")!, seconds: 604_800), .unblock(CIDR("192.0.2.0/24")!), .unblockAll, .blocks, .pending,
      .record(true), .record(false),
    ] as [ControlRequest]) func whatIsWrittenIsRead(_ request: ControlRequest)
  {
    #expect(ControlRequest(request.line) == request)
  }

  @Test(arguments: [
    "", " ", "statu", "status ", "status x", "arm 5 audit:1", "arm 99999999 audit:1", "arm x audit:1", "arm 300", "arm 300 a b", "arm 300 A B",
    "confirm", "confirm audit:1", "confirm audit:1 -1", "confirm audit:1 x", "confirm \u{1b}[2J 1", "reload x",
    "confirm " + String(repeating: "a", count: 65), "approve", "approve a;b",
    "approve " + String(repeating: "a", count: 65),
    "block", "block 192.0.2.7", "block 192.0.2.7 forever", "block 192.0.2.7 5", "block 192.0.2.7 99999999", "block 192.0.2.7 -600",
    "block example.org 600", "unblock", "unblock x", "unblock-all x", "block 192.0.2.7 600 600",
    "record", "record on off", "record maybe", String(repeating: "status", count: 200),
  ]) func nothingElseIsARequest(_ line: String) {
    #expect(ControlRequest(line) == nil)
  }

  @Test func aSessionHasAName() {
    let (name, began) = SessionIdentity.current
    #expect(SessionIdentity.isValid(name) && (name, began) == SessionIdentity.current, "\(name)")
    #expect(began > 0 && began <= SessionIdentity.millisecondsSinceBoot)
    #expect(ControlRequest(ControlRequest.confirm(session: name, began: began).line) == .confirm(session: name, began: began))
  }

  @Test func answersAreReadBack() throws {
    for outcome in [ControlOutcome.done("armed"), .refused("no: \"x\"\n\u{1b}")] {
      #expect(try outcome.json.withUnsafeBytes { try ControlOutcome(json: $0) } == outcome)
    }
    var status = AgentStatus()
    status.response.enforcer = "ready"
    status.response.isEnforcerReady = true
    status.response.activeBlocks = 3
    status.response.refusals = [("claimed", 7)]
    #expect(try status.json.withUnsafeBytes { try AgentStatus(json: $0) }.response == status.response)
  }
}
