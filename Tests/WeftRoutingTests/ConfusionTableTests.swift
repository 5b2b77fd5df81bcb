// SPDX-License-Identifier: Apache-2.0

import Testing
import WeftRouting

struct ConfusionTableTests {
  @Test func sharesAreCountedPerClassAndInAll() {
    var table = ConfusionTable(names: ["a", "b", "c"])
    #expect(table.accuracy == nil)
    for (actual, predicted) in [(0, 0), (0, 1), (1, 1), (1, 1), (0, 0)] { table.record(actual: actual, predicted: predicted) }
    #expect(table.counts == [[2, 1, 0], [0, 2, 0], [0, 0, 0]])
    #expect(table.total == 5)
    #expect(table.accuracy == 0.8)
    #expect(table.accuracy(of: 0) == 2.0 / 3.0)
    #expect(table.accuracy(of: 1) == 1)
    #expect(table.accuracy(of: 2) == nil)
  }
}
