// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A file that appears at its path complete or not at all.
///
/// Bytes go to a temporary file in the same folder; `commit` makes them durable and renames it. An object that goes away
/// without `commit` removes the temporary file and leaves what was at the path before.
package final class AtomicFile {
  package let path: String
  private let temporaryPath: String
  private var descriptor: Int32
  private var isCommitted = false

  /// Creates the temporary file.
  package init(path: String) throws(FormatError) {
    self.path = path
    for _ in 0..<16 {
      let candidate = "\(path).\(String(UInt32.random(in: .min ... .max), radix: 16)).tmp"
      let descriptor = open(candidate, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
      if descriptor >= 0 {
        temporaryPath = candidate
        self.descriptor = descriptor
        return
      }
      guard errno == EEXIST else { break }
    }
    throw .cannotWrite(path: path, reason: String(cString: strerror(errno)))
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
    if !isCommitted { unlink(temporaryPath) }
  }

  /// Appends all of `bytes`.
  package func write(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let chunk = UnsafeRawBufferPointer(rebasing: rest)
      let written = Glibc.write(descriptor, chunk.baseAddress, chunk.count)
      guard written >= 0 else {
        if errno == EINTR { continue }
        throw failure()
      }
      rest = rest.dropFirst(written)
    }
  }

  /// Makes the bytes durable and gives the file its name. Nothing may be written afterwards.
  package func commit() throws(FormatError) {
    guard fsync(descriptor) == 0 else { throw failure() }
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0, rename(temporaryPath, path) == 0 else { throw failure() }
    isCommitted = true
    // The new name is an entry of the folder, which is durable only after the folder was synchronised too. File systems
    // that cannot do that report an error here although the file is complete.
    let folder = open(path.lastIndex(of: "/").map { String(path[...$0]) } ?? ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if folder >= 0 {
      fsync(folder)
      close(folder)
    }
  }

  private func failure() -> FormatError { .cannotWrite(path: path, reason: String(cString: strerror(errno))) }
}
