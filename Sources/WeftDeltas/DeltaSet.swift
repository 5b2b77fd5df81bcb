// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// Everything that one adapter, or one merge of adapters, changes in a model.
package struct DeltaSet: Sendable {
  /// Of linear maps.
  package var operators: [WeightSite: [DeltaOperator]] = [:]
  package var embedding: [EmbeddingDelta] = []
  package var norms: [NormSite: NormReplacement] = [:]
  package var normSums: [NormSite: NormSum] = [:]
  package var prompt: PromptDelta?
  /// By layer.
  package var gatedPrompts: [Int: GatedPrompt] = [:]
  package var hidden: [HiddenSite: [HiddenDelta]] = [:]
  /// What computes the gates of `.gated` operators with the rule `external`.
  package var classifier: GateClassifier?
  /// The adapter acts from the first of these tokens on, where they stand last in a sequence, and nowhere when they do not
  /// (aLoRA, https://arxiv.org/abs/2504.12397); nil: it acts everywhere.
  package var invocation: [Int32]?

  package init() {}

  package init(_ operators: [WeightSite: DeltaOperator]) { self.operators = operators.mapValues { [$0] } }

  /// The linear maps that are changed, in the order of the model.
  package var sites: [WeightSite] { operators.keys.sorted() }

  /// Bytes of all tensors, as stored. Factors that several places share count once.
  package var byteCount: Int {
    var factors: [TensorPlace: Int] = [:]
    var matrices: [ObjectIdentifier: Int] = [:]
    var others = 0
    for delta in operators.values.joined() {
      switch delta {
      case .lowRank(let low): for tensor in [low.a, low.b] { factors[TensorPlace(tensor)] = tensor.byteCount }
      case .structured(let structured): matrices[ObjectIdentifier(structured.matrix)] = structured.matrix.byteCount
      case .gated, .scale, .rotate, .bias, .replace: others += delta.byteCount
      }
    }
    return factors.values.reduce(others, +) + matrices.values.reduce(0, +)
      + embedding.reduce(0) { $0 + $1.byteCount }
      + norms.values.reduce(0) { $0 + (($1.weight?.count ?? 0) + ($1.bias?.count ?? 0)) * 4 }
      + normSums.values.reduce(0) { $0 + ($1.weight.count + ($1.bias?.count ?? 0)) * 4 } + (prompt?.byteCount ?? 0)
      + gatedPrompts.values.reduce(0) { $0 + $1.keys.byteCount + $1.values.byteCount }
      + hidden.values.joined().reduce(0) { $0 + $1.byteCount } + (classifier?.byteCount ?? 0)
  }

  /// The smallest and the largest rank; nil when nothing has a rank.
  package var ranks: ClosedRange<Int>? {
    let ranks = operators.values.joined().compactMap(\.rank)
    guard let least = ranks.min(), let most = ranks.max() else { return nil }
    return least...most
  }

  /// True when nothing is changed.
  package var isEmpty: Bool {
    operators.isEmpty && embedding.isEmpty && norms.isEmpty && normSums.isEmpty && prompt == nil && gatedPrompts.isEmpty
      && hidden.isEmpty
  }

  /// A part that cannot be fused into weights in memory, in words; nil when all can.
  package var unfusablePart: String? { unwritablePart ?? (embedding.isEmpty ? nil : "a change of the embedding") }

  /// A part that cannot become part of a file's weights, in words; nil when all can.
  package var unwritablePart: String? {
    if invocation != nil { return "an adapter that acts from its invocation on" }
    if let prompt { return "a \(prompt.name)" }
    if !gatedPrompts.isEmpty { return "a gated prompt" }
    if let hidden = hidden.values.joined().first { return "a \(hidden.name) of the hidden state" }
    for (site, list) in operators {
      for case .gated in list { return "gated experts at \(site)" }
    }
    return nil
  }

  /// The names of the operators it has, each once, sorted.
  package var operatorNames: [String] {
    var names = Set(operators.values.joined().map(\.name))
    names.formUnion(embedding.map { "embedding \($0.name)" })
    names.formUnion(hidden.values.joined().map(\.name))
    if !norms.isEmpty { names.insert("replaced norm") }
    if !normSums.isEmpty { names.insert("norm") }
    if let prompt { names.insert(prompt.name) }
    if !gatedPrompts.isEmpty { names.insert("gated prompt") }
    return names.sorted()
  }
}
