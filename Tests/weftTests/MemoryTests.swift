// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftTensors

/// What the system says of a process that has loaded a model, and has then filled its context, beside the plan.
@Suite("Memory of the program")
struct MemoryTests {
  static let demo = TestPaths.package + "/Models/demo/base.gguf"

  /// Planned, after loading, and after the context was full.
  private func measure(_ model: String, prefill: Int, _ more: [String] = []) throws -> (planned: Double, found: [Double]) {
    let run = try Weft(
      ["bench", "--json", "--model", model, "--prefill", "\(prefill)", "--decode", "2", "--repetitions", "1", "--threads", "2"]
        + more)
    let json = try JSON(parsing: run.output, location: "weft bench --json")
    func number(_ name: String) throws -> Double { try #require(json[name]?.double, "\(run.errors)\(run.output)") }
    return (try number("planned_bytes"), [try number("loaded_bytes"), try number("full_bytes")])
  }

  @Test(arguments: ["f16", "q8_0", "f32"]) func demo(kvType: String) throws {
    let (planned, found) = try measure(Self.demo, prefill: 1000, ["--kv-type", kvType])
    for bytes in found { #expect(abs(bytes - planned) <= 0.05 * planned, "\(bytes) beside \(planned)") }
  }

  @Test func demoWithAdapters() throws {
    let adapters = ["roman", "clock", "dates", "sort", "intent"].flatMap {
      ["--adapter", "\($0)=\(TestPaths.package)/Models/demo/experts/\($0).weft"]
    }
    let (planned, found) = try measure(Self.demo, prefill: 300, adapters)
    for bytes in found { #expect(abs(bytes - planned) <= 0.05 * planned, "\(bytes) beside \(planned)") }
  }

  /// 42 million zeros in F16 take as much memory as other numbers.
  @Test func aLargerModel() throws {
    let folder = try TemporaryFolder()
    try MemoryTests.writeModel(folder)
    let (planned, found) = try measure(folder.path, prefill: 60)
    #expect(planned > 130e6)
    for bytes in found { #expect(abs(bytes - planned) <= 0.05 * planned, "\(bytes) beside \(planned)") }
  }

  /// The command says what the engine says, and refuses as it does.
  @Test func inspectPlan() throws {
    let arguments = ["inspect", "--plan", "--context", "1003", "--kv-type", "q8_0", Self.demo]
    let plan = try Weft(arguments)
    #expect(plan.status == 0, "\(plan.errors)")
    let total = try #require(plan.output.firstMatch(of: /together +([0-9.]+) MB/))
    let planned = try measure(Self.demo, prefill: 1000, ["--kv-type", "q8_0"]).planned
    #expect(abs(try #require(Double(total.1)) * 1e6 - planned) <= 0.03 * planned, "\(plan.output)\(planned)")
    for name in ["weights Q8_0", "embedding", "KV cache q8_0", "workspace", "tokenizer", "norms and biases", "program"] {
      #expect(plan.output.contains(name))
    }
    let refused = try Weft(["inspect", "--plan", "--max-memory", "40M", Self.demo])
    #expect(refused.status == 71 && refused.output.isEmpty && refused.errors.contains("expected at most 40.0 MB"))
    let unloaded = try Weft(["run", "--model", Self.demo, "--max-memory", "20Mi", "hello"])
    #expect(unloaded.status == 71 && unloaded.errors.contains("expected at most 21.0 MB"))
    for wrong in ["x", "0", "-5M", "4Q", "1e400G", "Gi"] {
      #expect(try Weft(["run", "--max-memory=" + wrong, "hello"]).status == 64, "\(wrong)")
    }
    #expect(try Weft(["inspect", "--context", "5", Self.demo]).errors.contains("--plan"))
  }

  /// What the refusal says would fit does fit, and a little more does not. The program itself takes 62.1 to 62.7 MB of 190 runs
  /// here, as the system's caches have its pages: a little is twice that difference, 192 tokens of 7.2 kB.
  @Test func refusesAndSaysWhatFits() throws {
    func plan(_ more: String...) throws -> Weft { try Weft(["inspect", "--plan", Self.demo] + more) }
    let total = try #require(try plan().output.firstMatch(of: /together +([0-9.]+) MB/))
    let whole = try #require(Double(total.1))
    let less = "\(whole - 3)M"
    let refused = try plan("--max-memory", less)
    #expect(refused.status == 71)
    let advice = try #require(
      refused.errors.firstMatch(of: /what would fit: a context of (\d+) tokens, or/), "\(refused.errors)")
    let context = try #require(Int(advice.1))
    #expect(context > 384 && context < 768 && context % 16 == 0)
    #expect(refused.errors.contains("a context of 1024 tokens with keys and values in q8_0"))
    #expect(try plan("--max-memory", less, "--context", "\(context - 192)").status == 0)
    #expect(try plan("--max-memory", less, "--context", "\(context + 192)").status == 71)
    #expect(try plan("--max-memory", less, "--kv-type", "q8_0").status == 0)
    let several = try plan("--max-memory", "\(whole + 9)M", "--parallel", "4")
    #expect(several.errors.contains("what would fit: 2 sequences of 1024 tokens, or"), "\(several.errors)")
    #expect(try plan("--max-memory", "\(whole + 9)M", "--parallel", "2").status == 0)
    #expect(try plan("--max-memory", "1M").errors.contains("without any context"))
    // Adapters count, before the model is loaded and after.
    let adapters = ["clock", "dates", "roman", "sort"].flatMap {
      ["--adapter", "\($0)=\(TestPaths.package)/Models/demo/experts/\($0).weft"]
    }
    // Four of 0.2 MB, and what reading packs takes.
    let enough = "\(whole + 2)M"
    #expect(try plan("--max-memory", enough).status == 0)
    #expect(try Weft(["inspect", "--plan", Self.demo, "--max-memory", enough] + adapters).status == 71)
    #expect(try Weft(["run", "--model", Self.demo, "--max-memory", enough, "hello"] + adapters).status == 71)
  }

  private static func writeModel(_ folder: TemporaryFolder) throws {
    let (hidden, layers, wide, words) = (512, 8, 2048, 16000)
    try folder.write(
      """
      {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": \(hidden), "num_hidden_layers": \(layers),
       "num_attention_heads": 8, "num_key_value_heads": 8, "intermediate_size": \(wide), "vocab_size": \(words),
       "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000, "tie_word_embeddings": true}
      """.utf8, to: "config.json")
    var tensors: [SafetensorsWriter.Declaration] = [
      ("model.embed_tokens.weight", .f16, [words, hidden]), ("model.norm.weight", .f16, [hidden]),
    ]
    for layer in 0..<layers {
      let root = "model.layers.\(layer)."
      for name in ["q", "k", "v", "o"] { tensors.append((root + "self_attn.\(name)_proj.weight", .f16, [hidden, hidden])) }
      for name in ["gate", "up"] { tensors.append((root + "mlp.\(name)_proj.weight", .f16, [wide, hidden])) }
      tensors.append((root + "mlp.down_proj.weight", .f16, [hidden, wide]))
      tensors.append((root + "input_layernorm.weight", .f16, [hidden]))
      tensors.append((root + "post_attention_layernorm.weight", .f16, [hidden]))
    }
    let writer = try SafetensorsWriter(path: folder.file("model.safetensors"), tensors: tensors)
    for (_, _, shape) in tensors {
      let zeros = [UInt8](repeating: 0, count: shape.reduce(2, *))
      try zeros.withUnsafeBytes { try writer.append($0) }
    }
    try writer.finish()
  }
}
