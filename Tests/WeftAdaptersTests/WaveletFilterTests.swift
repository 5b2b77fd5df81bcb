// SPDX-License-Identifier: Apache-2.0

import Testing
import WeftAdapters

/// What makes a filter the wavelet of its name: it is orthonormal, and its high-pass side has the vanishing moments that the number
/// in the name promises. Goldens of WaveFT hold db1, db2, db4, sym3 and coif1 to peft's orientation.
struct WaveletFilterTests {
  /// All but the one whose numbers in peft are wrong.
  static let names = WaveletFilters.names.filter { $0 != "coif4" }

  @Test(arguments: names) func isOrthonormalWithItsVanishingMoments(name: String) throws {
    let filters = try #require(WaveletFilters(name))
    let (low, high) = (filters.low.map { Double($0) }, filters.high.map { Double($0) })
    let order = try #require(Int(name.drop { $0.isLetter }))
    #expect(low.count == (name.hasPrefix("coif") ? 6 : 2) * order && high.count == low.count)
    // f32 rounds each tap by up to 3e-8.
    for shift in stride(from: 0, to: low.count, by: 2) {
      let (even, odd) = (correlation(low, low, shift), correlation(low, high, shift))
      #expect(abs(even - (shift == 0 ? 1 : 0)) < 1.2e-7, "\(name) \(shift): \(even)")
      #expect(abs(odd) < 1.2e-7, "\(name) \(shift): \(odd)")
    }
    for moment in 0..<(name.hasPrefix("coif") ? 2 : 1) * order {
      var (sum, size) = (0.0, 0.0)
      for (place, tap) in high.enumerated() {
        var term = tap
        for _ in 0..<moment { term *= Double(place) / Double(high.count) }
        sum += term
        size += abs(term)
      }
      #expect(abs(sum) < 1.2e-7 * size, "\(name), moment \(moment): \(sum / size)")
    }
  }

  /// The sum of squares in peft, which would be 1.
  @Test func theNumbersOfCoif4AreThoseOfPeft() throws {
    let low = try #require(WaveletFilters("coif4")).low.map { Double($0) }
    #expect(low.count == 24 && abs(correlation(low, low, 0) - 1.00991881985375) < 1.2e-7)
  }

  @Test func namesAreThoseOfPeft() {
    let names = (1...10).map { "db\($0)" } + (2...10).map { "sym\($0)" } + (1...4).map { "coif\($0)" }
    #expect(Set(WaveletFilters.names) == Set(names))
    #expect(WaveletFilters("haar") == nil && WaveletFilters("coif5") == nil)
  }

  private func correlation(_ a: [Double], _ b: [Double], _ shift: Int) -> Double {
    zip(a.dropFirst(shift), b).reduce(0) { $0 + $1.0 * $1.1 }
  }
}
