// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftDeltas
import WeftFormats
import WeftTensors
import WeftTransformer

/// Random choices that adapters do not store (UniLoRA's indices, TinyLoRA's projections) run through the modules of a model in
/// the order in which transformers has them.
struct ModuleOrderTests {
  static let attention = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
  static let feedForward = ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
  /// Model, and `named_modules()` of its first layer in transformers 5.23.0, as far as they are nn.Linear or Conv1D.
  static let orders: [(model: String, modules: [String])] = [
    ("gemma2-caps", attention + feedForward), ("granite-tied", attention + feedForward),
    ("gpt2-tied", ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]),
    ("mixtral-top2", attention), ("olmo2-gqa", attention + feedForward),
    ("phi3-gqa", ["self_attn.o_proj", "self_attn.qkv_proj", "mlp.gate_up_proj", "mlp.down_proj"]),
    (
      "qwen2moe-shared",
      attention + [
        "mlp.shared_expert.gate_proj", "mlp.shared_expert.up_proj", "mlp.shared_expert.down_proj", "mlp.shared_expert_gate",
      ]
    ),
    ("qwen3-tied", attention + feedForward), ("smollm3-nope", attention + feedForward),
  ]

  @Test(arguments: orders) func modulesAreInTheOrderOfTransformers(model: String, modules: [String]) throws {
    let checkpoint = try Checkpoint(path: TestPaths.goldens + "/architectures/" + model)
    let shape = try ModelWeights(checkpoint, pool: ThreadPool(threads: 1)).base.shape
    let found = shape.modules.filter { module in
      module.isPublished && module.parameter == nil
        && module.sites.allSatisfy { if case .layer(0, let projection) = $0 { projection != .router } else { false } }
    }
    #expect(found.map { $0.path.split(separator: ".").drop { $0 != "0" }.dropFirst().joined(separator: ".") } == modules)
    #expect(shape.modules.last?.sites == [.outputHead])
  }
}
