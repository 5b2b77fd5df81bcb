// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTensors

/// The stream and what is made of it against numpy's `default_rng`, for seeds of one and of two words.
struct NumPyGeneratorTests {
  @Test func wordsAreThoseOfNumPy() throws {
    try forEach("words", count: 4) { generator, count, expected, name in
      #expect((0..<count).map { _ in Int(bitPattern: UInt(generator.next())) } == expected, "\(name)")
    }
  }

  /// Ranges on both sides of 2^32, where numpy goes from halves of a word to words, and full ones, where it rejects nothing.
  @Test func integersAreThoseOfNumPy() throws {
    try forEach("integers", count: 28) { generator, last, expected, name in
      #expect(expected.map { _ in Int(generator.integer(through: UInt64(last))) } == expected, "\(name)")
    }
    var generator = NumPyGenerator(seed: 1)
    let words = generator
    #expect(generator.integer(through: 0) == 0)
    var untouched = words
    #expect(generator.integer(through: .max) == untouched.next())
  }

  @Test func shufflesAreThoseOfNumPy() throws {
    try forEach("shuffle", count: 24) { generator, size, expected, name in
      var numbers = Array(0..<size)
      generator.shuffle(&numbers)
      #expect(ends(numbers) == expected, "\(name)")
    }
  }

  /// Small picks and large picks of large ranges, which numpy makes in two ways, and the number behind each: the stream is left
  /// where numpy leaves it.
  @Test func choicesAreThoseOfNumPy() throws {
    for (size, picked) in [(1, 1), (20, 0), (20, 7), (256, 255), (10000, 300), (10001, 200), (10001, 201), (10001, 10001)] {
      try forEach("choice-\(picked)", size: size, count: 4) { generator, size, expected, name in
        var numbers = generator.choice(of: size, picking: picked)
        numbers.append(Int(generator.integer(through: 999)))
        #expect(ends(numbers) == expected, "\(name)")
      }
    }
  }

  /// Calls `body` with a fresh generator for every stored seed and size of one kind, or for one size.
  private func forEach(
    _ kind: String, size: Int? = nil, count: Int, _ body: (inout NumPyGenerator, Int, [Int], _ name: String) throws -> Void
  ) throws {
    let golden = try Golden("random/numpy.safetensors")
    let names = golden.names.filter { name in
      name.hasPrefix(kind + ".") && (size.map { name.hasSuffix(".\($0)") } ?? true)
    }
    #expect(names.count == count)
    for name in names {
      let fields = name.split(separator: ".")
      var generator = NumPyGenerator(seed: try #require(UInt64(fields[1])))
      let size = try #require(Int(fields[2]))
      #expect(name.hasSuffix(".\(size)"))
      try body(&generator, size, try golden.integers(name), name)
    }
  }

  /// What the golden file holds of a long result.
  private func ends(_ values: [Int]) -> [Int] {
    values.count <= 200 ? values : Array(values.prefix(100) + values.suffix(100))
  }
}
