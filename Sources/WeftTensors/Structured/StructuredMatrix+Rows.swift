// SPDX-License-Identifier: Apache-2.0

internal import CWeftKernels
internal import Glibc

extension StructuredMatrix {
  /// D as a matrix, [rows.count * in] row-major, every element rounded once. Off the request path: for fusing and for tests.
  package func materialize(rows: Range<Int>? = nil) -> [Float] {
    var result: [Float] = []
    let rows = rows ?? 0..<outputSize
    result.reserveCapacity(rows.count * inputSize)
    forEachRow(rows) { _, row in result += row.lazy.map { Float($0) } }
    return result
  }

  /// Calls `body` with every row of D, one after the other, as f64 values [in].
  ///
  /// Exact up to f64 rounding for all forms but `fourier`, whose last step is an f32 transform.
  package func forEachRow(_ rows: Range<Int>, _ body: (Int, [Double]) -> Void) {
    precondition(rows.lowerBound >= 0 && rows.upperBound <= outputSize)
    var values = [Double](repeating: 0, count: inputSize)
    let turns = turnsOfRows()
    for row in rows {
      for i in values.indices { values[i] = 0 }
      switch factors {
      case .dense(let op): add(op, row, to: &values)
      case .rows(let op): add(op, row, to: &values)
      case .sparse(let op):
        for element in op.elements(of: row) { values[element.column] += Double(element.value) }
      case .signs(let op): add(op, row, to: &values)
      case .hadamard(let op): add(op, row, to: &values)
      case .kronecker(let op): add(op, row, to: &values)
      case .circulant(let op, let kernel): add(op, kernel, row, to: &values)
      case .fourier(let op): add(op, turns, row, to: &values)
      case .wavelet(let op): add(op, row, to: &values)
      case .basis(let op): add(op, row, to: &values)
      case .masked(let op): add(op, row, to: &values)
      }
      body(row, values)
    }
  }

  private func add(_ op: weft_dense, _ row: Int, to values: inout [Double]) {
    let bytes = op.in * (op.format == Int32(DType.f32.rawValue) ? 4 : 2)
    let floats = [Float](unsafeUninitializedCapacity: op.in) { buffer, count in
      if let target = buffer.baseAddress { weft_dequantize(target, op.format, op.w + row * bytes, op.in) }
      count = op.in
    }
    for i in values.indices { values[i] += Double(floats[i]) }
  }

  private func add(_ op: weft_rows, _ row: Int, to values: inout [Double]) {
    for place in 0..<op.count where Int(op.indices[place]) == row {
      for i in values.indices { values[i] += Double(op.w[place * op.in + i]) }
    }
  }

  private func add(_ op: weft_signs, _ row: Int, to values: inout [Double]) {
    let plane = op.planes + row * ((op.in + 31) / 32)
    for i in values.indices { values[i] += plane[i / 32] >> UInt32(i % 32) & 1 == 1 ? 1 : -1 }
  }

  private func add(_ op: weft_hadamard, _ row: Int, to values: inout [Double]) {
    let first = StructuredMatrix.combine(op.a1 + row * op.rank1, op.b1, op.rank1, columns: op.in)
    let second = StructuredMatrix.combine(op.a2 + row * op.rank2, op.b2, op.rank2, columns: op.in)
    for i in values.indices { values[i] += first[i] * second[i] }
  }

  private func add(_ op: weft_kronecker, _ row: Int, to values: inout [Double]) {
    let first = op.first.row(row / op.second.rows)
    let second = op.second.row(row % op.second.rows)
    for i in values.indices { values[i] += first[i / second.count] * second[i % second.count] }
  }

  private func add(_ op: weft_circulant, _ kernel: UnsafePointer<Float>, _ row: Int, to values: inout [Double]) {
    let b = op.transform.count
    for i in values.indices {
      values[i] += Double(kernel[(row / b * op.block_columns + i / b) * b + (i % b + b - row % b) % b])
    }
  }

  /// Cosine and sine of r / out turns for every row r of a Fourier operator.
  private func turnsOfRows() -> [(Double, Double)] {
    guard case .fourier = factors else { return [] }
    return (0..<outputSize).map {
      let angle = 2 * Double.pi * Double($0) / Double(outputSize)
      return (cos(angle), sin(angle))
    }
  }

  /// The sum over k first, then a transform of the row.
  private func add(_ op: weft_fourier, _ turns: [(Double, Double)], _ row: Int, to values: inout [Double]) {
    var sums = [(Double, Double)](repeating: (0, 0), count: inputSize)
    for k in 0..<outputSize {
      let turn = turns[k * row % outputSize]
      for element in op.coefficients.elements(of: k) {
        sums[element.column].0 += Double(element.value) * turn.0
        sums[element.column].1 += Double(element.value) * turn.1
      }
    }
    var re = sums.map { Float($0.0) }
    var im = sums.map { Float($0.1) }
    FourierTransform.run(op.columns, &re, &im)
    let size = Double(outputSize) * Double(inputSize)
    for i in values.indices { values[i] += Double(re[i]) / size }
  }

  private func add(_ op: weft_wavelet, _ row: Int, to values: inout [Double]) {
    var coefficients = [Double](repeating: 0, count: 2 * op.columns.half)
    for (place, factor) in op.rows.terms(of: row) {
      for element in op.coefficients.elements(of: place) {
        coefficients[element.column] += factor * Double(element.value)
      }
    }
    for i in values.indices {
      for (place, factor) in op.columns.terms(of: i) { values[i] += factor * coefficients[place] }
    }
  }

  /// The sum of weights[r] times row r of a matrix [count, columns].
  fileprivate static func combine(
    _ weights: UnsafePointer<Float>, _ matrix: UnsafePointer<Float>, _ count: Int, columns: Int
  ) -> [Double] {
    var sum = [Double](repeating: 0, count: columns)
    for r in 0..<count {
      let weight = Double(weights[r])
      for i in sum.indices { sum[i] += weight * Double(matrix[r * columns + i]) }
    }
    return sum
  }
}

extension weft_sparse {
  fileprivate func elements(of row: Int) -> some Sequence<(column: Int, value: Float)> {
    (Int(starts[row])..<Int(starts[row + 1])).lazy.map { (Int(columns[$0]), values[$0]) }
  }
}

extension weft_kronecker_factor {
  fileprivate func row(_ row: Int) -> [Double] {
    guard let full else { return StructuredMatrix.combine(left + row * rank, right, rank, columns: columns) }
    return UnsafeBufferPointer(start: full + row * columns, count: columns).map { Double($0) }
  }
}

extension weft_synthesis {
  /// The coefficients that make up one value, with their weights.
  fileprivate func terms(of value: Int) -> [(place: Int, factor: Double)] {
    let place = value + shift
    return stride(from: place % 2, to: min(taps, place + 1), by: 2).flatMap { tap -> [(place: Int, factor: Double)] in
      let c = (place - tap) / 2
      return c < half ? [(c, Double(low[tap])), (half + c, Double(high[tap]))] : []
    }
  }
}
