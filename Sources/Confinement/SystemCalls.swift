// The system calls that a process may still make (seccomp). The table is an allowlist: what is not in it answers ENOSYS, as a kernel
// would that has not got the call, so that a C library that tries a newer one falls back; what this file knows and refuses answers EPERM;
// what nothing of ours ever calls, and what breaking in needs, ends the process.
// Invariants: no call of the allowlist makes a process, runs a program, changes a mode or an owner by name, or reaches another process.
import CLinux
import CSeccomp
import Glibc

/// Names as libseccomp has them; one that this architecture has not is passed over.
enum SystemCalls {
  static let allowed: [String] = [
    // Memory, threads, time. setpriority is what a worker thread of libdispatch asks first. None of ours starts one: its monitor reads /proc
    // and ends the process where it cannot (the store's KeptQueue sees to it).
    "brk", "mmap", "munmap", "mprotect", "mremap", "madvise", "membarrier", "futex", "futex_waitv", "rseq", "set_robust_list", "get_robust_list",
    "set_tid_address", "arch_prctl", "exit", "exit_group", "restart_syscall", "sched_yield", "sched_getaffinity", "getcpu", "setpriority",
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "timerfd_create", "timerfd_settime",
    // Signals to itself only (tgkill is bounded below).
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "rt_sigpending", "sigaltstack", "signalfd4",
    // What it is.
    "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getgroups", "getresuid", "getresgid", "getrandom", "getrusage",
    "times", "uname", "sysinfo", "capget", "getrlimit", "umask",
    // Open files.
    "read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev", "lseek", "close", "dup", "dup2", "dup3", "fcntl",
    "pipe2",
    "fstat", "fsync", "fdatasync", "ftruncate", "fallocate", "fadvise64", "flock", "getdents64", "fstatfs", "epoll_create1", "epoll_ctl",
    "epoll_wait",
    "epoll_pwait", "eventfd2", "poll", "ppoll", "select", "pselect6",
    // Files by name: Landlock says which.
    "open", "openat", "stat", "lstat", "newfstatat", "statx", "statfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd",
    "unlink", "unlinkat", "rename", "renameat", "renameat2", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
    // Sockets that are open.
    "accept", "accept4", "recvfrom", "recvmsg", "sendto", "sendmsg", "shutdown", "getsockopt", "setsockopt", "getsockname", "getpeername",
  ]
  /// For those that may make sockets at all.
  static let connecting: [String] = ["connect"]
  /// For those that may ask name servers: the C library sends both questions in one call.
  static let asking: [String] = ["sendmmsg"]
  /// For those that may make more than datagram sockets.
  static let serving: [String] = ["bind", "listen"]

  /// Those of the allowlist by which a packet socket could send, be changed, or take the number of another descriptor. Writing is bounded below.
  static let ofDescriptors: [String] = [
    "write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg", "recvmsg", "setsockopt", "dup", "dup2", "dup3", "fcntl",
  ]

  /// Known and refused: an honest library may try them and lives with the answer.
  static let refused: [String] = [
    "fork", "vfork", "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open", "pidfd_send_signal", "pidfd_getfd", "socketpair", "chmod",
    "fchmod", "fchmodat", "chown", "lchown", "fchown", "fchownat", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups",
    "setfsuid", "setfsgid", "capset", "mkdir", "mkdirat", "rmdir", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat", "truncate", "chroot",
    "chdir",
    "fchdir", "utime", "utimes", "utimensat", "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr", "io_uring_setup",
    "memfd_create", "memfd_secret", "sethostname", "setdomainname", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "setrlimit",
    "sched_setaffinity", "sched_setscheduler", "ioperm", "iopl", "personality", "seccomp", "setsid", "setpgid", "syslog", "shmget", "shmat", "msgget",
    "semget",
    "mq_open", "process_madvise", "fanotify_init", "acct", "quotactl", "swapon", "swapoff", "reboot", "vhangup", "name_to_handle_at",
  ]
  /// Nothing of ours calls them: whoever does has broken in. The process ends (SIGSYS), and its supervisor records it.
  static let fatal: [String] = [
    "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "init_module", "finit_module", "delete_module", "kexec_load",
    "kexec_file_load", "bpf", "userfaultfd", "keyctl", "add_key", "request_key", "mount", "umount2", "pivot_root", "setns", "unshare",
    "perf_event_open", "open_by_handle_at", "move_mount", "fsopen", "open_tree",
  ]

  /// What no program that is run for a playbook may do, beside the fatal ones.
  static let refusedToPrograms: [String] = [
    "io_uring_setup", "memfd_secret", "pidfd_getfd", "process_madvise", "name_to_handle_at", "fanotify_init", "chroot", "mknod", "mknodat",
    "settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "ioperm", "iopl", "reboot", "swapon", "swapoff", "acct", "quotactl", "syslog",
    "vhangup", "sethostname", "setdomainname",
  ]

  /// ioctl(2) requests: is it a terminal, how wide is it, how much waits, close on exec. Not the one that types into a terminal.
  static let inputOutputControls: [UInt64] = [UInt64(TCGETS), UInt64(TIOCGWINSZ), UInt64(FIONREAD), UInt64(FIONBIO), UInt64(FIOCLEX)]
  /// prctl(2) options: names of threads and of memory areas, the signal at the parent's end, and questions.
  static let processControls: [UInt64] = [1, 2, 3, 15, 16, 21, 23, 39, 0x5356_4d41]

  static let allow: UInt32 = 0x7fff_0000
  static let endProcess: UInt32 = 0x8000_0000
  static func fail(_ code: Int32) -> UInt32 { 0x0005_0000 | UInt32(UInt16(truncatingIfNeeded: code)) }
}

extension Confinement {
  /// The filter, for all threads of the process.
  func applySystemCallFilter(_ report: inout ConfinementReport) throws(ConfinementError) {
    if runsPrograms { return try applyFilterForPrograms(&report) }
    guard let filter = seccomp_init(SystemCalls.fail(ENOSYS)) else { throw ConfinementError(name, "seccomp_init", ENOMEM) }
    defer { seccomp_release(filter) }
    // An old kernel may not have it; the C library falls back to clone, whose flags can be looked at.
    let bounded = readOnlyDescriptorsFrom == nil ? [] : SystemCalls.ofDescriptors
    var calls: [(name: String, action: UInt32)] = SystemCalls.allowed.filter { !bounded.contains($0) }.map { ($0, SystemCalls.allow) }
    calls += furtherCalls.map { ($0, SystemCalls.allow) }
    calls += refusedCalls.map { ($0, SystemCalls.fail(EPERM)) } + SystemCalls.fatal.map { ($0, SystemCalls.endProcess) }
    let mayConnect = sockets != .none
    calls += SystemCalls.connecting.map { ($0, mayConnect ? SystemCalls.allow : SystemCalls.fail(EPERM)) }
    if sockets == .inet { calls += SystemCalls.asking.map { ($0, SystemCalls.allow) } }
    let mayServe = sockets == .unix || sockets == .unixAndNetlink
    calls += SystemCalls.serving.map { ($0, mayServe ? SystemCalls.allow : SystemCalls.fail(EPERM)) }
    for call in calls { try addRule(filter, call.name, call.action, []) }
    if let readOnlyDescriptorsFrom { try addDescriptorRules(filter, UInt64(readOnlyDescriptorsFrom)) }

    for request in SystemCalls.inputOutputControls + inputOutputControls {
      try addRule(filter, "ioctl", SystemCalls.allow, [argument(1, SCMP_CMP_MASKED_EQ, 0xffff_ffff, request)])
    }
    for option in SystemCalls.processControls { try addRule(filter, "prctl", SystemCalls.allow, [argument(0, SCMP_CMP_EQ, option)]) }
    // A thread, never a process.
    let thread = UInt64(PG_CLONE_THREAD)
    try addRule(filter, "clone", SystemCalls.allow, [argument(0, SCMP_CMP_MASKED_EQ, thread, thread)])
    try addRule(filter, "clone", SystemCalls.fail(EPERM), [argument(0, SCMP_CMP_MASKED_EQ, thread, 0)])
    // A signal to itself (abort).
    try addRule(filter, "tgkill", SystemCalls.allow, [argument(0, SCMP_CMP_EQ, UInt64(getpid()))])
    try addRule(filter, "tgkill", SystemCalls.fail(EPERM), [argument(0, SCMP_CMP_NE, UInt64(getpid()))])
    // Limits of its own.
    try addRule(filter, "prlimit64", SystemCalls.allow, [argument(0, SCMP_CMP_EQ, 0)])
    try addRule(filter, "prlimit64", SystemCalls.fail(EPERM), [argument(0, SCMP_CMP_NE, 0)])
    try addSocketRules(filter)

    // Threads that a library may have started are bound too, or nothing is loaded.
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1)
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2)
    let status = seccomp_load(filter)
    switch status {
    case 0:
      report.achieved.append("system calls: seccomp filter, \(SystemCalls.allowed.count + 6) allowed; sockets: \(Confinement.text(of: sockets))")
    case -EINVAL, -ENOSYS, -EOPNOTSUPP: report.missing.append("system calls: this kernel has no seccomp filters, so sockets can be made")
    default: throw ConfinementError(name, "seccomp", -status)
    }
  }

  /// For a process whose children are programs of others: what none of them may do answers EPERM. A socket of a refused family is unknown to
  /// them, as systemd's RestrictAddressFamilies does it: account tools give up where auditing is forbidden, not where it is missing.
  private func applyFilterForPrograms(_ report: inout ConfinementReport) throws(ConfinementError) {
    guard let filter = seccomp_init(SystemCalls.allow) else { throw ConfinementError(name, "seccomp_init", ENOMEM) }
    defer { seccomp_release(filter) }
    let running: Set<String> = ["execve", "execveat"]  // only looked up
    for call in SystemCalls.fatal + SystemCalls.refusedToPrograms where !running.contains(call) {
      try addRule(filter, call, SystemCalls.fail(EPERM), [])
    }
    // The request that types into a terminal.
    try addRule(filter, "ioctl", SystemCalls.fail(EPERM), [argument(1, SCMP_CMP_MASKED_EQ, 0xffff_ffff, UInt64(TIOCSTI))])
    for family in UInt64(0)...47 where family != UInt64(AF_UNIX) {
      try addRule(filter, "socket", SystemCalls.fail(EAFNOSUPPORT), [argument(0, SCMP_CMP_EQ, family)])
    }
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1)
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2)
    switch seccomp_load(filter) {
    case 0: report.achieved.append("system calls: seccomp filter for programs of others; sockets: Unix")
    case -EINVAL, -ENOSYS, -EOPNOTSUPP: report.missing.append("system calls: this kernel has no seccomp filters, so sockets can be made")
    case let status: throw ConfinementError(name, "seccomp", -status)
    }
  }

  private var refusedCalls: [String] {
    SystemCalls.refused.filter { !furtherCalls.contains($0) && !(sockets == .inet && $0 == "socketpair") }
  }

  private func addDescriptorRules(_ filter: scmp_filter_ctx, _ bound: UInt64) throws(ConfinementError) {
    for call in SystemCalls.ofDescriptors {
      switch call {
      case "write", "writev":
        try addRule(filter, call, SystemCalls.allow, [argument(0, SCMP_CMP_LT, bound)])
        try addRule(filter, call, SystemCalls.fail(EPERM), [argument(0, SCMP_CMP_GE, bound)])
      case "fcntl":
        // Flags, but no copies.
        for command in [F_GETFD, F_SETFD, F_GETFL, F_SETFL] {
          try addRule(filter, call, SystemCalls.allow, [argument(1, SCMP_CMP_MASKED_EQ, 0xffff_ffff, UInt64(command))])
        }
      default: try addRule(filter, call, SystemCalls.fail(EPERM), [])
      }
    }
  }

  private func addSocketRules(_ filter: scmp_filter_ctx) throws(ConfinementError) {
    let families: [Int32] =
      switch sockets {
      case .none: []
      case .unixDatagram, .unixClient, .unix: [AF_UNIX]
      case .unixAndNetlink: [AF_UNIX, AF_NETLINK]
      case .inet: [AF_UNIX, AF_INET, AF_INET6]
      }
    for family in families {
      var arguments = [argument(0, SCMP_CMP_EQ, UInt64(family))]
      // The low bits are the type, the others are flags.
      if sockets == .unixDatagram { arguments.append(argument(1, SCMP_CMP_MASKED_EQ, 0xf, UInt64(SOCK_DGRAM.rawValue))) }
      try addRule(filter, "socket", SystemCalls.allow, arguments)
    }
    // libcurl's thread for name lookups speaks with it over a pair.
    if sockets == .inet { try addRule(filter, "socketpair", SystemCalls.allow, [argument(0, SCMP_CMP_EQ, UInt64(AF_UNIX))]) }
    if sockets == .unixDatagram {
      for type in [SOCK_STREAM, SOCK_SEQPACKET, SOCK_RAW] {
        let arguments = [argument(0, SCMP_CMP_EQ, UInt64(AF_UNIX)), argument(1, SCMP_CMP_MASKED_EQ, 0xf, UInt64(type.rawValue))]
        try addRule(filter, "socket", SystemCalls.fail(EPERM), arguments)
      }
    }
    for family in UInt64(0)...47 where !families.contains(Int32(family)) {
      try addRule(filter, "socket", SystemCalls.fail(EPERM), [argument(0, SCMP_CMP_EQ, family)])
    }
  }

  private func argument(_ index: UInt32, _ comparison: scmp_compare, _ first: UInt64, _ second: UInt64 = 0) -> scmp_arg_cmp {
    scmp_arg_cmp(arg: index, op: comparison, datum_a: first, datum_b: second)
  }

  private func addRule(_ filter: scmp_filter_ctx, _ call: String, _ action: UInt32, _ arguments: [scmp_arg_cmp]) throws(ConfinementError) {
    let number = seccomp_syscall_resolve_name(call)
    // Negative: not on this architecture, or newer than the library.
    guard number >= 0 else { return }
    let status = seccomp_rule_add_array(filter, action, number, UInt32(arguments.count), arguments)
    guard status == 0 else { throw ConfinementError(name, "seccomp rule for \(call)", -status) }
  }

  static func text(of sockets: Sockets) -> String {
    switch sockets {
    case .none: "none"
    case .unixDatagram: "Unix datagrams"
    case .unixClient: "Unix, to connect"
    case .unix: "Unix"
    case .unixAndNetlink: "Unix and netlink"
    case .inet: "Unix and Internet, to connect"
    }
  }
}
