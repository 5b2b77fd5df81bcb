// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors
import WeftTransformer

/// Families that scale and rotate, worked into the base's weights, against what peft's merging adds to them
/// (tools/make_adapter_goldens.py).
struct ScaleFamilyDeltaTests {
  /// Case, base, and the largest error of a module.
  static let cases: [(name: String, base: String, error: Float)] = [
    ("ia3", "llama", 1), ("ia3-all", "llama-bias", 1), ("ia3-gpt2", "gpt2", 1), ("ia3-none", "llama-bias", 1),
    ("ia3-modules-to-save", "llama", 1),
    ("oft", "llama", 1), ("oft-neumann-2", "llama", 1), ("oft-neumann-3", "llama", 1), ("oft-neumann-4", "llama", 1),
    ("oft-neumann-6", "llama", 1), ("oft-exact", "llama", 1), ("oft-coft", "llama", 1), ("oft-coft-exact", "llama", 1),
    ("oft-shared", "llama", 1), ("oft-blocks", "llama", 1), ("oft-bias", "llama-bias", 1), ("boft", "llama", 1),
    ("boft-blocks", "llama-bias", 1), ("hra", "llama", 1), ("hra-gs", "llama", 1), ("hra-bias", "llama-bias", 1),
    ("hra-odd", "llama", 1), ("road", "llama", 1), ("road-2", "llama", 1), ("road-4", "llama", 1), ("road-bias", "llama-bias", 1),
  ]

  @Test(arguments: cases) func deltasAreThoseOfPeft(name: String, base: String, error: Float) throws {
    let folder = TestPaths.goldens + "/families/"
    let model = try ModelWeights(Checkpoint(path: folder + "bases/" + base), pool: ThreadPool(threads: 1)).base
    let adapter = try AdapterReader.read(folder: folder + name, name: "tested", base: model)
    let values = try #require(model.values)
    let golden = try Golden("families/\(name)/expected.safetensors")
    let names = golden.names.filter { $0.hasPrefix("delta.") }
    #expect(!names.isEmpty)
    var worst: Float = 0
    for name in names {
      let module = try #require(model.shape.module(at: String(name.dropFirst("delta.".count))))
      var delta: [Float] = []
      for site in module.sites {
        let weight = values.weight(site)
        let size = try #require(model.shape.shape(of: site))
        let map = try FusedMap(
          weight: weight, bias: values.bias(site), size: size,
          terms: [(weight: 1, operators: try #require(adapter.deltas.operators[site]))])
        delta += zip(map.weight, weight).map { $0 - $1 }
      }
      worst = max(worst, relativeError(delta, try golden.floats(name)))
    }
    print("MEASURED", name, worst)
    #expect(worst <= 2 * error)
  }
}
