// Where playbooks come from: finds the directory and reads what is in it. What they mean is Playbooks'.
import Playbooks
import Primitives
import RuleLanguage
import TypedYAML

public enum PlaybookStore {
  /// Where playbooks lie when nobody says otherwise: the host's own, else the shipped ones, else the source tree that the program was built
  /// in. The first that exists; a host that has its own has only those, so that what runs is in one place.
  public static func defaultDirectory() -> String? {
    var candidates = ["/etc/panguard/playbooks", "/usr/share/panguard/playbooks"]
    if let executable = executablePath() {
      var parts = executable.split(separator: "/").map(String.init)
      for _ in 0..<5 where !parts.isEmpty {
        parts.removeLast()
        candidates.append("/" + (parts + ["rules", "playbooks"]).joined(separator: "/"))
      }
    }
    candidates.append("rules/playbooks")
    return candidates.first { isDirectory($0) }
  }

  /// Reads YAML files and directories of them (default: `defaultDirectory`). What cannot be read is an error of the set.
  public static func load(paths requested: [String] = []) -> PlaybookSet {
    let paths = requested.isEmpty ? [defaultDirectory()].compactMap { $0 } : requested
    let read = RuleLoader.read(paths: paths)
    var set = PlaybookSet(reading: read.files.map { ($0.name, $0.bytes) })
    set.add(read.diagnostics)
    if set.playbooks.isEmpty, !set.hasErrors {
      set.add([
        Diagnostic(
          .error, SourceLocation(file: paths.first ?? "playbooks"), "no playbook found",
          hint: "name a file or directory; the shipped ones lie in rules/playbooks")
      ])
    }
    return set
  }

  /// What the agent runs with: those of the configuration, else the default ones. A host without any is no error: it only decides.
  public static func configured(_ settings: Configuration) -> PlaybookSet {
    if settings.playbookDirectories.isEmpty, defaultDirectory() == nil { return PlaybookSet() }
    return load(paths: settings.playbookDirectories)
  }

  /// What triggers name that none of `rules` has: such a playbook is not wrong, but perhaps never asked.
  public static func unfedTriggers(_ set: PlaybookSet, rules: [Rule]) -> [Diagnostic] {
    let categories = Set(rules.map(\.category))  // only asked for members
    let techniques = Set(rules.flatMap(\.techniques) + rules.flatMap(\.techniques).map { String($0.prefix(while: { $0 != "." })) })
    return set.playbooks.flatMap { playbook -> [Diagnostic] in
      let trigger = playbook.trigger
      func note(_ what: String, _ names: [String], near known: [String]) -> [Diagnostic] {
        names.map { name in
          Diagnostic(
            .warning, playbook.location, "playbook \(playbook.id): no loaded rule has \(what) '\(name)'",
            hint: nearest(name, in: known).map { "did you mean '\($0)'?" } ?? "")
        }
      }
      let unknownRules = trigger.rules.filter { pattern in
        let source = CorrelationDetection.SourceRule(alias: "", ruleIDPattern: pattern)
        return !rules.contains { source.matches($0.id) }
      }
      return note("the id", unknownRules, near: rules.map(\.id))
        + note("the category", trigger.categories.filter { !categories.contains($0) && !agentCategories.contains($0) }, near: categories.sorted())
        + note("the technique", trigger.techniques.filter { !techniques.contains($0) && !$0.hasPrefix("AML.") }, near: techniques.sorted())
    }
  }
  /// Blocks that end before `response.reconsider_after` looks again at somebody who is back: he has that time for himself.
  public static func unguardedTimes(_ set: PlaybookSet, reconsiderAfter: [Nanoseconds]) -> [Diagnostic] {
    guard let last = reconsiderAfter.last else { return [] }
    return set.playbooks.flatMap { playbook in
      playbook.steps.compactMap { step -> Diagnostic? in
        guard playbook.isEnabled, case .blockIP(let ttl) = step.action else { return nil }
        let spans = ttl.map { [$0] } ?? playbook.escalation.blockFor
        for time in 0..<max(spans.count, reconsiderAfter.count) {
          let span = spans[min(time, spans.count - 1)]
          let again = time < reconsiderAfter.count ? reconsiderAfter[time] : last
          guard span < again else { continue }
          return Diagnostic(
            .warning, step.location,
            "playbook \(playbook.id): block \(time + 1) ends after \(span), and who is back is looked at again only after \(again)",
            hint: "block for longer, or lower response.reconsider_after in the configuration")
        }
        return nil
      }
    }
  }
  /// ATR's categories for agents: their rules are imported, so that a host may have none of them.
  private static let agentCategories: Set<String> = [  // only asked for members
    "prompt-injection", "tool-poisoning", "context-exfiltration", "agent-manipulation", "excessive-autonomy", "data-poisoning", "model-abuse",
    "model-security", "skill-compromise",
  ]
}
