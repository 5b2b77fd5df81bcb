// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing
import WeftTensors

/// Activations to int8 blocks: the bytes of the formula on every tier, in the columns that were asked for and nowhere else.
struct QuantizeKernelTests {
  /// A row of blocks, each with its own difficulty.
  static let row: [Float] = {
    var generator = SeededGenerator(seed: 6)
    var row: [Float] = []
    for magnitude: Float in [1, 1e-6, 1e-30, 3e38, 40] {
      row += generator.floats(32).map { $0 * magnitude }
    }
    row += [Float](repeating: 0, count: 31) + [-0.0]
    // The largest is 127, so values are rounded as they are: halves go to the even neighbour.
    row += [127, -127] + (0..<30).map { Float($0) - 14.5 }
    row += [-127, 126.5, -126.5, 125.5, 0.5, -0.5, 1.5, 2.5] + [Float](repeating: 0.49999997, count: 24)
    row += [Float](repeating: 0, count: 17) + [-3] + [Float](repeating: 0, count: 14)
    row += [Float](repeating: -.leastNormalMagnitude, count: 32)
    for largest: Float in [0x1p-120, Float(0x1p-120).nextUp] { row += generator.floats(31).map { $0 * 0x1p-121 } + [largest] }
    row += generator.floats(32).map { $0 * 0x1p-130 }
    row += [.leastNonzeroMagnitude] + [Float](repeating: 0, count: 31)
    return row
  }()

  struct Quantized {
    var bytes: [UInt8]

    init(_ kernels: Kernels, _ row: [Float], begin: Int, end: Int) {
      bytes = [UInt8](repeating: 0xA5, count: row.count / 32 * quantizedBlockBytes + 64)
      bytes.withUnsafeMutableBytes { target in
        kernels.quantize(target.baseAddress!, row, begin: begin, end: end)
      }
    }
  }

  /// The formula: q = round-to-even(x 127 / max|x|), the scale max|x| / 127, and minus the sums of the block and its halves. A block of numbers up to
  /// 2^-120 holds zeros.
  static func expected(_ row: [Float], begin: Int, end: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xA5, count: row.count / 32 * quantizedBlockBytes + 64)
    func put<Value: BitwiseCopyable>(_ value: Value, at offset: Int) {
      bytes.withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: offset, as: Value.self) }
    }
    for block in begin / 32..<end / 32 {
      let x = row[block * 32..<block * 32 + 32]
      let start = block * quantizedBlockBytes
      let largest = x.reduce(0) { max($0, abs($1)) }
      let inverse = largest > 0x1p-120 ? 127 / largest : 0
      var sums: (Int32, Int32) = (0, 0)
      for (index, value) in zip(x.indices, x) {
        let q = Int8((value * inverse).rounded(.toNearestOrEven))
        put(q, at: start + index % 32)
        if index % 32 < 16 { sums.0 += Int32(q) } else { sums.1 += Int32(q) }
      }
      put(largest / 127, at: start + 32)
      put(-sums.0 - sums.1, at: start + 36)
      put(Float(-sums.0 - sums.1), at: start + 40)
      put(-sums.0, at: start + 44)
      put(-sums.1, at: start + 48)
    }
    return bytes
  }

  @Test(arguments: availableTiers) func bytesAreThoseOfTheFormula(isa: ISA) {
    let (kernels, row) = (Kernels(isa: isa), Self.row)
    let blocks = row.count / 32
    for begin in 0..<blocks {
      for end in begin...blocks {
        let found = Quantized(kernels, row, begin: begin * 32, end: end * 32).bytes
        let expected = Self.expected(row, begin: begin * 32, end: end * 32)
        if let place = zip(found, expected).enumerated().first(where: { $0.element.0 != $0.element.1 })?.offset {
          Issue.record("blocks \(begin)..<\(end): byte \(place): expected \(expected[place]), found \(found[place])")
        }
      }
    }
  }

  @Test(arguments: availableTiers) func randomRows(isa: ISA) {
    var generator = SeededGenerator(seed: 7)
    let kernels = Kernels(isa: isa)
    for blocks in 1...20 {
      let row = generator.floats(blocks * 32, in: -5...5)
      let found = Quantized(kernels, row, begin: 0, end: row.count).bytes
      #expect(found == Self.expected(row, begin: 0, end: row.count), "\(blocks) blocks")
    }
  }

  /// A number that is not finite is not lost: it is its block's scale, and nobody else's.
  @Test(arguments: availableTiers) func whatIsNotFiniteIsKept(isa: ISA) {
    for value: Float in [.nan, .infinity, -.infinity] {
      for place in 0..<160 {
        var row = [Float](repeating: 1, count: 160)
        row[place] = value
        let bytes = Quantized(Kernels(isa: isa), row, begin: 0, end: row.count).bytes
        for block in 0..<5 {
          let scale = bytes.withUnsafeBytes {
            $0.loadUnaligned(fromByteOffset: block * quantizedBlockBytes + 32, as: Float.self)
          }
          #expect(scale.isFinite == (block != place / 32), "\(value) at \(place): block \(block)")
        }
      }
    }
  }

  /// To bf16 as tensors are rounded, in the columns that were asked for and nowhere else.
  @Test(arguments: availableTiers) func rounding(isa: ISA) throws {
    let kernels = Kernels(isa: isa)
    let halves: [Float] = [0x1.01p0, 0x1.03p0, 0x1.0100_02p0, -0x1.01p0, .greatestFiniteMagnitude, .leastNonzeroMagnitude]
    let row = Self.row + halves + [.infinity, -.infinity, .nan, Float(bitPattern: 0x7F80_0001), -0.0, 1]
    let rounded = try Tensor(rounding: row, shape: [row.count], to: .bf16)
    let expected = (0..<row.count).map { rounded.storage.bytes.load(fromByteOffset: $0 * 2, as: UInt16.self) }
    for (begin, end) in [(0, row.count), (1, 20), (33, 64), (row.count - 3, row.count), (5, 5)] {
      var found = [UInt16](repeating: 0xA5A5, count: row.count)
      found.withUnsafeMutableBytes { kernels.round($0.baseAddress!, row, begin: begin, end: end) }
      for index in row.indices {
        guard begin..<end ~= index else {
          #expect(found[index] == 0xA5A5)
          continue
        }
        let isNaN = row[index].isNaN
        #expect(isNaN ? found[index] & 0x7FFF > 0x7F80 : found[index] == expected[index], "\(row[index])")
      }
    }
  }
}
