// SPDX-License-Identifier: Apache-2.0

import Testing
import WeftTensors

struct TensorTests {
  @Test func sizesOfTypes() {
    #expect(DType.allCases.map(\.blockBytes) == [4, 2, 2, 34, 18, 4, 8, 1])
    #expect(DType.allCases.map(\.name) == ["F32", "F16", "BF16", "Q8_0", "Q4_0", "I32", "I64", "U8"])
    #expect(DType.allCases.filter(\.isWeight) == weightFormats)
    #expect(DType.allCases.filter(\.isQuantized) == [.q8_0, .q4_0])
  }

  @Test func byteCounts() {
    #expect(DType.q8_0.byteCount(elements: 96) == 102)
    #expect(DType.q4_0.byteCount(elements: 32) == 18)
    #expect(DType.i64.byteCount(elements: 3) == 24)
    #expect(DType.f16.byteCount(elements: 0) == 0)
    #expect(DType.q8_0.byteCount(elements: 33) == nil)
    #expect(DType.f32.byteCount(elements: -1) == nil)
    #expect(DType.f32.byteCount(elements: Int.max / 4) == Int.max / 4 * 4)
    #expect(DType.f32.byteCount(elements: Int.max / 4 + 1) == nil)
    #expect(DType.q8_0.byteCount(elements: Int.max / 32 * 32) == nil)
  }

  @Test func countsOfElements() {
    #expect(Tensor.elementCount(of: []) == 1)
    #expect(Tensor.elementCount(of: [3, 4, 5]) == 60)
    #expect(Tensor.elementCount(of: [0, .max]) == 0)
    #expect(Tensor.elementCount(of: [.max, 1]) == .max)
    #expect(Tensor.elementCount(of: [.max, 2]) == nil)
    #expect(Tensor.elementCount(of: [1 << 32, 1 << 32]) == nil)
    #expect(Tensor.elementCount(of: [-1]) == nil)
    #expect(Tensor.elementCount(of: [-2, -3]) == nil)
    #expect(Tensor.elementCount(of: [.min]) == nil)
  }

  /// A view exists exactly where its bytes lie inside the storage.
  @Test func boundsOfViews() throws {
    let storage = try Storage(byteCount: 102)
    func view(_ dtype: DType, _ shape: [Int], _ offset: Int) -> Tensor? {
      Tensor(dtype: dtype, shape: shape, storage: storage, offset: offset)
    }
    let whole = try #require(view(.q8_0, [3, 32], 0))
    #expect((whole.rows, whole.columns, whole.rowBytes, whole.byteCount, whole.elementCount) == (3, 32, 34, 102, 96))
    let deep = try #require(view(.f16, [2, 3, 4], 54))
    #expect((deep.rows, deep.columns, deep.rowBytes, deep.byteCount) == (6, 4, 8, 48))
    #expect(deep.base == UnsafeRawPointer(storage.base) + 54)
    let scalar = try #require(view(.u8, [], 101))
    #expect((scalar.rows, scalar.columns, scalar.byteCount) == (1, 1, 1))
    #expect(view(.f32, [0], 102)?.byteCount == 0)

    let outside: [(DType, [Int], Int)] = [
      (.q8_0, [3, 32], 1), (.f16, [2, 3, 4], 55), (.u8, [], 102), (.u8, [1], -1), (.u8, [1], .min), (.f32, [0], 103),
      (.u8, [1], .max), (.u8, [103], 0), (.f32, [1 << 62], 0), (.u8, [.max], 1), (.u8, [.max], .max),
      (.f32, [-1, -4], 0), (.f32, [1 << 32, 1 << 32], 0), (.f32, [2, .max], 0), (.q4_0, [.max / 32 * 32], 0),
    ]
    for (dtype, shape, offset) in outside {
      #expect(view(dtype, shape, offset) == nil, "\(dtype.name) \(shape) at \(offset)")
    }
  }

  /// A block of a quantised format never reaches over the end of a row.
  @Test func rowsAreWholeBlocks() throws {
    let storage = try Storage(byteCount: 1000)
    for shape in [[2, 16], [32, 1], [33], [31], []] {
      #expect(Tensor(dtype: .q4_0, shape: shape, storage: storage, offset: 0) == nil, "\(shape)")
    }
    #expect(Tensor(dtype: .q4_0, shape: [2, 64], storage: storage, offset: 0)?.rowBytes == 36)
  }

  @Test func valuesAreCopied() throws {
    var values: [Float] = [1, -2, 3, 4, 5, 6]
    let tensor = try Tensor(values, shape: [2, 3])
    values[0] = 9
    #expect(tensor.floats() == [1, -2, 3, 4, 5, 6])
    #expect(try Tensor([], shape: [0, 4]).floats() == [])
  }
}
