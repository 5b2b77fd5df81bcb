// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import WeftTensors

/// A matrix of -1, 0 and 1 with one scale, before it becomes a tensor.
package struct TernaryMatrix: Sendable, Equatable {
  package let rows: Int
  package let columns: Int
  /// [rows * columns], each -1, 0 or 1.
  package var codes: [Int8]

  package init(rows: Int, columns: Int, codes: [Int8]) {
    precondition(codes.count == rows * columns)
    self.rows = rows
    self.columns = columns
    self.codes = codes
  }

  package var nonzeroCount: Int { codes.reduce(0) { $0 + ($1 == 0 ? 0 : 1) } }

  /// With more rows and columns, of zeros.
  func padded(rows newRows: Int, columns newColumns: Int) -> TernaryMatrix {
    guard newRows != rows || newColumns != columns else { return self }
    var result = TernaryMatrix(
      rows: newRows, columns: newColumns, codes: [Int8](repeating: 0, count: newRows * newColumns))
    for row in 0..<rows {
      for column in 0..<columns { result.codes[row * newColumns + column] = codes[row * columns + column] }
    }
    return result
  }

  /// As a tensor, whose rows are whole bytes: four columns in each.
  package func tensor(scale: Float) throws(StorageError) -> Tensor {
    precondition(columns % 4 == 0)
    let storage = try Storage(byteCount: codes.count / 4)
    for byte in 0..<codes.count / 4 {
      var bits: UInt8 = 0
      for element in 0..<4 { bits |= (UInt8(bitPattern: codes[byte * 4 + element]) & 3) << UInt8(2 * element) }
      storage.base.storeBytes(of: bits, toByteOffset: byte, as: UInt8.self)
    }
    guard let tensor = Tensor(dtype: .ternary, shape: [rows, columns], storage: storage, offset: 0, scale: scale) else {
      preconditionFailure("the storage was made for it")
    }
    return tensor
  }

  /// The entropy in bits of independent signs of this density: -((1 - k) log2 (1 - k) + k log2 (k / 2)) for each element.
  package static func entropy(count: Int, nonzero: Int) -> Double {
    guard count > 0, nonzero > 0 else { return 0 }
    let density = Double(nonzero) / Double(count)
    let zeros = density < 1 ? (1 - density) * log2(1 - density) : 0
    return -Double(count) * (zeros + density * log2(density / 2))
  }
}

extension ModuleFactors {
  /// Ternary factors as a module, with ranks up to a multiple of four: rows of ternary tensors are whole bytes.
  func compressed(_ a: TernaryMatrix, _ b: TernaryMatrix, scaleA: Float, scaleB: Float) throws(CompressionError)
    -> CompressedModule
  {
    let rank = (a.rows + 3) / 4 * 4
    guard inputSize % 4 == 0 else {
      throw .mismatch(location: path, expected: "inputs that are a multiple of 4, for ternary factors", found: "\(inputSize)")
    }
    do throws(StorageError) {
      return CompressedModule(
        path: path, a: try a.padded(rows: rank, columns: inputSize).tensor(scale: scaleA),
        b: try b.padded(rows: outputSize, columns: rank).tensor(scale: scaleB), isTransposed: isTransposed)
    } catch { throw .storage(error) }
  }
}
