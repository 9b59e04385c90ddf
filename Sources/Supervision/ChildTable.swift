// Which programs `panguard run` starts, as a table: another one is another row.
import Glibc

/// One program that is kept running.
public struct ChildProgram: Sendable {
  /// In messages, and in what the engine is told.
  public var name: String
  /// The file's name; it lies beside `panguard` or in /usr/lib/panguard.
  public var executable: String
  public var arguments: [String]
  /// The number of its channel to the engine (see Channel); nil: it has none.
  public var channel: Int32?
  /// Without it nothing is started. One that is not required and not installed is reported once, and the agent works without it.
  public var isRequired: Bool
  /// What the agent cannot do without it, for that report.
  public var purpose: String
  /// Why it is not to be started, where it is not: "there is no FILE". It is then reported once, like one that is not installed.
  public var absence: String?

  public init(
    name: String, executable: String, arguments: [String] = [], channel: Int32? = nil, isRequired: Bool = false,
    purpose: String = "", absence: String? = nil
  ) {
    self.name = name
    self.executable = executable
    self.arguments = arguments
    self.channel = channel
    self.isRequired = isRequired
    self.purpose = purpose
    self.absence = absence
  }

  /// With this exit status a program asks to be started again: only a new process can do what is needed now (EX_TEMPFAIL of sysexits.h).
  public static let startAgain: Int32 = 75

  /// Where the program is: in the first of `directories` that has it. nil: in none.
  public func path(in directories: [String]) -> String? {
    directories.map { "\($0)/\(executable)" }.first { access($0, X_OK) == 0 }
  }

  /// Beside the running program, and where the package puts what people do not call themselves.
  public static func directories(besides program: String?) -> [String] {
    let packaged = "/usr/lib/panguard"
    guard let program, let slash = program.lastIndex(of: "/") else { return [packaged] }
    return [String(program[..<slash]), packaged]
  }
}

/// How long to wait before a child is started again: twice as long each time, from a tenth of a second to half a minute; one that ran for a
/// minute begins anew.
public struct RestartDelay: Sendable {
  private var attempts = 0
  static let firstNanoseconds: Int64 = 100_000_000
  static let longestNanoseconds: Int64 = 30_000_000_000
  static let stableNanoseconds: Int64 = 60_000_000_000
  public init() {}

  /// After an end; `ranNanoseconds`: how long it had run.
  public mutating func next(ranNanoseconds: Int64) -> Int64 {
    if ranNanoseconds >= RestartDelay.stableNanoseconds { attempts = 0 }
    let delay = min(RestartDelay.longestNanoseconds, RestartDelay.firstNanoseconds << Int64(min(attempts, 20)))
    attempts += 1
    return delay
  }
}
