// The command line of Panguard (DESIGN 13). Each command is a thin shell around a module that does the work.
import AgentRuntime
import ArgumentParser
import Glibc

@main
struct Panguard: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "panguard",
    abstract: "A local-first security agent: reads this host's logs, decides by rules, explains every decision.",
    discussion: """
      Start with `panguard run` to watch this host, or `panguard replay examples/auth.log` to see it work on a sample.
      Nothing leaves the host unless you name a webhook.

      Exit codes: 0 done, 1 findings or failed tests, 2 wrong usage, 3 environment (permission, missing file, daemon not running).
      """,
    version: Version.text,
    subcommands: [
      RunCommand.self, ReplayCommand.self, WhatIfCommand.self, StatusCommand.self, ReloadCommand.self,
      ArmCommand.self, DisarmCommand.self, ApproveCommand.self, DenyCommand.self, BlockCommand.self, UnblockCommand.self, BlocksCommand.self,
      ActionsCommand.self, UndoCommand.self, DecisionsCommand.self, ExplainCommand.self, EvidenceCommand.self, BaselineCommand.self,
      RecordCommand.self, CalibrateCommand.self, RulesCommand.self,
      PlaybooksCommand.self, ParseCommand.self, CaptureCommand.self, InspectCommand.self, ConfigCommand.self, DoctorCommand.self, KeysCommand.self,
      VerifyEventsCommand.self,
    ])

  static func main() { runProgram(Panguard.self) }
}
