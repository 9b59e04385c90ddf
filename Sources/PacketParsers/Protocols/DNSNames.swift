// The words for DNS's numbers (IANA, "Domain Name System Parameters"); a number without a word is written as RFC 3597 5 and RFC 6895 do.
import Primitives

enum DNSNames {
  static let flagLists: [StaticString] = [
    "[]", "[\"RA\"]", "[\"RD\"]", "[\"RD\",\"RA\"]", "[\"TC\"]", "[\"TC\",\"RA\"]", "[\"TC\",\"RD\"]", "[\"TC\",\"RD\",\"RA\"]",
    "[\"AA\"]", "[\"AA\",\"RA\"]", "[\"AA\",\"RD\"]", "[\"AA\",\"RD\",\"RA\"]", "[\"AA\",\"TC\"]", "[\"AA\",\"TC\",\"RA\"]",
    "[\"AA\",\"TC\",\"RD\"]", "[\"AA\",\"TC\",\"RD\",\"RA\"]",
  ]

  static func withType<Result>(_ number: UInt16, _ body: (Bytes) -> Result) -> Result {
    if let word = type(number) { return body(Bytes(word)) }
    return withNumbered("TYPE", number, body)
  }
  static func withClass<Result>(_ number: UInt16, _ body: (Bytes) -> Result) -> Result {
    switch number {
    case 1: body(Bytes("IN"))
    case 3: body(Bytes("CH"))
    case 4: body(Bytes("HS"))
    case 254: body(Bytes("NONE"))
    case 255: body(Bytes("ANY"))
    default: withNumbered("CLASS", number, body)
    }
  }
  static func withOpCode<Result>(_ number: UInt8, _ body: (Bytes) -> Result) -> Result {
    switch number {
    case 0: body(Bytes("QUERY"))
    case 1: body(Bytes("IQUERY"))
    case 2: body(Bytes("STATUS"))
    case 4: body(Bytes("NOTIFY"))
    case 5: body(Bytes("UPDATE"))
    case 6: body(Bytes("DSO"))
    default: withNumbered("OPCODE", UInt16(number), body)
    }
  }
  private static let responseCodes: [StaticString] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE", "DSOTYPENI",
  ]
  static func withResponseCode<Result>(_ number: UInt8, _ body: (Bytes) -> Result) -> Result {
    if Int(number) < responseCodes.count { return body(Bytes(responseCodes[Int(number)])) }
    return withNumbered("RCODE", UInt16(number), body)
  }

  private static func withNumbered<Result>(_ word: StaticString, _ number: UInt16, _ body: (Bytes) -> Result) -> Result {
    var text = HexText()
    for byte in Bytes(word) { text.append(byte) }
    var divisor: UInt16 = 10_000
    while divisor > 1, number < divisor { divisor /= 10 }
    while divisor > 0 {
      text.append(0x30 + UInt8(number / divisor % 10))
      divisor /= 10
    }
    return text.withBytes(body)
  }

  private static func type(_ number: UInt16) -> StaticString? {
    switch number {
    case 1: "A"
    case 2: "NS"
    case 5: "CNAME"
    case 6: "SOA"
    case 10: "NULL"
    case 11: "WKS"
    case 12: "PTR"
    case 13: "HINFO"
    case 14: "MINFO"
    case 15: "MX"
    case 16: "TXT"
    case 17: "RP"
    case 18: "AFSDB"
    case 24: "SIG"
    case 25: "KEY"
    case 28: "AAAA"
    case 29: "LOC"
    case 33: "SRV"
    case 35: "NAPTR"
    case 36: "KX"
    case 37: "CERT"
    case 39: "DNAME"
    case 41: "OPT"
    case 42: "APL"
    case 43: "DS"
    case 44: "SSHFP"
    case 45: "IPSECKEY"
    case 46: "RRSIG"
    case 47: "NSEC"
    case 48: "DNSKEY"
    case 49: "DHCID"
    case 50: "NSEC3"
    case 51: "NSEC3PARAM"
    case 52: "TLSA"
    case 53: "SMIMEA"
    case 55: "HIP"
    case 59: "CDS"
    case 60: "CDNSKEY"
    case 61: "OPENPGPKEY"
    case 62: "CSYNC"
    case 63: "ZONEMD"
    case 64: "SVCB"
    case 65: "HTTPS"
    case 99: "SPF"
    case 108: "EUI48"
    case 109: "EUI64"
    case 249: "TKEY"
    case 250: "TSIG"
    case 251: "IXFR"
    case 252: "AXFR"
    case 255: "ANY"
    case 256: "URI"
    case 257: "CAA"
    case 32768: "TA"
    case 32769: "DLV"
    default: nil
    }
  }
}
