// SPDX-License-Identifier: Apache-2.0

internal import CWeftKernels

// Every function checks that its factors belong together; values are not looked at. Factors are F32, F16 or BF16 tensors.
extension StructuredMatrix {
  /// D = `matrix` [out, in], in its own float format; its storage is shared.
  package static func dense(_ matrix: Tensor) throws(StructuredError) -> StructuredMatrix {
    var memory = FactorMemory()
    let elements = try memory.matrix(matrix, "matrix")
    let (out, inputs) = (matrix.shape[0], matrix.shape[1])
    let op = weft_dense(out: out, in: inputs, format: Int32(matrix.dtype.rawValue), w: elements)
    return StructuredMatrix(
      .dense(op), out: out, in: inputs, byteCount: memory.byteCount, owned: memory.owned, dense: matrix)
  }

  /// D has the rows of `matrix` [n, in] at `indices`, which ascend and are below `out`; the others are zero.
  package static func rows(_ matrix: Tensor, at indices: [Int], out: Int) throws(StructuredError) -> StructuredMatrix {
    var memory = FactorMemory()
    let elements = try memory.floats(matrix, "matrix", shape: [indices.count, nil])
    try FactorMemory.check(out: out, in: matrix.shape[1])
    for (place, index) in indices.enumerated() {
      guard index > (place > 0 ? indices[place - 1] : -1), index < out else {
        throw .malformed(factor: "indices", expected: "ascending rows below \(out)", found: "\(index) at \(place)")
      }
    }
    let op = weft_rows(
      in: matrix.shape[1], count: indices.count, indices: try memory.copy(indices.map { UInt32($0) }), w: elements)
    return make(.rows(op), out, matrix.shape[1], memory)
  }

  /// D is zero but for `values` at `positions` (row * in + column); values at one place add up.
  package static func sparse(
    positions: [Int], values: [Float], out: Int, in inputs: Int
  ) throws(StructuredError) -> StructuredMatrix {
    var memory = FactorMemory()
    let elements = try SparseElements(positions: positions, values: values, out: out, in: inputs)
    return make(.sparse(try elements.stored(in: &memory)), out, inputs, memory)
  }

  /// D is +1 where bit (column mod 32) of word column / 32 of a row's plane is set, else -1 (BitDelta; the scale is the delta's).
  /// - Parameter planes: `out` rows of ceil(in / 32) words; bits beyond the columns are not looked at.
  package static func signs(planes: [UInt32], out: Int, in inputs: Int) throws(StructuredError) -> StructuredMatrix {
    try FactorMemory.check(out: out, in: inputs)
    guard planes.count == out * ((inputs + 31) / 32) else {
      throw .malformed(factor: "planes", expected: "\(out) rows of \((inputs + 31) / 32) words", found: "\(planes.count) words")
    }
    var memory = FactorMemory()
    let op = weft_signs(in: inputs, planes: try memory.copy(planes))
    return make(.signs(op), out, inputs, memory)
  }

  /// D = (a1 b1) o (a2 b2), elementwise: a1 [out, r], b1 [r, in], a2 [out, s], b2 [s, in] (LoHa).
  package static func hadamard(
    a1: Tensor, b1: Tensor, a2: Tensor, b2: Tensor
  ) throws(StructuredError) -> StructuredMatrix {
    var memory = FactorMemory()
    let pa1 = try memory.floats(a1, "a1", shape: [nil, nil])
    let (out, rank1) = (a1.shape[0], a1.shape[1])
    let pb1 = try memory.floats(b1, "b1", shape: [rank1, nil])
    let inputs = b1.shape[1]
    let pa2 = try memory.floats(a2, "a2", shape: [out, nil])
    let rank2 = a2.shape[1]
    let pb2 = try memory.floats(b2, "b2", shape: [rank2, inputs])
    let op = weft_hadamard(in: inputs, rank1: rank1, rank2: rank2, a1: pa1, b1: pb1, a2: pa2, b2: pb2)
    return make(.hadamard(op), out, inputs, memory)
  }

  /// One of the two matrices of a Kronecker product.
  package enum KroneckerFactor {
    /// [rows, columns]
    case full(Tensor)
    /// [rows, rank] times [rank, columns]
    case product(Tensor, Tensor)
  }

  /// D = first (x) second: D[a k + b, c n + d] = first[a, c] second[b, d] with second [k, n] (LoKr).
  package static func kronecker(
    _ first: KroneckerFactor, _ second: KroneckerFactor
  ) throws(StructuredError) -> StructuredMatrix {
    var memory = FactorMemory()
    let op = weft_kronecker(
      first: try described(first, "first", &memory), second: try described(second, "second", &memory))
    let (out, tall) = op.first.rows.multipliedReportingOverflow(by: op.second.rows)
    let (inputs, wide) = op.first.columns.multipliedReportingOverflow(by: op.second.columns)
    try FactorMemory.check(out: tall ? .max : out, in: wide ? .max : inputs)
    return make(.kronecker(op), out, inputs, memory)
  }

  private static func described(
    _ factor: KroneckerFactor, _ name: String, _ memory: inout FactorMemory
  ) throws(StructuredError) -> weft_kronecker_factor {
    switch factor {
    case .full(let matrix):
      let elements = try memory.floats(matrix, name, shape: [nil, nil])
      return weft_kronecker_factor(
        rows: matrix.shape[0], columns: matrix.shape[1], rank: 0, full: elements, left: nil, right: nil)
    case .product(let left, let right):
      let leftElements = try memory.floats(left, name, shape: [nil, nil])
      let rightElements = try memory.floats(right, name, shape: [left.shape[1], nil])
      return weft_kronecker_factor(
        rows: left.shape[0], columns: right.shape[1], rank: left.shape[1], full: nil, left: leftElements,
        right: rightElements)
    }
  }

  /// D[p b + t, q b + j] = kernel[p, q, (j - t) mod b] (C3A without its divisor).
  /// - Parameters:
  ///   - kernel: [out / b, in / b, b]
  ///   - transform: of b points.
  package static func circulant(
    kernel: Tensor, transform: FourierTransform
  ) throws(StructuredError) -> StructuredMatrix {
    var memory = FactorMemory()
    let b = transform.count
    let elements = try memory.floats(kernel, "kernel", shape: [nil, nil, b])
    let (blockRows, blockColumns, half) = (kernel.shape[0], kernel.shape[1], b / 2 + 1)
    let (out, tall) = blockRows.multipliedReportingOverflow(by: b)
    let (inputs, wide) = blockColumns.multipliedReportingOverflow(by: b)
    try FactorMemory.check(out: tall ? .max : out, in: wide ? .max : inputs)
    var spectra: [Float] = []
    spectra.reserveCapacity(2 * blockRows * blockColumns * half)
    for block in 0..<blockRows * blockColumns {
      var re = Array(UnsafeBufferPointer(start: elements + block * b, count: b))
      var im = [Float](repeating: 0, count: b)
      transform.run(&re, &im)
      for f in 0..<half { spectra += [re[f] / Float(b), -im[f] / Float(b)] }
    }
    memory.share(transform)
    let op = weft_circulant(
      block_rows: blockRows, block_columns: blockColumns, transform: transform.description, spectra: try memory.copy(spectra))
    return make(.circulant(op, kernel: elements), out, inputs, memory)
  }

  /// D[o, i] = 1 / (out in) Re of the sum over the coefficients C[k, l] of C[k, l] exp(2 pi i (k o / out + l i / in)): the real
  /// part of torch's `ifft2` (FourierFT without its scale).
  /// - Parameters:
  ///   - positions: k * in + l of every coefficient.
  ///   - rows, columns: transforms of `out` and of `in` points.
  package static func fourier(
    positions: [Int], values: [Float], rows: FourierTransform, columns: FourierTransform
  ) throws(StructuredError) -> StructuredMatrix {
    var memory = FactorMemory()
    let elements = try SparseElements(positions: positions, values: values, out: rows.count, in: columns.count)
    memory.share(rows)
    memory.share(columns)
    let op = weft_fourier(
      rows: rows.description, columns: columns.description, coefficients: try elements.stored(in: &memory))
    return make(.fourier(op), rows.count, columns.count, memory)
  }

  /// D is the one-level 2-D wavelet synthesis of coefficients that lie at `positions` (row * in + column) of the middle [out, in]
  /// of a padded matrix (WaveFT without its scale).
  ///
  /// Both axes are padded by taps - 2, and to an even size. The four quadrants are, as PyWavelets calls them, cA, cH (top right), cV
  /// and cD: cH is high in the direction of the rows, from row to row, and cV in that of the columns, so that the right half belongs
  /// to the high filter of the first axis and the lower half to that of the second. The full synthesis is cut by taps - 2 at both
  /// ends.
  /// - Parameters: low, high: the reconstruction filters, of one even length of at least 2.
  package static func wavelet(
    positions: [Int], values: [Float], low: [Float], high: [Float], out: Int, in inputs: Int
  ) throws(StructuredError) -> StructuredMatrix {
    try FactorMemory.check(out: out, in: inputs)
    guard low.count == high.count, low.count >= 2, low.count % 2 == 0, low.count < 1 << 16 else {
      throw .malformed(
        factor: "filters", expected: "one even length of at least 2", found: "lengths \(low.count) and \(high.count)")
    }
    var memory = FactorMemory()
    let (lowTaps, highTaps) = (try memory.copy(low), try memory.copy(high))
    func axis(_ count: Int) -> weft_synthesis {
      weft_synthesis(
        count: count, half: (count + low.count - 1) / 2, taps: low.count, shift: low.count - 2, low: lowTaps, high: highTaps)
    }
    let (rows, columns) = (axis(out), axis(inputs))
    let (height, width) = (2 * rows.half, 2 * columns.half)
    if let position = positions.first(where: { $0 < 0 || $0 >= out * inputs }) {
      throw .malformed(factor: "positions", expected: "0 to \(out * inputs - 1)", found: "\(position)")
    }
    let placed = positions.map { position in
      let row = position / inputs + (height - out) / 2
      let column = position % inputs + (width - inputs) / 2
      let rowPlace = row % rows.half + column / columns.half * rows.half
      let columnPlace = column % columns.half + row / rows.half * columns.half
      return rowPlace * width + columnPlace
    }
    let elements = try SparseElements(positions: placed, values: values, out: height, in: width)
    let op = weft_wavelet(rows: rows, columns: columns, coefficients: try elements.stored(in: &memory))
    return make(.wavelet(op), out, inputs, memory)
  }

  private static func make(_ factors: Factors, _ out: Int, _ inputs: Int, _ memory: FactorMemory) -> StructuredMatrix {
    StructuredMatrix(factors, out: out, in: inputs, byteCount: memory.byteCount, owned: memory.owned)
  }
}
