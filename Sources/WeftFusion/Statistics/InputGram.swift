// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// X^T X / n of what a module reads, [size, size], or its diagonal alone.
struct InputGram {
  let size: Int
  /// [size * size], or [size].
  private(set) var values: [Double]
  var isDiagonal: Bool { values.count == size }

  /// Zero.
  init(size: Int, isDiagonal: Bool) {
    self.size = size
    values = [Double](repeating: 0, count: isDiagonal ? size : size * size)
  }

  init(_ values: [Float], size: Int) {
    self.size = size
    self.values = values.map { Double($0) }
  }

  subscript(diagonal index: Int) -> Double {
    get { isDiagonal ? values[index] : values[index * (size + 1)] }
    set { values[isDiagonal ? index : index * (size + 1)] = newValue }
  }

  /// Multiplies what is not on the diagonal.
  mutating func scaleNonDiagonal(by ratio: Double) {
    guard ratio != 1, !isDiagonal else { return }
    for row in 0..<size { for column in 0..<size where column != row { values[row * size + column] *= ratio } }
  }

  mutating func add(_ other: InputGram, times weight: Double) {
    if isDiagonal || !other.isDiagonal {
      for index in values.indices { values[index] += weight * (isDiagonal ? other[diagonal: index] : other.values[index]) }
    } else {
      for index in 0..<size { self[diagonal: index] += weight * other.values[index] }
    }
  }

  /// M G with M [rows, size].
  func product(_ matrix: [Double], rows: Int) throws(MergeError) -> [Double] {
    guard isDiagonal else {
      do { return try LinearAlgebra.product(matrix, values, rows: rows, inner: size, columns: size) } catch {
        throw .linearAlgebra(error)
      }
    }
    var result = matrix
    for row in 0..<rows { for column in 0..<size { result[row * size + column] *= values[column] } }
    return result
  }

  /// M G^-1 with M [rows, size].
  func quotient(_ matrix: [Double], rows: Int) throws(MergeError) -> [Double] {
    guard isDiagonal else {
      do {
        let turned = LinearAlgebra.transposed(matrix, rows: rows, columns: size)
        let solved = try LinearAlgebra.solve(values, size: size, turned, columns: rows)
        return LinearAlgebra.transposed(solved, rows: size, columns: rows)
      } catch { throw .linearAlgebra(error) }
    }
    var result = matrix
    for row in 0..<rows { for column in 0..<size { result[row * size + column] /= values[column] } }
    return result
  }
}

extension MergeStatistics {
  /// The Gram matrix of a module's inputs, full where it is known; nil when neither it nor its diagonal is.
  func inputGram(of module: MergeProblem.Module) throws(MergeError) -> InputGram? {
    guard module.shape.count == 2 else { return nil }
    let size = module.shape[1]
    if let gram = try values(.gram, of: module.name, shape: [size, size]) { return InputGram(gram, size: size) }
    return try values(.gramDiagonal, of: module.name, shape: [size]).map { InputGram($0, size: size) }
  }
}
