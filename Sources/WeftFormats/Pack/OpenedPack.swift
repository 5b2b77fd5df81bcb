// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Synchronization

/// The pack that was opened last, for as long as its file is the same: the members of a library are read one by one, and its index
/// is as long as all of them. Threads may ask at the same time.
package final class OpenedPack: Sendable {
  /// What tells a file from another one, and from itself after a change.
  private struct Identity: Equatable {
    private let numbers: [Int]

    /// nil when nothing is there.
    init?(_ path: String) {
      var status = stat()
      guard stat(path, &status) == 0 else { return nil }
      numbers = [
        Int(status.st_dev), Int(status.st_ino), Int(status.st_size), status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
        status.st_ctim.tv_sec, status.st_ctim.tv_nsec,
      ]
    }
  }

  private let last = Mutex<(identity: Identity, path: String, pack: PackFile)?>(nil)

  package init() {}

  /// The pack at `path`, opened now unless it is open. One `OpenedPack` belongs to one policy.
  func pack(at path: String, policy: PackPolicy) throws(FormatError) -> PackFile {
    let identity = Identity(path)
    let known = last.withLock { last in last.flatMap { $0.identity == identity && $0.path == path ? $0.pack : nil } }
    if let known { return known }
    let pack = try PackFile(path: path, policy: policy)
    // A file that was exchanged in between is opened again the next time.
    if let identity { last.withLock { $0 = (identity, path, pack) } }
    return pack
  }
}
