// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// p += scale * D x with a structured matrix D: Kronecker, Hadamard, circulant, Fourier, sparse and so on, or plainly dense.
package struct StructuredDelta: Sendable {
  package let matrix: StructuredMatrix
  package let scale: Float
  /// The rows of D that belong to this weight: all, or those of one part of a fused module.
  package let rows: Range<Int>

  /// - Parameter rows: all rows when nil.
  package init(_ matrix: StructuredMatrix, scale: Float, rows: Range<Int>? = nil) throws(DeltaError) {
    guard scale.isFinite else { throw .malformed(factor: "scale", expected: "a finite number", found: "\(scale)") }
    let rows = rows ?? 0..<matrix.outputSize
    guard rows.lowerBound >= 0, rows.upperBound <= matrix.outputSize, !rows.isEmpty else {
      throw .malformed(factor: "rows", expected: "some of \(matrix.outputSize)", found: "\(rows)")
    }
    self.matrix = matrix
    self.scale = scale
    self.rows = rows
  }
}
