// The engine's own directories, made and given to its user while the process is still root.
// Invariant: what is given away was root's alone, so that nobody else can have put a name there that leads elsewhere; anything else is left
// as it is, and the store refuses it with the reason.
import AgentRuntime
import Confinement
import Glibc
import Storage

enum Ownership {
  /// Makes `directory` where it is missing; where `account` is another user, gives it and what is in it to that user.
  /// `isState`: refuses a state directory that others can reach, as the store does, before anything is put into it.
  static func prepare(_ directory: String, for account: Account?, isState: Bool) throws {
    let isOther = geteuid() == 0 && account.map { $0.user != 0 } ?? false
    if !isOther {
      if isState { try DecisionStore.makeDirectory(directory) } else { _ = makeDirectory(directory, mode: 0o700) }
      return
    }
    guard let account, makeDirectory(directory, mode: 0o700) else { return }
    var facts = stat()
    guard lstat(directory, &facts) == 0, facts.st_mode & S_IFMT == S_IFDIR, facts.st_uid == 0, facts.st_mode & 0o077 == 0 else { return }
    for name in names(in: directory) {
      let path = "\(directory)/\(name)"
      guard lstat(path, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG, facts.st_uid == 0, facts.st_nlink == 1 else { continue }
      lchown(path, account.user, account.group)
    }
    lchown(directory, account.user, account.group)
  }

  private static func names(in path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}
