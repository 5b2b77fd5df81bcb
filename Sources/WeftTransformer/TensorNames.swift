// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas

/// One linear module of a layer as a file stores it: one matrix, or several under each other.
package struct LinearName: Sendable, Equatable {
  /// How the experts of a sparse layer are stored.
  package enum Experts: Sendable, Equatable {
    /// This is no expert.
    case none
    /// A module for every expert; `*` in the name stands for its number.
    case each
    /// One tensor [experts, out, in] for all; its name has no `.weight`.
    case stacked
  }

  /// Below the layer: `self_attn.q_proj`.
  package let name: String
  package let projections: [Projection]
  package let experts: Experts
  /// Stored as [in, out] (GPT-2's Conv1D).
  package let isTransposed: Bool

  package init(
    _ name: String, _ projections: Projection..., experts: Experts = .none, isTransposed: Bool = false
  ) {
    self.name = name
    self.projections = projections
    self.experts = experts
    self.isTransposed = isTransposed
  }
}

/// How a form of checkpoint names the tensors of an architecture. Several `linears` may speak of one projection: the first is
/// the published one, and the file decides.
package struct TensorNames: Sendable, Equatable {
  /// In front of everything but the head.
  package var root: String
  /// Other roots that files have: a checkpoint of the bare decoder has none.
  package var otherRoots = [""]
  package var embedding: String
  package var positionEmbedding = ""
  package var outputNorm: String
  package var outputHead: String
  /// In front of a layer's number.
  package var layers: String
  package var norms: [NormRole: String]
  package var linears: [LinearName]
  /// Ends of names that are not weights: buffers that old versions of transformers wrote.
  package var buffers: [String] = []

  /// Names of Llama in transformers, which most others share.
  package static let llama = TensorNames(
    root: "model.", embedding: "embed_tokens", outputNorm: "norm", outputHead: "lm_head", layers: "layers",
    norms: [.attentionInput: "input_layernorm", .feedForwardInput: "post_attention_layernorm"],
    linears: attention + feedForward, buffers: [".self_attn.rotary_emb.inv_freq"])

  package static let attention = [
    LinearName("self_attn.q_proj", .query), LinearName("self_attn.k_proj", .key), LinearName("self_attn.v_proj", .value),
    LinearName("self_attn.o_proj", .output),
  ]
  package static let feedForward = [
    LinearName("mlp.gate_proj", .gate), LinearName("mlp.up_proj", .up), LinearName("mlp.down_proj", .down),
  ]

  /// Names of every architecture in GGUF (ggml-org/ggml, docs/gguf.md; gguf-py's tensor map).
  package static let gguf = TensorNames(
    root: "", embedding: "token_embd", positionEmbedding: "position_embd", outputNorm: "output_norm", outputHead: "output",
    layers: "blk",
    norms: [
      .attentionInput: "attn_norm", .query: "attn_q_norm", .key: "attn_k_norm", .attentionOutput: "post_attention_norm",
      .feedForwardInput: "ffn_norm", .feedForwardOutput: "post_ffw_norm",
    ],
    linears: [
      LinearName("attn_q", .query), LinearName("attn_k", .key), LinearName("attn_v", .value),
      LinearName("attn_qkv", .query, .key, .value), LinearName("attn_output", .output),
      LinearName("ffn_gate", .gate), LinearName("ffn_up", .up), LinearName("ffn_up", .gate, .up), LinearName("ffn_down", .down),
      LinearName("ffn_gate_inp", .router), LinearName("ffn_gate_inp_shexp", .sharedExpertGate),
      LinearName("ffn_gate_shexp", .sharedGate), LinearName("ffn_up_shexp", .sharedUp),
      LinearName("ffn_down_shexp", .sharedDown),
      LinearName("ffn_gate_exps.weight", .gate, experts: .stacked), LinearName("ffn_up_exps.weight", .up, experts: .stacked),
      LinearName("ffn_down_exps.weight", .down, experts: .stacked),
      LinearName("ffn_gate.*", .gate, experts: .each), LinearName("ffn_up.*", .up, experts: .each),
      LinearName("ffn_down.*", .down, experts: .each),
    ])

  /// Beginnings of the names of parts that Weft does not run, where a model has several (images).
  package var otherParts: [String] = []

  /// The name of a layer's part.
  package func layer(_ index: Int, _ name: String) -> String { "\(root)\(layers).\(index).\(name)" }
}
