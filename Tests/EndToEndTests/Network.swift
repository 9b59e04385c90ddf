// A host, its neighbours and what lies behind a router, in network namespaces that a test makes and removes; the machine's own network and
// firewall are never touched.
import Glibc
import Synchronization
import Testing

final class Network {
  static let own = "10.88.0.1"
  static let own6 = "2001:db8:88::1"
  /// The router's address on the host's side.
  static let gateway = "10.88.0.254"
  let host: String
  /// On the host's own cable: 10.88.0.2 to .6, and the router.
  let outside: String
  /// Behind the router: 10.99.0.1 to .30, 2001:db8:bad:1::5 and ::6, 2001:db8:bad:2::5.
  let far: String
  private static let ip = (["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"] as [String]).first { access($0, X_OK) == 0 }
  private static let number = Atomic(0)

  /// nil, with the reason printed, where it cannot be made.
  static func make() -> Network? {
    guard Product.isRoot, let ip else {
      skip("network namespaces need root and ip(8)")
      return nil
    }
    guard run(["/usr/bin/env", "nft", "--version"]).status == 0, run(["/usr/bin/env", "python3", "-V"]).status == 0 else {
      skip("needs nft and python3 (scripts/setup --tests)")
      return nil
    }
    // Suites run side by side.
    let name = "pge2e\(getpid())x\(number.add(1, ordering: .relaxed).newValue)"
    guard run([ip, "netns", "add", name + "h"]).status == 0 else {
      skip("network namespaces are not allowed here")
      return nil
    }
    return Network(name)
  }

  private init(_ name: String) {
    (host, outside, far) = (name + "h", name + "o", name + "f")
    let neighbours = [2, 3, 4, 5, 6, 254].map { "ip -n \(outside) address add 10.88.0.\($0)/24 dev cable" }
    let behind = (1...30).map { "ip -n \(far) address add 10.99.0.\($0)/24 dev cable" }
    let behind6 = ["1::5", "1::6", "2::5"].map { "ip -n \(far) address add 2001:db8:bad:\($0)/128 dev lo nodad" }
    let made = run([
      "/bin/bash", "-ec",
      """
      ip netns add \(outside); ip netns add \(far)
      ip -n \(host) link add cable type veth peer name cable netns \(outside)
      ip -n \(far) link add cable type veth peer name back netns \(outside)
      for n in \(host) \(outside) \(far); do ip -n $n link set lo up; ip -n $n link set cable up; done
      ip -n \(outside) link set back up
      ip netns exec \(outside) sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
      ip -n \(host) address add \(Network.own)/24 dev cable
      ip -n \(host) address add \(Network.own6)/64 dev cable nodad
      ip -n \(outside) address add 2001:db8:88::fe/64 dev cable nodad
      ip -n \(outside) address add 10.99.0.254/24 dev back
      ip -n \(outside) address add 2001:db8:99::fe/64 dev back nodad
      ip -n \(far) address add 2001:db8:99::1/64 dev cable nodad
      \((neighbours + behind + behind6).joined(separator: "\n"))
      ip -n \(host) route add default via \(Network.gateway)
      ip -n \(host) -6 route add default via 2001:db8:88::fe
      ip -n \(far) route add default via 10.99.0.254
      ip -n \(far) -6 route add default via 2001:db8:99::fe
      ip -n \(outside) -6 route add 2001:db8:bad::/48 via 2001:db8:99::1
      """,
    ])
    if made.status != 0 { Issue.record("\(made)") }
  }
  deinit { for space in [host, outside, far] { run([Network.ip ?? "", "netns", "delete", space]) } }

  private func command(in space: String) -> [String] { [Network.ip ?? "", "netns", "exec", space] }
  /// What a command is started by so that it runs on the host.
  var inside: [String] { command(in: host) }
  /// The same for whoever has `address`.
  func at(_ address: String) -> [String] { command(in: address.hasPrefix("10.88.") ? outside : far) }
  func destination(for address: String) -> String { address.contains(":") ? Network.own6 : Network.own }

  /// The enforcer's table on the host; nil: there is none.
  var table: String? {
    let result = run(inside + ["nft", "list", "table", "inet", "panguard"])
    return result.status == 0 ? result.text : nil
  }
  /// `network` as nft writes it: without the length of its prefix.
  func isBlocked(_ network: String) -> Bool { table?.contains(" \(network) timeout") == true }
  /// Seconds that the kernel will still block it; nil: it does not.
  func remaining(_ network: String) -> Int? {
    guard let text = table, let range = text.firstRange(of: " \(network) timeout ") else { return nil }
    let words = text[range.upperBound...].split(separator: " ", maxSplits: 3)
    guard words.count > 2, words[1] == "expires" else { return nil }
    return Network.seconds(words[2].prefix { $0 != "," && $0 != "\n" })
  }
  /// "1m58s712ms"
  private static func seconds(_ text: Substring) -> Int? {
    var (total, number, unit) = (0, 0, "")
    func value() -> Int { ["d": 86_400, "h": 3600, "m": 60, "s": 1][unit].map { $0 * number } ?? 0 }
    for character in text {
      if let digit = character.wholeNumberValue {
        if !unit.isEmpty { (total, number, unit) = (total + value(), 0, "") }
        number = number * 10 + digit
      } else {
        unit.append(character)
      }
    }
    return total + value()
  }
  /// Whether the host answers a packet from there (nobody listens: it refuses).
  func passes(_ address: String) -> Bool {
    run(
      at(address) + [
        "python3", "-c",
        """
        import socket, sys
        s = socket.socket(socket.AF_INET6 if ":" in "\(address)" else socket.AF_INET); s.settimeout(3); s.bind(("\(address)", 0))
        try: s.connect(("\(destination(for: address))", 9))
        except ConnectionRefusedError: sys.exit(0)
        except OSError: sys.exit(1)
        """,
      ]
    ).status == 0
  }
}
