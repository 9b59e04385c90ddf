// A profile (spec/atr-profile-v1.0.md): a named subset of the rules. Pure data, and the algorithm that resolves it.
// What must stay true: resolving is the set operation that the standard writes down, so two engines get the same rules from the same
// documents: inclusions are united, then exclusions taken away; the result is sorted by id and depends on no order of files.
import Primitives
import TypedYAML

public struct Profile: Sendable {
  /// Which rules one entry means. Everything that is given must hold for `tagMatch`; the other kinds stand each for itself.
  public enum Selector: Hashable, Sendable {
    case ruleID(String)
    /// As fnmatch does it: `*`, `?`, `[...]`.
    case ruleIDPattern(String)
    case category(String)
    /// By key the values of which a rule must have one; keys in the order of the document.
    case tagMatch([TagFilter])
    case status(String)
    case profile(id: String, version: String?)
  }
  public struct TagFilter: Hashable, Sendable {
    public var key: String
    public var values: [String]
    public init(key: String, values: [String]) {
      self.key = key
      self.values = values
    }
  }
  public struct Entry: Hashable, Sendable {
    public var selector: Selector
    public var location: SourceLocation
    public init(_ selector: Selector, location: SourceLocation) {
      self.selector = selector
      self.location = location
    }
  }
  /// What a claim of conformance to the profile needs. Fractions are in thousandths.
  public struct Bound: Hashable, Sendable {
    public var specVersionMinimum = ""
    /// nil: any later version.
    public var specVersionMaximum: String?
    public var minimumRuleCoverage: Int64 = 1000
    public var minimumEnginePassing: Int64 = 1000
    public init() {}
  }
  public var id: String
  public var title: String
  public var version: String
  public var summary: String
  public var author: String
  public var date: String
  public var license: String
  public var status: String
  public var bound: Bound
  public var inclusions: [Entry]
  public var exclusions: [Entry]
  /// `resolved_rules_summary.total`, where the document has it.
  public var statedTotal: Int64?
  public var location: SourceLocation

  /// "id@version"
  public var name: String { version.isEmpty ? id : "\(id)@\(version)" }
}

/// The rules of a profile.
public struct ResolvedProfile: Codable, Hashable, Sendable {
  /// "id@version"
  public var name: String
  /// Sorted.
  public var ruleIDs: [String]
  /// `conformance_bound.minimum_engine_passing` in thousandths: what share of the conformance suite must pass under this profile.
  public var minimumEnginePassing: Int64 = 1000
  public init(name: String, ruleIDs: [String]) {
    self.name = name
    self.ruleIDs = ruleIDs
  }
}

extension RuleSet {
  /// By rule the active profiles that it is in, as bits; all bits where none is active.
  public var profileBits: [UInt64] {
    guard !profiles.isEmpty else { return Array(repeating: .max, count: rules.count) }
    var bits: [String: UInt64] = [:]  // only looked up
    for (number, profile) in profiles.prefix(Limits.activeProfiles).enumerated() {
      for id in profile.ruleIDs { bits[id, default: 0] |= 1 << UInt64(number) }
    }
    return rules.map { bits[$0.id] ?? 0 }
  }

  /// Names of the active profiles in `bits`, in their order.
  public func profileNames(_ bits: UInt64) -> [String] {
    profiles.prefix(Limits.activeProfiles).enumerated().compactMap { bits >> UInt64($0) & 1 == 1 ? $1.name : nil }
  }

  /// Makes these the active profiles: rules that are in none of them are taken away.
  public func restricted(to profiles: [ResolvedProfile]) -> RuleSet {
    var set = self
    set.profiles = Array(profiles.prefix(Limits.activeProfiles))
    let members = Set(set.profiles.flatMap(\.ruleIDs))  // only asked for members
    set.rules.removeAll { !members.contains($0.id) }
    return set
  }
}

/// The profiles that are known, by id.
public struct ProfileLibrary: Sendable {
  public private(set) var profiles: [Profile] = []
  public private(set) var diagnostics: [Diagnostic] = []

  public init(_ profiles: [Profile] = [], diagnostics: [Diagnostic] = []) {
    self.diagnostics = diagnostics
    for profile in profiles { add(profile) }
  }

  /// Adds those of `other` whose names are not taken: what stands first wins. Its diagnostics are left behind.
  public mutating func complete(with other: ProfileLibrary) {
    let names = Set(profiles.map(\.name))  // only asked for members
    for profile in other.profiles where !names.contains(profile.name) && profiles.count < Limits.knownProfiles { profiles.append(profile) }
  }

  public mutating func note(_ diagnostics: [Diagnostic]) { self.diagnostics += diagnostics }

  public mutating func add(_ profile: Profile) {
    if let first = profiles.first(where: { $0.name == profile.name }) {
      diagnostics.append(Diagnostic(.error, profile.location, "profile \(profile.name) is taken: it is first defined at \(first.location)"))
    } else if profiles.count >= Limits.knownProfiles {
      diagnostics.append(Diagnostic(.error, profile.location, "more than \(Limits.knownProfiles) profiles"))
    } else {
      profiles.append(profile)
    }
  }

  /// The profile "id@version", or "id": then the highest version.
  public func find(_ name: String) -> Profile? {
    let parts = name.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    return find(id: parts[0], version: parts.count > 1 ? parts[1] : nil)
  }
  func find(id: String, version: String?) -> Profile? {
    profiles.filter { $0.id == id && (version == nil || $0.version == version) }.max { Self.precedes($0.version, $1.version) }
  }
  /// SemVer 2.0 precedence of the numbers; what is no number is compared as text.
  static func precedes(_ a: String, _ b: String) -> Bool {
    let left = a.split(separator: ".")
    let right = b.split(separator: ".")
    for (x, y) in zip(left, right) where x != y {
      if let m = UInt64(x), let n = UInt64(y) { return m < n }
      return x.utf8.lexicographicallyPrecedes(y.utf8)
    }
    return left.count < right.count
  }

  /// The rules of `profile` among `rules`, and what is wrong with it. nil if it cannot be resolved; warnings come with a value.
  public func resolve(_ profile: Profile, among rules: [Rule]) -> (resolved: ResolvedProfile?, diagnostics: [Diagnostic]) {
    var resolver = ProfileResolver(library: self, rules: rules)
    let members = resolver.resolve(profile, inside: [])
    guard let members, !resolver.diagnostics.contains(where: { $0.severity == .error }) else { return (nil, resolver.diagnostics) }
    if let stated = profile.statedTotal, stated != Int64(members.count { $0 }) {
      resolver.diagnostics.append(
        Diagnostic(
          .note, profile.location,
          "\(profile.name) states \(stated) rules in resolved_rules_summary; among these rules it has \(members.count { $0 })"))
    }
    let ids = rules.indices.filter { members[$0] }.map { rules[$0].id }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    let unmet = profile.unmetBounds(included: ids.count, missing: resolver.missing.count)
    guard unmet.isEmpty else { return (nil, resolver.diagnostics + unmet) }
    var resolved = ResolvedProfile(name: profile.name, ruleIDs: ids)
    resolved.minimumEnginePassing = profile.bound.minimumEnginePassing
    return (resolved, resolver.diagnostics)
  }
}

private struct ProfileResolver {
  let library: ProfileLibrary
  let rules: [Rule]
  var diagnostics: [Diagnostic] = []
  /// Ids that an inclusion names and that are not loaded.
  private(set) var missing: Set<String> = []  // only counted
  /// Profiles that many include are resolved once. Only looked up.
  private var known: [String: [Bool]] = [:]

  init(library: ProfileLibrary, rules: [Rule]) {
    self.library = library
    self.rules = rules
  }

  /// By rule whether it is in; nil after an error. `path`: ids of the profiles that led here.
  mutating func resolve(_ profile: Profile, inside path: [String]) -> [Bool]? {
    if let members = known[profile.name] { return members }
    if path.contains(profile.id) {
      diagnostics.append(
        Diagnostic(.error, profile.location, "profile \(profile.id) includes itself: \((path + [profile.id]).joined(separator: " > "))"))
      return nil
    }
    guard path.count < Limits.profileDepth else {
      diagnostics.append(Diagnostic(.error, profile.location, "profiles include each other deeper than \(Limits.profileDepth)"))
      return nil
    }
    var members = [Bool](repeating: false, count: rules.count)
    var isComplete = true
    for entry in profile.inclusions {
      if case .profile(let id, let version) = entry.selector {
        guard let other = library.find(id: id, version: version) else {
          let name = version.map { "\(id)@\($0)" } ?? id
          diagnostics.append(
            Diagnostic(
              .error, entry.location, "profile \(shown(name)) is not known",
              hint: nearest(name, in: library.profiles.map(\.name)).map { "did you mean \($0)?" } ?? ""))
          isComplete = false
          continue
        }
        guard let inherited = resolve(other, inside: path + [profile.id]) else {
          isComplete = false
          continue
        }
        for i in members.indices where inherited[i] { members[i] = true }
      } else {
        mark(entry, as: true, &members)
      }
    }
    for entry in profile.exclusions { mark(entry, as: false, &members) }
    guard isComplete else { return nil }
    known[profile.name] = members
    return members
  }

  private mutating func mark(_ entry: Profile.Entry, as isIn: Bool, _ members: inout [Bool]) {
    var isFound = false
    for i in rules.indices where entry.selector.matches(rules[i]) {
      members[i] = isIn
      isFound = true
    }
    if case .ruleID(let id) = entry.selector {
      if isIn, !isFound { missing.insert(id) } else if !isIn { missing.remove(id) }
    }
    if !isFound { report(entry, isInclusion: isIn) }
    if case .tagMatch(let filters) = entry.selector { reportUnknownWords(filters, at: entry.location) }
  }

  /// An entry that matches no rule may be a slip, and an exclusion with one selects more than was meant. That no rule has a certain status or
  /// tag is ordinary, where the word is one that rules can have.
  private mutating func report(_ entry: Profile.Entry, isInclusion: Bool) {
    let kind = isInclusion ? "inclusion" : "exclusion"
    let (severity, what): (Diagnostic.Severity, String) =
      switch entry.selector {
      case .ruleID(let id): (.warning, "rule \(shown(id)) is not loaded")
      case .ruleIDPattern(let pattern): (.warning, "no loaded rule has an id like '\(shown(pattern))'")
      case .category(let category): (.warning, "no loaded rule is of the category '\(shown(category))'")
      case .status(let status): (.note, "no loaded rule has the status '\(shown(status))'")
      case .tagMatch: (.note, "no loaded rule has these tags")
      case .profile: (.note, "")
      }
    guard !what.isEmpty else { return }
    diagnostics.append(Diagnostic(severity, entry.location, "\(what): the \(kind) selects nothing"))
  }

  private mutating func reportUnknownWords(_ filters: [Profile.TagFilter], at location: SourceLocation) {
    for filter in filters {
      let words = Vocabulary.tagWords[filter.key] ?? []
      for value in filter.values where !words.contains(value) && !rules.contains(where: { $0.hasTag(filter.key, value) }) {
        diagnostics.append(
          Diagnostic(
            .warning, location, "no loaded rule has '\(shown(value))' as \(filter.key)",
            hint: nearest(value, in: words).map { "did you mean '\($0)'?" } ?? ""))
      }
    }
  }
}

extension Profile {
  /// Versions of the standard that this engine follows: core 1.0, methods 1.1.
  static let specVersions = (oldest: SpecVersion(major: 1, minor: 0), newest: SpecVersion(major: 1, minor: 1))

  /// What of `conformance_bound` does not hold here: a profile whose bounds are not met must not run as if it were. `included`: rules that
  /// are loaded; `missing`: rules that are named and are not.
  fileprivate func unmetBounds(included: Int, missing: Int) -> [Diagnostic] {
    var unmet: [Diagnostic] = []
    let (oldest, newest) = Profile.specVersions
    let followed = "and this engine follows \(oldest) to \(newest)"
    if let minimum = SpecVersion(bound.specVersionMinimum), minimum > newest {
      unmet.append(Diagnostic(.error, location, "\(name) is for version \(minimum) of the standard or later, \(followed)"))
    }
    if let maximum = bound.specVersionMaximum.flatMap({ SpecVersion($0) }), maximum < oldest {
      unmet.append(Diagnostic(.error, location, "\(name) is for version \(maximum) of the standard at most, \(followed)"))
    }
    let (all, least) = (Int64(included + missing), bound.minimumRuleCoverage)
    if missing > 0, Int64(included) * 1000 < least * all {
      unmet.append(
        Diagnostic(
          .error, location, "\(name) needs \(least / 10).\(least % 10) % of its rules, and \(missing) of the \(all) are not loaded",
          hint: "load the rules, or lower conformance_bound.minimum_rule_coverage"))
    }
    return unmet
  }
}

/// "1.0", or "1.0.0": the third number changes nothing that a profile depends on.
struct SpecVersion: Comparable, CustomStringConvertible {
  var major: Int
  var minor: Int
  init(major: Int, minor: Int) {
    self.major = major
    self.minor = minor
  }
  init?(_ text: String) {
    let parts = text.utf8.split(separator: 0x2e, omittingEmptySubsequences: false)
    guard (2...3).contains(parts.count), parts.allSatisfy({ (1...4).contains($0.count) && $0.allSatisfy { (0x30...0x39).contains($0) } }) else {
      return nil
    }
    major = Int(String(decoding: parts[0], as: UTF8.self)) ?? 0
    minor = Int(String(decoding: parts[1], as: UTF8.self)) ?? 0
  }
  static func < (a: SpecVersion, b: SpecVersion) -> Bool { (a.major, a.minor) < (b.major, b.minor) }
  var description: String { "\(major).\(minor)" }
}

extension Profile.Selector {
  public func matches(_ rule: Rule) -> Bool {
    switch self {
    case .ruleID(let id): rule.id == id
    case .ruleIDPattern(let pattern): fileNameMatch(pattern, rule.id)
    case .category(let category): rule.hasTag("category", category)
    case .status(let status): rule.status == status
    case .tagMatch(let filters): filters.allSatisfy { filter in filter.values.contains { rule.hasTag(filter.key, $0) } }
    case .profile: false
    }
  }
}

extension Rule {
  /// Whether the rule has `value` under a key that profiles filter by.
  func hasTag(_ key: String, _ value: String) -> Bool {
    switch key {
    case "severity": severity.rawValue == value
    case "category": category == value || tag(key).contains(value)  // also one that the registry does not have
    case "status", "rule_status": status == value
    // The standard's default where a rule states none.
    case "maturity": (maturity.isEmpty ? "experimental" : maturity) == value
    default: tag(key).contains(value)
    }
  }
}

/// fnmatch(3) without flags over bytes, as far as ids need it: `*`, `?`, `[abc]`, `[a-z]`, `[!a]`. Quadratic at worst, on short texts.
func fileNameMatch(_ pattern: String, _ text: String) -> Bool {
  let p = Array(pattern.utf8)
  let t = Array(text.utf8)
  /// Where the pattern goes on if it takes the byte at `i`.
  func step(_ i: Int, _ byte: UInt8) -> Int? {
    guard i < p.count else { return nil }
    if p[i] == 0x3f { return i + 1 }
    guard p[i] == 0x5b, let close = p[(i + 1)...].dropFirst(p[(i + 1)...].first == 0x21 ? 2 : 1).firstIndex(of: 0x5d) else {
      return p[i] == byte ? i + 1 : nil
    }
    var at = i + 1
    let isNegated = p[at] == 0x21
    if isNegated { at += 1 }
    var isIn = false
    while at < close {
      if at + 2 < close, p[at + 1] == 0x2d {
        if p[at] <= byte, byte <= p[at + 2] { isIn = true }
        at += 3
      } else {
        if p[at] == byte { isIn = true }
        at += 1
      }
    }
    return isIn != isNegated ? close + 1 : nil
  }
  var i = 0
  var j = 0
  var star: (pattern: Int, text: Int)?
  while j < t.count {
    if i < p.count, p[i] == 0x2a {
      star = (i, j)
      i += 1
    } else if let next = step(i, t[j]) {
      i = next
      j += 1
    } else if let back = star {
      i = back.pattern + 1
      j = back.text + 1
      star = (back.pattern, back.text + 1)
    } else {
      return false
    }
  }
  return p[i...].allSatisfy { $0 == 0x2a }
}
