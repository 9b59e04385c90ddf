// What `panguard run` owes an operator beyond the service: the enforcer can be asked where the engine hangs, by who may ask the service's.
import Glibc
import Primitives
import Testing

@Suite(.serialized) struct ForegroundTests {
  private func socket(_ agent: RunningAgent) throws -> String? {
    let enforcer = try #require(agent.process("enforcer"))
    let words = String(decoding: fileContents("/proc/\(enforcer)/cmdline"), as: UTF8.self).split(separator: "\0").map(String.init)
    return words.firstIndex(of: "--socket").map { words[$0 + 1] }
  }

  /// A `panguard run` that was killed leaves its socket behind; the service's enforcer is asked all the same.
  @Test func aSocketThatWasLeftBehindKeepsNobodyOut() throws {
    guard let network = Network.make() else { return }
    let d = TemporaryDirectory()
    let agent = RunningAgent(d, sources: ["auth.log"], prefix: network.inside)
    #expect(eventually(seconds: 120) { agent.status()?.response.isEnforcerReady == true }, "\(agent.errors)")
    let path = try #require(try socket(agent))
    agent.killAtOnce()
    #expect(access(path, F_OK) == 0)
    defer { unlink(path) }
    let service = d.path + "/service.sock"
    d.write("response: {enforcer: \(service)}\n", to: "service.yaml")
    let enforcer = Child(network.inside + [Product.panguard + "-enforcer", "--socket", service], output: d["enforcer.log"])
    defer { enforcer.signal(SIGTERM) }
    #expect(eventually { access(service, F_OK) == 0 })
    // The one before it has to be gone.
    func unblock() -> Finished { panguard(["unblock", "all", "--state", agent.state, "--config", d["service.yaml"]]) }
    #expect(eventually { unblock().text.contains("by the enforcer") }, "\(unblock())")
  }

  @Test func theEnforcerIsAskedWhereTheEngineHangs() throws {
    guard let network = Network.make() else { return }
    let d = TemporaryDirectory()
    let agent = RunningAgent(d, sources: ["auth.log"], prefix: network.inside)
    #expect(eventually(seconds: 120) { agent.status()?.response.isEnforcerReady == true }, "\(agent.errors)")
    func ask(_ arguments: String...) -> Finished { panguard(arguments + ["--state", agent.state]) }
    #expect(ask("block", "10.88.0.3", "10m").status == 0 && !network.passes("10.88.0.3"))

    // In a place of root's, not in the engine's own directory, and not for everybody.
    let path = try #require(try socket(agent))
    var facts = stat()
    #expect(lstat(path, &facts) == 0 && facts.st_uid == 0 && facts.st_mode & 0o7777 == 0o660, "\(path)")
    #expect(!path.hasPrefix(agent.state) && path.hasPrefix("/run/panguard/enforcer-"))
    let connect = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('\(path)')"
    let stranger = run(["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/env", "python3", "-c", connect])
    #expect(stranger.status != 0 && stranger.errors.contains("Permission denied"), "\(stranger)")

    agent.signalEngine(SIGSTOP)
    let all = ask("unblock", "all")
    agent.signalEngine(SIGCONT)
    #expect(all.status == 0 && all.text.contains("1 networks unblocked by the enforcer"), "\(all) \(agent.errors)")

    #expect(network.table != nil && !network.isBlocked("10.88.0.3") && network.passes("10.88.0.3"))

    // Asked again, the engine knows it too. And however the directory is spelled.
    #expect(eventually(seconds: 120) { ask("unblock", "all").text.contains("networks unblocked\n") })
    #expect(ask("blocks").text.contains("nothing is blocked"))
    #expect(ask("block", "10.88.0.3", "10m").status == 0 && network.isBlocked("10.88.0.3"))
    agent.signalEngine(SIGSTOP)
    let again = panguard(["unblock", "all", "--state", d.path + "/./state/"])
    #expect(again.status == 0 && again.text.contains("by the enforcer") && network.passes("10.88.0.3"), "\(again)")
    agent.signalEngine(SIGCONT)

    // Another one on the same state fails, and leaves the first one's socket alone.
    let second = panguard(["run", "--state", agent.state, "--config", d["config.yaml"]])
    #expect(second.status == 3 && access(path, F_OK) == 0, "\(second)")

    // The enforcer still ends with its engine, and is there again for the next one.
    let enforcer = try #require(agent.process("enforcer"))
    agent.signalEngine(SIGKILL)
    #expect(eventually(seconds: 120) { agent.status()?.response.isEnforcerReady == true && agent.process("enforcer") != enforcer }, "\(agent.errors)")
    #expect(try socket(agent) == path && access(path, F_OK) == 0)
    #expect(agent.stop() == 0 && access(path, F_OK) != 0)
  }
}
