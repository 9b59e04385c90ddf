// Our nftables table as netlink messages, and the kernel's answers as blocks. Pure: bytes in, bytes out.
// Source: linux/netfilter/nf_tables.h. Every name in a message is a constant of this file, so that no request can reach another table.
//
// The table, as `nft list table inet panguard` shows it:
//   one set for each prefix length in use ("blocked4_32", "blocked6_64", ...), hashed, with the kernel's timeout for each element;
//   one chain in prerouting at priority -310, before raw (-300) and connection tracking (-200): a packet of a blocked address is dropped
//   before it costs a connection entry, whether it would begin a connection or belongs to one, and also where it would be forwarded to a
//   container behind this host, which `input` never sees;
//   one named counter for each family.
// Lengths are sets of their own, not one interval set, because two blocked networks may overlap (10.0.0.0/24 for an hour,
// 10.0.0.7 for a week) and each must end at its own time; interval sets refuse overlaps. A length costs a lookup only once it was used.
import CNetlink
import Enforcement
import Glibc
import Primitives

/// A set of our table: one address family and prefix length.
struct BlockSet: Hashable, Sendable, Comparable {
  let isV4: Bool
  let prefixLength: Int

  init(of network: CIDR) {
    isV4 = network.base.isV4
    prefixLength = network.prefixLength
  }
  init(isV4: Bool, prefixLength: Int) {
    self.isV4 = isV4
    self.prefixLength = prefixLength
  }
  /// Every one that may exist.
  static let all: [BlockSet] =
    (EnforcerCore.widest.v4...EnforcerCore.narrowest.v4).reversed().map { BlockSet(isV4: true, prefixLength: $0) }
    + (EnforcerCore.widest.v6...EnforcerCore.narrowest.v6).reversed().map { BlockSet(isV4: false, prefixLength: $0) }
  /// Those that are always there: single addresses.
  static let always = [BlockSet(isV4: true, prefixLength: 32), BlockSet(isV4: false, prefixLength: 64)]

  var name: String { "blocked\(isV4 ? 4 : 6)_\(prefixLength)" }
  var keyBytes: Int { isV4 ? 4 : 16 }
  var counter: String { isV4 ? "dropped4" : "dropped6" }
  static func < (a: BlockSet, b: BlockSet) -> Bool { a.isV4 != b.isV4 ? a.isV4 : a.prefixLength > b.prefixLength }

  func key(_ address: IPAddress) -> [UInt8] {
    if isV4 { return withUnsafeBytes(of: UInt32(truncatingIfNeeded: address.low).bigEndian) { Array($0) } }
    return withUnsafeBytes(of: address.high.bigEndian) { Array($0) } + withUnsafeBytes(of: address.low.bigEndian) { Array($0) }
  }
  var mask: [UInt8] { (0..<keyBytes).map { i in UInt8(truncatingIfNeeded: 0xff00 >> max(0, min(8, prefixLength - 8 * i))) } }
}

// linux/netfilter.h, which Swift cannot import beside the C library.
private let inetFamily: UInt8 = 1
private let ipv4Family: UInt8 = 2
private let ipv6Family: UInt8 = 10
private let preroutingHook: UInt32 = 0
private let dropVerdict: UInt32 = 0
private let acceptVerdict: UInt32 = 1

enum NFTables {
  static let table = "panguard"
  static let chain = "early"
  static let priority: Int32 = -310
  static let counters = ["dropped4", "dropped6"]
  static let markerPrefix = "boot_"
  /// Elements in one message: an attribute has at most 64 KiB.
  static let elementsPerMessage = 1024
  private static let family = inetFamily

  /// One transaction: its messages between BEGIN and END. All of it happens, or none.
  struct Batch {
    private var out = NetlinkWriter()
    private(set) var sequence: UInt32
    private(set) var isEmpty = true

    init(sequence: UInt32) {
      self.sequence = sequence
      out.begin(type: UInt16(NFNL_MSG_BATCH_BEGIN), flags: UInt16(NLM_F_REQUEST), sequence: sequence)
      NFTables.header(&out, family: UInt8(AF_UNSPEC), resource: UInt16(NFNL_SUBSYS_NFTABLES))
    }
    /// Each message is acknowledged or refused with its own sequence number; `isLast` asks for the acknowledgement.
    fileprivate mutating func message(_ type: nf_tables_msg_types, flags: Int32 = 0, _ body: (inout NetlinkWriter) -> Void) {
      isEmpty = false
      sequence &+= 1
      out.begin(type: NFTables.type(type), flags: UInt16(NLM_F_REQUEST | flags), sequence: sequence)
      NFTables.header(&out, family: NFTables.family)
      body(&out)
    }
    /// The bytes to send, and the number whose acknowledgement means that all of it was done.
    mutating func finished() -> (bytes: [UInt8], acknowledged: UInt32) {
      // Something harmless to acknowledge at the very end: the table, which exists by now.
      message(NFT_MSG_NEWTABLE, flags: NLM_F_ACK) { $0.text(NFTA_TABLE_NAME.rawValue, NFTables.table) }
      let acknowledged = sequence
      sequence &+= 1
      out.begin(type: UInt16(NFNL_MSG_BATCH_END), flags: UInt16(NLM_F_REQUEST), sequence: sequence)
      NFTables.header(&out, family: UInt8(AF_UNSPEC), resource: UInt16(NFNL_SUBSYS_NFTABLES))
      out.finish()
      return (out.bytes, acknowledged)
    }
  }

  // MARK: Transactions

  /// Makes what is missing and writes the chain anew, without touching what is blocked: there is no moment without protection.
  /// `marker`: a counter that counts nothing and whose name says in which boot the table was ours; empty: none.
  static func install(_ sets: [BlockSet], marker: String = "", into batch: inout Batch) {
    batch.message(NFT_MSG_NEWTABLE, flags: NLM_F_CREATE) { $0.text(NFTA_TABLE_NAME.rawValue, table) }
    for name in counters + (marker.isEmpty ? [] : [marker]) {
      batch.message(NFT_MSG_NEWOBJ, flags: NLM_F_CREATE) {
        $0.text(NFTA_OBJ_TABLE.rawValue, table)
        $0.text(NFTA_OBJ_NAME.rawValue, name)
        $0.big32(NFTA_OBJ_TYPE.rawValue, UInt32(NFT_OBJECT_COUNTER))
        $0.nested(NFTA_OBJ_DATA.rawValue) { _ in }
      }
    }
    batch.message(NFT_MSG_NEWCHAIN, flags: NLM_F_CREATE) {
      $0.text(NFTA_CHAIN_TABLE.rawValue, table)
      $0.text(NFTA_CHAIN_NAME.rawValue, chain)
      $0.nested(NFTA_CHAIN_HOOK.rawValue) {
        $0.big32(NFTA_HOOK_HOOKNUM.rawValue, preroutingHook)
        $0.big32(NFTA_HOOK_PRIORITY.rawValue, UInt32(bitPattern: priority))
      }
      $0.big32(NFTA_CHAIN_POLICY.rawValue, acceptVerdict)
      $0.text(NFTA_CHAIN_TYPE.rawValue, "filter")
    }
    for set in sets { create(set, into: &batch) }
    batch.message(NFT_MSG_DELRULE) {
      $0.text(NFTA_RULE_TABLE.rawValue, table)
      $0.text(NFTA_RULE_CHAIN.rawValue, chain)
    }
    for set in sets { rule(for: set, into: &batch) }
  }

  /// A set and its rule, for a length that was not used before.
  static func addLength(_ set: BlockSet, into batch: inout Batch) {
    create(set, into: &batch)
    rule(for: set, into: &batch)
  }

  private static func create(_ set: BlockSet, into batch: inout Batch) {
    batch.message(NFT_MSG_NEWSET, flags: NLM_F_CREATE) {
      $0.text(NFTA_SET_TABLE.rawValue, table)
      $0.text(NFTA_SET_NAME.rawValue, set.name)
      $0.big32(NFTA_SET_FLAGS.rawValue, NFT_SET_TIMEOUT.rawValue)
      $0.big32(NFTA_SET_KEY_TYPE.rawValue, set.isV4 ? 7 : 8)  // nft's own numbers of ipv4_addr and ipv6_addr, for its output only
      $0.big32(NFTA_SET_KEY_LEN.rawValue, UInt32(set.keyBytes))
      $0.big32(NFTA_SET_ID.rawValue, UInt32(set.prefixLength) << 1 | (set.isV4 ? 1 : 0))
      $0.nested(NFTA_SET_DESC.rawValue) { $0.big32(NFTA_SET_DESC_SIZE.rawValue, UInt32(2 * Limits.enforcedBlocks)) }
    }
  }

  /// nfproto, address, mask, lookup, counter, drop.
  private static func rule(for set: BlockSet, into batch: inout Batch) {
    let register = UInt32(NFT_REG_1.rawValue)
    func expression(_ out: inout NetlinkWriter, _ name: String, _ body: (inout NetlinkWriter) -> Void) {
      out.nested(NFTA_LIST_ELEM.rawValue) {
        $0.text(NFTA_EXPR_NAME.rawValue, name)
        $0.nested(NFTA_EXPR_DATA.rawValue, body)
      }
    }
    func value(_ out: inout NetlinkWriter, _ type: UInt32, _ bytes: [UInt8]) {
      out.nested(type) { $0.attribute(NFTA_DATA_VALUE.rawValue) { $0.raw(bytes) } }
    }
    batch.message(NFT_MSG_NEWRULE, flags: NLM_F_CREATE | NLM_F_APPEND) {
      $0.text(NFTA_RULE_TABLE.rawValue, table)
      $0.text(NFTA_RULE_CHAIN.rawValue, chain)
      $0.nested(NFTA_RULE_EXPRESSIONS.rawValue) {
        expression(&$0, "meta") {
          $0.big32(NFTA_META_DREG.rawValue, register)
          $0.big32(NFTA_META_KEY.rawValue, NFT_META_NFPROTO.rawValue)
        }
        expression(&$0, "cmp") {
          $0.big32(NFTA_CMP_SREG.rawValue, register)
          $0.big32(NFTA_CMP_OP.rawValue, NFT_CMP_EQ.rawValue)
          value(&$0, NFTA_CMP_DATA.rawValue, [set.isV4 ? ipv4Family : ipv6Family])
        }
        expression(&$0, "payload") {
          $0.big32(NFTA_PAYLOAD_DREG.rawValue, register)
          $0.big32(NFTA_PAYLOAD_BASE.rawValue, NFT_PAYLOAD_NETWORK_HEADER.rawValue)
          $0.big32(NFTA_PAYLOAD_OFFSET.rawValue, set.isV4 ? 12 : 8)  // source address: RFC 791 3.1, RFC 8200 3
          $0.big32(NFTA_PAYLOAD_LEN.rawValue, UInt32(set.keyBytes))
        }
        if set.prefixLength < 8 * set.keyBytes {
          expression(&$0, "bitwise") {
            $0.big32(NFTA_BITWISE_SREG.rawValue, register)
            $0.big32(NFTA_BITWISE_DREG.rawValue, register)
            $0.big32(NFTA_BITWISE_LEN.rawValue, UInt32(set.keyBytes))
            value(&$0, NFTA_BITWISE_MASK.rawValue, set.mask)
            value(&$0, NFTA_BITWISE_XOR.rawValue, [UInt8](repeating: 0, count: set.keyBytes))
          }
        }
        expression(&$0, "lookup") {
          $0.text(NFTA_LOOKUP_SET.rawValue, set.name)
          $0.big32(NFTA_LOOKUP_SREG.rawValue, register)
        }
        expression(&$0, "objref") {
          $0.big32(NFTA_OBJREF_IMM_TYPE.rawValue, UInt32(NFT_OBJECT_COUNTER))
          $0.text(NFTA_OBJREF_IMM_NAME.rawValue, set.counter)
        }
        expression(&$0, "immediate") {
          $0.big32(NFTA_IMMEDIATE_DREG.rawValue, NFT_REG_VERDICT.rawValue)
          $0.nested(NFTA_IMMEDIATE_DATA.rawValue) {
            $0.nested(NFTA_DATA_VERDICT.rawValue) { $0.big32(NFTA_VERDICT_CODE.rawValue, dropVerdict) }
          }
        }
      }
    }
  }

  /// Elements of one set that are removed.
  static func remove(_ networks: [CIDR], from set: BlockSet, into batch: inout Batch) {
    elements(networks, of: set, NFT_MSG_DELSETELEM, into: &batch) { _, _ in }
  }
  /// Elements of one set that are added. An element that is there already is left as it is by kernels before 6.12, so a new time needs
  /// `replace`.
  static func add(_ additions: [KernelChange.Addition], to set: BlockSet, into batch: inout Batch) {
    elements(additions, of: set, NFT_MSG_NEWSETELEM, flags: NLM_F_CREATE, network: \.network, into: &batch) {
      $0.big64(NFTA_SET_ELEM_TIMEOUT.rawValue, $1.milliseconds)
    }
  }
  /// Elements that may be there or may just have ended get a new time: added, so that there is one to delete, deleted, and added, in
  /// this one transaction. A packet sees the old element or the new one, never none.
  static func replace(_ additions: [KernelChange.Addition], in set: BlockSet, into batch: inout Batch) {
    add(additions, to: set, into: &batch)
    remove(additions.map(\.network), from: set, into: &batch)
    add(additions, to: set, into: &batch)
  }
  /// All elements of a set.
  static func empty(_ set: BlockSet, into batch: inout Batch) {
    batch.message(NFT_MSG_DELSETELEM) {
      $0.text(NFTA_SET_ELEM_LIST_TABLE.rawValue, table)
      $0.text(NFTA_SET_ELEM_LIST_SET.rawValue, set.name)
    }
  }

  private static func elements(
    _ networks: [CIDR], of set: BlockSet, _ type: nf_tables_msg_types, into batch: inout Batch, _ extra: (inout NetlinkWriter, CIDR) -> Void
  ) { elements(networks, of: set, type, network: \.self, into: &batch, extra) }

  private static func elements<Element>(
    _ list: [Element], of set: BlockSet, _ type: nf_tables_msg_types, flags: Int32 = 0, network: KeyPath<Element, CIDR>, into batch: inout Batch,
    _ extra: (inout NetlinkWriter, Element) -> Void
  ) {
    var at = 0
    while at < list.count {
      let end = min(list.count, at + elementsPerMessage)
      batch.message(type, flags: flags) {
        $0.text(NFTA_SET_ELEM_LIST_TABLE.rawValue, table)
        $0.text(NFTA_SET_ELEM_LIST_SET.rawValue, set.name)
        $0.nested(NFTA_SET_ELEM_LIST_ELEMENTS.rawValue) {
          for element in list[at..<end] {
            $0.nested(NFTA_LIST_ELEM.rawValue) {
              $0.nested(NFTA_SET_ELEM_KEY.rawValue) { $0.attribute(NFTA_DATA_VALUE.rawValue) { $0.raw(set.key(element[keyPath: network].base)) } }
              extra(&$0, element)
            }
          }
        }
      }
      at = end
    }
  }

  // MARK: Questions and single messages

  /// Deletes the table with everything in it, in a transaction of its own.
  static func deleteTable(sequence: UInt32) -> (bytes: [UInt8], acknowledged: UInt32) {
    var out = NetlinkWriter()
    out.begin(type: UInt16(NFNL_MSG_BATCH_BEGIN), flags: UInt16(NLM_F_REQUEST), sequence: sequence)
    header(&out, family: UInt8(AF_UNSPEC), resource: UInt16(NFNL_SUBSYS_NFTABLES))
    out.begin(type: type(NFT_MSG_DELTABLE), flags: UInt16(NLM_F_REQUEST | NLM_F_ACK), sequence: sequence &+ 1)
    header(&out, family: family)
    out.text(NFTA_TABLE_NAME.rawValue, table)
    out.begin(type: UInt16(NFNL_MSG_BATCH_END), flags: UInt16(NLM_F_REQUEST), sequence: sequence &+ 2)
    header(&out, family: UInt8(AF_UNSPEC), resource: UInt16(NFNL_SUBSYS_NFTABLES))
    out.finish()
    return (out.bytes, sequence &+ 1)
  }

  enum Question {
    case generation
    case sets, chains, counters
    case elements(BlockSet)
  }
  static func question(_ question: Question, sequence: UInt32) -> [UInt8] {
    var out = NetlinkWriter()
    func begin(_ type: nf_tables_msg_types, isDump: Bool) {
      let flags = UInt16(NLM_F_REQUEST | (isDump ? NLM_F_DUMP : 0))
      out.begin(type: NFTables.type(type), flags: flags, sequence: sequence)
      header(&out, family: isDump ? family : UInt8(AF_UNSPEC))
    }
    switch question {
    case .generation: begin(NFT_MSG_GETGEN, isDump: false)
    case .sets:
      begin(NFT_MSG_GETSET, isDump: true)
      out.text(NFTA_SET_TABLE.rawValue, table)
    case .chains:
      begin(NFT_MSG_GETCHAIN, isDump: true)
    case .counters:
      begin(NFT_MSG_GETOBJ, isDump: true)
      out.text(NFTA_OBJ_TABLE.rawValue, table)
    case .elements(let set):
      begin(NFT_MSG_GETSETELEM, isDump: true)
      out.text(NFTA_SET_ELEM_LIST_TABLE.rawValue, table)
      out.text(NFTA_SET_ELEM_LIST_SET.rawValue, set.name)
    }
    out.finish()
    return out.bytes
  }

  // MARK: Answers

  private static let headerBytes = 4
  private static func isOurs(_ message: NetlinkMessage, _ type: nf_tables_msg_types) -> NetlinkAttributes? {
    guard message.type == NFTables.type(type), message.body.count >= headerBytes else { return nil }
    return message.attributes(after: headerBytes)
  }
  static func generation(_ message: NetlinkMessage) -> UInt32? {
    isOurs(message, NFT_MSG_NEWGEN)?.first(NFTA_GEN_ID.rawValue)?.bigEndian(UInt32.self)
  }
  /// What a table of our name consists of.
  struct Shape: Equatable {
    /// Those that are as we make them.
    var sets: Set<BlockSet> = []
    var markers: Set<String> = []
    private var hasChain = false
    /// Something in it is none of ours, or is made otherwise.
    private(set) var isForeign = false
    private(set) var isThere = false
    func isWhole(_ wanted: [BlockSet]) -> Bool { hasChain && !isForeign && sets.isSuperset(of: wanted) }

    mutating func add(_ message: NetlinkMessage) {
      if let attributes = isOurs(message, NFT_MSG_NEWSET), owns(attributes, NFTA_SET_TABLE.rawValue) {
        isThere = true
        if let set = NFTables.set(message) { sets.insert(set) } else { isForeign = true }
      } else if let attributes = isOurs(message, NFT_MSG_NEWCHAIN), owns(attributes, NFTA_CHAIN_TABLE.rawValue) {
        isThere = true
        let isOurChain = attributes.first(NFTA_CHAIN_NAME.rawValue).map { text($0) == NFTables.chain } == true && hook(attributes)
        if isOurChain { hasChain = true } else { isForeign = true }
      } else if let attributes = isOurs(message, NFT_MSG_NEWOBJ), owns(attributes, NFTA_OBJ_TABLE.rawValue) {
        isThere = true
        let name = attributes.first(NFTA_OBJ_NAME.rawValue).map { text($0) } ?? ""
        if name.hasPrefix(markerPrefix) { markers.insert(name) } else if !counters.contains(name) { isForeign = true }
      }
    }
    private func owns(_ attributes: NetlinkAttributes, _ type: UInt32) -> Bool { attributes.first(type).map { isTable($0) } == true }
    private func hook(_ attributes: NetlinkAttributes) -> Bool {
      guard let hook = attributes.first(NFTA_CHAIN_HOOK.rawValue).map({ NetlinkAttributes($0) }) else { return false }
      return hook.first(NFTA_HOOK_HOOKNUM.rawValue)?.bigEndian(UInt32.self) == preroutingHook
        && hook.first(NFTA_HOOK_PRIORITY.rawValue)?.bigEndian(UInt32.self) == UInt32(bitPattern: priority)
    }
  }
  /// A name in a message, without the zero behind it.
  private static func text(_ bytes: Bytes) -> String { bytes.upTo(max(0, bytes.count - 1)).string }

  /// A set of our table; nil where it is none of those that we make, or is made otherwise.
  static func set(_ message: NetlinkMessage) -> BlockSet? {
    guard let attributes = isOurs(message, NFT_MSG_NEWSET), let owner = attributes.first(NFTA_SET_TABLE.rawValue), isTable(owner),
      let name = attributes.first(NFTA_SET_NAME.rawValue),
      let set = BlockSet.all.first(where: { name.elementsEqual(Array($0.name.utf8) + [0]) }),
      attributes.first(NFTA_SET_FLAGS.rawValue)?.bigEndian(UInt32.self) == NFT_SET_TIMEOUT.rawValue,
      attributes.first(NFTA_SET_KEY_LEN.rawValue)?.bigEndian(UInt32.self) == UInt32(set.keyBytes)
    else { return nil }
    return set
  }
  /// Packets and bytes of one of our counters.
  static func counter(_ message: NetlinkMessage) -> (packets: UInt64, bytes: UInt64)? {
    guard let attributes = isOurs(message, NFT_MSG_NEWOBJ), let owner = attributes.first(NFTA_OBJ_TABLE.rawValue), isTable(owner),
      let data = attributes.first(NFTA_OBJ_DATA.rawValue).map({ NetlinkAttributes($0) }),
      let packets = data.first(NFTA_COUNTER_PACKETS.rawValue)?.bigEndian(UInt64.self),
      let bytes = data.first(NFTA_COUNTER_BYTES.rawValue)?.bigEndian(UInt64.self)
    else { return nil }
    return (packets, bytes)
  }
  /// The elements in one message of a dump of `set`; one without an end has 0 milliseconds left.
  static func elements(_ message: NetlinkMessage, of set: BlockSet, into blocks: inout [ActiveBlock]) {
    guard let attributes = isOurs(message, NFT_MSG_NEWSETELEM), let list = attributes.first(NFTA_SET_ELEM_LIST_ELEMENTS.rawValue) else { return }
    for element in NetlinkAttributes(list) {
      let fields = NetlinkAttributes(element.value)
      guard let key = fields.first(NFTA_SET_ELEM_KEY.rawValue), let value = NetlinkAttributes(key).first(NFTA_DATA_VALUE.rawValue),
        value.count == set.keyBytes, let address = value.address
      else { continue }
      let left = fields.first(NFTA_SET_ELEM_EXPIRATION.rawValue)?.bigEndian(UInt64.self) ?? 0
      blocks.append(ActiveBlock(CIDR(address, prefixLength: set.prefixLength), remainingMilliseconds: left))
    }
  }
  private static func isTable(_ name: Bytes) -> Bool { name.elementsEqual(Array(table.utf8) + [0]) }

  // MARK: Headers

  private static func type(_ message: nf_tables_msg_types) -> UInt16 { UInt16(NFNL_SUBSYS_NFTABLES) << 8 | UInt16(message.rawValue) }
  private static func header(_ out: inout NetlinkWriter, family: UInt8, resource: UInt16 = 0) {
    out.host(family)
    out.host(UInt8(NFNETLINK_V0))
    out.big(resource)
  }
}
