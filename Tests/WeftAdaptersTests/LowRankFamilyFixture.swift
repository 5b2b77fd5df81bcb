// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors

/// A small adapter of one family that is right, for tests to break: on q_proj [6, 4] of both layers of `AdapterFixture.base`.
struct LowRankFamilyFixture: Sendable {
  let peftType: String
  /// Option -> JSON text.
  var config: [String: String]
  /// Shapes of the tensors of each module, by what follows its path.
  var ofModules: [String: [Int]]
  /// Shapes of the tensors of the model, by what follows `base_model.`.
  var ofModel: [String: [Int]] = [:]
  /// What is not of F32.
  var types: [String: DType] = [:]

  static func name(_ layer: Int, _ parameter: String, module: String = "q_proj") -> String {
    "base_model.model.model.layers.\(layer).self_attn.\(module).\(parameter)"
  }

  /// Every tensor of the file with its shape, in the order of their names.
  var shapes: [(name: String, shape: [Int])] {
    var shapes: [(name: String, shape: [Int])] = ofModel.map { ("base_model." + $0.key, $0.value) }
    for layer in 0..<2 {
      shapes += ofModules.map { (LowRankFamilyFixture.name(layer, $0.key), $0.value) }
    }
    return shapes.sorted { $0.name < $1.name }
  }

  func adapter() throws -> AdapterFixture {
    var fixture = try AdapterFixture()
    fixture.config = ["peft_type": "\"\(peftType)\"", "target_modules": "[\"q_proj\"]"].merging(config) { $1 }
    fixture.tensors = [:]
    for (name, shape) in shapes { fixture.tensors[name] = try tensor(name, shape) }
    return fixture
  }

  /// Ones, or zeros where they are integers.
  func tensor(_ name: String, _ shape: [Int]) throws -> Tensor {
    guard let dtype = types.first(where: { name.hasSuffix($0.key) })?.value else { return try AdapterFixture.ones(shape) }
    let count = try #require(dtype.byteCount(elements: shape.reduce(1, *)))
    return try #require(Tensor(dtype: dtype, shape: shape, storage: Storage(byteCount: count), offset: 0))
  }

  static let all = [
    LowRankFamilyFixture(
      peftType: "VERA", config: ["r": "2"], ofModules: ["vera_lambda_b": [6], "vera_lambda_d": [2]],
      ofModel: ["vera_A": [2, 4], "vera_B": [6, 2]]),
    LowRankFamilyFixture(
      peftType: "PVERA", config: ["r": "2"], ofModules: ["pvera_lambda_b": [6], "pvera_lambda_d": [4]],
      ofModel: ["pvera_A": [4, 4], "pvera_B": [6, 2]]),
    vbLoRA, vbLoRATop,
    LowRankFamilyFixture(
      peftType: "RANDLORA", config: ["r": "3"], ofModules: ["randlora_lambda": [3, 2], "randlora_gamma": [2, 4]],
      ofModel: ["randlora_A": [3, 1, 4], "randlora_B": [6, 2, 3]]),
    LowRankFamilyFixture(
      peftType: "GRALORA", config: ["r": "2", "hybrid_r": "1"],
      ofModules: [
        "gralora_A": [2, 2, 2], "gralora_B": [2, 2, 3], "gralora_A_general.weight": [1, 4],
        "gralora_B_general.weight": [6, 1],
      ]),
    LowRankFamilyFixture(
      peftType: "DELORA", config: ["r": "2"],
      ofModules: ["delora_A": [2, 4], "delora_B": [6, 2], "delora_lambda": [1], "delora_w_norm": [4]]),
    LowRankFamilyFixture(
      peftType: "TINYLORA", config: ["r": "2", "u": "3"],
      ofModules: ["tinylora_A": [2, 4], "tinylora_B": [6, 2], "tinylora_P": [3, 2, 2]],
      ofModel: ["tinylora_v.0": [3], "tinylora_v.1": [3]]),
    uniLoRA,
    LowRankFamilyFixture(peftType: "DEFT", config: ["r": "2"], ofModules: ["deft_P": [6, 2], "deft_R": [2, 4]]),
    LowRankFamilyFixture(
      peftType: "OSF", config: ["effective_rank": "3"],
      ofModules: ["osf_svd_params.U_low": [6, 1], "osf_svd_params.S_low": [1], "osf_svd_params.V_low": [1, 4]]),
  ]

  static let vbLoRA = LowRankFamilyFixture(
    peftType: "VBLORA", config: ["r": "2", "num_vectors": "5", "vector_length": "2"],
    ofModules: ["vblora_logits_A": [2, 2, 5], "vblora_logits_B": [3, 2, 5]], ofModel: ["vblora_vector_bank": [5, 2]])

  /// Two of the vectors in each mixture, stored as indices and the weight of the first.
  static let vbLoRATop = LowRankFamilyFixture(
    peftType: "VBLORA",
    config: ["r": "2", "num_vectors": "5", "vector_length": "2", "save_only_topk_weights": "true"],
    ofModules: [
      "vblora_logits_A_topk_indices": [2, 2, 2], "vblora_logits_A_topk_weights": [2, 2, 1],
      "vblora_logits_B_topk_indices": [3, 2, 2], "vblora_logits_B_topk_weights": [3, 2, 1],
    ], ofModel: ["vblora_vector_bank": [5, 2]], types: ["_indices": .i16])

  static let uniLoRA = LowRankFamilyFixture(
    peftType: "UNILORA", config: ["r": "2", "theta_d_length": "5", "save_indices": "true"],
    ofModules: [
      "unilora_indices_A": [2, 4], "unilora_scales_A": [2, 4], "unilora_indices_B": [6, 2], "unilora_scales_B": [6, 2],
    ], ofModel: ["unilora_theta_d": [5]], types: ["_indices_A": .i64, "_indices_B": .i64])

  /// A base with values, for families that need them.
  static func base(_ shape: BaseShape = AdapterFixture.base) -> BaseModel {
    BaseModel(
      shape: shape,
      values: .init(
        weight: { site in
          let size = shape.shape(of: site) ?? (0, 0)
          return (0..<size.out * size.in).map { Float(($0 * 7 + 3) % 11) - 5 }
        }, bias: { _ in nil }, embedding: { _ in [] }))
  }
}

extension LowRankFamilyFixture: CustomTestStringConvertible {
  var testDescription: String { config["save_only_topk_weights"] == nil ? peftType : peftType + " top" }
}
