// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// Which chunks of a mapped pack have been compared with their hashes. Threads may ask at the same time.
final class VerifiedChunks: Sendable {
  private let flags: Mutex<[Bool]>

  init(count: Int) { flags = Mutex([Bool](repeating: false, count: count)) }

  func contains(_ chunk: Int) -> Bool { flags.withLock { $0[chunk] } }

  func insert(_ chunk: Int) { flags.withLock { $0[chunk] = true } }
}
