// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftEngine
import WeftFormats
import WeftTensors

/// Files that Weft writes: Hugging Face folders as GGUF, and quantised ones.
struct ModelWriterTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Models that GGUF can hold, one for every feature.
  static let convertible = [
    "gemma-mha", "gemma2-caps", "gemma3-linear", "gemma3-pattern", "gpt2-inner", "gpt2-tied", "granite-biases", "llama-biases",
    "llama-llama3", "llama-yarn", "mistral-nemo", "mixtral-top2", "olmo2-gqa", "openelm-widths", "phi3-gqa", "phi3-window",
    "phi4mini-long", "qwen2-tied", "qwen2moe-shared", "qwen3-yarn", "qwen3moe-norm", "smollm3-nope",
  ]

  private static func golden(_ name: String) -> String { TestPaths.goldens + "/architectures/" + name }

  private static func logits(_ path: String, _ tokens: [Int32]) throws -> [Float] {
    let engine = try Engine(model: path, options: EngineOptions(threads: 2, contextLength: tokens.count, kvType: .f32))
    var result: [Float] = []
    try engine.logits(of: tokens) { _, row in result += row }
    return result
  }

  private func write(
    _ source: String, _ type: QuantizationType? = nil, to name: String = "model.gguf", threads: Int = 2,
    importance: String? = nil, overrides: [(name: String, dtype: DType)] = []
  ) throws -> String {
    let source = try ModelSource(path: source)
    let path = folder.file(name)
    var shares: [Double] = []
    try ModelWriter(
      source, type: type ?? source.ownType, importance: importance, overrides: overrides, threads: threads
    ).write(to: path) { shares.append($0) }
    #expect(shares.last == 1 && shares == shares.sorted())
    return path
  }

  @Test(arguments: convertible) func aFolderAndItsFileGiveTheSameLogits(name: String) throws {
    let path = try write(Self.golden(name))
    let tokens = try Golden("architectures/\(name)/logits.safetensors").integers("tokens").map { Int32($0) }
    let logits = try Self.logits(Self.golden(name), tokens)
    #expect(try Self.logits(path, tokens) == logits, "bit for bit")
  }

  /// The gguf package's file of the same model: the same tensors, number by number.
  @Test(arguments: ["gemma2-caps", "gpt2-tied", "llama-llama3", "mixtral-top2", "phi4mini-long", "qwen2moe-shared"])
  func tensorsAreThoseOfTheGGUFPackage(name: String) throws {
    let ours = try GGUFFile(path: write(Self.golden(name)))
    let theirs = try GGUFFile(path: Self.golden(name) + "/model.gguf")
    #expect(Set(ours.tensorOrder) == Set(theirs.tensorOrder))
    for (name, tensor) in theirs.tensors {
      let own = try #require(ours.tensors[name])
      #expect(own.shape == tensor.shape, "\(name)")
      // Divisors are computed; the rest is copied.
      let bound: Float = name == "rope_freqs.weight" ? 2.4e-7 : 0
      #expect(zip(own.floats(), tensor.floats()).allSatisfy { abs($0 - $1) <= bound * abs($1) }, "\(name)")
    }
  }

  @Test(arguments: [
    ("gemma2-scalar", "query_pre_attn_scalar"), ("gemma3-nested", "sliding_window"), ("qwen2moe-mixed", "mlp_only_layers"),
    ("smollm3-list", "no_rope_layers"),
  ]) func whatGGUFCannotHoldIsRefusedByName(name: String, field: String) throws {
    let error = #expect(throws: EngineError.self) { _ = try ModelSource(path: Self.golden(name)) }
    #expect(error?.status == .unsupported && error?.message.contains(field) == true, "\(error?.message ?? "")")
  }

  @Test func aWindowBecomesTheContext() throws {
    let source = try ModelSource(path: Self.golden("mistral-window"))
    #expect(source.notes.count == 1 && source.notes[0].contains("up to 7 tokens"))
    let file = try GGUFFile(path: write(Self.golden("mistral-window")))
    #expect(file.metadata["llama.context_length"] == .unsigned(7))
  }

  @Test(arguments: QuantizationType.allCases) func theSameBytesWithAnyNumberOfThreads(type: QuantizationType) throws {
    let model = Self.golden("qwen2moe-shared")
    let one = try write(model, type, to: "one.gguf", threads: 1)
    let three = try write(model, type, to: "three.gguf", threads: 3)
    #expect(try readBytes(one) == readBytes(three))
    let file = try GGUFFile(path: one)
    #expect(file.metadata["general.file_type"] == .unsigned(UInt64(type.number)))
    #expect(try folder.contents == ["one.gguf", "three.gguf"])
  }

  @Test func aFileIsQuantisedAsItsFolderIs() throws {
    let model = Self.golden("llama-llama3")
    let float = try write(model, to: "float.gguf")
    let (direct, later) = (try write(model, .q8_0, to: "a.gguf"), try write(float, .q8_0, to: "b.gguf"))
    let (one, two) = (try GGUFFile(path: direct), try GGUFFile(path: later))
    #expect(one.tensorOrder == two.tensorOrder)
    for (name, tensor) in one.tensors {
      let other = try #require(two.tensors[name])
      #expect(tensor.dtype == other.dtype && tensor.floats() == other.floats(), "\(name)")
    }
    #expect(Set(one.metadata.keys) == Set(two.metadata.keys))
  }

  @Test func overridesComeFirstAndMustConcernSomething() throws {
    let model = Self.golden("llama-llama3")
    let file = try GGUFFile(path: write(model, .q4_0, overrides: [("attn_v", .q8_0), ("blk.0.attn_q.weight", .f16)]))
    #expect(file.tensors["blk.0.attn_v.weight"]?.dtype == .q8_0)
    #expect(file.tensors["blk.0.attn_q.weight"]?.dtype == .f16)
    #expect(file.tensors["blk.1.attn_q.weight"]?.dtype == .q4_0)
    #expect(throws: EngineError.self) { try write(model, .q4_0, overrides: [("attn_x", .q8_0)]) }
    #expect(throws: EngineError.self) { try write(model, .q4_0, overrides: [("attn_norm", .q8_0)]) }
    let error = #expect(throws: EngineError.self) { try write(model, .q4_0, overrides: [("attn_v", .q6_k)]) }
    #expect(error?.message.contains("whole Q6_K blocks") == true)
  }

  @Test func badNumbersAreRefusedByName() throws {
    for (value, word) in [(Float.nan, "finite"), (3e38, "larger")] {
      let path = folder.file("bad.gguf")
      let writer = try GGUFWriter(
        path: path, metadata: [("general.architecture", .string("llama"))], tensors: [("blk.0.attn_v.weight", .f32, [2, 32])])
      try writer.append([Float](repeating: 1, count: 63) + [value])
      try writer.finish()
      let error = #expect(throws: EngineError.self) { try write(path, .q8_0, to: "out.gguf") }
      #expect(error?.message.contains("blk.0.attn_v.weight") == true && error?.message.contains(word) == true)
      #expect(try folder.contents == ["bad.gguf"])
    }
  }
}
