// SPDX-License-Identifier: Apache-2.0

import WeftEngine

/// What activating a mixture takes by itself, before a token is computed under it.
enum ActivationBench {
  /// Microseconds of activating a mixture in a sequence that had none, and of giving it other weights there; nil for a mixture
  /// that acts fully or not at all.
  struct Measured {
    var activate: Double
    var reweight: Double?
  }

  /// Medians of a thousand times.
  static func run(_ engine: Engine, _ mixture: AdapterMixture) throws -> Measured {
    let id = try engine.submit(GenerationRequest(.tokens([0])))
    var other = mixture
    for level in other.levels.indices {
      for index in other.levels[level].indices {
        other.levels[level][index].weight *= 0.5
        for place in other.levels[level][index].places.indices { other.levels[level][index].places[place].weight *= 0.5 }
      }
    }
    func microseconds(_ mixture: AdapterMixture) throws -> Double {
      let begin = ContinuousClock.now
      try engine.activate(.mixture(mixture), for: id)
      return begin.elapsed * 1e6
    }
    var times: (activate: [Double], reweight: [Double]) = ([], [])
    for _ in 0..<1000 {
      try engine.activate(.base, for: id)
      times.activate.append(try microseconds(mixture))
      if let time = try? microseconds(other) { times.reweight.append(time) }
    }
    engine.cancel(id)
    engine.step { _ in }
    return Measured(activate: times.activate.median, reweight: times.reweight.isEmpty ? nil : times.reweight.median)
  }
}
