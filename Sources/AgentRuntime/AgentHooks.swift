// What the process around the agent is told, and asked: the service manager and the supervisor stand behind it. The agent knows neither.
import Playbooks

/// What an agent works with. All of it is taken over together or not at all.
public struct AgentInput: Sendable {
  public var configuration: Configuration
  public var rules: LoadedRules
  /// Without errors.
  public var playbooks: PlaybookSet
  public init(configuration: Configuration, rules: LoadedRules, playbooks: PlaybookSet = PlaybookSet()) {
    self.configuration = configuration
    self.rules = rules
    self.playbooks = playbooks
  }
}

/// Why `Agent.run` returned.
public enum AgentEnd: Sendable {
  case stopped
  case replaced(AgentInput)
}

public struct AgentHooks {
  public enum Moment: Sendable {
    /// It reads and decides: after the start, and after a reload.
    case ready
    /// Once a second while its loop turns.
    case alive
    case reloading
    case stopping
  }
  public var moment: (Moment) -> Void = { _ in }
  /// SIGHUP came, or an operator asked. Without an input nothing has changed, or what there is now is refused (and has been reported): the
  /// agent goes on with what it has.
  public var reload: () -> (input: AgentInput?, outcome: ControlOutcome) = { (nil, .refused("this agent cannot be reloaded")) }
  /// The processes of this agent, for its status.
  public var processes: () -> [ProcessStatus] = { [] }
  /// A descriptor to wait for, and what to do when it can be read.
  public var supervisor: (descriptor: Int32, read: () -> Void)?
  /// The way to the enforcer, which outlives the agent.
  public var enforcer: EnforcerLink?
  /// The way to the uplink, which outlives the agent too.
  public var uplink: UplinkLink?
  /// And the way to the responder.
  public var responder: ResponderLink?
  /// The way from the capture, which outlives the agent; nil: the network is no source.
  public var capture: CaptureLink?
  /// Whether the input is recorded; outlives the agent.
  public var recording = RecordingSwitch()
  /// An entry beside the decisions: actor, event, detail.
  public var audit: (String, String, String) -> Void = { _, _, _ in }
  public init() {}
}
