// SPDX-License-Identifier: Apache-2.0

/// A set of Unicode scalar values: ranges in order, apart from each other, without surrogates.
struct CharacterSet: Equatable {
  private(set) var ranges: [ClosedRange<UInt32>]

  static let all = CharacterSet([0...0x10FFFF])

  init(_ ranges: [ClosedRange<UInt32>]) {
    var parts: [ClosedRange<UInt32>] = []
    for range in ranges {
      // Surrogates are no characters: UTF-8 cannot write them.
      if range.lowerBound < 0xD800 { parts.append(range.lowerBound...min(range.upperBound, 0xD7FF)) }
      if range.upperBound > 0xDFFF && range.lowerBound <= 0x10FFFF {
        parts.append(max(range.lowerBound, 0xE000)...min(range.upperBound, 0x10FFFF))
      }
    }
    self.ranges = []
    for range in parts.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = self.ranges.last, range.lowerBound <= last.upperBound + 1 {
        self.ranges[self.ranges.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        self.ranges.append(range)
      }
    }
  }

  var isEmpty: Bool { ranges.isEmpty }

  /// All other characters.
  var inverted: CharacterSet {
    var gaps: [ClosedRange<UInt32>] = []
    var next: UInt32 = 0
    for range in ranges {
      if range.lowerBound > next { gaps.append(next...range.lowerBound - 1) }
      next = range.upperBound + 1
    }
    if next <= 0x10FFFF { gaps.append(next...0x10FFFF) }
    return CharacterSet(gaps)
  }

  func union(_ other: CharacterSet) -> CharacterSet { CharacterSet(ranges + other.ranges) }

  func intersection(_ other: CharacterSet) -> CharacterSet { inverted.union(other.inverted).inverted }

  /// The UTF-8 encodings of all characters, as sequences of byte ranges: a byte sequence is one of a character of the set if
  /// and only if its bytes are in the ranges of one of these sequences.
  var byteSequences: [[ClosedRange<UInt8>]] {
    var sequences: [[ClosedRange<UInt8>]] = []
    for range in ranges {
      var low = range.lowerBound
      // Ends of the encodings of one, two, three and four bytes.
      for end in [0x7F, 0x7FF, 0xFFFF, 0x10FFFF] as [UInt32] where low <= end && low <= range.upperBound {
        CharacterSet.append(low, min(end, range.upperBound), &sequences)
        low = end + 1
      }
    }
    return sequences
  }

  /// Cuts a range of characters whose encodings have one length until every byte's range is independent of the others.
  private static func append(_ low: UInt32, _ high: UInt32, _ sequences: inout [[ClosedRange<UInt8>]]) {
    let (first, last) = (encoding(low), encoding(high))
    for trailing in 1..<max(first.count, 1) {
      let mask: UInt32 = 1 << (6 * UInt32(trailing)) - 1
      guard low & ~mask != high & ~mask else { continue }
      if low & mask != 0 {
        append(low, low | mask, &sequences)
        return append((low | mask) + 1, high, &sequences)
      }
      if high & mask != mask {
        append(low, (high & ~mask) - 1, &sequences)
        return append(high & ~mask, high, &sequences)
      }
    }
    sequences.append(zip(first, last).map { $0...$1 })
  }

  private static func encoding(_ value: UInt32) -> [UInt8] {
    Unicode.Scalar(value).map { Array(UTF8.encode($0) ?? .init()) } ?? []
  }
}
