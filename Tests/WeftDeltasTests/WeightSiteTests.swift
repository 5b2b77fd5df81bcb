// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftDeltas
import WeftTensors

@Suite struct WeightSiteTests {
  static let base = BaseShape.llama(
    layerCount: 2, hiddenSize: 40, queryWidth: 48, keyValueWidth: 12, intermediateSize: 52, vocabularySize: 101,
    isTied: false)

  @Test func namesAndOrder() {
    #expect(WeightSite.layer(3, .query).description == "layers.3.q_proj")
    #expect(WeightSite.outputHead.description == "lm_head")
    let inOrder =
      (0..<12).flatMap { layer in
        Projection.allCases.map { WeightSite.layer(layer, $0) }
          + (0..<11).flatMap { expert in [.gate, .up, .down].map { WeightSite.expert(layer, expert, $0) } }
      } + [.outputHead]
    #expect(Set(inOrder.map(\.description)).count == inOrder.count)
    #expect(Set(inOrder).sorted() == inOrder)
  }

  @Test func shapes() throws {
    let expected: [Projection: (Int, Int)] = [
      .query: (48, 40), .key: (12, 40), .value: (12, 40), .output: (40, 48), .gate: (52, 40), .up: (52, 40),
      .down: (40, 52),
    ]
    for projection in Projection.allCases {
      let found = Self.base.shape(of: .layer(1, projection))
      #expect(found?.out == expected[projection]?.0 && found?.in == expected[projection]?.1)
      #expect(Self.base.shape(of: .layer(2, projection)) == nil)
      #expect(Self.base.shape(of: .layer(-1, projection)) == nil)
    }
    let head = try #require(Self.base.shape(of: .outputHead))
    #expect(head == (101, 40))
    let tied = BaseShape.llama(
      layerCount: 1, hiddenSize: 1, queryWidth: 1, keyValueWidth: 1, intermediateSize: 1, vocabularySize: 1,
      isTied: true)
    #expect(tied.shape(of: .outputHead) != nil && tied.isTied)
  }

  @Test func deltaSet() throws {
    var numbers = SeededGenerator(seed: 1)
    let set = DeltaSet([
      .outputHead: try DeltaLawsTests.delta((4, 4, 3), &numbers),
      .layer(1, .down): try DeltaLawsTests.delta((4, 4, 1), &numbers),
      .layer(0, .up): try DeltaLawsTests.delta((4, 4, 2), &numbers),
    ])
    #expect(set.sites == [.layer(0, .up), .layer(1, .down), .outputHead])
    #expect(set.ranks == 1...3)
    #expect(set.byteCount == 4 * 8 * (3 + 1 + 2))
    #expect(DeltaSet([:]).ranks == nil)
    #expect(DeltaSet([:]).byteCount == 0)
  }
}
