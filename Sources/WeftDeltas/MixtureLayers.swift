// SPDX-License-Identifier: Apache-2.0

extension Mixture {
  /// Some layers of a model, counted from 0: `0-7`, or `0-3+20-23`.
  ///
  /// Ranges are ascending and do not touch: one set of layers has one form.
  package struct Layers: Hashable, Sendable, CustomStringConvertible {
    package let ranges: [ClosedRange<Int>]
    package let first: Int
    package let last: Int

    /// The union of the ranges; nil without any, and for negative layers.
    package init?(_ ranges: [ClosedRange<Int>]) {
      let sorted = ranges.sorted { $0.lowerBound < $1.lowerBound }
      guard let first = sorted.first, first.lowerBound >= 0 else { return nil }
      var joined = [first]
      for range in sorted.dropFirst() {
        let end = joined[joined.count - 1]
        if range.lowerBound - 1 <= end.upperBound {
          joined[joined.count - 1] = end.lowerBound...max(end.upperBound, range.upperBound)
        } else {
          joined.append(range)
        }
      }
      self.ranges = joined
      self.first = first.lowerBound
      last = joined[joined.count - 1].upperBound
    }

    package func contains(_ layer: Int) -> Bool {
      guard layer >= first, layer <= last else { return false }
      return ranges.contains { $0.contains(layer) }
    }

    func contains(_ other: Layers) -> Bool {
      other.ranges.allSatisfy { inner in
        ranges.contains { $0.lowerBound <= inner.lowerBound && inner.upperBound <= $0.upperBound }
      }
    }

    func overlaps(_ other: Layers) -> Bool {
      ranges.contains { range in other.ranges.contains { $0.overlaps(range) } }
    }

    package var description: String {
      ranges.map { $0.lowerBound == $0.upperBound ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
        .joined(separator: "+")
    }
  }
}
