// SPDX-License-Identifier: Apache-2.0

/// The sizes of a base model that decide which deltas fit it.
package struct BaseShape: Hashable, Sendable {
  package let layerCount: Int
  package let hiddenSize: Int
  /// Rows of the query projection: heads times head dimension.
  package let queryWidth: Int
  /// Rows of the key and of the value projection: key-value heads times head dimension.
  package let keyValueWidth: Int
  package let intermediateSize: Int
  package let vocabularySize: Int
  /// True when the output head is a matrix of its own; false when it is the embedding (tied).
  package let hasOutputHead: Bool

  package init(
    layerCount: Int, hiddenSize: Int, queryWidth: Int, keyValueWidth: Int, intermediateSize: Int, vocabularySize: Int,
    hasOutputHead: Bool
  ) {
    self.layerCount = layerCount
    self.hiddenSize = hiddenSize
    self.queryWidth = queryWidth
    self.keyValueWidth = keyValueWidth
    self.intermediateSize = intermediateSize
    self.vocabularySize = vocabularySize
    self.hasOutputHead = hasOutputHead
  }

  /// The shape of the weight at `site`, [out, in]; nil when the base has no such weight.
  package func shape(of site: WeightSite) -> (out: Int, in: Int)? {
    switch site {
    case .outputHead:
      return hasOutputHead ? (vocabularySize, hiddenSize) : nil
    case .layer(let layer, let projection):
      guard layer >= 0, layer < layerCount else { return nil }
      return switch projection {
      case .query: (queryWidth, hiddenSize)
      case .key, .value: (keyValueWidth, hiddenSize)
      case .output: (hiddenSize, queryWidth)
      case .gate, .up: (intermediateSize, hiddenSize)
      case .down: (hiddenSize, intermediateSize)
      }
    }
  }
}
