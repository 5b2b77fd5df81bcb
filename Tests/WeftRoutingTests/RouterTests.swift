// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftRouting

struct RouterTests {
  /// A router whose probabilities are given, whatever the features: all weights are 0.
  private func router(_ probabilities: [Float], names: [String]? = nil, topP: Float) throws -> Router {
    let count = probabilities.count
    return try Router(
      adapters: names ?? (0..<count).map { "a\($0)" }, featureLayer: 0, topP: topP, base: "", featureMean: [0, 0],
      featureDeviation: [1, 1],
      network: RouterNetwork(
        hiddenWeight: [0, 0], hiddenBias: [0], outputWeight: Array(repeating: 0, count: count),
        outputBias: probabilities.map { max(log($0), -1000) }))
  }

  private func names(_ router: Router) -> [String] { router.mixture(features: [0, 0]).map(\.adapter) }

  @Test func probabilitiesAreThoseOfTorch() throws {
    let router = try Router(file: TestPaths.goldens + "/routing/router.safetensors")
    let expected = try Golden("routing/expected.safetensors")
    let features = try expected.floats("features"), probabilities = try expected.floats("probabilities")
    let rows = features.count / router.featureSize
    #expect(rows == 7)
    let actual = (0..<rows).flatMap { row in
      router.probabilities(features: Array(features[row * router.featureSize..<(row + 1) * router.featureSize]))
    }
    #expect(relativeError(actual, probabilities) < 7.2e-7)  // measured 3.6e-7
  }

  @Test func theMostProbableAreKeptUntilTopPIsReached() throws {
    let mixture = try router([0.1, 0.5, 0.15, 0.25], topP: 0.7).mixture(features: [0, 0])
    #expect(mixture.map(\.adapter) == ["a1", "a3"])
    #expect(relativeError(mixture.map(\.weight), [0.5 / 0.75, 0.25 / 0.75]) < 1e-6)
    #expect(try names(router([0.1, 0.5, 0.15, 0.25], topP: 0.76)) == ["a1", "a3", "a2"])
    #expect(try names(router([0.1, 0.5, 0.15, 0.25], topP: 1e-6)) == ["a1"])
  }

  @Test func topP1KeepsAllThatCanHappen() throws {
    let mixture = try router([0.25, 0.25, 0.5], topP: 1).mixture(features: [0, 0])
    #expect(mixture.map(\.adapter) == ["a2", "a0", "a1"])
    #expect(abs(mixture.reduce(0) { $0 + $1.weight } - 1) < 1e-6)
    #expect(try names(router([1, 0], topP: 1)) == ["a0"], "a probability of 0 is no share")
  }

  @Test func equalsStayInTheirOrder() throws {
    #expect(try names(router([0.25, 0.25, 0.25, 0.25], topP: 0.6)) == ["a0", "a1", "a2"])
  }

  @Test func theShareOfTheBaseMakesTheOthersSmaller() throws {
    let names = ["poem", "none", "code"]
    let some = try router([0.3, 0.6, 0.1], names: names, topP: 0.85).mixture(features: [0, 0])
    #expect(some.map(\.adapter) == ["poem"])
    #expect(abs(some[0].weight - 0.3 / 0.9) < 1e-6)
    #expect(try router([0.05, 0.9, 0.05], names: names, topP: 0.85).mixture(features: [0, 0]).isEmpty)
  }

  @Test func featuresThatAreNotFiniteChooseNothing() throws {
    let router = try Router(file: TestPaths.goldens + "/routing/router.safetensors")
    var features = [Float](repeating: 0, count: router.featureSize)
    #expect(!router.mixture(features: features).isEmpty)
    for value in [Float.nan, .infinity] {
      features[4] = value
      #expect(router.mixture(features: features).isEmpty)
    }
  }

  @Test func partsThatDoNotFitAreRefused() throws {
    let network = RouterNetwork(hiddenWeight: [0, 0], hiddenBias: [0], outputWeight: [0, 0], outputBias: [0, 0])
    func message(
      _ adapters: [String] = ["a", "b"], layer: Int = 0, topP: Float = 0.5, mean: [Float] = [0, 0],
      deviation: [Float] = [1, 1], network: RouterNetwork = network
    ) -> String {
      do throws(RouterError) {
        _ = try Router(
          adapters: adapters, featureLayer: layer, topP: topP, base: "", featureMean: mean, featureDeviation: deviation,
          network: network)
        return "no error"
      } catch { return error.description }
    }
    var spoiled = network
    spoiled.parameters[1] = .nan
    #expect(message() == "no error")
    #expect(message(["a", "b", "c"]).contains("an output for each of 3 adapters, found 2"))
    #expect(message(layer: -1).contains("layer: expected 0 or more, found -1"))
    #expect(message(topP: .nan).contains("top_p: expected a number above 0"))
    #expect(message(mean: [0]).contains("mean and deviation of 2 features, found 1 and 2"))
    #expect(message(deviation: [1, .infinity]).contains("positive, finite deviations, found inf"))
    #expect(message(network: spoiled).contains("finite parameters"))
  }
}
