// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing
import WeftTensors

/// Attention over scattered blocks against a plain softmax in f64. Every byte of the cache that holds no token is NaN, so that a
/// result that used one would show.
struct AttentionKernelTests {
  /// Rows of one sequence on one key-value head.
  struct Problem {
    let headDimension: Int
    let group: Int
    let rows: Int
    let firstPosition: Int
    let dtype: KVDType
    let scale: Float
    let window: Int
    let softcap: Float
    /// [positions][headDimension], rounded to what the cache can hold.
    private(set) var keys: [[Float]] = []
    private(set) var values: [[Float]] = []
    private(set) var queries: [Float] = []
    private let table: [Int32]
    private let cache: Storage
    private let blockStride: Int

    private var keyBytes: Int { dtype.keyBytes(headDimension: headDimension) }
    var width: Int { group * headDimension }
    private var queryStride: Int { width + 3 }
    private var outStride: Int { width + 5 }

    init(
      headDimension: Int, group: Int, rows: Int, firstPosition: Int, dtype: KVDType, scale: Float? = nil, window: Int = 0,
      softcap: Float = 0, seed: UInt64
    ) throws {
      self.headDimension = headDimension
      self.group = group
      self.rows = rows
      self.firstPosition = firstPosition
      self.dtype = dtype
      self.scale = scale ?? 1 / Float(headDimension).squareRoot()
      self.window = window
      self.softcap = softcap
      var generator = SeededGenerator(seed: seed)
      let positions = firstPosition + rows
      let blocks = (positions + 15) / 16
      table = Array((0..<Int32(blocks * 2 + 1)).shuffled(using: &generator)[..<blocks])
      // Other heads of the same block lie between two blocks of this one.
      let headBytes = dtype.keyBytes(headDimension: headDimension) + dtype.valueBytes(headDimension: headDimension)
      blockStride = headBytes * 2 + 64
      cache = try Storage(byteCount: (blocks * 2 + 1) * blockStride)
      memset(cache.base, 0xFF, cache.bytes.count)
      queries = [Float](repeating: poison, count: rows * (group * headDimension + 3))
      for row in 0..<rows {
        for i in 0..<width { queries[row * queryStride + i] = Float.random(in: -2...2, using: &generator) }
      }
      let visible = window == 0 ? 0 : max(0, firstPosition - window + 1)
      for position in 0..<positions {
        let key = KVRow(generator.floats(headDimension, in: -2...2), dtype)
        let value = KVRow(generator.floats(headDimension), dtype)
        keys.append(key.values)
        values.append(value.values)
        guard position >= visible else { continue }
        let block = cache.base + Int(table[position / 16]) * blockStride
        key.put(key: position % 16, into: block)
        value.put(value: position % 16, into: block + keyBytes)
      }
    }

    /// The output of some rows, [rows][outStride], with poison where nothing may be written.
    func run(_ kernels: Kernels, rows part: Range<Int>) -> [Float] {
      var out = [Float](repeating: poison, count: (rows + 1) * outStride)
      out.withUnsafeMutableBufferPointer { out in
        queries.withUnsafeBufferPointer { queries in
          table.withUnsafeBufferPointer { table in
            kernels.attend(
              AttentionTask(
                out: out.baseAddress! + part.lowerBound * outStride, outStride: outStride,
                query: queries.baseAddress! + part.lowerBound * queryStride, queryStride: queryStride, rows: part.count,
                group: group, headDimension: headDimension, firstPosition: firstPosition + part.lowerBound,
                blockTable: table.baseAddress!, keys: UnsafeRawPointer(cache.base),
                values: UnsafeRawPointer(cache.base) + keyBytes, blockStride: blockStride, scale: scale, window: window,
                softcap: softcap), dtype)
          }
        }
      }
      return out
    }

    /// softmax(softcap(scale q K')) V within the window in f64, in the layout of `run`.
    func reference() -> [Float] {
      var out = [Float](repeating: poison, count: (rows + 1) * outStride)
      for row in 0..<rows {
        for head in 0..<group {
          let query = queries[row * queryStride + head * headDimension..<row * queryStride + (head + 1) * headDimension]
          let position = firstPosition + row
          let visible = (window == 0 ? 0 : max(0, position - window + 1))...position
          let scores = keys[visible].map { key in
            let score = zip(key, query).reduce(0.0) { $0 + Double($1.0) * Double($1.1) } * Double(scale)
            return softcap == 0 ? score : Double(softcap) * tanh(score / Double(softcap))
          }
          let largest = scores.max() ?? 0
          let weights = scores.map { exp($0 - largest) }
          let total = weights.reduce(0, +)
          for i in 0..<headDimension {
            let sum = zip(weights, values[visible]).reduce(0.0) { $0 + $1.0 * Double($1.1[i]) }
            out[row * outStride + head * headDimension + i] = Float(sum / total)
          }
        }
      }
      return out
    }

    /// The largest difference inside the rows; infinite when something outside them was written.
    func error(_ found: [Float], _ expected: [Float]) -> Float {
      var worst: Float = 0
      for (one, other) in zip(found, expected) where one.bitPattern != other.bitPattern {
        worst = max(worst, abs(one - other).isNaN ? .infinity : abs(one - other))
      }
      return worst
    }

    /// `row` of `found`, and poison elsewhere.
    func alone(_ row: Int, of found: [Float]) -> [Float] {
      var out = [Float](repeating: poison, count: found.count)
      for i in row * outStride..<(row + 1) * outStride { out[i] = found[i] }
      return out
    }
  }

  /// Every group, head dimensions with and without a tail of 16, positions on both sides of the borders of blocks and chunks.
  static func problems(_ dtype: KVDType) throws -> [Problem] {
    var problems: [Problem] = []
    let positions = [0, 1, 14, 15, 16, 17, 30, 47, 48, 62, 63, 64, 65, 79, 127, 128, 129]
    let dimensions = [2, 4, 6, 8, 10, 12, 14, 16, 18, 24, 30, 32, 34, 40, 48, 64, 80, 96, 102, 126, 128]
    for (index, position) in positions.enumerated() {
      for group in 1...7 {
        problems.append(
          try Problem(
            headDimension: dimensions[(index * 7 + group) % 16], group: group, rows: (index + group) % 5 + 1,
            firstPosition: position, dtype: dtype, seed: UInt64(index * 10 + group)))
      }
    }
    for (index, dimension) in dimensions.enumerated() {
      problems.append(
        try Problem(
          headDimension: dimension, group: index % 3 + 1, rows: 2, firstPosition: positions[index % positions.count],
          dtype: dtype, seed: UInt64(1000 + index)))
    }
    return problems
  }

  @Test(arguments: [KVDType.f32, .f16, .q8_0], availableTiers)
  func isASoftmaxOverThePast(dtype: KVDType, isa: ISA) throws {
    let kernels = Kernels(isa: isa)
    var worst: Float = 0
    for problem in try Self.problems(dtype) {
      let found = problem.run(kernels, rows: 0..<problem.rows)
      worst = max(worst, problem.error(found, problem.reference()))
      // A row's result does not depend on its neighbours.
      for row in 0..<problem.rows {
        let same = sameBits(problem.run(kernels, rows: row..<row + 1), problem.alone(row, of: found))
        #expect(same, "row \(row) of \(problem.rows) at \(problem.firstPosition), group \(problem.group)")
      }
    }
    // Measured, with values from -1 to 1: 3.6e-7 (F32), 4.2e-7 (F16) and 4.2e-7 (Q8_0) on scalar, 3.3e-7, 3.9e-7 and 3.9e-7 on
    // the others.
    #expect(worst <= 8.4e-7)
  }

  /// Windows shorter than a block, crossing blocks and chunks, as long as the past and longer, with and without soft-caps.
  /// What no row sees is NaN.
  static func windows(_ dtype: KVDType) throws -> [Problem] {
    var problems: [Problem] = []
    let positions = [0, 1, 3, 15, 16, 31, 63, 64, 65, 79, 127, 128, 130, 200]
    let dimensions = [16, 6, 34, 64]
    for (index, window) in [1, 2, 5, 15, 16, 17, 31, 48, 63, 64, 65, 100, 128, 1000].enumerated() {
      for (place, position) in positions.enumerated() where (index + place) % 2 == 0 {
        problems.append(
          try Problem(
            headDimension: dimensions[(index + place / 2) % 4], group: (index + place) % 7 + 1,
            rows: (index * 3 + place) % 19 + 1,
            firstPosition: position, dtype: dtype, window: window, softcap: [0, 2, 50][(index + place) % 3],
            seed: UInt64(index * 100 + place)))
      }
    }
    return problems
  }

  @Test(arguments: [KVDType.f32, .f16, .q8_0], availableTiers)
  func seesTheWindow(dtype: KVDType, isa: ISA) throws {
    let kernels = Kernels(isa: isa)
    var worst: Float = 0
    for problem in try Self.windows(dtype) {
      let found = problem.run(kernels, rows: 0..<problem.rows)
      worst = max(worst, problem.error(found, problem.reference()))
      for cut in 1..<max(problem.rows, 2) where cut % 4 == 1 && cut < problem.rows {
        let (head, tail) = (problem.run(kernels, rows: 0..<cut), problem.run(kernels, rows: cut..<problem.rows))
        for row in 0..<problem.rows {
          let same = sameBits(problem.alone(row, of: row < cut ? head : tail), problem.alone(row, of: found))
          #expect(same, "row \(row), cut at \(cut), window \(problem.window), position \(problem.firstPosition)")
        }
      }
    }
    // Measured, with values from -1 to 1: 4.5e-7 (F32), 6.7e-7 (F16) and 5.4e-7 (Q8_0) on scalar, not more on the others but
    // 4.8e-7 (F32).
    #expect(worst <= 1.4e-6)
  }

  /// A soft-cap bends scores at every size: small ones must not lose digits to the difference of two ones.
  @Test(arguments: availableTiers)
  func softcapKeepsSmallScores(isa: ISA) throws {
    let kernels = Kernels(isa: isa)
    var worst: Float = 0
    for (index, scale) in [Float(1e-4), 0.01, 0.3, 1, 5, 100].enumerated() {
      for softcap: Float in [1, 30, 50] {
        let problem = try Problem(
          headDimension: 32, group: 2, rows: 3, firstPosition: 100, dtype: .f32, scale: scale, softcap: softcap,
          seed: UInt64(index))
        worst = max(worst, problem.error(problem.run(kernels, rows: 0..<3), problem.reference()))
      }
    }
    // Measured: 8.9e-7 on scalar, 1.1e-6 on the others.
    #expect(worst <= 2.3e-6)
  }

  /// Scores that differ by more than f32 can exponentiate: one key takes all, wherever it lies.
  @Test(arguments: [KVDType.f32, .f16, .q8_0], availableTiers)
  func sharpScores(dtype: KVDType, isa: ISA) throws {
    let kernels = Kernels(isa: isa)
    var worst: Float = 0
    for seed in 0..<20 {
      let problem = try Problem(
        headDimension: 16, group: 3, rows: 3, firstPosition: 150, dtype: dtype, scale: 60, seed: UInt64(seed))
      worst = max(worst, problem.error(problem.run(kernels, rows: 0..<3), problem.reference()))
    }
    // Measured: 1.2e-5 (F32), 1.9e-5 (F16), 2.9e-5 (Q8_0): what is left of f32 in scores of several thousand.
    #expect(worst <= 5.9e-5)
  }

  @Test(arguments: [KVDType.f32, .f16, .q8_0], availableTiers)
  func widestHead(dtype: KVDType, isa: ISA) throws {
    let problem = try Problem(
      headDimension: Kernels.maximumHeadDimension, group: 7, rows: 1, firstPosition: 40, dtype: dtype, seed: 1)
    let worst = problem.error(problem.run(Kernels(isa: isa), rows: 0..<1), problem.reference())
    // Measured: 8.1e-7 (F32), 6.6e-7 (F16), 1.2e-7 (Q8_0).
    #expect(worst <= 1.7e-6)
  }

  /// One token goes into its slot, rounded as Swift rounds, and touches nothing else.
  @Test(arguments: [KVDType.f32, .f16, .q8_0], availableTiers)
  func storesOneSlot(dtype: KVDType, isa: ISA) throws {
    let kernels = Kernels(isa: isa)
    var generator = SeededGenerator(seed: 12)
    for d in [2, 6, 12, 16, 18, 64, 102, 128] {
      for slot in [0, 1, 7, 15] {
        var (k, v) = (generator.floats(d, in: -9...9), generator.floats(d, in: -1e-5...1e-5))
        if slot == 1 { (k[0], v) = (-3e4, [Float](repeating: 0, count: d)) }
        if slot == 7 { v = k.map { $0 * 1e-7 } }
        if slot == 15 && dtype != .f16 { k[d / 2] = 1e30 }
        var keys = [UInt8](repeating: 0xEE, count: dtype.keyBytes(headDimension: d) + 64)
        var values = [UInt8](repeating: 0xEE, count: dtype.valueBytes(headDimension: d) + 64)
        var (expectedKeys, expectedValues) = (keys, values)
        expectedKeys.withUnsafeMutableBytes { KVRow(k, dtype).put(key: slot, into: $0.baseAddress!) }
        expectedValues.withUnsafeMutableBytes { KVRow(v, dtype).put(value: slot, into: $0.baseAddress!) }
        keys.withUnsafeMutableBytes { keys in
          values.withUnsafeMutableBytes { values in
            kernels.storeKV(
              keys: keys.baseAddress!, values: values.baseAddress!, k, v, headDimension: d, slot: slot, dtype)
          }
        }
        #expect(keys == expectedKeys && values == expectedValues, "head dimension \(d), slot \(slot)")
      }
    }
  }
}
