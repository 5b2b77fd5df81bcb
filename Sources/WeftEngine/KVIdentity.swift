// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas

/// Under which adapters the keys and values of some positions were computed: two blocks with equal tokens, equal identities and
/// equal blocks before them hold the same numbers.
package final class KVIdentity: Hashable, Sendable {
  /// Positions of a block from `offset` on, up to the next span.
  package struct Span: Hashable, Sendable {
    let offset: Int
    let mixture: Mixture
    /// Of each part, in order: an adapter that was loaded again under its name is another one.
    let versions: [Int]

    package init(offset: Int = 0, mixture: Mixture, versions: [Int]) {
      self.offset = offset
      self.mixture = mixture
      self.versions = versions
    }
  }

  /// Ascending; the first one begins at 0.
  let spans: [Span]
  private let hash: Int

  /// The base alone.
  package static let base = KVIdentity([Span(mixture: .base, versions: [])])

  package init(_ spans: [Span]) {
    self.spans = spans
    hash = spans.hashValue
  }

  package static func == (left: KVIdentity, right: KVIdentity) -> Bool {
    left === right || (left.hash == right.hash && left.spans == right.spans)
  }

  package func hash(into hasher: inout Hasher) { hasher.combine(hash) }
}
