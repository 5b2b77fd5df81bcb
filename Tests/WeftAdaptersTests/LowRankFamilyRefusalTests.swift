// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftTensors

/// Wrong files of the families that become low-rank factors: every tensor missing, surplus or of another size, and every option
/// that none or only another value is supported of.
@Suite struct LowRankFamilyRefusalTests {
  typealias Fixture = LowRankFamilyFixture

  /// The error of reading, and the paths of the two files; nil when it is read.
  static func read(_ fixture: AdapterFixture, base: BaseModel = Fixture.base()) throws -> Result {
    let folder = try TemporaryFolder()
    try fixture.write(to: folder)
    let paths = (folder.path, folder.file("adapter_config.json"), folder.file("adapter_model.safetensors"))
    do {
      let adapter = try AdapterReader.read(folder: folder.path, name: "tested", base: base)
      return Result(adapter: adapter, error: nil, folder: paths.0, config: paths.1, tensors: paths.2)
    } catch { return Result(adapter: nil, error: error, folder: paths.0, config: paths.1, tensors: paths.2) }
  }

  struct Result {
    let adapter: Adapter?
    let error: AdapterError?
    let folder: String
    let config: String
    let tensors: String
  }

  @Test(arguments: Fixture.all) func theFixtureIsRight(fixture: Fixture) throws {
    let result = try Self.read(try fixture.adapter())
    #expect(result.error == nil)
    #expect(result.adapter?.deltas.sites == [.layer(0, .query), .layer(1, .query)])
  }

  @Test(arguments: Fixture.all) func everyTensorIsNeeded(fixture: Fixture) throws {
    for (name, _) in fixture.shapes {
      var adapter = try fixture.adapter()
      adapter.tensors[name] = nil
      let result = try Self.read(adapter)
      #expect(result.error == .missingTensor(location: result.tensors, tensor: name))
    }
  }

  @Test(arguments: Fixture.all) func everyShapeIsChecked(fixture: Fixture) throws {
    for (name, shape) in fixture.shapes {
      for axis in shape.indices {
        var other = shape
        other[axis] += 1
        var adapter = try fixture.adapter()
        adapter.tensors[name] = try fixture.tensor(name, other)
        let result = try Self.read(adapter)
        let rank = AdapterError.wrongRank(location: result.tensors, tensor: name, expected: shape[axis], found: other[axis])
        #expect(
          result.error == .wrongShape(location: result.tensors, tensor: name, expected: shape, found: other)
            || result.error == rank, "\(name) \(other)")
      }
    }
  }

  @Test(arguments: Fixture.all) func otherModulesAndOtherTensorsAreRefused(fixture: Fixture) throws {
    let parameter = try #require(fixture.ofModules.keys.min())
    var adapter = try fixture.adapter()
    let surplus = Fixture.name(0, parameter, module: "k_proj")
    adapter.tensors[surplus] = try AdapterFixture.ones([1])
    var result = try Self.read(adapter)
    #expect(result.error == .unusedTensor(location: result.tensors, tensor: surplus))

    adapter = try fixture.adapter()
    let beyond = Fixture.name(2, parameter)
    adapter.tensors[beyond] = try AdapterFixture.ones([1])
    result = try Self.read(adapter)
    #expect(result.error == .layerOutOfRange(location: result.tensors, tensor: beyond, layerCount: 2))

    adapter = try fixture.adapter()
    adapter.tensors["base_model.model.surprise"] = try AdapterFixture.ones([1])
    result = try Self.read(adapter)
    guard case .unknownTensor(result.tensors, "base_model.model.surprise", _) = result.error else {
      Issue.record("expected an unknown tensor, found \(String(describing: result.error))")
      return
    }
  }

  /// A base of twice the width: the first tensor that has its size in it does not fit.
  @Test(arguments: Fixture.all) func otherBasesAreRefused(fixture: Fixture) throws {
    let wider = BaseShape.llama(
      layerCount: 2, hiddenSize: 8, queryWidth: 12, keyValueWidth: 6, intermediateSize: 10, vocabularySize: 7)
    let result = try Self.read(try fixture.adapter(), base: Fixture.base(wider))
    switch result.error {
    case .wrongShape(result.tensors, _, _, _), .wrongRank(result.tensors, _, _, _): break
    default: Issue.record("expected a shape that does not fit, found \(String(describing: result.error))")
    }
    let shorter = BaseShape.llama(
      layerCount: 1, hiddenSize: 4, queryWidth: 6, keyValueWidth: 3, intermediateSize: 5, vocabularySize: 7)
    let short = try Self.read(try fixture.adapter(), base: Fixture.base(shorter))
    guard case .layerOutOfRange(short.tensors, _, 1) = short.error else {
      Issue.record("expected a layer out of range, found \(String(describing: short.error))")
      return
    }
  }

  @Test(arguments: Fixture.all) func optionsThatEveryFamilyRefuses(fixture: Fixture) throws {
    var adapter = try fixture.adapter()
    adapter.config["surprise"] = "1"
    var result = try Self.read(adapter)
    #expect(result.error == .unknownOption(location: result.config, option: "surprise", found: "1"))

    adapter = try fixture.adapter()
    adapter.config["target_modules"] = "[\"q_proj\", \"k_proj\"]"
    result = try Self.read(adapter)
    guard case .missingTensor(result.tensors, let name) = result.error, name.contains("layers.0.self_attn.k_proj.") else {
      Issue.record("expected a missing tensor of k_proj, found \(String(describing: result.error))")
      return
    }
  }

  /// One option that is wrong for one family.
  struct Row: Sendable, CustomTestStringConvertible {
    let peftType: String
    let option: String
    let value: String
    /// What the error says is expected, and what is found.
    let expected: String
    let found: String
    /// Other options that the row needs.
    var others: [String: String] = [:]

    var testDescription: String { "\(peftType): \(option) \(value)" }
  }

  static let numbers = ["0", "-1", "1.5", "\"2\"", "true"]
  static let rows: [Row] =
    ["VERA", "PVERA", "VBLORA", "RANDLORA", "GRALORA", "DELORA", "TINYLORA", "UNILORA", "DEFT"].flatMap { family in
      numbers.map { Row(peftType: family, option: "r", value: $0, expected: "an integer of at least 1", found: $0) }
        + [
          Row(
            peftType: family, option: "r", value: "1000000000000", expected: "a rank of at most 1024", found: "1000000000000")
        ]
    } + [
      Row(
        peftType: "VBLORA", option: "vector_length", value: "3",
        expected: "a divisor of [6, 4], the size of model.layers.0.self_attn.q_proj", found: "3"),
      Row(
        peftType: "VBLORA", option: "topk", value: "6", expected: "at most num_vectors, which is 5", found: "6"),
      Row(
        peftType: "VBLORA", option: "num_vectors", value: "0", expected: "an integer of at least 1", found: "0"),
      Row(
        peftType: "GRALORA", option: "gralora_k", value: "3", expected: "a divisor of r, which is 2", found: "3"),
      Row(
        peftType: "GRALORA", option: "gralora_k", value: "4",
        expected: "a divisor of [6, 4], the size of model.layers.0.self_attn.q_proj", found: "4", others: ["r": "4"]),
      Row(
        peftType: "GRALORA", option: "hybrid_r", value: "-1", expected: "an integer of at least 0", found: "-1"),
      Row(peftType: "GRALORA", option: "alpha", value: "\"64\"", expected: "a number", found: "\"64\""),
      Row(
        peftType: "DELORA", option: "rank_pattern", value: "{\"q_proj\": 0}", expected: "ranks of at least 1", found: "0"),
      Row(
        peftType: "TINYLORA", option: "weight_tying", value: "1.5", expected: "a number from 0 to 1", found: "1.5"),
      Row(peftType: "TINYLORA", option: "u", value: "0", expected: "an integer of at least 1", found: "0"),
      Row(
        peftType: "UNILORA", option: "theta_d_length", value: "0", expected: "an integer of at least 1", found: "0"),
      Row(
        peftType: "DEFT", option: "decomposition_method", value: "\"svd\"", expected: "\"relu\" or \"qr\"", found: "\"svd\""),
      Row(
        peftType: "OSF", option: "effective_rank", value: "0", expected: "a number above 0", found: "0"),
      Row(
        peftType: "OSF", option: "rank_pattern", value: "{\"q_proj\": \"all\"}", expected: "a number above 0",
        found: "\"all\""),
      Row(
        peftType: "RANDLORA", option: "randlora_alpha", value: "[]", expected: "a number", found: "an array"),
    ]

  @Test(arguments: rows) func optionsOfOneFamily(row: Row) throws {
    let fixture = try #require(Fixture.all.first { $0.peftType == row.peftType })
    var adapter = try fixture.adapter()
    for (option, value) in row.others { adapter.config[option] = value }
    adapter.config[row.option] = row.value
    let result = try Self.read(adapter)
    #expect(
      result.error
        == .malformedOption(location: result.config, option: row.option, expected: row.expected, found: row.found))
  }

  /// Small files that ask for much: r of VeRA is the length of one vector.
  @Test func factorsLargerThanTheBaseAreRefused() throws {
    let wide = BaseShape.llama(
      layerCount: 2, hiddenSize: 32000, queryWidth: 1, keyValueWidth: 1, intermediateSize: 1, vocabularySize: 7)
    var adapter = try #require(Fixture.all.first { $0.peftType == "VERA" }).adapter()
    adapter.config["r"] = "16000"
    let result = try Self.read(adapter, base: Fixture.base(wide))
    #expect(
      result.error
        == .malformedOption(
          location: result.config, option: "r", expected: "factors that are no larger than the weights", found: "16000"))
  }

  @Test func samplingAtInferenceIsRefused() throws {
    var adapter = try #require(Fixture.all.first { $0.peftType == "PVERA" }).adapter()
    adapter.config["sample_at_inference"] = "true"
    let result = try Self.read(adapter)
    #expect(
      result.error
        == .unsupportedOption(
          location: result.config, option: "sample_at_inference", expected: "it absent or off", found: "true"))
  }

  /// A projection that is in the file although the config says that it comes from a seed.
  @Test(arguments: ["VERA", "PVERA", "RANDLORA"]) func projectionsBesideASeedAreRefused(peftType: String) throws {
    let fixture = try #require(Fixture.all.first { $0.peftType == peftType })
    var adapter = try fixture.adapter()
    adapter.config["save_projection"] = "false"
    let result = try Self.read(adapter)
    let name = "base_model." + (try #require(fixture.ofModel.keys.min()))
    guard case .unknownTensor(result.tensors, name, _) = result.error else {
      Issue.record("expected \(name) to be unknown, found \(String(describing: result.error))")
      return
    }
  }

  @Test func copiesOfRandomBasesMustBeEqual() throws {
    var adapter = try #require(Fixture.all.first { $0.peftType == "RANDLORA" }).adapter()
    let copy = Fixture.name(1, "randlora_A")
    adapter.tensors[copy] = try AdapterFixture.ones([3, 1, 4])
    #expect(try Self.read(adapter).error == nil)
    adapter.tensors[copy] = try Tensor([Float](repeating: 2, count: 12), shape: [3, 1, 4])
    let result = try Self.read(adapter)
    #expect(
      result.error == .duplicateTensor(location: result.tensors, tensor: copy, other: "base_model.randlora_A"))
  }

  @Test(arguments: [(Fixture.vbLoRATop, "vblora_logits_A_topk_indices", 4), (.uniLoRA, "unilora_indices_B", 4)])
  func indicesMustPointAtSomething(fixture: Fixture, parameter: String, last: Int) throws {
    for index in [-1, last + 1] {
      let adapter = try fixture.adapter()
      let name = Fixture.name(1, parameter)
      let tensor = try #require(adapter.tensors[name])
      if tensor.dtype == .i64 {
        tensor.storage.bytes.storeBytes(of: Int64(index), toByteOffset: 24, as: Int64.self)
      } else {
        tensor.storage.bytes.storeBytes(of: Int16(index), toByteOffset: 6, as: Int16.self)
      }
      let result = try Self.read(adapter)
      #expect(
        result.error
          == .indexOutOfRange(location: result.tensors, tensor: name, element: 3, expected: "0 to \(last)", found: index))
    }
  }

  @Test func indicesMustBeIntegers() throws {
    var adapter = try Fixture.uniLoRA.adapter()
    let name = Fixture.name(0, "unilora_indices_A")
    adapter.tensors[name] = try AdapterFixture.ones([2, 4])
    let result = try Self.read(adapter)
    #expect(
      result.error
        == .wrongType(location: result.tensors, tensor: name, expected: "I64, I32, I16 or U8", found: "F32"))
  }

  /// Without stored indices only the config says which modules there are.
  @Test func regeneratedIndicesNeedTheModules() throws {
    var adapter = try Fixture.uniLoRA.adapter()
    adapter.config["save_indices"] = "false"
    adapter.tensors = adapter.tensors.filter { $0.key == "base_model.unilora_theta_d" }
    #expect(try Self.read(adapter).error == nil)
    adapter.config["target_modules"] = "null"
    let result = try Self.read(adapter)
    #expect(
      result.error
        == .malformedOption(
          location: result.config, option: "target_modules",
          expected: "the modules that are adapted: the tensors do not tell", found: "nothing"))
  }

  @Test(arguments: ["DEFT", "OSF"]) func familiesThatNeedTheBaseSaySo(peftType: String) throws {
    let fixture = try #require(Fixture.all.first { $0.peftType == peftType })
    let result = try Self.read(try fixture.adapter(), base: BaseModel(shape: AdapterFixture.base))
    #expect(result.error == .needsBaseWeights(location: result.tensors))
  }

  @Test(arguments: ["PSOFT", "ADAMSS"]) func filesThatDoNotHoldTheChangeAreRefused(peftType: String) throws {
    var adapter = try AdapterFixture()
    adapter.config["peft_type"] = "\"\(peftType)\""
    let result = try Self.read(adapter)
    guard case .notReproducible(result.folder, let reason, let remedy) = result.error else {
      Issue.record("expected a refusal, found \(String(describing: result.error))")
      return
    }
    #expect(reason.contains("is stored without") && remedy.contains("where it was trained"))
  }
}
