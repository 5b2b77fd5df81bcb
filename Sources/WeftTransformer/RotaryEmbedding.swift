// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A rotary table of a model (Su et al. 2021).
package struct RotaryConfig: Sendable, Equatable {
  /// Numbers of a head that are rotated, from its first.
  package var dimension: Int
  package var theta: Double
  package var scaling = RopeScaling.none
}

/// How the rotary frequencies are changed for longer contexts.
package enum RopeScaling: Sendable, Equatable {
  case none
  /// Positions divided by `factor` (Chen et al. 2023).
  case linear(factor: Double)
  /// Llama 3.1: low frequencies divided by `factor`, high ones kept, a smooth passage between.
  case llama3(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalContext: Double)
  /// A divisor per frequency, as GGUF stores it (`rope_freqs.weight`).
  case divisors([Float])
  /// Frequencies with few turns in the original context divided by `factor`, those with many kept; cosines and sines
  /// multiplied by `magnitude` (Peng et al. 2023).
  case yarn(factor: Double, originalContext: Double, fastTurns: Double, slowTurns: Double, magnitude: Double)
  /// A divisor per frequency, one set for contexts up to the original length and one for longer ones; cosines and sines
  /// multiplied by `magnitude` (Ding et al. 2024).
  case longRoPE(short: [Float], long: [Float], originalContext: Int, magnitude: Double)
}

/// The inverse frequencies of a table, in f32 as transformers has them.
package struct RotaryEmbedding: Sendable {
  /// [dimension / 2]
  package let inverseFrequencies: [Float]
  /// Multiplies cosines and sines.
  package let magnitude: Float

  /// - Parameter contextLength: the longest sequence that will be run: LongRoPE chooses its divisors by it, once, so that keys
  ///   of one sequence never mix the two (llama.cpp chooses likewise).
  package init(_ config: RotaryConfig, contextLength: Int) {
    let half = config.dimension / 2
    let plain = (0..<half).map { i in Float(1.0 / pow(config.theta, Double(2 * i) / Double(config.dimension))) }
    var magnitude = 1.0
    switch config.scaling {
    case .none: inverseFrequencies = plain
    case .linear(let factor): inverseFrequencies = plain.map { $0 / Float(factor) }
    case .divisors(let divisors): inverseFrequencies = zip(plain, divisors).map { $0 / $1 }
    case .llama3(let factor, let low, let high, let original):
      inverseFrequencies = plain.map { frequency in
        let wavelength = 2 * Double.pi / Double(frequency)
        if wavelength < original / high { return frequency }
        if wavelength > original / low { return frequency / Float(factor) }
        let smooth = (original / wavelength - low) / (high - low)
        return Float((1 - smooth) * Double(frequency) / factor + smooth * Double(frequency))
      }
    case .longRoPE(let short, let long, let original, let scale):
      inverseFrequencies = zip(plain, contextLength > original ? long : short).map { $0 / $1 }
      magnitude = scale
    case .yarn(let factor, let original, let fast, let slow, let scale):
      // The (fractional) index of the frequency that makes so many turns in the original context.
      func index(turns: Double) -> Double {
        Double(config.dimension) * log(original / (turns * 2 * Double.pi)) / (2 * log(config.theta))
      }
      let first = max(index(turns: fast).rounded(.down), 0)
      let last = min(index(turns: slow).rounded(.up), Double(config.dimension - 1))
      let width = first == last ? 0.001 : last - first
      inverseFrequencies = plain.enumerated().map { i, frequency in
        let divided = min(max((Double(i) - first) / width, 0), 1)
        return Float(Double(frequency) / factor * divided + Double(frequency) * (1 - divided))
      }
      magnitude = scale
    }
    self.magnitude = Float(magnitude)
  }

  /// Cosines, then sines, of one position. `target` has room for the rotated dimension.
  @inline(__always)
  func fill(_ target: UnsafeMutablePointer<Float>, position: Int) {
    let half = inverseFrequencies.count
    inverseFrequencies.withUnsafeBufferPointer { frequencies in
      for i in 0..<half {
        let angle = Double(Float(position) * frequencies[i])
        target[i] = Float(cos(angle)) * magnitude
        target[half + i] = Float(sin(angle)) * magnitude
      }
    }
  }
}
