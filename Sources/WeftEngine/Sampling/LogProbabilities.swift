// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// A token and how likely the model found it.
public struct TokenLogProbability: Sendable, Hashable {
  /// The token; `Engine.bytes(of:)` has its text.
  public var id: Int32
  /// The natural logarithm of its probability in the model's own distribution: before bias, penalties, grammar, cuts and
  /// temperature.
  public var logProbability: Float
}

/// How likely the model found the token that was chosen, and what it would have liked best.
public struct TokenLogProbabilities: Sendable, Hashable {
  /// The token that was chosen.
  public var chosen: TokenLogProbability
  /// The likeliest tokens, in order, as many as were asked for. The chosen one need not be among them.
  public var top: [TokenLogProbability]
}

extension Sampler {
  /// Keeps a copy of the logits as the model made them, before `sample` changes them.
  package func remember(_ logits: UnsafeMutableBufferPointer<Float>) {
    guard let base = logits.baseAddress else { return }
    untouched.update(from: base, count: vocabularySize)
  }

  /// The log-probabilities of a token, and of the `top` likeliest ones, under the logits that were remembered.
  package func logProbabilities(of id: Int32, top: Int) -> TokenLogProbabilities {
    let logits = UnsafeMutableBufferPointer(start: untouched, count: vocabularySize)
    candidates.load(logits, mask: nil, top: 0)
    guard candidates.keptCount > 0 else {
      return TokenLogProbabilities(chosen: TokenLogProbability(id: id, logProbability: -.infinity), top: [])
    }
    let logTotal = log(candidates.weigh()) + Double(candidates.kept[candidates.bestIndex].key)
    func logProbability(_ id: Int32) -> TokenLogProbability {
      TokenLogProbability(id: id, logProbability: Float(Double(logits[Int(id)]) - logTotal))
    }
    candidates.keepOrdered(top)
    let likeliest = (0..<candidates.keptCount).map { logProbability(candidates.kept[$0].id) }
    return TokenLogProbabilities(chosen: logProbability(id), top: likeliest)
  }
}
