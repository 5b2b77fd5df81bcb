// SPDX-License-Identifier: Apache-2.0

internal import WeftTokenizers

/// How well a model answers questions.
public struct Evaluation: Sendable, Hashable {
  /// The mean of -log p(token) over the tokens of the expected answers, their end included, each behind the right tokens before it.
  public var loss: Double
  /// Questions whose answer, by the likeliest tokens, is exactly the one expected.
  public var rightCount: Int
  /// The mean entropy in nats of the distributions that `loss` is of.
  public var entropy: Double
  /// Tokens of the expected answers, ends included.
  public var tokenCount: Int
  /// Questions that were asked.
  public var questionCount: Int

  /// The share of questions that were answered rightly.
  public var accuracy: Double { questionCount == 0 ? 0 : Double(rightCount) / Double(questionCount) }
}

extension Engine {
  /// Asks questions under an activation, as many at the same time as the engine's options allow. Prompts go through the chat
  /// template where the model has one. Results do not depend on what runs at the same time. For an engine with nothing in flight.
  /// - Parameters:
  ///   - maximumTokens: the longest answer.
  ///   - onProgress: gets the questions that are done, and how many there are.
  public func evaluate(
    _ questions: [Question], activation: Activation = .base, maximumTokens: Int = 64,
    onProgress: (Int, Int) -> Void = { _, _ in }
  ) throws(EngineError) -> Evaluation {
    let scores = try score(questions, activation: activation) { onProgress($0, questions.count) }
    var right = 0
    var open: [Int] = []
    for (index, score) in scores.enumerated() {
      // The model's own answer is the expected one, token by token.
      let answer = score.forced.filter { !endTokens.contains($0) }
      if score.isGreedy, score.forced.count > answer.count, answer.count <= maximumTokens,
        questions[index].isAnswered(by: try detokenize(answer))
      {
        right += 1
      } else {
        open.append(index)
      }
    }
    // The same text may come of other tokens.
    let requests = open.map {
      GenerationRequest(prompt(questions[$0].prompt), activation: activation, sampling: .greedy, maximumTokens: maximumTokens)
    }
    try run(requests, scores: requests.map { _ in nil }) { index, result in
      if questions[open[index]].isAnswered(by: result.text) { right += 1 }
    }
    let tokens = scores.reduce(0) { $0 + $1.tokenCount }
    return Evaluation(
      loss: scores.reduce(0) { $0 + $1.negativeLogLikelihood } / Double(max(tokens, 1)),
      rightCount: right, entropy: scores.reduce(0) { $0 + $1.entropy } / Double(max(tokens, 1)), tokenCount: tokens,
      questionCount: questions.count)
  }

  /// The mean of -log p(token) over the tokens of the expected answers, as in `Evaluation.loss`, without answering.
  public func loss(on questions: [Question], activation: Activation = .base) throws(EngineError) -> Double {
    let scores = try score(questions, activation: activation) { _ in }
    return scores.reduce(0) { $0 + $1.negativeLogLikelihood } / Double(max(scores.reduce(0) { $0 + $1.tokenCount }, 1))
  }

  /// The mean entropy in nats of the distributions from which the model takes the first tokens of its own likeliest answers: what
  /// it is unsure of, without anybody's labels.
  /// - Parameter maximumTokens: of each answer, so many first tokens count.
  public func entropy(of prompts: [String], activation: Activation = .base, maximumTokens: Int = 8) throws(EngineError)
    -> Double
  {
    let scores = prompts.map { _ in AnswerScore() }
    let requests = prompts.map {
      GenerationRequest(prompt($0), activation: activation, sampling: .greedy, maximumTokens: maximumTokens)
    }
    try run(requests, scores: scores) { _, _ in }
    return scores.reduce(0) { $0 + $1.entropy } / Double(max(scores.reduce(0) { $0 + $1.tokenCount }, 1))
  }

  /// A question as a request puts it.
  func prompt(_ text: String) -> GenerationRequest.Prompt { template == nil ? .text(text) : .messages([.user(text)]) }

  /// The tokens of an expected answer: its text, and the token with which the model ends.
  func answerTokens(_ answer: String) throws(EngineError) -> [Int32] {
    let tokens = try tokenize(answer)
    guard let end = tokenizer?.endToken else { return tokens }
    return tokens + [end]
  }

  private func score(
    _ questions: [Question], activation: Activation, onProgress: (Int) -> Void
  ) throws(EngineError) -> [AnswerScore] {
    var (scores, requests): ([AnswerScore?], [GenerationRequest]) = ([], [])
    for question in questions {
      let answer = try answerTokens(question.answer)
      guard !answer.isEmpty else {
        throw EngineError(
          .invalidArgument, "question '\(question.prompt)': expected an answer of at least one token, found none")
      }
      scores.append(AnswerScore(forced: answer, endTokens: endTokens))
      requests.append(
        GenerationRequest(
          prompt(question.prompt), activation: activation, sampling: .greedy, maximumTokens: answer.count,
          ignoresEndTokens: true))
    }
    var done = 0
    try run(requests, scores: scores) { index, result in
      done += 1
      onProgress(done)
    }
    for (index, score) in scores.enumerated() {
      guard let score, score.tokenCount < score.forced.count else { continue }
      throw EngineError(
        .invalidArgument,
        "question '\(questions[index].prompt)': expected prompt and answer within the context of \(contextLength) tokens, "
          + "found an answer of \(score.forced.count)")
    }
    return scores.compactMap { $0 }
  }

  /// Runs requests to their ends; each has its score filled where it has one.
  func run(
    _ requests: [GenerationRequest], scores: [AnswerScore?], onFinished: (Int, GenerationResult) -> Void
  ) throws(EngineError) {
    try requireIdle("evaluate")
    var indices: [SequenceID: Int] = [:]
    var failure: EngineError?
    do {
      for (index, request) in requests.enumerated() {
        let id = try submit(request)
        waiting.last?.score = scores[index]
        indices[id] = index
      }
    } catch {
      failure = error
      for id in indices.keys { cancel(id) }
    }
    while sequenceCount > 0 {
      step { event in
        guard case .finished(let id, let result) = event, let index = indices.removeValue(forKey: id) else { return }
        if failure == nil, let error = result.error {
          failure = error
          for id in indices.keys { cancel(id) }
        }
        if failure == nil { onFinished(index, result) }
      }
    }
    if let failure { throw failure }
  }
}
