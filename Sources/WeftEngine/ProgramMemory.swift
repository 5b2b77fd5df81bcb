// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
internal import WeftTensors

/// What the process has in memory besides a model: its code, libraries, and what it did before. Measured when the model's file
/// and tokenizer are open, so that the code that opens them is counted.
struct ProgramMemory {
  private let heapBefore = ProcessMemory.heapBytes

  /// Resident bytes without the heap that was taken since this value was made; nil where the system does not say. Pages of the
  /// checkpoint are given back first.
  func byteCount(besides checkpoint: Checkpoint) -> Int? {
    for tensor in checkpoint.tensors.values { tensor.storage.releasePages() }
    ProcessMemory.trimHeap()
    return ProcessMemory.residentBytes.map { max(0, $0 - max(0, ProcessMemory.heapBytes - heapBefore)) }
  }
}
