// The small files below /proc, which are read in one piece or not at all.
import Glibc

public enum ProcessFile {
  /// The first 8 KiB of it, as text; empty where it cannot be read.
  public static func contents(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 8192)
    let n = read(descriptor, &buffer, buffer.count)
    return String(decoding: buffer.prefix(max(0, n)), as: UTF8.self)
  }
}
