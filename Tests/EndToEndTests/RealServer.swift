// A real OpenSSH server and a real rsyslogd on the host of a Network, and real ssh clients elsewhere. They see a process and a mount
// namespace of their own: /dev/log, /run and their processes are theirs alone, and no account of the machine is touched.
import Glibc
import Primitives
import Testing

final class RealServer {
  let network: Network
  private let files = TemporaryDirectory()
  private let started: Child
  /// Written with packaging/rsyslog/panguard.conf: each line with the kernel's word on its sender.
  static let trusted = "auth.json"
  /// The same messages as plain text.
  static let text = "auth.log"

  /// Its logs lie in `logs`. nil, with the reason printed, where it cannot run.
  init?(_ network: Network, logs: TemporaryDirectory) {
    self.network = network
    for program in ["/usr/sbin/sshd", "/usr/sbin/rsyslogd", "/usr/bin/ssh", "/usr/bin/logger", "/usr/bin/unshare", "/usr/bin/nsenter"]
    where access(program, X_OK) != 0 {
      skip("needs \(program) (scripts/setup --tests)")
      return nil
    }
    for key in ["host", "user"] { EndToEndTests.run(["/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", files[key]]) }
    files.write("#!/bin/sh\necho wrong\n", to: "askpass")
    chmod(files["askpass"], 0o755)
    // sshd's own user, which sees nothing of these files, must be able to pass through.
    chmod(files.path, 0o755)
    files.write(
      """
      HostKey \(files["host"])
      AuthorizedKeysFile \(files["user.pub"])
      PidFile none
      UsePAM no
      StrictModes no
      PermitRootLogin yes
      PasswordAuthentication yes
      KbdInteractiveAuthentication no
      MaxStartups 200
      MaxAuthTries 40
      UseDNS no

      """, to: "sshd_config")
    let shipped = String(decoding: fileContents(Product.root + "/packaging/rsyslog/panguard.conf"), as: UTF8.self)
    files.write(
      """
      global(workDirectory="\(files.path)")
      module(load="imuxsock" SysSock.Name="\(files["log"])" SysSock.Annotate="on" SysSock.ParseTrusted="on" SysSock.RateLimit.Interval="0")
      \(shipped.replacing("/var/log/panguard-auth.json", with: logs[RealServer.trusted]))
      auth,authpriv.* action(type="omfile" file="\(logs[RealServer.text])" template="RSYSLOG_FileFormat")

      """, to: "rsyslog.conf")
    files.write(
      """
      set -e
      mount -t tmpfs tmpfs /run && mkdir -p /run/sshd
      mkdir \(files["dev"]) && mount -t tmpfs -o mode=755 tmpfs \(files["dev"])
      for n in null zero full random urandom tty; do touch \(files["dev"])/$n && mount --bind /dev/$n \(files["dev"])/$n; done
      mkdir \(files["dev"])/pts \(files["dev"])/shm && mount --bind /dev/pts \(files["dev"])/pts
      ln -s pts/ptmx \(files["dev"])/ptmx; ln -s /proc/self/fd \(files["dev"])/fd; ln -s \(files["log"]) \(files["dev"])/log
      mount --move \(files["dev"]) /dev
      rsyslogd -n -f \(files["rsyslog.conf"]) -i /run/rsyslogd.pid &
      until [ -S \(files["log"]) ]; do sleep 0.05; done
      /usr/sbin/sshd -D -f \(files["sshd_config"]) &
      wait

      """, to: "start")
    started = Child(
      network.inside + ["/usr/bin/unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "/bin/bash", files["start"]],
      output: files["out"], errors: files["err"])
    let isUp = eventually {
      String(decoding: logs.contents(RealServer.text), as: UTF8.self).contains("Server listening on :: port 22") || !started.isRunning
    }
    guard isUp, started.isRunning else {
      skip("sshd and rsyslogd do not start here: \(String(decoding: files.contents("err"), as: UTF8.self))")
      return nil
    }
  }

  /// Runs a program among the server's processes.
  @discardableResult
  func execute(_ command: [String]) -> Finished {
    let children = String(decoding: fileContents("/proc/\(started.pid)/task/\(started.pid)/children"), as: UTF8.self)
    let first = children.split(separator: " ").first.map(String.init) ?? "0"
    return EndToEndTests.run(["/usr/bin/nsenter", "-t", first, "-m", "-p", "-n", "--"] + command)
  }

  private func ssh(_ address: String, _ user: String, _ options: [String], _ command: [String]) -> [String] {
    network.at(address) + [
      "/usr/bin/ssh", "-q", "-F", "none", "-b", address, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
      "ConnectTimeout=30",
    ] + options + ["\(user)@\(network.destination(for: address))"] + command
  }
  /// A client that gives `times` wrong passwords over one connection. Where it is blocked meanwhile it waits until nobody holds it any more.
  func guess(from address: String, user: String = "root", times: Int = 30) -> Child {
    Child(
      ssh(address, user, ["-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=\(times)"], ["true"]),
      environment: ["SSH_ASKPASS": files["askpass"], "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": "none"])
  }
  private var key: [String] { ["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-i", files["user"]] }
  /// Whether root logs in from there with the key.
  func logsIn(from address: String) -> Bool { EndToEndTests.run(ssh(address, "root", key, ["echo", "inside"])).text == "inside\n" }
  /// Somebody who is logged in and stays, and writes a line into `file` every fifth of a second. nil: he could not log in.
  func session(from address: String, writes file: String) -> Child? {
    let child = Child(ssh(address, "root", key, ["while sleep 0.2; do echo here; done"]), output: file)
    return eventually(seconds: 120) { !fileContents(file).isEmpty || !child.isRunning } && child.isRunning ? child : nil
  }
  /// What any user of the host can do.
  func forge(_ message: String, times: Int) {
    let once = "logger -t sshd -p auth.info \"$1\""
    execute([
      "/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/bin/bash", "-c", "for i in {1..\(times)}; do \(once); done",
      "forge", message,
    ])
  }
}
