// The responder's configuration: what is printed loads and lets nothing be done; what is wrong is refused at its place.
import Glibc
import HostActions
import Primitives
import Testing

@testable import ResponderRuntime

@Suite struct ResponderConfigurationTests {
  private func load(_ text: String) -> (configuration: ResponderConfiguration?, diagnostics: [Diagnostic]) {
    Array(text.utf8).withUnsafeBytes { ResponderConfiguration.load($0, file: "r.yaml") }
  }

  @Test func thePrintedConfigurationLoadsAndEnablesNothing() {
    let (configuration, diagnostics) = load(ResponderConfiguration.reference)
    #expect(diagnostics.isEmpty, "\(diagnostics)")
    #expect(configuration == ResponderConfiguration() && configuration?.enabled.isEmpty == true)
  }
  @Test(arguments: HostAction.Kind.allCases) func eachKindIsEnabledByItself(_ kind: HostAction.Kind) {
    #expect(load("\(kind.configurationKey): true\n").configuration?.enabled == [kind])
  }
  @Test(arguments: [
    ("kill_proceses: true", "kill_processes"), ("kill_processes: yes", "true or false"), ("executables_directory: actions.d", "absolute"),
    ("state_directory: /var/../etc", "absolute"), ("never_quarantine: [srv]", "absolute"), ("executables_timeout: 1h", "between 1s and 10m"),
    ("actions_per_minute: 0", "between"), ("evidence_keep: 5s", "between 1m and 365d"), ("evidence_size: 1KiB", "evidence_size"),
    ("evidence_files: 0", "between"), ("recording_directory: ring", "absolute"), ("a: 1\n---\nb: 2", "second"),
  ])
  func whatIsWrongIsRefused(_ entry: (String, String)) {
    let (configuration, diagnostics) = load(entry.0 + "\n")
    #expect(configuration == nil && diagnostics.contains { "\($0)".contains(entry.1) && "\($0)".hasPrefix("r.yaml:") }, "\(diagnostics)")
  }
  @Test func aFileThatOthersMayWriteIsRefused() {
    let d = Directory()
    d.write("kill_processes: true\n", "r.yaml")
    #expect(ResponderConfiguration.load(path: d["r.yaml"]).configuration?.enabled == [.kill])
    chmod(d["r.yaml"], 0o666)
    #expect(ResponderConfiguration.load(path: d["r.yaml"]).configuration == nil)
    #expect(ResponderConfiguration.load(path: d["none.yaml"]).configuration == nil)
  }
}
