// Which process and which file an event names, for steps that act on one. What was an event's own word is not made better here: whether it may
// act is the planner's to ask, of the trust of everything behind the decision (TrustPolicy).
import Events
import Playbooks
import Primitives

extension ResponseTargets {
  /// `process.pid`, which was that process's when the event was written, and `file.path`, where it is an absolute one.
  init(of event: borrowing Event) {
    self.init()
    if let number = event.integer(.processPid), let pid = Int32(exactly: number), pid > 1, event.timeBasis == .stamped {
      process = ProcessReference(pid: pid, seenAt: event.time)
    }
    if let path = event.text(.filePath), path.first == 0x2f, path.count <= Limits.hostPathBytes, path.index(of: 0) == nil,
      let text = String(validating: path, as: UTF8.self)
    {
      file = text
    }
  }
}
