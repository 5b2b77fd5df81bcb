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
    ("lang@0-7,task@8-23", "lang@0-7:1,task@8-23:1"), ("lang@0-3+20-23:0.5", "lang@0-3+20-23:0.5"),
    ("a@5", "a@5:1"), ("a@4-7+0-3+9", "a@0-7+9:1"), ("a@2-6+4-9", "a@2-9:1"), ("lang>task", "lang:1>task:1"),
    ("z,y>b,a:2", "y:1,z:1>a:2,b:1"), ("a:0.5,b:0.5/average", "a:0.5,b:0.5/average"), ("a/multiply", "a:1"),
    ("chef:0.7[q_proj=0.2,down_proj=1.1]", "chef:0.7[q_proj=0.2,down_proj=1.1]"),
    ("a[down_proj=1,@3=-2,q_proj@0-1=0,q_proj=.5]", "a:1[@3=-2,q_proj=0.5,q_proj@0-1=0,down_proj=1]"),
    ("a[lm_head=0,embed_tokens=0.5,shared_expert.up_proj=2]", "a:1[shared_expert.up_proj=2,lm_head=0,embed_tokens=0.5]"),
    ("a:-0", "a:0"), ("a@0-7[lm_head=1,q_proj@0-3=2]", "a@0-7:1[q_proj@0-3=2,lm_head=1]"),
  ])
  func placesAndOrderAreCanonical(text: String, canonical: String) throws {
    let mixture = try Mixture(parsing: text)
    #expect(mixture.description == canonical)
    let again = try Mixture(parsing: canonical)
    #expect(again == mixture && again.hashValue == mixture.hashValue && again.description == canonical)
  }

  @Test(
    arguments: [
      ("", .invalidName(""), 1), ("a,", .invalidName(""), 3), (",a", .invalidName(""), 1), (":1", .invalidName(""), 1),
      ("a b:1", .invalidName("a b"), 1), ("a=1", .invalidName("a=1"), 1), (" a:1", .invalidName(" a"), 1),
      ("é:1", .invalidName("é"), 1), ("base:1", .invalidName("base"), 1), ("base,a", .invalidName("base"), 1),
      ("a/b", .invalidScaleRule("b"), 3), ("a/", .invalidScaleRule(""), 3),
      ("a:", .invalidWeight(adapter: "a", found: ""), 3), ("a:x", .invalidWeight(adapter: "a", found: "x"), 3),
      ("a:nan", .invalidWeight(adapter: "a", found: "nan"), 3), ("a:inf", .invalidWeight(adapter: "a", found: "inf"), 3),
      ("b,a:1e99", .invalidWeight(adapter: "a", found: "1e99"), 5),
      ("a:0x10", .invalidWeight(adapter: "a", found: "0x10"), 3),
      ("a:1:2", .invalidWeight(adapter: "a", found: "1:2"), 3), ("a: 1", .invalidWeight(adapter: "a", found: " 1"), 3),
      ("a:1,b:2,a:3", .duplicate("a"), 9), ("a>a", .duplicate("a"), 3), ("a>", .invalidName(""), 3),
      ("a@", .invalidLayers(adapter: "a", found: ""), 3), ("a@3-", .invalidLayers(adapter: "a", found: "3-"), 3),
      ("a@7-3", .invalidLayers(adapter: "a", found: "7-3"), 3), ("a@1-2-3", .invalidLayers(adapter: "a", found: "1-2-3"), 3),
      ("a@+1", .invalidLayers(adapter: "a", found: "+1"), 3), ("a@x", .invalidLayers(adapter: "a", found: "x"), 3),
      ("a@99999999999999999999", .invalidLayers(adapter: "a", found: "99999999999999999999"), 3),
      ("a[", .invalidModule(adapter: "a", found: ""), 3), ("a[]", .invalidModule(adapter: "a", found: ""), 3),
      ("a[wq=1]", .invalidModule(adapter: "a", found: "wq"), 3), ("a[=1]", .invalidModule(adapter: "a", found: ""), 3),
      ("a[lm_head@0=1]", .invalidModule(adapter: "a", found: "lm_head@0"), 1),
      ("a[q_proj]", .unexpected(expected: "'=' and a weight", found: "']'"), 9),
      ("a[q_proj=1", .unexpected(expected: "',' or ']'", found: "the end"), 11),
      ("a[q_proj=one]", .invalidWeight(adapter: "a", found: "one"), 10),
      ("a[q_proj=1,q_proj=2]", .overlap(adapter: "a", "q_proj", "q_proj"), 1),
      ("b,a[@0-3=1,@3-5=2]", .overlap(adapter: "a", "@0-3", "@3-5"), 3),
      ("a@0-7[q_proj@7-8=1]", .outsideLayers(adapter: "a", found: "q_proj@7-8", layers: .init([0...7])!), 1),
      ("a[q_proj=1]x", .unexpected(expected: "',', '>', '/' or the end", found: "'x'"), 12),
    ] as [(String, MixtureError.Problem, Int)])
  func refused(text: String, problem: MixtureError.Problem, position: Int) {
    #expect(throws: MixtureError(problem, at: position)) { try Mixture(parsing: text) }
  }

  @Test func errorsSayWhere() throws {
    func message(_ text: String) -> String {
      do {
        try Mixture(parsing: text).validate(layerCount: 24)
        return ""
      } catch { return error.description }
    }
    #expect(message("a,b@x") == "mixture, character 5: expected layers of 'b' as in '@0-7' or '@0-3+20-23', found 'x'")
    #expect(message("a@20-24") == "mixture: expected layers 0 to 23 for 'a', as the base has, found 20-24")
    #expect(message("a[q_proj@24=1]").contains("found 24") && message("a@23[q_proj@23=1]").isEmpty)
  }

  @Test func refusedParts() {
    #expect(throws: MixtureError(.invalidWeight(adapter: "a", found: "nan"))) {
      try Mixture([.init(adapter: "a", weight: .nan)])
    }
    #expect(throws: MixtureError(.invalidWeight(adapter: "a", found: "-inf"))) {
      try Mixture([.init(adapter: "a", weight: -.infinity)])
    }
    #expect(throws: MixtureError(.invalidWeight(adapter: "a[q_proj]", found: "inf"))) {
      try Mixture([
        .init(adapter: "a", weight: 1, modules: [.init(module: .projection(.query), weight: .infinity)])
      ])
    }
    #expect(throws: MixtureError(.invalidName("a:b"))) { try Mixture([.init(adapter: "a:b", weight: 1)]) }
    #expect(throws: MixtureError(.duplicate("a"))) {
      try Mixture([.init(adapter: "a", weight: 1), .init(adapter: "a", weight: 1)])
    }
    #expect(throws: MixtureError(.duplicate("a"))) {
      try Mixture(stack: [[.init(adapter: "a", weight: 1)], [.init(adapter: "b", weight: 1), .init(adapter: "a", weight: 1)]])
    }
    #expect(Mixture.Layers([]) == nil && Mixture.Layers([-1...2]) == nil)
  }

  @Test func stacksKeepTheirOrder() throws {
    let stack = try Mixture(stack: [[.init(adapter: "z", weight: 1)], [], [.init(adapter: "a", weight: 1)]])
    #expect(stack.description == "z:1>a:1" && stack.isStacked && stack.parts.map(\.level) == [0, 1])
    #expect(try stack != Mixture(parsing: "a>z") && stack != Mixture(parsing: "a,z"))
    #expect(try stack.without(["z"]) == Mixture(parsing: "a") && stack.without(["a", "z"]) == .base)
  }

  @Test func aWeightIsThatOfTheMostParticularPlace() throws {
    let part = try Mixture(parsing: "a@0-7:0.5[@2-4=2,q_proj=3,q_proj@4=4,lm_head=5]").parts[0]
    let expected: [(WeightSite, Float)] = [
      (.layer(0, .key), 0.5), (.layer(2, .key), 2), (.layer(4, .down), 2), (.layer(0, .query), 3), (.layer(2, .query), 3),
      (.layer(4, .query), 4), (.layer(8, .query), 0), (.layer(8, .down), 0), (.outputHead, 5),
      (.expert(3, 1, .up), 2), (.expert(7, 1, .up), 0.5),
    ]
    for (site, weight) in expected { #expect(part.weight(at: site) == weight, "\(site)") }
    #expect(part.weight(inLayer: 3) == 2 && part.weight(inLayer: 7) == 0.5 && part.weight(inLayer: nil) == 0)
    #expect(part.embeddingWeight == 0 && !part.isUniform)
    let plain = try Mixture(parsing: "a:0.5").parts[0]
    #expect(plain.isUniform && plain.weight(at: .outputHead) == 0.5 && plain.embeddingWeight == 0.5)
    #expect(try Mixture(parsing: "a:0.5[@0=1]").parts[0].weight(at: .outputHead) == 0.5)
  }

  /// Any mixture is written and read back, in whatever order its parts come; and its weights are those of the definition.
  @Test func randomMixtures() throws {
    var numbers = SeededGenerator(seed: 21)
    let layerCount = 12
    var accepted = 0
    for _ in 0..<2000 {
      let parts = randomParts(layerCount, &numbers)
      let rule = Mixture.ScaleRule.allCases.randomElement(using: &numbers) ?? .multiply
      guard let mixture = try? Mixture(parts, scales: rule) else { continue }
      accepted += 1
      #expect(try Mixture(parsing: mixture.description) == mixture, "\(mixture)")
      #expect(try Mixture(parts.shuffled(using: &numbers), scales: rule) == mixture)
      try mixture.validate(layerCount: layerCount)
      for part in mixture.parts {
        for layer in 0..<layerCount {
          for projection in Projection.allCases {
            #expect(part.weight(at: .layer(layer, projection)) == definedWeight(part, layer, projection), "\(part)")
          }
        }
        let sites =
          (0..<layerCount).flatMap { layer in Projection.allCases.map { WeightSite.layer(layer, $0) } }
          + [.outputHead, .expert(3, 1, .up)]
        let layers = (0..<layerCount).map(Optional.some) + [nil]
        let places = sites.map { Mixture.Place($0) } + layers.map { Mixture.Place(layer: $0) }
        let filled = [Float](unsafeUninitializedCapacity: places.count) { memory, count in
          places.withUnsafeBufferPointer { part.fill(memory.baseAddress!, at: $0) }
          count = places.count
        }
        #expect(filled == sites.map { part.weight(at: $0) } + layers.map { part.weight(inLayer: $0) }, "\(part)")
      }
    }
    #expect(accepted > 500)
  }

  private func randomParts(_ layerCount: Int, _ numbers: inout SeededGenerator) -> [Mixture.Part] {
    func layers() -> Mixture.Layers? {
      Mixture.Layers(
        (0..<Int.random(in: 0...2, using: &numbers)).map { _ in
          let first = Int.random(in: 0..<layerCount, using: &numbers)
          return first...Int.random(in: first..<layerCount, using: &numbers)
        })
    }
    return ["a", "b-1", "c.x"].prefix(Int.random(in: 0...3, using: &numbers)).map { name in
      let modules = (0..<Int.random(in: 0...3, using: &numbers)).map { _ in
        Mixture.ModuleWeight(
          module: Mixture.Module.all.randomElement(using: &numbers), layers: layers(),
          weight: Float.random(in: -2...2, using: &numbers))
      }
      return Mixture.Part(
        adapter: name, weight: Float.random(in: -2...2, using: &numbers), layers: layers(), modules: modules,
        level: Int.random(in: 0...2, using: &numbers))
    }
  }

  /// From the least particular to the most particular, each overwriting what came before.
  private func definedWeight(_ part: Mixture.Part, _ layer: Int, _ projection: Projection) -> Float {
    guard part.layers?.contains(layer) != false else { return 0 }
    var weight = part.weight
    for (isNamed, isInLayers) in [(false, true), (true, false), (true, true)] {
      for entry in part.modules where (entry.module != nil) == isNamed && (entry.layers != nil) == isInLayers {
        guard entry.module == nil || entry.module == .projection(projection) else { continue }
        guard entry.layers?.ranges.contains(where: { $0.contains(layer) }) != false else { continue }
        weight = entry.weight
      }
    }
    return weight
  }
}
