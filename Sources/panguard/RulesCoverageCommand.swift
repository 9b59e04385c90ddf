// `panguard rules coverage`: which techniques and risks the rules refer to, and which they leave out.
import AgentRuntime
import ArgumentParser
import Export
import Glibc
import RuleLanguage

enum CoverageFormat: String, ExpressibleByArgument, CaseIterable { case table, json, markdown }

extension RulesCommand {
  struct Coverage: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Which techniques and risks the rules refer to, and which not.",
      discussion: """
        ATT&CK, ATLAS, OWASP LLM Top 10, OWASP Agentic Top 10 and SAFE-MCP, from the references of the rules. It counts what authors say, \
        not what was detected.
        """)
    @OptionGroup var selection: RuleSelection
    @Argument(help: RuleSelection.pathsHelp, completion: .file()) var paths: [String] = []
    @Option(name: .long, help: "table, json or markdown.") var format: CoverageFormat = .table
    @Option(name: .long, help: "Also write a layer for the ATT&CK Navigator (layer format 4.5) to this file.", completion: .file())
    var navigator: String?

    func run() throws {
      let loaded = try selection.load(paths)
      let coverage = RuleCoverage(loaded.set.rules)
      if let navigator {
        let descriptor = open(navigator, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw CommandFailure.environment("\(navigator): \(String(cString: strerror(errno)))") }
        var file = Output(descriptor: descriptor)
        file.line(NavigatorLayer.encode(coverage, name: "Panguard rules"))
        file.flush()
        close(descriptor)
      }
      var output = Output()
      switch format {
      case .table: output.line(RuleCoverageText.page(coverage, width: Terminal.width, color: Terminal.usesColor(.auto)))
      case .markdown: output.line(RuleCoverageText.markdown(coverage))
      case .json: output.line(RuleCoverageText.json(coverage))
      }
      output.flush()
      if let navigator { printError("Wrote \(navigator): open it in the ATT&CK Navigator with \"Open Existing Layer\"") }
    }
  }
}
