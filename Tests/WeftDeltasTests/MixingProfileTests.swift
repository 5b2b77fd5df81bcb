// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftDeltas
import WeftTensors

/// What may be mixed with what, and how refusals are worded.
@Suite struct MixingProfileTests {
  /// Adapters that have one thing each, at q_proj of layers 0 to 3.
  private static func set(_ kind: String) throws -> DeltaSet {
    let matrix = try Tensor([1, 0, 0, 1], shape: [2, 2])
    let delta: DeltaOperator? =
      switch kind {
      case "low-rank": .lowRank(try LowRank(a: matrix, b: matrix, scale: 1))
      case "scale": .scale(try ScaleDelta(.output, [1, 2]))
      case "magnitude": .scale(try ScaleDelta(.product, [1, 2], combination: .sum))
      case "blocks": .rotate(try RotationDelta(.blocks(Tensor([1, 0, 0, 1], shape: [1, 2, 2]), order: nil)))
      case "planes": .rotate(try RotationDelta(.planes(cosines: [1, 1], sines: [0, 0], group: 2)))
      case "bias": .bias(try BiasDelta([1, 2]))
      case "replaced bias": .bias(try BiasDelta([1, 2], isReplacement: true))
      case "replace": .replace(try WeightReplacement(matrix))
      default: nil
      }
    var deltas = DeltaSet()
    if let delta { for layer in 0..<4 { deltas.operators[.layer(layer, .query)] = [delta] } }
    switch kind {
    case "prompt": deltas.prompt = .embeddings(matrix)
    case "prefix": deltas.prompt = .keysAndValues(matrix)
    case "gated prompt": deltas.gatedPrompts = [1: try GatedPrompt(keys: matrix, values: matrix, gate: 1, headDimension: 2)]
    case "norm": deltas.norms = [.output: try NormReplacement(weight: [1, 1], bias: nil)]
    case "layer norm": deltas.norms = [.layer(2, .attentionInput): try NormReplacement(weight: [1, 1], bias: nil)]
    case "rows": deltas.embedding = [.rows(tokens: [3, 5], vectors: matrix)]
    case "other rows": deltas.embedding = [.rows(tokens: [4, 6], vectors: matrix)]
    case "embedding": deltas.embedding = [.replace(matrix)]
    case "steering": deltas.hidden = [.layerOutput(1): [.steering([1, 2])]]
    default: break
    }
    return deltas
  }

  /// The error of a mixture of adapters called a, b and so on; nil when they go together.
  private func error(_ text: String, _ kinds: [String: String]) throws -> String? {
    let mixture = try Mixture(parsing: text)
    let profiles = try mixture.parts.map { MixingProfile(try Self.set(kinds[$0.adapter] ?? "")) }
    do {
      try MixingProfile.validate(mixture, profiles)
      return nil
    } catch { return error.description }
  }

  @Test(arguments: ["low-rank", "scale", "magnitude", "bias", "steering"]) func anyWeightsAndAnyCompany(kind: String) throws {
    #expect(MixingProfile(try Self.set(kind)).isFree)
    for other in ["low-rank", "blocks", "replace", "prompt", "norm", "rows"] {
      #expect(try error("a:-0.5,b", ["a": kind, "b": other]) == nil)
    }
  }

  @Test(arguments: [
    ("blocks", "a rotation of the input for layers.0.q_proj"), ("planes", "a rotation of the output for layers.0.q_proj"),
    ("replaced bias", "a bias of its own for layers.0.q_proj"), ("replace", "a weight of its own for layers.0.q_proj"),
    ("prompt", "a prompt for the beginning of the sequence"), ("gated prompt", "a gated prompt for layer 1"),
    ("norm", "a norm of its own for the last norm"), ("layer norm", "a norm of its own for the attentionInput norm of layer 2"),
    ("rows", "embeddings of its own for token 3"), ("embedding", "embeddings of its own for the embedding"),
  ])
  func oneOfAKindWithWeight1(kind: String, name: String) throws {
    let same = ["a": kind, "b": kind]
    #expect(try error("a,b:0", same) == nil && error("a", same) == nil)
    let half = try #require(try error("a:0.5,b:0", same))
    #expect(half == "'a' has \(name), which acts fully or not at all: expected weight 1 there, found 0.5")
    let both = try #require(try error("a,b", same))
    #expect(both.hasPrefix("'a' and 'b' cannot be mixed: each has \(name), expected one at most"))
    let isOrdered = ["blocks", "planes"].contains(kind)
    #expect(both.contains("a stack that says which acts first, as in 'a>b'") == isOrdered)
    #expect((try error("a>b", same) == nil) == isOrdered)
  }

  @Test func differentThingsGoTogether() throws {
    let kinds = [
      "blocks", "planes", "replaced bias", "replace", "gated prompt", "norm", "layer norm", "prompt", "rows", "other rows",
    ]
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]
    #expect(
      try error(names.joined(separator: ","), Dictionary(uniqueKeysWithValues: zip(names, kinds))) == nil)
    #expect(try error("a,b", ["a": "prompt", "b": "prefix"])?.contains("each has a prompt") == true)
    #expect(try error("a,b", ["a": "rows", "b": "embedding"])?.contains("each has embeddings of its own") == true)
  }

  @Test func layersKeepThemApart() throws {
    let same = ["a": "blocks", "b": "blocks"]
    #expect(try error("a@0-1,b@2-3", same) == nil)
    #expect(try error("a@0-2,b@2-3", same)?.contains("for layers.2.q_proj, expected one") == true)
    #expect(try error("a[k_proj=0.5]", same) == nil)
    #expect(try error("a[q_proj@3=0.5]", same)?.contains("layers.3.q_proj") == true)
    #expect(try error("a[q_proj=0],b", same) == nil)
    #expect(try error("a@0-1,b", ["a": "prompt", "b": "prompt"]) == nil, "a prompt is outside of layers")
  }

  @Test func rulesAreListed() throws {
    var both = try Self.set("blocks")
    both.prompt = try Self.set("prompt").prompt
    #expect(both.mixingRules == ["rotate": .ordered, "prompt": .exclusive])
    #expect(try Self.set("scale").mixingRules == ["scale": .scale])
    #expect(try Self.set("magnitude").mixingRules == ["scale": .sum])
    #expect(try Self.set("steering").mixingRules == ["steering": .sum])
    #expect(Set(MixingRule.allCases.map(\.sentence)).count == MixingRule.allCases.count)
  }
}
