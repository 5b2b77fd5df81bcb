// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftDeltas

@Suite struct MixtureTests {
  @Test func partsAreSorted() throws {
    let mixture = try Mixture([.init(adapter: "poet", weight: 0.3), .init(adapter: "chef", weight: 0.7)])
    #expect(mixture.parts.map(\.adapter) == ["chef", "poet"])
    #expect(mixture.description == "chef:0.7,poet:0.3")
    #expect(try mixture == Mixture(parsing: "poet:0.3,chef:0.7"))
    #expect(try mixture.hashValue == Mixture(parsing: "poet:0.3,chef:0.7").hashValue)
    #expect(try mixture != Mixture(parsing: "poet:0.3,chef:0.70001"))
  }

  @Test(arguments: [
    ("a:1,B:2", "B:2,a:1"), ("a", "a:1"), ("x-1.b_2:-0.5", "x-1.b_2:-0.5"), ("a:1e-3", "a:0.001"), ("a:+2.50", "a:2.5"),
    ("a:0", "a:0"), ("base", "base"), ("bases:1", "bases:1"), ("a:100000000000000000000", "a:1e+20"),
  ])
  func textIsCanonical(text: String, canonical: String) throws {
    let mixture = try Mixture(parsing: text)
    #expect(mixture.description == canonical)
    #expect(try Mixture(parsing: mixture.description) == mixture)
  }

  @Test func everyWeightIsReadBackExactly() throws {
    var numbers = SeededGenerator(seed: 7)
    for exponent in -40...37 {
      let weight = numbers.floats(1)[0] * Float(sign: .plus, exponent: exponent, significand: 1)
      let mixture = try Mixture([.init(adapter: "a", weight: weight)])
      #expect(try Mixture(parsing: mixture.description) == mixture)
    }
  }

  @Test func base() throws {
    #expect(Mixture.base.parts.isEmpty)
    #expect(try Mixture([]) == .base)
    #expect(Mixture.base.description == "base")
  }

  @Test(arguments: [
    ("", MixtureError.invalidName("")), ("a,", .invalidName("")), (",a", .invalidName("")), (":1", .invalidName("")),
    ("a b:1", .invalidName("a b")), ("a=1", .invalidName("a=1")), (" a:1", .invalidName(" a")), ("é:1", .invalidName("é")),
    ("base:1", .invalidName("base")), ("base,a", .invalidName("base")), ("a/b", .invalidName("a/b")),
    ("a:", .invalidWeight(adapter: "a", found: "")), ("a:x", .invalidWeight(adapter: "a", found: "x")),
    ("a:nan", .invalidWeight(adapter: "a", found: "nan")), ("a:inf", .invalidWeight(adapter: "a", found: "inf")),
    ("a:1e99", .invalidWeight(adapter: "a", found: "1e99")), ("a:0x10", .invalidWeight(adapter: "a", found: "0x10")),
    ("a:1:2", .invalidWeight(adapter: "a", found: "1:2")), ("a: 1", .invalidWeight(adapter: "a", found: " 1")),
    ("a:1,b:2,a:3", .duplicate("a")),
  ])
  func refused(text: String, error: MixtureError) {
    #expect(throws: error) { try Mixture(parsing: text) }
  }

  @Test func refusedParts() {
    #expect(throws: MixtureError.invalidWeight(adapter: "a", found: "nan")) {
      try Mixture([.init(adapter: "a", weight: .nan)])
    }
    #expect(throws: MixtureError.invalidWeight(adapter: "a", found: "-inf")) {
      try Mixture([.init(adapter: "a", weight: -.infinity)])
    }
    #expect(throws: MixtureError.invalidName("a:b")) { try Mixture([.init(adapter: "a:b", weight: 1)]) }
    #expect(throws: MixtureError.duplicate("a")) {
      try Mixture([.init(adapter: "a", weight: 1), .init(adapter: "a", weight: 1)])
    }
  }
}
