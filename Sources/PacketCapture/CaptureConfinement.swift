// What the capture gives up before it reads the first frame: its user, every capability, every file, every socket that is not open, and of the
// packet sockets everything but reading. And the check that it is so: a process that gives it up and then tries.
import CLinux
import CPcap
import Confinement
import Glibc
import Primitives

enum CaptureConfinement {
  static let userName = "panguard-capture"
  /// Packet sockets have numbers from here on, all that is written to lies below.
  static let firstPacketDescriptor: Int32 = 128

  /// The user that there is for it; else root by name, without root's rights; nil: it is nobody special already.
  static func account() -> Account? {
    guard geteuid() == 0 else { return nil }
    return Account.named(userName) ?? Account(name: "root", user: 0, group: 0)
  }

  static func declare(_ account: Account?) -> Confinement {
    var confinement = Confinement(name: "the capture")
    confinement.account = account
    confinement.readOnlyDescriptorsFrom = firstPacketDescriptor
    // What libpcap asks when an interface goes down: its flags.
    confinement.inputOutputControls = [UInt64(SIOCGIFFLAGS)]
    confinement.openFiles = 512
    return confinement
  }

  /// Lets `body` open descriptors, and sees to it that they get numbers from `firstPacketDescriptor` on.
  static func aboveBound<Value>(_ body: () throws(CaptureFailure) -> Value) throws(CaptureFailure) -> Value {
    // Every free number below is taken for the moment.
    var fillers: [Int32] = []
    defer { fillers.forEach { _ = close($0) } }
    while case let filler = pg_open("/dev/null", O_RDONLY, 0), filler >= 0 {
      if filler >= firstPacketDescriptor {
        close(filler)
        break
      }
      fillers.append(filler)
    }
    return try body()
  }

  struct Trial {
    var what: String
    /// errno, or 0 where it was let through.
    var attempt: () -> Int32
  }

  /// What must be refused afterwards. `packet`: a packet socket's number, `interface`: the number of an interface.
  static func trials(packet: Int32, interface: Int32) -> [Trial] {
    func opened(_ descriptor: Int32) -> Int32 {
      if descriptor < 0 { return errno }
      close(descriptor)
      return 0
    }
    func code(_ result: Int) -> Int32 { result < 0 ? errno : 0 }
    func code(_ result: Int32) -> Int32 { result < 0 ? errno : 0 }
    let frame = [UInt8](repeating: 0xff, count: 64)
    var trials: [Trial] = []
    for (family, number) in [
      ("AF_PACKET", AF_PACKET), ("AF_INET", AF_INET), ("AF_INET6", AF_INET6), ("AF_NETLINK", AF_NETLINK), ("AF_UNIX", AF_UNIX),
    ] {
      for (name, type) in [("stream", SOCK_STREAM), ("datagram", SOCK_DGRAM), ("raw", SOCK_RAW)] {
        trials.append(Trial(what: "\(family) \(name) socket") { opened(pg_try_socket(number, Int32(type.rawValue))) })
      }
    }
    trials += [
      Trial(what: "another interface for the packet socket") { code(pg_try_rebind(packet, interface)) },
      Trial(what: "promiscuous mode") { code(pg_try_promiscuous(packet, interface)) },
      Trial(what: "no filter") { code(pg_try_detach_filter(packet)) },
      Trial(what: "sending a frame by sendto") { code(sendto(packet, frame, frame.count, 0, nil, 0)) },
      Trial(what: "sending a frame by write") { code(write(packet, frame, frame.count)) },
      Trial(what: "sending a frame by a descriptor passed") { code(pg_send_descriptor(packet, frame, frame.count, -1)) },
      Trial(what: "another number for the packet socket") { opened(dup2(packet, firstPacketDescriptor - 1)) },
      Trial(what: "a copy of the packet socket") { opened(fcntl(packet, F_DUPFD, 3)) },
      Trial(what: "reading /etc/passwd") { opened(pg_open("/etc/passwd", O_RDONLY, 0)) },
      Trial(what: "reading the directory /") { opened(pg_open("/", O_RDONLY | O_DIRECTORY, 0)) },
      Trial(what: "writing a file in /tmp") { opened(pg_open("/tmp/panguard-check-\(getpid())", O_WRONLY | O_CREAT | O_EXCL, 0o600)) },
      Trial(what: "a signal to process 1") { code(kill(1, 0)) },
      Trial(what: "a new process") { code(pg_try_fork()) },
      Trial(what: "becoming root") { code(pg_setresuid(0, 0, 0)) },
      Trial(what: "CAP_NET_RAW") { code(pg_capset(1 << 13)) },
    ]
    return trials
  }
}
