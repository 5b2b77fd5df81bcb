// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftEngine

private let folder = TestPaths.package + "/Models/demo"

/// Weights found from data, on the demo model.
struct MixtureSearchTests {
  private let names = ["roman", "numbers", "sort"]

  private func engine() throws -> Engine {
    let engine = try Engine(model: folder + "/base.gguf", options: EngineOptions(threads: 1, maximumSequences: 8))
    for name in names { try engine.loadAdapter(name, from: folder + "/experts/\(name).weft") }
    return engine
  }

  private func questions(_ name: String, _ count: Int) throws -> [Question] {
    Array(try Question.read(folder + "/eval/\(name).jsonl").prefix(count))
  }

  /// The value goes down, it is that of the mixture whose text is printed, and the same seed finds the same.
  @Test(arguments: [MixtureSearch.Method.adamerging, .lorahub]) func improvesAndRepeats(method: MixtureSearch.Method) throws {
    let engine = try engine()
    let questions = try questions("roman", 2) + questions("numbers", 2)
    let search = MixtureSearch(method, evaluations: 12, maximumTokens: 3, seed: 5)
    var values: [Double] = []
    let result = try engine.searchMixture(of: names, on: questions, search) { values.append($0.value) }
    #expect(result.evaluationCount == 12 && values.count == 12 && values.last == result.value)
    #expect(result.value < result.startValue && values == values.sorted(by: >))
    #expect(try engine.searchMixture(of: names, on: questions, search) == result)
    var other = search
    other.seed = 6
    #expect(try engine.searchMixture(of: names, on: questions, other).mixture != result.mixture)
    let read = try AdapterMixture(parsing: result.mixture.description)
    if method == .adamerging {
      #expect(try engine.entropy(of: questions.map(\.prompt), activation: .mixture(read), maximumTokens: 3) == result.value)
      // Without labels.
      let unlabelled = questions.map { Question(prompt: $0.prompt, answer: "") }
      #expect(try engine.searchMixture(of: names, on: unlabelled, search) == result)
    } else {
      let penalty = 0.05 * read.adapters.reduce(0) { $0 + Double(abs($1.weight)) } / 3
      #expect(abs(try engine.loss(on: questions, activation: .mixture(read)) + penalty - result.value) < 1e-4)
    }
  }

  /// Each group of layers has its weights, and the text of the mixture says so.
  @Test func groupsOfLayers() throws {
    let engine = try engine()
    let search = MixtureSearch(.adamerging, evaluations: 4, layerGroups: 3, maximumTokens: 2, seed: 1)
    let questions = try questions("roman", 2)
    let result = try engine.searchMixture(of: names, on: questions, search)
    #expect(result.mixture.adapters.allSatisfy { $0.places.map(\.layers) == [[0...1], [2...3]] })
    let read = try AdapterMixture(parsing: result.mixture.description)
    #expect(try engine.entropy(of: questions.map(\.prompt), activation: .mixture(read), maximumTokens: 2) == result.value)
  }

  /// Adapters of other tasks spoil the mean: the soup of questions for one is that one; two copies are as good as one.
  @Test func aSoupTakesWhatHelps() throws {
    let engine = try engine()
    let questions = try questions("roman", 4)
    let result = try engine.searchMixture(of: ["sort", "roman", "numbers"], on: questions, MixtureSearch(.soup))
    #expect(result.mixture == ["roman"] && result.evaluationCount == 5)
    #expect(try engine.loss(on: questions, activation: .mixture(["roman"])) == result.value)
    let mixed = try questions + self.questions("numbers", 4)
    let both = try engine.searchMixture(of: names, on: mixed, MixtureSearch(.soup))
    #expect(both.value <= both.startValue)
  }

  /// A long, turned valley, whose ground lies at 0.2, -0.4, 0.6 and, beyond the range, 2.
  @Test func theStrategyFindsTheGround() throws {
    var evaluations = 0
    func value(_ x: [Double]) -> Double {
      evaluations += 1
      let d = [x[0] - 0.2, x[1] + 0.4, x[2] - 0.6, x[3] - 2]
      return 100 * (d[0] + d[1]) * (d[0] + d[1]) + (d[0] - d[1]) * (d[0] - d[1]) + 10 * d[2] * d[2] + d[3] * d[3]
    }
    let strategy = EvolutionStrategy(range: -1.5...1.5, step: 0.3, evaluations: 500, seed: 1)
    let found = try strategy.minimize(from: [0, 0, 0, 0], value)
    #expect(evaluations == 500 && found.value == value(found.point))
    for (x, expected) in zip(found.point, [0.2, -0.4, 0.6, 1.5]) { #expect(abs(x - expected) < 0.01, "\(found.point)") }
    // Whoever asks again gets the same; who may ask once gets the start.
    #expect(try strategy.minimize(from: [0, 0, 0, 0], value).point == found.point)
    let start = try EvolutionStrategy(range: -1...1, step: 0.3, evaluations: 1, seed: 1).minimize(from: [0.1, 0, 0, 0], value)
    #expect(start.point == [0.1, 0, 0, 0])
  }

  @Test func refusals() throws {
    let engine = try engine()
    let questions = try questions("roman", 1)
    for (adapters, search) in [
      ([], MixtureSearch(.soup)), (["roman", "roman"], .init(.soup)), (["roman"], .init(.adamerging, layerGroups: 8)),
      (["roman"], .init(.soup, layerGroups: 2)), (["roman"], .init(.lorahub, evaluations: 0)), (["nobody"], .init(.soup)),
    ] as [([String], MixtureSearch)] {
      #expect(throws: EngineError.self) { try engine.searchMixture(of: adapters, on: questions, search) }
    }
  }
}
