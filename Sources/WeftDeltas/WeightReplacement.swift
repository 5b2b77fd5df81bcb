// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// A matrix [out, in] that takes the place of a weight (PEFT's `modules_to_save`). There is one in a mixture, and it acts fully.
package struct WeightReplacement: Sendable {
  /// F32, F16 or BF16.
  package let weight: Tensor

  package init(_ weight: Tensor) throws(DeltaError) {
    guard weight.shape.count == 2, weight.elementCount > 0, [.f32, .f16, .bf16].contains(weight.dtype) else {
      throw .malformed(
        factor: "weight", expected: "a matrix in F32, F16 or BF16", found: "\(weight.dtype.name) \(weight.shape)")
    }
    self.weight = weight
  }
}
