// Where the enforcer of `panguard run` is asked when its engine hangs: one socket for each state directory, below /run/panguard.
// What must stay true: it lies where only root can write, never in the state directory, which is the engine's: who has taken over the engine
// could answer there in the enforcer's place.
import Enforcement
import Glibc
import Primitives

enum ForegroundSocket {
  private static let directory = "/run/panguard"

  /// The same for every spelling of `state` that leads to the same place, whether it exists yet or not.
  static func path(state: String) -> String {
    let place = Array(resolved(state).utf8).withUnsafeBytes { Fingerprint(of: $0) }
    return "\(directory)/enforcer-\(place).sock"
  }

  /// The path, where a socket can be made there. nil: not by this user, who cannot block anybody either.
  static func prepare(state: String) -> String? {
    guard geteuid() == 0 else { return nil }
    mkdir(directory, 0o755)
    var facts = stat()
    guard lstat(directory, &facts) == 0, facts.st_mode & S_IFMT == S_IFDIR, facts.st_uid == 0, facts.st_mode & 0o022 == 0,
      access(directory, W_OK) == 0
    else { return nil }
    return path(state: state)
  }

  /// At the end of `panguard run`: not where another one's enforcer listens.
  static func remove(_ path: String) {
    if (try? EnforcerClient(path: path)) == nil { unlink(path) }
  }

  /// Links are followed as far as the path exists.
  private static func resolved(_ path: String) -> String {
    if let real = realpath(path, nil) {
      defer { free(real) }
      return String(cString: real)
    }
    let path = path.withoutTrailingSlashes
    let above = path.directoryPath
    return above == path ? path : resolved(above).pathAppending(path.lastPathPart)
  }
}
