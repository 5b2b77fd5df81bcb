// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
internal import WeftTensors

/// The sizes and constants of a Llama-architecture model, from `config.json` or GGUF metadata.
package struct ModelConfig: Sendable, Equatable {
  package var architecture: String
  package var name: String
  package var hiddenSize: Int
  package var layerCount: Int
  package var headCount: Int
  package var keyValueHeadCount: Int
  package var headDimension: Int
  package var intermediateSize: Int
  package var vocabularySize: Int
  /// The longest sequence the model was made for.
  package var contextLength: Int
  package var ropeTheta: Double
  package var ropeScaling: RopeScaling
  package var rmsNormEpsilon: Float
  /// True when `config.json` says that the output head is the embedding; nil when the file decides (GGUF).
  package var tieWordEmbeddings: Bool?
  /// Whether q, k, v and o, and whether gate, up and down have biases; nil when the file decides (GGUF).
  package var attentionBias: Bool?
  package var feedForwardBias: Bool?
  /// Tokens that end a generation, as the configuration lists them.
  package var endTokens: [Int32]

  /// Query rows: heads times head dimension.
  package var queryWidth: Int { headCount * headDimension }
  /// Key rows, and value rows: key-value heads times head dimension.
  package var keyValueWidth: Int { keyValueHeadCount * headDimension }

  /// What a delta may attach to.
  package func shape(hasOutputHead: Bool) -> BaseShape {
    BaseShape(
      layerCount: layerCount, hiddenSize: hiddenSize, queryWidth: queryWidth, keyValueWidth: keyValueWidth,
      intermediateSize: intermediateSize, vocabularySize: vocabularySize, hasOutputHead: hasOutputHead)
  }

  /// Refuses sizes that contradict each other or that would overflow later arithmetic.
  func validated(location: String) throws(ModelError) -> ModelConfig {
    let sizes: [(String, Int, Int)] = [
      ("hidden_size", hiddenSize, 1 << 20), ("num_hidden_layers", layerCount, 1 << 12),
      ("num_attention_heads", headCount, 1 << 12), ("num_key_value_heads", keyValueHeadCount, 1 << 12),
      ("head_dim", headDimension, Kernels.maximumHeadDimension), ("intermediate_size", intermediateSize, 1 << 22),
      ("vocab_size", vocabularySize, 1 << 24), ("max_position_embeddings", contextLength, 1 << 26),
    ]
    for (field, value, limit) in sizes where value < 1 || value > limit {
      throw .invalidConfig(location: location, field: field, expected: "1 to \(limit)", found: "\(value)")
    }
    guard headCount % keyValueHeadCount == 0 else {
      throw .invalidConfig(
        location: location, field: "num_key_value_heads", expected: "a divisor of \(headCount) heads",
        found: "\(keyValueHeadCount)")
    }
    guard headDimension % 2 == 0 else {
      throw .unsupported(location: location, field: "head_dim", expected: "an even number", found: "\(headDimension)")
    }
    guard ropeTheta.isFinite, ropeTheta > 0 else {
      throw .invalidConfig(location: location, field: "rope_theta", expected: "a positive number", found: "\(ropeTheta)")
    }
    guard rmsNormEpsilon.isFinite, rmsNormEpsilon >= 0 else {
      throw .invalidConfig(
        location: location, field: "rms_norm_eps", expected: "a number from 0 upwards", found: "\(rmsNormEpsilon)")
    }
    return self
  }
}
