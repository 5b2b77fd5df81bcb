// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// How the rotary frequencies are changed for longer contexts.
package enum RopeScaling: Sendable, Equatable {
  case none
  /// Positions divided by `factor` (Chen et al. 2023).
  case linear(factor: Double)
  /// Llama 3.1: low frequencies divided by `factor`, high ones kept, a smooth passage between.
  case llama3(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalContext: Double)
  /// A divisor per frequency, as GGUF stores it (`rope_freqs.weight`).
  case divisors([Float])
}

/// The inverse frequencies of a model (Su et al. 2021), in f32 as transformers has them.
package struct RotaryEmbedding: Sendable {
  /// [head dimension / 2]
  package let inverseFrequencies: [Float]

  package init(headDimension: Int, theta: Double, scaling: RopeScaling) {
    let half = headDimension / 2
    inverseFrequencies = (0..<half).map { i in
      let plain = Float(1.0 / pow(theta, Double(2 * i) / Double(headDimension)))
      switch scaling {
      case .none: return plain
      case .linear(let factor): return plain / Float(factor)
      case .divisors(let divisors): return plain / divisors[i]
      case .llama3(let factor, let low, let high, let original):
        let wavelength = 2 * Double.pi / Double(plain)
        if wavelength < original / high { return plain }
        if wavelength > original / low { return plain / Float(factor) }
        let smooth = (original / wavelength - low) / (high - low)
        return Float((1 - smooth) * Double(plain) / factor + smooth * Double(plain))
      }
    }
  }

  /// Cosines, then sines, of one position. `target` has room for the head dimension.
  @inline(__always)
  func fill(_ target: UnsafeMutablePointer<Float>, position: Int) {
    let half = inverseFrequencies.count
    inverseFrequencies.withUnsafeBufferPointer { frequencies in
      for i in 0..<half {
        let angle = Double(Float(position) * frequencies[i])
        target[i] = Float(cos(angle))
        target[half + i] = Float(sin(angle))
      }
    }
  }
}
