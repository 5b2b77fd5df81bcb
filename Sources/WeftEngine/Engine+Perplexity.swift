// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftTransformer

/// How well a model foresees a text: statistics over the tokens that were scored.
public struct Perplexity: Sendable {
  /// Tokens that were scored.
  public private(set) var tokenCount = 0
  private var sum = 0.0
  private var squares = 0.0

  /// The mean natural logarithm of the probability of a token.
  public var meanLogLikelihood: Double { sum / Double(tokenCount) }

  /// exp(-meanLogLikelihood): between how many tokens, equally likely, the model would have to choose as uncertainly.
  public var value: Double { exp(-meanLogLikelihood) }

  /// The standard error of the mean log-likelihood, tokens taken as independent; infinite for fewer than two.
  public var standardError: Double {
    guard tokenCount > 1 else { return .infinity }
    let mean = meanLogLikelihood
    return max(0, squares / Double(tokenCount) - mean * mean).squareRoot() / Double(tokenCount - 1).squareRoot()
  }

  mutating func add(_ logLikelihood: Double) {
    tokenCount += 1
    sum += logLikelihood
    squares += logLikelihood * logLikelihood
  }
}

extension Engine {
  /// The perplexity of a text in windows of `window` tokens that do not overlap: the first token of each is replaced by the
  /// begin token where the model wants one, the first half is context, and every token of the second half is scored. A rest that
  /// fills no window is left out. These are the windows of llama.cpp's `llama-perplexity`.
  /// - Parameter onWindow: gets the statistics so far, the windows that are done, and how many there are.
  public func perplexity(
    of text: String, window: Int = 512, maximumWindows: Int? = nil, adapters: AdapterMixture = [],
    onWindow: (Perplexity, Int, Int) -> Void = { _, _, _ in }
  ) throws(EngineError) -> Perplexity {
    guard window >= 4, window <= contextLength else {
      throw EngineError(.invalidArgument, "window: expected 4 to \(contextLength) tokens, as the context is, found \(window)")
    }
    let windows = try windows(of: text, length: window, limit: maximumWindows)
    var result = Perplexity()
    for (index, tokens) in windows.enumerated() {
      for logLikelihood in try logLikelihoods(of: tokens, from: window / 2 + 1, adapters: adapters) {
        result.add(logLikelihood)
      }
      onWindow(result, index + 1, windows.count)
    }
    return result
  }

  /// The natural logarithms of the probabilities of `tokens[first...]`, each given all tokens before it.
  public func logLikelihoods(
    of tokens: [Int32], from first: Int = 1, adapters: AdapterMixture = []
  ) throws(EngineError) -> [Double] {
    guard first >= 1, first < tokens.count else {
      throw EngineError(.invalidArgument, "first scored token: expected 1 to \(tokens.count - 1), found \(first)")
    }
    var result: [Double] = []
    try logits(of: Array(tokens.dropLast()), from: first - 1, adapters: adapters) { position, row in
      result.append(Engine.logProbability(of: Int(tokens[position + 1]), row))
    }
    return result
  }

  /// Windows of token ids, with the begin token in front where the model wants it.
  func windows(of text: String, length: Int, limit: Int?) throws(EngineError) -> [[Int32]] {
    let tokens = try tokenize(text, addSpecial: true)
    let count = min(tokens.count / length, limit ?? .max)
    guard count >= 1 else {
      throw EngineError(
        .invalidArgument, "text: expected at least one window of \(length) tokens, found \(tokens.count) tokens")
    }
    // Only what stands in front: an end token would be behind.
    let begin = try tokenize("", addSpecial: true).first.flatMap { $0 == tokens[0] ? $0 : nil }
    return (0..<count).map { index in
      var window = Array(tokens[index * length..<(index + 1) * length])
      if let begin { window[0] = begin }
      return window
    }
  }

  private static func logProbability(of token: Int, _ logits: UnsafeBufferPointer<Float>) -> Double {
    let largest = logits.max() ?? 0
    var sum = 0.0
    for logit in logits { sum += exp(Double(logit - largest)) }
    return Double(logits[token] - largest) - log(sum)
  }
}
