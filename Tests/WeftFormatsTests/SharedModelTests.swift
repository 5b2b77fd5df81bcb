// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors

/// The public models in the shared data: the same weights in several forms.
@Suite(.needsSharedData) struct SharedModelTests {
  private func stories(_ name: String) -> String { TestPaths.sharedData("models/stories260K/" + name) }

  /// Names of one tensor in GGUF and in the Hugging Face folder, and how llama.cpp's converter moves its rows.
  private static let names: [(gguf: String, huggingFace: String, heads: Int?)] = {
    var names: [(String, String, Int?)] = [
      ("token_embd.weight", "model.embed_tokens.weight", nil), ("output_norm.weight", "model.norm.weight", nil),
    ]
    for layer in 0..<5 {
      for (gguf, huggingFace, heads) in [
        ("attn_norm", "input_layernorm", nil), ("ffn_norm", "post_attention_layernorm", nil),
        ("attn_q", "self_attn.q_proj", 8), ("attn_k", "self_attn.k_proj", 4), ("attn_v", "self_attn.v_proj", nil),
        ("attn_output", "self_attn.o_proj", nil), ("ffn_gate", "mlp.gate_proj", nil), ("ffn_up", "mlp.up_proj", nil),
        ("ffn_down", "mlp.down_proj", nil),
      ] as [(String, String, Int?)] {
        names.append(("blk.\(layer).\(gguf).weight", "model.layers.\(layer).\(huggingFace).weight", heads))
      }
    }
    return names
  }()

  @Test func f32GGUFAndHuggingFaceFolderHoldTheSameWeights() throws {
    let gguf = try Checkpoint(path: stories("stories260K-f32.gguf"))
    let folder = try Checkpoint(path: stories("hf"))
    #expect(gguf.form == .gguf && folder.form == .huggingFace)
    #expect(folder.config?["num_hidden_layers"]?.int == 5)
    #expect(Set(folder.tensors.keys) == Set(Self.names.map(\.huggingFace)))
    for (ggufName, huggingFaceName, heads) in Self.names {
      let left = try #require(gguf.tensors[ggufName]), right = try #require(folder.tensors[huggingFaceName])
      #expect(left.shape == right.shape, "\(ggufName)")
      // GGUF stores the rows of a head as pairs (0, half, 1, half + 1, ...), Hugging Face as two halves.
      let rows = heads.map { left.shape[0] / $0 } ?? 1
      let width = left.columns
      let source = referenceFloats(left)
      var values = source
      for row in 0..<(heads == nil ? 0 : left.shape[0]) {
        let within = row % rows
        let target = row - within + within % 2 * (rows / 2) + within / 2
        values.replaceSubrange(target * width..<(target + 1) * width, with: source[row * width..<(row + 1) * width])
      }
      #expect(values == referenceFloats(right), "\(ggufName)")
    }
  }

  @Test func f16GGUFIsTheRoundedF32GGUF() throws {
    let wide = try GGUFFile(path: stories("stories260K-f32.gguf"))
    let half = try GGUFFile(path: stories("stories260K-F16.gguf"))
    #expect(wide.version == 3 && wide.tensorOrder.count == 48)
    #expect(wide.tensorOrder.sorted() == half.tensorOrder.sorted())
    #expect(half.tensors.values.contains { $0.dtype == .f16 })
    for name in wide.tensorOrder {
      let expected = referenceFloats(try #require(wide.tensors[name]))
      let tensor = try #require(half.tensors[name])
      #expect(referenceFloats(tensor) == (tensor.dtype == .f16 ? expected.map { Float(Float16($0)) } : expected), "\(name)")
      #expect(tensor.firstNonFinite() == nil)
    }
  }

  @Test func metadataOfAModelIsReadInFull() throws {
    let file = try GGUFFile(path: stories("stories260K-f32.gguf"))
    #expect(file.metadataOrder.first == "tokenizer.ggml.tokens" && file.metadataOrder.count == 19)
    #expect(file.metadata["general.architecture"] == .string("llama"))
    #expect(file.metadata["llama.attention.head_count_kv"]?.int == 4)
    #expect(file.metadata["llama.attention.layer_norm_rms_epsilon"]?.double == Double(Float(1e-5)))
    #expect(file.metadata["tokenizer.ggml.tokens"]?.strings?.count == 512)
    #expect(file.metadata["tokenizer.ggml.tokens"]?.strings?.prefix(3) == ["<unk>", "<s>", "</s>"])
    #expect(file.metadata["tokenizer.ggml.scores"]?.floats?.count == 512)
    #expect(file.metadata["tokenizer.ggml.token_type"]?.integers?.count == 512)
  }

  @Test(arguments: ["falcon", "gpt-2", "llama-spm", "phi-3", "starcoder"])
  func vocabularyFilesWithoutTensorsOpen(name: String) throws {
    let file = try GGUFFile(path: TestPaths.sharedData("tokenizers/ggml-vocab/ggml-vocab-\(name).gguf"))
    #expect(file.tensors.isEmpty)
    #expect(try #require(file.metadata["tokenizer.ggml.tokens"]?.strings).count > 30000)
  }
}
