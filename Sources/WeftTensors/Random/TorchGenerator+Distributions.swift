// SPDX-License-Identifier: Apache-2.0

internal import Glibc

extension TorchGenerator {
  /// A float in 0..<1, a multiple of 2^-24: one draw.
  package mutating func nextUnitFloat() -> Float { Float(next() & 0xFF_FFFF) * 0x1p-24 }

  /// A double in 0..<1, a multiple of 2^-53: two draws.
  package mutating func nextUnitDouble() -> Double { Double(nextWide() & 0x1F_FFFF_FFFF_FFFF) * 0x1p-53 }

  /// What `uniform_(low, high)` writes into a tensor of f32, f16 or bf16: one draw and one fused multiplication and addition in
  /// f32 each, then rounded to the format. A number that rounds to the upper end becomes the lower one.
  package mutating func uniform(_ count: Int, from low: Double, to high: Double, rounding dtype: DType = .f32) -> [Float] {
    let (start, end) = (Float(low), Float(high))
    let (first, beyond) = (start.rounded(to: dtype), end.rounded(to: dtype))
    return (0..<count).map { _ in
      let value = start.addingProduct(nextUnitFloat(), end - start).rounded(to: dtype)
      return value == beyond ? first : value
    }
  }

  /// What `uniform_(low, high)` writes into a tensor of f64: two draws each.
  package mutating func uniformDoubles(_ count: Int, from low: Double, to high: Double) -> [Double] {
    (0..<count).map { _ in
      let value = low.addingProduct(nextUnitDouble(), high - low)
      return value == high ? low : value
    }
  }

  /// What `kaiming_uniform_` writes: uniform over plus and minus sqrt(3) * `gain` / sqrt(`fan`), which torch finds in f64.
  ///
  /// `fan` is the number of inputs: the last axis of a matrix [out, in]; of a tensor with more axes, the product of all but the
  /// first. `gain` is sqrt(2 / (1 + a^2)) for torch's parameter `a`.
  package mutating func kaimingUniform(
    _ count: Int, fan: Int, gain: Double, rounding dtype: DType = .f32
  ) -> [Float] {
    let bound = 3.0.squareRoot() * (gain / Double(fan).squareRoot())
    return uniform(count, from: -bound, to: bound, rounding: dtype)
  }

  /// What `bernoulli_(probability)` writes, true for 1: two draws each. On Intel processors torch uses MKL's stream instead,
  /// which this is not.
  package mutating func bernoulli(_ count: Int, probability: Double) -> [Bool] {
    (0..<count).map { _ in nextUnitDouble() < probability }
  }

  /// What `torch.bernoulli(probabilities)` gives for a tensor of f32, f16 or bf16, true for 1: one draw each.
  package mutating func bernoulli(probabilities: [Float]) -> [Bool] { probabilities.map { nextUnitFloat() < $0 } }

  /// What `normal_(mean, deviation)` writes into a tensor of f32.
  ///
  /// Fewer than 16 numbers are equal to torch's to the last bit. From 16 on torch has its own logarithm and cosine in f32: here
  /// they are rounded from f64, and what comes out differs from torch by up to 4 units in the last place (measured, with mean 0).
  package mutating func normal(_ count: Int, mean: Double, deviation: Double) -> [Float] {
    guard count >= 16 else { return (0..<count).map { _ in Float(nextNormal() * deviation + mean) } }
    let (mean, deviation) = (Float(mean), Float(deviation))
    var numbers = (0..<count).map { _ in nextUnitFloat() }
    for start in stride(from: 0, through: count - 16, by: 16) {
      TorchGenerator.boxMuller(&numbers[start..<start + 16], mean, deviation)
    }
    // The rest is the end of sixteen new numbers, which also replace some of those before.
    guard count % 16 != 0 else { return numbers }
    for place in count - 16..<count { numbers[place] = nextUnitFloat() }
    TorchGenerator.boxMuller(&numbers[(count - 16)...], mean, deviation)
    return numbers
  }

  /// One number of the standard normal distribution, in f64. Every second one was found with the one before.
  private mutating func nextNormal() -> Double {
    if let second = pendingNormal {
      pendingNormal = nil
      return second
    }
    let angle = 2 * Double.pi * nextUnitDouble()
    let radius = (-2 * log1p(-nextUnitDouble())).squareRoot()
    pendingNormal = radius * sin(angle)
    return radius * cos(angle)
  }

  /// Sixteen uniform numbers into eight normal pairs: number i with number i + 8.
  private static func boxMuller(_ numbers: inout ArraySlice<Float>, _ mean: Float, _ deviation: Float) {
    let start = numbers.startIndex
    // Not 2 * Float.pi, which is rounded down.
    let fullTurn = Float(2 * Double.pi)
    for place in start..<start + 8 {
      let logarithm = Float(log(Double(1 - numbers[place])))
      let radius = (-2 * logarithm).squareRoot()
      let angle = Double(fullTurn * numbers[place + 8])
      numbers[place] = mean.addingProduct(radius * Float(cos(angle)), deviation)
      numbers[place + 8] = mean.addingProduct(radius * Float(sin(angle)), deviation)
    }
  }
}

extension Float {
  /// The nearest number (of two, the even one) that F32, F16 or BF16 holds.
  package func rounded(to dtype: DType) -> Float {
    switch dtype {
    case .f16: return Float(Float16(self))
    case .bf16: return Float(bitPattern: (bitPattern + 0x7FFF + (bitPattern >> 16 & 1)) & 0xFFFF_0000)
    default:
      precondition(dtype == .f32)
      return self
    }
  }
}
