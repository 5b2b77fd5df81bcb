// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftDeltas
import WeftTransformer

/// X^T X of what the linear maps read, against torch; the file is made by tools/make_gradient_goldens.py.
struct GramTests {
  @Test(arguments: [nil, 5]) func productsAreThoseOfTorch(chunk: Int?) throws {
    let runner = try ModelRunner(ModelRunner.golden("gqa-tied"))
    let golden = try Golden("gradients/gqa-tied.safetensors")
    let recorder = InputRecorder(recordsProducts: true)
    runner.transformer.recorder = recorder
    for tokens in try GradientTests.examples("logits/gqa-tied") { _ = runner.logits(tokens, chunk: chunk) }
    var largest: Float = 0
    for (site, name) in [
      (Projection.query, "self_attn.v_proj"), (.output, "self_attn.o_proj"), (.up, "mlp.gate_proj"), (.down, "mlp.down_proj"),
    ] {
      let sums = try #require(recorder.sums[.layer(1, site)])
      let gram = sums.products.map { $0 / Float(sums.rowCount) }
      largest = max(largest, relativeError(gram, try golden.floats("model.layers.1.\(name).gram")))
    }
    // Measured: 5.8e-7.
    #expect(largest > 0 && largest < 1.2e-6)
  }
}
