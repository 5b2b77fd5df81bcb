// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftTensors

/// Training of a `Router` from labelled features: cross-entropy, Adam, and early stopping on held-out examples.
///
/// The same examples, options and machine give the same router, to the last bit.
package enum RouterTraining {
  /// What a training can be told.
  package struct Options: Sendable {
    /// Units of the hidden layer, at most 65536.
    package var hiddenSize = 64
    /// Epochs at most; training stops earlier when `patience` epochs brought nothing.
    package var epochs = 200
    package var batch = 32
    package var learningRate: Float = 1e-3
    package var weightDecay: Float = 0.1
    package var seed: UInt64 = 0
    /// The share of every class's examples that is held out; at least one example of each.
    package var validationShare = 0.2
    /// Epochs without a lower validation loss after which training stops.
    package var patience = 20
    /// The `topP` of the router.
    package var topP: Float = 0.9

    package init() {}
  }

  /// One pass over the training examples, and what was measured after it.
  package struct Epoch: Sendable, Equatable {
    /// From 1.
    package let number: Int
    /// Mean cross-entropy: of the training examples while they were learned, and of the held-out ones afterwards.
    package let trainingLoss, validationLoss: Double
    /// The share of held-out examples whose class is the most probable.
    package let validationAccuracy: Double
  }

  /// How a training went.
  package struct Report: Sendable, Equatable {
    package let epochs: [Epoch]
    /// The epoch whose weights the router has: the one with the lowest validation loss.
    package let best: Epoch
    package let trainingCount, validationCount: Int
    /// The router on the held-out examples.
    package let confusion: ConfusionTable
  }

  /// Trains a router on `examples`, whose labels are indices into `names`; `progress` is called after every epoch.
  ///
  /// `featureLayer` and `base` say where the features came from. Throws when there are fewer than two classes, a class has
  /// fewer than two examples, features are not finite or differ in number, an option is out of range, or the loss diverges.
  package static func train(
    examples: [(features: [Float], label: Int)], names: [String], featureLayer: Int, base: String,
    options: Options = Options(), progress: (Epoch) -> Void = { _ in }
  ) throws(RouterError) -> (router: Router, report: Report) {
    try check(options)
    try Router.check(adapters: names, location: "router training")
    let featureSize = try check(examples, names: names)
    var random = RandomSource(seed: options.seed)
    let split = StratifiedSplit(
      labels: examples.map(\.label), classCount: names.count, validationShare: options.validationShare, random: &random)
    let standard = Standardisation(split.training.map { examples[$0].features }, featureSize: featureSize)
    let training = split.training.map { (standard.apply(examples[$0].features), examples[$0].label) }
    let validation = split.validation.map { (standard.apply(examples[$0].features), examples[$0].label) }

    var network = RouterNetwork(
      featureSize: featureSize, hiddenSize: options.hiddenSize, classCount: names.count, random: &random)
    let ranges = network.ranges
    var adam = Adam(
      count: network.parameters.count, learningRate: options.learningRate, weightDecay: options.weightDecay,
      decays: [ranges.hiddenWeight, ranges.outputWeight])
    var epochs: [Epoch] = []
    var best: (epoch: Epoch, network: RouterNetwork)?
    for number in 1...options.epochs {
      let order = random.shuffled(Array(training.indices))
      let trainingLoss = pass(over: order.map { training[$0] }, batch: options.batch, &network, &adam)
      let (loss, accuracy) = evaluate(network, on: validation)
      let epoch = Epoch(number: number, trainingLoss: trainingLoss, validationLoss: loss, validationAccuracy: accuracy)
      guard loss.isFinite, trainingLoss.isFinite else {
        throw .unusable(
          location: "router training: epoch \(number)", expected: "a finite loss (a lower learning rate may help)",
          found: "\(trainingLoss) in training, \(loss) in validation")
      }
      epochs.append(epoch)
      progress(epoch)
      if loss < best?.epoch.validationLoss ?? .infinity { best = (epoch, network) }
      if let best, number - best.epoch.number >= options.patience { break }
    }
    guard let best else { preconditionFailure("the first epoch is the best so far") }
    let router = try Router(
      adapters: names, featureLayer: featureLayer, topP: options.topP, base: base, featureMean: standard.mean,
      featureDeviation: standard.deviation, network: best.network)
    let report = Report(
      epochs: epochs, best: best.epoch, trainingCount: training.count, validationCount: validation.count,
      confusion: router.confusion(on: split.validation.map { examples[$0] }))
    return (router, report)
  }

  /// One epoch: a step of Adam on the mean gradient of every batch. Returns the mean loss.
  private static func pass(
    over examples: [(features: [Float], label: Int)], batch: Int, _ network: inout RouterNetwork, _ adam: inout Adam
  ) -> Double {
    var gradient = [Float](repeating: 0, count: network.parameters.count)
    var total = 0.0
    var start = 0
    while start < examples.count {
      let end = start + min(batch, examples.count - start)
      for index in gradient.indices { gradient[index] = 0 }
      for example in examples[start..<end] {
        total += example.features.withUnsafeBufferPointer {
          network.addGradient(of: $0, label: example.label, to: &gradient)
        }
      }
      let share = 1 / Float(end - start)
      for index in gradient.indices { gradient[index] *= share }
      adam.update(&network.parameters, gradient: gradient)
      start = end
    }
    return total / Double(examples.count)
  }

  /// Mean loss and share of right answers.
  private static func evaluate(
    _ network: RouterNetwork, on examples: [(features: [Float], label: Int)]
  ) -> (loss: Double, accuracy: Double) {
    var hidden = [Float](repeating: 0, count: network.hiddenSize)
    var loss = 0.0
    var right = 0
    for (features, label) in examples {
      let logits = features.withUnsafeBufferPointer { network.logits($0, hidden: &hidden) }
      loss += crossEntropy(logits, label: label)
      if largestIndex(logits) == label { right += 1 }
    }
    return (loss / Double(examples.count), Double(right) / Double(examples.count))
  }

  private static func check(_ options: Options) throws(RouterError) {
    func require(_ holds: Bool, _ option: String, _ expected: String, _ found: String) throws(RouterError) {
      if !holds { throw .unusable(location: "router training: \(option)", expected: expected, found: found) }
    }
    try require((1...65536).contains(options.hiddenSize), "hidden size", "1 to 65536", "\(options.hiddenSize)")
    try require(options.epochs >= 1, "epochs", "at least 1", "\(options.epochs)")
    try require(options.batch >= 1, "batch", "at least 1", "\(options.batch)")
    let rate = options.learningRate, decay = options.weightDecay
    try require(rate > 0 && rate.isFinite, "learning rate", "a number above 0", "\(rate)")
    try require(decay >= 0 && decay.isFinite, "weight decay", "0 or a number above", "\(decay)")
    let share = options.validationShare
    try require(share > 0 && share < 1, "validation share", "a number between 0 and 1", "\(share)")
    try require(options.patience >= 1, "patience", "at least 1", "\(options.patience)")
    try require(options.topP > 0 && options.topP <= 1, "top_p", "a number above 0 and at most 1", "\(options.topP)")
  }

  /// Returns the number of features that all examples have.
  private static func check(
    _ examples: [(features: [Float], label: Int)], names: [String]
  ) throws(RouterError) -> Int {
    let featureSize = examples.first?.features.count ?? 0
    var counts = [Int](repeating: 0, count: names.count)
    for (index, example) in examples.enumerated() {
      let location = "router training: example \(index)"
      guard names.indices.contains(example.label) else {
        throw .unusable(location: location, expected: "a label from 0 to \(names.count - 1)", found: "\(example.label)")
      }
      guard example.features.count == featureSize, featureSize > 0 else {
        throw .unusable(location: location, expected: "\(max(featureSize, 1)) features", found: "\(example.features.count)")
      }
      if let place = example.features.firstIndex(where: { !$0.isFinite }) {
        throw .unusable(
          location: location, expected: "finite features", found: "\(example.features[place]) at \(place)")
      }
      counts[example.label] += 1
    }
    for (name, count) in zip(names, counts) where count < 2 {
      throw .unusable(
        location: "router training: '\(name)'", expected: "at least 2 examples: one to learn, one held out", found: "\(count)")
    }
    return featureSize
  }
}
