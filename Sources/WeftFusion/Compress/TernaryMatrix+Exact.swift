// SPDX-License-Identifier: Apache-2.0

extension TernaryMatrix {
  /// Numbers that are -s, 0 and s already, as they are after training with ternary factors; nil when they are not.
  /// - Parameter values: [rows * columns].
  static func exactly(_ values: [Float], rows: Int, columns: Int) -> (matrix: TernaryMatrix, scale: Float)? {
    guard let scale = values.first(where: { $0 != 0 })?.magnitude,
      values.allSatisfy({ $0 == 0 || $0.magnitude == scale })
    else { return nil }
    let codes = values.map { $0 == 0 ? Int8(0) : $0 < 0 ? -1 : 1 }
    return (TernaryMatrix(rows: rows, columns: columns, codes: codes), scale)
  }
}
