// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Adam with bias correction (Kingma and Ba 2015, algorithm 1) and decoupled weight decay (Loshchilov and Hutter 2019).
package struct Adam {
  private let learningRate: Float
  private let weightDecay: Float
  private let decays: [Range<Int>]
  private var first: [Float]
  private var second: [Float]
  private var step = 0

  /// For a vector of `count` parameters. Weight decay acts on the `decays` ranges: on weights, not on biases.
  package init(count: Int, learningRate: Float, weightDecay: Float, decays: [Range<Int>]) {
    self.learningRate = learningRate
    self.weightDecay = weightDecay
    self.decays = decays
    first = Array(repeating: 0, count: count)
    second = Array(repeating: 0, count: count)
  }

  /// One step against the gradient.
  package mutating func update(_ parameters: inout [Float], gradient: [Float]) {
    let (beta1, beta2, epsilon): (Float, Float, Float) = (0.9, 0.999, 1e-8)
    step += 1
    let firstCorrection = 1 - Float(pow(0.9, Double(step)))
    let secondCorrection = 1 - Float(pow(0.999, Double(step)))
    for range in decays {
      for index in range { parameters[index] -= learningRate * weightDecay * parameters[index] }
    }
    for index in parameters.indices {
      first[index] = beta1 * first[index] + (1 - beta1) * gradient[index]
      second[index] = beta2 * second[index] + (1 - beta2) * gradient[index] * gradient[index]
      let magnitude = (second[index] / secondCorrection).squareRoot() + epsilon
      parameters[index] -= learningRate * (first[index] / firstCorrection) / magnitude
    }
  }
}
