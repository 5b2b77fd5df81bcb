// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTensors

/// The scalar kernels against products in f64. The other tiers have the scalar's bits.
struct MatmulAccuracyTests {
  static let (rows, count) = (27, 5)

  /// A product by the scalar kernel, and in f64: of the dequantised weights with `x`, which are the activations that the kernel read
  /// as they were given, or as they are after rounding to int8.
  static func product(_ dtype: DType, columns: Int, rounded: Bool, _ difficulty: Tensor.Difficulty = .plain, seed: UInt64)
    throws
    -> (found: [Float], expected: [Float])
  {
    var generator = SeededGenerator(seed: seed)
    let tensor = try Tensor.random(dtype, rows: rows, columns: columns, difficulty, using: &generator)
    let matrix = try PackedMatrix(tensor, pool: ThreadPool(threads: 1))
    let scalar = Kernels(isa: .scalar)
    let floats = generator.floats(count * columns)
    let x = try ActivationRows(floats, columns: columns, as: matrix.view.inputForm, padding: 0, kernels: scalar)
    var y = [Float](repeating: 0, count: count * 32)
    withExtendedLifetime((matrix, x)) {
      scalar.multiply(
        &y, yStride: 32, matrix.view, x.storage.base, xStride: x.stride, tiles: 0..<2, rows: count, accumulate: false)
    }
    let (weights, activations) = (referenceFloats(tensor), rounded ? x.values : floats)
    let expected = (0..<count * 32).map { index in
      let (t, r) = (index / 32, index % 32)
      var sum = 0.0
      for c in 0..<columns where r < rows { sum += Double(weights[r * columns + c]) * Double(activations[t * columns + c]) }
      return Float(sum)
    }
    return (y, expected)
  }

  @Test(arguments: weightFormats) func scalarIsTheFormula(dtype: DType) throws {
    let (found, expected) = try Self.product(dtype, columns: max(96, dtype.blockElements), rounded: true, seed: 5)
    // Measured: 3.05e-7 (F32, F16), 2.3e-7 (BF16), at most 1.57e-7 (Q8_0) with blocks.
    #expect(relativeError(found, expected) <= (dtype.isQuantized ? 3.2e-7 : 6.1e-7))
  }

  @Test(arguments: quantizedFormats) func scalarIsTheFormulaForScalesOfAllMagnitudes(dtype: DType) throws {
    let (found, expected) = try Self.product(dtype, columns: 512, rounded: true, .extremeScales, seed: 25)
    // Measured: at most 1.83e-7 (IQ4_XS).
    #expect(relativeError(found, expected) <= 3.7e-7)
  }

  /// What rounding the activations to int8 costs: the largest error of 135 outputs of 1024 columns, uniform activations in -1 ... 1,
  /// relative to the largest output. Formats with a minimum have weights of one sign here, so their outputs are larger.
  static let measuredRounding: [DType: Float] = [
    .q8_0: 0.0033, .q4_0: 0.0051, .q4_1: 0.0036, .q5_0: 0.0052, .q5_1: 0.0059, .q2_k: 0.0042, .q3_k: 0.0063, .q4_k: 0.0046,
    .q5_k: 0.0041, .q6_k: 0.0025, .iq4_nl: 0.0048, .iq4_xs: 0.0040, .tq1_0: 0.0044, .tq2_0: 0.0047, .mxfp4: 0.0038,
    .ternary: 0.0045,
  ]

  @Test(arguments: quantizedFormats) func roundingActivationsCostsLittle(dtype: DType) throws {
    let (found, expected) = try Self.product(dtype, columns: 1024, rounded: false, seed: 6)
    #expect(relativeError(found, expected) <= 2 * (try #require(Self.measuredRounding[dtype])))
  }
}
