// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import WeftDeltas
package import WeftTensors

/// A decoder in plain float arithmetic that can be differentiated: log p(answer | prompt) by the weights of its linear maps.
///
/// It reads the weights of the file, dequantised, layer by layer when they are needed, and keeps the activations of one sequence:
/// a tool for statistics, not for the token loop. What a linear map contributes is given as its input and the gradient of its
/// output, from which follow the gradients of its weight (dy^T x) and of an adapter's factors.
package struct GradientModel: Sendable {
  /// A change of a linear map of low rank: y += scale B (A x).
  package struct Factors: Sendable {
    /// [rank * in]
    package let a: [Float]
    /// [out * rank]
    package let b: [Float]
    package let rank: Int
    package let scale: Float
  }

  let config: ModelConfig
  let values: BaseModel.Values
  /// What an adapter changes.
  package let factors: [WeightSite: Factors]
  let rotaries: [RotaryEmbedding]
  private let isTied: Bool
  private let sizes: [WeightSite: BaseShape.Size]

  /// - Parameters:
  ///   - deltas: an adapter that acts; only of low rank. nil for the base alone.
  ///   - contextLength: the longest sequence.
  /// Throws, with the name of what it does not compute, for models with experts or soft caps, and for other operators.
  package init(
    _ weights: ModelWeights, deltas: DeltaSet? = nil, contextLength: Int
  ) throws(ModelError) {
    config = weights.config
    func refuse(_ field: String, _ found: String) -> ModelError {
      .unsupported(location: "gradients of \(weights.config.architecture)", field: field, expected: "none", found: found)
    }
    if let experts = config.experts { throw refuse("experts", "\(experts.count)") }
    if config.attentionSoftcap != 0 { throw refuse("soft cap of attention", "\(config.attentionSoftcap)") }
    if config.logitSoftcap != 0 { throw refuse("soft cap of logits", "\(config.logitSoftcap)") }
    guard let values = weights.base.values else { throw refuse("weights", "a base without values") }
    var factors: [WeightSite: Factors] = [:]
    if let deltas {
      if let part = GradientModel.otherPart(of: deltas) { throw refuse("parts of the adapter other than low rank", part) }
      for (site, operators) in deltas.operators {
        guard case .lowRank(let low) = operators[0] else { continue }
        factors[site] = Factors(a: low.a.floats(), b: low.b.floats(), rank: low.rank, scale: low.scale)
      }
    }
    self.factors = factors
    self.values = values
    rotaries = config.rotaries.map { RotaryEmbedding($0, contextLength: contextLength) }
    isTied = !weights.hasOutputHead
    sizes = Dictionary(
      weights.shape.sites.compactMap { site in weights.shape.shape(of: site).map { (site, $0) } },
      uniquingKeysWith: { first, _ in first })
  }

  /// The first part of an adapter that is no change of one low rank of a linear map, in words.
  private static func otherPart(of deltas: DeltaSet) -> String? {
    for (site, operators) in deltas.operators.sorted(by: { $0.key < $1.key }) {
      for (index, delta) in operators.enumerated() {
        guard case .lowRank = delta, index == 0 else { return "\(delta.name) at \(site)" }
      }
    }
    var others = deltas
    others.operators = [:]
    if others.isEmpty && others.invocation == nil && others.classifier == nil { return nil }
    return others.operatorNames.first ?? "an invocation"
  }

  /// Runs a sequence forward and backward.
  /// - Parameters:
  ///   - tokens: prompt and answer, each inside the vocabulary.
  ///   - first: the first token of the answer, 1 or more.
  ///   - onLinear: gets every linear map once, from the last to the first, with its input x and the gradient dy of its output,
  ///     a row for each token.
  /// - Returns: log p(answer | prompt), of which the gradients are.
  @discardableResult
  package func backward(
    _ tokens: [Int32], from first: Int,
    onLinear: (WeightSite, _ x: FloatRows, _ dy: FloatRows) throws(LinearAlgebraError) -> Void
  ) throws(LinearAlgebraError) -> Double {
    precondition(first >= 1 && first < tokens.count)
    // The last token is only foreseen.
    let inputs = Array(tokens.dropLast())
    var hidden = embed(inputs)
    var layers: [LayerActivations] = []
    for layer in 0..<config.layerCount { layers.append(try forward(layer, &hidden)) }

    let (norm, width) = (norm(.output), config.hiddenSize)
    let scored = FloatRows(Array(hidden.values[(first - 1) * width..<inputs.count * width]), width: width)
    let normed = norm.map { $0.forward(scored) } ?? scored
    let (likelihood, dlogits) = try score(normed, Array(tokens[first...]))
    if !isTied { try onLinear(.outputHead, normed, dlogits) }
    let dnormed = try head { (head) throws(LinearAlgebraError) in try dlogits.times(head, columns: width) }
    var dhidden = FloatRows(zeros: inputs.count, width: width)
    let dscored = norm.map { $0.backward(dnormed, scored) } ?? dnormed
    dhidden.values.replaceSubrange((first - 1) * width..<inputs.count * width, with: dscored.values)
    while let activations = layers.popLast() { try backward(layers.count, activations, &dhidden, onLinear) }
    return likelihood
  }

  /// The gradients of an adapter's factors A [rank * in] and B [out * rank] from what `backward` tells of a map; nil where the
  /// adapter changes nothing.
  package func factorGradients(
    _ site: WeightSite, _ x: FloatRows, _ dy: FloatRows
  ) throws(LinearAlgebraError) -> (a: [Float], b: [Float])? {
    guard let factors = factors[site] else { return nil }
    let du = try dy.times(factors.b, columns: factors.rank).scaled(by: factors.scale)
    let u = try x.timesTransposed(factors.a, rows: factors.rank).scaled(by: factors.scale)
    return (try du.transposedTimes(x), try dy.transposedTimes(u))
  }

  private func embed(_ tokens: [Int32]) -> FloatRows {
    let positions = values.positions()
    var rows: [Float] = []
    rows.reserveCapacity(tokens.count * config.hiddenSize)
    for (position, token) in tokens.enumerated() {
      let row = values.embedding(Int(token)..<Int(token) + 1)
      for column in 0..<config.hiddenSize {
        rows.append(
          row[column] * config.embeddingScale + (positions.isEmpty ? 0 : positions[position * config.hiddenSize + column]))
      }
    }
    return FloatRows(rows, width: config.hiddenSize)
  }

  /// The sum of log p of the targets, and its gradient by the product of the head: onehot - softmax, times the scale.
  private func score(_ x: FloatRows, _ targets: [Int32]) throws(LinearAlgebraError) -> (Double, FloatRows) {
    var logits = try head { (head) throws(LinearAlgebraError) in try x.timesTransposed(head, rows: config.vocabularySize) }
    if let bias = values.bias(.outputHead) { addBias(bias, &logits) }
    var sum = 0.0
    for (row, target) in targets.enumerated() {
      let range = row * logits.width..<(row + 1) * logits.width
      let largest = logits.values[range].max() ?? 0
      var total = 0.0
      for index in range {
        let value = exp(Double((logits.values[index] - largest) * config.logitScale))
        if index - range.lowerBound == Int(target) { sum += Double((logits.values[index] - largest) * config.logitScale) }
        logits.values[index] = Float(value)
        total += value
      }
      sum -= log(total)
      for index in range { logits.values[index] *= -config.logitScale / Float(total) }
      logits.values[range.lowerBound + Int(target)] += config.logitScale
    }
    return (sum, logits)
  }

  private func head(_ body: ([Float]) throws(LinearAlgebraError) -> FloatRows) throws(LinearAlgebraError) -> FloatRows {
    try body(isTied ? values.embedding(0..<config.vocabularySize) : values.weight(.outputHead))
  }

  // MARK: - Parts

  /// nil where the model has no such norm.
  func norm(_ site: NormSite) -> GradientNorm? {
    values.norm(site).map {
      GradientNorm(kind: config.norm, epsilon: config.normEpsilon, weight: $0.weight ?? [], bias: $0.bias)
    }
  }

  private func addBias(_ bias: [Float], _ y: inout FloatRows) {
    for row in 0..<y.count { for column in 0..<y.width { y.values[row * y.width + column] += bias[column] } }
  }

  /// y = W x + b + scale B (A x)
  func linear(_ site: WeightSite, _ x: FloatRows) throws(LinearAlgebraError) -> FloatRows {
    guard let size = sizes[site] else { preconditionFailure("\(site) is no site of this model") }
    var y = try x.timesTransposed(values.weight(site), rows: size.out)
    if let bias = values.bias(site) { addBias(bias, &y) }
    if let factors = factors[site] {
      let u = try x.timesTransposed(factors.a, rows: factors.rank)
      y.add(try u.timesTransposed(factors.b, rows: size.out), times: factors.scale)
    }
    return y
  }

  /// dx of a linear map from dy; tells the map.
  func backward(
    _ site: WeightSite, _ x: FloatRows, _ dy: FloatRows,
    _ onLinear: (WeightSite, FloatRows, FloatRows) throws(LinearAlgebraError) -> Void
  ) throws(LinearAlgebraError) -> FloatRows {
    try onLinear(site, x, dy)
    var dx = try dy.times(values.weight(site), columns: x.width)
    if let factors = factors[site] {
      let du = try dy.times(factors.b, columns: factors.rank)
      dx.add(try du.times(factors.a, columns: x.width), times: factors.scale)
    }
    return dx
  }
}
