// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import WeftTensors

/// The formats of weights, all of which the kernels multiply.
let weightFormats = DType.allCases.filter(\.isWeight)
/// Those with blocks.
let quantizedFormats = DType.allCases.filter(\.isQuantized)
/// The tiers that this machine can run.
let availableTiers = ISA.allCases.filter(\.isAvailable)

/// What kernels must neither read into a result nor write over: a NaN that no arithmetic makes.
let poison = Float(bitPattern: 0x7FC0_BEEF)

/// Bytes of 32 quantised activations: int8 [32], then f32 scale, i32 and f32 minus their sum, i32 [2] minus the sums of the halves.
let quantizedBlockBytes = 52

/// Bit for bit, so that NaN equals itself and -0 differs from 0. Arrays of equal length.
func sameBits(_ one: [Float], _ other: [Float]) -> Bool {
  precondition(one.count == other.count)
  return memcmp(one, other, one.count * 4) == 0
}

extension DType {
  /// What the columns of a packed matrix are a multiple of.
  var columnUnit: Int { max(32, blockElements) }
}

extension Tensor {
  /// What the bits of random weights look like.
  enum Difficulty {
    /// Every quant and integer scale; small floats.
    case plain
    /// The largest integers of a quantised format, in many blocks the same for all quants.
    case extremeIntegers
    /// Floats of all magnitudes, the largest, subnormal and negative ones among them.
    case extremeScales
  }

  /// Random weights in any format.
  static func random(
    _ dtype: DType, rows: Int, columns: Int, _ difficulty: Difficulty = .plain, using generator: inout SeededGenerator
  ) throws -> Tensor {
    guard dtype.isQuantized else {
      return try Tensor(rounding: generator.floats(rows * columns), shape: [rows, columns], to: dtype)
    }
    let tensor = try Tensor.randomBlocks(dtype, rows: rows, columns: columns, using: &generator)
    let bytes = tensor.storage.bytes
    for block in stride(from: 0, to: bytes.count, by: dtype.blockBytes) {
      switch difficulty {
      case .plain: break
      case .extremeIntegers:
        let floats = Set(dtype.halfOffsets.flatMap { [$0, $0 + 1] } + (dtype == .mxfp4 ? [0] : []))
        let edges: [UInt8] =
          dtype == .q8_0 ? [0x80, 0x7F] : dtype == .ternary ? [0x55, 0xFF, 0xF5] : [0x00, 0x0F, 0xF0, 0xFF, 0x77, 0x88]
        let same = Bool.random(using: &generator) ? edges.randomElement(using: &generator) : nil
        for byte in 0..<dtype.blockBytes where !floats.contains(byte) {
          bytes[block + byte] = same ?? edges.randomElement(using: &generator)!
        }
      case .extremeScales:
        let edges: [UInt16] = [0x7BFF, 0xFBFF, 0x0001, 0x8001, 0x03FF, 0, 0x8000]
        for offset in dtype.halfOffsets {
          let half = UInt16.random(in: 0...0x7BFF, using: &generator) | (Bool.random(using: &generator) ? 0x8000 : 0)
          let edge = Bool.random(using: &generator) ? edges.randomElement(using: &generator)! : half
          bytes.storeBytes(of: edge, toByteOffset: block + offset, as: UInt16.self)
        }
        // Sums of 2^120 times small integers do not become infinite.
        if dtype == .mxfp4 { bytes[block] = UInt8.random(in: 0...240, using: &generator) }
      }
    }
    return tensor
  }
}

/// Activations in a form that matrices read, with the gaps between rows poisoned.
struct ActivationRows {
  let storage: Storage
  let stride: Int
  /// The same rows as plain floats: what they stand for after any rounding.
  let values: [Float]

  init(_ floats: [Float], columns: Int, as form: InputForm, padding: Int, kernels: Kernels) throws {
    let rows = floats.count / columns
    let used =
      switch form {
      case .floats: columns * 4
      case .blocks: columns / 32 * quantizedBlockBytes
      case .rounded: columns * 2
      }
    stride = used + padding
    storage = try Storage(byteCount: rows * stride)
    memset(storage.base, 0xFF, rows * stride)
    var values: [Float] = []
    for row in 0..<rows {
      let target = storage.base + row * stride
      let source = Array(floats[row * columns..<(row + 1) * columns])
      switch form {
      case .floats:
        target.copyMemory(from: source, byteCount: columns * 4)
        values += source
      case .blocks:
        kernels.quantize(target, source, begin: 0, end: columns)
        for column in 0..<columns {
          let block = target + column / 32 * quantizedBlockBytes
          values.append((block + 32).load(as: Float.self) * Float((block + column % 32).load(as: Int8.self)))
        }
      case .rounded:
        kernels.round(target, source, begin: 0, end: columns)
        for column in 0..<columns {
          values.append(Float(bitPattern: UInt32((target + column * 2).load(as: UInt16.self)) << 16))
        }
      }
    }
    self.values = values
  }
}
