// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors

@Suite struct RefusedTensorTests {
  static let known =
    "lora_A.weight or lora_B.weight of a linear module of this base, such as model.layers.0.self_attn.q_proj"
  static let a0 = AdapterFixture.name(0, "self_attn.q_proj", "A")
  static let b0 = AdapterFixture.name(0, "self_attn.q_proj", "B")

  static let vast = "base_model.model.model.layers.99999999999999999999.self_attn.q_proj.lora_A.weight"

  @Test func theFixtureIsRight() throws {
    let adapter = try AdapterFixture().read()
    #expect(adapter.deltas.sites == [.layer(0, .query), .layer(1, .query)])
    #expect(adapter.byteCount == 2 * 4 * (2 * 4 + 6 * 2))
    #expect(adapter.baseModel == "weft/tiny")
    // scale 4 / 2, rank 2, all factors 1
    #expect(adapter.deltas.operators[.layer(1, .query)]?.first?.materialize() == [Float](repeating: 4, count: 24))
  }

  @Test(arguments: [
    "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight",
    "base_model.model.model.layers.01.self_attn.q_proj.lora_A.weight",
    "base_model.model.model.layers.-1.self_attn.q_proj.lora_A.weight",
    "base_model.model.model.layers.0.mlp.q_proj.lora_A.weight", "base_model.model.model.norm.lora_A.weight",
    "base_model.model.model.layers.0.mlp.experts.lora_B.weight", "base_model.model.model.norm.lora_magnitude_vector",
  ])
  func unknownModules(name: String) throws {
    try Refusal(name) {
      $0.tensors[name] = try AdapterFixture.ones([2, 4])
    } error: { _, tensors in
      .unknownTensor(location: tensors, tensor: name, expected: Self.known)
    }.check()
  }

  @Test(arguments: [
    "foo", "base_model.vera_A", "base_model.model.score.weight", "base_model.model.model.layers.0.self_attn.q_proj",
    "base_model.model.model.layers.0.self_attn.q_proj.lora_A.other.weight",
    "base_model.model.model.layers.7.self_attn.q_proj.base_layer.bias",
  ])
  func unknownNames(name: String) throws {
    try Refusal(name) {
      $0.tensors[name] = try AdapterFixture.ones([2, 4])
    } error: { _, tensors in
      .unknownTensor(location: tensors, tensor: name, expected: "tensors of LoRA for modules of this base")
    }.check()
  }

  /// Names that LoRA has, of parts that the config does not speak of.
  @Test(arguments: [
    "base_model.model.model.embed_tokens.lora_embedding_A", "base_model.model.lm_head.lora_A.weight",
    "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector",
    "base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias",
    "base_model.model.model.layers.0.self_attn.q_proj.lora_diag",
    "base_model.model.model.layers.0.self_attn.q_proj.base_layer.weight",
    "base_model.model.model.layers.0.self_attn.q_proj.base_layer.bias", "base_model.model.model.norm.weight",
  ])
  func unusedNames(name: String) throws {
    try Refusal(name) {
      $0.tensors[name] = try AdapterFixture.ones([2, 4])
    } error: { _, tensors in
      .unusedTensor(location: tensors, tensor: name)
    }.check()
  }

  static let refusals = [
    Refusal("no tensors") {
      $0.tensors = [:]
    } error: { _, tensors in
      .noTensors(location: tensors)
    },
    Refusal("a module that is not targeted") {
      try $0.add("v_proj", at: "base_model.model.model.layers.1.self_attn", rank: 2, out: 3, in: 4)
    } error: { _, tensors in
      .unusedTensor(location: tensors, tensor: AdapterFixture.name(1, "self_attn.v_proj", "A"))
    },
    Refusal("a targeted module without tensors") {
      $0.tensors[AdapterFixture.name(1, "self_attn.q_proj", "A")] = nil
      $0.tensors[AdapterFixture.name(1, "self_attn.q_proj", "B")] = nil
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: AdapterFixture.name(1, "self_attn.q_proj", "A"))
    },
    Refusal("a targeted output head without tensors") {
      $0.config["target_modules"] = "[\"q_proj\", \"lm_head\"]"
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: "base_model.model.lm_head.lora_A.weight")
    },
    Refusal("B without A") {
      $0.tensors[a0] = nil
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: a0)
    },
    Refusal("A without B") {
      $0.tensors[b0] = nil
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: b0)
    },
    Refusal("A without B, with the adapter's name") {
      $0.rename(a0, "model.layers.0.self_attn.q_proj.lora_A.default.weight")
      $0.tensors[b0] = nil
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: "model.layers.0.self_attn.q_proj.lora_B.default.weight")
    },
    Refusal("one factor under two names") {
      $0.tensors["model.layers.0.self_attn.q_proj.lora_A.weight"] = $0.tensors[a0]
    } error: { _, tensors in
      .duplicateTensor(location: tensors, tensor: a0, other: "model.layers.0.self_attn.q_proj.lora_A.weight")
    },
    Refusal("A for another input size") {
      $0.tensors[a0] = try AdapterFixture.ones([2, 5])
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: a0, expected: [2, 4], found: [2, 5])
    },
    Refusal("A transposed") {
      $0.tensors[a0] = try AdapterFixture.ones([4, 2])
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: a0, expected: [2, 4], found: [4, 2])
    },
    Refusal("A as a vector") {
      $0.tensors[a0] = try AdapterFixture.ones([4])
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: a0, expected: [2, 4], found: [4])
    },
    Refusal("B for another output size") {
      $0.tensors[b0] = try AdapterFixture.ones([4, 2])
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: b0, expected: [6, 2], found: [4, 2])
    },
    Refusal("B with three axes") {
      $0.tensors[b0] = try AdapterFixture.ones([6, 2, 1])
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: b0, expected: [6, 2], found: [6, 2, 1])
    },
    Refusal("the rank of A is not the config's") {
      $0.config["r"] = "3"
    } error: { _, tensors in
      .wrongRank(location: tensors, tensor: a0, expected: 3, found: 2)
    },
    Refusal("the rank of A is not the pattern's") {
      $0.config["rank_pattern"] = "{\"layers.0.self_attn.q_proj\": 5}"
    } error: { _, tensors in
      .wrongRank(location: tensors, tensor: a0, expected: 5, found: 2)
    },
    Refusal("the rank of B is not that of A") {
      $0.tensors[b0] = try AdapterFixture.ones([6, 3])
    } error: { _, tensors in
      .wrongRank(location: tensors, tensor: b0, expected: 2, found: 3)
    },
    Refusal("a layer that the base does not have") {
      try $0.add("q_proj", at: "base_model.model.model.layers.2.self_attn", rank: 2, out: 6, in: 4)
    } error: { _, tensors in
      .layerOutOfRange(location: tensors, tensor: AdapterFixture.name(2, "self_attn.q_proj", "A"), layerCount: 2)
    },
    Refusal("a layer beyond all numbers") {
      $0.tensors[vast] = try AdapterFixture.ones([2, 4])
    } error: { _, tensors in
      .layerOutOfRange(location: tensors, tensor: vast, layerCount: 2)
    },
    Refusal("NaN") {
      $0.tensors[b0] = try Tensor([0, 1, 2, 3, 4, 5, .nan, 7, 8, 9, 10, 11], shape: [6, 2])
    } error: { _, tensors in
      .nonFinite(location: tensors, tensor: b0, index: 6)
    },
    Refusal("infinity in F16") {
      let storage = try Storage(byteCount: 16)
      storage.bytes.storeBytes(of: UInt16(0xFC00).littleEndian, toByteOffset: 14, as: UInt16.self)
      $0.tensors[a0] = Tensor(dtype: .f16, shape: [2, 4], storage: storage, offset: 0)
    } error: { _, tensors in
      .nonFinite(location: tensors, tensor: a0, index: 7)
    },
    Refusal("integers") {
      $0.tensors[a0] = try Tensor(dtype: .i32, shape: [2, 4], storage: Storage(byteCount: 32), offset: 0)
    } error: { _, tensors in
      .wrongType(location: tensors, tensor: a0, expected: "a weight type", found: "I32")
    },
    Refusal("a scale beyond Float") {
      $0.config["lora_alpha"] = "1e300"
    } error: { _, tensors in
      .delta(
        location: tensors, site: .layer(0, .query), .malformed(factor: "scale", expected: "a finite number", found: "inf"))
    },
  ]

  @Test(arguments: refusals) func refused(_ refusal: Refusal) throws { try refusal.check() }

  @Test func outputHeadOfATiedBase() throws {
    let tied = BaseShape.llama(
      layerCount: 2, hiddenSize: 4, queryWidth: 6, keyValueWidth: 3, intermediateSize: 5, vocabularySize: 7, isTied: true)
    var fixture = try AdapterFixture()
    fixture.config["target_modules"] = "[\"q_proj\", \"lm_head\"]"
    try fixture.add("lm_head", at: "base_model.model", rank: 2, out: 7, in: 4)
    #expect(try fixture.read(base: tied).deltas.sites == [.layer(0, .query), .layer(1, .query), .outputHead])
  }
}
