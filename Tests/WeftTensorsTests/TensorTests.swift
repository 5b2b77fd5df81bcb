// SPDX-License-Identifier: Apache-2.0

import Testing
import WeftTensors

struct TensorTests {
  @Test func sizesOfTypes() {
    // gguf 0.19.0: GGML_QUANT_SIZES
    let sizes: [String: (Int, Int)] = [
      "F32": (1, 4), "F16": (1, 2), "BF16": (1, 2), "Q8_0": (32, 34), "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22),
      "Q5_1": (32, 24), "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210),
      "IQ4_NL": (32, 18), "IQ4_XS": (256, 136), "TQ1_0": (256, 54), "TQ2_0": (256, 66), "MXFP4": (32, 17),
      "TERNARY": (4, 1), "I32": (1, 4),
      "I64": (1, 8), "U8": (1, 1), "I16": (1, 2),
    ]
    #expect(DType.allCases.count == sizes.count)
    for dtype in DType.allCases { #expect((dtype.blockElements, dtype.blockBytes) == sizes[dtype.name] ?? (0, 0), "\(dtype)") }
    #expect(DType.allCases.filter { !$0.isWeight } == [.i32, .i64, .u8, .i16])
    #expect(DType.allCases.filter { !$0.isQuantized } == [.f32, .f16, .bf16, .i32, .i64, .u8, .i16])
  }

  @Test func ternaryCodesTimesTheScale() throws {
    let storage = try Storage(byteCount: 4)
    for (index, byte) in [0b11_01_00_11, 0b00_00_01_01, 0b11_11_11_11, 0b01_00_11_00].enumerated() {
      storage.bytes[index] = UInt8(byte)
    }
    let tensor = try #require(Tensor(dtype: .ternary, shape: [2, 8], storage: storage, offset: 0, scale: 0.25))
    let values: [Float] = [-0.25, 0, 0.25, -0.25, 0.25, 0.25, 0, 0, -0.25, -0.25, -0.25, -0.25, 0, -0.25, 0, 0.25]
    #expect(tensor.floats() == values && tensor.rowBytes == 2)
    #expect(tensor.slice(rows: 1..<2).floats() == Array(values[8...]))
    #expect(try tensor.converted(to: .f32).floats() == values)
    #expect(tensor.firstNonFinite() == nil && tensor.firstInvalidCode() == nil)
    #expect(
      try #require(Tensor(dtype: .ternary, shape: [2, 8], storage: storage, offset: 0, scale: .nan)).firstNonFinite() == 0)
    for index in 0..<16 {
      let byte = storage.bytes[index / 4]
      storage.bytes[index / 4] = byte & ~(3 << UInt8(index % 4 * 2)) | 2 << UInt8(index % 4 * 2)
      #expect(tensor.firstInvalidCode() == index)
      storage.bytes[index / 4] = byte
    }
    #expect(Tensor(dtype: .ternary, shape: [2, 6], storage: storage, offset: 0) == nil)
    #expect(Tensor(dtype: .f32, shape: [1], storage: storage, offset: 0, scale: 2) == nil)
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
