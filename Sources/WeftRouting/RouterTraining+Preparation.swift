// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// A split into training and held-out examples in which every class has its share of both.
struct StratifiedSplit {
  /// Indices of the examples, ascending.
  let training, validation: [Int]

  /// Every class has at least two examples; at least one goes to each side.
  init(labels: [Int], classCount: Int, validationShare: Double, random: inout RandomSource) {
    var training: [Int] = []
    var validation: [Int] = []
    for label in 0..<classCount {
      let members = random.shuffled(labels.indices.filter { labels[$0] == label })
      let share = Int((Double(members.count) * validationShare).rounded())
      let held = min(max(share, 1), members.count - 1)
      validation += members[..<held]
      training += members[held...]
    }
    self.training = training.sorted()
    self.validation = validation.sorted()
  }
}

/// Shifts and scales every feature to mean 0 and deviation 1 over the training examples.
struct Standardisation {
  let mean, deviation: [Float]

  /// Measures `rows` of `featureSize` each, in double precision. A feature that never changes keeps its scale.
  init(_ rows: [[Float]], featureSize: Int) {
    var sums = [Double](repeating: 0, count: featureSize)
    for row in rows {
      for index in 0..<featureSize { sums[index] += Double(row[index]) }
    }
    let means = sums.map { $0 / Double(rows.count) }
    var squares = [Double](repeating: 0, count: featureSize)
    for row in rows {
      for index in 0..<featureSize {
        let difference = Double(row[index]) - means[index]
        squares[index] += difference * difference
      }
    }
    mean = means.map { Float($0) }
    deviation = squares.map { square in
      let deviation = Float((square / Double(rows.count)).squareRoot())
      return deviation > 0 && deviation.isFinite ? deviation : 1
    }
  }

  func apply(_ features: [Float]) -> [Float] {
    features.indices.map { (features[$0] - mean[$0]) / deviation[$0] }
  }
}

extension RouterNetwork {
  /// A network to start from: weights uniform in +-sqrt(6 / inputs) before relu (He et al. 2015) and +-sqrt(6 / (inputs +
  /// outputs)) before softmax (Glorot and Bengio 2010), biases 0.
  init(featureSize: Int, hiddenSize: Int, classCount: Int, random: inout RandomSource) {
    func uniform(_ count: Int, _ variance: Float) -> [Float] {
      let bound = variance.squareRoot()
      return (0..<count).map { _ in (2 * random.unitFloat() - 1) * bound }
    }
    self.init(
      hiddenWeight: uniform(hiddenSize * featureSize, 6 / Float(featureSize)),
      hiddenBias: Array(repeating: 0, count: hiddenSize),
      outputWeight: uniform(classCount * hiddenSize, 6 / Float(hiddenSize + classCount)),
      outputBias: Array(repeating: 0, count: classCount))
  }
}
