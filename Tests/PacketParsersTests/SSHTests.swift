// SSH banners, key exchange lists and their hashes.
import Events
import Primitives
import Testing

@testable import PacketParsers
@testable import PanguardTestKit

@Suite struct SSHTests {
  @Test func bannersAndHashes() {
    let heard = Conversation(
      "ssh", ports: (50_000, 2022),
      turns: [
        (.toOriginator, Array("please wait\r\nSSH-2.0-OpenSSH_9.6p1 Ubuntu-3\r\n".utf8)), (.toResponder, Array("SSH-2.0-libssh2_1.11.0\n".utf8)),
        (.toResponder, SSHBuilder.keyExchange()), (.toOriginator, SSHBuilder.keyExchange()),
      ]
    ).messages()
    // Nothing of a first line that is no banner says what speaks: the server is known from the client's banner on.
    #expect(
      lines(heard, "way", "event.action", "ssh.client.banner", "ssh.server.banner") == [
        "> ssh-banner SSH-2.0-libssh2_1.11.0 -", "> ssh-key-exchange - -",
      ])
    let plain = Conversation(
      "ssh",
      turns: [
        (.toOriginator, Array("SSH-2.0-OpenSSH_9.6p1 Ubuntu-3\r\n".utf8) + SSHBuilder.keyExchange(padding: 200)),
        (.toResponder, Array("SSH-2.0-libssh2_1.11.0\r\n".utf8) + SSHBuilder.keyExchange()),
      ]
    ).messages()
    // MD5 of "kex1,kex2;aes-sc;mac-sc;none-sc" and of "kex1,kex2;aes-cs;mac-cs;none-cs".
    #expect(
      lines(plain, "event.action", "ssh.client.banner", "ssh.server.banner", "ssh.client.hassh", "ssh.server.hassh") == [
        "ssh-banner - SSH-2.0-OpenSSH_9.6p1 Ubuntu-3 - -", "ssh-key-exchange - - - 329f0fdb57b9b6125d7580b2f06e821d",
        "ssh-banner SSH-2.0-libssh2_1.11.0 - - -", "ssh-key-exchange - - 4ec71952e00b88931c2dce4796bf4f2b -",
      ])
  }
  @Test func sidesOfAFlowWhoseStartWasNotSeen() {
    let heard = Conversation("late", ports: (22, 50_000), turns: [(.toResponder, Array("SSH-2.0-OpenSSH_9.6\r\n".utf8))]).messages()
    #expect(lines(heard, "client", "ssh.server.banner") == ["no SSH-2.0-OpenSSH_9.6"])
  }
  @Test func versionOneHasNoLists() {
    var listener = Listener()
    listener.hear(Array("SSH-1.5-OpenSSH_3.9\n".utf8), .toOriginator)
    #expect(listener.demand == .enough && listener.messages.first?["ssh.server.banner"] == "SSH-1.5-OpenSSH_3.9")
  }
  @Test(arguments: [
    "SSH-2.0-x\r\n\u{0}\u{0}\u{0}\u{1}\u{0}\u{14}", "SSH-2.0-x\r\n\u{7f}\u{7f}\u{7f}\u{7f}\u{0}\u{14}",
    "SSH-2.0-x\r\n\u{0}\u{0}\u{0}\u{30}\u{4}\u{14}" + String(repeating: "\u{7f}", count: 60),
  ]) func listsThatAreNone(_ text: String) {
    var listener = Listener()
    listener.hear(Array(text.utf8), .toResponder)
    #expect(listener.demand == .enough && listener.messages.count == 1)
    #expect(listener.context.counters.errors[Int(ParseReason.length.rawValue)] == 1)
  }
}
