// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors
import WeftTransformer

/// GGUF files that are sound as files and no models that Weft computes.
struct GGUFModelErrorTests {
  static let known =
    "one of gemma, gemma2, gemma3, gpt2, granite, llama, olmo2, openelm, phi3, qwen2, qwen2moe, qwen3, qwen3moe, smollm3"

  @Test func architecture() throws {
    var file = try EditedGGUF("gqa-tied")
    try file.overwrite(key: "general.architecture", text: "mamba")
    #expect(try file.error() == "FILE: general.architecture: mamba is not supported; expected \(Self.known)")
    file = try EditedGGUF("gqa-tied")
    try file.overwrite(key: "general.architecture", at: -1, with: [UInt8(ascii: "X")])
    #expect(try file.error() == "FILE: general.architecture: none is not supported; expected \(Self.known)")
  }

  /// An integer key of gqa-tied, its new value, and the error.
  static let integers: [(key: String, value: UInt32, error: String)] = [
    ("attention.head_count_kv", 3, "llama.attention.head_count_kv: expected a divisor of 4 heads, found 3"),
    ("attention.head_count", 0, "llama.attention.head_count: expected 1 or more, found 0"),
    ("embedding_length", .max, "llama.embedding_length: expected 1 to 1048576, found 4294967295"),
    ("feed_forward_length", .max, "llama.feed_forward_length: expected 1 to 4194304, found 4294967295"),
    ("block_count", .max, "llama.block_count: expected 1 to 4096, found 4294967295"),
    ("vocab_size", .max, "llama.vocab_size: expected 1 to 16777216, found 4294967295"),
    ("context_length", .max, "llama.context_length: expected 1 to 67108864, found 4294967295"),
    ("rope.dimension_count", 10, "llama.rope.dimension_count: expected up to the head dimension 8, found 10"),
    (
      "rope.dimension_count", 5,
      "llama.rope.dimension_count: 5 is not supported; expected an even number up to the head dimension 8"
    ),
    ("block_count", 4, "tensor blk.3.attn_q.weight is missing"),
    ("block_count", 2, "tensor blk.2.attn_k.weight belongs to no part of a llama model; nothing is ignored silently"),
    ("feed_forward_length", 32, "tensor blk.0.ffn_gate.weight: expected shape [32, 32], found [64, 32]"),
  ]

  @Test(arguments: integers) func sizes(key: String, value: UInt32, error: String) throws {
    var file = try EditedGGUF("gqa-tied")
    try file.overwrite(key: "llama." + key, integer: value)
    #expect(try file.error() == "FILE: " + error)
  }

  /// The kind of a value that has another: 6 is a float.
  @Test func kinds() throws {
    var file = try EditedGGUF("gqa-tied")
    try file.overwrite(key: "llama.block_count", at: 0, with: [6])
    #expect(try file.error() == "FILE: llama.block_count: expected an integer, found 4.203895392974451e-45")
    file = try EditedGGUF("gqa-tied")
    try file.overwrite(key: "llama.block_count", at: -1, with: [UInt8(ascii: "X")])
    #expect(try file.error() == "FILE: llama.block_count: expected a value, found none")
  }

  @Test func rotaryScaling() throws {
    var file = try EditedGGUF("linear-rope")
    try file.overwrite(key: "llama.rope.scaling.type", text: "longro")
    #expect(try file.error() == "FILE: llama.rope.scaling.type: longro is not supported; expected none, linear or yarn")
    file = try EditedGGUF("linear-rope")
    try file.overwrite(key: "llama.rope.scaling.factor", integer: Float(-4).bitPattern)
    #expect(try file.error() == "FILE: llama.rope.scaling.factor: expected a positive number, found -4.0")
    for bad: Float in [.nan, .infinity, 0, -1] {
      file = try EditedGGUF("llama3-rope")
      try file.overwrite(tensor: "rope_freqs.weight", at: 8, with: withUnsafeBytes(of: bad, Array.init))
      let error = try #require(try file.error())
      #expect(error.hasPrefix("FILE: tensor rope_freqs.weight: expected finite"), "\(error)")
      #expect(error.hasSuffix("at element 2"), "\(error)")
    }
  }

  /// A scale that is not a number spoils its block of 32.
  @Test(arguments: [("wide-q8_0", 34), ("wide-q4_0", 18)]) func scales(name: String, blockBytes: Int) throws {
    for (tensor, block) in [("blk.0.ffn_up.weight", 0), ("blk.1.ffn_down.weight", 100), ("token_embd.weight", 255)] {
      for scale: Float16 in [.nan, .infinity] {
        var file = try EditedGGUF(name)
        let bytes = withUnsafeBytes(of: scale.bitPattern, Array.init)
        try file.overwrite(tensor: tensor, at: block * blockBytes, with: bytes)
        let place = "expected finite values, found NaN or infinity at element \(block * 32)"
        #expect(try file.error() == "FILE: tensor \(tensor): \(place)")
      }
    }
  }
}
