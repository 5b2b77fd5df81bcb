// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas

/// What some rows of a file's tensor, or some numbers of a vector in it, are in the model.
package struct TensorUse: Sendable {
  package enum Part: Hashable, Sendable {
    case matrix(WeightSite)
    case bias(WeightSite)
    case normWeight(NormSite)
    case normBias(NormSite)
    case embedding
    /// Learned positions.
    case positions
  }

  package let part: Part
  /// The first row, or number, in the tensor. Of a transposed matrix: the first column.
  let first: Int
  /// Rows, or numbers.
  let count: Int
  /// For every row of the model the row of this part of the tensor that it comes from; nil for the identity.
  let rowMap: [Int32]?
  /// What is added to the file's numbers when they are read (Gemma's norms).
  let offset: Float
  /// Stored as [in, out].
  let isTransposed: Bool

  init(
    _ part: Part, first: Int, count: Int, rowMap: [Int32]? = nil, offset: Float = 0, isTransposed: Bool = false
  ) {
    self.part = part
    self.first = first
    self.count = count
    self.rowMap = rowMap
    self.offset = offset
    self.isTransposed = isTransposed
  }
}
