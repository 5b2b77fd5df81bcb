// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// A delta of low rank: scale * B A (LoRA, https://arxiv.org/abs/2106.09685).
///
/// The factors stay as they are stored: F32, F16, BF16, Q8_0, Q4_0 or ternary. Arithmetic on floats is at least F32, as in PEFT;
/// compressed ones are multiplied with activations in int8 blocks.
package struct LowRank: Sendable {
  /// [rank, in]
  package let a: Tensor
  /// [out, rank]; of a quantised one the columns may be padded to whole blocks. What they hold there has no effect.
  package let b: Tensor
  package let scale: Float

  /// Checks that the two matrices belong together and that no size is zero. The values are not looked at.
  package init(a: Tensor, b: Tensor, scale: Float) throws(DeltaError) {
    for (name, factor) in [("a", a), ("b", b)] {
      guard factor.shape.count == 2, factor.elementCount > 0 else {
        throw .malformed(factor: name, expected: "a matrix that is not empty", found: "shape \(factor.shape)")
      }
      guard LowRank.types.contains(factor.dtype) else {
        throw .malformed(factor: name, expected: "F32, F16, BF16, Q8_0, Q4_0 or ternary", found: factor.dtype.name)
      }
    }
    let unit = b.dtype.blockElements
    guard b.shape[1] == a.shape[0] || b.shape[1] == (a.shape[0] + unit - 1) / unit * unit else {
      throw .malformed(factor: "b", expected: "\(a.shape[0]) columns, as a has rows", found: "shape \(b.shape)")
    }
    guard Tensor.elementCount(of: [b.shape[0], a.shape[1]]) != nil else {
      throw .malformed(factor: "b", expected: "a product of fewer than 2^63 elements", found: "shape \(b.shape)")
    }
    let whole = scale * a.scale * b.scale
    guard whole.isFinite else { throw .malformed(factor: "scale", expected: "a finite number", found: "\(whole)") }
    self.a = a
    self.b = b
    self.scale = scale
  }

  /// The types that factors may have.
  package static let types: [DType] = [.f32, .f16, .bf16, .q8_0, .q4_0, .ternary]

  /// Whether A x, scaled, is the same for both: A is the same tensor in memory, and the scales are the same.
  package func sharesInput(with other: LowRank) -> Bool {
    TensorPlace(a) == TensorPlace(other.a) && scale == other.scale && b.scale == other.b.scale
  }

  /// A as numbers, [rank * in].
  package func valuesOfA() -> [Float] { a.floats() }

  /// B as numbers, [out * rank], without the columns that pad it.
  package func valuesOfB() -> [Float] {
    let values = b.floats()
    guard b.columns != rank else { return values }
    return (0..<outputSize).flatMap { values[$0 * b.columns..<$0 * b.columns + rank] }
  }

  package var rank: Int { a.shape[0] }
  package var inputSize: Int { a.shape[1] }
  package var outputSize: Int { b.shape[0] }
  /// Bytes of both factors, as stored.
  package var byteCount: Int { a.byteCount + b.byteCount }

  /// Several of one weight as one of their ranks together, exactly: scales go into B, in F32. There is at least one.
  package init(sumOf terms: [LowRank]) throws(DeltaError) {
    let (out, width) = (terms[0].outputSize, terms[0].inputSize)
    guard terms.allSatisfy({ $0.outputSize == out && $0.inputSize == width }) else {
      throw .malformed(factor: "a", expected: "terms of [\(out), \(width)]", found: "others")
    }
    let rank = terms.reduce(0) { $0 + $1.rank }
    var b = [Float](repeating: 0, count: out * rank)
    var first = 0
    for term in terms {
      let values = term.valuesOfB()
      for o in 0..<out {
        for r in 0..<term.rank { b[o * rank + first + r] = term.scale * values[o * term.rank + r] }
      }
      first += term.rank
    }
    do {
      try self.init(
        a: Tensor(terms.flatMap { $0.valuesOfA() }, shape: [rank, width]), b: Tensor(b, shape: [out, rank]), scale: 1)
    } catch let error as DeltaError { throw error } catch {
      throw .malformed(factor: "a", expected: "memory for \(rank) x \(width + out) numbers", found: "\(error)")
    }
  }
}
