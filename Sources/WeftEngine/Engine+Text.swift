// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTokenizers
internal import WeftTransformer

extension Engine {
  /// The ids of a text. `addSpecial` puts the model's begin token in front, where it has one.
  public func tokenize(_ text: String, addSpecial: Bool = false) throws(EngineError) -> [Int32] {
    try requireTokenizer().encode(text, addSpecial: addSpecial, parseSpecial: false)
  }

  /// The text of ids; special tokens have none. Ids outside the vocabulary are refused.
  public func detokenize(_ ids: [Int32]) throws(EngineError) -> String {
    try check(ids)
    return try requireTokenizer().decode(ids, skipSpecial: true)
  }

  /// A conversation as the model's chat template writes it, up to where the assistant begins to answer.
  public func render(_ messages: [Message]) throws(EngineError) -> String {
    guard let template else {
      throw EngineError(.unsupported, "\(model.path): expected a chat template, found none; give the prompt as text")
    }
    let tokenizer = try requireTokenizer()
    func piece(_ id: Int32?) -> String { id.flatMap { tokenizer.vocabulary.piece(of: $0) } ?? "" }
    do {
      return try template.render(
        messages: messages.map { ChatMessage(role: $0.role, content: $0.content) }, addGenerationPrompt: true,
        variables: [("bos_token", .string(piece(tokenizer.beginToken))), ("eos_token", .string(piece(tokenizer.endToken)))])
    } catch { throw EngineError(error) }
  }

  /// Logits of the positions of a token list from `first` on, under fixed adapters: `onRow` gets the position and
  /// [vocabularySize] values, valid during the call.
  public func logits(
    of tokens: [Int32], from first: Int = 0, adapters: AdapterMixture = [],
    onRow: (Int, UnsafeBufferPointer<Float>) -> Void
  ) throws(EngineError) {
    try check(tokens)
    let activated = try activated(adapters)
    let count = activated.promptAdapter?.promptCount ?? 0
    let end = count + tokens.count
    guard !tokens.isEmpty, end <= positionLimit(activated) else {
      throw EngineError(
        .invalidArgument,
        "tokens: expected 1 to \(positionLimit(activated) - count), as the context is, found \(tokens.count)"
          + (activated.promptAdapter.map { " behind \(count) of adapter \($0.name)" } ?? ""))
    }
    guard !activated.readsWholePrompts || end <= transformer.maximumLogitRows else {
      throw EngineError(
        .invalidArgument,
        "mixture \(activated.mixture): expected at most \(transformer.maximumLogitRows) tokens, because experts are chosen by all "
          + "of them in one step, found \(end)")
    }
    let phases = try phases(activated, prompt: tokens[...], behind: count)
    let blockCount = BlockManager.blocks(for: end)
    guard let taken = blocks.allocate(activated.gateAdapter == nil ? blockCount : 2 * blockCount) else {
      throw EngineError(.busy, "logits: expected free KV blocks for \(tokens.count) tokens, found \(blocks.freeCount) blocks")
    }
    defer { blocks.release(taken) }
    let (table, gateTable) = (Array(taken[..<blockCount]), Array(taken[blockCount...]))
    var done = 0
    if let active = phases[0].active, case .keysAndValues = active.prompt {
      table.withUnsafeBufferPointer { if let table = $0.baseAddress { transformer.writePrefix(of: active, blockTable: table) } }
      done = count
    }
    let prefix = (0..<count).map { Batch.promptToken($0) }
    while done < end {
      let wantsLogits = activated.readsWholePrompts || done >= count + first
      let limit = wantsLogits ? transformer.maximumLogitRows : count + first - done
      let rows = phases.rows(from: done, to: done + min(limit, batch.maximumRows, end - done))
      var gates: ExternalGates?
      if let adapter = activated.gateAdapter {
        batch.removeAll()
        batch.append(tokens, behind: [], rows, [.base], gateTable, logits: .none)
        transformer.forward(batch)
        gates = transformer.computeGates(adapter.resident, rows: 0..<rows.count)
      }
      batch.removeAll()
      batch.append(tokens, behind: prefix, rows, phases, table, logits: wantsLogits ? .all : .none, gates: gates)
      transformer.forward(batch)
      for row in 0..<(wantsLogits ? rows.count : 0) where done + row >= count + first {
        onRow(done - count + row, UnsafeBufferPointer(try checkedLogits(row)))
      }
      done = rows.upperBound
    }
  }

  /// The tokens of a prompt, as a request has them.
  package func promptTokens(_ prompt: GenerationRequest.Prompt) throws(EngineError) -> [Int32] {
    let tokens: [Int32]
    switch prompt {
    case .messages(let messages):
      // Templates write their own begin token.
      let text = try render(messages)
      tokens = try requireTokenizer().encode(text, addSpecial: false, parseSpecial: true)
    case .text(let text): tokens = try requireTokenizer().encode(text, addSpecial: true, parseSpecial: false)
    case .tokens(let ids):
      try check(ids)
      tokens = ids
    }
    guard !tokens.isEmpty else { throw EngineError(.invalidArgument, "prompt: expected at least one token, found none") }
    return tokens
  }

  private func check(_ ids: [Int32]) throws(EngineError) {
    if let bad = ids.first(where: { $0 < 0 || Int($0) >= weights.config.vocabularySize }) {
      throw EngineError(.invalidArgument, "token: expected 0 to \(weights.config.vocabularySize - 1), found \(bad)")
    }
  }

  private func requireTokenizer() throws(EngineError) -> Tokenizer {
    guard let tokenizer else {
      throw EngineError(.unsupported, "\(model.path): expected a tokenizer, found none; give token ids")
    }
    return tokenizer
  }
}
