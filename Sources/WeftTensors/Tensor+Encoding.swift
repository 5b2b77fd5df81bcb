// SPDX-License-Identifier: Apache-2.0

internal import CWeftKernels

extension DType {
  /// Whether `Tensor.encodeRows` writes this format.
  package var isEncodable: Bool {
    switch self {
    case .f32, .f16, .bf16: true
    default: isWeight && weft_can_quantize(Int32(rawValue)) != 0
    }
  }
}

extension Tensor {
  /// Writes rows of this tensor in another format: exactly the bytes when it is the same format (a `scale` is not in them),
  /// otherwise from their values, which have to be finite.
  ///
  /// Threads may encode different rows at the same time; a row's bytes depend on that row and the importance alone.
  /// - Parameters:
  ///   - rowMap: for every row of the result the row of this tensor it comes from; nil for the identity.
  ///   - importance: [columns] non-negative weights of the columns in the error that is minimised; nil when all are equal.
  ///   - target: room for all rows in the format, whose block divides `columns`.
  package func encodeRows(
    _ rows: Range<Int>, as format: DType, rowMap: [Int32]? = nil, importance: [Float]? = nil,
    into target: UnsafeMutableRawPointer
  ) {
    precondition(isEncodableSource(format) && rows.lowerBound >= 0 && rows.upperBound <= self.rows)
    precondition(importance.map { $0.count == columns } ?? true)
    let targetBytes = columns / format.blockElements * format.blockBytes
    withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { values in
      guard let values = values.baseAddress else { return }
      for (index, row) in rows.enumerated() {
        let source = rowMap.map { Int($0[row]) } ?? row
        let place = target + index * targetBytes
        if dtype == format {
          place.copyMemory(from: base + source * rowBytes, byteCount: rowBytes)
          continue
        }
        dequantizeRow(source, into: values)
        if format.isQuantized {
          importance.withUnsafePointer { weft_quantize_rows(place, Int32(format.rawValue), values, 1, columns, $0) }
        } else {
          weft_round_row(place, Int32(format.rawValue), values, columns)
        }
      }
    }
  }

  private func isEncodableSource(_ format: DType) -> Bool {
    columns % format.blockElements == 0 && (dtype == format || (dtype.isWeight && format.isEncodable))
  }
}

extension Optional where Wrapped == [Float] {
  fileprivate func withUnsafePointer(_ body: (UnsafePointer<Float>?) -> Void) {
    if let self { self.withUnsafeBufferPointer { body($0.baseAddress) } } else { body(nil) }
  }
}
