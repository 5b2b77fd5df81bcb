// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftEngine
import WeftFormats
import WeftTensors

/// The formats that llama.cpp gives to the tensors of some models (tools/make_quantization_goldens.py).
struct QuantizationPlanTests {
  static let models = ["llama-grouped", "llama-tied", "mixtral", "four-experts", "phi3", "gpt2-96", "llama-48"]

  @Test(arguments: models) func theMixesAreThoseOfLlamaCpp(name: String) throws {
    let path = TestPaths.goldens + "/formats/quantization.json"
    let golden = try #require(try JSON(file: path)[name])
    let model = try #require(golden["model"])
    func number(_ key: String) -> Int { model[key]?.int ?? 0 }
    let facts = QuantizationPlan.Model(
      architecture: model["kind"]?.string ?? "", layerCount: number("layers"), headCount: number("heads"),
      keyValueHeadCount: number("groups"), expertCount: number("experts"))
    let tensors: [QuantizationPlan.Candidate] = try #require(golden["tensors"]?.array).map { entry in
      let parts = try #require(entry.array)
      return (try #require(parts[0].string), try #require(parts[1].array).compactMap(\.int), .f32)
    }
    let types = try #require(golden["types"]?.members)
    #expect(Set(types.map(\.key)).isSuperset(of: QuantizationType.allCases.map(\.rawValue)))
    for (key, formats) in types {
      let type = try #require(QuantizationType(name: key.replacing("+imatrix", with: "")))
      var expected = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, type.dtype.name) })
      for (format, names) in try #require(formats.members) {
        for name in try #require(names.array) { expected[try #require(name.string)] = format }
      }
      let plan = QuantizationPlan(type, model: facts, tensors: tensors, hasImportance: key.hasSuffix("+imatrix"))
      for tensor in tensors {
        #expect(plan.dtype(of: tensor.name)?.name == expected[tensor.name], "\(key): \(tensor.name)")
      }
    }
  }

  @Test func typesHaveTheNamesThatPeopleType() {
    #expect(QuantizationType(name: "q4_k_m") == .q4_k_m)
    #expect(QuantizationType(name: "Q5_K") == .q5_k_m)
    #expect(QuantizationType(name: "bf16") == .bf16)
    #expect(QuantizationType(name: "Q3_K_M") == nil)
  }
}
