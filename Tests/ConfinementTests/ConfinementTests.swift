// What can be said of a confinement without losing the test's own rights. What it does is tested on the real engine, in EndToEndTests.
import CLinux
import Glibc
import Testing

@testable import Confinement

@Suite struct ConfinementTests {
  /// Threads that run already would stay free: the test's own process has some.
  @Test func aProcessWithThreadsIsRefused() {
    #expect(Confinement.threadCount() > 1)
    do throws(ConfinementError) {
      _ = try Confinement(name: "test").apply()
      Issue.record("it was confined")
    } catch {
      #expect("\(error)".contains("more than one thread"), "\(error)")
    }
    // Nothing was given up on the way.
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let socket = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    #expect(socket >= 0)
    close(socket)
  }

  @Test func aUserIsFoundWithTheGroupsThatExist() {
    #expect(Account.named("root") == Account(name: "root", user: 0, group: 0))
    #expect(Account.named("root", groups: ["root", "no-such-group"])?.groups == [0])
    #expect(Account.named("no-such-user") == nil)
  }

  @Test func rightsGrowWithTheKernelsVersion() {
    #expect(LandlockRight.all(version: 1) == 0x1fff)
    #expect(LandlockRight.all(version: 2) == 0x3fff)
    #expect(LandlockRight.all(version: 3) == 0x7fff)
    #expect(LandlockRight.all(version: 4) == 0x7fff)
    #expect(LandlockRight.all(version: 7) == 0xffff)
    // What may be read may not be run, and what may be written may not be made into a link, a device or a directory.
    #expect(LandlockRight.writing & LandlockRight.execute == 0)
    #expect(LandlockRight.writing & (1 << 6 | 1 << 7 | 1 << 10 | 1 << 11 | 1 << 12) == 0)
  }

  /// No call stands in two lists, where the last one would win.
  @Test func theListsOfSystemCallsDoNotOverlap() {
    let lists = [SystemCalls.allowed, SystemCalls.connecting, SystemCalls.asking, SystemCalls.serving, SystemCalls.refused, SystemCalls.fatal]
    let bounded = ["socket", "ioctl", "prctl", "clone", "tgkill", "prlimit64"]
    let all = lists.flatMap { $0 } + bounded
    #expect(Set(all).count == all.count, "\(Dictionary(grouping: all) { $0 }.filter { $0.value.count > 1 }.keys.sorted())")
    for call in ["execve", "fork", "kill", "ptrace", "socketpair", "chmod", "openat2", "io_uring_setup", "clone3"] {
      #expect(!SystemCalls.allowed.contains(call), "\(call)")
    }
  }
}
