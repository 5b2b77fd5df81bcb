// SPDX-License-Identifier: Apache-2.0

/// The texts of a vocabulary, in an order in which tokens with a common beginning lie together. Immutable.
package final class TokenTable: Sendable {
  /// Ids from 0 to below this are known.
  package let count: Int
  let bytes: [UInt8]
  /// Where the bytes of each id begin; one more for the end of the last.
  let starts: [Int]
  /// Ids of the tokens that have a text, by their bytes.
  let order: [Int32]
  /// How many bytes the token at a place of `order` begins with that the token before it begins with, too.
  let common: [Int]
  /// Bytes of the longest token.
  let longest: Int

  /// `text` gives the bytes of an id; none for tokens that write nothing or end the text.
  package init(count: Int, text: (Int32) -> [UInt8]) {
    self.count = count
    var bytes: [UInt8] = []
    var starts = [0]
    for id in 0..<Int32(count) {
      bytes += text(id)
      starts.append(bytes.count)
    }
    func slice(_ id: Int32) -> ArraySlice<UInt8> { bytes[starts[Int(id)]..<starts[Int(id) + 1]] }
    let order = (0..<Int32(count)).filter { !slice($0).isEmpty }.sorted { slice($0).lexicographicallyPrecedes(slice($1)) }
    var common: [Int] = order.isEmpty ? [] : [0]
    for (one, other) in zip(order, order.dropFirst()) {
      common.append(zip(slice(one), slice(other)).prefix { $0 == $1 }.count)
    }
    longest = order.map { slice($0).count }.max() ?? 0
    self.bytes = bytes
    self.starts = starts
    self.order = order
    self.common = common
  }

  /// The bytes of a token; none outside the vocabulary.
  subscript(id: Int32) -> ArraySlice<UInt8> {
    id >= 0 && Int(id) < count ? bytes[starts[Int(id)]..<starts[Int(id) + 1]] : []
  }
}
