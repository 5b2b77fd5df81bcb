// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftTensors

struct PackCodingTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// What the writer made of a tensor, after the reader gave the same one back.
  private func roundTrip(_ tensor: Tensor, storesRaw: Bool = false) throws -> PackTensor {
    let path = folder.file("\(UUID().uuidString).weft")
    let writer = try PackWriter(path: path, provenance: PackProvenance(), storesRaw: storesRaw)
    let number = try writer.add(tensor)
    try writer.addMember("one", config: "{}", tensors: [.init("x", number)])
    try writer.finish()
    let file = try PackFile(path: path)
    let read = try file.tensor(number)
    #expect(read.dtype == tensor.dtype && read.shape == tensor.shape && read.scale == tensor.scale)
    #expect(bytes(of: read) == bytes(of: tensor))
    return file.tensors[number]
  }

  @Test(arguments: DType.allCases) func everyTypeReturnsByteForByte(dtype: DType) throws {
    var generator = SeededGenerator(seed: 3)
    for rows in [0, 1, 3, 40] {
      let columns = dtype.blockElements * 5
      let count = try #require(dtype.byteCount(elements: rows * columns))
      // Any bytes are elements, but for code 2 of ternary.
      let values = (0..<count).map { _ in
        dtype == .ternary
          ? [0x00, 0x4D, 0xF1, 0x05][Int.random(in: 0..<4, using: &generator)] : UInt8.random(in: 0...255, using: &generator)
      }
      _ = try roundTrip(try tensor(dtype, [rows, columns], values))
    }
  }

  @Test func numbersOfWeightsShrinkByTheirExponents() throws {
    var generator = SeededGenerator(seed: 4)
    let values = generator.floats(40_000).map { $0 * $0 * $0 * 0.01 }
    for dtype in [DType.f16, .bf16, .f32] {
      let entry = try roundTrip(try Tensor(rounding: values, shape: [200, 200], to: dtype))
      #expect(entry.coding == .bytePlanes)
      // Measured: f16 0.93, bf16 0.71, f32 0.86.
      #expect(entry.storedBytes < entry.byteCount * 95 / 100)
    }
  }

  /// ComPEFT's bound: a sparse ternary tensor costs its entropy. Packs stay within 3 % of it, all overhead but the index included.
  @Test(arguments: [0.05, 0.07, 0.1, 0.1135, 0.15, 0.2, 0.214, 0.25, 0.3, 0.35, 0.37, 0.382, 0.39, 0.4, 0.45, 0.5])
  func ternaryIsWithinThreePercentOfItsEntropy(density: Double) throws {
    var generator = SeededGenerator(seed: UInt64(density * 10_000))
    let count = 64 * 896
    let elements = randomTernary(count, density: density, using: &generator)
    let entry = try roundTrip(try ternary(elements, shape: [64, 896]))
    let p = Double(elements.count { $0 != 0 }) / Double(count)
    let bound = -((1 - p) * log2(1 - p) + p * log2(p / 2)) * Double(count) + 16
    let ratio = Double(entry.storedBytes * 8) / bound
    #expect(ratio < 1.03, "\(entry.coding.name) at \(density)")
    if density < 0.35 { #expect(entry.coding == .golombRice) }
  }

  @Test(arguments: [0.6, 0.7, 0.8, 0.9, 0.97]) func denseTernaryIsNotMuchLargerThanItsEntropy(density: Double) throws {
    var generator = SeededGenerator(seed: 5)
    let count = 64 * 896
    let elements = randomTernary(count, density: density, using: &generator)
    let entry = try roundTrip(try ternary(elements, shape: [64, 896]))
    let p = Double(elements.count { $0 != 0 }) / Double(count)
    let bound = -((1 - p) * log2(1 - p) + p * log2(p / 2)) * Double(count)
    // Measured: at most 1.027, at 0.6 (ternary planes).
    #expect(Double(entry.storedBytes * 8) / bound < 1.055)
  }

  @Test func signsWithoutZerosTakeOneBit() throws {
    var generator = SeededGenerator(seed: 6)
    for count in [4, 8, 12, 1000, 4004] {
      let entry = try roundTrip(
        try ternary(randomTernary(count, density: 1, using: &generator), shape: [count]))
      #expect(entry.storedBytes == (count + 7) / 8 && (entry.coding == .signs || entry.storedBytes == count / 4))
    }
  }

  /// Gaps of all lengths, at all offsets: words of the decoder end everywhere.
  @Test func sparseElementsAnywhereReturn() throws {
    var generator = SeededGenerator(seed: 7)
    for round in 0..<120 {
      let count = 4 * Int.random(in: 1...600, using: &generator)
      var elements = randomTernary(
        count, density: pow(0.5, Double.random(in: 0.5...11, using: &generator)), using: &generator)
      if round % 3 == 0 { elements[count - 1] = -1 }
      if round % 5 == 0 { elements[0] = 1 }
      _ = try roundTrip(try ternary(elements, shape: [count]))
    }
  }

  /// One element in a million: its quotient is longer than any word. A tensor of nothing compresses beyond what readers accept,
  /// so the writer makes it longer.
  @Test func nearlyEmptyTensorsKeepToTheRatio() throws {
    var elements = [Int](repeating: 0, count: 1 << 20)
    let empty = try roundTrip(try ternary(elements, shape: [1024, 1024]))
    #expect(empty.storedBytes * 1024 >= empty.byteCount && empty.storedBytes < 1000)
    elements[777_777] = -1
    let single = try roundTrip(try ternary(elements, shape: [1024, 1024]))
    #expect(single.storedBytes * 1024 >= single.byteCount && single.storedBytes < 1000)
    let zeros = try roundTrip(try Tensor([Float](repeating: 0, count: 1 << 20), shape: [1 << 20]))
    #expect(zeros.storedBytes * 1024 >= zeros.byteCount && zeros.storedBytes < 8192)
  }

  @Test func largeTensorsStoredRawAreMapped() throws {
    let path = folder.file("raw.weft")
    let writer = try PackWriter(path: path, provenance: PackProvenance(), storesRaw: true)
    var generator = SeededGenerator(seed: 8)
    let (small, large) = (try Tensor(generator.floats(7), shape: [7]), try Tensor(generator.floats(40_000), shape: [40_000]))
    let numbers = [try writer.add(small), try writer.add(large), try writer.add(try Tensor([1, 2], shape: [2]))]
    try writer.finish()
    let file = try PackFile(path: path)
    let mapped = try file.tensor(numbers[1])
    #expect(mapped.storage === file.storage && mapped.offset % 64 == 0 && file.tensors.allSatisfy { $0.coding == .raw })
    #expect(bytes(of: mapped) == bytes(of: large))
    #expect(bytes(of: try file.tensor(numbers[0])) == bytes(of: small))
    #expect(bytes(of: try file.tensor(numbers[2])) == [0, 0, 128, 63, 0, 0, 0, 64])
  }
}
