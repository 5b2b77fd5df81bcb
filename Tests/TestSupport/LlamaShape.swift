// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas

extension BaseShape {
  /// The modules of a Llama in transformers with these sizes.
  package static func llama(
    layerCount: Int, hiddenSize: Int, queryWidth: Int, keyValueWidth: Int, intermediateSize: Int, vocabularySize: Int,
    isTied: Bool = false, headDimension: Int = 1
  ) -> BaseShape {
    let maps: [(Projection, String, Size)] = [
      (.query, "self_attn.q_proj", (queryWidth, hiddenSize)), (.key, "self_attn.k_proj", (keyValueWidth, hiddenSize)),
      (.value, "self_attn.v_proj", (keyValueWidth, hiddenSize)), (.output, "self_attn.o_proj", (hiddenSize, queryWidth)),
      (.gate, "mlp.gate_proj", (intermediateSize, hiddenSize)), (.up, "mlp.up_proj", (intermediateSize, hiddenSize)),
      (.down, "mlp.down_proj", (hiddenSize, intermediateSize)),
    ]
    var sizes: [WeightSite: Size] = [:]
    var modules: [BaseModule] = []
    for layer in 0..<layerCount {
      for (projection, name, size) in maps {
        sizes[.layer(layer, projection)] = size
        modules.append(BaseModule(path: "model.layers.\(layer).\(name)", sites: [.layer(layer, projection)]))
      }
    }
    sizes[.outputHead] = (vocabularySize, hiddenSize)
    modules.append(BaseModule(path: "lm_head", sites: [.outputHead]))
    let norms = (0..<layerCount).flatMap { layer in
      [
        BaseNorm(path: "model.layers.\(layer).input_layernorm", site: .layer(layer, .attentionInput), size: hiddenSize),
        BaseNorm(
          path: "model.layers.\(layer).post_attention_layernorm", site: .layer(layer, .feedForwardInput), size: hiddenSize),
      ]
    }
    let gguf: [Projection: String] = [
      .query: "attn_q", .key: "attn_k", .value: "attn_v", .output: "attn_output", .gate: "ffn_gate", .up: "ffn_up",
      .down: "ffn_down",
    ]
    let ggufModules = (0..<layerCount).flatMap { layer in
      maps.map { BaseModule(path: "blk.\(layer).\(gguf[$0.0] ?? "")", sites: [.layer(layer, $0.0)]) }
    }
    return BaseShape(
      layerCount: layerCount, sizes: sizes, modules: modules, roots: ["model.", ""],
      embedding: BaseEmbedding(path: "model.embed_tokens", vocabularySize: vocabularySize, hiddenSize: hiddenSize),
      norms: norms + [BaseNorm(path: "model.norm", site: .output, size: hiddenSize)],
      attention: BaseAttention(
        headDimension: headDimension, heads: Array(repeating: queryWidth / headDimension, count: layerCount),
        keyValueHeads: Array(repeating: keyValueWidth / headDimension, count: layerCount)), isTied: isTied,
      gguf: GGUFNames(
        modules: ggufModules + [BaseModule(path: "output", sites: [.outputHead])], embedding: "token_embd",
        norms: [.output: "output_norm"], interleavesHeads: false))
  }

  /// The path of a site, which must be one of this base.
  package func modulePath(_ site: WeightSite) -> String { path(of: site) ?? "no module for \(site)" }
}
