// Where the agent keeps what must survive it: the store, and the socket that says it is running.
import Glibc

public enum AgentPaths {
  /// The configured directory; else /var/lib/panguard for root, $XDG_STATE_HOME/panguard or ~/.local/state/panguard for others.
  public static func stateDirectory(configured: String?) -> String {
    if let configured, !configured.isEmpty { return configured }
    if geteuid() == 0 { return "/var/lib/panguard" }
    if let state = environment("XDG_STATE_HOME") { return "\(state)/panguard" }
    return "\(environment("HOME") ?? "/tmp/panguard-\(geteuid())")/.local/state/panguard"
  }
  public static func socketPath(in directory: String) -> String { "\(directory)/control.sock" }
}
