// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftTensors

/// Spreads bytes over the modules of an adapter: each gets the ternary fit whose error is worth its bytes.
///
/// What an error of a module costs is its weight times its squared error; of all choices with a given sum of bytes, those with the
/// least sum of costs have one price of a byte in common (Lagrange), which is found by bisection.
package struct TernaryAllocation: Sendable {
  /// A fit of one module; nil codes where its change is left out.
  struct Candidate: Sendable {
    let fit: TernaryFit?
    let squaredError: Double
    /// As a pack stores it, about.
    let byteCount: Double
  }

  private let modules: [ModuleFactors]
  private let energies: [Double]
  private let candidates: [[Candidate]]

  /// Ranks and prices from coarse to fine.
  private static let grid: [(rank: Int, price: Double)] = [
    (4, 1), (4, 0.3), (4, 0), (8, 0.6), (8, 0.3), (8, 0), (12, 0.3), (12, 0), (16, 0.15), (24, 0.15), (32, 0.15),
  ]

  /// Fits every module in several ways.
  /// - Parameter onProgress: gets the modules that are done, and how many there are.
  package init(
    _ modules: [ModuleFactors], onProgress: (Int, Int) -> Void = { _, _ in }
  ) throws(CompressionError) {
    self.modules = modules
    var candidates: [[Candidate]] = []
    for (index, module) in modules.enumerated() {
      let energy = module.energy
      var own = [Candidate(fit: nil, squaredError: energy, byteCount: 0)]
      let truncation = try Truncation(module)
      for choice in TernaryAllocation.grid {
        let fit = try TernaryFit(module, truncation, rank: choice.rank, price: choice.price)
        own.append(
          Candidate(
            fit: fit, squaredError: fit.squaredError,
            byteCount: TernaryAllocation.byteCount(fit.a) + TernaryAllocation.byteCount(fit.b)))
        if fit.squaredError < 1e-3 * energy { break }
      }
      candidates.append(own)
      onProgress(index + 1, modules.count)
    }
    self.candidates = candidates
    energies = modules.map(\.energy)
  }

  /// The smaller of Golomb's codes of the gaps and of a bit for each element, with a sign for each that is not 0, and what the index
  /// has for it.
  private static func byteCount(_ matrix: TernaryMatrix) -> Double {
    let (count, nonzero) = (matrix.codes.count, matrix.nonzeroCount)
    let planes = Double(count + nonzero) / 8
    return min(planes, TernaryMatrix.entropy(count: count, nonzero: nonzero) * 1.02 / 8) + 8
  }

  /// Weights with which the same share of each module's change costs the same.
  package var evenWeights: [Double] { energies.map { $0 > 0 ? 1 / $0 : 0 } }

  /// A coarse fit of each module: what it costs can be measured, where that of a fine one is lost among the questions.
  package func reference(_ index: Int) throws(CompressionError) -> (module: CompressedModule, squaredError: Double) {
    let candidate = candidates[index][1]
    guard let fit = candidate.fit else { preconditionFailure("only the first candidate has no fit") }
    return (try modules[index].compressed(fit), candidate.squaredError)
  }

  /// What a choice of bytes came to.
  package struct Choice: Sendable {
    /// By module; nil where its change is left out.
    package let modules: [CompressedModule?]
    package let squaredErrors: [Double]
  }

  /// The choice of least cost that takes at most so many bytes.
  /// - Parameter weights: of a squared error of each module.
  package func choice(byteCount budget: Int, weights: [Double]) throws(CompressionError) -> Choice {
    precondition(weights.count == modules.count)
    func picks(_ price: Double) -> [Int] {
      zip(candidates, weights).map { own, weight in
        var best = 0
        var least = Double.infinity
        for (index, candidate) in own.enumerated() {
          let cost = weight * candidate.squaredError + price * candidate.byteCount
          if cost < least { (best, least) = (index, cost) }
        }
        return best
      }
    }
    func bytes(_ picks: [Int]) -> Double { zip(candidates, picks).reduce(0) { $0 + $1.0[$1.1].byteCount } }
    // Powers of two of the price, from everything to nothing.
    var (low, high) = (-200.0, 200.0)
    for _ in 0..<100 {
      let middle = (low + high) / 2
      if bytes(picks(exp2(middle))) > Double(budget) { low = middle } else { high = middle }
    }
    let chosen = picks(exp2(high))
    return Choice(
      modules: try zip(modules, zip(candidates, chosen)).map { module, pick throws(CompressionError) in
        guard let fit = pick.0[pick.1].fit, fit.scale != 0 else { return nil }
        return try module.compressed(fit)
      }, squaredErrors: zip(candidates, chosen).map { $0[$1].squaredError })
  }
}
