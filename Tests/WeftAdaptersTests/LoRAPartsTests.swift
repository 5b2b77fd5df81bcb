// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftTensors

/// What LoRA and the families beside it do where files leave something out, or have something that no golden adapter has.
struct LoRAPartsTests {
  static let embedding = "base_model.model.model.embed_tokens"
  static let tied = BaseShape.llama(
    layerCount: 2, hiddenSize: 4, queryWidth: 6, keyValueWidth: 3, intermediateSize: 5, vocabularySize: 7, isTied: true)

  private func numbers(_ shape: [Int], seed: UInt64) throws -> Tensor {
    var generator = SeededGenerator(seed: seed)
    return try Tensor(generator.floats(shape.reduce(1, *)), shape: shape)
  }

  /// The change of the head is the embedding's transposed, where the file does not have it once more.
  @Test(arguments: [true, false]) func aTiedHeadFollowsTheEmbedding(isEnsured: Bool) throws {
    var fixture = try AdapterFixture()
    fixture.config["target_modules"] = "[\"q_proj\", \"embed_tokens\"]"
    fixture.config["ensure_weight_tying"] = "\(isEnsured)"
    let (a, b) = (try numbers([2, 7], seed: 1), try numbers([4, 2], seed: 2))
    fixture.tensors["\(Self.embedding).lora_embedding_A"] = a
    fixture.tensors["\(Self.embedding).lora_embedding_B"] = b
    let deltas = try fixture.read(base: Self.tied).deltas
    #expect(deltas.embedding.count == 1)
    guard isEnsured else {
      #expect(deltas.operators[.outputHead] == nil)
      return
    }
    let change = try #require(deltas.operators[.outputHead]?.first?.materialize())
    // (scale 2) A' B' [7, 4]
    let expected = try LinearAlgebra.product(
      a.floats(), transposed: true, b.floats(), transposed: true, rows: 7, inner: 2, columns: 4)
    // Measured: 3.7e-8.
    #expect(relativeError(change, expected.map { 2 * $0 }) <= 7.4e-8)
  }

  /// PEFT loads an embedding that is stored beside its adapter into the one matrix that a tied head is too.
  @Test(arguments: [true, false]) func aTiedHeadIsTheStoredEmbedding(isTied: Bool) throws {
    var fixture = try AdapterFixture()
    fixture.tensors["\(Self.embedding).base_layer.weight"] = try numbers([7, 4], seed: 3)
    let deltas = try fixture.read(base: isTied ? Self.tied : AdapterFixture.base).deltas
    #expect(deltas.embedding.map(\.name) == ["replace"])
    #expect((deltas.operators[.outputHead] ?? []).map(\.name) == (isTied ? ["replace"] : []))
  }

  /// Names that PEFT has in memory: files that were not written by its save.
  @Test func namesInMemory() throws {
    var fixture = try AdapterFixture()
    fixture.config["modules_to_save"] = "[\"lm_head\"]"
    fixture.tensors["base_model.model.lm_head.modules_to_save.default.weight"] = try numbers([7, 4], seed: 4)
    for (layer, factor) in [(0, "A"), (0, "B"), (1, "A"), (1, "B")] {
      let name = AdapterFixture.name(layer, "self_attn.q_proj", factor)
      fixture.rename(name, name.replacing(".weight", with: ".default.weight"))
    }
    #expect(try fixture.read().deltas.sites == [.layer(0, .query), .layer(1, .query), .outputHead])
  }

  /// The diagonal of PiSSA's residual: on a base of rank 1, its first component is the whole weight.
  @Test func theResidualIsTakenOut() throws {
    let values = BaseModel.Values(
      weight: { _ in (0..<24).map { Float($0 / 4 + 1) * Float($0 % 4 + 1) } }, bias: { _ in nil }, embedding: { _ in [] })
    var fixture = try AdapterFixture()
    fixture.config["init_lora_weights"] = "\"pissa\""
    let change = try #require(
      try fixture.read(values: values).deltas.operators[.layer(0, .query)]?.first?.materialize())
    // scale 2, rank 2, all factors 1
    let expected = values.weight(.layer(0, .query)).map { 4 - $0 }
    // Measured: 2.8e-7.
    #expect(relativeError(change, expected) <= 5.6e-7)
  }

  /// A module that lost all its ranks to others is left as the base has it.
  @Test func aModuleWithoutRanks() throws {
    var fixture = try AdapterFixture()
    fixture.config = [
      "peft_type": "\"ADALORA\"", "target_modules": "[\"q_proj\"]", "init_r": "2", "lora_alpha": "4",
      "rank_pattern": "{\"model.layers.0.self_attn.q_proj.lora_E\": [false, false]}",
    ]
    fixture.tensors = [:]
    for (layer, rank) in [(0, 0), (1, 2)] {
      let module = "base_model.model.model.layers.\(layer).self_attn.q_proj"
      fixture.tensors["\(module).lora_A"] = try AdapterFixture.ones([rank, 4])
      fixture.tensors["\(module).lora_B"] = try AdapterFixture.ones([6, rank])
      fixture.tensors["\(module).lora_E"] = try AdapterFixture.ones([rank, 1])
    }
    #expect(try fixture.read().deltas.sites == [.layer(1, .query)])
  }

  /// Without a seed, Arrow's prototypes are the first right singular vectors of B A.
  @Test func prototypesWithoutASeed() throws {
    let folder = try TemporaryFolder()
    var router = try AdapterFixture()
    router.config["arrow_config"] = "{\"task_adapter_names\": [\"one\", \"two\"], \"top_k\": 2}"
    try router.write(to: folder, below: "arrow_router")
    var changes: [[Float]] = []
    for (index, name) in ["one", "two"].enumerated() {
      var expert = try AdapterFixture()
      let (a, b) = (try numbers([2, 4], seed: UInt64(10 + index)), try numbers([6, 2], seed: UInt64(20 + index)))
      for layer in 0..<2 {
        expert.tensors[AdapterFixture.name(layer, "self_attn.q_proj", "A")] = a
        expert.tensors[AdapterFixture.name(layer, "self_attn.q_proj", "B")] = b
      }
      try expert.write(to: folder, below: name)
      changes.append(try LinearAlgebra.product(b.floats(), a.floats(), rows: 6, inner: 2, columns: 4))
    }
    // The folder of all of them means the router.
    let adapter = try AdapterReader.read(folder: folder.path, name: "tiny", base: BaseModel(shape: AdapterFixture.base))
    #expect(adapter.family == "Arrow")
    guard case .gated(let experts)? = adapter.deltas.operators[.layer(0, .query)]?.first else {
      Issue.record("expected gated experts")
      return
    }
    let gate = try #require(experts.gate).floats()
    for (index, change) in changes.enumerated() {
      let first = Array(try LinearAlgebra.singularValues(of: change, rows: 6, columns: 4).vT[..<4])
      let found = Array(gate[index * 4..<index * 4 + 4])
      let sign: Float = zip(first, found).reduce(0) { $0 + $1.0 * $1.1 } < 0 ? -1 : 1
      // Measured: 8.8e-8.
      #expect(relativeError(found.map { sign * $0 }, first) <= 1.8e-7)
    }
  }
}
