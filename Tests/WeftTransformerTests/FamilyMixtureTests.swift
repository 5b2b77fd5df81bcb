// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftTensors
import WeftTransformer

/// Mixtures of adapters of different families, with weights of all signs, by layer and by module, against the sum of peft's
/// deltas (tools/adapters/mixtures.py); and batches of different families.
struct FamilyMixtureTests {
  static let golden = "families/mixtures.safetensors"

  @Test(arguments: availableTiers) func mixturesAreSumsOfDeltas(isa: ISA) throws {
    let golden = try Golden(Self.golden)
    let tokens = try golden.integers("tokens").map(Int32.init)
    let runner = try ModelRunner(FamilyCase.path(base: "llama"), isa: isa)
    let texts = golden.names.filter { $0 != "tokens" }
    #expect(texts.count == 9)
    for text in texts {
      let logits = runner.logits(tokens, mixture: try runner.families(text))
      FamilyErrors.check(text, .unmerged, relativeError(logits, try golden.floats(text)))
    }
  }

  @Test func fusedMixturesAreSumsOfDeltas() throws {
    let golden = try Golden(Self.golden)
    let tokens = try golden.integers("tokens").map(Int32.init)
    let runner = try ModelRunner(FamilyCase.path(base: "llama"))
    for text in golden.names where text != "tokens" {
      let deltas = try Mixture(parsing: text).parts.map { (set: try runner.family($0.adapter).deltas, part: $0) }
      try runner.weights.fuse(deltas)
      FamilyErrors.check(text, .fused, relativeError(runner.logits(tokens), try golden.floats(text)))
      runner.weights.unfuse(deltas.map(\.set))
    }
  }

  /// Rows of a batch that have adapters of different families get, to the bit, what each gets alone.
  @Test(arguments: availableTiers) func batchesOfFamilies(isa: ISA) throws {
    let path = FamilyCase.path(base: "llama")
    let runner = try ModelRunner(path, isa: isa)
    let threaded = try ModelRunner(path, threads: 3, isa: isa)
    let names = FamilyGoldenTests.readable.filter { family in
      family.base == "llama" && family.layers == nil
        // What depends on the sequence as a whole, or on another pass before, has rows of its own.
        && !["lily", "xlora", "lora-alora"].contains { family.name.hasPrefix($0) }
    }.map(\.name)
    for start in stride(from: 0, to: names.count, by: 7) {
      let texts = names[start..<min(start + 7, names.count)]
      func rows(_ runner: ModelRunner) throws -> [ModelRunner.Row] {
        try texts.enumerated().map { index, name in
          ModelRunner.Row(
            tokens: randomTokens(3 + index, vocabulary: 96, seed: UInt64(start + index)), mixture: try runner.families(name))
        } + [ModelRunner.Row(tokens: [5, 6, 7], mixture: nil)]
      }
      let together = try rows(runner)
      let alone = together.map { runner.logits($0.tokens, mixture: $0.mixture) }
      let results = [runner.logits(together), runner.logits(together, chunk: 2), threaded.logits(try rows(threaded))]
      for (way, result) in zip(["together", "in pieces", "on threads"], results) {
        for (index, name) in texts.enumerated() {
          #expect(sameBits(result[index], alone[index]), "\(way): \(name)")
        }
      }
    }
  }
}

extension ModelRunner {
  /// The adapter of the case with this name.
  func family(_ name: String) throws -> Adapter {
    try adapter(try #require(FamilyCase.all.first { $0.name == name }))
  }

  /// A mixture of cases, from its text.
  func families(_ text: String) throws -> ActiveMixture {
    let mixture = try Mixture(parsing: text)
    return ActiveMixture(
      try mixture.parts.map { part in
        let adapter = try ResidentAdapter(family(part.adapter).deltas, groups: weights.inputGroups, pool: pool)
        try transformer.reserve(for: adapter)
        return (adapter, part)
      }, scales: mixture.scales)
  }
}
