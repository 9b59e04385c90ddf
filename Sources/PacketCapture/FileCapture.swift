// `--write`: frames from one interface into files, nothing decoded.
import Glibc
import PacketParsers
import Primitives

final class FileCapture {
  private let capture: InterfaceCapture
  private let files: CaptureFiles
  private let signals: Int32
  private let limit: UInt64?

  /// `limit`: frames after which it ends; nil: when it is told, or the only file is full.
  init(_ capture: InterfaceCapture, _ files: CaptureFiles, signals: Int32, limit: UInt64?) {
    self.capture = capture
    self.files = files
    self.signals = signals
    self.limit = limit
  }

  /// The exit status, and a sentence about what was captured.
  func run() -> (Int32, String) {
    var problem: String?
    while problem == nil, files.problem == nil, !files.isFull, limit.map({ files.frames < $0 }) ?? true {
      var entries = [
        pollfd(fd: signals, events: Int16(POLLIN), revents: 0), pollfd(fd: capture.descriptor, events: Int16(POLLIN), revents: 0),
      ]
      // What is not full yet is written each second: who reads the file meanwhile sees what there is.
      let count = poll(&entries, 2, 1000)
      if count == 0 { files.flush() }
      do throws(CaptureFailure) {
        let left = limit.map { Int(clamping: $0 - files.frames) } ?? .max
        _ = try capture.read(limit: min(Limits.captureSliceFrames, left)) { files.append($0) }
      } catch {
        problem = "\(error)"
      }
      if entries[0].revents != 0 { break }
    }
    files.flush()
    capture.refreshCounters()
    let lost = capture.counters.kernelDrops
    var text = "\(files.frames) frames written, \(lost) dropped by the kernel"
    if files.isFull { text += "; the file is full" }
    if let problem = problem ?? files.problem { return (3, text + "; \(problem)") }
    return (0, text)
  }
}
