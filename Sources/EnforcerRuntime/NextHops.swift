// Next hops that are objects of their own (ip-nexthop(8), Linux 5.3): where routes name them by number, the gateway stands only there.
// What must stay true: a number that is not in the kernel's list is an error, not a route without a gateway.
import CNetlink
import Glibc
import Primitives

struct NextHops {
  private var gateways: [UInt32: IPAddress] = [:]
  private var groups: [UInt32: [UInt32]] = [:]
  private var all: Set<UInt32> = []

  typealias Dump = (Int32, Int32, Int, String, (NetlinkMessage) -> Void) throws(NetlinkError) -> Void

  /// `list`: asks the kernel for a list: type, family, bytes of the header, what for.
  init(list: Dump) throws(NetlinkError) {
    var read = NextHops()
    try list(Int32(RTM_GETNEXTHOP), AF_UNSPEC, MemoryLayout<nhmsg>.size, "listing next hops") { read.add($0) }
    self = read
  }
  init() {}

  mutating func add(_ message: NetlinkMessage) {
    let size = MemoryLayout<nhmsg>.size
    guard Int(message.type) == Int(RTM_NEWNEXTHOP), message.body.count >= size else { return }
    let attributes = message.attributes(after: size)
    guard let bytes = attributes.first(UInt32(NHA_ID)), bytes.count == 4 else { return }
    let id = bytes.loadUnaligned(as: UInt32.self)
    all.insert(id)
    gateways[id] = attributes.first(UInt32(NHA_GATEWAY))?.address
    if let members = attributes.first(UInt32(NHA_GROUP)) {
      let each = MemoryLayout<nexthop_grp>.stride
      groups[id] = stride(from: 0, to: members.count - members.count % each, by: each).map {
        members.loadUnaligned(fromByteOffset: $0, as: UInt32.self)
      }
    }
  }

  /// The gateways behind `ids` and the members of groups among them; groups have no groups in them.
  func gateways(of ids: Set<UInt32>) throws(NetlinkError) -> Set<IPAddress> {
    let members = ids.union(ids.flatMap { groups[$0] ?? [] })
    guard members.isSubset(of: all) else { throw NetlinkError(code: ENOENT, during: "a default route's next hop") }
    return Set(members.compactMap { gateways[$0] })
  }
}
