// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors

/// A random Llama whose matrices have all quantised types, against transformers in float64 (tools/make_quant_goldens.py).
struct MixedFormatTests {
  static let path = TestPaths.goldens + "/quantized/mixed.gguf"

  @Test(arguments: availableTiers) func logitsAreThoseOfTransformers(isa: ISA) throws {
    let golden = try Golden("quantized/mixed.safetensors")
    let tokens = try golden.integers("tokens").map(Int32.init)
    let logits = try ModelRunner(Self.path, isa: isa).logits(tokens)
    // Measured: 2.15e-7 where the reference rounds activations to int8 too; 0.0275 where it does not.
    #expect(relativeError(logits, try golden.floats("logits_int8")) <= 4.3e-7)
    #expect(relativeError(logits, try golden.floats("logits")) <= 0.055)
  }

  @Test func everyQuantisedTypeOccurs() throws {
    let types = Set(try GGUFFile(path: Self.path).tensors.values.map(\.dtype))
    #expect(types.isSuperset(of: DType.allCases.filter { $0.isQuantized && $0 != .ternary }))
  }
}
