// SPDX-License-Identifier: Apache-2.0

import Testing
import WeftDeltas
import WeftTensors

@Suite struct LowRankTests {
  static func zeros(_ shape: [Int]) throws -> Tensor {
    try Tensor([Float](repeating: 0, count: shape.reduce(1, *)), shape: shape)
  }

  @Test func sizes() throws {
    let factors = try LowRank(a: Self.zeros([2, 5]), b: Self.zeros([3, 2]), scale: 1)
    #expect((factors.rank, factors.inputSize, factors.outputSize) == (2, 5, 3))
  }

  @Test(arguments: [
    ([2, 5], [3, 4], DeltaError.malformed(factor: "b", expected: "2 columns, as a has rows", found: "shape [3, 4]")),
    ([10], [3, 2], .malformed(factor: "a", expected: "a matrix that is not empty", found: "shape [10]")),
    ([2, 5], [3, 2, 1], .malformed(factor: "b", expected: "a matrix that is not empty", found: "shape [3, 2, 1]")),
    ([0, 5], [3, 0], .malformed(factor: "a", expected: "a matrix that is not empty", found: "shape [0, 5]")),
  ])
  func wrongShapes(a: [Int], b: [Int], error: DeltaError) throws {
    let (a, b) = (try Self.zeros(a), try Self.zeros(b))
    #expect(throws: error) { try LowRank(a: a, b: b, scale: 1) }
  }

  @Test func wrongTypesAndScales() throws {
    let a = try Self.zeros([1, 2])
    let integers = try #require(Tensor(dtype: .i32, shape: [2, 1], storage: Storage(byteCount: 8), offset: 0))
    #expect(throws: DeltaError.malformed(factor: "b", expected: "F32, F16, BF16, Q8_0, Q4_0 or ternary", found: "I32")) {
      try LowRank(a: a, b: integers, scale: 1)
    }
    for (scale, found) in [(Float.nan, "nan"), (.infinity, "inf")] {
      #expect(throws: DeltaError.malformed(factor: "scale", expected: "a finite number", found: found)) {
        try LowRank(a: a, b: Self.zeros([2, 1]), scale: scale)
      }
    }
  }
}
