// SPDX-License-Identifier: Apache-2.0

/// One layer of a Llama decoder, as pointers into `ModelWeights`: trivial to copy, nothing to retain.
///
/// h += W_o attention(rope(W_q n), rope(W_k n), W_v n) with n = norm(h), then h += W_down (silu(W_gate m) * (W_up m)) with
/// m = norm(h) (Touvron et al. 2023).
struct DecoderLayer {
  /// [hiddenSize]
  let attentionNorm: UnsafePointer<Float>
  /// q, k, v
  let attention: LinearGroup
  let output: LinearGroup
  /// [hiddenSize]
  let feedForwardNorm: UnsafePointer<Float>
  /// gate, up
  let feedForward: LinearGroup
  let down: LinearGroup
}
