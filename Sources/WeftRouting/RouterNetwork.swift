// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The mini-MLP of a router: logits = W2 relu(W1 x + b1) + b2.
///
/// All parameters lie in one array, so that an optimiser sees one vector:
/// W1 [hiddenSize, featureSize], b1 [hiddenSize], W2 [classCount, hiddenSize], b2 [classCount], row-major.
package struct RouterNetwork: Sendable, Equatable {
  package let featureSize: Int
  package let hiddenSize: Int
  package let classCount: Int
  /// Exactly `ranges.outputBias.upperBound` floats.
  package var parameters: [Float]

  /// Where each part lies in `parameters`.
  package struct Ranges: Sendable {
    package let hiddenWeight, hiddenBias, outputWeight, outputBias: Range<Int>
  }

  package var ranges: Ranges {
    let hiddenBias = hiddenSize * featureSize
    let outputWeight = hiddenBias + hiddenSize
    let outputBias = outputWeight + classCount * hiddenSize
    return Ranges(
      hiddenWeight: 0..<hiddenBias, hiddenBias: hiddenBias..<outputWeight, outputWeight: outputWeight..<outputBias,
      outputBias: outputBias..<outputBias + classCount)
  }

  /// A network of the given parts, each row-major and of the size that the type's description states.
  package init(
    hiddenWeight: [Float], hiddenBias: [Float], outputWeight: [Float], outputBias: [Float]
  ) {
    hiddenSize = hiddenBias.count
    classCount = outputBias.count
    precondition(hiddenSize > 0 && hiddenWeight.count % hiddenSize == 0 && outputWeight.count == classCount * hiddenSize)
    featureSize = hiddenWeight.count / hiddenSize
    parameters = hiddenWeight + hiddenBias + outputWeight + outputBias
  }

  /// The logits of one example. `hidden` receives relu(W1 x + b1); both it and `features` have the sizes of the network.
  func logits(_ features: UnsafeBufferPointer<Float>, hidden: inout [Float]) -> [Float] {
    let ranges = ranges
    return parameters.withUnsafeBufferPointer { parameters in
      for unit in 0..<hiddenSize {
        let row = UnsafeBufferPointer(rebasing: parameters[unit * featureSize..<(unit + 1) * featureSize])
        hidden[unit] = max(dot(row, features) + parameters[ranges.hiddenBias.lowerBound + unit], 0)
      }
      return hidden.withUnsafeBufferPointer { hidden in
        (0..<classCount).map { label in
          let start = ranges.outputWeight.lowerBound + label * hiddenSize
          let row = UnsafeBufferPointer(rebasing: parameters[start..<start + hiddenSize])
          return dot(row, hidden) + parameters[ranges.outputBias.lowerBound + label]
        }
      }
    }
  }

  /// Adds the gradient of one example's cross-entropy to `gradient`, which is laid out as `parameters`. Returns the loss.
  package func addGradient(
    of features: UnsafeBufferPointer<Float>, label: Int, to gradient: inout [Float]
  ) -> Double {
    var hidden = [Float](repeating: 0, count: hiddenSize)
    let logits = logits(features, hidden: &hidden)
    var outputError = softmax(logits)
    let loss = crossEntropy(logits, label: label)
    outputError[label] -= 1
    let ranges = ranges
    var hiddenError = [Float](repeating: 0, count: hiddenSize)
    for (index, error) in outputError.enumerated() {
      gradient[ranges.outputBias.lowerBound + index] += error
      let start = ranges.outputWeight.lowerBound + index * hiddenSize
      for unit in 0..<hiddenSize {
        gradient[start + unit] += error * hidden[unit]
        hiddenError[unit] += error * parameters[start + unit]
      }
    }
    gradient.withUnsafeMutableBufferPointer { gradient in
      // relu passes nothing back where it gave 0.
      for unit in 0..<hiddenSize where hidden[unit] > 0 {
        let error = hiddenError[unit]
        gradient[ranges.hiddenBias.lowerBound + unit] += error
        let row = UnsafeMutableBufferPointer(rebasing: gradient[unit * featureSize..<(unit + 1) * featureSize])
        for index in 0..<featureSize { row[index] += error * features[index] }
      }
    }
    return loss
  }
}

/// The sum of products, in eight partial sums: the compiler may not reorder float additions, so the order is ours to choose.
private func dot(_ left: UnsafeBufferPointer<Float>, _ right: UnsafeBufferPointer<Float>) -> Float {
  var sums = SIMD8<Float>()
  let whole = left.count / 8 * 8
  for start in stride(from: 0, to: whole, by: 8) {
    let (a, b) = (UnsafeRawPointer(left.baseAddress! + start), UnsafeRawPointer(right.baseAddress! + start))
    sums += a.loadUnaligned(as: SIMD8<Float>.self) * b.loadUnaligned(as: SIMD8<Float>.self)
  }
  var sum = sums.sum()
  for index in whole..<left.count { sum += left[index] * right[index] }
  return sum
}

/// exp(x_i) / sum_j exp(x_j), computed from the largest logit so that nothing overflows.
func softmax(_ logits: [Float]) -> [Float] {
  let largest = logits.max() ?? 0
  let powers = logits.map { expf($0 - largest) }
  let sum = powers.reduce(0, +)
  return powers.map { $0 / sum }
}

/// -log of the probability of `label`.
func crossEntropy(_ logits: [Float], label: Int) -> Double {
  let largest = Double(logits.max() ?? 0)
  let sum = logits.reduce(0) { $0 + exp(Double($1) - largest) }
  return log(sum) + largest - Double(logits[label])
}

/// The index of the largest value, the first of equals.
func largestIndex(_ values: [Float]) -> Int {
  var best = 0
  for index in values.indices where values[index] > values[best] { best = index }
  return best
}
