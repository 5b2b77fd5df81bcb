// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import WeftTensors

/// The formats of weights that the kernels multiply.
let weightFormats: [DType] = [.f32, .f16, .bf16, .q8_0, .q4_0]
/// The tiers that this machine can run.
let availableTiers = ISA.allCases.filter(\.isAvailable)

/// What kernels must neither read into a result nor write over: a NaN that no arithmetic makes.
let poison = Float(bitPattern: 0x7FC0_BEEF)

/// Bit for bit, so that NaN equals itself and -0 differs from 0. Arrays of equal length.
func sameBits(_ one: [Float], _ other: [Float]) -> Bool {
  precondition(one.count == other.count)
  return memcmp(one, other, one.count * 4) == 0
}

extension Tensor {
  /// Random weights in any format. `extreme` takes the largest integers of a quantised format only.
  static func random(
    _ dtype: DType, rows: Int, columns: Int, extreme: Bool = false, using generator: inout SeededGenerator
  ) throws -> Tensor {
    guard dtype.isQuantized else {
      return try Tensor(rounding: generator.floats(rows * columns), shape: [rows, columns], to: dtype)
    }
    let blocks = rows * columns / 32
    let storage = try Storage(byteCount: blocks * dtype.blockBytes)
    let edges: [UInt8] = dtype == .q8_0 ? [0x80, 0x7F] : [0x00, 0x0F, 0xF0, 0xFF]
    for block in 0..<blocks {
      let scale = Float16(Float.random(in: -0.02...0.02, using: &generator)).bitPattern
      storage.base.storeBytes(of: scale, toByteOffset: block * dtype.blockBytes, as: UInt16.self)
      for byte in 2..<dtype.blockBytes {
        storage.bytes[block * dtype.blockBytes + byte] =
          extreme ? edges.randomElement(using: &generator)! : UInt8.random(in: 0...255, using: &generator)
      }
    }
    return Tensor(dtype: dtype, shape: [rows, columns], storage: storage, offset: 0)!
  }
}

/// Activations in the form that a matrix of `dtype` reads, with the gaps between rows poisoned.
struct ActivationRows {
  let storage: Storage
  let stride: Int
  /// The same rows as plain floats: what they stand for after any rounding to int8.
  let values: [Float]

  init(_ floats: [Float], columns: Int, for dtype: DType, padding: Int, kernels: Kernels) throws {
    let rows = floats.count / columns
    let used = dtype.isQuantized ? columns + columns / 4 : columns * 4
    stride = used + padding
    storage = try Storage(byteCount: rows * stride)
    memset(storage.base, 0xFF, rows * stride)
    var values: [Float] = []
    for row in 0..<rows {
      let target = storage.base + row * stride
      let source = Array(floats[row * columns..<(row + 1) * columns])
      guard dtype.isQuantized else {
        target.copyMemory(from: source, byteCount: columns * 4)
        values += source
        continue
      }
      kernels.quantize(target, source, columns: columns, begin: 0, end: columns)
      for column in 0..<columns {
        let scale = (target + columns + column / 32 * 4).load(as: Float.self)
        values.append(scale * Float((target + column).load(as: Int8.self)))
      }
    }
    self.values = values
  }
}
