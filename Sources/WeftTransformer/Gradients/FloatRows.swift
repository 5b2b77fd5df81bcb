// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// Activations of a sequence, or their gradients: one row for each token.
package struct FloatRows: Sendable {
  package let count: Int
  package let width: Int
  /// [count * width], row-major.
  package var values: [Float]

  package init(_ values: [Float], width: Int) {
    precondition(width > 0 && values.count % width == 0)
    count = values.count / width
    self.width = width
    self.values = values
  }

  init(zeros count: Int, width: Int) { self.init([Float](repeating: 0, count: count * width), width: width) }

  /// X M^T with M [rows, width].
  func timesTransposed(_ matrix: [Float], rows: Int) throws(LinearAlgebraError) -> FloatRows {
    FloatRows(
      try LinearAlgebra.product(values, transposed: false, matrix, transposed: true, rows: count, inner: width, columns: rows),
      width: rows)
  }

  /// X M with M [width, columns].
  func times(_ matrix: [Float], columns: Int) throws(LinearAlgebraError) -> FloatRows {
    FloatRows(try LinearAlgebra.product(values, matrix, rows: count, inner: width, columns: columns), width: columns)
  }

  /// X^T Y [width * other.width], summed over the tokens.
  package func transposedTimes(_ other: FloatRows) throws(LinearAlgebraError) -> [Float] {
    try LinearAlgebra.product(values, transposed: true, other.values, rows: width, inner: count, columns: other.width)
  }

  /// Some columns of every row.
  func columns(_ range: Range<Int>) -> FloatRows {
    var result = FloatRows(zeros: count, width: range.count)
    for row in 0..<count {
      for column in 0..<range.count {
        result.values[row * range.count + column] = values[row * width + range.lowerBound + column]
      }
    }
    return result
  }

  /// Adds to some columns of every row, from `first` on.
  mutating func add(_ other: FloatRows, toColumnsFrom first: Int) {
    for row in 0..<count {
      for column in 0..<other.width { values[row * width + first + column] += other.values[row * other.width + column] }
    }
  }

  /// The same numbers in rows of another width.
  func reshaped(width: Int) -> FloatRows { FloatRows(values, width: width) }

  mutating func add(_ other: FloatRows, times factor: Float = 1) {
    for index in values.indices { values[index] += factor * other.values[index] }
  }

  func scaled(by factor: Float) -> FloatRows { factor == 1 ? self : FloatRows(values.map { $0 * factor }, width: width) }
}
