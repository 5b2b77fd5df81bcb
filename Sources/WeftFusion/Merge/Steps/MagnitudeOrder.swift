// SPDX-License-Identifier: Apache-2.0

/// The order of numbers by magnitude, found by counting: one pass per half of their bits, however many they are.
enum MagnitudeOrder {
  /// Keeps the `count` elements that are largest in magnitude, and of equal ones the first; others become 0.
  static func keepLargest(_ count: Int, of values: inout [Float]) {
    guard count < values.count else { return }
    guard count > 0 else {
      values = [Float](repeating: 0, count: values.count)
      return
    }
    let (least, equal) = threshold(largest: count, of: values)
    var spare = equal
    for i in values.indices {
      let bits = values[i].magnitude.bitPattern
      if bits > least { continue }
      if bits == least, spare > 0 { spare -= 1 } else { values[i] = 0 }
    }
  }

  /// The bits of the `count`-th largest magnitude, and how many of those equal to it belong to the `count` largest.
  /// - Parameter count: 1 to the number of values. NaN counts as largest.
  static func threshold(largest count: Int, of values: [Float]) -> (bits: UInt32, equal: Int) {
    var high = [Int](repeating: 0, count: 1 << 16)
    for value in values { high[Int(value.magnitude.bitPattern >> 16)] += 1 }
    var (rest, top) = (count, high.count - 1)
    while high[top] < rest {
      rest -= high[top]
      top -= 1
    }
    var low = [Int](repeating: 0, count: 1 << 16)
    for value in values where Int(value.magnitude.bitPattern >> 16) == top {
      low[Int(value.magnitude.bitPattern & 0xFFFF)] += 1
    }
    var bottom = low.count - 1
    while low[bottom] < rest {
      rest -= low[bottom]
      bottom -= 1
    }
    return (UInt32(top) << 16 | UInt32(bottom), rest)
  }
}
