// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing
import WeftTensors

/// Norm, rotation, activation and the small loops: every tier against formulas in f64, over lengths with tails, nothing written
/// beyond the end.
struct ElementwiseKernelTests {
  /// Lengths around the 16 floats of a vector.
  static let lengths = Array(1...50) + [63, 64, 65, 127, 172, 288, 511]

  /// Runs `body` on a copy of `values` that is followed by poison, and checks that the poison stays.
  static func guarded(_ values: [Float], _ body: (UnsafeMutablePointer<Float>) -> Void) -> [Float] {
    var buffer = values + [Float](repeating: poison, count: 32)
    buffer.withUnsafeMutableBufferPointer { body($0.baseAddress!) }
    #expect(sameBits(Array(buffer[values.count...]), [Float](repeating: poison, count: 32)))
    return Array(buffer[..<values.count])
  }

  /// The largest relative difference of single elements.
  static func elementError(_ found: [Float], _ expected: [Double]) -> Float {
    zip(found, expected).reduce(0) { largest, pair in
      let difference = abs(Double(pair.0) - pair.1)
      return difference.isNaN ? .infinity : difference == 0 ? largest : max(largest, Float(difference / abs(pair.1)))
    }
  }

  @Test(arguments: availableTiers) func rmsNorm(isa: ISA) {
    let kernels = Kernels(isa: isa)
    var generator = SeededGenerator(seed: 8)
    var worst: Float = 0
    for count in Self.lengths {
      for (magnitude, epsilon): (Float, Float) in [(1, 1e-5), (1e-4, 1e-5), (300, 1e-6), (2, 0)] {
        let (x, w) = (generator.floats(count, in: -magnitude...magnitude), generator.floats(count, in: 0.1...2))
        let y = Self.guarded([Float](repeating: 0, count: count)) {
          kernels.rmsNorm($0, x, weight: w, count: count, epsilon: epsilon)
        }
        let square = x.reduce(0.0) { $0 + Double($1) * Double($1) }
        let inverse = 1 / (square / Double(count) + Double(epsilon)).squareRoot()
        worst = max(worst, Self.elementError(y, zip(w, x).map { Double($0) * Double($1) * inverse }))
      }
    }
    // Measured: 1.4e-7 with the f64 sum of scalar, 2.3e-7 with the f32 sums of the others.
    #expect(worst <= (isa == .scalar ? 2.8e-7 : 4.6e-7))
  }

  @Test(arguments: availableTiers) func rope(isa: ISA) {
    let kernels = Kernels(isa: isa)
    var generator = SeededGenerator(seed: 9)
    var worst: Float = 0
    for d in Array(stride(from: 2, through: 40, by: 2)) + [64, 80, 96, 126, 128, 256] {
      for heads in 1...5 {
        let angles = (0..<d / 2).map { _ in Double.random(in: -4...4, using: &generator) }
        let (cosines, sines) = (angles.map { Float(cos($0)) }, angles.map { Float(sin($0)) })
        let x = generator.floats(heads * d)
        let y = Self.guarded(x) { kernels.rope($0, cosSin: cosines + sines, heads: heads, headDimension: d, rotated: d) }
        var expected = x
        for h in 0..<heads {
          for i in 0..<d / 2 {
            let (low, high) = (h * d + i, h * d + d / 2 + i)
            let (a, b, c, s) = (Double(x[low]), Double(x[high]), Double(cosines[i]), Double(sines[i]))
            expected[low] = Float(a * c - b * s)
            expected[high] = Float(b * c + a * s)
          }
        }
        worst = max(worst, maximumDifference(y, expected))
      }
    }
    // Measured: 1.2e-7 on every tier.
    #expect(worst <= 2.4e-7)
  }

  @Test(arguments: availableTiers) func swiglu(isa: ISA) {
    let kernels = Kernels(isa: isa)
    var generator = SeededGenerator(seed: 10)
    var worst: Float = 0
    for count in Self.lengths {
      for magnitude: Float in [1, 20, 86] {
        let (gate, up) = (generator.floats(count, in: -magnitude...magnitude), generator.floats(count))
        let y = Self.guarded(gate) { kernels.swiglu($0, up: up, count: count) }
        let expected = zip(gate, up).map { Double($0) / (1 + exp(-Double($0))) * Double($1) }
        worst = max(worst, Self.elementError(y, expected))
      }
    }
    // Measured: 1.6e-7 with the C library's e^x, 1.7e-7 with the vectors' own.
    #expect(worst <= 3.4e-7)
    // Beyond the range of e^x the gate is open or shut, never infinite or NaN.
    let gates: [Float] = [-1e4, -200, -104, -90, -0.0, 0, 90, 104, 200, 1e4]
    let y = Self.guarded(gates) { kernels.swiglu($0, up: [Float](repeating: 1, count: 10), count: 10) }
    #expect(maximumDifference(y, gates.map { max($0, 0) }) <= 1e-30)
  }

  @Test(arguments: availableTiers) func layerNorm(isa: ISA) {
    let kernels = Kernels(isa: isa)
    var generator = SeededGenerator(seed: 12)
    var worst: Float = 0
    for count in Self.lengths where count > 1 {
      // Around a mean that is far from zero, where the variance could lose its digits.
      for (mean, hasBias): (Float, Bool) in [(0, true), (30, true), (0, false)] {
        let x = generator.floats(count).map { $0 + mean }
        let (w, b) = (generator.floats(count, in: 0.1...2), generator.floats(count))
        let y = Self.guarded([Float](repeating: 0, count: count)) { y in
          b.withUnsafeBufferPointer {
            kernels.layerNorm(y, x, weight: w, bias: hasBias ? $0.baseAddress : nil, count: count, epsilon: 1e-5)
          }
        }
        let center = x.reduce(0.0) { $0 + Double($1) } / Double(count)
        let variance = x.reduce(0.0) { $0 + (Double($1) - center) * (Double($1) - center) } / Double(count)
        let expected = (0..<count).map { index in
          Float(
            Double(w[index]) * (Double(x[index]) - center) / (variance + 1e-5).squareRoot() + (hasBias ? Double(b[index]) : 0))
        }
        worst = max(worst, relativeError(y, expected))
      }
    }
    // Measured: 1.2e-7 with the f64 sums of scalar, 6.1e-6 (mean 30) with the f32 sums of the others.
    #expect(worst <= (isa == .scalar ? 2.4e-7 : 1.22e-5))
  }

  @Test(arguments: availableTiers) func gelu(isa: ISA) {
    let kernels = Kernels(isa: isa)
    var generator = SeededGenerator(seed: 13)
    func reference(_ x: Float) -> Double {
      let u = (2 / Double.pi).squareRoot() * (Double(x) + 0.044715 * Double(x) * Double(x) * Double(x))
      return Double(x) / (1 + exp(-2 * u))
    }
    var worst: Float = 0
    for count in Self.lengths {
      let (x, up) = (generator.floats(count, in: -5...5), generator.floats(count))
      let alone = Self.guarded(x) { kernels.gelu($0, count: count) }
      worst = max(worst, relativeError(alone, x.map { Float(reference($0)) }))
      let gated = Self.guarded(x) { kernels.geglu($0, up: up, count: count) }
      worst = max(worst, relativeError(gated, zip(x, up).map { Float(reference($0) * Double($1)) }))
    }
    // Measured: 1.3e-7 on every tier.
    #expect(worst <= 2.6e-7)
    // Beyond the range of e^x: open or shut, never infinite or NaN.
    let ends: [Float] = [-1e4, -100, -0.0, 0, 100, 1e4]
    let y = Self.guarded(ends) { kernels.gelu($0, count: 6) }
    #expect(maximumDifference(y, ends.map { max($0, 0) }) <= 1e-30)
  }

  @Test(arguments: availableTiers) func softcap(isa: ISA) {
    let kernels = Kernels(isa: isa)
    var generator = SeededGenerator(seed: 14)
    var worst: Float = 0
    for count in Self.lengths {
      for magnitude: Float in [0.01, 1, 30, 1000] {
        let x = generator.floats(count, in: -magnitude...magnitude)
        let y = Self.guarded(x) { kernels.softcap($0, cap: 30, count: count) }
        worst = max(worst, Self.elementError(y, x.map { 30 * tanh(Double($0) / 30) }))
      }
    }
    // Measured: 1.9e-7 with the C library's tanh, 2.5e-7 with the vectors' own.
    #expect(worst <= (isa == .scalar ? 3.8e-7 : 5e-7))
  }

  /// One rounding each, so that all tiers agree to the bit.
  @Test(arguments: availableTiers) func addAndScale(isa: ISA) {
    let kernels = Kernels(isa: isa)
    var generator = SeededGenerator(seed: 11)
    for count in Self.lengths {
      let (y, x) = (generator.floats(count), generator.floats(count))
      let sum = Self.guarded(y) { kernels.add($0, x, count: count) }
      #expect(sameBits(sum, zip(y, x).map { $0 + $1 }))
      let product = Self.guarded(y) { kernels.scale($0, by: 0.3, count: count) }
      #expect(sameBits(product, y.map { $0 * 0.3 }))
    }
  }

  /// The largest of every 64, whatever is among them.
  @Test(arguments: availableTiers) func blockMaxima(isa: ISA) {
    let kernels = Kernels(isa: isa)
    var generator = SeededGenerator(seed: 16)
    for count in Self.lengths + [128, 200] {
      for choices: [Float] in [[.nan, -.infinity, 1, 2, -3], [.nan, -.infinity], [-1e30, -2e30, .infinity], [.nan]] {
        let x = (0..<count).map { _ in choices[Int.random(in: 0..<choices.count, using: &generator)] }
        let y = Self.guarded([Float](repeating: 0, count: (count + 63) / 64)) { kernels.blockMaxima($0, x, count: count) }
        for (block, largest) in y.enumerated() {
          #expect(largest == x[block * 64..<min(block * 64 + 64, count)].filter { !$0.isNaN }.max() ?? -.infinity)
        }
      }
    }
  }

  /// The first of the largest, wherever it is: among equal ones, among infinities, among what is not a number.
  @Test(arguments: availableTiers) func argmax(isa: ISA) {
    let kernels = Kernels(isa: isa)
    var generator = SeededGenerator(seed: 15)
    let special: [Float] = [.nan, -.infinity, .infinity, -0.0, 0, 1, 1, 2]
    for count in Self.lengths {
      for choices in [special, Array(special[..<2]), [.nan], [-.infinity], special.filter { !$0.isNaN }, [3, 3, 3]] {
        let x = (0..<count).map { _ in choices[Int.random(in: 0..<choices.count, using: &generator)] }
        let largest = x.filter { !$0.isNaN }.max()
        #expect(kernels.argmax(x, count: count) == largest.flatMap { x.firstIndex(of: $0) } ?? 0)
      }
      for place in 0..<count {
        var x = generator.floats(count)
        x[place] = 1.5
        #expect(kernels.argmax(x, count: count) == place)
      }
    }
  }
}
