// How flows are told apart, and what holds for every protocol.
import Events
import Primitives
import Testing

@testable import PacketParsers

@Suite struct ApplicationLayerTests {
  @Test func protocolsHaveDistinctNames() {
    #expect(Set(ApplicationProtocol.allCases.map { "\($0.name)" }).count == ApplicationProtocol.allCases.count)
  }
}
