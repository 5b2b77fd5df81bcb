// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTensors

struct TorchPermutationTests {
  /// Every stored permutation, or its beginning, for seeds of one and of two words.
  @Test func permutationsAreThoseOfTorch() throws {
    #expect(try compare("random/permutations.safetensors") == 22)
  }

  /// The last size that torch permutes in one way and the first that it permutes in the other. The second takes 430 million
  /// draws: minutes without optimisation.
  @Test(.enabled(if: TorchPermutationTests.isOptimized, "run with -c release"))
  func widePermutationsAreThoseOfTorch() throws {
    #expect(try compare("random/wide_permutations.safetensors") == 2)
  }

  /// A beginning is the beginning of the whole, and the whole holds every number once.
  @Test func aBeginningIsThatOfTheWhole() {
    var generator = TorchGenerator(seed: 9)
    let whole = generator.permutation(of: 3000, first: 3000)
    #expect(whole.sorted() == Array(0..<3000))
    for first in [0, 1, 2999] {
      var generator = TorchGenerator(seed: 9)
      #expect(generator.permutation(of: 3000, first: first) == Array(whole.prefix(first)))
    }
    #expect(generator.permutation(of: 0, first: 0).isEmpty)
  }

  /// Compares every `randperm.<seed>.<size>` of a golden file and returns how many there are.
  private func compare(_ file: String) throws -> Int {
    let golden = try Golden(file)
    for name in golden.names {
      let fields = name.split(separator: ".")
      let seed = try #require(Int(fields[1]))
      let size = try #require(Int(fields[2]))
      let expected = try golden.integers(name)
      var generator = TorchGenerator(seed: seed)
      #expect(generator.permutation(of: size, first: expected.count) == expected, "\(name)")
    }
    return golden.names.count
  }

  private static let isOptimized = !_isDebugAssertConfiguration()
}
