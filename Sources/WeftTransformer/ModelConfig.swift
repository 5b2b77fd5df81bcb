// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas

/// The sizes, constants and switches of a decoder, from `config.json` or GGUF metadata: all that a step has to know.
///
/// An architecture (`Architectures/`) fills it in; nothing after that asks which architecture it was.
package struct ModelConfig: Sendable, Equatable {
  /// How a layer normalises.
  package enum NormKind: Sendable, Equatable {
    /// Zhang & Sennrich 2019.
    case rootMeanSquare
    /// Ba et al. 2016, with a bias.
    case layer
  }

  /// What queries and keys are normalised over before they are rotated.
  package enum QueryKeyNorm: Sendable, Equatable { case none, head, row }

  /// The non-linearity of a feed-forward layer. GELU is its tanh approximation.
  package enum Activation: Sendable, Equatable {
    /// down(silu(gate x) * up x)
    case swiglu
    /// down(gelu(gate x) * up x)
    case geglu
    /// down(gelu(up x))
    case gelu
  }

  /// As transformers names it (`model_type`).
  package var architecture: String
  package var name: String
  package var hiddenSize: Int
  package var vocabularySize: Int
  /// The longest sequence the model was made for.
  package var contextLength: Int
  package var headDimension: Int
  package var layers: [LayerConfig]

  package var norm = NormKind.rootMeanSquare
  package var normEpsilon: Float
  /// Added to norm weights as `config.json`'s models store them; GGUF stores the sum (Gemma: 1).
  package var normOffset: Float = 0
  package var queryKeyNorm = QueryKeyNorm.none
  /// Whether attention and feed-forward normalise what they read, and what they write before it is added.
  package var hasInputNorms = true
  package var hasOutputNorms = false

  package var activation = Activation.swiglu
  /// Whether a feed-forward layer has a gate.
  package var isGated: Bool { activation != .gelu }

  /// Rotary tables; a layer names one. Several where layers differ (Gemma 3).
  package var rotaries: [RotaryConfig]
  /// Rows of a learned position embedding; 0 for none.
  package var positionRows = 0

  package var embeddingScale: Float = 1
  /// The same of embeddings that are no token's (prompts): another where the embedding itself scales its rows (Gemma).
  package var promptScale: Float = 1
  /// Multiplies what attention and feed-forward add to the residual stream.
  package var residualScale: Float = 1
  /// Multiplies the scores of attention.
  package var attentionScale: Float
  /// Scores become cap tanh(score / cap); 0 for none.
  package var attentionSoftcap: Float = 0
  package var logitScale: Float = 1
  package var logitSoftcap: Float = 0

  /// What sparse layers choose from; nil when there are none.
  package var experts: ExpertConfig?
  /// True when `config.json` says that the output head is the embedding; nil when the file decides (GGUF).
  package var tieWordEmbeddings: Bool?
  /// The linear maps that have biases; nil when the file decides (GGUF).
  package var biases: Set<Projection>?
  /// Tokens that end a generation, as the configuration lists them.
  package var endTokens: [Int32]

  package var layerCount: Int { layers.count }
  /// Of the widest layer.
  package var headCount: Int { layers.reduce(0) { max($0, $1.headCount) } }
  package var keyValueHeadCount: Int { layers.reduce(0) { max($0, $1.keyValueHeadCount) } }
  package var intermediateSize: Int { layers.reduce(0) { max($0, $1.intermediateSize) } }
  package var queryWidth: Int { headCount * headDimension }
  package var keyValueWidth: Int { keyValueHeadCount * headDimension }
}

/// What may differ from layer to layer.
package struct LayerConfig: Sendable, Equatable {
  package var headCount: Int
  package var keyValueHeadCount: Int
  /// Width of the feed-forward; of the shared expert in a sparse layer, and 0 where there is none.
  package var intermediateSize: Int
  /// Positions that a row sees, itself included; 0 for all before it.
  package var window = 0
  /// Index of the rotary table; nil for a layer without positions (NoPE).
  package var rotary: Int? = 0
  /// Whether the feed-forward is a choice of experts.
  package var isSparse = false
}

/// A feed-forward layer of many small ones, of which every token uses a few (Shazeer et al. 2017).
package struct ExpertConfig: Sendable, Equatable {
  package var count: Int
  /// Experts of a token.
  package var usedCount: Int
  package var intermediateSize: Int
  /// Width of the expert that every token uses beside its own; 0 for none.
  package var sharedIntermediateSize = 0
  /// Whether the weights of the chosen experts are made to sum to 1.
  package var normalizesWeights: Bool
}
