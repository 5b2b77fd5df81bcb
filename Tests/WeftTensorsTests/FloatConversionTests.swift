// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTensors

/// The conversions between f32 and the stored formats, over every pattern of 16 bits, against Swift's own Float16.
struct FloatConversionTests {
  static let patterns = (0...UInt16.max).map { $0 }

  static func tensor(_ patterns: [UInt16], _ dtype: DType) throws -> Tensor {
    let storage = try Storage(byteCount: patterns.count * 2)
    storage.base.copyMemory(from: patterns, byteCount: patterns.count * 2)
    return try #require(Tensor(dtype: dtype, shape: [patterns.count], storage: storage, offset: 0))
  }

  /// The bits of `values` rounded into a 16-bit format.
  static func rounded(_ values: [Float], _ dtype: DType) throws -> [UInt16] {
    let tensor = try Tensor(rounding: values, shape: [values.count], to: dtype)
    return (0..<values.count).map { tensor.base.load(fromByteOffset: $0 * 2, as: UInt16.self) }
  }

  @Test func f16WidensAsSwiftWidens() throws {
    let floats = try Self.tensor(Self.patterns, .f16).floats()
    for (pattern, float) in zip(Self.patterns, floats) {
      let expected = Float(Float16(bitPattern: pattern))
      let same = float.bitPattern == expected.bitPattern || (float.isNaN && expected.isNaN)
      if !same { Issue.record("\(pattern): expected \(expected), found \(float)") }
    }
  }

  @Test func bf16IsTheUpperHalf() throws {
    let floats = try Self.tensor(Self.patterns, .bf16).floats()
    #expect(zip(Self.patterns, floats).allSatisfy { $1.bitPattern == UInt32($0) << 16 })
  }

  /// Every pattern comes back from f32 as it was; NaN stays NaN.
  @Test(arguments: [DType.f16, .bf16]) func everyPatternSurvives(dtype: DType) throws {
    let floats = try Self.tensor(Self.patterns, dtype).floats()
    for (pattern, (float, back)) in zip(Self.patterns, zip(floats, try Self.rounded(floats, dtype))) {
      let infinity: UInt16 = dtype == .f16 ? 0x7C00 : 0x7F80
      let same = float.isNaN ? back & infinity == infinity && back & ~infinity & 0x7FFF != 0 : back == pattern
      if !same { Issue.record("\(pattern) became \(back)") }
    }
  }

  /// Halfway between two neighbours the even one is taken, on either side of halfway the nearer one. Beyond the largest finite
  /// number that is infinity.
  @Test(arguments: [DType.f16, .bf16]) func roundsToNearestEven(dtype: DType) throws {
    let finite = dtype == .f16 ? UInt16(0x7C00) : 0x7F80
    let neighbours = (0..<finite).map { ($0, $0 + 1) }
    let floats = try Self.tensor((0...finite).map { $0 }, dtype).floats()
    for sign: Float in [1, -1] {
      let mask: UInt16 = sign < 0 ? 0x8000 : 0
      let middles = neighbours.map { lower, upper in
        // The step after the largest finite number would lead to a power of two.
        let width = floats[Int(lower)] - floats[Int(max(lower, 1)) - 1]
        let step = upper == finite ? width / 2 : (floats[Int(upper)] - floats[Int(lower)]) / 2
        return sign * (floats[Int(lower)] + step)
      }
      let below = middles.map { $0 > 0 ? $0.nextDown : $0.nextUp }
      let above = middles.map { $0 > 0 ? $0.nextUp : $0.nextDown }
      let found = (try Self.rounded(below, dtype), try Self.rounded(middles, dtype), try Self.rounded(above, dtype))
      for (index, (lower, upper)) in neighbours.enumerated() {
        let even = lower % 2 == 0 ? lower : upper
        let expected = (lower | mask, even | mask, upper | mask)
        let one = (found.0[index], found.1[index], found.2[index])
        if one != expected { Issue.record("around \(middles[index]): expected \(expected), found \(one)") }
      }
    }
  }

  @Test func f16RoundsAsSwiftRounds() throws {
    var generator = SeededGenerator(seed: 16)
    let values = (0..<100_000).map { _ in Float(bitPattern: UInt32.random(in: 0...(.max), using: &generator)) }
    for (value, found) in zip(values, try Self.rounded(values, .f16)) {
      let expected = Float16(value)
      let same = expected.isNaN ? Float16(bitPattern: found).isNaN : found == expected.bitPattern
      if !same { Issue.record("\(value): expected \(expected), found \(Float16(bitPattern: found))") }
    }
  }

  @Test(arguments: weightFormats) func dequantizingIsThePlainReading(dtype: DType) throws {
    var generator = SeededGenerator(seed: 17)
    let columns = max(96, dtype.blockElements)
    let tensor = try Tensor.random(dtype, rows: 7, columns: columns, using: &generator)
    let expected = referenceFloats(tensor)
    #expect(tensor.floats() == expected)
    for row in 0..<7 {
      var values = [Float](repeating: poison, count: columns + 1)
      tensor.dequantizeRow(row, into: &values)
      #expect(Array(values[..<columns]) == Array(expected[row * columns..<(row + 1) * columns]))
      #expect(values[columns].bitPattern == poison.bitPattern)
    }
  }

  @Test func conversionsBetweenFormats() throws {
    var generator = SeededGenerator(seed: 18)
    let tensor = try Tensor.random(.q8_0, rows: 3, columns: 64, using: &generator)
    #expect(try tensor.converted(to: .f32).floats() == referenceFloats(tensor))
    let half = try tensor.converted(to: .f16)
    #expect(half.dtype == .f16 && half.shape == [3, 64])
    #expect(referenceFloats(half) == referenceFloats(tensor).map { Float(Float16($0)) })
    #expect(try half.converted(to: .f16).storage === half.storage)
  }

  @Test func everyPatternIsFiniteOrNot() throws {
    for dtype in [DType.f16, .bf16] {
      let infinity: UInt16 = dtype == .f16 ? 0x7C00 : 0x7F80
      for pattern in Self.patterns {
        let index = try Self.tensor([0, 0x8000, pattern], dtype).firstNonFinite()
        let expected = pattern & infinity == infinity ? 2 : nil
        if index != expected { Issue.record("\(dtype.name) \(pattern): found \(String(describing: index))") }
      }
    }
  }

  @Test func singlesAndIntegers() throws {
    for bad: Float in [.nan, .infinity, -.infinity] {
      #expect(try Tensor([1, 2, bad, bad], shape: [2, 2]).firstNonFinite() == 2)
    }
    #expect(try Tensor([.greatestFiniteMagnitude, .leastNonzeroMagnitude], shape: [2]).firstNonFinite() == nil)
    let integers = try #require(Tensor(dtype: .i32, shape: [2], storage: Storage(byteCount: 8), offset: 0))
    #expect(integers.firstNonFinite() == nil)
  }
}
