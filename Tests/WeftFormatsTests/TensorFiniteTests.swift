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
    for index in stride(from: 0, to: elements, by: dtype.blockElements) { set(tensor, index, finite: true) }
    return tensor
  }

  /// Writes the largest finite number, or a number that is not finite, as an element or as the scale of its block.
  private func set(_ tensor: Tensor, _ index: Int, finite: Bool, negative: Bool = false) {
    let bytes = tensor.storage.bytes
    let offset = index / tensor.dtype.blockElements * tensor.dtype.blockBytes
    switch tensor.dtype {
    case .f32:
      let value = finite ? Float.greatestFiniteMagnitude : negative ? -.infinity : .nan
      bytes.storeBytes(of: value.bitPattern, toByteOffset: offset, as: UInt32.self)
    case .bf16: bytes.storeBytes(of: finite ? 0x7F7F : negative ? 0xFF80 : 0x7FC0, toByteOffset: offset, as: UInt16.self)
    default: bytes.storeBytes(of: finite ? 0x7BFF : negative ? 0xFC00 : 0x7E00, toByteOffset: offset, as: UInt16.self)
    }
  }

  @Test(arguments: [DType.f32, .f16, .bf16, .q8_0, .q4_0], [true, false])
  func theFirstNonFiniteValueIsFound(dtype: DType, negative: Bool) throws {
    let tensor = try soundTensor(dtype, shape: [5, 96])
    #expect(tensor.firstNonFinite() == nil)
    for index in [479, 300, 97, 32, 0] {
      set(tensor, index, finite: false, negative: negative)
      #expect(tensor.firstNonFinite() == index / dtype.blockElements * dtype.blockElements)
    }
  }

  @Test(arguments: [DType.i32, .i64, .u8]) func integersAreFinite(dtype: DType) throws {
    let storage = try Storage(byteCount: 64)
    for index in storage.bytes.indices { storage.bytes[index] = 0xFF }
    let tensor = try #require(Tensor(dtype: dtype, shape: [8], storage: storage, offset: 0))
    #expect(tensor.firstNonFinite() == nil)
  }

  @Test func anEmptyTensorIsFinite() throws {
    #expect(try Tensor([], shape: [0, 4]).firstNonFinite() == nil)
  }
}
