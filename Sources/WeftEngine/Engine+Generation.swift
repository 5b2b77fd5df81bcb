// SPDX-License-Identifier: Apache-2.0

internal import WeftGrammar
internal import WeftTokenizers
internal import WeftTransformer

extension Engine {
  /// Sequences that have not ended.
  public var sequenceCount: Int { waiting.count + running.count }

  /// Takes a request in. Nothing is computed before the next `step`.
  @discardableResult
  public func submit(_ request: GenerationRequest) throws(EngineError) -> SequenceID {
    var request = request
    request.sampling = try request.sampling.validated()
    guard request.maximumTokens >= 1 else {
      throw EngineError(.invalidArgument, "maximum tokens: expected 1 or more, found \(request.maximumTokens)")
    }
    try checkSampling(request)
    let (activated, pending) = try activated(request.activation)
    let (prompt, dropped) = try fitted(request, behind: activated.promptAdapter?.promptCount ?? 0)
    request.prompt = prompt
    let tokens = try promptTokens(prompt)
    try checkContext(tokens.count, activated)
    let sequence = TokenSequence(
      id: SequenceID(number: nextSequence), request: request, tokens: tokens,
      routingTokens: request.activation.isRouted ? routingTokens(request.prompt, tokens) : [],
      contextLength: contextLength, sampling: samplingState(request.sampling), constraint: try constraint(for: request),
      tokenizer: tokenizer)
    sequence.result.droppedMessageCount = dropped
    try activate(activated, in: sequence)
    sequence.pendingActivation = pending
    nextSequence += 1
    waiting.append(sequence)
    return sequence.id
  }

  /// Ends a sequence between two tokens. Its `finished` event comes with the next step. Unknown and ended ones are ignored.
  public func cancel(_ id: SequenceID) {
    (waiting + running).first { $0.id == id }?.isCancelled = true
  }

  /// Changes the adapters of a sequence from its next token on. What is in its KV cache stays.
  public func activate(_ activation: Activation, for id: SequenceID) throws(EngineError) {
    guard let sequence = running.first(where: { $0.id == id }) ?? waiting.first(where: { $0.id == id }) else {
      throw EngineError(.notFound, "sequence \(id): no sequence of this number is in flight")
    }
    let (activated, pending) = try activated(activation)
    try activate(activated, in: sequence)
    sequence.request.activation = activation
    sequence.pendingActivation = pending
    sequence.needsRouting = activation.isRouted
  }

  /// One pass over the base's weights: one token for every running sequence, and prompts as far as rows are left.
  /// Calls `onEvent` in the order in which things happened. Returns false when there was nothing to do.
  @discardableResult
  public func step(_ onEvent: (GenerationEvent) -> Void) -> Bool {
    endCancelled(onEvent)
    admit(onEvent)
    guard !running.isEmpty else { return false }
    for sequence in running { activatePending(sequence, onEvent) }
    schedule()
    fillBatch()
    transformer.forward(batch)
    sampleAll(onEvent)
    return true
  }

  /// Runs one request to its end; `onText` gets the answer piece by piece. For an engine with nothing else in flight: several
  /// sequences at once need `submit` and `step`, whose events say to which one they belong.
  public func generate(_ request: GenerationRequest, onText: (String) -> Void = { _ in }) throws(EngineError)
    -> GenerationResult
  {
    try requireIdle("generate")
    let id = try submit(request)
    var result = GenerationResult()
    var isFinished = false
    while !isFinished {
      step { event in
        switch event {
        case .token(id, _, let text, _): onText(text)
        case .finished(id, let finished):
          result = finished
          isFinished = true
        default: break
        }
      }
    }
    if let error = result.error { throw error }
    return result
  }

  // MARK: - The parts of a step

  private func endCancelled(_ onEvent: (GenerationEvent) -> Void) {
    guard waiting.contains(where: \.isCancelled) || running.contains(where: \.isCancelled) else { return }
    for sequence in waiting + running where sequence.isCancelled { finish(sequence, .cancelled, onEvent) }
    waiting.removeAll { $0.isFinished }
    running.removeAll { $0.isFinished }
  }

  /// Lets the router choose where it is due, and tells which adapters are active from here on. A sequence for which that fails
  /// ends; the others go on.
  private func activatePending(_ sequence: TokenSequence, _ onEvent: (GenerationEvent) -> Void) {
    if sequence.begin == nil { sequence.begin = .now }
    do { try routeIfNeeded(sequence) } catch {
      sequence.result.error = error
      finish(sequence, .failed, onEvent)
      return
    }
    guard let mixture = sequence.pendingActivation else { return }
    sequence.pendingActivation = nil
    sequence.result.mixtures.append(.init(tokenCount: sequence.answerCount, mixture: mixture))
    onEvent(.activated(sequence.id, mixture, tokenCount: sequence.answerCount))
  }

  /// Moves waiting sequences to running ones, in order, while there are blocks for all that they can need. What is published
  /// already is not needed; but a sequence for which the router chooses knows its adapters only when it is admitted.
  private func admit(_ onEvent: (GenerationEvent) -> Void) {
    while let next = waiting.first, running.count < options.maximumSequences {
      if next.needsRouting {
        guard blocks.freeCount >= next.blockCount else { return }
        activatePending(next, onEvent)
      }
      if !next.isFinished {
        reusePrefix(next)
        let count = next.blockCount - next.blocks.count
        guard let taken = blocks.allocate(count + next.gateBlockCount) else {
          next.forgetPrefix(&blocks)
          return
        }
        next.blocks += taken[..<count]
        next.gateBlocks = Array(taken[count...])
        running.append(next)
      }
      waiting.removeFirst()
    }
  }

  private func sampleAll(_ onEvent: (GenerationEvent) -> Void) {
    for sequence in running where !sequence.scheduledRows.isEmpty {
      sequence.cachedCount = sequence.scheduledRows.upperBound
      sequence.scheduledRows = 0..<0
      publishPrefix(sequence)
      guard let index = sequence.logitIndex else { continue }
      sequence.logitIndex = nil
      do {
        if let token = try nextToken(of: sequence, checkedLogits(index)) {
          accept(token, sequence, onEvent)
        } else {
          finish(sequence, .grammarEnd, onEvent)
        }
      } catch {
        sequence.result.error = error
        finish(sequence, .failed, onEvent)
      }
    }
    running.removeAll { $0.isFinished }
    // Adapters are held by sequences alone: one that was evicted is gone when the last of them ends.
    batch.removeAll()
  }

  private func accept(_ token: Int32, _ sequence: TokenSequence, _ onEvent: (GenerationEvent) -> Void) {
    if sequence.firstToken == nil { sequence.firstToken = .now }
    sequence.tokens.append(token)
    sequence.result.tokens.append(token)
    let request = sequence.request
    if !request.ignoresEndTokens && (endTokens.contains(token) || request.stopTokens.contains(token)) {
      onEvent(.token(sequence.id, id: token, text: "", sequence.result.logProbabilities.last))
      finish(sequence, .endToken, onEvent)
      return
    }
    let (text, stopped) = sequence.stops.append(sequence.detokenizer?.append(token) ?? "")
    sequence.result.text += text
    onEvent(.token(sequence.id, id: token, text: text, sequence.result.logProbabilities.last))
    if stopped {
      finish(sequence, .stopString, onEvent)
    } else if sequence.constraint?.isComplete == true {
      finish(sequence, .grammarEnd, onEvent)
    } else if sequence.tokens.count >= sequence.maximumCount {
      finish(sequence, .length, onEvent)
    } else if request.activation == .routedPerSentence && Engine.endsSentence(text) {
      sequence.needsRouting = true
    }
  }

  private func finish(_ sequence: TokenSequence, _ reason: FinishReason, _ onEvent: (GenerationEvent) -> Void) {
    if reason != .stopString {
      let (rest, _) = sequence.stops.append(sequence.detokenizer?.finish() ?? "")
      let tail = rest + sequence.stops.finish()
      sequence.result.text += tail
      if !tail.isEmpty, let last = sequence.tokens.last { onEvent(.token(sequence.id, id: last, text: tail, nil)) }
    }
    let now = ContinuousClock.now
    sequence.result.finishReason = reason
    sequence.result.isContextFull = sequence.length >= sequence.positionLimit
    sequence.result.prefillSeconds = (sequence.begin ?? now).seconds(to: sequence.firstToken ?? now)
    sequence.result.decodeSeconds = (sequence.firstToken ?? now).seconds(to: now)
    blocks.release(sequence.blocks)
    blocks.release(sequence.gateBlocks)
    sequence.blocks = []
    sequence.gateBlocks = []
    sequence.isFinished = true
    onEvent(.finished(sequence.id, sequence.result))
  }
}

extension Activation {
  var isRouted: Bool { self == .routed || self == .routedPerSentence }
}

extension ContinuousClock.Instant {
  func seconds(to end: ContinuousClock.Instant) -> Double {
    let (seconds, attoseconds) = duration(to: end).components
    return Double(seconds) + Double(attoseconds) * 1e-18
  }
}
