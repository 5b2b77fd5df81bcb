// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// The singular values of a matrix [rows, columns] that are not zero, with their vectors.
///
/// Vectors of a singular value of zero are whatever LAPACK makes them. References that use them (a change of low rank has many) get
/// another result with every LAPACK, so they are left out everywhere; matrices of full rank have none. Zero is what is below 1e-6
/// of the largest: changes are sums and products of floats.
struct SingularDirections {
  let rows: Int
  let columns: Int
  /// From the largest to the smallest.
  private(set) var values: [Double]
  /// [rows, count]
  private(set) var u: [Double]
  /// [count, columns]
  private(set) var vT: [Double]

  var count: Int { values.count }

  /// - Parameter smallest: values up to this count as zero, however small the largest is.
  init(of matrix: [Double], rows: Int, columns: Int, above smallest: Double = 0) throws(MergeError) {
    (self.rows, self.columns) = (rows, columns)
    let all: SingularValues<Double>
    do { all = try LinearAlgebra.singularValues(of: matrix, rows: rows, columns: columns) } catch {
      throw .linearAlgebra(error)
    }
    let least = max((all.values.first ?? 0) * 1e-6, smallest)
    (values, u, vT) = (all.values, all.u, all.vT)
    keep(all.values.prefix { $0 > least }.count)
  }

  /// Vectors that are given, with their values.
  private init(rows: Int, columns: Int, values: [Double], u: [Double], vT: [Double]) {
    (self.rows, self.columns, self.values, self.u, self.vT) = (rows, columns, values, u, vT)
  }

  /// Forgets all but the largest `count`.
  mutating func keep(_ count: Int) {
    let old = values.count
    guard count < old else { return }
    u = (0..<rows).flatMap { row in u[row * old..<row * old + count] }
    values.removeLast(old - count)
    vT.removeLast((old - count) * columns)
  }

  /// Those of several matrices beside each other.
  static func joined(_ parts: [SingularDirections]) -> SingularDirections {
    let (rows, columns) = (parts[0].rows, parts[0].columns)
    return SingularDirections(
      rows: rows, columns: columns, values: parts.flatMap(\.values),
      u: (0..<rows).flatMap { row in parts.flatMap { $0.u[row * $0.count..<(row + 1) * $0.count] } },
      vT: parts.flatMap(\.vT))
  }

  /// The same values on the nearest orthonormal vectors: U and V^T without their own singular values (the factor of the polar
  /// decomposition).
  func orthogonalized() throws(MergeError) -> SingularDirections {
    guard count > 0 else { return self }
    let left = try SingularDirections(of: u, rows: rows, columns: count)
    let right = try SingularDirections(of: vT, rows: count, columns: columns)
    do throws(LinearAlgebraError) {
      return SingularDirections(
        rows: rows, columns: columns, values: values,
        u: try LinearAlgebra.product(left.u, left.vT, rows: rows, inner: left.count, columns: count),
        vT: try LinearAlgebra.product(right.u, right.vT, rows: count, inner: right.count, columns: columns))
    } catch { throw .linearAlgebra(error) }
  }

  /// U diag(values) V^T, with other values where they are given. [rows, columns]
  func matrix(values other: [Double]? = nil) throws(MergeError) -> [Double] {
    guard count > 0 else { return [Double](repeating: 0, count: rows * columns) }
    let values = other ?? values
    var scaled = u
    for index in scaled.indices { scaled[index] *= values[index % count] }
    do { return try LinearAlgebra.product(scaled, vT, rows: rows, inner: count, columns: columns) } catch {
      throw .linearAlgebra(error)
    }
  }

  /// A matrix [rows, width] without its part in the left vectors: M - U U^T M.
  func remainder(of matrix: [Double], columns width: Int) throws(MergeError) -> [Double] {
    guard count > 0 else { return matrix }
    do throws(LinearAlgebraError) {
      let inside = try LinearAlgebra.product(u, transposed: true, matrix, rows: count, inner: rows, columns: width)
      let part = try LinearAlgebra.product(u, inside, rows: rows, inner: count, columns: width)
      return zip(matrix, part).map { $0 - $1 }
    } catch { throw .linearAlgebra(error) }
  }
}
