// SPDX-License-Identifier: Apache-2.0

internal import CWeftKernels

// Matrices of a library: what several have in common is in one place in memory, and every one keeps its storage.
extension StructuredMatrix {
  /// D = U C V with U [out, rank] and V [rank, in], of one float format, which are shared, and C [rank, rank].
  package static func basis(u: Tensor, core: Tensor, v: Tensor) throws(StructuredError) -> StructuredMatrix {
    var memory = FactorMemory()
    let left = try memory.shared(u, "u", shape: [nil, nil])
    let (out, rank) = (u.shape[0], u.shape[1])
    let right = try memory.shared(v, "v", shape: [rank, nil])
    guard u.dtype == v.dtype else {
      throw .malformed(factor: "v", expected: "\(u.dtype.name), as u has", found: v.dtype.name)
    }
    let op = weft_basis(
      out: out, in: v.shape[1], rank: rank, format: Int32(u.dtype.rawValue), u: left, v: right,
      core: try memory.floats(core, "core", shape: [rank, rank]))
    return StructuredMatrix(
      .basis(op), out: out, in: v.shape[1], byteCount: memory.byteCount, owned: memory.owned)
  }

  /// D = (mb o B)(ma o A) with B [out, rank] and A [rank, in], of one float format, which are shared.
  /// - Parameter maskA, maskB: `rank` rows of ceil(in / 32) words, and `out` rows of ceil(rank / 32); bit (column mod 32) of word
  ///   column / 32 of a row says whether an element counts.
  package static func masked(
    a: Tensor, b: Tensor, maskA: [UInt32], maskB: [UInt32]
  ) throws(StructuredError) -> StructuredMatrix {
    var memory = FactorMemory()
    let left = try memory.shared(b, "b", shape: [nil, nil])
    let (out, rank) = (b.shape[0], b.shape[1])
    let right = try memory.shared(a, "a", shape: [rank, nil])
    let inputs = a.shape[1]
    guard a.dtype == b.dtype else {
      throw .malformed(factor: "a", expected: "\(b.dtype.name), as b has", found: a.dtype.name)
    }
    for (mask, rows, columns, name) in [(maskA, rank, inputs, "mask of a"), (maskB, out, rank, "mask of b")] {
      let words = rows * ((columns + 31) / 32)
      guard mask.count == words else {
        throw .malformed(factor: name, expected: "\(words) words", found: "\(mask.count) words")
      }
    }
    let op = weft_masked(
      out: out, in: inputs, rank: rank, format: Int32(a.dtype.rawValue), a: right, b: left, ma: try memory.copy(maskA),
      mb: try memory.copy(maskB))
    return StructuredMatrix(.masked(op), out: out, in: inputs, byteCount: memory.byteCount, owned: memory.owned)
  }

  func add(_ op: weft_basis, _ row: Int, to values: inout [Double]) {
    let (u, format) = (StructuredMatrix.row(op.u, row, op.rank, op.format), op.format)
    for r in 0..<op.rank {
      var weight = 0.0
      for q in 0..<op.rank { weight += Double(u[q]) * Double(op.core[q * op.rank + r]) }
      let v = StructuredMatrix.row(op.v, r, op.in, format)
      for i in values.indices { values[i] += weight * Double(v[i]) }
    }
  }

  func add(_ op: weft_masked, _ row: Int, to values: inout [Double]) {
    let b = StructuredMatrix.row(op.b, row, op.rank, op.format)
    let (wordsA, wordsB) = ((op.in + 31) / 32, (op.rank + 31) / 32)
    for r in 0..<op.rank where op.mb[row * wordsB + r / 32] >> UInt32(r % 32) & 1 == 1 {
      let a = StructuredMatrix.row(op.a, r, op.in, op.format)
      for i in values.indices where op.ma[r * wordsA + i / 32] >> UInt32(i % 32) & 1 == 1 {
        values[i] += Double(b[r]) * Double(a[i])
      }
    }
  }

  /// A row of a matrix of `count` columns in a float format.
  private static func row(_ matrix: UnsafeRawPointer, _ row: Int, _ count: Int, _ format: Int32) -> [Float] {
    let bytes = count * (format == Int32(DType.f32.rawValue) ? 4 : 2)
    return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      if let target = buffer.baseAddress { weft_dequantize(target, format, matrix + row * bytes, count) }
      initialized = count
    }
  }
}
