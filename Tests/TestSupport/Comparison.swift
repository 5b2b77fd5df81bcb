// SPDX-License-Identifier: Apache-2.0

/// The largest difference of two arrays relative to the largest magnitude of the expected one: max |a - b| / max |b|.
///
/// 0 when both are all zero; infinite when the lengths differ, or when something is not a number.
package func relativeError(_ actual: [Float], _ expected: [Float]) -> Float {
  guard actual.count == expected.count else { return .infinity }
  let difference = maximumDifference(actual, expected)
  let magnitude = expected.reduce(0) { max($0, abs($1)) }
  return difference == 0 ? 0 : difference / magnitude
}

/// The largest difference of two arrays; infinite when the lengths differ, or when something is not a number.
package func maximumDifference(_ actual: [Float], _ expected: [Float]) -> Float {
  guard actual.count == expected.count else { return .infinity }
  return zip(actual, expected).reduce(0) { largest, pair in
    let difference = abs(pair.0 - pair.1)
    return difference.isNaN ? .infinity : max(largest, difference)
  }
}
