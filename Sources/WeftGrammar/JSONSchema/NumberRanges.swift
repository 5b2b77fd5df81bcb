// SPDX-License-Identifier: Apache-2.0

/// GBNF expressions for numbers between bounds.
enum NumberRanges {
  /// Digits behind the point of a number with bounds: with nine digits before it, every one of them counts in a double.
  static let fractionDigits = 6
  static let largestBound = 999_999_999

  /// The integers from `low` to `high`, of magnitude below 10^16; nil when there are none.
  static func integers(_ low: Int, _ high: Int) -> String? {
    guard low <= high else { return nil }
    var parts: [String] = []
    if low < 0, let text = naturals(max(1, -high), -low) { parts.append("\"-\" " + text) }
    if high >= 0, let text = naturals(max(0, low), high) { parts.append(text) }
    return "(" + parts.joined(separator: " | ") + ")"
  }

  /// The decimal numbers in an interval with integer ends, which belong to it unless they are exclusive; nil when there are
  /// none.
  static func numbers(_ low: (value: Int, isExclusive: Bool), _ high: (value: Int, isExclusive: Bool)) -> String? {
    var parts: [String] = []
    if low.value < 0 {
      // The magnitudes of negative numbers run from the upper end to the lower one.
      let end = high.value > 0 ? (value: 0, isExclusive: false) : (value: -high.value, isExclusive: high.isExclusive)
      if let text = magnitudes(end, (-low.value, low.isExclusive)) { parts.append("\"-\" " + text) }
    }
    if high.value >= 0 {
      let begin = low.value < 0 ? (value: 0, isExclusive: false) : low
      if let text = magnitudes(begin, high) { parts.append(text) }
    }
    return parts.isEmpty ? nil : "(" + parts.joined(separator: " | ") + ")"
  }

  private static func magnitudes(
    _ low: (value: Int, isExclusive: Bool), _ high: (value: Int, isExclusive: Bool)
  ) -> String? {
    var parts: [String] = []
    if let text = naturals(low.isExclusive ? low.value + 1 : low.value, high.isExclusive ? high.value - 1 : high.value) {
      parts.append(text)
    }
    if let text = naturals(low.isExclusive ? low.value + 1 : low.value, high.value - 1) {
      parts.append(text + " \".\" [0-9]{1,\(fractionDigits)}")
    }
    if low.isExclusive, low.value < high.value {
      parts.append("\"\(low.value).\" [0-9]{0,\(fractionDigits - 1)} [1-9]")
    }
    return parts.isEmpty ? nil : "(" + parts.joined(separator: " | ") + ")"
  }

  /// The integers from `low` to `high`, neither of them negative; nil when there are none.
  private static func naturals(_ low: Int, _ high: Int) -> String? {
    guard low <= high else { return nil }
    var parts: [String] = []
    var begin = low
    // One part for each number of digits.
    while begin <= high {
      let digits = "\(begin)".count
      var limit = 1
      for _ in 0..<digits { limit *= 10 }
      let end = min(high, limit - 1)
      parts.append(sameLength(Array("\(begin)".utf8), Array("\(end)".utf8)))
      begin = end + 1
    }
    return parts.count == 1 ? parts[0] : "(" + parts.joined(separator: " | ") + ")"
  }

  private static func sameLength(_ low: [UInt8], _ high: [UInt8]) -> String {
    guard let first = low.first, let last = high.first else { return "\"\"" }
    let (lowRest, highRest) = (Array(low.dropFirst()), Array(high.dropFirst()))
    if first == last { return "\(digit(first, last)) \(sameLength(lowRest, highRest))" }
    let count = lowRest.count
    let free = count == 0 ? "" : " [0-9]{\(count)}"
    let isLowest = lowRest.allSatisfy { $0 == UInt8(ascii: "0") }
    let isHighest = highRest.allSatisfy { $0 == UInt8(ascii: "9") }
    var parts: [String] = []
    if !isLowest {
      parts.append("\(digit(first, first)) \(sameLength(lowRest, [UInt8](repeating: UInt8(ascii: "9"), count: count)))")
    }
    let (begin, end) = (isLowest ? first : first + 1, isHighest ? last : last - 1)
    if begin <= end { parts.append(digit(begin, end) + free) }
    if !isHighest {
      parts.append("\(digit(last, last)) \(sameLength([UInt8](repeating: UInt8(ascii: "0"), count: count), highRest))")
    }
    return parts.count == 1 ? parts[0] : "(" + parts.joined(separator: " | ") + ")"
  }

  private static func digit(_ low: UInt8, _ high: UInt8) -> String {
    let (one, other) = (Character(Unicode.Scalar(low)), Character(Unicode.Scalar(high)))
    return low == high ? "\"\(one)\"" : "[\(one)-\(other)]"
  }
}
