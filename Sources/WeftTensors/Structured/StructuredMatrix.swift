// SPDX-License-Identifier: Apache-2.0

internal import CWeftKernels

/// A matrix D [out, in] in a small form: a product of small matrices, a few elements, signs, a transform.
///
/// `apply` never builds D; its memory is the factors and `scratchCount` floats. It owns copies of its factors (a `dense` one may
/// share the storage of its tensor) and never changes, so that threads may share it. The arithmetic is that of `structured.h`.
package final class StructuredMatrix: @unchecked Sendable {
  /// What the factors are.
  package enum Form: String, Sendable, CaseIterable {
    /// A whole matrix.
    case dense
    /// Some whole rows.
    case rows
    /// Some elements.
    case sparse
    /// +1 or -1 for every element.
    case signs
    /// The elementwise product of two low-rank matrices.
    case hadamard
    /// The Kronecker product of two matrices, each of them whole or of low rank.
    case kronecker
    /// Blocks that are circulant matrices.
    case circulant
    /// The real part of the inverse Fourier transform of some elements.
    case fourier
    /// The wavelet synthesis of some elements.
    case wavelet
    /// A small core between two bases that other operators share.
    case basis
    /// Factors that other operators share, under masks of bits.
    case masked
  }

  /// The description for the kernel, whose pointers are into `owned`.
  enum Factors {
    case dense(weft_dense)
    case rows(weft_rows)
    case sparse(weft_sparse)
    case signs(weft_signs)
    case hadamard(weft_hadamard)
    case kronecker(weft_kronecker)
    /// With the kernel [block rows, block columns, b] itself.
    case circulant(weft_circulant, kernel: UnsafePointer<Float>)
    case fourier(weft_fourier)
    case wavelet(weft_wavelet)
    case basis(weft_basis)
    case masked(weft_masked)
  }

  package let form: Form
  /// The name of the form in messages and listings.
  package var formName: String { form.rawValue }
  package let outputSize: Int
  package let inputSize: Int
  /// Floats of scratch memory that one call of `apply` needs.
  package let scratchCount: Int
  /// Bytes of the factors. What operators share is not counted: tables of transforms, common bases and factors.
  package let byteCount: Int
  /// The matrix itself, where the form is `dense`.
  package let dense: Tensor?
  let factors: Factors
  /// What the pointers point to.
  package let owned: [Storage]

  init(_ factors: Factors, out: Int, in inputs: Int, byteCount: Int, owned: [Storage], dense: Tensor? = nil) {
    self.factors = factors
    self.dense = dense
    self.owned = owned
    self.byteCount = byteCount
    outputSize = out
    inputSize = inputs
    switch factors {
    case .dense(var op): (form, scratchCount) = (.dense, weft_dense_scratch(&op))
    case .rows(var op): (form, scratchCount) = (.rows, weft_rows_scratch(&op))
    case .sparse(var op): (form, scratchCount) = (.sparse, weft_sparse_scratch(&op))
    case .signs(var op): (form, scratchCount) = (.signs, weft_signs_scratch(&op))
    case .hadamard(var op): (form, scratchCount) = (.hadamard, weft_hadamard_scratch(&op))
    case .kronecker(var op): (form, scratchCount) = (.kronecker, weft_kronecker_scratch(&op))
    case .circulant(var op, _): (form, scratchCount) = (.circulant, weft_circulant_scratch(&op))
    case .fourier(var op): (form, scratchCount) = (.fourier, weft_fourier_scratch(&op))
    case .wavelet(var op): (form, scratchCount) = (.wavelet, weft_wavelet_scratch(&op))
    case .basis(var op): (form, scratchCount) = (.basis, weft_basis_scratch(&op))
    case .masked(var op): (form, scratchCount) = (.masked, weft_masked_scratch(&op))
    }
  }

  /// y[i] += weight * (D x)[rows.lowerBound + i] for every i of `rows`.
  ///
  /// The value of a row does not depend on which other rows are asked for; forms with a step before the rows (all but dense,
  /// rows, sparse and signs) repeat that step in every call.
  /// - Parameters:
  ///   - x: `inputSize` values.
  ///   - y: `rows.count` values, overlapping neither `x` nor `scratch`.
  ///   - rows: within 0..<outputSize.
  ///   - scratch: room for `scratchCount` floats, of one thread.
  package func apply(
    _ x: UnsafePointer<Float>, addingTo y: UnsafeMutablePointer<Float>, weight: Float, rows: Range<Int>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    precondition(rows.lowerBound >= 0 && rows.upperBound <= outputSize)
    let (begin, end) = (rows.lowerBound, rows.upperBound)
    switch factors {
    case .dense(var op): weft_dense_apply(&op, y, x, weight, begin, end, scratch)
    case .rows(var op): weft_rows_apply(&op, y, x, weight, begin, end, scratch)
    case .sparse(var op): weft_sparse_apply(&op, y, x, weight, begin, end, scratch)
    case .signs(var op): weft_signs_apply(&op, y, x, weight, begin, end, scratch)
    case .hadamard(var op): weft_hadamard_apply(&op, y, x, weight, begin, end, scratch)
    case .kronecker(var op): weft_kronecker_apply(&op, y, x, weight, begin, end, scratch)
    case .circulant(var op, _): weft_circulant_apply(&op, y, x, weight, begin, end, scratch)
    case .fourier(var op): weft_fourier_apply(&op, y, x, weight, begin, end, scratch)
    case .wavelet(var op): weft_wavelet_apply(&op, y, x, weight, begin, end, scratch)
    case .basis(var op): weft_basis_apply(&op, y, x, weight, begin, end, scratch)
    case .masked(var op): weft_masked_apply(&op, y, x, weight, begin, end, scratch)
    }
  }
}

/// Factors that do not make up an operator, or memory that could not be had.
package enum StructuredError: Error, Equatable, Sendable, CustomStringConvertible {
  /// `factor` is the operator's own word for the tensor or number.
  case malformed(factor: String, expected: String, found: String)
  case storage(StorageError)

  package var description: String {
    switch self {
    case .malformed(let factor, let expected, let found): "\(factor): expected \(expected), found \(found)"
    case .storage(let error): error.description
    }
  }
}
