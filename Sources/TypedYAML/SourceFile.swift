// Reading a small file whole, for rules and configuration: regular files only (a FIFO or a device would block), bounded in size. And what
// is in a directory, in an order that no file system decides.
import Glibc
import Primitives

/// The bytes of a regular file of at most `limit` bytes, or what to tell the operator.
public func readDocumentFile(_ path: String, limit: Int = Limits.documentBytes) -> Result<[UInt8], DocumentFileError> {
  read(path, limit, isOwned: false)
}
/// The same of a program's own configuration: one that others than root and the program's user may write is refused.
public func readOwnedDocumentFile(_ path: String) -> Result<[UInt8], DocumentFileError> { read(path, Limits.documentBytes, isOwned: true) }

private func read(_ path: String, _ limit: Int, isOwned: Bool) -> Result<[UInt8], DocumentFileError> {
  func failure(_ message: String, hint: String = "") -> Result<[UInt8], DocumentFileError> {
    .failure(DocumentFileError(diagnostic: Diagnostic(.error, SourceLocation(file: path), message, hint: hint)))
  }
  let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
  guard descriptor >= 0 else { return failure("cannot open: \(errorText(errno))") }
  defer { close(descriptor) }
  var status = stat()
  guard fstat(descriptor, &status) == 0 else { return failure("cannot read: \(errorText(errno))") }
  guard status.st_mode & S_IFMT == S_IFREG else { return failure("is not a regular file") }
  guard status.st_size <= limit else { return failure("the file has \(status.st_size) bytes, more than the \(limit) that are read") }
  if isOwned {
    if status.st_mode & (S_IWGRP | S_IWOTH) != 0 { return failure("others may write this file", hint: "chmod go-w it") }
    if status.st_uid != 0, status.st_uid != geteuid() { return failure("this file belongs to user \(status.st_uid)", hint: "chown root it") }
  }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 64 * 1024)
  while true {
    let count = Glibc.read(descriptor, &buffer, buffer.count)
    if count < 0 {
      if errno == EINTR { continue }
      return failure("cannot read: \(errorText(errno))")
    }
    if count == 0 { return .success(bytes) }
    bytes.append(contentsOf: buffer[..<count])
    guard bytes.count <= limit else { return failure("the file has more than the \(limit) bytes that are read") }
  }
}

/// The names in a directory but "." and "..", sorted by their bytes; nil, with errno, where it cannot be opened.
public func directoryNames(_ path: String) -> [String]? {
  guard let handle = opendir(path) else { return nil }
  defer { closedir(handle) }
  var names: [String] = []
  while let entry = readdir(handle) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
    if name != ".", name != ".." { names.append(name) }
  }
  return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
}

public struct DocumentFileError: Error {
  public var diagnostic: Diagnostic
  public init(diagnostic: Diagnostic) { self.diagnostic = diagnostic }
}

/// What the C library says about an errno.
public func errorText(_ code: Int32) -> String { strerror(code).map { String(cString: $0) } ?? "error \(code)" }
