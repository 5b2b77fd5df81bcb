// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors

struct TensorFiniteTests {
  /// A sound tensor of this type in memory of its own: the largest finite value of every float, bytes of all bits elsewhere.
  private func soundTensor(_ dtype: DType, shape: [Int]) throws -> Tensor {
    let elements = shape.reduce(1, *)
    let storage = try Storage(byteCount: try #require(dtype.byteCount(elements: elements)))
    for index in storage.bytes.indices { storage.bytes[index] = 0xFF }
    let tensor = try #require(Tensor(dtype: dtype, shape: shape, storage: storage, offset: 0))
    for index in stride(from: 0, to: elements, by: dtype.blockElements) {
      for place in places(dtype) { set(tensor, index, at: place, finite: true) }
    }
    return tensor
  }

  /// Where a block's floats are.
  private func places(_ dtype: DType) -> [Int] { dtype.halfOffsets.isEmpty ? [0] : dtype.halfOffsets }

  /// Writes the largest finite number, or a number that is not finite, as an element or as a float of its block.
  private func set(_ tensor: Tensor, _ index: Int, at place: Int, finite: Bool, negative: Bool = false) {
    let bytes = tensor.storage.bytes
    let offset = index / tensor.dtype.blockElements * tensor.dtype.blockBytes + place
    switch tensor.dtype {
    case .f32:
      let value = finite ? Float.greatestFiniteMagnitude : negative ? -.infinity : .nan
      bytes.storeBytes(of: value.bitPattern, toByteOffset: offset, as: UInt32.self)
    case .bf16: bytes.storeBytes(of: finite ? 0x7F7F : negative ? 0xFF80 : 0x7FC0, toByteOffset: offset, as: UInt16.self)
    case .mxfp4: bytes[offset] = finite ? 252 : negative ? 253 : 255
    default: bytes.storeBytes(of: finite ? 0x7BFF : negative ? 0xFC00 : 0x7E00, toByteOffset: offset, as: UInt16.self)
    }
  }

  @Test(arguments: DType.allCases.filter { $0.isWeight && $0 != .ternary }, [true, false])
  func theFirstNonFiniteValueIsFound(dtype: DType, negative: Bool) throws {
    for place in places(dtype) {
      let tensor = try soundTensor(dtype, shape: [5, dtype.blockElements * 3])
      #expect(tensor.firstNonFinite() == nil)
      #expect(tensor.floats().allSatisfy { $0.isFinite })
      for block in [14, 10, 6, 1, 0] {
        set(tensor, block * dtype.blockElements, at: place, finite: false, negative: negative)
        #expect(tensor.firstNonFinite() == block * dtype.blockElements)
      }
    }
  }

  @Test(arguments: [DType.i32, .i64, .u8, .i16]) func integersAreFinite(dtype: DType) throws {
    let storage = try Storage(byteCount: 64)
    for index in storage.bytes.indices { storage.bytes[index] = 0xFF }
    let tensor = try #require(Tensor(dtype: dtype, shape: [8], storage: storage, offset: 0))
    #expect(tensor.firstNonFinite() == nil)
  }

  @Test func anEmptyTensorIsFinite() throws {
    #expect(try Tensor([], shape: [0, 4]).firstNonFinite() == nil)
  }
}
