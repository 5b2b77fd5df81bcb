// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// What stands before the tokens of a sequence. A mixture takes one, with weight 1.
package enum PromptDelta: Sendable {
  /// Input embeddings [n, hidden] at positions 0 ..< n; the tokens begin at n (prompt tuning,
  /// https://arxiv.org/abs/2104.08691).
  case embeddings(Tensor)
  /// Keys and values of every layer, [n, 2 * layers, key-value heads, head dimension]: layer l has its keys at 2 l, without
  /// rotation, and its values at 2 l + 1. The tokens begin at position n (prefix tuning, https://arxiv.org/abs/2101.00190).
  case keysAndValues(Tensor)

  /// Positions that it takes.
  package var count: Int {
    switch self {
    case .embeddings(let rows): rows.shape[0]
    case .keysAndValues(let prefix): prefix.shape[0]
    }
  }

  package var byteCount: Int {
    switch self {
    case .embeddings(let tensor), .keysAndValues(let tensor): tensor.byteCount
    }
  }

  /// The name in messages and listings.
  package var name: String {
    switch self {
    case .embeddings: "prompt"
    case .keysAndValues: "key-value prefix"
    }
  }
}

/// A second attention of a layer, over keys and values of its own, whose result is added to that of the first before the
/// output projection, or behind it: out += gate * softmax(q K' / sqrt(d)) V, without a mask (LLaMA-Adapter,
/// https://arxiv.org/abs/2303.16199).
package struct GatedPrompt: Sendable {
  /// [n, key-value heads * head dimension], not rotated.
  package let keys: Tensor
  package let values: Tensor
  package let gate: Float
  package let headDimension: Int
  /// Whether the result goes through the output projection; PEFT adds that of GPT-2 behind it.
  package let isProjected: Bool

  package init(
    keys: Tensor, values: Tensor, gate: Float, headDimension: Int, isProjected: Bool = true
  ) throws(DeltaError) {
    guard keys.shape.count == 2, keys.shape == values.shape, keys.elementCount > 0, keys.dtype == .f32, values.dtype == .f32
    else {
      throw .malformed(factor: "keys", expected: "two F32 matrices of one shape", found: "\(keys.shape), \(values.shape)")
    }
    guard headDimension > 0, keys.columns % headDimension == 0 else {
      throw .malformed(factor: "keys", expected: "whole heads of \(headDimension)", found: "\(keys.shape)")
    }
    guard gate.isFinite else { throw .malformed(factor: "gate", expected: "a finite number", found: "\(gate)") }
    self.keys = keys
    self.values = values
    self.gate = gate
    self.headDimension = headDimension
    self.isProjected = isProjected
  }
}
