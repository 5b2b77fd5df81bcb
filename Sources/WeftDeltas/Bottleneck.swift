// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// A small feed-forward module beside the answer of a sublayer: with n = normBefore(what it reads),
/// answer += normAfter(up(act(down n + b)) + c)
/// (Houlsby et al. 2019, https://arxiv.org/abs/1902.00751; Pfeiffer et al. 2020, https://arxiv.org/abs/2005.00247).
package struct Bottleneck: Sendable {
  /// `gelu` is exact, `geluTanh` its approximation; `leakyReLU` has slope 0.01.
  package enum Activation: Sendable, Equatable { case relu, leakyReLU, gelu, geluTanh, silu, tanh, identity }

  package enum Input: Sendable, Equatable {
    /// What the sublayer adds to the stream.
    case answer
    /// The stream with that added.
    case sum
    /// The stream as it came into the sublayer, before its norm.
    case stream
  }

  /// A LayerNorm with epsilon 1e-5.
  package struct Norm: Sendable, Equatable {
    package let weight: [Float]
    package let bias: [Float]

    package init(weight: [Float], bias: [Float]) {
      self.weight = weight
      self.bias = bias
    }
  }

  package let input: Input
  package let normBefore: Norm?
  /// [size, hidden]
  package let down: Tensor
  /// [size]
  package let downBias: [Float]
  package let activation: Activation
  /// [hidden, size], with the module's scale
  package let up: Tensor
  /// [hidden], with the module's scale
  package let upBias: [Float]
  package let normAfter: Norm?

  package init(
    input: Input, normBefore: Norm?, down: Tensor, downBias: [Float], activation: Activation, up: Tensor, upBias: [Float],
    normAfter: Norm?
  ) throws(DeltaError) {
    guard down.shape.count == 2, up.shape == [down.shape[1], down.shape[0]], down.elementCount > 0 else {
      throw .malformed(factor: "up", expected: "the transposed shape of down \(down.shape)", found: "\(up.shape)")
    }
    guard downBias.count == down.rows, upBias.count == up.rows else {
      throw .malformed(
        factor: "bias", expected: "\(down.rows) and \(up.rows) numbers", found: "\(downBias.count) and \(upBias.count)")
    }
    for norm in [normBefore, normAfter] {
      guard norm.map({ $0.weight.count == up.rows && $0.bias.count == up.rows }) ?? true else {
        throw .malformed(factor: "norm", expected: "\(up.rows) numbers each", found: "others")
      }
    }
    self.input = input
    self.normBefore = normBefore
    self.down = down
    self.downBias = downBias
    self.activation = activation
    self.up = up
    self.upBias = upBias
    self.normAfter = normAfter
  }

  /// Numbers between down and up.
  package var size: Int { down.rows }

  package var byteCount: Int {
    let norms = [normBefore, normAfter].reduce(0) { $0 + ($1.map { $0.weight.count * 2 } ?? 0) }
    return down.byteCount + up.byteCount + (downBias.count + upBias.count + norms) * 4
  }
}
