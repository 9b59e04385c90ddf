// Archives (zip, and tar plain or packed with gzip, xz, bzip2 or zstd) in memory -> the files in them, by libarchive.
// What must stay true: nothing is written anywhere; a name from an archive is only ever a label; links, devices and directories are
// left out; entries, unpacked bytes and the ratio of unpacking are bounded, counting also what is skipped.
// libarchive is loaded when the first archive is opened: the agent is the same program and never needs it, nor what it brings
// (libxml2 and with it ICU: 30 MiB of address space and 5 ms of every start).
import CArchive
import Glibc
import Primitives
import TypedYAML

public struct ArchiveEntry: Sendable {
  /// As the archive says it. A label; never a path.
  public var name: String
  public enum Content: Sendable {
    case bytes([UInt8])
    /// Not read, and why.
    case refused(String)
    /// A link or a device: there is nothing of its own to read.
    case shut(String)
  }
  public var content: Content
}

public enum Archive {
  /// What the first bytes say; nil: not an archive.
  public static func isArchive(_ bytes: [UInt8]) -> Bool {
    let magics: [[UInt8]] = [
      [0x50, 0x4b, 0x03, 0x04], [0x50, 0x4b, 0x05, 0x06], [0x1f, 0x8b], [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], [0x42, 0x5a, 0x68],
      [0x28, 0xb5, 0x2f, 0xfd],
    ]
    return magics.contains { bytes.starts(with: $0) } || bytes.count > 262 && bytes[257..<262].elementsEqual("ustar".utf8)
  }
  /// A zip that is a wheel has its metadata here.
  public static func isZip(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0x50, 0x4b]) }

  /// A zip ends with a directory of what is in it: its last record, with a comment of at most 64 KiB behind it.
  private static func hasDirectory(zip bytes: [UInt8]) -> Bool {
    let record = 22
    guard bytes.count >= record else { return false }
    var at = bytes.count - record
    let first = max(0, at - 0xffff)
    while at >= first {
      if bytes[at] == 0x50, bytes[at + 1] == 0x4b, bytes[at + 2] == 5, bytes[at + 3] == 6 { return true }
      at -= 1
    }
    return false
  }

  /// The regular files for which `wants` gives a limit in bytes, in the archive's order. A damaged entry is refused alone where the
  /// rest can still be read; a damaged or excessive archive is an error with no files.
  public static func files(in bytes: [UInt8], file: String, wants: (_ name: String) -> Int?) -> Result<[ArchiveEntry], DocumentFileError> {
    func failure(_ message: String, hint: String = "") -> DocumentFileError {
      DocumentFileError(diagnostic: Diagnostic(.error, SourceLocation(file: file), message, hint: hint))
    }
    guard let library = LibArchive.shared else {
      return .failure(failure("archives need libarchive, which is not installed", hint: "apt-get install libarchive13, or unpack it first"))
    }
    guard !isZip(bytes) || hasDirectory(zip: bytes) else {
      return .failure(failure("the zip archive has no directory at its end: it is cut short"))
    }
    guard let archive = library.new() else { return .failure(failure("no memory to read the archive")) }
    defer { _ = library.free(archive) }
    for support in library.supports { _ = support(archive) }
    return bytes.withUnsafeBytes { input in
      guard library.openMemory(archive, input.baseAddress, input.count) == ARCHIVE_OK else {
        return .failure(failure("not an archive that can be read: \(library.problem(archive))"))
      }
      do throws(DocumentFileError) {
        var reading = Reading(library: library, archive: archive, packedBytes: Int64(input.count), failure: { failure($0) })
        try reading.run(wants: wants)
        return .success(reading.entries)
      } catch {
        return .failure(error)
      }
    }
  }
}

private struct Reading {
  let library: LibArchive
  let archive: OpaquePointer
  let packedBytes: Int64
  let failure: (String) -> DocumentFileError
  var entries: [ArchiveEntry] = []
  var total: Int64 = 0

  mutating func run(wants: (String) -> Int?) throws(DocumentFileError) {
    var count = 0
    while true {
      var entry: OpaquePointer?
      let status = library.nextHeader(archive, &entry)
      if status == ARCHIVE_EOF { return }
      guard status == ARCHIVE_OK || status == ARCHIVE_WARN, let entry else {
        throw failure("the archive is damaged after \(count) entries: \(library.problem(archive))")
      }
      count += 1
      guard count <= Limits.archiveEntries else { throw failure("the archive has more than \(Limits.archiveEntries) entries") }
      let given = library.name(entry) ?? ""
      let name = given.isEmpty ? "entry \(count)" : given
      // Names are kept, and an archive may make them long.
      try spend(Int64(name.utf8.count))
      let isFile = library.fileType(entry) == S_IFREG && library.hardlink(entry) == nil
      let declared = library.sizeIsSet(entry) != 0 ? max(0, library.size(entry)) : 0
      guard isFile else {
        try spend(declared)
        if library.fileType(entry) != S_IFDIR { entries.append(ArchiveEntry(name: name, content: .shut(Self.kind(library, entry)))) }
        continue
      }
      guard let limit = wants(name) else {
        // Skipping costs unpacking too, where the whole archive is one packed stream.
        try spend(declared)
        if given.isEmpty { entries.append(ArchiveEntry(name: name, content: .shut("it has no name"))) }
        continue
      }
      guard declared <= Int64(limit) else {
        try spend(declared)
        entries.append(ArchiveEntry(name: name, content: .refused("it has \(declared) bytes, more than the \(limit) that are read")))
        continue
      }
      entries.append(ArchiveEntry(name: name, content: try read(limit: limit)))
    }
  }

  private static func kind(_ library: LibArchive, _ entry: OpaquePointer) -> String {
    library.hardlink(entry) != nil || library.fileType(entry) == S_IFLNK ? "a link, which is not followed" : "no regular file"
  }

  private mutating func spend(_ bytes: Int64) throws(DocumentFileError) {
    total = total.addingReportingOverflow(bytes).overflow ? .max : total + bytes
    guard total <= Limits.archiveTotalBytes else {
      throw failure("the archive unpacks to more than \(Limits.archiveTotalBytes) bytes")
    }
    guard total <= 1 << 20 || total <= packedBytes.multipliedReportingOverflow(by: Limits.archiveRatio).partialValue else {
      throw failure("the archive unpacks to more than \(Limits.archiveRatio) times its size: that is no set of rules")
    }
  }

  private mutating func read(limit: Int) throws(DocumentFileError) -> ArchiveEntry.Content {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    while true {
      let count = library.readData(archive, &buffer, buffer.count)
      if count == 0 { return .bytes(bytes) }
      if count < 0 {
        let problem = library.problem(archive)
        if count == Int(ARCHIVE_FATAL) { throw failure("the archive is damaged: \(problem)") }
        return .refused("it is damaged: \(problem)")
      }
      try spend(Int64(count))
      guard bytes.count + count <= limit else { return .refused("it has more than the \(limit) bytes that are read") }
      bytes.append(contentsOf: buffer[..<count])
    }
  }
}

/// The functions of libarchive that are used, found by name in the library of the system.
private struct LibArchive: @unchecked Sendable {
  typealias Simple = @convention(c) (OpaquePointer?) -> Int32
  let new: @convention(c) () -> OpaquePointer?
  let free: Simple
  let supports: [Simple]
  let openMemory: @convention(c) (OpaquePointer?, UnsafeRawPointer?, Int) -> Int32
  let nextHeader: @convention(c) (OpaquePointer?, UnsafeMutablePointer<OpaquePointer?>?) -> Int32
  let readData: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?, Int) -> Int
  private let errorString: @convention(c) (OpaquePointer?) -> UnsafePointer<CChar>?
  private let pathname: @convention(c) (OpaquePointer?) -> UnsafePointer<CChar>?
  private let pathnameUTF8: @convention(c) (OpaquePointer?) -> UnsafePointer<CChar>?
  let hardlink: @convention(c) (OpaquePointer?) -> UnsafePointer<CChar>?
  let fileType: @convention(c) (OpaquePointer?) -> UInt32
  let size: @convention(c) (OpaquePointer?) -> Int64
  let sizeIsSet: Simple

  /// nil where libarchive is not installed.
  static let shared: LibArchive? = LibArchive()

  private init?() {
    guard let library = dlopen("libarchive.so.13", RTLD_NOW | RTLD_LOCAL) else { return nil }
    func function<F>(_ name: String, _ type: F.Type) -> F? { dlsym(library, name).map { unsafeBitCast($0, to: type) } }
    let formats = ["filter_gzip", "filter_xz", "filter_bzip2", "filter_zstd", "format_zip", "format_tar"]
    let supports = formats.compactMap { function("archive_read_support_\($0)", Simple.self) }
    guard supports.count == formats.count,
      let new = function("archive_read_new", (@convention(c) () -> OpaquePointer?).self),
      let free = function("archive_read_free", Simple.self),
      let openMemory = function(
        "archive_read_open_memory", (@convention(c) (OpaquePointer?, UnsafeRawPointer?, Int) -> Int32).self),
      let nextHeader = function(
        "archive_read_next_header", (@convention(c) (OpaquePointer?, UnsafeMutablePointer<OpaquePointer?>?) -> Int32).self),
      let readData = function("archive_read_data", (@convention(c) (OpaquePointer?, UnsafeMutableRawPointer?, Int) -> Int).self),
      let errorString = function("archive_error_string", (@convention(c) (OpaquePointer?) -> UnsafePointer<CChar>?).self),
      let pathname = function("archive_entry_pathname", (@convention(c) (OpaquePointer?) -> UnsafePointer<CChar>?).self),
      let pathnameUTF8 = function("archive_entry_pathname_utf8", (@convention(c) (OpaquePointer?) -> UnsafePointer<CChar>?).self),
      let hardlink = function("archive_entry_hardlink", (@convention(c) (OpaquePointer?) -> UnsafePointer<CChar>?).self),
      let fileType = function("archive_entry_filetype", (@convention(c) (OpaquePointer?) -> UInt32).self),
      let size = function("archive_entry_size", (@convention(c) (OpaquePointer?) -> Int64).self),
      let sizeIsSet = function("archive_entry_size_is_set", Simple.self)
    else { return nil }
    self.new = new
    self.free = free
    self.supports = supports
    self.openMemory = openMemory
    self.nextHeader = nextHeader
    self.readData = readData
    self.errorString = errorString
    self.pathname = pathname
    self.pathnameUTF8 = pathnameUTF8
    self.hardlink = hardlink
    self.fileType = fileType
    self.size = size
    self.sizeIsSet = sizeIsSet
  }

  func problem(_ archive: OpaquePointer) -> String { errorString(archive).map { shown(String(cString: $0)) } ?? "damaged" }
  func name(_ entry: OpaquePointer) -> String? { (pathnameUTF8(entry) ?? pathname(entry)).map { String(cString: $0) } }
}
