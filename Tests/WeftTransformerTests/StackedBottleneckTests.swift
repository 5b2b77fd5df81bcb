// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftDeltas
import WeftTensors
import WeftTransformer

/// Bottleneck modules of several adapters at one place: side by side they read the same, in a stack the upper reads what the lower
/// has made.
struct StackedBottleneckTests {
  private static let rank = 3

  private func adapter(_ runner: ModelRunner, down: [Float], up: [Float], rank: Int) throws -> ResidentAdapter {
    let width = runner.weights.config.hiddenSize
    let zeros = { (count: Int) in [Float](repeating: 0, count: count) }
    let module = try Bottleneck(
      input: .answer, normBefore: nil, down: Tensor(down, shape: [rank, width]), downBias: zeros(rank), activation: .identity,
      up: Tensor(up, shape: [width, rank]), upBias: zeros(width), normAfter: nil)
    var deltas = DeltaSet()
    deltas.hidden = [.feedForwardOutput(0): [.bottleneck(module)], .attentionOutput(1): [.bottleneck(module)]]
    return try ResidentAdapter(deltas, groups: runner.weights.inputGroups, pool: runner.pool)
  }

  /// x += U D x, then x += V E x, is one module of both ranks: x += (U + V E U) D x + V E x.
  @Test func aStackIsOneModule() throws {
    let runner = try ModelRunner(TestPaths.goldens + "/logits/gqa-tied")
    let (width, rank) = (runner.weights.config.hiddenSize, Self.rank)
    var numbers = SeededGenerator(seed: 8)
    let (d, u) = (numbers.floats(rank * width, in: -0.3...0.3), numbers.floats(rank * width, in: -0.3...0.3))
    let (e, v) = (numbers.floats(rank * width, in: -0.3...0.3), numbers.floats(rank * width, in: -0.3...0.3))
    let lower = try adapter(runner, down: d, up: u, rank: rank)
    let upper = try adapter(runner, down: e, up: v, rank: rank)
    func both(crossing: Bool) throws -> ResidentAdapter {
      var up = [Float](repeating: 0, count: width * 2 * rank)
      for row in 0..<width {
        for r in 0..<rank {
          var sum = Double(u[row * rank + r])
          for s in 0..<rank where crossing {
            let dot = (0..<width).reduce(0.0) { $0 + Double(e[s * width + $1]) * Double(u[$1 * rank + r]) }
            sum += Double(v[row * rank + s]) * dot
          }
          up[row * 2 * rank + r] = Float(sum)
          up[row * 2 * rank + rank + r] = v[row * rank + r]
        }
      }
      return try adapter(runner, down: d + e, up: up, rank: 2 * rank)
    }
    let tokens = randomTokens(12, vocabulary: runner.weights.config.vocabularySize, seed: 4)
    func logits(_ text: String, _ adapters: [ResidentAdapter]) throws -> [Float] {
      let mixture = try Mixture(parsing: text)
      return runner.logits(tokens, mixture: ActiveMixture(zip(adapters, mixture.parts).map { ($0, $1) }))
    }
    let stacked = try logits("z>a", [lower, upper])
    let (besides, reversed) = (try logits("a,z", [upper, lower]), try logits("a>z", [upper, lower]))
    #expect(relativeError(stacked, besides) > 1e-3 && relativeError(stacked, reversed) > 1e-3)
    let errors = [
      relativeError(stacked, try logits("a", [both(crossing: true)])),
      relativeError(besides, try logits("a", [both(crossing: false)])),
    ]
    // Measured: 4.5e-7.
    #expect(errors.allSatisfy { $0 <= 9e-7 })
  }
}
