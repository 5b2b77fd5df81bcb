// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftTensors

struct EncodingTests {
  static let formats: [DType] = [.q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .q4_k, .q5_k, .q6_k, .iq4_nl]
  static let names = formats.map(\.name)

  private static func format(_ name: String) throws -> DType { try #require(DType.allCases.first { $0.name == name }) }

  /// The rows as they come back.
  private static func decoded(_ rows: Tensor, _ format: DType, importance: [Float]? = nil) throws -> [Float] {
    try encoded(rows, format, importance: importance).floats()
  }

  private static func encoded(_ rows: Tensor, _ format: DType, importance: [Float]? = nil) throws -> Tensor {
    let bytes = try #require(format.byteCount(elements: rows.elementCount))
    let storage = try Storage(byteCount: bytes)
    rows.encodeRows(0..<rows.rows, as: format, importance: importance, into: storage.base)
    return try #require(Tensor(dtype: format, shape: rows.shape, storage: storage, offset: 0))
  }

  @Test func theseFormatsAreEncodable() {
    #expect(Set(DType.allCases.filter(\.isEncodable)) == Set(Self.formats + [.f32, .f16, .bf16]))
  }

  /// Formats whose encoders, without importance, keep large values instead of the least squared error (encode.h), and how far
  /// above ggml's their squared error may be. Measured: equal for Q4_0 and Q4_1, 6.1 % above for Q4_K.
  static let keepsLarge: [DType: Double] = [.q4_0: 1, .q4_1: 1, .q4_k: 1.122]

  /// ggml's encoders on the same rows (tools/make_encoding_goldens.py): ours miss less, with and without importance.
  @Test(arguments: names) func missesLessThanGGML(name: String) throws {
    let golden = try Golden("formats/encoding.safetensors")
    let (format, rows) = (try Self.format(name), try golden.tensor("rows"))
    let (values, importance) = (rows.floats(), try golden.floats("importance"))
    let theirs = try golden.floats("error.\(name)")
    func error(_ decoded: [Float], _ weight: (Int) -> Float) -> Double {
      zip(values, decoded).enumerated().reduce(0) { sum, pair in
        let difference = Double(pair.element.0) - Double(pair.element.1)
        return sum + difference * difference * Double(weight(pair.offset))
      }
    }
    let plain = error(try Self.decoded(rows, format)) { _ in 1 }
    let weighted = error(try Self.decoded(rows, format, importance: importance)) { importance[$0 % 512] }
    #expect(plain <= Double(theirs[0]) * Self.keepsLarge[format, default: 1], "\(plain / Double(theirs[0]))")
    #expect(weighted <= Double(theirs[1]), "\(weighted / Double(theirs[1]))")
    // Importance is worth having: it lowers the error that it weighs.
    let unguided = error(try Self.decoded(rows, format)) { importance[$0 % 512] }
    #expect(format == .q8_0 || weighted < unguided)
  }

  /// Within half a step of the largest value's grid, whatever the values.
  @Test(arguments: names) func extremeValuesStayFinite(name: String) throws {
    let format = try Self.format(name)
    let patterns: [[Float]] = [
      [0], [1], [-1], [1e-38], [1e-30, -1e-30], [3e-8, 1e-8, -2e-8], [1e-5, 0], [30000, -30000, 12], [0, 0, 0, 5],
      [0, 0, 0, -5],
      [0.5, 0.5, 0.5, 0.5001], [-3, -2.9, -3.1], [3, 2.9, 3.1],
    ]
    for pattern in patterns {
      let values = (0..<512).map { pattern[$0 % pattern.count] }
      let largest = values.map(abs).max() ?? 0
      let back = try Self.decoded(Tensor(values, shape: [2, 256]), format)
      #expect(back.allSatisfy { $0.isFinite }, "\(pattern)")
      // Scales are f16, so that what is below its smallest number becomes zero; a quarter of the range is coarser than any format.
      let bound = max(largest * 0.25, 2e-7)
      #expect(zip(values, back).allSatisfy { abs($0 - $1) <= bound }, "\(pattern) \(back.prefix(4))")
    }
  }

  @Test(arguments: names) func zeroImportanceChangesNothingFinite(name: String) throws {
    let rows = try Golden("formats/encoding.safetensors").tensor("rows")
    let format = try Self.format(name)
    let none = [Float](repeating: 0, count: 512)
    #expect(try Self.decoded(rows, format, importance: none) == Self.decoded(rows, format))
    let half = (0..<512).map { Float($0 % 2) }
    #expect(try Self.decoded(rows, format, importance: half).allSatisfy { $0.isFinite })
  }

  /// A row's bytes do not depend on other rows, and the row map is applied.
  @Test(arguments: names) func rowsAreIndependent(name: String) throws {
    let rows = try Golden("formats/encoding.safetensors").tensor("rows")
    let format = try Self.format(name)
    let all = try Self.encoded(rows, format)
    for row in [0, 7, 15] {
      let alone = try Self.encoded(rows.slice(rows: row..<row + 1), format)
      let place = UnsafeRawBufferPointer(start: all.base + row * all.rowBytes, count: all.rowBytes)
      #expect(place.elementsEqual(UnsafeRawBufferPointer(start: alone.base, count: alone.byteCount)))
    }
    let storage = try Storage(byteCount: all.byteCount)
    rows.encodeRows(0..<16, as: format, rowMap: (0..<16).map { 15 - $0 }, into: storage.base)
    #expect(memcmp(storage.base, all.base + 15 * all.rowBytes, all.rowBytes) == 0)
  }

  /// What a format holds exactly, it gives back exactly.
  @Test func q8BlocksSurviveAnotherEncoding() throws {
    let rows = try Golden("formats/encoding.safetensors").tensor("rows")
    let once = try Self.encoded(rows, .q8_0)
    let twice = try Self.encoded(once, .q8_0)
    #expect(memcmp(once.base, twice.base, once.byteCount) == 0)
    let again = try Self.encoded(try Tensor(once.floats(), shape: once.shape), .q8_0)
    #expect(again.floats() == once.floats())
  }

  @Test(arguments: [DType.f32, .f16, .bf16]) func floatsAreRounded(format: DType) throws {
    let rows = try Golden("formats/encoding.safetensors").tensor("rows")
    #expect(try Self.decoded(rows, format) == rows.converted(to: format).floats())
  }
}
