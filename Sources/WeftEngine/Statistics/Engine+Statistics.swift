// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
internal import WeftDeltas
package import WeftFusion
internal import WeftTensors
internal import WeftTransformer

extension Engine {
  /// What a task's data says about the base, or about the base with an adapter, module by module.
  /// - Parameters:
  ///   - data: names the questions in the result.
  ///   - adapter: is active with weight 1; nil for the base alone.
  ///   - onProgress: gets the examples that are done, and how many there are.
  package func statistics(
    of questions: [Question], data: String, adapter: String?, options: StatisticsOptions,
    onProgress: (Int, Int) -> Void = { _, _ in }
  ) throws(EngineError) -> MergeStatistics {
    try requireIdle("statistics")
    guard fusedAdapters.isEmpty else {
      throw EngineError(.busy, "statistics: expected an unfused base, found \(fusedAdapters.map(\.name)) fused into it")
    }
    let mixture: AdapterMixture = adapter.map { [WeightedAdapter($0)] } ?? []
    var sets: [DeltaSet] = []
    for loaded in try activated(mixture).adapters { sets.append(try loaded.deltas()) }
    var origin = MergeStatistics.Origin(
      base: weights.fingerprint, adapter: adapter ?? "", data: data, exampleCount: questions.count, tokenCount: 0,
      fisher: options.fisher.rawValue, seed: options.fisher == .sampled ? options.seed : 0)
    let total = questions.count * ((options.gram == .none ? 0 : 1) + (options.fisher == .none ? 0 : 1))
    var done = 0
    func progress() {
      done += 1
      onProgress(done, total)
    }
    var examples: [(tokens: [Int32], first: Int)] = []
    for question in questions {
      let prompt = try promptTokens(prompt(question.prompt))
      let tokens = prompt + (question.answer.isEmpty ? [] : try answerTokens(question.answer))
      guard tokens.count <= contextLength else {
        throw EngineError(
          .invalidArgument,
          "question '\(question.prompt)': expected prompt and answer within the context of \(contextLength) tokens, found "
            + "\(tokens.count)")
      }
      examples.append((tokens, prompt.count))
    }
    var tensors: [String: Tensor] = [:]
    if options.gram != .none {
      let recorder = InputRecorder(recordsProducts: options.gram == .full)
      transformer.recorder = recorder
      defer { transformer.recorder = nil }
      for example in examples {
        // What ends an answer is read by nobody.
        let inputs = example.tokens.count > example.first ? Array(example.tokens.dropLast()) : example.tokens
        try logits(of: inputs, from: inputs.count, adapters: mixture) { _, _ in }
        origin.tokenCount += inputs.count
        progress()
      }
      try addGrams(recorder, options.gram, &tensors)
    }
    if options.fisher != .none {
      if options.fisher == .sampled { examples = try sampledAnswers(questions, mixture, options) }
      let sums = try fisherSums(sets.first, options)
      for (question, example) in zip(questions, examples) {
        guard example.tokens.count > example.first else {
          throw EngineError(
            .invalidArgument, "question '\(question.prompt)': expected an answer, as --fisher empirical needs, found none")
        }
        do { try sums.add(example.tokens, from: example.first) } catch { throw EngineError(.unsupported, "\(error)") }
        progress()
      }
      for (name, sum) in sums.sums {
        tensors[name] = try tensor(sum.values.map { $0 / Float(questions.count) }, sum.shape)
      }
    }
    return MergeStatistics(location: data, origin: origin, tensors: tensors)
  }

  private func addGrams(
    _ recorder: InputRecorder, _ gram: StatisticsOptions.Gram, _ tensors: inout [String: Tensor]
  ) throws(EngineError) {
    for group in weights.inputGroups {
      // Experts of the base have no modules of their own in the published model.
      guard case .layer = group[0], let first = group.first(where: { recorder.sums[$0] != nil }),
        let sums = recorder.sums[first]
      else { continue }
      let (count, columns) = (Float(sums.rowCount), sums.squares.count)
      let gramTensor =
        gram == .full
        ? try tensor(FisherSums.symmetric(sums.products, count: columns).map { $0 / count }, [columns, columns])
        : try tensor(sums.squares.map { Float($0 / Double(sums.rowCount)) }, [columns])
      for path in Set(group.compactMap { weights.shape.path(of: $0) }) {
        tensors[MergeStatistics.name(path, gram == .full ? .gram : .gramDiagonal)] = gramTensor
      }
    }
  }

  /// Answers that the model draws from its own distribution, behind their prompts.
  private func sampledAnswers(
    _ questions: [Question], _ mixture: AdapterMixture, _ options: StatisticsOptions
  ) throws(EngineError) -> [(tokens: [Int32], first: Int)] {
    var examples: [(tokens: [Int32], first: Int)] = []
    var requests: [GenerationRequest] = []
    for (index, question) in questions.enumerated() {
      let tokens = try promptTokens(prompt(question.prompt))
      examples.append((tokens, tokens.count))
      let sampling = SamplingOptions(temperature: 1, topK: 0, topP: 1, minP: 0, seed: options.seed &+ UInt64(index))
      requests.append(
        GenerationRequest(
          .tokens(tokens), activation: .mixture(mixture), sampling: sampling, maximumTokens: options.maximumTokens))
    }
    try run(requests, scores: requests.map { _ in nil }) { examples[$0].tokens += $1.tokens }
    return examples
  }

  private func fisherSums(_ deltas: DeltaSet?, _ options: StatisticsOptions) throws(EngineError) -> FisherSums {
    let model: GradientModel
    do { model = try GradientModel(weights, deltas: deltas, contextLength: contextLength) } catch { throw EngineError(error) }
    if let deltas, options.ofFactors {
      // The gradient of a shared A is that of all parts of its module together.
      for module in weights.shape.modules where module.isPublished && module.sites.count > 1 {
        let factors = module.sites.compactMap { site -> LowRank? in
          guard case .lowRank(let factors) = deltas.operators[site]?.first else { return nil }
          return factors
        }
        guard factors.dropFirst().allSatisfy({ $0.sharesInput(with: factors[0]) }) else {
          throw EngineError(
            .unsupported, "\(module.path): expected one factor A of the whole module, found several; take --fisher-of weights")
        }
      }
    }
    return FisherSums(model, shape: weights.shape, sites: deltas?.sites, options: options)
  }

  private func tensor(_ values: [Float], _ shape: [Int]) throws(EngineError) -> Tensor {
    do { return try Tensor(values, shape: shape) } catch { throw EngineError(error) }
  }
}
