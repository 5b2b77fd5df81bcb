// SPDX-License-Identifier: Apache-2.0

internal import CWeftKernels

/// Elements of a matrix sorted by row, as the kernels read them.
struct SparseElements {
  let starts: [UInt32]
  let columns: [UInt32]
  let values: [Float]

  /// - Parameter positions: row * `in` + column of every element; elements at one place add up.
  init(positions: [Int], values: [Float], out: Int, in inputs: Int) throws(StructuredError) {
    try FactorMemory.check(out: out, in: inputs)
    guard positions.count == values.count, UInt32(exactly: values.count) != nil else {
      throw .malformed(
        factor: "values", expected: "one for each position, fewer than 2^32",
        found: "\(values.count) values for \(positions.count) positions")
    }
    var starts = [UInt32](repeating: 0, count: out + 1)
    for position in positions {
      guard position >= 0, position < out * inputs else {
        throw .malformed(factor: "positions", expected: "0 to \(out * inputs - 1)", found: "\(position)")
      }
      starts[position / inputs + 1] += 1
    }
    for row in starts.indices.dropFirst() { starts[row] += starts[row - 1] }
    var next = starts
    var columns = [UInt32](repeating: 0, count: values.count)
    var sorted = [Float](repeating: 0, count: values.count)
    for (position, value) in zip(positions, values) {
      let row = position / inputs
      let place = Int(next[row])
      columns[place] = UInt32(position % inputs)
      sorted[place] = value
      next[row] += 1
    }
    (self.starts, self.columns, self.values) = (starts, columns, sorted)
  }

  /// Copies that an operator owns.
  func stored(in memory: inout FactorMemory) throws(StructuredError) -> weft_sparse {
    weft_sparse(starts: try memory.copy(starts), columns: try memory.copy(columns), values: try memory.copy(values))
  }
}
