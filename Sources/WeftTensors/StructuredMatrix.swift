// SPDX-License-Identifier: Apache-2.0

/// A matrix [out, in] that multiplies a vector in a form smaller or faster than its elements.
package struct StructuredMatrix: Sendable {
  package enum Form: Sendable {
    /// [out, in] in F32, F16 or BF16.
    case dense(Tensor)
  }

  package let form: Form

  /// The matrix itself: F32, F16 or BF16; nil for anything else.
  package init?(dense matrix: Tensor) {
    guard matrix.shape.count == 2, matrix.elementCount > 0, [.f32, .f16, .bf16].contains(matrix.dtype) else { return nil }
    form = .dense(matrix)
  }

  package var outputSize: Int {
    switch form {
    case .dense(let matrix): matrix.rows
    }
  }

  package var inputSize: Int {
    switch form {
    case .dense(let matrix): matrix.columns
    }
  }

  /// Bytes of the factors.
  package var byteCount: Int {
    switch form {
    case .dense(let matrix): matrix.byteCount
    }
  }

  /// The name of the form in messages and listings.
  package var formName: String {
    switch form {
    case .dense: "dense"
    }
  }

  /// Floats of scratch memory that `apply` needs.
  package var scratchCount: Int {
    switch form {
    case .dense: 0
    }
  }

  /// All elements, [out * in] row-major. Not for the request path.
  package func materialize() -> [Float] {
    switch form {
    case .dense(let matrix): matrix.floats()
    }
  }
}
