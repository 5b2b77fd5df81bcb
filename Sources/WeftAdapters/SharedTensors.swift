// SPDX-License-Identifier: Apache-2.0

internal import Synchronization
internal import WeftFormats
internal import WeftTensors

/// Tensors of packs that several members name: those that are in memory are not read again.
///
/// It holds nothing alive: a tensor's memory is free when the last adapter that uses it is. Threads may share it.
package final class SharedTensors: Sendable {
  private struct Key: Hashable {
    let pack: ContentHash
    let number: Int
  }

  private struct Entry {
    weak var storage: Storage?
    let tensor: @Sendable (Storage) -> Tensor?
  }

  private let entries = Mutex<[Key: Entry]>([:])

  package init() {}

  /// The tensor of a pack with this number: as it is in memory, or as `read` gives it.
  func tensor(
    _ number: Int, of pack: PackFile, _ read: () throws(AdapterError) -> Tensor
  ) throws(AdapterError) -> Tensor {
    let key = Key(pack: pack.contentHash, number: number)
    let known = entries.withLock { entries in entries[key].flatMap { entry in entry.storage.flatMap(entry.tensor) } }
    if let known { return known }
    let tensor = try read()
    let (dtype, shape, offset, scale) = (tensor.dtype, tensor.shape, tensor.offset, tensor.scale)
    entries.withLock { entries in
      entries = entries.filter { $0.value.storage != nil }
      entries[key] = Entry(storage: tensor.storage) {
        Tensor(dtype: dtype, shape: shape, storage: $0, offset: offset, scale: scale)
      }
    }
    return tensor
  }
}
