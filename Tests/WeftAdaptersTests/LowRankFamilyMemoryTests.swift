// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftTensors

/// What modules share in their files they share in memory.
@Suite struct LowRankFamilyMemoryTests {
  /// The factors of q, k and v of the first layer.
  static func factors(_ adapter: AdapterFixture) throws -> [LowRank] {
    let deltas = try #require(try LowRankFamilyRefusalTests.read(adapter).adapter).deltas
    return try [Projection.query, .key, .value].map { projection in
      guard case .lowRank(let factors)? = deltas.operators[.layer(0, projection)]?.first else {
        throw AdapterError.noTensors(location: "\(projection)")
      }
      return factors
    }
  }

  /// Adds k_proj and v_proj [3, 4] to an adapter of q_proj, with vectors and matrices by the sizes of these.
  static func widened(_ peftType: String, _ shapes: [String: [Int]]) throws -> AdapterFixture {
    var adapter = try #require(LowRankFamilyFixture.all.first { $0.peftType == peftType }).adapter()
    adapter.config["target_modules"] = "[\"q_proj\", \"k_proj\", \"v_proj\"]"
    for layer in 0..<2 {
      for module in ["k_proj", "v_proj"] {
        for (parameter, shape) in shapes {
          adapter.tensors[LowRankFamilyFixture.name(layer, parameter, module: module)] = try AdapterFixture.ones(shape)
        }
      }
    }
    return adapter
  }

  @Test(arguments: [("VERA", "vera", 2), ("PVERA", "pvera", 4)])
  func modulesOfOneInputSizeShareA(peftType: String, prefix: String, count: Int) throws {
    let factors = try Self.factors(
      try Self.widened(peftType, ["\(prefix)_lambda_b": [3], "\(prefix)_lambda_d": [count]]))
    #expect(factors[1].sharesInput(with: factors[0]) && factors[2].sharesInput(with: factors[0]))
    #expect(factors.map(\.rank) == [2, 2, 2])
  }

  /// Of k and v [3, 4] the larger size is that of the inputs, and the shared bases are A.
  @Test func modulesOfOneShapeShareTheRandomBases() throws {
    let factors = try Self.factors(
      try Self.widened("RANDLORA", ["randlora_lambda": [3, 1], "randlora_gamma": [1, 3]]))
    #expect(factors[1].sharesInput(with: factors[2]) && !factors[1].sharesInput(with: factors[0]))
    #expect(factors.map(\.rank) == [6, 3, 3])
  }
}
