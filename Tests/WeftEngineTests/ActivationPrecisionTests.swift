// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftEngine

/// What products with bf16 weights read. The golden has logits of both (tools/make_goldens.py).
struct ActivationPrecisionTests {
  private func logits(f32Activations: Bool) throws -> (found: [Float], golden: Golden) {
    let golden = try Golden("logits/gqa-tied-bf16/logits.safetensors")
    let engine = try Engine(
      model: TestPaths.goldens + "/logits/gqa-tied-bf16",
      options: EngineOptions(
        threads: 2, contextLength: 64, maximumSequences: 1, kvType: .f32, f32Activations: f32Activations))
    var found: [Float] = []
    try engine.logits(of: golden.integers("tokens").map(Int32.init), adapters: AdapterMixture([])) { _, row in found += row }
    return (found, golden)
  }

  /// Measured: 1.1e-7 with rounded activations, 2.3e-6 with F32.
  @Test(arguments: [(false, "logits_bf16", 2.2e-7), (true, "logits", 4.6e-6)] as [(Bool, String, Float)])
  func bothAreThoseOfTheReference(f32Activations: Bool, name: String, bound: Float) throws {
    let (found, golden) = try logits(f32Activations: f32Activations)
    let error = relativeError(found, try golden.floats(name))
    #expect(error <= bound)
  }

  @Test func theyDiffer() throws {
    #expect(try logits(f32Activations: true).found != logits(f32Activations: false).found)
  }
}
