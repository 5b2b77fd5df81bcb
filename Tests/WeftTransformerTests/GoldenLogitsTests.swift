// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTensors
import WeftTransformer

/// Logits of transformers (float64) for random tiny models, made by tools/make_goldens.py.
struct GoldenLogitsTests {
  /// Folder, file in it, and the bound: twice the error that was measured (largest difference over largest logit).
  static let models: [(folder: String, file: String, bound: Float)] = [
    ("gqa-tied", "", 1e-5), ("gqa-tied", "model.gguf", 1e-5),
    ("gqa-tied-f16", "", 1e-5), ("gqa-tied-f16", "model.gguf", 1e-5),
    ("gqa-tied-bf16", "", 1e-5), ("gqa-tied-bf16", "model.gguf", 1e-5),
    ("mha-untied", "", 1e-5), ("biases", "", 1e-5), ("biases", "model.gguf", 1e-5),
    ("llama3-rope", "", 1e-5), ("llama3-rope", "model.gguf", 1e-5), ("linear-rope", "", 1e-5),
    ("linear-rope", "model.gguf", 1e-5), ("odd-heads", "", 1e-5), ("odd-heads", "model.gguf", 1e-5),
    ("wide-q8_0", "model.gguf", 1e-2), ("wide-q4_0", "model.gguf", 1e-2),
  ]

  @Test(arguments: models.indices, ISA.allCases.filter(\.isAvailable))
  func logitsEqualTransformers(_ index: Int, _ isa: ISA) throws {
    let model = GoldenLogitsTests.models[index]
    let golden = try Golden("logits/\(model.folder)/logits.safetensors")
    let tokens = try golden.integers("tokens").map(Int32.init)
    let path = TestPaths.goldens + "/logits/\(model.folder)/\(model.file)"
    let logits = try ModelRunner(path, isa: isa).logits(tokens)
    let error = relativeError(logits, try golden.floats("logits"))
    print("golden", model.folder, model.file, isa, error)
    #expect(error <= model.bound)
  }
}
