// Flows as lines of JSON: the form that `panguard inspect --flows --format jsonl` writes.
import Events
import PacketParsers
import Primitives
import Testing

@testable import PanguardTestKit

private typealias B = PacketBuilder

@Suite("Flows as events")
struct FlowEventTests {
  private func lines(_ records: [FlowRecord]) -> [String] {
    var event = Event()
    var scratch: [UInt8] = []
    var json = JSONWriter()
    return records.map { record in
      event.begin(raw: .none, origin: EventOrigin(source: 0, offset: 0, length: 0))
      record.appendFields(to: &event, scratch: &scratch)
      json.reset()
      json.beginObject()
      event.writeFields(to: &json)
      json.endObject()
      return String(decoding: json.out, as: UTF8.self)
    }
  }

  @Test func aLineForEachFlow() {
    var trial = Trial()
    trial.handshake(milliseconds: 1000)
    trial.tcp(true, [.fin, .ack], sequence: 101, milliseconds: 1500)
    trial.tcp(false, [.fin, .ack], sequence: 901, milliseconds: 2000)
    trial.udp(B.here, B.there, 5000, 9, milliseconds: 2001)
    trial.add(B.ethernet(0x8100, B.vlan(7, 0x0800, B.ipv4(1, B.icmp(8, 0, [1, 2, 3])))), milliseconds: 2002)
    trial.add(B.ethernet(0x0800, B.ipv4(4, B.ipv4(89, []))), milliseconds: 2003)
    _ = trial.finish()
    #expect(lines(trial.told.records) == FlowEventTests.golden)
  }

  private static let golden = [
    #"{"@timestamp":"1970-01-01T00:00:02Z","event.category":"network","event.action":"network_flow","event.dataset":"network_t"#
      + #"raffic.flow","event.duration":1000000000,"source.ip":"10.0.0.1","source.port":40000,"destination.ip":"192.0.2.1","destin"#
      + #"ation.port":80,"network.transport":"tcp","network.bytes":200,"network.type":"ipv4","network.community_id":"1:upY0XMjXSSu"#
      + #"gGqB6kcIBog/GLTQ=","network.packets":5,"source.bytes":120,"source.packets":3,"destination.bytes":80,"destination.packets"#
      + #"":2,"frame.number":1,"panguard.flow.state":"SF","panguard.flow.end":"closed"}"#,
    #"{"@timestamp":"1970-01-01T00:00:02.001Z","event.category":"network","event.action":"network_flow","event.dataset":"netwo"#
      + #"rk_traffic.flow","event.duration":0,"source.ip":"10.0.0.1","source.port":5000,"destination.ip":"192.0.2.1","destination."#
      + #"port":9,"network.transport":"udp","network.bytes":29,"network.type":"ipv4","network.community_id":"1:cRGYDOGqTAkl/1iq72s"#
      + #"0eG4w24o=","network.packets":1,"source.bytes":29,"source.packets":1,"destination.bytes":0,"destination.packets":0,"frame"#
      + #".number":6,"panguard.flow.end":"capture_ended"}"#,
    #"{"@timestamp":"1970-01-01T00:00:02.002Z","event.category":"network","event.action":"network_flow","event.dataset":"netwo"#
      + #"rk_traffic.flow","event.duration":0,"source.ip":"10.0.0.1","destination.ip":"192.0.2.1","network.transport":"icmp","netw"#
      + #"ork.bytes":31,"network.type":"ipv4","network.community_id":"1:e7yZv91HOs5UbnlvaDCUL+Tp21A=","network.packets":1,"network"#
      + #".vlan.id":7,"source.bytes":31,"source.packets":1,"destination.bytes":0,"destination.packets":0,"frame.number":7,"panguar"#
      + #"d.icmp.type":8,"panguard.icmp.code":0,"panguard.icmp.payload_bytes":3,"panguard.flow.end":"capture_ended"}"#,
    #"{"@timestamp":"1970-01-01T00:00:02.003Z","event.category":"network","event.action":"network_flow","event.dataset":"netwo"#
      + #"rk_traffic.flow","event.duration":0,"source.ip":"10.0.0.1","destination.ip":"192.0.2.1","network.bytes":20,"network.type"#
      + #"":"ipv4","network.community_id":"1:OB4e9Y2eRaspq3VwxSww2Gq7h7c=","network.packets":1,"source.bytes":20,"source.packets":"#
      + #"1,"destination.bytes":0,"destination.packets":0,"frame.number":8,"panguard.flow.end":"capture_ended","panguard.flow.tunn"#
      + #"el":"ip-in-ip","network.iana_number":"89"}"#,
  ]
}
