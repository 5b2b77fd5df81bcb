// SPDX-License-Identifier: Apache-2.0

/// One layer of a decoder, as pointers into `ModelWeights`: trivial to copy, nothing to retain.
struct DecoderLayer {
  /// A norm's weights; the bias is nil for RMS norms.
  struct Norm {
    let weight: UnsafePointer<Float>
    let bias: UnsafePointer<Float>?
  }

  /// The experts of a sparse layer: `count` groups each.
  struct Experts {
    /// The scores of all experts; beside them the score of the shared expert where there is one.
    let router: LinearGroup
    /// gate and up of every expert.
    let feedForward: UnsafePointer<LinearGroup>
    let down: UnsafePointer<LinearGroup>
  }

  let config: LayerConfig
  /// What attention reads is normalised, queries and keys are, what it writes is: nil where it is not.
  let attentionNorm: Norm?
  let queryNorm: Norm?
  let keyNorm: Norm?
  let attentionOutputNorm: Norm?
  let feedForwardNorm: Norm?
  let feedForwardOutputNorm: Norm?
  /// q, k, v
  let attention: LinearGroup
  let output: LinearGroup
  /// gate and up, or up alone; of the shared expert in a sparse layer. Nil where there is none.
  let feedForward: LinearGroup?
  let down: LinearGroup?
  let experts: Experts?

  /// In which forms the feed-forward reads its input.
  func feedForwardForms(_ layout: RowLayout) -> InputForms {
    var forms = feedForward?.inputForms(layout) ?? []
    if let experts { forms.formUnion(experts.router.inputForms(layout).union(experts.feedForward[0].inputForms(layout))) }
    return forms
  }
}
