// Frames as blocks of a pcapng file (draft-ietf-opsawg-pcapng) in this host's byte order, with stamps in nanoseconds: what is written where
// frames of several interfaces go into one file. Pure. Texts are cut to what fits, never refused.
import Primitives

public enum PacketBlocks {
  /// A section begins: what follows is described by the interface blocks behind it. `application`: who writes.
  public static func appendSection(application: String, comment: String = "", to out: inout [UInt8]) {
    appendBlock(0x0a0d_0d0a, to: &out) { out in
      appendInteger(UInt32(0x1a2b_3c4d), to: &out)
      appendInteger(UInt16(1), to: &out)
      appendInteger(UInt16(0), to: &out)
      // The section's length: not told.
      appendInteger(UInt64.max, to: &out)
      appendOption(4, application, to: &out)
      if !comment.isEmpty { appendOption(1, comment, to: &out) }
      appendInteger(UInt32(0), to: &out)
    }
  }

  /// The next interface of the section; the first one has the number 0. `snapLength`: 0 where it is not known.
  public static func appendInterface(linkType: UInt32, snapLength: UInt32, name: String, to out: inout [UInt8]) {
    appendBlock(1, to: &out) { out in
      appendInteger(UInt16(truncatingIfNeeded: linkType), to: &out)
      appendInteger(UInt16(0), to: &out)
      appendInteger(snapLength, to: &out)
      if !name.isEmpty { appendOption(2, name, to: &out) }
      // if_tsresol: 10^-9 s.
      appendInteger(UInt16(9), to: &out)
      appendInteger(UInt16(1), to: &out)
      out += [9, 0, 0, 0]
      appendInteger(UInt32(0), to: &out)
    }
  }

  /// Bytes that a frame of `count` bytes takes.
  public static func bytes(ofFrame count: Int) -> Int { 32 + (count + 3) & ~3 }

  /// A frame of an interface of the section; stamps before 1970 become 1970.
  public static func appendFrame(_ bytes: Bytes, interface: UInt32, time: EventTime, wireBytes: UInt32, to out: inout [UInt8]) {
    let stamp = UInt64(clamping: time.nanoseconds)
    appendBlock(6, to: &out) { out in
      appendInteger(interface, to: &out)
      appendInteger(UInt32(truncatingIfNeeded: stamp >> 32), to: &out)
      appendInteger(UInt32(truncatingIfNeeded: stamp), to: &out)
      appendInteger(UInt32(bytes.count), to: &out)
      appendInteger(wireBytes, to: &out)
      out.append(contentsOf: bytes)
      appendPadding(bytes.count, to: &out)
    }
  }

  // MARK: Parts

  private static func appendBlock(_ type: UInt32, to out: inout [UInt8], _ body: (inout [UInt8]) -> Void) {
    let start = out.count
    appendInteger(type, to: &out)
    appendInteger(UInt32(0), to: &out)
    body(&out)
    let length = UInt32(out.count - start + 4)
    withUnsafeBytes(of: length) { out.replaceSubrange(start + 4..<start + 8, with: $0) }
    appendInteger(length, to: &out)
  }
  private static func appendOption(_ code: UInt16, _ text: String, to out: inout [UInt8]) {
    let value = text.utf8.prefix(1024)
    appendInteger(code, to: &out)
    appendInteger(UInt16(value.count), to: &out)
    out += value
    appendPadding(value.count, to: &out)
  }
  private static func appendPadding(_ count: Int, to out: inout [UInt8]) { for _ in 0..<(4 - count & 3) & 3 { out.append(0) } }
  private static func appendInteger<Value: FixedWidthInteger>(_ value: Value, to out: inout [UInt8]) {
    withUnsafeBytes(of: value) { out.append(contentsOf: $0) }
  }
}
