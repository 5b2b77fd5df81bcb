// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftRouting

/// Loss, gradient and optimiser against torch (tools/make_router_goldens.py) and against finite differences.
struct RouterNetworkTests {
  private let router: Router
  private let examples: [(features: [Float], label: Int)]
  private let expected: Golden

  init() throws {
    router = try Router(file: TestPaths.goldens + "/routing/router.safetensors")
    expected = try Golden("routing/expected.safetensors")
    let features = try expected.floats("features"), labels = try expected.integers("labels")
    let router = router
    examples = labels.enumerated().map { row, label in
      let standardised = (0..<router.featureSize).map { index in
        (features[row * router.featureSize + index] - router.featureMean[index]) / router.featureDeviation[index]
      }
      return (standardised, label)
    }
  }

  private func lossesAndGradient(_ network: RouterNetwork) -> (losses: [Float], gradient: [Float]) {
    var gradient = [Float](repeating: 0, count: network.parameters.count)
    let losses = examples.map { example in
      example.features.withUnsafeBufferPointer {
        Float(network.addGradient(of: $0, label: example.label, to: &gradient))
      }
    }
    return (losses, gradient)
  }

  @Test func lossAndGradientAreThoseOfTorch() throws {
    let (losses, gradient) = lossesAndGradient(router.network)
    #expect(relativeError(losses, try expected.floats("losses")) < 1.7e-7)  // measured 8.3e-8
    #expect(relativeError(gradient, try expected.floats("gradient")) < 4.4e-7)  // measured 2.2e-7
  }

  @Test func theGradientIsTheSlopeOfTheLoss() {
    let (_, gradient) = lossesAndGradient(router.network)
    // Larger steps cross the kinks of relu, smaller ones lose the difference in the rounding of f32.
    let step: Float = 1e-3
    let slopes = router.network.parameters.indices.map { index in
      var network = router.network
      network.parameters[index] += step
      let above = lossesAndGradient(network).losses.reduce(0) { $0 + Double($1) }
      network.parameters[index] -= 2 * step
      let below = lossesAndGradient(network).losses.reduce(0) { $0 + Double($1) }
      return Float((above - below) / Double(2 * step))
    }
    #expect(relativeError(slopes, gradient) < 1.8e-4)  // measured 8.6e-5
  }

  @Test func adamTakesTheStepsOfTorch() throws {
    let golden = try Golden("routing/adam.safetensors")
    var parameters = try golden.floats("start")
    let gradients = try golden.floats("gradients"), steps = try golden.floats("steps")
    var adam = Adam(count: 12, learningRate: 0.02, weightDecay: 0.1, decays: [0..<6])
    for step in 0..<5 {
      adam.update(&parameters, gradient: Array(gradients[step * 12..<(step + 1) * 12]))
      // measured 3.6e-7 after five steps, at parameters up to 2
      #expect(maximumDifference(parameters, Array(steps[step * 12..<(step + 1) * 12])) < 7.2e-7)
    }
  }
}
