// SPDX-License-Identifier: Apache-2.0

internal import WeftGrammar
internal import WeftTokenizers
internal import WeftTransformer

extension Engine {
  /// The bytes that a token writes, or its spelling when it is a special one: not always whole characters. Empty outside the
  /// vocabulary, and for a model without a tokenizer.
  public func bytes(of token: Int32) -> [UInt8] { tokenizer?.bytes(of: token) ?? [] }

  /// Refuses what only this model can tell to be wrong.
  func checkSampling(_ request: GenerationRequest) throws(EngineError) {
    if let id = request.sampling.logitBias.keys.first(where: { Int($0) >= weights.config.vocabularySize }) {
      throw EngineError(.invalidArgument, "logit bias: expected token 0 to \(weights.config.vocabularySize - 1), found \(id)")
    }
    if let top = request.logProbabilities, !(0...100).contains(top) {
      throw EngineError(.invalidArgument, "log-probabilities: expected 0 to 100 tokens, found \(top)")
    }
  }

  /// The state of a sequence that begins.
  func samplingState(_ options: SamplingOptions) -> SamplingState {
    let seed = options.seed ?? UInt64.random(in: .min ... .max)
    guard let dry = options.dry, dry.multiplier > 0, let tokenizer else { return SamplingState(options, seed: seed) }
    return SamplingState(options, seed: seed, breakers: SequenceBreakers(dry.sequenceBreakers, tokenizer))
  }

  /// What a request's grammar says about tokens. Memory for following it is reserved here.
  func constraint(for request: GenerationRequest) throws(EngineError) -> TokenConstraint? {
    guard let source = request.grammar else { return nil }
    guard let tokenizer else {
      throw EngineError(.unsupported, "\(model.path): a grammar expects a tokenizer, found none")
    }
    let table = tokenTable ?? makeTokenTable(tokenizer)
    tokenTable = table
    let ends = (request.ignoresEndTokens ? [] : endTokens).union(request.stopTokens)
    do {
      let grammar =
        switch source {
        case .gbnf(let text): try Grammar(gbnf: text)
        case .jsonSchema(let text): try Grammar(jsonSchema: text)
        }
      return try TokenConstraint(grammar, table: table, endTokens: ends, maskSize: weights.config.vocabularySize)
    } catch { throw EngineError(error) }
  }

  /// Only what is written into an answer has a text here: no special tokens, and none that end the answer.
  private func makeTokenTable(_ tokenizer: Tokenizer) -> TokenTable {
    TokenTable(count: tokenizer.vocabularySize) { id in
      switch tokenizer.vocabulary.kind(of: id) {
      case .normal, .userDefined, .byte: endTokens.contains(id) ? [] : tokenizer.bytes(of: id)
      case .control, .unknown, .unused, nil: []
      }
    }
  }

  /// A row of logits of the last step. Refuses what an overflow leaves: the norm before the head spreads a number that is not
  /// finite over the hidden state, and the head over all logits, so that one look tells.
  func checkedLogits(_ row: Int) throws(EngineError) -> UnsafeMutableBufferPointer<Float> {
    let logits = transformer.logits(row)
    guard !logits[0].isNaN else {
      throw EngineError(
        .unsupported,
        "logits: expected numbers, found NaN: numbers of the base, of its adapters or of their weights are too large")
    }
    return logits
  }

  /// Samples a token and goes on behind it in the grammar. nil: the text is complete, and no token of the vocabulary can
  /// follow or end it. The token loop allocates nothing here, except for log-probabilities.
  func nextToken(
    of sequence: TokenSequence, _ logits: UnsafeMutableBufferPointer<Float>
  ) throws(EngineError) -> Int32? {
    if let token = sequence.score?.next(logits) { return token }
    let top = sequence.request.logProbabilities
    if top != nil { sampler.remember(logits) }
    let token: Int32?
    do {
      token = try sampler.sample(
        logits, history: sequence.tokens, sequence.request.sampling, &sequence.sampling, constraint: sequence.constraint)
      if let token { try sequence.constraint?.accept(token) }
    } catch { throw EngineError(error) }
    guard let token else {
      if sequence.constraint?.mayEnd == true { return nil }
      throw EngineError(
        .unsupported, "sampling: expected a token that grammar and logit biases permit, found none in the vocabulary")
    }
    if let top { sequence.result.logProbabilities.append(sampler.logProbabilities(of: token, top: top)) }
    return token
  }
}
