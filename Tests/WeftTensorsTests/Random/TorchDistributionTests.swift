// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTensors

/// Every distribution against what torch drew, for seeds of one and of two words.
struct TorchDistributionTests {
  @Test(arguments: [("f32", DType.f32), ("f16", .f16), ("bf16", .bf16)])
  func uniformNumbersAreThoseOfTorch(name: String, dtype: DType) throws {
    try forEach("uniform-\(name)") { generator, size, expected, name in
      let drawn = generator.uniform(size, from: -0.37, to: 1.1, rounding: dtype)
      #expect(ends(drawn) == referenceFloats(expected), "\(name)")
    }
  }

  @Test func uniformDoublesAreThoseOfTorch() throws {
    try forEach("uniform-f64") { generator, size, expected, name in
      let drawn = generator.uniformDoubles(size, from: -0.37, to: 1.1)
      #expect(
        ends(drawn).map { Int(bitPattern: UInt(truncatingIfNeeded: $0.bitPattern)) } == integers(expected), "\(name)")
    }
  }

  @Test func kaimingNumbersAreThoseOfTorch() throws {
    try forEach("kaiming") { generator, size, expected, name in
      let drawn = generator.kaimingUniform(size * 48, fan: 48, gain: (2.0 / 6).squareRoot())
      #expect(ends(drawn) == referenceFloats(expected), "\(name)")
    }
  }

  @Test func bernoulliTrialsAreThoseOfTorch() throws {
    try forEach("bernoulli") { generator, size, expected, name in
      let drawn = generator.bernoulli(probabilities: (0..<size).map { Float($0 % 97) / 96 })
      #expect(ends(drawn).map { $0 ? 1 : 0 } == integers(expected), "\(name)")
    }
    try forEach("bernoulli-scalar") { generator, size, expected, name in
      #expect(ends(generator.bernoulli(size, probability: 0.3)).map { $0 ? 1 : 0 } == integers(expected), "\(name)")
    }
  }

  /// Below 16 numbers to the last bit. From 16 on torch's logarithm and cosine are its own: measured 4 units in the last place,
  /// of the number or of 0.01 if that is larger.
  @Test func normalNumbersAreThoseOfTorch() throws {
    for (name, deviation) in [("normal", 1.0), ("normal-scaled", 1 / 3.0.squareRoot())] {
      try forEach(name) { generator, size, expected, name in
        let drawn = ends(generator.normal(size, mean: 0, deviation: deviation))
        let expected = referenceFloats(expected)
        if size < 16 {
          #expect(drawn == expected, "\(name)")
        } else {
          #expect(drawn.count == expected.count)
          let units = zip(drawn, expected).map { abs($0 - $1) / max(abs($1), 0.01).ulp }
          #expect(units.allSatisfy { $0 <= 8 }, "\(name): \(units.max() ?? 0)")
        }
      }
    }
  }

  @Test func aPairOfNormalNumbersOutlivesACall() throws {
    let golden = try Golden("random/distributions.safetensors")
    let expected = try golden.floats("calls.11.23")
    var generator = TorchGenerator(seed: 11)
    let drawn = [3, 16, 4].map { generator.normal($0, mean: 0, deviation: 1) }
    #expect(drawn[0] == Array(expected[0..<3]))
    #expect(maximumDifference(drawn[1], Array(expected[3..<19])) < 1e-6)
    #expect(drawn[2] == Array(expected[19...]))
  }

  @Test func theUpperBoundIsNeverDrawn() throws {
    let golden = try Golden("random/distributions.safetensors")
    var generator = TorchGenerator(seed: 3)
    #expect(generator.uniform(100, from: 1, to: 1 + 0x1p-23) == (try golden.floats("narrow.3.100")))
  }

  /// Calls `body` with a fresh generator for every stored size and seed of one distribution.
  private func forEach(
    _ kind: String, _ body: (inout TorchGenerator, _ size: Int, Tensor, _ name: String) -> Void
  ) throws {
    let golden = try Golden("random/distributions.safetensors")
    let names = golden.names.filter { $0.hasPrefix(kind + ".") }
    #expect(names.count == 18)
    for name in names {
      let fields = name.split(separator: ".")
      var generator = TorchGenerator(seed: try #require(Int(fields[1])))
      body(&generator, try #require(Int(fields[2])), try golden.tensor(name), name)
    }
  }

  /// What the golden files hold of a long result.
  private func ends<Element>(_ values: [Element]) -> [Element] {
    values.count <= 200 ? values : Array(values.prefix(100) + values.suffix(100))
  }
}
