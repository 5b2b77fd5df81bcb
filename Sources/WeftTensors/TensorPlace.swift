// SPDX-License-Identifier: Apache-2.0

/// Where a tensor lies in memory, and as what: tensors that are alive and have equal places are the same.
package struct TensorPlace: Hashable, Sendable {
  private let storage: ObjectIdentifier
  private let offset: Int
  private let shape: [Int]
  private let dtype: DType
  private let scale: Float

  package init(_ tensor: Tensor) {
    storage = ObjectIdentifier(tensor.storage)
    offset = tensor.offset
    shape = tensor.shape
    dtype = tensor.dtype
    scale = tensor.scale
  }
}
