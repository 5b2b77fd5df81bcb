// SPDX-License-Identifier: Apache-2.0

internal import WeftRouting
internal import WeftTransformer

/// How a router is trained.
public struct RouterTrainingOptions: Sendable {
  /// The decoder layer whose output the router reads, 1 to the number of layers; nil takes the middle one.
  public var layer: Int?
  /// Units of the hidden layer.
  public var hiddenSize: Int
  /// Epochs at most; training stops early when held-out examples no longer improve.
  public var epochs: Int
  /// Adam's step size.
  public var learningRate: Float
  /// The share of every class that is held out.
  public var validationShare: Double
  /// The router keeps the most probable adapters until their probabilities reach this.
  public var topP: Float
  /// Same seed, same data, same base: the same file.
  public var seed: UInt64

  /// The defaults suit some hundred prompts per choice.
  public init(
    layer: Int? = nil, hiddenSize: Int = 64, epochs: Int = 200, learningRate: Float = 1e-3, validationShare: Double = 0.2,
    topP: Float = 0.9, seed: UInt64 = 0
  ) {
    self.layer = layer
    self.hiddenSize = hiddenSize
    self.epochs = epochs
    self.learningRate = learningRate
    self.validationShare = validationShare
    self.topP = topP
    self.seed = seed
  }
}

/// How often each choice was taken for which.
public struct RouterConfusion: Sendable {
  /// The choices, in the order of `counts`.
  public let names: [String]
  /// `counts[actual][chosen]`
  public let counts: [[Int]]

  init(_ table: ConfusionTable) {
    names = table.names
    counts = table.counts
  }

  /// Examples counted.
  public var total: Int { counts.reduce(0) { $0 + $1.reduce(0, +) } }
  /// The share of examples whose most probable choice was the right one; 0 without examples.
  public var accuracy: Double {
    total == 0 ? 0 : Double(counts.indices.reduce(0) { $0 + counts[$1][$1] }) / Double(total)
  }
}

/// How far a training is.
public enum RouterTrainingProgress: Sendable {
  /// Features of so many prompts are computed.
  case features(done: Int, total: Int)
  /// An epoch is over; accuracy is that of the held-out examples.
  case epoch(number: Int, trainingLoss: Double, validationLoss: Double, validationAccuracy: Double)
}

/// What a training made.
public struct RouterTrainingReport: Sendable {
  /// The router on the examples that were held out.
  public let confusion: RouterConfusion
  /// Examples that were learned from.
  public let trainingCount: Int
  /// Examples that were held out.
  public let validationCount: Int
  /// Epochs that ran, and the one whose weights were kept.
  public let epochCount: Int
  /// The epoch whose weights were kept.
  public let bestEpoch: Int
}

extension Engine {
  /// Trains a router on JSON lines `{"prompt": ..., "adapter": ...}` and writes it. `none` stands for the base alone.
  public func trainRouter(
    data: String, output: String, options: RouterTrainingOptions = .init(),
    onProgress: (RouterTrainingProgress) -> Void = { _ in }
  ) throws(EngineError) -> RouterTrainingReport {
    let layer = options.layer ?? max(1, weights.config.layerCount / 2)
    let examples: RoutingExamples
    do { examples = try RoutingExamples.read(data) } catch { throw EngineError(error) }
    let labelled = try labelled(examples, names: examples.names, layer: layer, onProgress)
    var training = RouterTraining.Options()
    training.hiddenSize = options.hiddenSize
    training.epochs = options.epochs
    training.learningRate = options.learningRate
    training.validationShare = options.validationShare
    training.topP = options.topP
    training.seed = options.seed
    do {
      let (router, report) = try RouterTraining.train(
        examples: labelled, names: examples.names, featureLayer: layer, base: weights.fingerprint, options: training
      ) { epoch in
        onProgress(
          .epoch(
            number: epoch.number, trainingLoss: epoch.trainingLoss, validationLoss: epoch.validationLoss,
            validationAccuracy: epoch.validationAccuracy))
      }
      try router.write(to: output)
      return RouterTrainingReport(
        confusion: RouterConfusion(report.confusion), trainingCount: report.trainingCount,
        validationCount: report.validationCount, epochCount: report.epochs.count, bestEpoch: report.best.number)
    } catch { throw EngineError(error) }
  }

  /// The loaded router's most probable choice for every line of such a file, against its label.
  public func evaluateRouter(
    data: String, onProgress: (RouterTrainingProgress) -> Void = { _ in }
  ) throws(EngineError) -> RouterConfusion {
    let router = try requireRouter()
    let examples: RoutingExamples
    do { examples = try RoutingExamples.read(data) } catch { throw EngineError(error) }
    let labelled = try labelled(examples, names: router.adapters, layer: router.featureLayer, onProgress)
    return RouterConfusion(router.confusion(on: labelled))
  }

  private func labelled(
    _ examples: RoutingExamples, names: [String], layer: Int, _ onProgress: (RouterTrainingProgress) -> Void
  ) throws(EngineError) -> [(features: [Float], label: Int)] {
    var result: [(features: [Float], label: Int)] = []
    for example in examples.examples {
      guard let label = names.firstIndex(of: example.adapter) else {
        throw EngineError(
          .invalidArgument,
          "adapter \(example.adapter): expected one of \(names.joined(separator: ", ")), as the router chooses from")
      }
      result.append((try features(of: example.prompt, layer: layer), label))
      onProgress(.features(done: result.count, total: examples.examples.count))
    }
    return result
  }
}
