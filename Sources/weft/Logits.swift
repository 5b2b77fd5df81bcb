// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftEngine
import WeftFormats
import WeftTensors

/// `weft logits`: what a model thinks of given tokens, for comparisons with other programs.
struct Logits: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write the logits of every position of a token list.",
    discussion: """
      The file holds one tensor, 'logits', f32, [tokens, vocabulary].

        weft logits --model base.gguf --tokens 1,2,3 --output logits.safetensors
        weft logits --model base.gguf --adapter a=adapters/a:0.5 --tokens 1,2,3 --output mixed.safetensors
      """)

  @OptionGroup(title: "Model")
  var model: ModelOptions

  @OptionGroup(title: "Adapters")
  var adapters: AdapterFlags

  @Option(help: ArgumentHelp("Token ids with commas between them.", valueName: "ids"))
  var tokens: TokenList

  @Option(help: ArgumentHelp("The safetensors file to write.", valueName: "file"))
  var output: String

  func run() throws {
    let ids = tokens.ids
    // An adapter may put a prompt of its own before the tokens.
    let options = EngineOptions(contextLength: adapters.isEmpty ? ids.count : nil, maximumSequences: 1, kvType: .f32)
    let mixture = try adapters.answering()
    let (engine, _) = try model.open(options, adapters)
    do {
      let writer = try SafetensorsWriter(
        path: output, tensors: [("logits", .f32, [ids.count, engine.model.vocabularySize])])
      var failure: FormatError?
      try engine.logits(of: ids, adapters: mixture) { _, row in
        guard failure == nil else { return }
        do throws(FormatError) { try writer.append(UnsafeRawBufferPointer(row)) } catch { failure = error }
      }
      if let failure { throw failure }
      try writer.finish()
    } catch let error as FormatError { throw EngineError(error) }
    print("\(output): logits, F32, [\(ids.count), \(engine.model.vocabularySize)]")
  }
}

/// `1,2,3`
struct TokenList: ExpressibleByArgument {
  let ids: [Int32]

  init?(argument: String) {
    let ids = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int32(String($0).trimmingBlanks) }
    guard !ids.isEmpty, ids.allSatisfy({ $0 != nil }) else { return nil }
    self.ids = ids.compactMap { $0 }
  }
}
