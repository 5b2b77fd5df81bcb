// SPDX-License-Identifier: Apache-2.0

import Testing
import WeftFusion

struct MergeParametersTests {
  private func module(_ name: String, layer: Int?) -> MergeProblem.Module { .init(name: name, shape: [2, 2], layer: layer) }

  @Test func aNumberIsForAllModules() {
    let parameters = MergeParameters(["density": 0.5])
    #expect(parameters.value("density", module: module("layers.1.q_proj", layer: 1), layerCount: 4) == 0.5)
    #expect(parameters.value("weight", module: module("layers.1.q_proj", layer: 1), layerCount: 4) == nil)
  }

  @Test func gradientsSpreadOverLayers() {
    var parameters = MergeParameters()
    parameters.add("t", .init([0, 1, 0.5]))
    let values = (0..<5).map { (layer: Int) in
      parameters.value("t", module: module("layers.\(layer).q_proj", layer: layer), layerCount: 5)
    }
    #expect(values == [0, 0.5, 1, 0.75, 0.5])
  }

  @Test func theFirstFilterThatMatchesCounts() {
    var parameters = MergeParameters()
    parameters.add("weight", .init([2], filter: "mlp"))
    parameters.add("weight", .init([1]))
    #expect(parameters.value("weight", module: module("layers.0.mlp.up_proj", layer: 0), layerCount: 1) == 2)
    #expect(parameters.value("weight", module: module("layers.0.self_attn.q_proj", layer: 0), layerCount: 1) == 1)
    #expect(parameters.value("weight") == 1)
  }
}
