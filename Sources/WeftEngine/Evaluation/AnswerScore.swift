// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// What a model thought of an answer while it was written: filled token by token, from the logits as the model gives them.
final class AnswerScore {
  /// The answer that is written whatever the model thinks (teacher forcing); empty where it writes its own.
  let forced: [Int32]
  /// Tokens that were looked at.
  private(set) var tokenCount = 0
  /// Of the forced tokens, in nats.
  private(set) var negativeLogLikelihood = 0.0
  /// Of the distributions over the next token, in nats.
  private(set) var entropy = 0.0
  /// Whether each token so far was the likeliest one.
  private(set) var isGreedy = true
  private let endTokens: Set<Int32>

  /// - Parameter endTokens: as good as each other at the end of a forced answer.
  init(forced: [Int32] = [], endTokens: Set<Int32> = []) {
    self.forced = forced
    self.endTokens = endTokens
  }

  /// Looks at a distribution: the token that must follow, nil when the model may choose.
  func next(_ logits: UnsafeMutableBufferPointer<Float>) -> Int32? {
    var best = 0
    for index in logits.indices where logits[index] > logits[best] { best = index }
    var (sum, weighted) = (0.0, 0.0)
    for logit in logits {
      let shifted = Double(logit - logits[best])
      let probability = exp(shifted)
      sum += probability
      if probability > 0 { weighted += probability * shifted }
    }
    entropy += log(sum) - weighted / sum
    defer { tokenCount += 1 }
    guard tokenCount < forced.count else { return nil }
    let token = forced[tokenCount]
    negativeLogLikelihood += log(sum) - Double(logits[Int(token)] - logits[best])
    if Int32(best) != token && !(endTokens.contains(token) && endTokens.contains(Int32(best))) { isGreedy = false }
    return token
  }
}
