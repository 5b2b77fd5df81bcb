// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A file that appears at its path complete or not at all.
///
/// Bytes go to a file without a name in the same folder; `commit` makes them durable and gives it the name, in place of what
/// had it before. Without `commit` nothing is left: also when the process is killed. File systems that have no files
/// without names get one with a temporary name, which goes away with this object.
package final class AtomicFile {
  package let path: String
  /// The temporary name; empty as long as the file has none.
  private var temporaryPath = ""
  private var descriptor: Int32
  private var isCommitted = false

  private var folder: String { path.lastIndex(of: "/").map { String(path[...$0]) } ?? "." }

  /// Creates the file without a name. What is at the path has to be a regular file, or nothing.
  package init(path: String) throws(FormatError) {
    self.path = path
    descriptor = -1
    var status = stat()
    if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
      throw .cannotWrite(path: path, reason: "expected a regular file or nothing there, found something else")
    }
    descriptor = open(folder, AtomicFile.withoutName | O_WRONLY | O_CLOEXEC, 0o666)
    if descriptor >= 0, access(linkSource, F_OK) == 0 { return }
    if descriptor >= 0 { close(descriptor) }
    descriptor = try takeTemporaryName { open($0, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666) }
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
    if !isCommitted, !temporaryPath.isEmpty { unlink(temporaryPath) }
  }

  /// Linux's O_TMPFILE, whose definition Swift does not import.
  private static let withoutName: Int32 = 0o20000000 | O_DIRECTORY

  /// Where the system shows the open file, so that it can be given a name.
  private var linkSource: String { "/proc/self/fd/\(descriptor)" }

  /// Calls `create` with temporary names until one is free; it returns a negative number on failure.
  private func takeTemporaryName(_ create: (String) -> Int32) throws(FormatError) -> Int32 {
    for _ in 0..<16 {
      let candidate = "\(path).\(String(UInt32.random(in: .min ... .max), radix: 16)).tmp"
      let result = create(candidate)
      if result >= 0 {
        temporaryPath = candidate
        return result
      }
      guard errno == EEXIST else { break }
    }
    throw failure()
  }

  /// Takes disk space for a file of exactly so many bytes: a full disk is found before the work is done.
  package func reserve(byteCount: Int) throws(FormatError) {
    let error = byteCount > 0 ? posix_fallocate(descriptor, 0, byteCount) : 0
    if error == ENOSPC || error == EFBIG || error == EDQUOT {
      throw .cannotWrite(path: path, reason: String(cString: strerror(error)))
    }
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

  /// Writes over bytes that were written before: a header, whose content is known last.
  package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FormatError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let chunk = UnsafeRawBufferPointer(rebasing: rest)
      let written = pwrite(descriptor, chunk.baseAddress, chunk.count, off_t(offset + rest.startIndex))
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
    if temporaryPath.isEmpty {
      let source = linkSource
      _ = try takeTemporaryName { linkat(AT_FDCWD, source, AT_FDCWD, $0, AT_SYMLINK_FOLLOW) }
    }
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0, rename(temporaryPath, path) == 0 else { throw failure() }
    isCommitted = true
    // The new name is an entry of the folder, which is durable only after the folder was synchronised too. File systems
    // that cannot do that report an error here although the file is complete.
    let entries = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if entries >= 0 {
      fsync(entries)
      close(entries)
    }
  }

  private func failure() -> FormatError { .cannotWrite(path: path, reason: String(cString: strerror(errno))) }
}
