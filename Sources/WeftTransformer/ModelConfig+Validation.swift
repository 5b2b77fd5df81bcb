// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension ModelConfig {
  /// Refuses sizes that contradict each other or that would overflow later arithmetic.
  func validated(_ fields: ConfigFields) throws(ModelError) -> ModelConfig {
    let sizes: [(ConfigKey, Int, Int)] = [
      (.hiddenSize, hiddenSize, 1 << 20), (.layerCount, layerCount, 1 << 12), (.vocabularySize, vocabularySize, 1 << 24),
      (.headDimension, headDimension, Kernels.maximumHeadDimension), (.contextLength, contextLength, 1 << 26),
    ]
    for (key, value, limit) in sizes where value < 1 || value > limit {
      throw fields.invalid(key, "1 to \(limit)", "\(value)")
    }
    for layer in layers {
      for (key, value, limit) in [
        (ConfigKey.headCount, layer.headCount, 1 << 12), (.keyValueHeadCount, layer.keyValueHeadCount, 1 << 12),
      ] where value < 1 || value > limit {
        throw fields.invalid(key, "1 to \(limit)", "\(value)")
      }
      guard layer.headCount % layer.keyValueHeadCount == 0 else {
        throw fields.invalid(.keyValueHeadCount, "a divisor of \(layer.headCount) heads", "\(layer.keyValueHeadCount)")
      }
      let isDense = !layer.isSparse
      guard layer.intermediateSize >= (isDense ? 1 : 0), layer.intermediateSize <= 1 << 22 else {
        throw fields.invalid(.intermediateSize, "1 to \(1 << 22)", "\(layer.intermediateSize)")
      }
      guard layer.window >= 0 else { throw fields.invalid(.slidingWindow, "0 or more", "\(layer.window)") }
    }
    guard headDimension % 2 == 0 else {
      throw fields.unsupported(.headDimension, expected: "an even number", found: "\(headDimension)")
    }
    for rotary in rotaries {
      guard rotary.theta.isFinite, rotary.theta > 0 else {
        throw fields.invalid(.ropeTheta, "a positive number", "\(rotary.theta)")
      }
      guard rotary.dimension >= 2, rotary.dimension <= headDimension, rotary.dimension % 2 == 0 else {
        throw fields.unsupported(
          .rotaryDimension, expected: "an even number up to the head dimension \(headDimension)", found: "\(rotary.dimension)")
      }
    }
    guard normEpsilon.isFinite, normEpsilon >= 0 else {
      throw fields.invalid(.normEpsilon, "a number from 0 upwards", "\(normEpsilon)")
    }
    for (key, value) in [
      (ConfigKey.attentionScale, attentionScale), (.embeddingScale, embeddingScale), (.residualScale, residualScale),
      (.logitScale, logitScale), (.attentionSoftcap, attentionSoftcap), (.logitSoftcap, logitSoftcap),
    ] where !value.isFinite {
      throw fields.invalid(key, "a finite number", "\(value)")
    }
    guard attentionSoftcap >= 0, logitSoftcap >= 0 else {
      throw fields.invalid(attentionSoftcap < 0 ? .attentionSoftcap : .logitSoftcap, "0 or more", "a negative number")
    }
    if let experts {
      guard experts.count >= 1, experts.count <= 1 << 12 else {
        throw fields.invalid(.expertCount, "1 to \(1 << 12)", "\(experts.count)")
      }
      guard experts.usedCount >= 1, experts.usedCount <= experts.count else {
        throw fields.invalid(.usedExpertCount, "1 to \(experts.count)", "\(experts.usedCount)")
      }
      guard experts.intermediateSize >= 1, experts.intermediateSize <= 1 << 22 else {
        throw fields.invalid(.expertIntermediateSize, "1 to \(1 << 22)", "\(experts.intermediateSize)")
      }
    }
    return self
  }
}
