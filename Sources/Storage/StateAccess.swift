// What a program that prepares the state directory may do to it before it opens the store.
import Glibc

extension DecisionStore {
  /// Makes the directory with mode 0700 where it is missing. Throws where it, or what is there, is not ours alone.
  public static func makeDirectory(_ path: String) throws(StorageError) { _ = try StateDirectory(path: path, readOnly: false) }

  /// Throws `.locked`, with the process, while another one has the store of `directory` open for writing. Makes nothing.
  public static func refuseSecondWriter(in directory: String) throws(StorageError) {
    try StateDirectory.refuseSecondWriter(in: directory)
  }
}
