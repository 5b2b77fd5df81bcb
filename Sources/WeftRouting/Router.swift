// SPDX-License-Identifier: Apache-2.0

/// Chooses adapters for a prompt: a mini-MLP over features of the base model, softmax, and the most probable adapters until
/// their probabilities reach `topP`.
///
/// The features are a hidden state that the base model computes anyway, so no second encoder is needed. They are
/// standardised with the mean and deviation of the training examples before the network sees them.
/// Paper: Zhang and Li, "DLP-LoRA", arXiv 2410.01497.
package struct Router: Sendable, Equatable {
  /// The name that stands for the base model alone. It is a class like any other and never an adapter to load.
  package static let none = "none"

  /// The classes of the network in its order: adapter names, and possibly `none`.
  package let adapters: [String]
  /// The layer whose output the features are taken from: 0 is the embedding, n the output of the n-th decoder layer.
  package let featureLayer: Int
  /// The probability that the chosen adapters have to reach together, above 0 and at most 1.
  package let topP: Float
  /// Identifies the base model whose features the router was trained on. Compared, never interpreted.
  package let base: String
  /// Mean and standard deviation of every feature, [featureSize]; deviations are positive.
  package let featureMean, featureDeviation: [Float]
  /// The network that sees standardised features; one output per name in `adapters`.
  package let network: RouterNetwork

  package var featureSize: Int { network.featureSize }
  package var hiddenSize: Int { network.hiddenSize }

  /// A router of parts that fit each other. Throws when names, numbers or sizes are none that a router can have.
  package init(
    adapters: [String], featureLayer: Int, topP: Float, base: String, featureMean: [Float], featureDeviation: [Float],
    network: RouterNetwork
  ) throws(RouterError) {
    try Router.check(adapters: adapters, location: "router")
    guard featureLayer >= 0 else {
      throw .unusable(location: "router: layer", expected: "0 or more", found: "\(featureLayer)")
    }
    guard topP > 0, topP <= 1 else {
      throw .unusable(location: "router: top_p", expected: "a number above 0 and at most 1", found: "\(topP)")
    }
    guard network.classCount == adapters.count else {
      throw .unusable(
        location: "router", expected: "an output for each of \(adapters.count) adapters", found: "\(network.classCount)")
    }
    guard featureMean.count == network.featureSize, featureDeviation.count == network.featureSize else {
      throw .unusable(
        location: "router", expected: "mean and deviation of \(network.featureSize) features",
        found: "\(featureMean.count) and \(featureDeviation.count)")
    }
    guard network.parameters.allSatisfy(\.isFinite), featureMean.allSatisfy(\.isFinite) else {
      throw .unusable(location: "router", expected: "finite parameters", found: "infinity or NaN")
    }
    if let deviation = featureDeviation.first(where: { !($0 > 0 && $0.isFinite) }) {
      throw .unusable(location: "router", expected: "positive, finite deviations", found: "\(deviation)")
    }
    self.adapters = adapters
    self.featureLayer = featureLayer
    self.topP = topP
    self.base = base
    self.featureMean = featureMean
    self.featureDeviation = featureDeviation
    self.network = network
  }

  /// The probability of every name in `adapters`, in their order. `features` has `featureSize` elements.
  package func probabilities(features: [Float]) -> [Float] {
    precondition(features.count == featureSize)
    let standardised = features.indices.map { (features[$0] - featureMean[$0]) / featureDeviation[$0] }
    var hidden = [Float](repeating: 0, count: hiddenSize)
    return softmax(standardised.withUnsafeBufferPointer { network.logits($0, hidden: &hidden) })
  }

  /// The chosen adapters with their weights, the most probable first; equals stay in the order of `adapters`.
  ///
  /// Kept are the most probable names until their probabilities sum to `topP`; the weights of all kept names sum to 1.
  /// `none` is dropped after that: the share of the base model makes the other weights smaller, and an empty mixture means
  /// the base model alone. Features that are not finite choose nothing.
  package func mixture(features: [Float]) -> [(adapter: String, weight: Float)] {
    let probabilities = probabilities(features: features)
    guard probabilities.allSatisfy(\.isFinite) else { return [] }
    let order = probabilities.indices.sorted {
      probabilities[$0] == probabilities[$1] ? $0 < $1 : probabilities[$0] > probabilities[$1]
    }
    var kept: [Int] = []
    var sum: Float = 0
    for index in order where sum < topP && probabilities[index] > 0 {
      kept.append(index)
      sum += probabilities[index]
    }
    return kept.filter { adapters[$0] != Router.none }.map { (adapters[$0], probabilities[$0] / sum) }
  }

  /// Names have to be at least two, not empty, and unique.
  static func check(adapters: [String], location: String) throws(RouterError) {
    guard adapters.count >= 2 else {
      throw .unusable(location: location, expected: "at least 2 adapters to choose from", found: "\(adapters.count)")
    }
    var seen: Set<String> = []
    for name in adapters where name.isEmpty || !seen.insert(name).inserted {
      throw .unusable(location: location, expected: "adapter names, each once", found: "'\(name)'")
    }
  }
}
