// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

extension AdapterFolder {
  /// A factor of a low rank as it is stored, where `LowRank` keeps its type; other types of weights are widened.
  mutating func takeFactor(_ name: String) throws(AdapterError) -> Tensor {
    let tensor = try take(name)
    guard tensor.dtype.isWeight else {
      throw .wrongType(location: tensorsLocation, tensor: name, expected: "a weight type", found: tensor.dtype.name)
    }
    if LowRank.types.contains(tensor.dtype) { return tensor }
    do { return try tensor.converted(to: .f32) } catch { throw .storage(error) }
  }

  /// The shape of a factor, of which B may have more columns than a rank has: whole blocks of a quantised type. They do not count here.
  func shape(ofFactor name: String, rank: Int) -> [Int] {
    let found = shape(of: name)
    guard let unit = dtype(of: name)?.blockElements, found.count == 2, rank > 0 else { return found }
    return found[1] == (rank + unit - 1) / unit * unit ? [found[0], rank] : found
  }
}

extension Tensor {
  /// A factor in floats, for arithmetic on it: itself where it is that, else the first `columns` columns in F32.
  func asFloats(columns: Int) throws(AdapterError) -> Tensor {
    guard dtype.isQuantized else { return self }
    let values = floats()
    let tight =
      columns == self.columns ? values : (0..<rows).flatMap { values[$0 * self.columns..<$0 * self.columns + columns] }
    return try makeTensor(tight, [rows, columns])
  }

  /// The rows in another order: row i of the result is row `order[i]`.
  func reordered(_ order: [Int]) throws(AdapterError) -> Tensor {
    do throws(StorageError) {
      let storage = try Storage(byteCount: byteCount)
      for (row, source) in order.enumerated() {
        (storage.base + row * rowBytes).copyMemory(from: base + source * rowBytes, byteCount: rowBytes)
      }
      return Tensor(dtype: dtype, shape: shape, storage: storage, offset: 0, scale: scale) ?? self
    } catch { throw .storage(error) }
  }
}
