// What the engine declares for a configuration, and what a reload may ask for.
import AgentRuntime
import Confinement
import Glibc
import Testing

@testable import EngineCommand

@Suite struct EngineConfinementTests {
  @Test(arguments: [
    ("/var/log/auth.log", "/var/log"), ("/var/log/nginx/*access*.log", "/var/log/nginx"), ("/srv/*/log", "/srv"), ("/srv/a[bc]/x", "/srv"),
    ("/x", "/"), ("/*", "/"), ("/a/b?/c", "/a"),
  ]) func aPatternMeansItsDirectory(pattern: String, directory: String) {
    #expect(EngineConfinement.fixedDirectory(of: pattern) == directory)
  }

  private func declared(_ text: String) throws -> Confinement {
    let settings = try #require(Configuration.load(text, file: "c.yaml").configuration)
    var options = try EngineOptions.parse([])
    options.rules.rules = ["/usr/share"]
    return EngineConfinement.declare(options, settings, state: "/var/lib/panguard", cache: "/var/cache/panguard", account: nil)
  }

  @Test func onlyWhatIsConfiguredMayBeWritten() throws {
    let plain = try declared("")
    #expect(plain.writePaths == ["/dev/null", "/var/lib/panguard", "/var/cache/panguard"])
    #expect(plain.sockets == .unixDatagram && plain.keptCapabilities.isEmpty)
    #expect(!plain.readPaths.contains("/") && !plain.readPaths.contains("/etc") && !plain.readPaths.contains("/home"))
    let more = try declared("output:\n  jsonl: /var/log/panguard/d.jsonl\n")
    #expect(more.writePaths.last == "/var/log/panguard")
  }

  @Test func aReloadMayAskForLessAndNotForMore() throws {
    let running = try declared("sources:\n  - path: /srv/app/*.log\n")
    func beyond(_ text: String) throws -> [String] { EngineConfinement.beyond(try declared(text), running) }
    #expect(try beyond("sources:\n  - path: /srv/app/x.log\n") == [])
    #expect(try beyond("sources:\n  - path: /srv/app/deeper/x.log\n") == [])
    #expect(try beyond("sources:\n  - path: /srv/application/x.log\n") == ["/srv/application"])
    #expect(try beyond("sources:\n  - path: /srv/x.log\n") == ["/srv"])
    #expect(try beyond("sources:\n  - path: /srv/app/x.log\noutput:\n  jsonl: /srv/app/d.jsonl\n") == ["/srv/app"])
  }
}
