// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `0-7,4-11`: layers in the order in which they run.
struct LayerRanges: ExpressibleByArgument {
  let layers: [Int]

  init?(argument: String) {
    var layers: [Int] = []
    for piece in argument.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = piece.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
      guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, 0 <= first, first <= last,
        last < 1 << 16, layers.count + last - first < 1 << 16
      else { return nil }
      layers += first...last
    }
    self.layers = layers
  }
}
