// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors
import WeftTransformer

/// Models that cannot be opened, each with the text that says where, what was expected and what was found.
struct ModelErrorTests {
  static let known =
    "one of gemma, gemma2, gemma3, gemma3_text, gpt2, granite, llama, mistral, mixtral, olmo2, openelm, phi3, qwen2, qwen2_moe, "
    + "qwen3, qwen3_moe, smollm3"

  @Test func theOriginalsOpen() throws {
    #expect(try EditedModel().error() == nil)
    #expect(try EditedGGUF("gqa-tied").error() == nil)
  }

  /// A piece of config.json, what replaces it, and the error after `FOLDER/config.json: `.
  static let configs: [(old: String, new: String, error: String)] = [
    (#""model_type": "llama""#, #""model_type": "mamba""#, "model_type: mamba is not supported; expected \(known)"),
    (#""model_type": "llama","#, "", "model_type: none is not supported; expected \(known)"),
    (#""model_type": "llama""#, #""model_type": 3"#, "model_type: none is not supported; expected \(known)"),
    (#""hidden_act": "silu""#, #""hidden_act": "gelu""#, "hidden_act: gelu is not supported; expected silu"),
    (
      #""rope_type": "default""#, #""rope_type": "dynamic""#,
      "rope_type: dynamic is not supported; expected default, linear, llama3, yarn or longrope"
    ),
    (
      #""rope_type": "default""#, #""rope_type": "linear""#, "rope_scaling: factor: expected a value, found none"
    ),
    (
      #""rope_type": "default""#, #""rope_type": "linear", "factor": 0"#,
      "rope_scaling: factor: expected a positive number, found 0.0"
    ),
    (
      #""rope_type": "default""#, #""rope_type": "llama3", "factor": 8"#,
      "rope_scaling: low_freq_factor: expected a value, found none"
    ),
    (#""rope_theta": 10000.0"#, #""rope_theta": -1"#, "rope_theta: expected a positive number, found -1.0"),
    (#""rms_norm_eps": 1e-05"#, #""rms_norm_eps": -1e-05"#, "rms_norm_eps: expected a number from 0 upwards, found -1e-05"),
    (#""rms_norm_eps": 1e-05"#, #""rms_norm_eps": "1e-05""#, #"rms_norm_eps: expected a number, found "1e-05""#),
    (#""pretraining_tp": 1"#, #""pretraining_tp": 2"#, "pretraining_tp: 2 is not supported; expected 1"),
    (
      #""use_cache": true"#, #""quantization_config": {"bits": 4}"#,
      "quantization_config: an object is not supported; expected F32, F16 or BF16 weights (or the model as GGUF)"
    ),
    (
      #""num_key_value_heads": 2"#, #""num_key_value_heads": 3"#,
      "num_key_value_heads: expected a divisor of 4 heads, found 3"
    ),
    (#""num_key_value_heads": 2"#, #""num_key_value_heads": 0"#, "num_key_value_heads: expected 1 to 4096, found 0"),
    (
      #""num_attention_heads": 4"#, #""num_attention_heads": 0"#, "num_attention_heads: expected 1 or more, found 0"
    ),
    (
      #""num_attention_heads": 4"#, #""num_attention_heads": 1000000000000"#,
      "num_attention_heads: expected 1 to 4096, found 1000000000000"
    ),
    (#""head_dim": 8"#, #""head_dim": 7"#, "head_dim: 7 is not supported; expected an even number"),
    (#""head_dim": 8"#, #""head_dim": 514"#, "head_dim: expected 1 to 512, found 514"),
    (#""hidden_size": 32"#, #""hidden_size": 1000000000000"#, "hidden_size: expected 1 to 1048576, found 1000000000000"),
    (#""hidden_size": 32"#, #""hidden_size": 0"#, "hidden_size: expected 1 to 1048576, found 0"),
    (#""hidden_size": 32"#, #""hidden_size": -32"#, "hidden_size: expected 1 to 1048576, found -32"),
    (#""hidden_size": 32"#, #""hidden_size": 32.5"#, "hidden_size: expected an integer, found 32.5"),
    (#""hidden_size": 32"#, #""hidden_size": 1e300"#, "hidden_size: expected an integer, found 1e+300"),
    (#""hidden_size": 32,"#, "", "hidden_size: expected a value, found none"),
    (
      #""intermediate_size": 64"#, #""intermediate_size": 1000000000000"#,
      "intermediate_size: expected 1 to 4194304, found 1000000000000"
    ),
    (
      #""num_hidden_layers": 3"#, #""num_hidden_layers": 1000000000000"#,
      "num_hidden_layers: expected 1 to 4096, found 1000000000000"
    ),
    (#""num_hidden_layers": 3"#, #""num_hidden_layers": 0"#, "num_hidden_layers: expected 1 to 4096, found 0"),
    (#""vocab_size": 96"#, #""vocab_size": 1000000000000"#, "vocab_size: expected 1 to 16777216, found 1000000000000"),
    (
      #""max_position_embeddings": 128"#, #""max_position_embeddings": 0"#,
      "max_position_embeddings: expected 1 to 67108864, found 0"
    ),
  ]

  @Test(arguments: configs) func config(old: String, new: String, error: String) throws {
    var model = try EditedModel()
    model.replace(old, new)
    #expect(try model.error() == "FOLDER/config.json: " + error)
  }

  /// Sizes that a model could have, but not this one: the first tensor that contradicts them is named.
  static let shapes: [(old: String, new: String, error: String)] = [
    (
      #""vocab_size": 96"#, #""vocab_size": 97"#,
      "tensor model.embed_tokens.weight: expected shape [97, 32], found [96, 32]"
    ),
    (
      #""hidden_size": 32"#, #""hidden_size": 1048576"#,
      "tensor model.embed_tokens.weight: expected shape [96, 1048576], found [96, 32]"
    ),
    (
      #""num_attention_heads": 4"#, #""num_attention_heads": 4096"#,
      "tensor model.layers.0.self_attn.q_proj.weight: expected shape [32768, 32], found [32, 32]"
    ),
    (
      #""num_key_value_heads": 2"#, #""num_key_value_heads": 4"#,
      "tensor model.layers.0.self_attn.k_proj.weight: expected shape [32, 32], found [16, 32]"
    ),
    (
      #""intermediate_size": 64"#, #""intermediate_size": 32"#,
      "tensor model.layers.0.mlp.gate_proj.weight: expected shape [32, 32], found [64, 32]"
    ),
    (#""num_hidden_layers": 3"#, #""num_hidden_layers": 4"#, "tensor model.layers.3.self_attn.q_proj.weight is missing"),
    (
      #""num_hidden_layers": 3"#, #""num_hidden_layers": 2"#,
      "tensor model.layers.2.input_layernorm.weight belongs to no part of a llama model; nothing is ignored silently"
    ),
    (#""tie_word_embeddings": true"#, #""tie_word_embeddings": false"#, "tensor lm_head.weight is missing"),
    (#""tie_word_embeddings": true,"#, "", "tensor lm_head.weight is missing"),
  ]

  @Test(arguments: shapes) func sizes(old: String, new: String, error: String) throws {
    var model = try EditedModel()
    model.replace(old, new)
    #expect(try model.error() == "FOLDER: " + error)
  }

  static let up = "model.layers.1.mlp.up_proj.weight"
  static let norm = "model.layers.2.input_layernorm.weight"

  @Test func tensorsThatAreMissingOrUnused() throws {
    var model = try EditedModel()
    for name in model.tensors.keys.sorted() {
      let tensor = model.tensors.removeValue(forKey: name)
      #expect(try model.error() == "FOLDER: tensor \(name) is missing")
      model.tensors[name] = tensor
    }
    for name in ["model.layers.3.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.lora_A.weight", "transformer.wte.weight"] {
      model.tensors[name] = model.tensors[Self.up]
      #expect(
        try model.error() == "FOLDER: tensor \(name) belongs to no part of a llama model; nothing is ignored silently")
      model.tensors[name] = nil
    }
    // Older files carry what follows from the configuration.
    model.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = try Tensor([1, 0.1, 0.01, 0.001], shape: [4])
    #expect(try model.error() == nil)
  }

  @Test func biasesAreWhatTheConfigurationSays() throws {
    var without = try EditedModel()
    without.replace("\"attention_bias\": false", "\"attention_bias\": true")
    #expect(try without.error() == "FOLDER: tensor model.layers.0.self_attn.q_proj.bias is missing")
    var with = try EditedModel("biases")
    with.replace("\"mlp_bias\": true", "\"mlp_bias\": false")
    #expect(try with.error()?.contains("tensor model.layers.0.mlp.down_proj.bias belongs to no part") == true)
  }

  @Test func tensorsOfOtherShapes() throws {
    let shapes: [(String, [Int], expected: [Int])] = [
      (Self.up, [32, 64], [64, 32]), (Self.up, [2048], [64, 32]), (Self.up, [64, 32, 1], [64, 32]),
      (Self.norm, [1, 32], [32]), (Self.norm, [33], [32]), ("model.norm.weight", [0], [32]),
    ]
    for (name, shape, expected) in shapes {
      var model = try EditedModel()
      let count = shape.reduce(1, *)
      model.tensors[name] = try Tensor([Float](repeating: 1, count: count), shape: shape)
      #expect(try model.error() == "FOLDER: tensor \(name): expected shape \(expected), found \(shape)")
    }
  }

  @Test func tensorsOfOtherTypes() throws {
    var model = try EditedModel()
    model.tensors[Self.up] = Tensor(dtype: .i32, shape: [64, 32], storage: try Storage(byteCount: 8192), offset: 0)
    #expect(try model.error() == "FOLDER: \(Self.up): I32 is not supported; expected a weight type")
    model = try EditedModel()
    model.tensors[Self.norm] = Tensor(dtype: .i64, shape: [32], storage: try Storage(byteCount: 256), offset: 0)
    #expect(try model.error() == "FOLDER: \(Self.norm): I64 is not supported; expected F32, F16 or BF16")
  }

  @Test(arguments: [up, norm, "model.embed_tokens.weight"]) func valuesThatAreNotFinite(name: String) throws {
    for bad: Float in [.nan, .infinity, -.infinity] {
      var model = try EditedModel()
      let tensor = try #require(model.tensors[name])
      var values = tensor.floats()
      values[17] = bad
      for dtype in [DType.f32, .f16, .bf16] {
        model.tensors[name] = try Tensor(rounding: values, shape: tensor.shape, to: dtype)
        #expect(
          try model.error() == "FOLDER: tensor \(name): expected finite values, found NaN or infinity at element 17")
      }
    }
  }

  /// A file may hold the tied head again, but not another one.
  @Test func tiedHeads() throws {
    var model = try EditedModel()
    let embedding = try #require(model.tensors["model.embed_tokens.weight"])
    let original = try ModelRunner(ModelRunner.golden("gqa-tied"))
    let logits = original.logits([1, 2, 3])
    #expect(!original.weights.hasOutputHead)

    model.tensors["lm_head.weight"] = embedding
    let folder = try model.write()
    let again = try ModelRunner(folder.path)
    #expect(!again.weights.hasOutputHead)
    #expect(again.weights.parameterCount == original.weights.parameterCount)
    #expect(sameBits(again.logits([1, 2, 3]), logits))

    model.replace(#""tie_word_embeddings": true"#, #""tie_word_embeddings": false"#)
    let untiedFolder = try model.write()
    let untied = try ModelRunner(untiedFolder.path)
    #expect(untied.weights.hasOutputHead)
    #expect(untied.weights.parameterCount == original.weights.parameterCount + 96 * 32)
    #expect(sameBits(untied.logits([1, 2, 3]), logits))

    model.replace(#""tie_word_embeddings": false"#, #""tie_word_embeddings": true"#)
    var values = embedding.floats()
    values[3071] += 1
    for other in [try Tensor(values, shape: [96, 32]), try embedding.converted(to: .f16)] {
      model.tensors["lm_head.weight"] = other
      #expect(
        try model.error()
          == "FOLDER: tie_word_embeddings: expected lm_head.weight equal to the embedding, found a different matrix")
    }
  }
}
